#!/bin/sh
# The manual and the help agree: every verb and every option stands in the manual.
cd "$top_builddir" || exit 99
n=0 bad=0
check() {
	n=$((n + 1))
	if grep -q -e "$1" "$top_srcdir/man/$2"; then
		echo "ok $n - $2 has $1"
	else
		echo "not ok $n - $2 has $1"
		bad=1
	fi
}
for program in trimtab trimtab-engine; do
	for verb in $(./$program --help | sed -n "s/^  $program \([a-z-]*\) .*/\1/p"); do
		check "^\.Ic $verb\|^\.It Ic $verb" $program.1
		for option in $(./$program "$verb" --help | sed -n '/^Options:/,$s/^ .*\(--[a-z-]*\).*/\1/p'); do
			check "Fl \(Fl\|-\)${option#--}\|Fl -${option#--}" $program.1
		done
	done
done
for key in $(./trimtab-engine describe | awk -F'\t' '$1 == "knob" { print $3 }' | sort -u); do
	check "It Cm $key\|Cm $key" trimtab-recipe.5
done
for method in $(./trimtab-engine describe | awk -F'\t' '$1 == "method" { print $2 }'); do
	check "It Cm $method\|Cm $method" trimtab-recipe.5
done
echo "1..$n"
exit $bad
