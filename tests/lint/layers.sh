#!/bin/sh
# A room may include itself and the rooms named for it, never another; each library only from its own room.
cd "$top_srcdir" || exit 99
allow() {
	case $1 in
	src/base) echo "base" ;;
	src/data) echo "base data" ;;
	src/tensor) echo "base tensor" ;;
	src/model) echo "base data tensor model" ;;
	src/method) echo "base data tensor model method" ;;
	src/train) echo "base data tensor model method train" ;;
	src/engine) echo "base data tensor model method train db engine" ;;
	db) echo "base db" ;;
	ui) echo "base db ui" ;;
	src/cmd) echo "base db ui cmd" ;;
	esac
}
n=0 bad=0
for room in src/base src/data src/tensor src/model src/method src/train src/engine db ui src/cmd; do
	found=$(find "$room" -name '*.[ch]' -exec sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' {} + | sort -u)
	for f in $found; do
		n=$((n + 1))
		case " $(allow $room) " in
		*" $f "*) echo "ok $n - $room may see $f" ;;
		*)
			echo "not ok $n - $room must not see $f"
			bad=1
			;;
		esac
	done
done
for pair in 'sqlite3.h db' 'curses.h ui' 'cairo.h ui' 'cairo-svg.h ui' 'cblas.h src/tensor' 'dnnl.h src/tensor' 'pthread.h src/tensor' \
	'cjson/cJSON.h src/base' 'cJSON.h src/base' 'zlib.h src/data' 'utf8proc.h src/data'; do
	# shellcheck disable=SC2086  # two words on purpose
	set -- $pair
	n=$((n + 1))
	out=$(grep -rl "#include <$1>" src db ui | grep -v "^$2/")
	if [ -z "$out" ]; then
		echo "ok $n - <$1> only in $2"
	else
		echo "not ok $n - <$1> only in $2: $out"
		bad=1
	fi
done
echo "1..$n"
exit $bad
