# shellcheck shell=sh
# What the scripts here share: TAP lines, a data home of their own, expectations of a command. Sourced, never run.
work=$(mktemp -d "${TMPDIR:-/tmp}/trimtab-cli.XXXXXX") || exit 99
trap 'leave' EXIT
trap 'exit 99' HUP INT TERM
TRIMTAB_HOME=$work/home TRIMTAB_SHARE=$top_srcdir HF_HUB_CACHE=$work/hub LC_ALL=C.UTF-8 TERM=dumb
export TRIMTAB_HOME TRIMTAB_SHARE HF_HUB_CACHE LC_ALL TERM
unset TRIMTAB_ENGINE XDG_DATA_HOME NO_COLOR TT_FAIL_WRITE
trimtab=$top_builddir/trimtab
count=0 bad=0

# No trainer outlives its test.
leave() {
	[ ! -f "$work/pids" ] || while read -r pid; do kill -9 "$pid" 2>/dev/null; done <"$work/pids"
	[ ! -d "$work/mount" ] || while umount -l "$work/mount" 2>/dev/null; do :; done
	chmod -R u+w "$work" 2>/dev/null
	rm -rf "$work"
}

# ok STATUS NAME: one line; what the last command said stands behind a failure.
ok() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$work/out" "$work/err" 2>/dev/null | head -n 20
		bad=1
	fi
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

end() {
	echo "1..$count"
	exit $bad
}

# The exit status in $status, the words in $work/out and $work/err.
quietly() {
	"$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}

# expect STATUS TEXT NAME COMMAND...: this exit status, and TEXT somewhere in what it said ('' is anything).
expect() {
	_status=$1 _text=$2 _name=$3
	shift 3
	quietly "$@"
	[ "$status" = "$_status" ] && { [ -z "$_text" ] || cat "$work/out" "$work/err" | grep -qF -e "$_text"; }
	ok $? "$_name"
}

# refuses STATUS TEXT NAME COMMAND...: nothing on stdout, and one line on stderr that holds TEXT.
refuses() {
	_status=$1 _text=$2 _name=$3
	shift 3
	quietly "$@"
	[ "$status" = "$_status" ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -qF -e "$_text" "$work/err"
	ok $? "$_name"
}

# field KEY: the first value that the key has in the JSON on stdin, without quotes.
field() {
	awk -v k="\"$1\": " '{
		i = index($0, k)
		if (!i)
			next
		s = substr($0, i + length(k))
		if (s ~ /^"/) { s = substr(s, 2); sub(/".*/, "", s) } else sub(/[],}].*/, "", s)
		print s
		exit
	}'
}

# Is every line on stdin one JSON document? Values are folded from the inside until one is left.
is_json() {
	awk '{
		gsub(/"([^"\\]|\\.)*"/, "s")
		gsub(/-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?/, "v")
		gsub(/true|false|null/, "v")
		gsub(/ /, "")
		while (gsub(/\[\]|[{][}]|\[[vs](,[vs])*\]|[{]s:[vs](,s:[vs])*[}]/, "v"))
			;
		if ($0 != "v" && $0 != "s") { print "# no JSON: " $0; bad = 1 }
	} END { exit bad || !NR }'
}

# has_keys KEY...: $work/out is JSON, and has these.
has_keys() {
	is_json <"$work/out" || return 1
	for key; do
		grep -q "\"$key\": " "$work/out" || { echo "# no key $key"; return 1; }
	done
}

# tiny RECIPE [ARGUMENT...]: some steps on some rows, in a second or so.
tiny() {
	_recipe=$1
	shift
	"$trimtab" run "$_recipe" --set train.max_steps=3 --set data.limit=64 --set data.eval_limit=32 \
		--set data.max_length=16 --set train.per_device_train_batch_size=8 --set train.eval_steps=0 "$@"
}

# endless RECIPE [ARGUMENT...]: start a detached run that only ends when told to; its id in $id, its process in $pid.
endless() {
	_recipe=$1
	shift
	quietly "$trimtab" run "$_recipe" --detach --set train.max_steps=1000000 --set data.limit=64 \
		--set data.eval_limit=8 --set data.max_length=16 --set train.per_device_train_batch_size=4 \
		--set train.eval_steps=1000000 --set train.save_steps=1000000 "$@"
	[ "$status" = 0 ] || return 1
	id=$(cat "$work/out")
	pid=$("$trimtab" show "$id" --json | field pid)
	echo "$pid" >>"$work/pids"
}

# within SECONDS COMMAND...: ask until it says yes. No sleeping: looking costs some milliseconds.
within() {
	_until=$(($(date +%s) + $1))
	shift
	while ! "$@"; do
		[ "$(date +%s)" -lt $_until ] || return 1
	done
}

state_is() { [ "$("$trimtab" show "$1" --json | field state)" = "$2" ]; }
has_step() { [ "$("$trimtab" show "$1" --json | field step)" -ge "$2" ]; }
