#!/bin/sh
# adapter: sums of adapters, and folding one into its model.
. "$top_srcdir/tests/cli/tap.sh"

short="--set data.eval_limit=32 --set data.max_length=16"
# shellcheck disable=SC2086 # several words
measure() { "$trimtab" eval "$@" $short --json | sed 's/\(\.[0-9]\{5\}\)[0-9]*/\1/g'; }

for seed in 1 2; do
	# shellcheck disable=SC2086
	"$trimtab" run mr-lora $short --set train.max_steps=3 --set data.per_label_limit=16 --set train.seed=$seed --name "s$seed" \
		>"$work/out" 2>"$work/err"
	expect 0 "" "an adapter to add ($seed)" "$trimtab" export "s$seed" "$work/a$seed"
done

expect 0 "" "add --json" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/sum" --weights 0.5,0.5 --json
has_keys dir files
ok $? "its keys"
grep -q '"r": 16' "$work/sum/adapter_config.json"
ok $? "cat: the ranks add up"
expect 0 "" "add by singular values" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/svd" --how svd --rank 4
expect 0 "" "add by majority" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/ties" --how ties --density 0.4 --majority frequency
expect 0 "" "add at random" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/dare" --how dare_linear --seed 3
expect 0 "" "half of it" "$trimtab" adapter scale "$work/a1" "$work/half" --by 0.5
expect 0 "" "and the other half" "$trimtab" adapter add "$work/half" "$work/half" "$work/again"
expect 0 "" "less itself" "$trimtab" adapter sub "$work/a1" "$work/a1" "$work/none"

# the two halves are the whole: through eval, with the rank that they add up to
measure mr-lora --adapter "$work/a1" >"$work/whole"
measure mr-lora --adapter "$work/again" --set peft.r=16 --set peft.lora_alpha=16 >"$work/halves"
[ -s "$work/whole" ] && cmp -s "$work/whole" "$work/halves"
ok $? "two halves are the whole"

expect 0 "" "merge" "$trimtab" adapter merge mr-lora "$work/a1" "$work/model"
[ -f "$work/model/config.json" ] && [ -f "$work/model/model.safetensors" ]
ok $? "is a model folder"
cat >"$work/as-it-is.json" <<EOT
{ "base_model": "$work/model", "task": { "type": "seq_cls", "labels": ["negative", "positive"] },
  "data": { "validation": "$top_srcdir/data/mr/dev.jsonl" },
  "peft": { "method": "full" }, "train": { "num_train_epochs": 0 } }
EOT
measure "$work/as-it-is.json" >"$work/merged"
cmp -s "$work/whole" "$work/merged"
ok $? "that answers as the adapter does"

refuses 2 "add, sub, scale and merge" "no such thing" "$trimtab" adapter mix "$work/a1" "$work/a2"
refuses 2 "--weights has 3 numbers for 2 adapters" "weights" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/x" --weights 1,2,3
refuses 2 "'sum' is no way to add adapters" "a way" "$trimtab" adapter add "$work/a1" "$work/a2" "$work/x" --how sum
refuses 1 "is no adapter folder" "no adapter" "$trimtab" adapter add "$work/a1" "$work/home" "$work/x"
refuses 1 "so it is no former export" "a folder of somebody's" "$trimtab" adapter add "$work/a1" "$work/a2" "$top_srcdir/src"
[ ! -e "$work/x" ]
ok $? "what was refused wrote nothing"
end
