#!/bin/sh
# The front carries no tensors; the engine carries no curses.
cd "$top_builddir" || exit 99
bad=0
if nm -g trimtab | grep -Eq ' T (graph|gemm|site|model|method|train|op)_'; then
	echo "not ok 1 - trimtab has no engine symbol"
	bad=1
else
	echo "ok 1 - trimtab has no engine symbol"
fi
if nm -u trimtab-engine | grep -Eq ' (newterm|initscr|waddnstr)'; then
	echo "not ok 2 - trimtab-engine has no curses"
	bad=1
else
	echo "ok 2 - trimtab-engine has no curses"
fi
echo 1..2
exit $bad
