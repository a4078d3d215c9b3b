/*
 * Adapter folders: the very text and names that PEFT writes, and what a loader
 * must not let pass.
 */
#include "tests/method/bench.h"

#include "base/array.h"

#define QUERY "base_model.model.bert.encoder.layer.0.attention.self.query"

/* As PEFT 0.21 writes it for the same settings. */
static const char *const config_lines[] = {
	"{",
	"  \"alora_invocation_tokens\": null,",
	"  \"alpha_pattern\": {},",
	"  \"arrow_config\": null,",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"../model\",",
	"  \"bias\": \"none\",",
	"  \"corda_config\": null,",
	"  \"ensure_weight_tying\": false,",
	"  \"eva_config\": null,",
	"  \"exclude_modules\": null,",
	"  \"fan_in_fan_out\": false,",
	"  \"inference_mode\": true,",
	"  \"init_lora_weights\": true,",
	"  \"kasa_config\": null,",
	"  \"layer_replication\": null,",
	"  \"layers_pattern\": null,",
	"  \"layers_to_transform\": null,",
	"  \"loftq_config\": {},",
	"  \"lora_alpha\": 10,",
	"  \"lora_bias\": false,",
	"  \"lora_dropout\": 0.0,",
	"  \"lora_ga_config\": null,",
	"  \"megatron_config\": null,",
	"  \"megatron_core\": \"megatron.core\",",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"monteclora_config\": null,",
	"  \"peft_type\": \"LORA\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"qalora_group_size\": 16,",
	"  \"r\": 4,",
	"  \"rank_pattern\": {},",
	"  \"revision\": null,",
	"  \"target_modules\": [",
	"    \"query\",",
	"    \"value\"",
	"  ],",
	"  \"target_parameters\": null,",
	"  \"task_type\": \"SEQ_CLS\",",
	"  \"trainable_token_indices\": null,",
	"  \"use_bdlora\": null,",
	"  \"use_dora\": false,",
	"  \"use_qalora\": false,",
	"  \"use_rslora\": false,",
	"  \"velora_config\": null",
	"}",
};

static void file_path(const struct bench *b, const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%.3900s/adapter/%s", b->dir, name);
}

static int save(const struct bench *b)
{
	char dir[PATH_MAX];

	file_path(b, "", dir, sizeof(dir));
	return adapter_save(b->method, dir, "../model");
}

static int load(struct bench *b, const struct bench *from)
{
	char dir[PATH_MAX];

	file_path(from, "", dir, sizeof(dir));
	return adapter_load(b->method, dir);
}

static struct json *config_of(const struct bench *b)
{
	char path[PATH_MAX];
	struct json *j = NULL;

	file_path(b, "adapter_config.json", path, sizeof(path));
	return json_load(path, 1 << 20, &j) ? NULL : j;
}

static void config_is_as_peft_writes_it(void)
{
	char path[PATH_MAX], expect[4096] = "";
	struct buf text;
	struct bench b;

	for (size_t i = 0; i < COUNT(config_lines); i++)
		snprintf(expect + strlen(expect), sizeof(expect) - strlen(expect), "%s%s",
			 i ? "\n" : "", config_lines[i]);
	CHECK(bench_open(
		      &b, "lora",
		      "{\"r\": 4, \"lora_alpha\": 10, \"target_modules\": [\"value\", \"query\"]}",
		      TASK_SEQ_CLS) == TT_OK);
	CHECK(save(&b) == TT_OK);
	file_path(&b, "adapter_config.json", path, sizeof(path));
	CHECK(fs_read(path, 1 << 20, &text) == TT_OK);
	CHECK_STR(text.data, expect);
	buf_done(&text);
	bench_close(&b);
}

static const char *text_at(const struct json *j, const char *key)
{
	const struct json *found = json_get(j, key);

	return found && json_text(found) ? json_text(found) : "";
}

static void tasks_and_mapping(void)
{
	struct bench b;
	struct json *j;

	CHECK(bench_open(
		      &b, "lora",
		      "{\"r\": 2, \"init_lora_weights\": \"olora\", \"layers_to_transform\": [1], "
		      "\"exclude_modules\": [\"key\"], \"lora_dropout\": 0.25, \"rank_pattern\": "
		      "{\"query\": 3}, \"target_modules\": [\"query\"], \"fan_in_fan_out\": true}",
		      TASK_MLM) == TT_OK);
	CHECK(save(&b) == TT_OK);
	j = config_of(&b);
	CHECK(j && json_type(json_get(j, "task_type")) == JSON_NULL);
	CHECK(json_type(json_get(j, "modules_to_save")) == JSON_NULL);
	CHECK_STR(text_at(json_get(j, "auto_mapping"), "base_model_class"), "BertForMaskedLM");
	CHECK_STR(text_at(json_get(j, "auto_mapping"), "parent_library"),
		  "transformers.models.bert.modeling_bert");
	CHECK_STR(text_at(j, "init_lora_weights"), "olora");
	CHECK(json_count(json_get(j, "exclude_modules")) == 1 &&
	      json_count(json_get(j, "layers_to_transform")) == 1);
	CHECK_NEAR(json_number(json_get(json_get(j, "rank_pattern"), "query")), 3, 0);
	CHECK_NEAR(json_number(json_get(j, "lora_dropout")), 0.25, 0);
	CHECK(!json_bool(json_get(j, "fan_in_fan_out")));
	json_free(j);
	bench_close(&b);
	CHECK(bench_open(&b, "bitfit", "{}", TASK_REGRESSION) == TT_OK);
	CHECK(save(&b) == TT_OK);
	j = config_of(&b);
	CHECK_STR(text_at(j, "task_type"), "SEQ_CLS");
	CHECK_STR(text_at(j, "target_modules"), "dummy-target-modules");
	CHECK_STR(text_at(j, "bias"), "all");
	json_free(j);
	bench_close(&b);
	CHECK(bench_open(&b, "lora", "{\"target_modules\": \"all-linear\"}", TASK_SEQ_CLS) ==
	      TT_OK);
	CHECK(save(&b) == TT_OK);
	j = config_of(&b);
	CHECK(json_count(json_get(j, "target_modules")) == 13);
	CHECK_STR(json_text(json_first(json_get(j, "target_modules"))),
		  "bert.encoder.layer.0.attention.output.dense");
	json_free(j);
	bench_close(&b);
}

/* Which tensors each method's folder holds. */
static const struct {
	const char *method, *json;
	int task;
	size_t count;
	const char *holds[5], *lacks[3];
} folders[] = {
	{ "head",
	  "{}",
	  TASK_SEQ_CLS,
	  2,
	  { "base_model.model.classifier.weight", "base_model.model.classifier.bias" },
	  { 0 } },
	/* 18 biases below the head, and the head's weight and thrice its bias */
	{ "bitfit",
	  "{}",
	  TASK_SEQ_CLS,
	  22,
	  { QUERY ".bias", "base_model.model.bert.embeddings.LayerNorm.bias",
	    "base_model.model.classifier.weight",
	    "base_model.model.classifier.modules_to_save.bias",
	    "base_model.model.classifier.original_module.bias" },
	  { QUERY ".weight" } },
	{ "bitfit",
	  "{\"bias_terms\": \"query_intermediate\"}",
	  TASK_SEQ_CLS,
	  22,
	  { QUERY ".bias", "base_model.model.bert.pooler.dense.bias" },
	  { 0 } },
	{ "bitfit",
	  "{}",
	  TASK_MLM,
	  1 + 2 * 8 + 2 + 2,
	  { "base_model.model.cls.predictions.bias",
	    "base_model.model.cls.predictions.decoder.bias" },
	  { 0 } },
	{ "lora",
	  "{\"target_modules\": [\"query\"]}",
	  TASK_SEQ_CLS,
	  6,
	  { QUERY ".lora_A.weight", QUERY ".lora_B.weight", "base_model.model.classifier.weight" },
	  { QUERY ".bias" } },
	{ "lora",
	  "{\"target_modules\": [\"query\"], \"lora_bias\": true}",
	  TASK_MLM,
	  6,
	  { QUERY ".lora_B.bias" },
	  { 0 } },
	{ "lora",
	  "{\"target_modules\": [\"query\"], \"bias\": \"lora_only\"}",
	  TASK_SEQ_CLS,
	  8,
	  { QUERY ".base_layer.bias" },
	  { QUERY ".bias", "base_model.model.classifier.modules_to_save.bias" } },
	{ "lora",
	  "{\"target_modules\": [\"query\"], \"bias\": \"all\"}",
	  TASK_SEQ_CLS,
	  4 + 22,
	  { QUERY ".base_layer.bias", "base_model.model.bert.embeddings.LayerNorm.bias",
	    "base_model.model.classifier.modules_to_save.bias" },
	  { QUERY ".bias" } },
	{ "lora",
	  "{\"target_modules\": [\"query\"], \"bias\": \"all\", \"modules_to_save\": "
	  "[\"bert.pooler\"]}",
	  TASK_SEQ_CLS,
	  4 + 22 + 3,
	  { "base_model.model.bert.pooler.dense.weight", "base_model.model.bert.pooler.dense.bias",
	    "base_model.model.bert.pooler.modules_to_save.default.dense.bias",
	    "base_model.model.bert.pooler.original_module.dense.bias" },
	  { 0 } },
	{ "lora",
	  "{\"target_modules\": [\"word_embeddings\"]}",
	  TASK_MLM,
	  2,
	  { "base_model.model.bert.embeddings.word_embeddings.lora_embedding_A",
	    "base_model.model.bert.embeddings.word_embeddings.lora_embedding_B" },
	  { 0 } },
};

static void folders_hold_what_peft_holds(void)
{
	for (size_t i = 0; i < COUNT(folders); i++) {
		char path[PATH_MAX], what[120];
		struct st_file *f = NULL;
		struct bench b;

		snprintf(what, sizeof(what), "%s %.100s", folders[i].method, folders[i].json);
		CHECK_NAMED(bench_open(&b, folders[i].method, folders[i].json, folders[i].task) ==
				    TT_OK,
			    what);
		CHECK_NAMED(save(&b) == TT_OK, what);
		file_path(&b, "adapter_model.safetensors", path, sizeof(path));
		CHECK_NAMED(st_open(path, &f) == TT_OK, what);
		if (f && !CHECK_NAMED(st_count(f) == folders[i].count, what)) {
			for (size_t k = 0; k < st_count(f); k++)
				printf("# %s\n", st_at(f, k)->name);
		}
		for (size_t k = 0; f && k < COUNT(folders[i].holds) && folders[i].holds[k]; k++)
			CHECK_NAMED(st_find(f, folders[i].holds[k]), folders[i].holds[k]);
		for (size_t k = 0; f && k < COUNT(folders[i].lacks) && folders[i].lacks[k]; k++)
			CHECK_NAMED(!st_find(f, folders[i].lacks[k]), folders[i].lacks[k]);
		st_close(f);
		bench_close(&b);
	}
}

/* The spare copies hold the trained value too. */
static void spare_copies(void)
{
	static const char *const copies[] = { "modules_to_save", "original_module" };
	char path[PATH_MAX], name[120];
	struct st_file *f = NULL;
	float now[2] = { 0 }, copy[2] = { 0 };
	struct bench b;

	CHECK(bench_open(&b, "bitfit", "{}", TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.5f);
	CHECK(save(&b) == TT_OK);
	file_path(&b, "adapter_model.safetensors", path, sizeof(path));
	CHECK(st_open(path, &f) == TT_OK);
	CHECK(st_read_f32(st_find(f, "base_model.model.classifier.bias"), now) == TT_OK);
	CHECK(!memcmp(now, model_param(b.model, "classifier.bias")->data, sizeof(now)));
	for (size_t i = 0; i < COUNT(copies); i++) {
		snprintf(name, sizeof(name), "base_model.model.classifier.%s.bias", copies[i]);
		CHECK(st_read_f32(st_find(f, name), copy) == TT_OK);
		CHECK(!memcmp(now, copy, sizeof(now)));
	}
	st_close(f);
	bench_close(&b);
}

/* ---- loading ---- */

static const struct {
	const char *set; /* goes into the config in front, instead of what it holds of that name */
	const char *key, *says; /* NULL: it is taken */
} configs[] = {
	{ "\"peft_type\": \"IA3\"", "peft_type",
	  "peft_type is \"IA3\", and method 'lora' reads \"LORA\"" },
	{ "\"peft_type\": null", "peft_type", "peft_type is missing" },
	{ "\"use_dora\": true", "use_dora", "use_dora is true, and the recipe's method is 'lora'" },
	{ "\"use_rslora\": true", "use_rslora",
	  "lora_alpha 10 with use_rslora scales the step of 'bert.encoder.layer.0."
	  "attention.self.query' by 5, and the recipe scales it by 2.5" },
	{ "\"lora_alpha\": 8", "lora_alpha",
	  "lora_alpha 8 scales the step of 'bert.encoder.layer.0.attention.self.query' "
	  "by 2, and the recipe scales it by 2.5" },
	{ "\"r\": 5", "r",
	  "r is 5 for 'bert.encoder.layer.0.attention.self.query', and the recipe says 4" },
	{ "\"rank_pattern\": {\"value\": 2}", "rank_pattern",
	  "r is 2 for 'bert.encoder.layer.0.attention.self.value', "
	  "and the recipe says 4" },
	{ "\"alpha_pattern\": {\"value\": 2}", "alpha_pattern", NULL },
	{ "\"lora_bias\": true", "lora_bias", "lora_bias is true, and the recipe says otherwise" },
	{ "\"init_lora_weights\": \"pissa\"", "init_lora_weights",
	  "init_lora_weights is not what the recipe says, and it changes the base weights" },
	{ "\"init_lora_weights\": \"corda\"", "init_lora_weights",
	  "init_lora_weights \"corda\" is not supported" },
	{ "\"init_lora_weights\": \"gaussian\"", "init_lora_weights", "" },
	{ "\"alora_invocation_tokens\": [1]", "alora_invocation_tokens", NULL },
	{ "\"arrow_config\": {\"top_k\": 3}", "arrow_config", NULL },
	{ "\"layer_replication\": [[0, 4]]", "layer_replication",
	  "layer_replication is set, which may change what the "
	  "adapter computes and is not supported" },
	{ "\"target_parameters\": [\"w\"]", "target_parameters", NULL },
	{ "\"trainable_token_indices\": [7]", "trainable_token_indices", NULL },
	{ "\"use_qalora\": true", "use_qalora", NULL },
	{ "\"use_bdlora\": {\"nblocks\": 2}", "use_bdlora", NULL },
	{ "\"ensure_weight_tying\": true", "ensure_weight_tying", NULL },
	{ "\"some_new_thing\": 1", "some_new_thing", NULL },
	{ "\"some_new_thing\": null", "some_new_thing", "" },
	{ "\"some_new_thing\": {}", "some_new_thing", "" },
	{ "\"peft_version\": \"1.0\"", "peft_version", "" },
	{ "\"runtime_config\": {\"a\": 1}", "runtime_config", "" },
	{ "\"lora_dropout\": 0.5", "lora_dropout", "" },
};

/* The expected config with the one-line member `key` taken out and `set` put in front. */
static void config_with(const char *set, const char *key, char *ret, size_t size)
{
	char start[80];

	snprintf(start, sizeof(start), "  \"%s\":", key);
	snprintf(ret, size, "{\n  %s,", set);
	for (size_t i = 1; i < COUNT(config_lines); i++) {
		if (strncmp(config_lines[i], start, strlen(start)) != 0)
			snprintf(ret + strlen(ret), size - strlen(ret), "\n%s", config_lines[i]);
	}
}

static void configs_are_judged(void)
{
	struct bench b;

	CHECK(bench_open(&b, "lora", "{\"r\": 4, \"lora_alpha\": 10}", TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(configs); i++) {
		const bool taken = configs[i].says && !*configs[i].says;
		char text[4096];

		config_with(configs[i].set, configs[i].key, text, sizeof(text));
		CHECK_NAMED((adapter_check_config(b.method, text, strlen(text)) == TT_OK) == taken,
			    configs[i].set);
		if (configs[i].says && !taken)
			CHECK_STR(err_text(), configs[i].says);
	}
	CHECK(adapter_check_config(b.method, "[]", 2) == TT_INVALID);
	CHECK(adapter_check_config(b.method, "{", 1) == TT_INVALID);
	CHECK(adapter_check_config(b.method,
				   "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 10}",
				   47) == TT_OK);
	CHECK(adapter_check_config(b.method,
				   "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 10, "
				   "\"rank_pattern\": {\"(\": 4}}",
				   70) == TT_INVALID);
	bench_close(&b);
}

static void settings_of_init_must_match(void)
{
	static const char pissa[] = "{\"peft_type\": \"LORA\", \"init_lora_weights\": \"pissa\"}";
	static const char plain[] = "{\"peft_type\": \"LORA\"}";
	static const char niter[] =
		"{\"peft_type\": \"LORA\", \"init_lora_weights\": \"pissa_niter_4\"}";
	struct bench b;

	CHECK(bench_open(&b, "lora", "{\"init_lora_weights\": \"pissa\"}", TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_check_config(b.method, pissa, sizeof(pissa) - 1) == TT_OK);
	CHECK(adapter_check_config(b.method, plain, sizeof(plain) - 1) == TT_INVALID);
	bench_close(&b);
	CHECK(bench_open(&b, "lora",
			 "{\"init_lora_weights\": \"pissa_niter_4\", \"r\": 4, \"lora_alpha\": 4}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_check_config(b.method, niter, sizeof(niter) - 1) == TT_INVALID);
	CHECK(adapter_check_config(b.method, plain, sizeof(plain) - 1) == TT_OK);
	bench_close(&b);
}

/*
 * A randomized start cannot be found again, so the file is plain LoRA of twice
 * the rank: a plain run reads it.
 */
static void random_pissa_is_written_as_plain(void)
{
	struct bench a, b;
	float *random, *plain;
	int64_t n = 0;

	CHECK(bench_open(&a, "lora",
			 "{\"init_lora_weights\": \"pissa_niter_1\", \"r\": 2, \"lora_alpha\": 5, "
			 "\"use_rslora\": true, \"alpha_pattern\": {\"value\": 3}}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "lora",
			 "{\"r\": 4, \"lora_alpha\": 7.0710678118654755, \"use_rslora\": true, "
			 "\"alpha_pattern\": {\"value\": 4.242640687119286}}",
			 TASK_SEQ_CLS) == TT_OK);
	bench_shake(&a, 0.2f);
	CHECK(save(&a) == TT_OK);
	if (!CHECK(load(&b, &a) == TT_OK))
		printf("# %s\n", err_text());
	random = bench_logits(&a, &n);
	plain = bench_logits(&b, &n);
	CHECK(random && plain && bench_same(random, plain, n, 1e-5));
	free(random);
	free(plain);
	bench_close(&a);
	bench_close(&b);
}

/* A folder whose tensors were changed by `edit`, against the method that wrote it. */
enum edit {
	EDIT_NONE,
	EDIT_DROP,
	EDIT_ADD,
	EDIT_SHAPE,
	EDIT_TYPE,
	EDIT_HALF,
	EDIT_SPARE,
	EDIT_BASE,
	EDIT_OTHER_BASE
};

static int edited(struct bench *b, enum edit edit)
{
	static const float extra[64 * 64] = { 0 };
	const struct tensor *word = model_param(b->model, "bert.embeddings.word_embeddings.weight");
	const int64_t odd[2] = { 3, 8 };
	uint16_t half[16];
	char path[PATH_MAX];
	struct st_file *f = NULL;
	struct st_writer *w = NULL;
	int code = save(b);

	file_path(b, "adapter_model.safetensors", path, sizeof(path));
	if (!code)
		code = st_open(path, &f);
	if (!code)
		code = st_writer_new(&w);
	for (size_t i = 0; !code && i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);
		const bool classifier = !strcmp(t->name, "base_model.model.classifier.weight");

		for (size_t k = 0; k < COUNT(half); k++)
			half[k] = 0x3C00; /* 1.0 */
		if (classifier && edit == EDIT_DROP)
			continue;
		if (classifier && edit == EDIT_SHAPE)
			code = st_writer_add(w, t->name, "F32", 2, odd, extra);
		else if (classifier && edit == EDIT_TYPE)
			code = st_writer_add(w, t->name, "I64", 2, t->dim, extra);
		else if (classifier && edit == EDIT_HALF)
			code = st_writer_add(w, t->name, "F16", 2, t->dim, half);
		else
			code = st_writer_add(w, t->name, t->dtype, t->rank, t->dim, t->data);
	}
	if (!code && edit == EDIT_ADD)
		code = st_writer_add(w, "base_model.model.bert.pooler.dense.lora_A.weight", "F32",
				     2, odd, extra);
	if (!code && edit == EDIT_SPARE)
		code = st_writer_add(w, "base_model.model.classifier.original_module.bias", "F32",
				     1, odd, extra);
	if (!code && (edit == EDIT_BASE || edit == EDIT_OTHER_BASE))
		code = st_writer_add(
			w, "base_model.model.bert.embeddings.word_embeddings.base_layer.weight",
			"F32", 2, word->dim, edit == EDIT_BASE ? word->data : extra);
	if (!code)
		code = st_write(w, path);
	st_writer_free(w);
	st_close(f);
	return code;
}

static const struct {
	enum edit edit;
	const char *json;
	const char *says; /* end of the sentence; NULL: it is taken */
} edits[] = {
	{ EDIT_NONE, "{\"r\": 1}", NULL },
	{ EDIT_DROP, "{\"r\": 1}",
	  "does not fit the recipe: missing 1 (classifier.weight); too many 0" },
	{ EDIT_ADD, "{\"r\": 1}",
	  "does not fit the recipe: missing 0; too many 1 (bert.pooler.dense.lora_A.weight)" },
	{ EDIT_SHAPE, "{\"r\": 1}",
	  "'base_model.model.classifier.weight' has shape [3,8], and the model and recipe make "
	  "it [2,8]" },
	{ EDIT_TYPE, "{\"r\": 1}", "" },
	{ EDIT_HALF, "{\"r\": 1}", NULL },
	{ EDIT_SPARE, "{\"r\": 1}", "too many 1 (classifier.original_module.bias)" },
	{ EDIT_BASE, "{\"target_modules\": [\"word_embeddings\"]}", NULL },
	{ EDIT_OTHER_BASE, "{\"target_modules\": [\"word_embeddings\"]}",
	  "'base_model.model.bert.embeddings."
	  "word_embeddings.base_layer.weight' is not as in the base model, and this method does "
	  "not train it" },
};

static void tensors_are_judged(void)
{
	for (size_t i = 0; i < COUNT(edits); i++) {
		struct bench b;
		char what[40];
		size_t n;

		snprintf(what, sizeof(what), "edit %d", (int)edits[i].edit);
		CHECK_NAMED(bench_open(&b, "lora", edits[i].json, TASK_SEQ_CLS) == TT_OK, what);
		if (edits[i].edit == EDIT_SPARE) /* not spare unless the biases are in the file */
			CHECK_NAMED(!b.method->saves_biases, what);
		CHECK_NAMED(edited(&b, edits[i].edit) == TT_OK, what);
		n = edits[i].says ? strlen(edits[i].says) : 0;
		CHECK_NAMED((load(&b, &b) == TT_OK) == !edits[i].says, what);
		if (n && !CHECK_NAMED(strlen(err_text()) >= n &&
					      !strcmp(err_text() + strlen(err_text()) - n,
						      edits[i].says),
				      what))
			printf("# %s\n", err_text());
		if (edits[i].edit == EDIT_HALF)
			CHECK_NEAR(model_param(b.model, "classifier.weight")->data[3], 1, 0);
		bench_close(&b);
	}
}

/* An adapter that does not fit leaves the method as it was. */
static void a_bad_file_changes_nothing(void)
{
	struct bench a, b;
	const float *w;
	float before;

	CHECK(bench_open(&a, "lora", "{\"r\": 2, \"target_modules\": [\"query\", \"key\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "lora", "{\"r\": 2, \"target_modules\": [\"query\"]}", TASK_SEQ_CLS) ==
	      TT_OK);
	bench_shake(&a, 1);
	CHECK(save(&a) == TT_OK);
	w = model_param(b.model, "classifier.weight")->data;
	before = *w;
	CHECK(load(&b, &a) == TT_INVALID);
	CHECK(strstr(
		err_text(),
		"missing 0; too many 4 (bert.encoder.layer.0.attention.self.key.lora_A.weight, "));
	CHECK_NEAR(*w, before, 0);
	bench_close(&a);
	bench_close(&b);
}

/* Biases that the subset does not train must be the base's. */
static void other_biases_are_refused(void)
{
	struct bench a, b;

	CHECK(bench_open(&a, "bitfit", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "bitfit", "{\"bias_terms\": \"query_intermediate\"}", TASK_SEQ_CLS) ==
	      TT_OK);
	CHECK(save(&a) == TT_OK);
	CHECK(load(&b, &a) == TT_OK);
	bench_shake(&a, 0.1f);
	CHECK(save(&a) == TT_OK);
	CHECK(load(&b, &a) == TT_INVALID);
	CHECK(strstr(err_text(), "is not as in the base model, and this method does not train it"));
	bench_close(&a);
	bench_close(&b);
}

static void folders_that_are_none(void)
{
	char path[PATH_MAX];
	struct bench a, b;

	CHECK(bench_open(&a, "lora", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(load(&a, &a) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "is no adapter folder: it has no adapter_config.json"));
	CHECK(save(&a) == TT_OK);
	file_path(&a, "adapter_model.safetensors", path, sizeof(path));
	CHECK(remove(path) == 0);
	CHECK(load(&a, &a) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "has no adapter_model.safetensors"));
	CHECK(bench_open(&b, "head", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(load(&b, &a) == TT_INVALID);
	CHECK(strstr(err_text(), "it adapts modules (target_modules), and method 'head' does not"));
	bench_close(&a);
	bench_close(&b);
}

int main(void)
{
	config_is_as_peft_writes_it();
	tasks_and_mapping();
	folders_hold_what_peft_holds();
	spare_copies();
	configs_are_judged();
	settings_of_init_must_match();
	random_pissa_is_written_as_plain();
	tensors_are_judged();
	a_bad_file_changes_nothing();
	other_biases_are_refused();
	folders_that_are_none();
	return bench_done();
}
