#!/bin/sh
# The manual and the programs agree, both ways: verbs, options, methods, settings.
cd "$top_builddir" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0 bad=0
# Every line of $1 is in $2 and the other way round.
same() {
	n=$((n + 1))
	if diff "$1" "$2" >"$work/diff"; then
		echo "ok $n - $3"
	else
		echo "not ok $n - $3 (< program, > manual)"
		sed 's/^/# /' "$work/diff"
		bad=1
	fi
}
for program in trimtab trimtab-engine; do
	manual=$top_srcdir/man/$program.1
	./$program --help | sed -n "s/^  $program \([a-z-]*\) .*/\1/p" | sort >"$work/verbs"
	sed -n 's/^\.It Ic \([a-z-]*\).*/\1/p' "$manual" | sort >"$work/manual"
	same "$work/verbs" "$work/manual" "verbs of $program"
	while read -r verb; do
		./$program "$verb" --help | sed -n '/^Options:/,$s/^  \(-[a-z], \)\{0,1\}\(-[a-z-]*\).*/\2/p' | sort >"$work/options"
		awk -v verb="$verb" '/^\.It Ic / { on = $3 == verb } on && /^\.(Sh|Ss) / { on = 0 } on && /^\.It Fl /' "$manual" |
			sed 's/^\.It Fl [a-z] , Fl /.It Fl /; s/^\.It Fl \([a-z-]*\).*/-\1/' | sort >"$work/manual"
		same "$work/options" "$work/manual" "options of $program $verb"
	done <"$work/verbs"
done
manual=$top_srcdir/man/trimtab-recipe.5
words() { sed 's/^\.It Cm //; s/ , /\n/g' | grep -v '/' | sort -u; }
./trimtab-engine describe | awk -F'\t' '$1 == "method" { print $2 }' | sort >"$work/methods"
sed -n 's/^\.Ss Method //p' "$manual" | sort >"$work/manual"
same "$work/methods" "$work/manual" "methods"
for section in $(cat "$work/methods") task data train compute; do
	./trimtab-engine describe | awk -F'\t' -v s="$section" '$1 == "knob" && $2 == s { print $3 }' | sort >"$work/knobs"
	title=$(echo "$section" | tr '[:lower:]' '[:upper:]')
	awk -v a=".Sh $title" -v b=".Ss Method $section" '
		/^\.S[hs] / { on = $0 == a || $0 == b }
		/^\.Bl / { depth++ }
		/^\.El/ { depth-- }
		on && depth == 1 && /^\.It Cm /' "$manual" | words | grep -vx "$section" >"$work/manual"
	same "$work/knobs" "$work/manual" "settings of $section"
done
echo "1..$n"
exit $bad
