#!/bin/sh
# Every header compiles alone and has a guard.
cd "$top_srcdir" || exit 99
n=0 bad=0
cairo=$(pkg-config --cflags cairo)
for h in $(find src db ui -name '*.h' | sort); do
	n=$((n + 1))
	# shellcheck disable=SC2086  # flags are words
	if printf '#include "%s"\n' "${h#src/}" |
		${CC:-cc} -std=gnu11 -fsyntax-only $cairo -I. -Isrc -I"$top_builddir" -I"$top_builddir/src" -include config.h -x c - 2>/dev/null &&
		grep -q '^#ifndef .*_H$' "$h"; then
		echo "ok $n - $h"
	else
		echo "not ok $n - $h compiles alone and has a guard"
		bad=1
	fi
done
echo "1..$n"
exit $bad
