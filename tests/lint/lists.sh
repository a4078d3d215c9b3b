#!/bin/sh
# Files and lists agree: every source is named in a local.mk, every room has a README, every landed migration is unchanged.
cd "$top_srcdir" || exit 99
n=0 bad=0
check() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}
for f in $(find src db ui -name '*.[ch]' | sort); do
	dir=${f%/*}
	while [ ! -f "$dir/local.mk" ]; do dir=${dir%/*}; done
	grep -q "%D%/${f#"$dir"/}" "$dir/local.mk"
	check $? "$f is in $dir/local.mk"
done
for room in src/base src/data src/tensor src/model src/method src/train src/engine src/cmd db ui; do
	[ -f $room/README.md ]
	check $? "$room has a README"
done
if [ -f db/schema/checksums ]; then
	(cd db/schema && sha256sum --quiet -c checksums)
	check $? "landed migrations are unchanged"
fi
echo "1..$n"
exit $bad
