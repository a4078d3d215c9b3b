/*
 * Soft prompts: their first rows by every init, that they stand where words do,
 * and what their panel says.
 */
#include "tests/method/folder.h"

enum { HIDDEN = 8 };

static const struct tensor *words(const struct bench *b)
{
	return model_param(b->model, "bert.embeddings.word_embeddings.weight");
}

/* Which word a row of the prompt is; -1: none. */
static int word_of(const struct bench *b, int64_t row)
{
	const float *x = bench_param(b, "prompt_embeddings")->data + row * HIDDEN;

	for (int i = 0; i < BENCH_VOCAB; i++) {
		if (!memcmp(x, words(b)->data + i * HIDDEN, HIDDEN * sizeof(*x)))
			return i;
	}
	return -1;
}

static int id(const struct bench *b, const char *token)
{
	return tokenizer_id(b->tokenizer, token);
}

/* ---- first rows ---- */

static void random_rows(void)
{
	const struct tensor *t;
	double sum = 0, square = 0, most = 0;
	struct bench b;

	CHECK(bench_open(&b, "prompt", "{\"num_virtual_tokens\": 60}", TASK_SEQ_CLS) == TT_OK);
	t = bench_param(&b, "prompt_embeddings");
	for (int64_t i = 0; i < 60 * HIDDEN; i++) {
		sum += (double)t->data[i];
		square += (double)t->data[i] * (double)t->data[i];
	}
	CHECK_NEAR(sum / (60 * HIDDEN), 0, 0.15);
	CHECK_NEAR(square / (60 * HIDDEN), 1, 0.2);
	CHECK(method_param_count(b.method) == 60 * HIDDEN + 2 * HIDDEN + 2);
	bench_close(&b);
	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 60, \"prompt_tuning_init\": \"UNIFORM\"}",
			 TASK_SEQ_CLS) == TT_OK);
	t = bench_param(&b, "prompt_embeddings");
	for (int64_t i = 0; i < 60 * HIDDEN; i++)
		most = fmax(most, fabs((double)t->data[i]));
	CHECK(most <= 0.5 && most > 0.45);
	bench_close(&b);
}

static void words_of_the_vocabulary(void)
{
	bool all = true, differ = false;
	struct bench b;

	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 30, \"prompt_tuning_init\": \"SAMPLE_VOCAB\"}",
			 TASK_MLM) == TT_OK);
	for (int64_t i = 0; i < 30; i++) {
		all = all && word_of(&b, i) >= 0;
		differ = differ || word_of(&b, i) != word_of(&b, 0);
	}
	CHECK(all && differ);
	bench_close(&b);
}

/* [CLS] a b [SEP], again and again, or as much as there is room for. */
static void words_of_a_text(void)
{
	static const char *const want[] = { "[CLS]", "a", "b", "[SEP]", "[CLS]", "a" };
	struct bench b;

	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 6, \"prompt_tuning_init\": \"TEXT\", "
			 "\"prompt_tuning_init_text\": \"a b\"}",
			 TASK_REGRESSION) == TT_OK);
	for (size_t i = 0; i < COUNT(want); i++)
		CHECK_NAMED(word_of(&b, (int64_t)i) == id(&b, want[i]), want[i]);
	bench_close(&b);
	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 3, \"prompt_tuning_init\": \"TEXT\", "
			 "\"prompt_tuning_init_text\": \"a b\", \"tokenizer_name_or_path\": \"x\"}",
			 TASK_REGRESSION) == TT_OK);
	CHECK(word_of(&b, 0) == id(&b, "[CLS]") && word_of(&b, 2) == id(&b, "b"));
	bench_close(&b);
}

/* The labels are "a" and "bc", which is b and ##c: a word, and the mean of two. */
static void words_of_the_labels(void)
{
	bool taken[BENCH_VOCAB] = { false }, fine = true;
	const float *row, *one, *other;
	struct bench b;

	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 37, \"prompt_tuning_init\": \"CLASS_LABELS\"}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(word_of(&b, 0) == id(&b, "a") && word_of(&b, 1) == -1);
	row = bench_param(&b, "prompt_embeddings")->data + HIDDEN;
	one = words(&b)->data + id(&b, "b") * HIDDEN;
	other = words(&b)->data + id(&b, "##c") * HIDDEN;
	for (int i = 0; i < HIDDEN; i++)
		CHECK_NEAR(row[i], ((double)one[i] + (double)other[i]) / 2, 1e-6);
	/* 35 of the vocabulary's 40 are no special tokens: each of them once */
	for (int64_t i = 2; i < 37; i++) {
		const int w = word_of(&b, i);

		fine = fine && w >= 5 && !taken[w];
		if (w >= 0)
			taken[w] = true;
	}
	CHECK(fine);
	bench_close(&b);
	/* no room for the second label */
	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 1, \"prompt_tuning_init\": \"CLASS_LABELS\"}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(word_of(&b, 0) == id(&b, "a"));
	bench_close(&b);
}

/* ---- where it stands ---- */

/* A prompt of words is those words before the text: types 0, positions on from 0, the first place pooled. */
static void stands_where_words_do(void)
{
	static int32_t ids[BENCH_ROWS][BENCH_LENGTH + 2];
	static uint8_t types[BENCH_ROWS][BENCH_LENGTH + 2];
	struct example ex[BENCH_ROWS];
	struct bench b, base;
	float *y, *plain;
	int64_t n = 0;

	CHECK(bench_model(&base, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 2, \"prompt_tuning_init\": \"TEXT\", "
			 "\"prompt_tuning_init_text\": \"a b\"}",
			 TASK_SEQ_CLS) == TT_OK);
	for (int64_t s = 0; s < BENCH_ROWS; s++) {
		const int64_t from = base.batch.start[s], size = base.batch.start[s + 1] - from;

		ids[s][0] = id(&base, "[CLS]");
		ids[s][1] = id(&base, "a");
		for (int64_t i = 0; i < size; i++) {
			ids[s][i + 2] = base.batch.id[from + i];
			types[s][i + 2] = (uint8_t)base.batch.type[from + i];
		}
		ex[s] = (struct example){ .id = ids[s],
					  .type = types[s],
					  .n = (int32_t)size + 2,
					  .label = 0,
					  .index = s };
	}
	CHECK(batch_pack(base.arena, ex, BENCH_ROWS, &base.batch) == TT_OK);
	y = bench_logits(&b, &n);
	plain = bench_logits(&base, &n);
	CHECK(y && plain && bench_same(y, plain, n, 1e-6));
	free(y);
	free(plain);
	bench_close(&b);
	bench_close(&base);
}

/* ---- the panel ---- */

static void words_are_told(void)
{
	struct bench b;
	double mean = 0, length = 0;
	float *row;

	CHECK(bench_open(&b, "prompt", "{\"num_virtual_tokens\": 1}", TASK_SEQ_CLS) == TT_OK);
	row = bench_param(&b, "prompt_embeddings")->data;
	for (int i = 0; i < BENCH_VOCAB; i++) {
		double square = 0;

		for (int k = 0; k < HIDDEN; k++)
			square += pow((double)words(&b)->data[i * HIDDEN + k], 2);
		mean += sqrt(square) / BENCH_VOCAB;
	}
	for (int k = 0; k < HIDDEN; k++) {
		row[k] = 3 * words(&b)->data[17 * HIDDEN + k];
		length += (double)row[k] * (double)row[k];
	}
	CHECK_NEAR(bench_watched(&b, "method/prompt/norm_ratio_max"), sqrt(length) / mean, 1e-6);
	CHECK_NEAR(bench_watched(&b, "method/prompt/nearest_mean"), 1, 1e-6);
	CHECK_NEAR(bench_watched(&b, "method/prompt/nearest_max"), 1, 1e-6);
	CHECK(bench_watched(&b, "method/prompt/change") > 0);
	CHECK(isnan(bench_watched(&b, "method/prompt/attention_mean")));
	bench_close(&b);
}

/* ---- folders ---- */

static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"../model\",",
	"  \"inference_mode\": true,",
	"  \"modules_to_save\": [",
	"    \"pooler\",",
	"    \"classifier\",",
	"    \"score\",",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"num_attention_heads\": 2,",
	"  \"num_layers\": 2,",
	"  \"num_transformer_submodules\": 1,",
	"  \"num_virtual_tokens\": 4,",
	"  \"peft_type\": \"PROMPT_TUNING\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"prompt_tuning_init\": \"TEXT\",",
	"  \"prompt_tuning_init_text\": \"a b\",",
	"  \"revision\": null,",
	"  \"task_type\": \"SEQ_CLS\",",
	"  \"token_dim\": 8,",
	"  \"tokenizer_kwargs\": null,",
	"  \"tokenizer_name_or_path\": \"toy\"",
	"}",
};

static void folder_is_as_peft_writes_it(void)
{
	static const char *const names[] = {
		"prompt_embeddings",
		"base_model.classifier.weight",
		"base_model.classifier.bias",
		"base_model.bert.pooler.dense.weight",
		"base_model.bert.pooler.dense.bias",
	};
	struct json *config = NULL;
	char path[PATH_MAX];
	struct bench b;

	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 4, \"prompt_tuning_init\": \"TEXT\", "
			 "\"prompt_tuning_init_text\": \"a b\", \"modules_to_save\": [\"pooler\"], "
			 "\"tokenizer_name_or_path\": \"toy\", \"tokenizer_kwargs\": {}}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_save(&b) == TT_OK);
	folder_config_is(&b, config_lines, COUNT(config_lines));
	folder_holds(&b, "adapter_model.safetensors", names, COUNT(names));
	bench_close(&b);
	/* what PEFT does not know is written as what it knows */
	CHECK(bench_open(&b, "prompt",
			 "{\"num_virtual_tokens\": 4, \"prompt_tuning_init\": \"CLASS_LABELS\"}",
			 TASK_SEQ_CLS) == TT_OK &&
	      folder_save(&b) == TT_OK);
	folder_path(&b, "adapter_config.json", path);
	CHECK(json_load(path, 1 << 20, &config) == TT_OK);
	CHECK_STR(json_text(json_get(config, "prompt_tuning_init")), "RANDOM");
	CHECK(json_type(json_get(config, "tokenizer_name_or_path")) == JSON_NULL);
	json_free(config);
	bench_close(&b);
}

static const struct bad_setting bad[] = {
	{ "{}", "num_virtual_tokens" },
	{ "{\"num_virtual_tokens\": 64}", "none is left for the text" },
	{ "{\"num_virtual_tokens\": 4, \"prompt_tuning_init\": \"text\"}", "prompt_tuning_init" },
	{ "{\"num_virtual_tokens\": 4, \"prompt_tuning_init\": \"TEXT\"}",
	  "needs a peft.prompt_tuning_init_text" },
	{ "{\"num_virtual_tokens\": 4, \"tokenizer_kwargs\": {\"use_fast\": true}}",
	  "peft.tokenizer_kwargs is not supported" },
	{ "{\"num_virtual_tokens\": 4, \"num_attention_heads\": 1}",
	  "peft.num_attention_heads is 1, and the model's is 2" },
	{ "[\"prompt\", {\"num_virtual_tokens\": 2}, \"prompt\", {\"num_virtual_tokens\": 2}]",
	  "already carries a method" },
};

static const struct bad_setting bad_elsewhere[] = {
	{ "{\"num_virtual_tokens\": 4, \"prompt_tuning_init\": \"CLASS_LABELS\"}",
	  "CLASS_LABELS needs a task with labels" },
};

static const struct adapter_config configs[] = {
	{ "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": 4}", NULL },
	{ "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": 4, "
	  "\"prompt_tuning_init\": \"TEXT\", \"prompt_tuning_init_text\": \"x\"}",
	  NULL },
	{ "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": 5}",
	  "num_virtual_tokens is not 4" },
	{ "{\"peft_type\": \"PROMPT_TUNING\", \"num_virtual_tokens\": 4, \"num_layers\": 12}",
	  "num_layers is not 2" },
	{ "{\"peft_type\": \"P_TUNING\", \"num_virtual_tokens\": 4}", "P_TUNING" },
};

static void refusals(void)
{
	struct bench b;

	refuses_all("prompt", TASK_SEQ_CLS, bad, COUNT(bad));
	refuses_all("prompt", TASK_REGRESSION, bad_elsewhere, COUNT(bad_elsewhere));
	CHECK(bench_open(&b, "prompt", "{\"num_virtual_tokens\": 4}", TASK_SEQ_CLS) == TT_OK);
	judges_all(&b, configs, COUNT(configs));
	bench_close(&b);
}

int main(void)
{
	random_rows();
	words_of_the_vocabulary();
	words_of_a_text();
	words_of_the_labels();
	stands_where_words_do();
	words_are_told();
	folder_is_as_peft_writes_it();
	refusals();
	return bench_done();
}
