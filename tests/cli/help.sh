#!/bin/sh
# Every verb explains itself; what is no verb or no option is refused in one line that helps.
. "$top_srcdir/tests/cli/tap.sh"

for program in trimtab trimtab-engine; do
	expect 0 "$program 0." "$program --version" "$top_builddir/$program" --version
	expect 0 "Usage: $program" "$program --help" "$top_builddir/$program" --help
	sed -n "s/^  $program \([a-z-]*\) .*/\1/p" "$work/out" >"$work/verbs"
	[ "$(wc -l <"$work/verbs")" -ge 9 ]
	ok $? "$program lists its verbs"
	while read -r verb; do
		expect 0 "Usage: trimtab $verb" "$program $verb --help" "$top_builddir/$program" "$verb" --help
		expect 0 "Usage: trimtab $verb" "$program $verb x -h" "$top_builddir/$program" "$verb" x -h
		refuses 2 "unknown option --no-such-thing" "$program $verb --no-such-thing" \
			"$top_builddir/$program" "$verb" --no-such-thing
	done <"$work/verbs"
done

while IFS='|' read -r text words; do
	# shellcheck disable=SC2086  # several words on purpose
	refuses 2 "$text" "trimtab $words" "$trimtab" $words
done <<'EOF'
did you mean compare?|compere
did you mean run?|rnu
did you mean predict?|predcit
trimtab --help lists them|zzzzzzzz
did you mean --detach?|run mr-lora --detatch
did you mean --limit?|ls --limt 3
did you mean --adapter?|eval mr-lora --adaptor x
--set needs a value|run mr-lora --set
--json takes no value|ls --json=1
something is missing|run
something is missing|compare one
one argument too many|run a b
--limit is 'many'; it takes a whole number|ls --limit many
--limit is '0'; it takes a whole number|ls --limit 0
-k is '0'; it takes a whole number|fill mini-bert-en a -k 0
--state is 'asleep'; it takes queued, running|ls --state asleep
--filter, column 1: there is no key "nmae"; did you mean name?|ls --filter nmae:x
--detach and --wait exclude each other|run mr-lora --detach --wait
leave --detach out|run mr-lora --detach --seeds 2
--seeds is 'x'|run mr-lora --seeds x
give runs, or --undo, or --empty-trash|rm
give runs, or --undo, or --empty-trash|rm x --undo
give either --text or --data|predict mr-lora
--split is 'train'; it takes validation or test|eval mr-lora --split train
all that a live run can change|set x weight_decay=1
learning_rate is 'fast'; it takes a number|set x learning_rate=fast
EOF

[ ! -e "$TRIMTAB_HOME" ]
ok $? "none of that made a data home"

expect 0 "" "ls --json without a run log" "$trimtab" ls --json
[ ! -s "$work/out" ]
ok $? "is no line"
refuses 1 "there are no runs yet" "ls without a run log" "$trimtab" ls
refuses 1 "there are no runs yet" "show without a run log" "$trimtab" show latest
refuses 1 "there is no run 'nothing', and no recipe" "eval of nothing" "$trimtab" eval nothing

expect 0 "lora" "methods" "$trimtab" methods
quietly "$trimtab" methods --json
has_keys name title cite peft_type merges settings
ok $? "methods --json"
expect 0 "mini-bert-en" "models" "$trimtab" models
quietly "$trimtab" models --json
has_keys name model_type num_hidden_layers hidden_size vocab_size dir
ok $? "models --json"
expect 0 "mr-lora" "recipes" "$trimtab" recipes
quietly "$trimtab" recipes --json
has_keys name path method task note
ok $? "recipes --json"
expect 0 "data home" "doctor" "$trimtab" doctor
quietly "$trimtab" doctor --json
has_keys trimtab processor memory engine "data home" "run log"
ok $? "doctor --json"
expect 0 "knob	lora	r	int	8	1	65536" "describe" "$trimtab" describe
[ ! -e "$TRIMTAB_HOME" ]
ok $? "looking around made no data home"
end
