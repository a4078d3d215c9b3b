#!/bin/sh
# A trainer that is killed: its run is lost, no value older than a second is, and a resumed run ends with the same bits.
# TRIMTAB_KILLS says how often (4).
. "$top_srcdir/tests/cli/tap.sh"

start() {
	"$trimtab" run mr-lora --set train.max_steps=60 --set data.limit=200 --set data.eval_limit=16 --set data.max_length=16 \
		--set train.per_device_train_batch_size=8 --set train.eval_steps=10 --set train.save_steps=7 \
		--set train.dropout=0.1 --set peft.lora_dropout=0.1 "$@"
}
# what the run came to, without times and speeds
result() {
	for key in train/loss train/grad_norm train/learning_rate eval/loss eval/accuracy; do
		"$trimtab" metrics "$1" --key $key --csv | cut -d, -f1,2,4
	done
}
rows() { "$trimtab" metrics "$1" --key train/loss --csv 2>/dev/null | sed 1d; }
# shellcheck disable=SC2317  # called by within
has_rows() { [ "$(rows "$1" | wc -l)" -ge "$2" ]; }

start --name calm >"$work/out" 2>"$work/err"
ok $? "an undisturbed run"
result calm >"$work/calm"
[ "$(grep -c train/loss "$work/calm")" = 60 ] && [ "$(grep -c eval/loss "$work/calm")" = 6 ]
ok $? "has its values"
adapter=$("$trimtab" show calm --json | field dir)/adapter/adapter_model.safetensors
answers=$("$trimtab" show calm --json | field dir)/predictions.jsonl

kills=${TRIMTAB_KILLS:-4} n=0 lost=0
while [ $n -lt "$kills" ]; do
	n=$((n + 1))
	# a checkpoint may be newer than the values in the run log: with one after every step this shows at once
	id=$(start --name "killed-$n" --detach --set train.save_steps=$((n % 2 ? 1 : 7)) 2>"$work/err")
	pid=$("$trimtab" show "$id" --json | field pid)
	echo "$pid" >>"$work/pids"
	# a moment that differs from time to time: after so many values
	within 60 has_rows "$id" $(((n * 17 + 3) % 50))
	moment=$(date +%s%N)
	kill -9 "$pid" 2>/dev/null
	if ! "$trimtab" ls --json --state finished | grep -q "\"$id\""; then
		lost=$((lost + 1))
		within 10 state_is "$id" lost
		ok $? "$n: the run is lost"
		rows "$id" | awk -F, -v moment="$moment" '{ if ($5 > last) last = $5 } END { exit !(NR == 0 || last > moment / 1e9 - 1.5) }'
		ok $? "$n: no value older than a second is"
		expect 0 "finished, 60 of 60 steps" "$n: resume" "$trimtab" resume "$id"
	fi
	result "$id" >"$work/killed"
	cmp -s "$work/calm" "$work/killed"
	ok $? "$n: ends with the same bits"
	cmp -s "$adapter" "$("$trimtab" show "$id" --json | field dir)/adapter/adapter_model.safetensors"
	ok $? "$n: and the same adapter"
	cmp -s "$answers" "$("$trimtab" show "$id" --json | field dir)/predictions.jsonl"
	ok $? "$n: and the same answers"
done
[ $((lost * 2)) -ge "$kills" ]
ok $? "most were killed on the way"

# twice in one run, the second time soon after the first resume
id=$(start --name twice --detach 2>"$work/err")
for i in 10 25; do
	"$trimtab" show "$id" --json | field pid >>"$work/pids"
	within 60 has_rows "$id" $i
	kill -9 "$(tail -n 1 "$work/pids")" 2>/dev/null
	within 10 state_is "$id" lost
	ok $? "killed after $i values: lost"
	expect 0 "$id" "resumed" "$trimtab" resume "$id" --detach
done
"$trimtab" show "$id" --json | field pid >>"$work/pids"
within 60 state_is "$id" finished
ok $? "and finished"
result "$id" >"$work/killed"
cmp -s "$work/calm" "$work/killed"
ok $? "killed twice: the same bits"

# a checkpoint that was damaged is passed over
id=$(start --name damaged --detach 2>"$work/err")
pid=$("$trimtab" show "$id" --json | field pid)
echo "$pid" >>"$work/pids"
within 60 has_rows "$id" 22
kill -9 "$pid" 2>/dev/null
within 10 state_is "$id" lost
dir=$("$trimtab" show "$id" --json | field dir)
newest=$(find "$dir/checkpoints" -name 'step-*.safetensors' | sort | tail -n 1)
head -c 5000 "$newest" >"$work/part" && cat "$work/part" >"$newest"
expect 0 "finished, 60 of 60 steps" "resume with a damaged newest checkpoint" "$trimtab" resume "$id"
result "$id" >"$work/killed"
cmp -s "$work/calm" "$work/killed"
ok $? "ends with the same bits, too"

if command -v sqlite3 >/dev/null; then
	[ "$(sqlite3 "$TRIMTAB_HOME/runs.db" 'pragma integrity_check')" = ok ]
	ok $? "the run log is whole"
else
	skip "the run log is whole" "no sqlite3"
fi

end
