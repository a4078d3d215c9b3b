#!/bin/sh
# export: an adapter, a merged model, a full run; what they answer is what the run answers.
. "$top_srcdir/tests/cli/tap.sh"

# the labels and the first digits of the probabilities
answers() { "$trimtab" predict "$@" --data "$top_srcdir/data/mr/dev.jsonl" --json | sed 's/\(\.[0-9][0-9][0-9]\)[0-9]*/\1/g'; }
measure() { "$trimtab" eval "$@" --json | sed 's/\(\.[0-9]\{6\}\)[0-9]*/\1/g'; }

for method in lora bitfit head full; do
	"$trimtab" run mr-$method --set train.max_steps=6 --set data.per_label_limit=32 --set data.eval_limit=64 --set data.max_length=16 \
		--set train.eval_steps=3 --set train.save_steps=3 --json >"$work/out" 2>"$work/err"
	id=$(field id <"$work/out")
	measure "$id" >"$work/live"
	rows=$(field n <"$work/live")
	[ "$rows" = 64 ]
	ok $? "$method: a run to export"
	expect 0 "" "$method: export --json" "$trimtab" export "$id" "$work/$method" --json
	has_keys dir files
	ok $? "$method: its keys"
	[ "$(field dir <"$work/out")" = "$work/$method" ]
	ok $? "$method: the folder"
	if [ $method = full ]; then
		[ -f "$work/full/config.json" ] && [ -f "$work/full/model.safetensors" ] && [ -f "$work/full/tokenizer.json" ]
		ok $? "full: is a model folder"
	else
		[ -f "$work/$method/adapter_config.json" ] && [ -f "$work/$method/adapter_model.safetensors" ]
		ok $? "$method: is an adapter folder"
		grep -q '"peft_type": *"LORA"' "$work/$method/adapter_config.json"
		ok $? "$method: of a type that PEFT knows"
		cmp -s "$work/$method/adapter_model.safetensors" "$("$trimtab" show "$id" --json | field dir)/adapter/adapter_model.safetensors"
		ok $? "$method: it is the run's own adapter"
		measure mr-$method --set data.eval_limit=64 --set data.max_length=16 --adapter "$work/$method" >"$work/adapted"
		cmp -s "$work/live" "$work/adapted"
		ok $? "$method: eval --adapter gives what the run gives"
		expect 0 "" "$method: export --merged" "$trimtab" export "$id" "$work/$method-merged" --merged
	fi
	[ $method = full ] && merged=$work/full || merged=$work/$method-merged
	[ -f "$merged/config.json" ] && [ -f "$merged/model.safetensors" ]
	ok $? "$method: the merged model is a model folder"
	# with no training left to do, the model answers as it is
	cat >"$work/as-it-is.json" <<EOF
{ "base_model": "$merged", "task": { "type": "seq_cls", "labels": ["negative", "positive"] },
  "data": { "validation": "$top_srcdir/data/mr/dev.jsonl", "eval_limit": 64, "max_length": 16 },
  "peft": { "method": "full" }, "train": { "num_train_epochs": 0 } }
EOF
	answers "$id" >"$work/live"
	answers "$work/as-it-is.json" >"$work/merged"
	[ "$(wc -l <"$work/live")" = 64 ] && cmp -s "$work/live" "$work/merged"
	ok $? "$method: the merged model predicts what the run predicts"
	expect 0 "" "$method: again, over the same folder" "$trimtab" export "$id" "$work/$method"
done

run=$("$trimtab" ls --json --method lora | field id)
expect 0 "" "export --checkpoint STEP" "$trimtab" export "$run" "$work/step" --checkpoint 3
cmp -s "$work/step/adapter_model.safetensors" "$work/lora/adapter_model.safetensors"
[ $? = 1 ]
ok $? "is another adapter than the last"
expect 0 "" "export by a name that is a recipe's, too" "$trimtab" export mr-lora "$work/by-name"
cmp -s "$work/by-name/adapter_model.safetensors" "$work/lora/adapter_model.safetensors"
ok $? "is the run's"
expect 0 "" "init_adapter goes on from an export" tiny mr-lora --set init_adapter="$work/lora"
"$trimtab" rm mr-head >"$work/out" 2>&1
refuses 1 "mr-head" "export of a recipe that no run has the name of" "$trimtab" export mr-head "$work/x"
[ ! -e "$work/x" ]
ok $? "leaves no folder"
echo x >"$work/file"
refuses 1 "is a file; a folder is needed" "export onto a file" "$trimtab" export "$run" "$work/file"
mkdir "$work/mine" && echo x >"$work/mine/thesis.tex"
refuses 1 "thesis.tex" "export into somebody's folder" "$trimtab" export "$run" "$work/mine"
[ "$(ls "$work/mine")" = thesis.tex ]
ok $? "leaves it as it was"
refuses 1 "" "eval with an adapter of another method" "$trimtab" eval mr-bitfit --adapter "$work/lora"
end
