#!/bin/sh
# predict, eval, fill, tokenize: answers about texts.
. "$top_srcdir/tests/cli/tap.sh"

"$trimtab" run mr-lora --set train.max_steps=12 --set data.per_label_limit=64 --set data.eval_limit=64 \
	--set data.max_length=32 --name taught >/dev/null 2>&1

expect 0 "	0." "predict --text" "$trimtab" predict taught --text "a joy from start to finish"
grep -qE '^(negative|positive)	0\.[0-9]{4}$' "$work/out"
ok $? "a label and its probability"
expect 0 "" "predict --json" "$trimtab" predict taught --text "a joy" --json
has_keys label probs negative positive && ! grep -q logits "$work/out"
ok $? "has its keys"
expect 0 "" "predict --json --logits" "$trimtab" predict taught --text "a joy" --json --logits
has_keys label probs logits
ok $? "has the logits"
expect 0 "" "a pair of texts" "$trimtab" predict taught --text "a joy" --text-b "a bore" --json
expect 0 "" "an empty text" "$trimtab" predict taught --text "" --json
expect 0 "" "predict of a recipe" "$trimtab" predict mr-lora --text "a joy" --json
cp "$work/out" "$work/untaught"
tiny mr-lora --set train.learning_rate=0.01 >/dev/null 2>&1
mkdir "$work/mr-lora"
(cd "$work" && "$trimtab" predict mr-lora --text "a joy" --json) >"$work/out" 2>"$work/err"
[ -s "$work/out" ] && ! cmp -s "$work/out" "$work/untaught"
ok $? "once there is a run of that name, it is meant, whatever folders lie about"

cat >"$work/rows.jsonl" <<'EOF'
{"text_a": "a joy from start to finish", "label": "positive"}

{"text_a": "dull , \"lifeless\" , endless", "label": null}
{"text_a": "été 日本 \u00e9"}
EOF
expect 0 "" "predict --data" "$trimtab" predict taught --data "$work/rows.jsonl" --json
[ "$(wc -l <"$work/out")" = 3 ] && is_json <"$work/out"
ok $? "a line a row, labels or not"
short() { sed 's/\(\.[0-9][0-9][0-9][0-9]\)[0-9]*/\1/g'; }
head -n 1 "$work/out" | short >"$work/first"
"$trimtab" predict taught --text "a joy from start to finish" --json | short | cmp -s - "$work/first"
ok $? "a text gets the same answer alone and in a file"
refuses 1 "no column 'text_a'" "a file without the column" sh -c "printf '{\"other\": \"x\"}\n' >'$work/o.jsonl'; '$trimtab' predict taught --data '$work/o.jsonl'"
refuses 1 "gone.jsonl" "a file that is not there" "$trimtab" predict taught --data "$work/gone.jsonl"
refuses 1 "data files end in" "a file that is none" "$trimtab" predict taught --data "$work/rows"

expect 0 "" "eval --split test" "$trimtab" eval taught --split test --json
[ "$(field n <"$work/out")" = 64 ] && grep -q '"confusion": \[\[[0-9]*, [0-9]*\], \[[0-9]*, [0-9]*\]\]' "$work/out"
ok $? "has a confusion matrix"
expect 0 "accuracy" "eval in words" "$trimtab" eval taught
expect 0 "" "eval --checkpoint best" "$trimtab" eval taught --checkpoint best --json
refuses 1 "777" "a checkpoint that is not there" "$trimtab" eval taught --checkpoint 777
refuses 1 "best, last or a step" "a checkpoint that is none" "$trimtab" eval taught --checkpoint newest

expect 0 "1	" "fill" "$trimtab" fill mini-bert-en "a [MASK] movie" -k 3
[ "$(wc -l <"$work/out")" = 3 ]
ok $? "as many as asked for"
expect 0 "" "fill --json" "$trimtab" fill mini-bert-en "a [MASK] and [MASK] movie" -k 4 --json
has_keys token id prob && [ "$(grep -o '"token"' "$work/out" | wc -l)" = 8 ]
ok $? "a list for each mask"
refuses 1 "has no [MASK] to fill" "a text without a mask" "$trimtab" fill mini-bert-en "a good movie"
refuses 1 "there is no model 'nobody/nothing'" "a model that is not there" "$trimtab" fill nobody/nothing "a [MASK]"

tokenize() { # TEXT [OPTION...]
	text=$1
	shift
	# shellcheck disable=SC2059  # escapes on purpose
	printf "$text" | "$trimtab" tokenize mini-bert-en "$@" >"$work/out" 2>"$work/err"
	status=$?
}
tokenize 'a joy\n\nsecond line'
[ $status = 0 ] && [ "$(wc -l <"$work/out")" = 3 ] && [ "$(sed -n 1p "$work/out")" = "[CLS] a joy [SEP]" ] && [ "$(sed -n 2p "$work/out")" = "[CLS] [SEP]" ]
ok $? "tokenize: a line a line, empty ones too"
tokenize 'a joy\n' --json
has_keys ids tokens type_ids
ok $? "tokenize --json"
tokenize 'a joy\tforever\n' --pairs --json
grep -q '"type_ids": \[0, 0, 0, 0, 1, 1\]' "$work/out"
ok $? "tokenize --pairs"
tokenize 'a\t\n' --pairs --json
grep -q '"tokens": \["\[CLS\]", "a", "\[SEP\]", "\[SEP\]"\]' "$work/out"
ok $? "an empty second text is still a pair"
tokenize 'fine\n\377\n'
[ $status = 1 ] && grep -q 'line 2' "$work/err" && [ "$(wc -l <"$work/err")" = 1 ]
ok $? "bytes that are not UTF-8 name the line"
tokenize 'fine\nfine\na\0b\n'
[ $status = 1 ] && grep -q 'line 3' "$work/err"
ok $? "so does NUL"
tokenize 'a\r\n' --json
[ $status = 0 ] && [ "$(wc -l <"$work/out")" = 1 ]
ok $? "only a newline ends a line"

# the other tasks
cat >"$work/scores.tsv" <<'EOF'
text_a	text_b	label
a joy	a delight	4.5
dull	lifeless	4
a joy	lifeless	0.5
a delight	dull	1
EOF
cat >"$work/scores.json" <<EOF
{ "base_model": "mini-bert-en", "task": { "type": "regression" },
  "data": { "train": "scores.tsv", "validation": "scores.tsv", "max_length": 16 },
  "peft": { "method": "lora" }, "train": { "max_steps": 4, "per_device_train_batch_size": 2 } }
EOF
expect 0 "" "regression" "$trimtab" run "$work/scores.json" --json
has_keys eval/pearson eval/spearman eval/loss
ok $? "has its metrics"
expect 0 '"label": ' "and predicts a number" "$trimtab" predict latest --text a --text-b b --json --logits
printf 'a joy\na bore\n\nan [unusual] text\nand another one\n' >"$work/lines.txt"
cat >"$work/lines.json" <<EOF
{ "base_model": "mini-bert-en", "task": { "type": "mlm" },
  "data": { "train": "lines.txt", "validation": "lines.txt", "max_length": 16 },
  "peft": { "method": "lora" }, "train": { "max_steps": 4, "per_device_train_batch_size": 2 } }
EOF
expect 0 "" "mlm" "$trimtab" run "$work/lines.json" --json
has_keys eval/perplexity eval/loss train/loss
ok $? "has its metrics"
refuses 1 "trimtab fill" "and points to fill" "$trimtab" predict latest --text a
end
