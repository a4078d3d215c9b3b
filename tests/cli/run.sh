#!/bin/sh
# run: waiting and detached, --json, --set, --name, --seeds; how a run is named afterwards.
. "$top_srcdir/tests/cli/tap.sh"

expect 0 "finished, 3 of 3 steps" "run waits" tiny mr-lora
grep -q 'step 3/3  eval/loss' "$work/err"
ok $? "and says its evaluations"
[ "$(wc -l <"$work/out")" = 1 ]
ok $? "and one line on stdout"
first=$("$trimtab" show latest --json | field id)

expect 0 "" "run --json" tiny mr-lora --json --name second --set peft.r=2 --set 'tags=["a", "b"]'
has_keys id name state cause dir metrics eval/accuracy eval/loss train/loss train/grad_norm train/learning_rate \
	train/tokens_per_second train/epoch method/lora/delta_ratio_mean
ok $? "has its keys"
second=$(field id <"$work/out")
dir=$(field dir <"$work/out")
[ "$(field name <"$work/out")" = second ] && [ "$(field state <"$work/out")" = finished ]
ok $? "--name names it"
[ -f "$dir/recipe.json" ] && [ -f "$dir/log.txt" ] && [ -f "$dir/adapter/adapter_model.safetensors" ] && [ -d "$dir/checkpoints" ]
ok $? "its folder holds recipe, log, adapter, checkpoints"
grep -q '"r": 2' "$dir/recipe.json" && grep -q '"weight_decay": 0' "$dir/recipe.json" && grep -q '"max_steps": 3' "$dir/recipe.json"
ok $? "the recipe as run has --set and the defaults"

! grep -q '"auto"' "$dir/recipe.json" && grep -qE '"backend": "(onednn|openblas|ref)"' "$dir/recipe.json"
ok $? "and which backend and precision it took"
[ -s "$TRIMTAB_HOME/backends.json" ] && "$trimtab" doctor | grep -q 'x W^T [0-9]*x[0-9]*.* ref [0-9]'
ok $? "and doctor has the figures"
rm "$TRIMTAB_HOME/backends.json"

# the recipe in the run's folder is enough to do it again
quietly "$trimtab" run "$dir/recipe.json" --json
third=$(field id <"$work/out")
for i in $second $third; do
	"$trimtab" metrics "$i" --key train/loss --csv | cut -d, -f2-4 >"$work/loss.$i"
done
[ "$(wc -l <"$work/loss.$second")" = 4 ] && cmp -s "$work/loss.$second" "$work/loss.$third"
ok $? "that recipe gives the same losses, bit for bit"
tiny mr-lora --json --name "one thread" --set peft.r=2 --set compute.threads=1 >"$work/out" 2>"$work/err"
"$trimtab" metrics "one thread" --key train/loss --csv | cut -d, -f2-4 | cmp -s - "$work/loss.$second"
ok $? "so does another number of threads"
one=$("$trimtab" show "one thread" --json | field dir)/adapter/adapter_model.safetensors
for n in 2 3; do
	tiny mr-lora --json --set peft.r=2 --set compute.threads=$n >"$work/out" 2>"$work/err"
	cmp -s "$one" "$(field dir <"$work/out")/adapter/adapter_model.safetensors"
	ok $? "$n threads leave the same adapter as one, byte for byte"
done

# bf16 runs, or says what it needs
if tiny mr-lora --json --name narrow --set compute.precision=bf16 >"$work/out" 2>"$work/err"; then
	grep -q ', bf16, ' "$(field dir <"$work/out")/log.txt"
	ok $? "bf16: the log says so"
	expect 0 "" "a bf16 run merges" "$trimtab" export narrow "$work/merged" --merged
else
	grep -q 'compute.precision bf16 needs ' "$work/err"
	ok $? "bf16: the sentence says what it needs"
fi

expect 0 "" "run --detach" tiny mr-lora --detach --name away
[ "$(wc -l <"$work/out")" = 1 ] && grep -qE '^[0-9a-z]{14}$' "$work/out"
ok $? "prints an id"
id=$(cat "$work/out")
within 60 state_is "$id" finished
ok $? "and the run finishes by itself"
expect 0 "" "run --detach --json" tiny mr-lora --detach --json --name away2
has_keys id name state dir
ok $? "has its keys"
within 60 state_is away2 finished
ok $? "and finishes too"

expect 0 "" "run --seeds" tiny mr-head --seeds 2 --first-seed 5 --name seeds
[ "$(wc -l <"$work/out")" = 2 ]
ok $? "two runs"
quietly "$trimtab" compare "$(sed -n '1s/ .*//p' "$work/out")" "$(sed -n '2s/ .*//p' "$work/out")" --json
grep -q '"path": "train.seed", "values": \[5, 6\]' "$work/out"
ok $? "that differ in their seeds"

# a RUN is an id, the beginning of one, a name, latest
expect 0 "$first" "show by id" "$trimtab" show "$first" --json
expect 0 "\"id\": \"$third\"" "show by name: the newest" "$trimtab" show second --json
expect 0 '"name": "seeds"' "show latest" "$trimtab" show latest --json
short=$("$trimtab" ls | awk 'END { print $1 }')
expect 0 "\"id\": \"$first\"" "show by the beginning of an id, as ls prints it" "$trimtab" show "$short" --json
refuses 1 "" "a beginning that several have" "$trimtab" show "$(printf %.1s "$first")"
refuses 1 "did you mean" "a name that nearly is one" "$trimtab" show secnod

expect 0 "full fine-tuning" "estimate" "$trimtab" estimate mr-lora
quietly "$trimtab" estimate mr-lora --json --set peft.r=4
has_keys total_params trainable_params trainable_percent bytes weights trainable gradients optimizer activations total \
	full_finetune_bytes
ok $? "estimate --json"
[ "$(field trainable_params <"$work/out")" = "$("$trimtab" estimate mr-lora --json | field trainable_params)" ]
[ $? = 1 ]
ok $? "a smaller rank trains fewer"
[ "$("$trimtab" estimate mr-lora --json --set peft.r=2 | field trainable_params)" = "$("$trimtab" show "$second" --json | field trainable_params)" ]
ok $? "the estimate's parameters are the run's"
"$trimtab" estimate mr-full --set train.gradient_checkpointing=true >"$work/less"
[ "$(awk '$1 == "activations" { print int($2) }' "$work/less")" -lt "$("$trimtab" estimate mr-full | awk '$1 == "activations" { print int($2) }')" ]
ok $? "gradient_checkpointing needs less memory for activations"
refuses 1 "compute.memory_limit allows" "compute.memory_limit" tiny mr-lora --set compute.memory_limit=1MiB

expect 1 "lower train.learning_rate" "a run that fails" tiny mr-full --name burst --set train.learning_rate=1000 \
	--set train.optim=sgd --set train.max_steps=30 --set train.max_grad_norm=0 --set train.lr_scheduler_type=constant --set train.warmup_ratio=0
state_is burst failed && "$trimtab" show burst | grep -q "^cause  *loss is"
ok $? "has a cause"
expect 0 "failed: " "which its log has too" "$trimtab" logs burst
end
