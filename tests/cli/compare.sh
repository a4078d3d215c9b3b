#!/bin/sh
# compare and plot: tables, pictures and tests of runs that were really trained.
. "$top_srcdir/tests/cli/tap.sh"

tiny mr-lora --name one >/dev/null 2>&1
tiny mr-lora --name two --set peft.r=2 >/dev/null 2>&1

expect 0 "p, McNemar" "compare tests the rows that both answered" "$trimtab" compare one two
expect 0 "" "compare --out" "$trimtab" compare one two --out "$work/table.md"
grep -q '^| peft.r | 8 | 2 |$' "$work/table.md"
ok $? "writes a table"
refuses 1 ".md, .csv or .tex" "of a known kind" "$trimtab" compare one two --out "$work/table.doc"
expect 0 "" "compare --json" "$trimtab" compare one two --json
has_keys "test" baseline runs paired pairs difference p p_least p_holm interval rows better worse
ok $? "has the keys of tests"
tiny mr-head --name other --set train.seed=7 >/dev/null 2>&1
quietly "$trimtab" compare one other --json --key eval/loss
grep -q '"test": "sign_flip", "key": "eval/loss", .*"paired": false, "pairs": 0, "difference": [-0-9.e]*, "p": null' "$work/out"
ok $? "says that runs are unpaired"

for kind in svg png csv; do
	expect 0 "" "plot, .$kind" "$trimtab" plot one two --out "$work/curves.$kind"
	[ -s "$work/curves.$kind" ]
	ok $? "is a file"
done
[ "$(grep -c ',train/loss,' "$work/curves.csv")" = 6 ] && [ "$(head -c 5 "$work/curves.svg")" = '<?xml' ]
ok $? "with every value, and of its kind"
"$trimtab" plot one two --out "$work/again.svg" && cmp -s "$work/curves.svg" "$work/again.svg"
ok $? "the same picture again"
refuses 1 ".svg, .png or .csv" "another kind" "$trimtab" plot one --out "$work/curves.gif"
refuses 1 "no values to draw" "a metric that is not there" "$trimtab" plot one --out "$work/none.svg" --key eval/none
refuses 2 "--out FILE is missing" "no file" "$trimtab" plot one

rm -rf "$("$trimtab" show two --json | field dir)/predictions.jsonl"
quietly "$trimtab" compare one two
[ "$status" = 0 ] && ! grep -q McNemar "$work/out"
ok $? "no test of rows without answers"
echo '{"row": 1}' >"$("$trimtab" show two --json | field dir)/predictions.jsonl"
expect 0 "row 1 has no label" "answers that cannot be read are no obstacle" "$trimtab" compare one two

for seed in 1 2 3; do
	tiny mr-head --name slow --set train.seed=$seed --set train.learning_rate=0.0001 >/dev/null 2>&1
	tiny mr-head --name fast --set train.seed=$seed >/dev/null 2>&1
done
ids=$("$trimtab" ls --json --method head --limit 6 | sed 's/.*"id": "\([^"]*\)".*/\1/')
# shellcheck disable=SC2086  # an id a word
quietly "$trimtab" compare $ids --key eval/loss
grep -q '^ *fast ×3  *slow ×3$' "$work/out" && grep -q '^  seeds in common  *3$' "$work/out" &&
	grep -q '^  its least p  *0.2500$' "$work/out"
ok $? "seeds fold and are paired"
end
