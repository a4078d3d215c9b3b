#!/bin/sh
# ls, show, metrics, compare, logs, tag, note, rm: what the run log knows, as text and as JSON.
. "$top_srcdir/tests/cli/tap.sh"

tiny mr-lora --name one --set 'tags=["first"]' >/dev/null 2>&1
tiny mr-lora --name two --set peft.r=2 --set train.learning_rate=0.01 >/dev/null 2>&1
tiny mr-head --name three >/dev/null 2>&1

expect 0 "three" "ls" "$trimtab" ls
[ "$(sed 1d "$work/out" | wc -l)" = 3 ] && sed -n 2p "$work/out" | grep -q three
ok $? "a line a run, newest first"
quietly "$trimtab" ls --json
[ "$(wc -l <"$work/out")" = 3 ] && has_keys id name state cause method model task created started ended pid host step \
	total_steps epoch trainable_params total_params best last dir parent tags && ! grep -q '"recipe"' "$work/out"
ok $? "ls --json has every key but the recipe"
[ "$("$trimtab" ls --json --state finished | wc -l)" = 3 ] && [ -z "$("$trimtab" ls --json --state running)" ]
ok $? "ls --state"
[ "$("$trimtab" ls --json --method head | field name)" = three ]
ok $? "ls --method"
[ "$("$trimtab" ls --json --tag first | field name)" = one ]
ok $? "ls --tag"
[ "$("$trimtab" ls --json --sort name --limit 1 | field name)" = one ] &&
	[ "$("$trimtab" ls --json --sort -name --limit 1 | field name)" = two ]
ok $? "ls --sort and --limit"
names() { "$trimtab" ls --json "$@" | sed 's/.*"name": "\([a-z]*\)".*/\1/' | tr '\n' ' '; }
[ "$(names --filter 'peft.r=2 or (state:f* method:head)')" = "three two " ] &&
	[ -z "$("$trimtab" ls --json --filter 'finished eval/accuracy<0')" ]
ok $? "ls --filter"
[ "$(names --filter method:lora --sort peft.r)" = "two one " ]
ok $? "ls --sort by a setting"
quietly "$trimtab" ls --json --filter 'eval/acuracy>0'
[ ! -s "$work/out" ] && grep -q 'no run has eval/acuracy; did you mean eval/accuracy?' "$work/err"
ok $? "a slip in a filter is pointed at"
least=$("$trimtab" ls --json | sed 's/.*"name": "\([a-z]*\)".*"eval\/loss": \([0-9.]*\).*/\2 \1/' | sort -n | sed -n '1s/.* //p')
[ "$("$trimtab" ls --json --sort eval/loss --limit 1 | field name)" = "$least" ]
ok $? "ls --sort by a metric: the best first"
refuses 1 "" "ls --sort by what is no column" "$trimtab" ls --sort colour

expect 0 "eval/accuracy" "show" "$trimtab" show one
quietly "$trimtab" show one --json
has_keys id name state cause method model task created started ended pid host step total_steps epoch trainable_params \
	total_params best last recipe dir parent tags
ok $? "show --json"
[ "$(field step <"$work/out")" = 3 ] && [ "$(field total_steps <"$work/out")" = 3 ] &&
	[ "$(field method <"$work/out")" = lora ] && [ "$(field task <"$work/out")" = seq_cls ]
ok $? "with what was run"

expect 0 "" "metrics" "$trimtab" metrics one
has_keys key step epoch value time
ok $? "are JSON lines with all keys"
expect 0 "" "metrics --key" "$trimtab" metrics one --key train/loss --key eval/loss
[ "$(grep -c '"key": "train/loss"' "$work/out")" = 3 ] && [ "$(grep -c '"key": "eval/loss"' "$work/out")" = "$(grep -vc train/loss "$work/out")" ]
ok $? "only these"
[ "$(grep train/loss "$work/out" | head -n 1 | field step)" = 1 ]
ok $? "steps count from 1"
expect 0 "key,step,epoch,value,time" "metrics --csv" "$trimtab" metrics one --csv --key train/loss
[ "$(wc -l <"$work/out")" = 4 ]
ok $? "has a header and three rows"
refuses 1 "did you mean train/loss?" "a metric misspelt" "$trimtab" metrics one --key trian/loss

expect 0 "settings that differ" "compare" "$trimtab" compare one two
grep -q '^peft.r  *8  *2' "$work/out" && ! grep -q '^task.type' "$work/out"
ok $? "shows what differs, and only that"
expect 0 "" "compare --json" "$trimtab" compare one two three --json --key eval/accuracy
has_keys runs differences path values metrics key mean stdev tests
ok $? "has its keys"
grep -q '"path": "peft.method", "values": \["lora", "lora", "head"\]' "$work/out"
ok $? "a value a run"
grep -q '"path": "peft.r", "values": \[8, 2, null\]' "$work/out"
ok $? "null where there is none"
grep -q '"metrics": \[{"key": "eval/accuracy", "values": \[[0-9.]*, [0-9.]*, [0-9.]*\], "mean"' "$work/out"
ok $? "the metric of each"

# What a run said of each row when it ended: its accuracy is that of the run log.
kept=$("$trimtab" show one --json | field dir)/predictions.jsonl
right=$(sed 's/.*"label": "\(.*\)", "predicted": "\(.*\)"}$/\1 \2/' "$kept" | awk '$1 == $2 { n++ } END { printf "%.6f", n / NR }')
[ "$(grep -c '^{"row": [0-9]*, "text_a": ".*"}$' "$kept")" = "$(wc -l <"$kept")" ] &&
	[ "$right" = "$("$trimtab" metrics one --key eval/accuracy | tail -n 1 | sed 's/.*"value": \([0-9.]*\).*/\1/' | awk '{ printf "%.6f", $1 }')" ]
ok $? "a run keeps its answers"

expect 0 "step 3: checkpoint" "logs" "$trimtab" logs one
expect 0 "step 3: checkpoint" "logs -f of a run that is over ends" "$trimtab" logs one -f

expect 0 "" "tag" "$trimtab" tag two good quick
expect 0 "good quick" "tag without one prints" "$trimtab" tag two
expect 0 "" "tag --remove" "$trimtab" tag two --remove quick
[ "$("$trimtab" tag two)" = good ] && "$trimtab" show two --json | grep -q '"tags": \["good"\]'
ok $? "takes it away"
refuses 1 "" "a tag that is not there" "$trimtab" tag two --remove quick
expect 0 "" "note" "$trimtab" note two 'diverged, "maybe"'
expect 0 'diverged, "maybe"' "note without a text prints" "$trimtab" note two
"$trimtab" show two | grep -qF 'diverged, "maybe"'
ok $? "show prints it too"
quietly "$trimtab" note two ""
[ -z "$("$trimtab" note two)" ]
ok $? "an empty note is none"

expect 0 "" "tag --json" "$trimtab" tag two --json
has_keys id tags
ok $? "has its keys"
expect 0 "" "note --json" "$trimtab" note two --json
has_keys id note
ok $? "has its keys"
expect 0 "" "logs --json" "$trimtab" logs two --json
has_keys line
ok $? "has its keys"
expect 0 "" "describe --json" "$trimtab" describe --json
has_keys record section name type default min max choices help
ok $? "has its keys"

dir=$("$trimtab" show two --json | field dir)
id=$("$trimtab" show two --json | field id)
expect 0 "trimtab rm --undo" "rm" "$trimtab" rm two
[ "$("$trimtab" ls --json | wc -l)" = 2 ] && [ "$("$trimtab" ls --trash --json | field name)" = two ] && [ -d "$dir" ]
ok $? "puts a run into the trash, whole"
refuses 1 "two" "where its name does not find it" "$trimtab" show two
expect 0 "back from the trash" "rm --undo" "$trimtab" rm --undo
[ "$("$trimtab" show two --json | field id)" = "$id" ]
ok $? "brings it back"
refuses 1 "" "rm --undo with an empty trash" "$trimtab" rm --undo
expect 0 "" "rm of several" "$trimtab" rm one two --json
has_keys id "done" && [ "$(wc -l <"$work/out")" = 2 ]
ok $? "is a line each with --json"
expect 0 "deleted for good" "rm --empty-trash" "$trimtab" rm --empty-trash
[ ! -d "$dir" ] && [ -z "$("$trimtab" ls --trash --json)" ] && [ "$("$trimtab" ls --json | field name)" = three ]
ok $? "deletes for good, these only"

# A name from elsewhere must not reach the terminal raw, nor break the columns.
evil=$(printf 'evil \033[31mred\007 \346\227\245\346\234\254')
quietly "$trimtab" run mr-head --set train.max_steps=1 --set data.limit=8 --set data.eval_limit=4 --name "$evil"
[ "$status" = 0 ] && ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037]')" "$work/out"
ok $? "run says a hostile name harmlessly"
for verb in ls "show latest" "compare latest three"; do
	# shellcheck disable=SC2086  # words on purpose
	quietly "$trimtab" $verb
	[ "$status" = 0 ] && grep -q evil "$work/out" && ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037]')" "$work/out"
	ok $? "so does $verb"
done
end
