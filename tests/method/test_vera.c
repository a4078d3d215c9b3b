/* VeRA: projections as PEFT draws them, first values, files both ways, folding in, and the panel. */
#include "tests/method/told.h"

#include "base/array.h"
#include "model/safetensors.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"

static struct tensor *param(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		if (!strcmp(b->method->param[i]->name, name))
			return b->method->param[i];
	}
	return NULL;
}

static const struct tensor *fixed(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->fixed.n; i++) {
		if (!strcmp(b->method->fixed.item[i]->name, name))
			return b->method->fixed.item[i];
	}
	return NULL;
}

/* PEFT 0.21 with projection_prng_key 7 and r 4 on layers of 8 inputs: A is [4,8]. */
static const float golden_a[] = { 0.06048761308193207f, -0.5216881632804871f, 0.27576273679733276f,
				  0.27174192667007446f };

static void projections(void)
{
	struct bench b;
	const struct tensor *a, *up;

	CHECK(bench_open(&b, "vera", "{\"r\": 4, \"projection_prng_key\": 7}", TASK_SEQ_CLS) ==
	      TT_OK);
	a = fixed(&b, "vera_A");
	up = fixed(&b, "vera_B");
	CHECK(a && a->dim[0] == 4 && a->dim[1] == 8 && up && up->dim[0] == 8 && up->dim[1] == 4);
	for (size_t i = 0; a && i < COUNT(golden_a); i++)
		CHECK(a->data[i] == golden_a[i]);
	bench_close(&b);
	/* the largest of what is adapted: 12 inputs of output.dense, 12 outputs of intermediate.dense */
	CHECK(bench_open(
		      &b, "vera",
		      "{\"r\": 4, \"target_modules\": [\"intermediate.dense\", \"output.dense\"]}",
		      TASK_SEQ_CLS) == TT_OK);
	CHECK(fixed(&b, "vera_A")->dim[1] == 12 && fixed(&b, "vera_B")->dim[0] == 12);
	bench_close(&b);
}

/* Nothing is counted but the vectors: PEFT's projections are buffers. */
static void counts(void)
{
	struct bench b;

	CHECK(bench_open(&b, "vera", "{\"r\": 5}", TASK_MLM) == TT_OK);
	CHECK(method_param_count(b.method) == 4 * (8 + 5) &&
	      method_extra_count(b.method) == 4 * (8 + 5));
	bench_close(&b);
}

static void first_values(void)
{
	struct bench b;
	const struct tensor *l, *d;
	bool varied = false;

	CHECK(bench_open(&b, "vera", "{\"r\": 4, \"d_initial\": 0.25}", TASK_SEQ_CLS) == TT_OK);
	l = param(&b, QUERY ".vera_lambda_b");
	d = param(&b, QUERY ".vera_lambda_d");
	CHECK(l && d && l->rank == 1 && l->dim[0] == 8 && d->rank == 1 && d->dim[0] == 4);
	for (int i = 0; i < 4; i++)
		CHECK(d->data[i] == 0.25f && l->data[i] == 0);
	bench_loss(&b);
	for (int i = 0; i < 4; i++) /* lambda_b is zero, so nothing comes through */
		CHECK(d->grad[i] == 0 && l->grad[i] != 0);
	bench_close(&b);
	CHECK(bench_open(&b, "vera", "{\"r\": 4, \"init_weights\": false}", TASK_SEQ_CLS) == TT_OK);
	l = param(&b, QUERY ".vera_lambda_b");
	d = param(&b, QUERY ".vera_lambda_d");
	for (int i = 1; i < 4; i++)
		varied |= d->data[i] != d->data[0];
	CHECK(l->data[0] == 1 && varied);
	bench_close(&b);
}

static void dropout(void)
{
	struct bench b;
	double first, later;

	CHECK(bench_open(&b, "vera", "{\"vera_dropout\": 0.5}", TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.3f);
	first = bench_loss(&b);
	CHECK_NEAR(bench_loss(&b), first, 0);
	b.step = 1;
	later = bench_loss(&b);
	CHECK(fabs(first - later) > 1e-6);
	bench_close(&b);
}

/* Saved here, loaded there. Returns the code of loading. */
static int carry(struct bench *a, const char *there, struct bench *ret)
{
	char dir[PATH_MAX];

	told_folder(a, dir, sizeof(dir));
	CHECK(bench_open(ret, "vera", there, TASK_SEQ_CLS) == TT_OK);
	return adapter_load(ret->method, dir);
}

static const struct {
	const char *here, *there, *why; /* why NULL: it loads, and computes the same */
} files[] = {
	{ "{\"r\": 4}", "{\"r\": 4}", NULL },
	/* the file's projections count, whatever the key */
	{ "{\"r\": 4, \"projection_prng_key\": 3}", "{\"r\": 4}", NULL },
	{ "{\"r\": 4, \"projection_prng_key\": 3, \"save_projection\": false}",
	  "{\"r\": 4, \"projection_prng_key\": 3, \"save_projection\": false}", NULL },
	{ "{\"r\": 4, \"projection_prng_key\": 3, \"save_projection\": false}",
	  "{\"r\": 4, \"save_projection\": false}",
	  "projection_prng_key is 3, and the recipe, which draws the projections again, says 0" },
	{ "{\"r\": 4, \"save_projection\": false}", "{\"r\": 4}",
	  "save_projection is false, and the recipe says otherwise" },
	{ "{\"r\": 4}", "{\"r\": 4, \"save_projection\": false}",
	  "save_projection is true, and the recipe says otherwise" },
	{ "{\"r\": 4}", "{\"r\": 5}", "r is 4, and the recipe says 5" },
};

static void both_ways(void)
{
	for (size_t i = 0; i < COUNT(files); i++) {
		struct bench a, b;
		float *live, *loaded;
		int64_t n = 0;
		int code;

		CHECK(bench_open(&a, "vera", files[i].here, TASK_SEQ_CLS) == TT_OK);
		bench_shake(&a, 0.2f);
		code = carry(&a, files[i].there, &b);
		if (files[i].why) {
			CHECK_NAMED(code == TT_INVALID && strstr(err_text(), files[i].why),
				    files[i].why);
		} else {
			live = bench_logits(&a, &n);
			loaded = bench_logits(&b, &n);
			CHECK_NAMED(code == TT_OK && bench_same(live, loaded, n, 0),
				    files[i].there);
			free(live);
			free(loaded);
		}
		bench_close(&a);
		bench_close(&b);
	}
}

/* PEFT keeps the projections at the top of its tree, or not at all. */
static void names(bool saved)
{
	struct bench b;
	struct st_file *f = NULL;
	char dir[PATH_MAX], path[PATH_MAX];
	struct buf text;

	CHECK(bench_open(&b, "vera",
			 saved ? "{\"r\": 4}" : "{\"r\": 4, \"save_projection\": false}",
			 TASK_SEQ_CLS) == TT_OK);
	told_folder(&b, dir, sizeof(dir));
	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK &&
	      st_open(path, &f) == TT_OK);
	CHECK((st_find(f, "base_model.vera_A") != NULL) == saved &&
	      (st_find(f, "base_model.vera_B") != NULL) == saved);
	CHECK(st_find(f, "base_model.model." QUERY ".vera_lambda_b") &&
	      st_find(f, "base_model.model." QUERY ".vera_lambda_d"));
	CHECK(st_count(f) == (saved ? 12 : 10));
	st_close(f);
	CHECK(fs_join(path, sizeof(path), dir, "adapter_config.json") == TT_OK &&
	      fs_read(path, 1 << 20, &text) == TT_OK);
	CHECK(strstr(text.data, "\"peft_type\": \"VERA\"") &&
	      strstr(text.data,
		     saved ? "\"save_projection\": true" : "\"save_projection\": false"));
	buf_done(&text);
	bench_close(&b);
}

static void what_is_refused(void)
{
	struct bench b;

	CHECK(bench_open(&b, "vera", "{\"target_modules\": [\"word_embeddings\"]}", TASK_SEQ_CLS) ==
	      TT_INVALID);
	CHECK(strstr(err_text(), "a lookup layer, which method 'vera' cannot adapt") != NULL);
	bench_close(&b);
	CHECK(bench_open(&b, "",
			 "[\"vera\", {\"target_modules\": [\"query\"]}, "
			 "\"vera\", {\"target_modules\": [\"value\"]}]",
			 TASK_SEQ_CLS) == TT_INVALID);
	CHECK(strstr(err_text(), "method 'vera' stands twice") != NULL);
	bench_close(&b);
}

/* |lb B ld A| / |W| of one site, plainly. */
static double ratio(const struct bench *b)
{
	const float *w = model_site(b->model, QUERY)->weight->data;
	const float *a = fixed(b, "vera_A")->data, *up = fixed(b, "vera_B")->data;
	const float *l = param(b, QUERY ".vera_lambda_b")->data,
		    *d = param(b, QUERY ".vera_lambda_d")->data;
	double sum = 0, all = 0;

	for (int64_t i = 0; i < 64; i++) {
		double step = 0;

		for (int64_t k = 0; k < 3; k++)
			step += (double)l[i / 8] * (double)up[i / 8 * 3 + k] * (double)d[k] *
				(double)a[k * 8 + i % 8];
		sum += step * step;
		all += (double)w[i] * (double)w[i];
	}
	return sqrt(sum / all);
}

static void the_panel(void)
{
	struct told h = { .step = 49 };
	struct bench b;

	CHECK(bench_open(&b, "vera",
			 "{\"r\": 3, \"target_modules\": [\"query\"], \"layers_to_transform\": 0}",
			 TASK_SEQ_CLS) == TT_OK);
	told_panel(&b, &h);
	CHECK(told_value(&h, "method/vera/delta_ratio_max") <= 0 &&
	      told_value(&h, "method/vera/lambda_b_norm/layer_0") <= 0);
	CHECK(told_value(&h, "method/vera/lambda_b_idle_max") == 1 && !*h.alarm);
	CHECK_NEAR(told_value(&h, "method/vera/lambda_d_norm_max"), 0.1 * sqrt(3), 1e-7);
	CHECK_NEAR(told_value(&h, "method/vera/bytes_saved"), 4 * (3 * 16 - 11), 0);
	h.step = 50;
	told_panel(&b, &h);
	CHECK_STR(h.alarm, "vera: '" QUERY ".vera_lambda_d' has not moved in 50 steps: no gradient "
			   "reaches it");
	bench_shake(&b, 0.2f);
	told_panel(&b, &h);
	CHECK_NEAR(told_value(&h, "method/vera/delta_ratio_max"), ratio(&b), 1e-6);
	CHECK(told_value(&h, "method/vera/lambda_b_idle_max") < 0.5 &&
	      told_value(&h, "method/vera/lambda_b_norm_mean") > 0.1 && !*h.alarm);
	bench_close(&b);
}

int main(void)
{
	projections();
	counts();
	first_values();
	dropout();
	both_ways();
	names(true);
	names(false);
	what_is_refused();
	the_panel();
	return bench_done();
}
