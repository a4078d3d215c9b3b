/*
 * Prefixes of keys and values: where they lie in the table, what attention they
 * get, which positions they leave; their folders, with an encoder and without.
 */
#include "tests/method/folder.h"

#include "method/combined.h"
#include "method/kvprefix.h"

enum { N = 3, HIDDEN = 8, LAYERS = 2, WIDE = LAYERS * 2 * HIDDEN };

/* ---- what it computes ---- */

/* Layer l's keys are the columns from 2 l H on, its values the next H. */
static void layers_have_their_columns(void)
{
	struct bench b;
	struct tensor *t;
	bool right = true;

	CHECK(bench_open(&b, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS) == TT_OK);
	t = bench_param(&b, "prompt_embeddings");
	CHECK(t && t->dim[0] == N && t->dim[1] == WIDE && b.method->nmade == LAYERS);
	for (int64_t i = 0; t && i < N * WIDE; i++)
		t->data[i] = (float)i;
	CHECK(stage_refresh(b.method) == TT_OK);
	for (int64_t l = 0; l < LAYERS; l++) {
		const struct tensor *rows = b.method->made[l].leaf;

		for (int64_t i = 0; i < N * 2 * HIDDEN; i++) {
			const int64_t row = i / (2 * HIDDEN), col = i % (2 * HIDDEN);

			right = right &&
				(int64_t)rows->data[i] == row * WIDE + l * 2 * HIDDEN + col;
		}
	}
	CHECK(right);
	CHECK(method_param_count(b.method) == N * WIDE + 2 * HIDDEN + 2);
	CHECK(method_extra_count(b.method) == N * WIDE);
	bench_close(&b);
}

static void clear(struct model *m, const char *name)
{
	struct tensor *t = model_param(m, name);

	CHECK(t && model_own_param(m, t) == TT_OK);
	memset(t->data, 0, (size_t)tensor_count(t) * sizeof(float));
}

/* Queries of zeros look at every key alike: the prefix gets n of n + T. */
static void attention_is_told(void)
{
	double want = 0;
	struct bench b;
	float *y;
	int64_t n;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	clear(b.model, "bert.encoder.layer.0.attention.self.query.weight");
	clear(b.model, "bert.encoder.layer.0.attention.self.query.bias");
	CHECK(bench_attach(&b, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS, 42) == TT_OK);
	CHECK(isnan(bench_watched(&b, "method/prefix/attention_mean")));
	y = bench_logits(&b, &n);
	free(y);
	for (int i = 0; i < BENCH_ROWS; i++)
		want += (double)N / (N + BENCH_LENGTH - i % 3) / BENCH_ROWS;
	CHECK_NEAR(bench_watched(&b, "method/prefix/attention/layer_0"), want, 1e-9);
	CHECK(bench_watched(&b, "method/prefix/attention/layer_1") > 0);
	CHECK(bench_watched(&b, "method/prefix/attention_max") < 1);
	bench_close(&b);
}

static void rows_and_change_are_told(void)
{
	struct bench b;
	struct tensor *t;

	CHECK(bench_open(&b, "prefix", "{\"num_virtual_tokens\": 3, \"init_weights\": \"zero\"}",
			 TASK_SEQ_CLS) == TT_OK);
	t = bench_param(&b, "prompt_embeddings");
	CHECK(t && t->data[0] == 0 && t->data[N * WIDE - 1] == 0);
	for (int64_t i = 0; t && i < N; i++) {
		t->data[i * WIDE] = 3;               /* a key of layer 0 */
		t->data[i * WIDE + 1] = 4;           /* the same */
		t->data[i * WIDE + 3 * HIDDEN] = 12; /* a value of layer 1 */
	}
	CHECK(stage_refresh(b.method) == TT_OK);
	CHECK_NEAR(bench_watched(&b, "method/prefix/key_norm/layer_0"), 5, 1e-6);
	CHECK_NEAR(bench_watched(&b, "method/prefix/value_norm/layer_0"), 0, 0);
	CHECK_NEAR(bench_watched(&b, "method/prefix/value_norm_mean"), 6, 1e-6);
	CHECK_NEAR(bench_watched(&b, "method/prefix/cosine"), 1, 1e-6);
	CHECK_NEAR(bench_watched(&b, "method/prefix/change"), 13 * sqrt(N), 1e-5);
	if (t)
		t->data[0] = -5; /* -5 4 12 and 3 4 12 */
	CHECK_NEAR(bench_watched(&b, "method/prefix/cosine"),
		   (1 + 2 * (-15 + 16 + 144) / (13 * sqrt(185))) / 3, 1e-5);
	CHECK_NEAR(bench_watched(&b, "method/prefix/grad_norm"), 0, 0);
	bench_close(&b);
}

/* A prefix that nobody looks at: keys against the queries' bias. Then only positions differ from the base. */
static void text_begins_behind(void)
{
	struct bench b, base;
	struct tensor *t;
	float *y, *plain;
	int64_t n = 0;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK && bench_model(&base, TASK_SEQ_CLS) == TT_OK);
	for (int l = 0; l < LAYERS; l++) {
		char name[80];

		snprintf(name, sizeof(name), "bert.encoder.layer.%d.attention.self.query.weight",
			 l);
		clear(b.model, name);
		clear(base.model, name);
	}
	CHECK(bench_attach(&b, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS, 42) == TT_OK);
	t = bench_param(&b, "prompt_embeddings");
	for (int l = 0; t && l < LAYERS; l++) {
		char name[80];
		const struct tensor *bias;

		snprintf(name, sizeof(name), "bert.encoder.layer.%d.attention.self.query.bias", l);
		bias = model_param(b.model, name);
		for (int64_t i = 0; i < N * HIDDEN; i++)
			t->data[i / HIDDEN * WIDE + l * 2 * HIDDEN + i % HIDDEN] =
				-1e6f * bias->data[i % HIDDEN];
	}
	for (int64_t i = 0; i < base.batch.tokens; i++)
		((int32_t *)(uintptr_t)base.batch.pos)[i] += N;
	y = bench_logits(&b, &n);
	plain = bench_logits(&base, &n);
	CHECK(y && plain && bench_same(y, plain, n, 1e-6));
	free(y);
	free(plain);
	bench_close(&b);
	bench_close(&base);
}

/* ---- dropout and gates, for methods that are made of it ---- */

static int gated_begin(struct method *m)
{
	const struct kvprefix_how how = {
		.n = 2, .hidden = 3, .in_place = true, .dropout = 0.3f, .gated = true
	};

	return kvprefix_begin(m, &how);
}

static const struct method_ops gated = {
	.name = "gated",
	.begin = gated_begin,
	.before_step = kvprefix_before_step,
};

static void gates_and_dropout_have_gradients(void)
{
	struct bench b;
	double error;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	b.method = method_new(&gated, NULL, b.model, TASK_SEQ_CLS, 42);
	CHECK(b.method && method_begin(b.method) == TT_OK && bench_ready(&b) == TT_OK);
	CHECK(b.model->position_offset == 0 && b.model->whole_rows);
	error = bench_gradcheck(&b, 3e-3);
	if (!CHECK(error < 1e-2))
		printf("# error %g %s\n", error, error < 1e9 ? "" : err_text());
	bench_close(&b);
}

/* ---- folders ---- */

static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"../model\",",
	"  \"encoder_hidden_size\": 8,",
	"  \"inference_mode\": true,",
	"  \"init_weights\": null,",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\",",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"num_attention_heads\": 2,",
	"  \"num_layers\": 2,",
	"  \"num_transformer_submodules\": 1,",
	"  \"num_virtual_tokens\": 3,",
	"  \"peft_type\": \"PREFIX_TUNING\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"prefix_projection\": false,",
	"  \"revision\": null,",
	"  \"task_type\": \"SEQ_CLS\",",
	"  \"token_dim\": 8",
	"}",
};

static void config_is_as_peft_writes_it(void)
{
	static const char *const names[] = { "prompt_embeddings", "base_model.classifier.weight",
					     "base_model.classifier.bias" };
	struct bench b;

	CHECK(bench_open(&b, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_save(&b) == TT_OK);
	folder_config_is(&b, config_lines, COUNT(config_lines));
	folder_holds(&b, "adapter_model.safetensors", names, COUNT(names));
	bench_close(&b);
}

#define PROJECTED \
	"{\"num_virtual_tokens\": 3, \"prefix_projection\": true, \"encoder_hidden_size\": 4}"

/* The encoder lies beside the adapter, by the names of PEFT's PrefixEncoder. */
static void encoder_lies_beside(void)
{
	static const char *const names[] = { "embedding.weight", "transform.0.weight",
					     "transform.0.bias", "transform.2.weight",
					     "transform.2.bias" };
	char path[PATH_MAX], dir[PATH_MAX];
	struct bench b, plain;

	CHECK(bench_open(&b, "prefix", PROJECTED, TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_save(&b) == TT_OK);
	folder_holds(&b, "prompt_encoder.safetensors", names, COUNT(names));
	folder_path(&b, "prompt_encoder.safetensors", path);
	/* a prefix that trains itself takes what the encoder made, and leaves no encoder in its folder */
	CHECK(bench_open(&plain, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_load(&plain, &b) == TT_OK && !plain.method->untrainable);
	CHECK(!memcmp(bench_param(&plain, "prompt_embeddings")->data, b.method->fixed.item[0]->data,
		      N * WIDE * sizeof(float)));
	folder_path(&b, "", dir);
	CHECK(adapter_save(plain.method, dir, "../model") == TT_OK && !fs_exists(path));
	bench_close(&b);
	bench_close(&plain);
}

/* Without its encoder a prefix evaluates as it was, and does not train. */
static void without_its_encoder(void)
{
	char path[PATH_MAX];
	struct bench a, b;
	float *was, *is;
	int64_t n = 0;

	CHECK(bench_open(&a, "prefix", PROJECTED, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&a, 0.2f);
	CHECK(folder_save(&a) == TT_OK);
	was = bench_logits(&a, &n);
	folder_path(&a, "prompt_encoder.safetensors", path);
	CHECK(!bench_model(&b, TASK_SEQ_CLS) &&
	      !bench_attach(&b, "prefix", PROJECTED, TASK_SEQ_CLS, 43));
	CHECK(folder_load(&b, &a) == TT_OK && !b.method->untrainable);
	CHECK(fs_remove_tree(path) == TT_OK && folder_load(&b, &a) == TT_OK);
	CHECK(b.method->untrainable && strstr(b.method->untrainable, "prompt_encoder.safetensors"));
	is = bench_logits(&b, &n);
	CHECK(was && is && bench_same(was, is, n, 0));
	free(was);
	free(is);
	bench_close(&a);
	bench_close(&b);
}

static void files_that_do_not_belong_together(void)
{
	char path[PATH_MAX], other[PATH_MAX];
	struct bench a, b;

	CHECK(bench_open(&a, "prefix", PROJECTED, TASK_SEQ_CLS) == TT_OK &&
	      folder_save(&a) == TT_OK);
	CHECK(!bench_model(&b, TASK_SEQ_CLS) &&
	      !bench_attach(&b, "prefix", PROJECTED, TASK_SEQ_CLS, 43) && folder_save(&b) == TT_OK);
	folder_path(&a, "prompt_encoder.safetensors", path);
	folder_path(&b, "prompt_encoder.safetensors", other);
	CHECK(fs_copy(path, other) == TT_OK);
	CHECK(folder_load(&b, &b) == TT_INVALID);
	CHECK(strstr(err_text(), "do not belong together"));
	bench_close(&a);
	bench_close(&b);
}

/* ---- what is refused ---- */

static const struct bad_setting bad[] = {
	{ "{}", "num_virtual_tokens" },
	{ "{\"num_virtual_tokens\": 0}", "num_virtual_tokens" },
	{ "{\"num_virtual_tokens\": 64}",
	  "peft.num_virtual_tokens is 64, and the model has 64 positions: none is left for the "
	  "text" },
	{ "{\"num_virtual_tokens\": 2, \"token_dim\": 16}",
	  "peft.token_dim is 16, and the model's is 8" },
	{ "{\"num_virtual_tokens\": 2, \"num_layers\": 3}",
	  "peft.num_layers is 3, and the model's is 2" },
	{ "{\"num_virtual_tokens\": 2, \"num_transformer_submodules\": 2}",
	  "num_transformer_submodules" },
	{ "{\"num_virtual_tokens\": 2, \"init_weights\": \"ones\"}", "init_weights" },
	{ "[\"prefix\", {\"num_virtual_tokens\": 2}, \"prefix\", {\"num_virtual_tokens\": 2}]",
	  "already carries a method" },
};

static const struct adapter_config configs[] = {
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 3}", NULL },
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 3, \"token_dim\": null, "
	  "\"prefix_projection\": true, \"encoder_hidden_size\": 99}",
	  NULL },
	{ "{\"peft_type\": \"PREFIX_TUNING\"}", "num_virtual_tokens is not 3" },
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 4}",
	  "num_virtual_tokens is not 3" },
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 3, \"token_dim\": 16}",
	  "token_dim is not 8" },
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 3, "
	  "\"num_transformer_submodules\": 2}",
	  "num_transformer_submodules is not 1" },
	{ "{\"peft_type\": \"PREFIX_TUNING\", \"num_virtual_tokens\": 3, \"gate\": 1}",
	  "gate is set" },
	{ "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": 3}", "PROMPT_TUNING" },
};

static void refusals(void)
{
	struct bench b;

	refuses_all("prefix", TASK_SEQ_CLS, bad, COUNT(bad));
	CHECK(bench_open(&b, "prefix", "{\"num_virtual_tokens\": 3}", TASK_SEQ_CLS) == TT_OK);
	judges_all(&b, configs, COUNT(configs));
	bench_close(&b);
}

int main(void)
{
	layers_have_their_columns();
	attention_is_told();
	rows_and_change_are_told();
	text_begins_behind();
	gates_and_dropout_have_gradients();
	config_is_as_peft_writes_it();
	encoder_lies_beside();
	without_its_encoder();
	files_that_do_not_belong_together();
	refusals();
	return bench_done();
}
