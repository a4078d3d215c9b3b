#!/bin/sh
# A data home that cannot be written, or fills up: one sentence, and nothing half-written.
. "$top_srcdir/tests/cli/tap.sh"

echo x >"$work/file"
for home in "$work/file" "$work/file/home"; do
	TRIMTAB_HOME=$home
	refuses 1 "$work/file" "a data home that is or lies under a file: run" tiny mr-lora
	expect 1 "" "ls" "$trimtab" ls
	[ "$(wc -l <"$work/err")" = 1 ]
	ok $? "is one sentence"
done
[ "$(cat "$work/file")" = x ]
ok $? "the file is as it was"
TRIMTAB_HOME=relative/home
refuses 1 "" "a data home that is no absolute path is refused, or made where it says" "$trimtab" show latest
TRIMTAB_HOME=$work/home

tiny mr-lora --name kept >"$work/out" 2>"$work/err"
ok $? "a run"
cp -R "$TRIMTAB_HOME" "$work/readonly"

# Somebody else's folder. The superuser may write everywhere, so there it is a mount.
if [ "$(id -u)" != 0 ]; then
	chmod -R a-w "$work/readonly"
	ready=true
elif mkdir "$work/mount" && mount -t tmpfs -o size=64m tmpfs "$work/mount" 2>/dev/null; then
	cp -R "$work/readonly/." "$work/mount" && mount -o remount,ro "$work/mount" && ready=true
	rm -rf "$work/readonly" && ln -s "$work/mount" "$work/readonly"
else
	ready=false
fi
TRIMTAB_HOME=$work/readonly
if $ready; then
	refuses 1 "$work/readonly" "run in a read-only data home" tiny mr-lora
	expect 0 "kept" "ls reads it" "$trimtab" ls
	expect 0 "eval/loss" "show reads it" "$trimtab" show kept
	expect 0 '"key": "train/loss"' "metrics reads it" "$trimtab" metrics kept
	expect 0 "" "predict reads it" "$trimtab" predict latest --set base_model=mini-bert-en --text "a joy"
	refuses 1 "" "tag cannot write it" "$trimtab" tag kept x
	refuses 1 "" "note cannot write it" "$trimtab" note kept x
	refuses 1 "" "rm cannot write it" "$trimtab" rm kept
	refuses 1 "" "resume cannot write it" "$trimtab" resume kept
else
	skip "a read-only data home" "cannot mount here"
fi
TRIMTAB_HOME=$work/home

# A file system that fills up while the run goes on.
if [ "$(id -u)" = 0 ] && $ready; then
	umount -l "$work/mount"
	for size in 64k 300k 700k 1500k; do
		mount -t tmpfs -o size=$size tmpfs "$work/mount"
		TRIMTAB_HOME=$work/mount
		quietly tiny mr-lora --set train.save_steps=1 --set train.max_steps=6
		if [ "$status" = 0 ]; then
			ok 0 "$size: was enough"
		else
			tail -n 1 "$work/err" | grep -qE 'space|full|written'
			ok $? "$size: the last line says what is wrong"
			echo "# $(tail -n 1 "$work/err")"
		fi
		[ "$status" -le 1 ]
		ok $? "$size: and no crash"
		find "$work/mount" -name '*.safetensors' -size 0 -o -name '*.json' -size 0 | grep -q .
		[ $? = 1 ]
		ok $? "$size: no file is empty"
		if [ -f "$work/mount/runs.db" ] && "$trimtab" ls --json >"$work/out" 2>"$work/err" && [ -s "$work/out" ]; then
			state_is latest failed || state_is latest finished || state_is latest lost
			ok $? "$size: the run is failed, lost or finished"
			# with space again the run goes on
			mount -o remount,size=64m "$work/mount"
			state_is latest finished || { quietly "$trimtab" resume latest; [ "$status" = 0 ]; }
			ok $? "$size: with space again it goes on to the end"
			state_is latest finished
			ok $? "$size: and is finished"
		fi
		umount -l "$work/mount"
	done
	TRIMTAB_HOME=$work/home
else
	skip "a full file system" "cannot mount here"
fi

# The timings of the backends are for the next start only: the second write of a first run.
TRIMTAB_HOME=$work/fresh TT_FAIL_WRITE=2
export TT_FAIL_WRITE
quietly tiny mr-lora
unset TT_FAIL_WRITE
[ "$status" = 0 ] && [ -d "$work/fresh/runs" ] && [ ! -e "$work/fresh/backends.json" ]
ok $? "a run goes on without keeping its timings"

# Every file that is written whole or not at all, on a disk that fills up with the n-th of them.
n=0
while n=$((n + 1)) && [ $n -le 12 ]; do
	rm -rf "$work/fail"
	TRIMTAB_HOME=$work/fail TT_FAIL_WRITE=$n
	export TT_FAIL_WRITE
	quietly tiny mr-lora --set train.save_steps=1 --set compute.backend=ref # no choice to remember, which may fail
	unset TT_FAIL_WRITE
	[ "$status" = 0 ] && break
	grep -q "No space left" "$work/err"
	ok $? "write $n fails: it says so"
	[ ! -d "$work/fail" ] || ! find "$work/fail" -type f -name '*.safetensors' -size -2 | grep -q .
	ok $? "write $n fails: nothing is half-written"
	if "$trimtab" ls --json 2>/dev/null | grep -q .; then
		quietly "$trimtab" resume latest
		state_is latest finished
		ok $? "write $n fails: resume finishes"
	else
		[ -z "$(ls "$work/fail/runs" 2>/dev/null)" ]
		ok $? "write $n fails: no run, no folder"
	fi
done
[ $n -gt 3 ] && [ "$status" = 0 ]
ok $? "after $n writes there was none left to fail"
end
