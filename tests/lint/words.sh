#!/bin/sh
# Functions that have no place here, work left open, and machine paths.
cd "$top_srcdir" || exit 99
n=0 bad=0
none() {
	n=$((n + 1))
	out=$(grep -rnE --include='*.[ch]' "$2" src db ui bench 2>/dev/null | head -3)
	if [ -z "$out" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$out" | sed 's/^/# /'
		bad=1
	fi
}
none "no unbounded text functions" '[^a-z_](strcpy|strcat|sprintf|vsprintf|gets|strtok|tmpnam|mktemp)\('
none "no shell" '[^a-z_](system|popen)\('
none "no sleeping" '[^a-z_](sleep|usleep)\('
none "no open work in comments" '(TODO|FIXME|\bXXX\b)'
none "no exit outside main" '^[^/*]*[^a-z_]exit\('
none "no machine paths" '"/(home|work|root|tmp/build)'
none "OPENBLAS_CORETYPE is the person's" 'setenv.*OPENBLAS_CORETYPE'
echo "1..$n"
exit $bad
