#!/bin/sh
# Wrong recipes, models and data: exit 1, one sentence that names the place, and nothing left behind.
. "$top_srcdir/tests/cli/tap.sh"
mkdir "$work/r"
model=$top_srcdir/models/mini-bert-en

# wrong TEXT NAME [ARGUMENT...]: the recipe $work/r/x.json is refused with TEXT, and leaves no trace.
wrong() {
	sentence=$1 what=$2
	shift 2
	refuses 1 "$sentence" "$what" "$trimtab" run "$work/r/x.json" "$@"
	[ ! -e "$TRIMTAB_HOME" ] || { ok 1 "$what: nothing is left behind"; rm -rf "$TRIMTAB_HOME"; }
}

printf '{"text_a": "a joy", "label": "positive"}\n{"text_a": "a bore", "label": "negative"}\n' >"$work/r/two.jsonl"
good() {
	cat <<EOF
{ "base_model": "$model", "task": { "type": "seq_cls", "labels": ["negative", "positive"] },
  "data": { "train": "two.jsonl", "validation": "two.jsonl", "max_length": 16 },
  "peft": { "method": "lora" }, "train": { "max_steps": 1 } }
EOF
}
good >"$work/r/x.json"

# --- one setting is wrong: TEXT|PATH=VALUE ---
while IFS='|' read -r text set; do
	wrong "$text" "$set" --set "$set"
done <<'EOF'
peft.lora_alhpa is not a key; did you mean lora_alpha?|peft.lora_alhpa=16
train.learning_rte is not a key; did you mean learning_rate?|train.learning_rte=1
data.max_lenght is not a key; did you mean max_length?|data.max_lenght=9
tarin is not a key; did you mean train?|tarin={}
data.max_length is 0|data.max_length=0
data.max_length is -1|data.max_length=-1
data.max_length is|data.max_length=1e300
data.max_length is 12.5|data.max_length=12.5
data.max_length is|data.max_length="long"
data.shuffle is|data.shuffle=yes
data.limit is 0|data.limit=0
data.train|data.train=["a", "b"]
peft.r is 0|peft.r=0
peft.r is|peft.r=100000000000000000000
peft.lora_alpha is 0|peft.lora_alpha=0
peft.lora_dropout is 1|peft.lora_dropout=1
peft.bias is|peft.bias="some"
peft.init_lora_weights is|peft.init_lora_weights="random"
peft.target_modules|peft.target_modules=[]
peft.target_modules|peft.target_modules=["no_such_module"]
is no regular expression|peft.target_modules="(query"
peft.use_dora|peft.use_dora=true
peft.|peft.layers_to_transform=[-1]
peft.method is "lroa", which is no method here (did you mean lora?)|peft.method=lroa
peft.method|peft.method=7
peft is an array of 0|peft=[]
peft is|peft=3
train.learning_rate is -1|train.learning_rate=-1
train.learning_rate is|train.learning_rate="NaN"
train.optim is "adam"|train.optim="adam"
train.lr_scheduler_type is|train.lr_scheduler_type="cosin"
train.per_device_train_batch_size is 0|train.per_device_train_batch_size=0
train.warmup_ratio is 1.5|train.warmup_ratio=1.5
train.seed is -1|train.seed=-1
train.adam_beta1 is 1|train.adam_beta1=1
train.max_steps is 0|train.max_steps=0
train.optim adamw_8bit|train.optim=adamw_8bit
train.gradient_checkpointing is|train.gradient_checkpointing=sometimes
compute.base_quant|compute.base_quant=nf4
compute.executor|compute.executor=slurm
compute.threads is -1|compute.threads=-1
compute.memory_limit is|compute.memory_limit="4 elephants"
compute.backend is|compute.backend="cublas"
task.type is "sequence_cls"|task.type="sequence_cls"
task.type is causal_lm|task.type=causal_lm
task.labels has "a" twice|task.labels=["a", "a"]
task.labels|task.labels=[]
two labels|task.labels=["only"]
task.metric|task.metric="pearson"
task.metric is|task.metric="accuarcy"
name is an empty string|name=""
base_model is an empty string|base_model=""
there is no model 'no-such-model'|base_model=no-such-model
there is no file|data.train=gone.jsonl
there is no file|data.validation=gone.jsonl
data files end in|data.train=.
is no adapter folder|init_adapter=no-such-folder
write --set PATH=VALUE|peft.r
write --set PATH=VALUE|=3
EOF

wrong "compute.precision bf16 needs compute.backend onednn or auto, not ref" "bf16 by another library" \
	--set compute.precision=bf16 --set compute.backend=ref

# --- the file itself is wrong ---
recipe() { cat >"$work/r/x.json"; }
file() { # TEXT NAME
	wrong "x.json" "$2"
	grep -qF -e "$1" "$work/err"
	ok $? "$2: the sentence"
}
printf '' | recipe
file "" "an empty file"
printf '{ "base_model": ' | recipe
file "line 1" "a file cut short"
printf '{\n "base_model": "x",\n // no\n}' | recipe
file "line 3" "a comment"
printf '[]' | recipe
file "" "no object"
printf '{ "base_model": "a", "base_model": "b" }' | recipe
file "base_model" "a key twice"
printf '{ "base_model": "a\377b" }' | recipe
file "UTF-8" "bytes that are not UTF-8"
printf '{ "base_model": "a\\u0000b" }' | recipe
file "" "a NUL in a text"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "["; }' </dev/null | recipe
file "deep" "a hundred thousand brackets"
awk 'BEGIN { printf "{ \"note\": \""; for (i = 0; i < 2000000; i++) printf "x"; printf "\" }" }' </dev/null | recipe
file "" "two megabytes"
printf '{ "base_model": "m", "task": { "type": "seq_cls" }, "data": {} }' | recipe
file "peft.method is missing" "no method"
printf '{ "task": { "type": "seq_cls" }, "peft": { "method": "lora" } }' | recipe
file "base_model is missing" "no model"
printf '{ "base_model": "m", "peft": { "method": "lora" } }' | recipe
file "task.type is missing" "no task"
good | sed 's/"train": "two.jsonl", //' | recipe
file "data.train is missing" "no data"
good | sed 's/"peft": {.*}, "train"/"peft": [{ "method": "lora" }, { "method": "lora" }], "train"/' | recipe
file "already carries a method" "two methods for one site"
refuses 1 "there is no recipe 'no-such-file.json'" "no file" "$trimtab" run no-such-file.json
refuses 1 "there is no recipe" "no recipe of this name" "$trimtab" run no-such-recipe
good >"$work/r/x.json"

# --- the data is wrong ---
rows() { cat >"$work/r/rows.${1:-jsonl}"; }
data() { # TEXT NAME [ENDING]
	wrong "$1" "data: $2" --set "data.train=rows.${3:-jsonl}"
}
printf '' | rows
data "no rows" "an empty file"
printf '\n\n' | rows
data "no rows" "empty lines"
printf '{"text_a": "x", "label": "maybe"}\n' | rows
data 'maybe' "a label unknown"
printf '{"text_a": "x", "label": "positive"}\n{"text_a": "x", "label": 2}\n' | rows
data "rows.jsonl:2" "an index that no label has"
printf '{"text_a": "x"}\n' | rows
data "rows.jsonl:1" "a row without a label"
printf '{"text": "x", "label": 1}\n' | rows
data "no column 'text_a'" "no such column"
printf '{"text_a": "x", "label": 1}\n{"text_a": \n' | rows
data "rows.jsonl:2" "broken JSON"
printf '{"text_a": "a\377", "label": 1}\n' | rows
data "rows.jsonl:1" "not UTF-8"
printf '{"text_a": "a\\u0000b", "label": 1}\n' | rows "NUL"
data "rows.jsonl:1" "NUL"
printf 'text_a,label\n"no end,1\n' | rows csv
data "rows.csv" "a quote that does not end" csv
printf 'text_a\tlabel\na\tpositive\textra\n' | rows tsv
data "rows.tsv:2" "a field too many" tsv
printf 'x' | rows xlsx
data "data files end in" "an ending that means nothing" xlsx
# what the model says comes first, though the data is read at the same time
wrong "no_such_module" "wrong data and a wrong setting" --set "data.train=rows.jsonl" \
	--set 'peft.target_modules=["no_such_module"]'
printf 'this is no gzip' | rows jsonl.gz
data "rows.jsonl.gz" "no gzip" jsonl.gz

# --- the model is wrong ---
broken() { # TEXT NAME COMMAND...: a copy of the model, damaged by COMMAND inside it
	sentence=$1 what=$2
	shift 2
	rm -rf "$work/m"
	cp -R "$model" "$work/m" && chmod -R u+w "$work/m"
	(cd "$work/m" && "$@")
	wrong "$sentence" "model: $what" --set "base_model=$work/m"
}
broken "there is no model" "deleted" rm -rf "$work/m"
broken "config.json" "no configuration" rm config.json
broken "safetensors" "no weights" rm model.safetensors
broken "tokenizer" "no tokenizer" rm tokenizer.json vocab.txt
broken "model.safetensors" "weights cut short" sh -c 'head -c 100000 model.safetensors >x && mv x model.safetensors'
broken "model.safetensors" "weights that are text" sh -c 'echo hello >model.safetensors'
broken "config.json" "a configuration that is no JSON" sh -c 'echo "{" >config.json'
broken "models of type 'gpt9' are not supported" "a type unknown" sh -c 'sed "s/\"model_type\": *\"bert\"/\"model_type\": \"gpt9\"/" config.json >x && mv x config.json'
broken "" "another hidden size" sh -c 'sed "s/\"hidden_size\": *[0-9]*/\"hidden_size\": 396/" config.json >x && mv x config.json'
broken "" "an absurd size" sh -c 'sed "s/\"hidden_size\": *[0-9]*/\"hidden_size\": 123456789012/" config.json >x && mv x config.json'
broken "tokenizer.json" "a tokenizer that is no JSON" sh -c 'echo "[[[" >tokenizer.json'

wrong "" "the recipe is right after all" --set train.learning_rate=x
expect 0 "finished" "and runs" "$trimtab" run "$work/r/x.json"
rm -rf "$work/r/two.jsonl"
expect 0 "" "a run whose data is gone predicts" "$trimtab" predict latest --text "a joy"
refuses 1 "two.jsonl" "but does not evaluate" "$trimtab" eval latest

# the model of a run is deleted
rm -rf "$work/m" && cp -R "$model" "$work/m"
good | sed "s|$model|$work/m|; s|two.jsonl|$top_srcdir/data/mr/dev.jsonl|g; s|\"max_length\"|\"limit\": 16, \"eval_limit\": 16, \"max_length\"|" >"$work/r/x.json"
expect 0 "finished" "a run on a model" "$trimtab" run "$work/r/x.json"
chmod -R u+w "$work/m"
rm -rf "$work/m"
refuses 1 "there is no model" "that is deleted afterwards: predict" "$trimtab" predict latest --text "a joy"
refuses 1 "there is no model" "export" "$trimtab" export latest "$work/out-of-it"
[ ! -e "$work/out-of-it" ]
ok $? "leaves no folder"
expect 0 "finished" "the run log still shows the run" "$trimtab" show latest
end
