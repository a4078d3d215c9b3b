#!/bin/sh
# Adapter fusion in its two stages: runs of method adapter, and a run that mixes what they left behind.
. "$top_srcdir/tests/cli/tap.sh"

for seed in 1 2; do
	expect 0 "" "an adapter to mix ($seed)" tiny mr-adapter --set train.seed=$seed --name "s$seed"
done
folder1=$("$trimtab" show s1 --json | field dir)/adapter
folder2=$("$trimtab" show s2 --json | field dir)/adapter
mix="[\"$folder1\", \"$folder2\"]"

expect 0 "" "runs' own folders are mixed" tiny mr-adapter-fusion --set "peft.adapters=$mix" --name mixed --json
has_keys method/adapter_fusion/penalty eval/accuracy
ok $? "and looked at"
name=$(basename "$(dirname "$folder1")")
grep -q "\"method/adapter_fusion/attention/$name\": " "$work/out"
ok $? "under the runs' names"
seen=$(field eval/loss <"$work/out" | cut -c1-10)
mixed=$(field dir <"$work/out")
rm -r "$folder1" "$folder2"

# what it mixed lies in its own folder: that alone is enough, also for the next one
"$trimtab" eval mr-adapter-fusion --adapter "$mixed/adapter" --set "peft.adapters=[\"$mixed/adapter\"]" --json \
	--set data.eval_limit=32 --set data.max_length=16 >"$work/out" 2>"$work/err"
[ "$(field loss <"$work/out" | cut -c1-10)" = "$seen" ]
ok $? "a fusion needs no other folder"
expect 0 "" "and can be trained again" tiny mr-adapter-fusion --set "peft.adapters=[\"$mixed/adapter\"]"
expect 1 "peft.adapters: $folder1 is no adapter folder" "a folder that is gone" \
	tiny mr-adapter-fusion --set "peft.adapters=$mix"
expect 0 "" "an adapter that does not mix" tiny mr-lora --name other --json
other=$(field dir <"$work/out")/adapter
expect 1 "peft_type is none that can be mixed" "a folder of another method" \
	tiny mr-adapter-fusion --set "peft.adapters=[\"$mixed/adapter\", \"$other\"]"
end
