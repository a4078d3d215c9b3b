/*
 * P-Tuning v2: a prefix with dropout that goes on from another task's adapter
 * and leaves its head behind.
 */
#include "tests/method/folder.h"

enum { N = 3, HIDDEN = 8, WIDE = 2 * 2 * HIDDEN };

#define PLAIN "{\"num_virtual_tokens\": 3}"

/* Without dropout it is prefix tuning, first values included. */
static void is_prefix_tuning(void)
{
	struct bench a, b;
	float *x, *y;
	int64_t n = 0;

	CHECK(bench_open(&a, "prefix", PLAIN, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "p_tuning_v2", PLAIN, TASK_SEQ_CLS) == TT_OK);
	x = bench_logits(&a, &n);
	y = bench_logits(&b, &n);
	CHECK(x && y && bench_same(x, y, n, 0));
	free(x);
	free(y);
	/* each reads what the other has written */
	CHECK(folder_save(&a) == TT_OK && folder_load(&b, &a) == TT_OK);
	CHECK(folder_save(&b) == TT_OK && folder_load(&a, &b) == TT_OK);
	bench_close(&a);
	bench_close(&b);
}

/* The mask is another one in every step, and none in evaluations. */
static void dropout_falls_on_the_prompt(void)
{
	double first, again, later;
	struct bench b;
	float *x, *y;
	int64_t n = 0;

	CHECK(bench_open(&b, "p_tuning_v2",
			 "{\"num_virtual_tokens\": 3, \"hidden_dropout_prob\": 0.5}",
			 TASK_SEQ_CLS) == TT_OK);
	first = bench_loss(&b);
	again = bench_loss(&b);
	b.step = 1;
	later = bench_loss(&b);
	CHECK(fabs(first - again) <= 0 && fabs(first - later) > 1e-4);
	x = bench_logits(&b, &n);
	b.step = 2;
	y = bench_logits(&b, &n);
	CHECK(x && y && bench_same(x, y, n, 0));
	free(x);
	free(y);
	bench_close(&b);
}

/* n 2 L H numbers and the classifier; with an MLP its embedding and two layers instead of them. */
static void counts(void)
{
	struct bench b;

	CHECK(bench_open(&b, "p_tuning_v2", PLAIN, TASK_SEQ_CLS) == TT_OK);
	CHECK(method_param_count(b.method) == N * WIDE + 2 * HIDDEN + 2);
	bench_close(&b);
	CHECK(bench_open(&b, "p_tuning_v2",
			 "{\"num_virtual_tokens\": 3, \"prefix_projection\": true}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(method_param_count(b.method) ==
	      N * HIDDEN + 512 * (HIDDEN + 1) + WIDE * (512 + 1) + 2 * HIDDEN + 2);
	bench_close(&b);
}

static void the_head_is_told(void)
{
	const struct tensor *w, *bias;
	double sum = 0;
	struct bench b;

	CHECK(bench_open(&b, "p_tuning_v2", PLAIN, TASK_SEQ_CLS) == TT_OK);
	w = model_param(b.model, "classifier.weight");
	bias = model_param(b.model, "classifier.bias");
	for (int64_t i = 0; i < tensor_count(w); i++)
		sum += pow((double)w->data[i], 2);
	for (int64_t i = 0; i < tensor_count(bias); i++)
		sum += pow((double)bias->data[i], 2);
	CHECK_NEAR(bench_watched(&b, "method/p_tuning_v2/head_norm"), sqrt(sum), 1e-6);
	CHECK(stage_refresh(b.method) == TT_OK);
	CHECK(bench_watched(&b, "method/p_tuning_v2/key_norm_mean") > 0);
	bench_close(&b);
}

/* ---- from another task's adapter ---- */

static bool same_table(const struct bench *a, const struct bench *b)
{
	return !memcmp(bench_param(a, "prompt_embeddings")->data,
		       bench_param(b, "prompt_embeddings")->data, N * WIDE * sizeof(float));
}

/* Which rows of another's head are here now: -1 is a row of one's own. */
static bool head_is(const struct bench *to, const struct bench *from, const float *own,
		    const int *row)
{
	const float *w = bench_param(to, "classifier.weight")->data,
		    *bias = bench_param(to, "classifier.bias")->data,
		    *other_w = bench_param(from, "classifier.weight")->data,
		    *other_bias = bench_param(from, "classifier.bias")->data;

	for (int i = 0; i < 2; i++) {
		const bool fits = row[i] < 0 ? bias[i] == own[i]
					     : bias[i] == other_bias[row[i]] &&
						       !memcmp(w + i * HIDDEN,
							       other_w + row[i] * HIDDEN,
							       HIDDEN * sizeof(float));

		if (!fits)
			return false;
	}
	return true;
}

static bool same_head(const struct bench *a, const float *bias)
{
	return !memcmp(bench_param(a, "classifier.bias")->data, bias, 2 * sizeof(float));
}

/* A saved adapter of two classes, and another run of two with another seed. */
static void pair_open(struct bench *a, struct bench *b, float *ret_own)
{
	CHECK(bench_open(a, "p_tuning_v2", PLAIN, TASK_SEQ_CLS) == TT_OK);
	bench_shake(a, 0.5f);
	CHECK(folder_save(a) == TT_OK);
	CHECK(!bench_model(b, TASK_SEQ_CLS) &&
	      !bench_attach(b, "p_tuning_v2", PLAIN, TASK_SEQ_CLS, 43));
	memcpy(ret_own, bench_param(b, "classifier.bias")->data, 2 * sizeof(float));
}

static const struct {
	const char *labels; /* instead of those of the folder; NULL: no file */
	int row[2];         /* of the folder's head, for each label; -1: its own */
	const char *says;   /* NULL: it is taken */
} others[] = {
	{ "[\"a\",\"bc\"]", { 0, 1 }, NULL },
	{ NULL, { 0, 1 }, NULL },
	{ "[\"bc\",\"a\"]", { 1, 0 }, NULL },
	{ "[\"a\",\"bc\",\"d\"]", { -1, -1 }, NULL }, /* not the number of its rows */
	{ "[\"x\",\"a\"]", { 1, -1 }, NULL },
	{ "[\"x\",\"y\"]", { -1, -1 }, NULL },
	{ "[\"a\",7]", { 0, -1 }, NULL },
	{ "{\"a\":0}", { 0, 0 }, "is not an array of label names" },
	{ "[\"a\"", { 0, 0 }, "labels.json" },
};

static void heads_of_other_labels(void)
{
	for (size_t i = 0; i < COUNT(others); i++) {
		const char *text = others[i].labels, *what = text ? text : "no file";
		char path[PATH_MAX];
		struct bench a, b;
		float own[2];
		int code;

		pair_open(&a, &b, own);
		folder_path(&a, "labels.json", path);
		CHECK_NAMED(fs_exists(path), what);
		if (text)
			CHECK_NAMED(fs_write_atomic(path, text, strlen(text)) == TT_OK, what);
		else
			CHECK_NAMED(fs_remove_tree(path) == TT_OK, what);
		code = folder_load(&b, &a);
		if (others[i].says) {
			CHECK_NAMED(code == TT_INVALID && strstr(err_text(), others[i].says), what);
			CHECK_NAMED(!same_table(&a, &b), what);
		} else {
			CHECK_NAMED(code == TT_OK && same_table(&a, &b), what);
			CHECK_NAMED(head_is(&b, &a, own, others[i].row), what);
		}
		bench_close(&a);
		bench_close(&b);
	}
}

/* A head of another shape stays behind, here one of a regression; other methods refuse it. */
static void heads_of_other_shapes(void)
{
	char path[PATH_MAX];
	struct bench a, b, plain;
	float own[2];

	CHECK(bench_open(&a, "p_tuning_v2", PLAIN, TASK_REGRESSION) == TT_OK);
	bench_shake(&a, 0.5f);
	CHECK(folder_save(&a) == TT_OK);
	folder_path(&a, "labels.json", path);
	CHECK(!fs_exists(path));
	CHECK(bench_open(&b, "p_tuning_v2", PLAIN, TASK_SEQ_CLS) == TT_OK);
	memcpy(own, bench_param(&b, "classifier.bias")->data, sizeof(own));
	CHECK(folder_load(&b, &a) == TT_OK && same_table(&a, &b) && same_head(&b, own));
	CHECK(bench_open(&plain, "prefix", PLAIN, TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_load(&plain, &a) == TT_INVALID);
	CHECK(strstr(err_text(), "base_model.classifier") && strstr(err_text(), "shape"));
	bench_close(&a);
	bench_close(&b);
	bench_close(&plain);
}

static const struct bad_setting bad[] = {
	{ "{}", "num_virtual_tokens" },
	{ "{\"num_virtual_tokens\": 2, \"hidden_dropout_prob\": 1}", "hidden_dropout_prob" },
	{ "{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 4}", "encoder_hidden_size" },
	{ "{\"num_virtual_tokens\": 2, \"prefix_hidden_size\": 0}", "prefix_hidden_size" },
};

int main(void)
{
	is_prefix_tuning();
	dropout_falls_on_the_prompt();
	counts();
	the_head_is_told();
	heads_of_other_labels();
	heads_of_other_shapes();
	refuses_all("p_tuning_v2", TASK_SEQ_CLS, bad, COUNT(bad));
	return bench_done();
}
