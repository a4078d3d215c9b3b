#!/bin/sh
# Methods that learn rows for the model to read: their folders, going on from them, and what they leave of the positions.
. "$top_srcdir/tests/cli/tap.sh"

measure() { "$trimtab" eval "$@" --json | sed 's/\(\.[0-9]\{6\}\)[0-9]*/\1/g'; }

set -- mr-prefix mr-p_tuning
for name; do
	folder=$work/$name
	tiny "$name" --json >"$work/out" 2>"$work/err"
	id=$(field id <"$work/out")
	[ "$(field state <"$work/out")" = finished ]
	ok $? "$name: a run to export"
	measure "$id" >"$work/live"
	expect 0 "" "$name: export" "$trimtab" export "$id" "$folder"
	[ -f "$folder/adapter_model.safetensors" ] && [ -f "$folder/prompt_encoder.safetensors" ]
	ok $? "$name: the encoder lies beside the adapter"
	for file in adapter_model prompt_encoder; do
		cmp -s "$folder/$file.safetensors" "$("$trimtab" show "$id" --json | field dir)/adapter/$file.safetensors"
		ok $? "$name: $file is the run's own"
	done
	measure "$name" --set data.eval_limit=32 --set data.max_length=16 --adapter "$folder" >"$work/adapted"
	cmp -s "$work/live" "$work/adapted"
	ok $? "$name: eval --adapter gives what the run gives"
	expect 0 "" "$name: training goes on from the folder" tiny "$name" --set init_adapter="$folder"
	expect 1 "cannot be merged" "$name: cannot be merged" "$trimtab" export "$id" "$folder-merged" --merged
	rm "$folder/prompt_encoder.safetensors"
	measure "$name" --set data.eval_limit=32 --set data.max_length=16 --adapter "$folder" >"$work/adapted"
	cmp -s "$work/live" "$work/adapted"
	ok $? "$name: without the encoder it gives the same"
	"$trimtab" ls --json | wc -l >"$work/runs"
	refuses 1 "prompt_encoder.safetensors" "$name: without the encoder training does not go on" \
		tiny "$name" --set init_adapter="$folder"
	"$trimtab" ls --json | wc -l | cmp -s - "$work/runs"
	ok $? "$name: and leaves no run behind"
done

for set in max_length=247 max_length=512; do
	refuses 1 "set data.max_length to 246 or less" "texts need positions beside those of the method: $set" \
		"$trimtab" run mr-prefix --set data.$set
done
for name in mr-prefix mr-prompt mr-p_tuning; do
	refuses 1 "none is left for the text" "$name: rows that take all positions" \
		"$trimtab" run $name --set peft.num_virtual_tokens=256
done

# a prompt goes on at another task, whose labels are others
tiny mr-p_tuning_v2 --name shared >"$work/out" 2>"$work/err"
expect 0 "" "a prompt to share" "$trimtab" export shared "$work/shared"
sed 's/"positive"/"good"/; s/"negative"/"bad"/' "$top_srcdir/data/mr/dev.jsonl" >"$work/other.jsonl"
expect 0 "" "goes on at a task of other labels" tiny mr-p_tuning_v2 --set init_adapter="$work/shared" \
	--set data.train="$work/other.jsonl" --set data.validation="$work/other.jsonl" --set task.labels='["bad", "good"]'
grep -q "its head stays behind" "$("$trimtab" show latest --json | field dir)/log.txt"
ok $? "and its log says that the head stays behind"
expect 0 "" "goes on at its own task" tiny mr-p_tuning_v2 --set init_adapter="$work/shared"
! grep -q "its head stays behind" "$("$trimtab" show latest --json | field dir)/log.txt"
ok $? "with its head"

# several tasks over one prompt, each with a head of its own, and then one of them alone
sed -n 's/.*"text_a": "\([^"\\]*\)".*"label": "\([a-z]*\)".*/{"text_a": "\1", "label": "mr\/\2"}/p' \
	"$top_srcdir/data/mr/dev.jsonl" | awk "NR % 25 == 0" >"$work/mr.jsonl"
awk '{ long = length($0) > 160; sub(/"mr.*/, long ? "\"size/long\"}" : "\"size/short\"}"); print }' \
	"$work/mr.jsonl" >"$work/size.jsonl"
cat "$work/mr.jsonl" "$work/size.jsonl" >"$work/both.jsonl"
set -- --set task.label_groups=true --set data.train="$work/both.jsonl" --set data.validation="$work/both.jsonl"
expect 0 "" "several tasks at once" tiny mr-p_tuning_v2 "$@" --set data.limit=80 --set data.eval_limit=80 --name several
"$trimtab" metrics several --key eval/accuracy/size >"$work/out" 2>"$work/err" && [ -s "$work/out" ]
ok $? "have an accuracy each"
"$trimtab" eval several --json >"$work/out" 2>"$work/err"
has_keys accuracy accuracy/mr accuracy/size
ok $? "in eval, too"
"$trimtab" predict several --text "a good film" --json >"$work/out" 2>"$work/err"
grep -q '"label": "mr/[a-z]* size/[a-z]*"' "$work/out" && has_keys mr/positive size/long
ok $? "predict tells what each says"
expect 1 "is not named TASK/LABEL" "their labels are named by task" tiny mr-p_tuning_v2 --set task.label_groups=true
expect 0 "" "their prompt" "$trimtab" export several "$work/several"
expect 0 "" "goes on at one of them" tiny mr-p_tuning_v2 --set data.train="$work/size.jsonl" \
	--set data.validation="$work/size.jsonl" --set task.labels='["size/long", "size/short"]' --set init_adapter="$work/several"
grep -q "of its head 2 stay" "$("$trimtab" show latest --json | field dir)/log.txt"
ok $? "with the head of that one"

tiny mr-prompt --set train.learning_rate=0.01 --set peft.prompt_tuning_init=TEXT \
	--set peft.prompt_tuning_init_text="a film that moves" \
	--json >"$work/out" 2>"$work/err"
[ "$(field state <"$work/out")" = finished ]
ok $? "a prompt that begins with a text"
"$trimtab" export latest "$work/text" >"$work/out" 2>"$work/err"
[ ! -e "$work/text/prompt_encoder.safetensors" ]
ok $? "has no encoder in its folder"
grep -q '"prompt_tuning_init_text": "a film that moves"' "$work/text/adapter_config.json"
ok $? "and tells the text"
grep -q "most like \[CLS\] [01.9]*[0-9], a [01.9]*[0-9], film [01.9]*[0-9]," "$("$trimtab" show latest --json | field dir)/log.txt"
ok $? "its log tells the words that the rows are most like"
end
