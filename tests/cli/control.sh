#!/bin/sh
# A live run does what it is asked, soon: pause, resume, set, checkpoint, eval-now, stop.
. "$top_srcdir/tests/cli/tap.sh"

# promptly NAME COMMAND...: done, and in less than five seconds even on a machine that is busy with other tests.
promptly() {
	what=$1
	shift
	asked=$(date +%s%N)
	quietly "$@"
	took=$((($(date +%s%N) - asked) / 1000000))
	[ "$status" = 0 ] && [ $took -lt 5000 ]
	ok $? "$what"
	echo "# $took ms"
}
has_event() { "$trimtab" show "$id" | grep -q "^  step .* $1"; }
# shellcheck disable=SC2317  # called by within
rate() { "$trimtab" metrics "$id" --key train/learning_rate --csv | tail -n 1 | cut -d, -f4; }
# shellcheck disable=SC2317
rate_is() { [ "$(rate)" = "$1" ]; }
still() { "$trimtab" show "$id" --json | field step; }

endless mr-lora --name live --set train.lr_scheduler_type=constant --set train.warmup_ratio=0
ok $? "a run starts"
within 30 has_step "$id" 5
ok $? "and steps"
state_is "$id" running
ok $? "it is running"
refuses 1 "stop it first" "rm of a live run" "$trimtab" rm "$id"

promptly "pause" "$trimtab" pause "$id"
within 10 state_is "$id" paused
ok $? "it is paused"
before=$(still)
promptly "a checkpoint while it is paused" "$trimtab" checkpoint "$id"
[ "$(still)" = "$before" ]
ok $? "a paused run does not step"
promptly "resume" "$trimtab" resume "$id"
within 10 state_is "$id" running
ok $? "it is running again"
within 30 has_step "$id" $((before + 5))
ok $? "and steps on"

promptly "set learning_rate" "$trimtab" set "$id" learning_rate=0.00025
within 10 rate_is 0.00025000000000000001
ok $? "the new rate is used"
within 10 has_event learning_rate || has_event set
ok $? "and is an event"
"$trimtab" metrics "$id" --key train/learning_rate --csv | sed -n 2p | cut -d, -f4 | grep -q '^0.001'
ok $? "the steps before it had the old one"

promptly "checkpoint" "$trimtab" checkpoint "$id"
dir=$("$trimtab" show "$id" --json | field dir)
[ "$(find "$dir/checkpoints" -name '*.safetensors' | wc -l)" -ge 2 ]
ok $? "the files are there"
promptly "eval-now" "$trimtab" eval-now "$id"
expect 0 '"key": "eval/accuracy"' "there is an evaluation" "$trimtab" metrics "$id" --key eval/accuracy

promptly "stop" "$trimtab" stop "$id" --json
has_keys id name answer
ok $? "says so as JSON"
within 30 state_is "$id" stopped
ok $? "it is stopped"
for verb in stop pause checkpoint eval-now; do
	refuses 1 "only a live run can do that" "$verb of a stopped run" "$trimtab" "$verb" "$id"
done
refuses 1 "only a live run can do that" "set of a stopped run" "$trimtab" set "$id" learning_rate=1

# a signal is a stop, too
endless mr-head --name signalled
within 30 has_step "$id" 3
kill -TERM "$pid"
within 30 state_is "$id" stopped
ok $? "SIGTERM stops with a checkpoint"
find "$("$trimtab" show "$id" --json | field dir)/checkpoints" -name '*.safetensors' | grep -q .
ok $? "which is there"
end
