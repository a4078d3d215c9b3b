#!/bin/sh
# Every recipe that comes with trimtab runs, reports, evaluates, and goes on after a stop.
. "$top_srcdir/tests/cli/tap.sh"

for recipe in "$top_srcdir"/recipes/*.json; do
	name=$(basename "$recipe" .json)
	set -- --json
	# a recipe without epochs only evaluates: it is to stay so
	grep -q '"num_train_epochs": 0,' "$recipe" || set -- --json --set train.max_steps=3
	expect 0 '"state": "finished"' "$name runs" "$trimtab" run "$name" --set data.limit=64 --set data.eval_limit=32 \
		--set data.max_length=16 --set train.per_device_train_batch_size=8 --set train.eval_steps=0 "$@"
	has_keys eval/accuracy eval/loss
	ok $? "$name reports"
	seen=$(field eval/loss <"$work/out" | cut -c1-10)
	expect 0 "full fine-tuning" "$name is estimated" "$trimtab" estimate "$name" --set data.limit=64 --set data.max_length=16
	expect 0 "" "$name evaluates again" "$trimtab" eval "$recipe" --json --set data.eval_limit=32 --set data.max_length=16
	has_keys loss accuracy f1 macro_f1 mcc n per_label confusion precision recall
	ok $? "$name: the keys of eval --json"
	quietly "$trimtab" eval latest --json
	[ "$(field loss <"$work/out" | cut -c1-10)" = "$seen" ] && [ "$(field n <"$work/out")" = 32 ]
	ok $? "$name: a run evaluates to what it reported"
done

endless mr-head --name halted
ok $? "a run that goes on"
expect 0 "" "is stopped" "$trimtab" stop "$id"
within 30 state_is "$id" stopped
ok $? "and is stopped indeed"
step=$("$trimtab" show "$id" --json | field step)
expect 0 "$id" "and resumed" "$trimtab" resume "$id" --detach
"$trimtab" show "$id" --json | field pid >>"$work/pids"
within 30 has_step "$id" $((step + 5))
ok $? "goes on from there"
expect 1 "is running" "a running one is not resumed" "$trimtab" resume "$id"
"$trimtab" stop "$id" >"$work/out" 2>"$work/err"
within 30 state_is "$id" stopped
"$trimtab" metrics "$id" --key train/loss --csv | cut -d, -f2 | sed 1d >"$work/steps"
sort -n -u "$work/steps" | cmp -s - "$work/steps" && [ "$(tail -n 1 "$work/steps")" = "$(wc -l <"$work/steps")" ]
ok $? "its curve has every step once"
refuses 1 "is finished" "a finished one is not resumed" "$trimtab" resume mr-lora
end
