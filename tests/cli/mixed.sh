#!/bin/sh
# Several adapters over one model: each row by one of them, or by all, mixed in one batch.
. "$top_srcdir/tests/cli/tap.sh"

teach() { # NAME RECIPE [ARGUMENT...]: on ref, where the other rows of a batch change no bit of a row
	_name=$1 _from=$2
	shift 2
	tiny "$_from" --name "$_name" --set compute.backend=ref --set train.learning_rate=0.02 "$@" >"$work/out" 2>"$work/err"
	ok $? "a run: $_name"
}
teach lora mr-lora
teach wide mr-lora --set peft.target_modules=all-linear --set peft.r=3 --set train.seed=5
teach ia3 mr-ia3
teach bias mr-bitfit
teach deep mr-p_tuning_v2 --set peft.num_virtual_tokens=4
teach soft mr-prompt --set peft.num_virtual_tokens=6
teach softer mr-prompt --set peft.num_virtual_tokens=6 --set train.seed=7
teach full mr-full
all="lora wide ia3 bias deep soft softer"

awk 'NR % 40 == 0' "$top_srcdir/data/mr/dev.jsonl" >"$work/rows.jsonl"
rows=$(wc -l <"$work/rows.jsonl")
set --
for name in $all; do
	"$trimtab" predict "$name" --data "$work/rows.jsonl" --json --logits >"$work/$name" 2>"$work/err"
	set -- "$@" --adapter "$name"
done

expect 0 "" "every adapter answers every row" \
	"$trimtab" predict lora "$@" --data "$work/rows.jsonl" --combine each --json --logits
[ "$(wc -l <"$work/out")" = $((7 * rows)) ] && is_json <"$work/out"
ok $? "with a line each"
cp "$work/out" "$work/each"
for name in $all; do
	grep "^{\"adapter\": \"$name\", " "$work/each" | sed "s/\"adapter\": \"$name\", //" | cmp - "$work/$name" >"$work/err" 2>&1
	ok $? "$name says what it says alone, to the bit"
done

# a column names the adapter of each row
awk -v names="$all" 'BEGIN { n = split(names, a, " ") } { sub(/}$/, ", \"who\": \"" a[NR * 3 % n + 1] "\"}"); print }' \
	"$work/rows.jsonl" >"$work/named.jsonl"
expect 0 "" "each row by its own" "$trimtab" predict lora "$@" --data "$work/named.jsonl" --adapter-column who --json --logits
awk -v names="$all" -v dir="$work" 'BEGIN { n = split(names, a, " ") }
	{ k = NR * 3 % n + 1
	  for (i = 1; i <= n; i++) { getline line < (dir "/" a[i]); if (i == k) want = line }
	  sub(/^{/, "{\"adapter\": \"" a[k] "\", ", want); print want }' "$work/rows.jsonl" | cmp - "$work/out" >"$work/err" 2>&1
ok $? "gets what that one says alone"
refuses 1 "named.jsonl:1: the adapter" "a row of an adapter that is not there" \
	"$trimtab" predict lora --adapter wide --data "$work/named.jsonl" --adapter-column who
refuses 1 "no column 'whom'" "a column that is not there" "$trimtab" predict lora "$@" --data "$work/named.jsonl" --adapter-column whom

# an ensemble of prompts
expect 0 "" "an ensemble" "$trimtab" predict soft --adapter soft --adapter softer --data "$work/rows.jsonl" --json --logits
[ "$(wc -l <"$work/out")" = "$rows" ] && ! grep -q adapter "$work/out"
ok $? "has one answer a row"
logits() { sed 's/.*"logits": \[//; s/\].*//; s/,//' "$1"; }
logits "$work/out" >"$work/mean"
logits "$work/soft" >"$work/first"
logits "$work/softer" >"$work/second"
paste "$work/mean" "$work/first" "$work/second" | awk '
	function far(x, y) { return (x - y) ^ 2 > 1e-10 }
	far($1, ($3 + $5) / 2) || far($2, ($4 + $6) / 2) { bad = 1 } END { exit bad }'
ok $? "the mean of their logits"
expect 0 "" "a vote" "$trimtab" predict soft --adapter soft --adapter softer --adapter deep --data "$work/rows.jsonl" --combine vote --json
label() { sed 's/.*"label": "\([a-z]*\)".*/\1/' "$1"; }
label "$work/out" >"$work/voted"
for name in soft softer deep; do label "$work/$name" >"$work/label-$name"; done
paste "$work/voted" "$work/label-soft" "$work/label-softer" "$work/label-deep" | awk '
	{ votes = ($2 == "positive") + ($3 == "positive") + ($4 == "positive"); if ($1 != (votes > 1 ? "positive" : "negative")) bad = 1 } END { exit bad }'
ok $? "goes with the majority"
expect 0 "" "a text" "$trimtab" predict soft --adapter soft --adapter softer --text "a joy" --json
expect 0 "" "an ensemble is measured" "$trimtab" eval soft --adapter soft --adapter softer --combine vote --json
has_keys loss accuracy agreement n per_label confusion
ok $? "with how much they agree"
"$trimtab" eval soft --json | sed 's/"agreement": [^,]*, //; s/\(\.[0-9]\{6\}\)[0-9]*/\1/g' >"$work/alone"
"$trimtab" eval soft --adapter soft --combine mean --json 2>"$work/err" |
	sed 's/"agreement": [^,]*, //; s/\(\.[0-9]\{6\}\)[0-9]*/\1/g' | cmp -s - "$work/alone"
ok $? "one of one is that one"

# a run that went on from a folder takes from there what does not train
tiny mr-vera --name vera --set compute.backend=ref --set peft.projection_prng_key=11 >"$work/out" 2>"$work/err"
"$trimtab" export vera "$work/v" >"$work/out" 2>"$work/err"
sed -i 's/"projection_prng_key": 11/"projection_prng_key": 0/' "$work/v/adapter_config.json"
tiny mr-vera --name later --set compute.backend=ref --set init_adapter="$work/v" >"$work/out" 2>"$work/err"
ok $? "a run that went on"
"$trimtab" predict later --data "$work/rows.jsonl" --json --logits >"$work/later" 2>"$work/err"
"$trimtab" predict later --adapter later --data "$work/rows.jsonl" --json --logits 2>"$work/err" | cmp -s - "$work/later"
ok $? "says what it says alone"

# folders
"$trimtab" export lora "$work/a" >"$work/out" 2>"$work/err"
"$trimtab" predict mr-lora --adapter "$work/a" --set compute.backend=ref --set data.max_length=16 \
	--data "$work/rows.jsonl" --json --logits 2>"$work/err" | cmp -s - "$work/lora"
ok $? "a folder is read with the recipe's settings"
expect 0 '"adapter": "mine"' "names" "$trimtab" predict lora --adapter mine="$work/a" --adapter wide --combine each --text "a joy" --json
refuses 2 "write NAME=" "two of one name" "$trimtab" predict lora --adapter lora --adapter lora --text "a joy"
refuses 1 "use it alone" "one that changes every number" "$trimtab" predict lora --adapter lora --adapter full --text "a joy"
refuses 1 "$work/none" "a folder that is not there" "$trimtab" predict lora --adapter "$work/none" --text "a joy"
refuses 1 "there is no run 'nobody'" "a run that is not there" "$trimtab" predict lora --adapter nobody --text "a joy"
tiny mr-lora --name other --set task.labels='["positive", "negative"]' >"$work/out" 2>"$work/err"
refuses 1 "or its labels are" "a run of other labels" "$trimtab" predict lora --adapter other --text "a joy"
refuses 2 "go with --adapter" "nothing to combine" "$trimtab" predict lora --combine vote --text "a joy"
refuses 2 "it takes mean, vote or each" "a way that there is not" "$trimtab" predict lora --adapter lora --combine best --text "a joy"
refuses 2 "one answer a row" "no measure of many answers" "$trimtab" eval lora --adapter lora --combine each
end
