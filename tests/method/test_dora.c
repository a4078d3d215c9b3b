/* DoRA: norms without B A, first values, dropout, files, rates, folding in, and the panel. */
#include "tests/method/told.h"

#include "base/array.h"
#include "method/lowrank.h"
#include "model/safetensors.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"
#define WORDS "bert.embeddings.word_embeddings"

/* The first member of what a site of DoRA keeps: m and n as the ops see them. */
static const struct magnitude *lengths(const struct bench *b, const char *site)
{
	const struct lowrank *l = model_site(b->model, site)->state;

	return l->own;
}

static const struct lowrank *at(const struct bench *b, const char *site)
{
	return model_site(b->model, site)->state;
}

/* Number i of row o of W + s B A; of a table a row is a column. */
static double number(const struct bench *b, const char *site, int64_t o, int64_t i)
{
	const struct site *s = model_site(b->model, site);
	const struct lowrank *l = s->state;
	const int64_t cols = s->weight->dim[1];
	double sum = 0;

	for (int64_t k = 0; k < l->r; k++)
		sum += (double)l->step.b->data[o * l->r + k] *
		       (double)l->step.a->data[k * l->step.a->dim[1] + i];
	return (double)s->weight->data[l->kind == LOWRANK_EMBED ? i * cols + o : o * cols + i] +
	       l->scale * sum;
}

static double length(const struct bench *b, const char *site, int64_t o)
{
	double sum = 0;

	for (int64_t i = 0; i < at(b, site)->step.a->dim[1]; i++)
		sum += number(b, site, o, i) * number(b, site, o, i);
	return sqrt(sum);
}

/* How far the norms that the ops see are off, relatively. */
static double error(const struct bench *b, const char *site)
{
	double worst = 0;

	for (int64_t o = 0; o < at(b, site)->step.b->dim[0]; o++)
		worst = fmax(worst,
			     fabs((double)lengths(b, site)->norm[o] / length(b, site, o) - 1));
	return worst;
}

static const char both[] = "{\"r\": 3, \"lora_alpha\": 7, \"target_modules\": [\"query\", "
			   "\"word_embeddings\"]}";

static void norms_agree(void)
{
	struct bench b;

	CHECK(bench_open(&b, "dora", both, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.3f);
	CHECK(error(&b, QUERY) > 1e-2); /* still those from before */
	CHECK(stage_refresh(b.method) == TT_OK);
	CHECK(error(&b, QUERY) < 1e-6 && error(&b, WORDS) < 1e-6);
	bench_close(&b);
}

/*
 * A is the identity and B all but takes W away: what is left is 1e-4 of W, so the
 * three terms of the square cancel to 1e-8 of themselves, as much as fp32 holds.
 */
static void norms_of_what_is_left(void)
{
	struct bench b;
	const struct lowrank *l;
	const float *w;

	CHECK(bench_open(&b, "dora", "{\"r\": 8, \"lora_alpha\": 4}", TASK_SEQ_CLS) == TT_OK);
	l = at(&b, QUERY);
	w = model_site(b.model, QUERY)->weight->data;
	for (int i = 0; i < 64; i++) {
		l->step.a->data[i] = i % 9 ? 0 : 1;
		l->step.b->data[i] = i < 48 ? -2 * w[i] * (1 + 1e-4f) : 0.1f;
	}
	CHECK(stage_refresh(b.method) == TT_OK);
	CHECK(error(&b, QUERY) < 1e-6);
	bench_close(&b);
}

static const struct {
	const char *json;
	double slack;
} firsts[] = {
	{ "{\"r\": 3}", 0 },
	{ "{\"r\": 3, \"target_modules\": [\"query\", \"word_embeddings\"]}", 0 },
	{ "{\"r\": 3, \"init_lora_weights\": false}", 1e-6 },
	{ "{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa\"}", 1e-6 },
};

/* c is 1, and m the length of the rows as the model has them then. */
static void first_values(void)
{
	for (size_t i = 0; i < COUNT(firsts); i++) {
		struct bench b;
		double worst = 0;

		CHECK_NAMED(bench_open(&b, "dora", firsts[i].json, TASK_SEQ_CLS) == TT_OK,
			    firsts[i].json);
		CHECK_NAMED(stage_refresh(b.method) == TT_OK, firsts[i].json);
		CHECK_NAMED(error(&b, QUERY) < 1e-6, firsts[i].json);
		for (int o = 0; o < 8; o++)
			worst = fmax(worst, fabs((double)lengths(&b, QUERY)->m->data[o] /
							 (double)lengths(&b, QUERY)->norm[o] -
						 1));
		CHECK_NAMED(worst <= firsts[i].slack, firsts[i].json);
		bench_close(&b);
	}
}

/* Dropout falls on what the method adds alone: nothing at first, then anew at every step. */
static void dropout(void)
{
	struct bench b, plain;
	double loss;

	CHECK(bench_open(&b, "dora", "{\"lora_dropout\": 0.5}", TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&plain, "lora", "{}", TASK_SEQ_CLS) == TT_OK);
	loss = bench_loss(&b);
	CHECK_NEAR(loss, bench_loss(&plain), 0);
	b.step = 1;
	CHECK_NEAR(bench_loss(&b), loss, 0);
	for (int64_t o = 0; o < 8; o++) /* now c is 1.5, with B still zero */
		lengths(&b, QUERY)->m->data[o] *= 1.5f;
	loss = bench_loss(&b);
	CHECK_NEAR(bench_loss(&b), loss, 0);
	b.step = 2;
	CHECK(fabs(bench_loss(&b) - loss) > 1e-6);
	bench_close(&b);
	bench_close(&plain);
}

/* What PEFT calls them: no ".weight" behind the magnitudes. */
static void files(void)
{
	static const char config[] = "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 7, "
				     "\"use_dora\": true}";
	struct bench b;
	char dir[PATH_MAX], path[PATH_MAX];
	struct st_file *f = NULL;
	const struct st_tensor *t;
	struct buf text;

	CHECK(bench_open(&b, "dora", both, TASK_SEQ_CLS) == TT_OK);
	told_folder(&b, dir, sizeof(dir));
	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK &&
	      st_open(path, &f) == TT_OK);
	t = st_find(f, "base_model.model." QUERY ".lora_magnitude_vector");
	CHECK(t && t->rank == 1 && t->dim[0] == 8);
	t = st_find(f, "base_model.model." WORDS ".lora_magnitude_vector");
	CHECK(t && t->rank == 1 && t->dim[0] == 8);
	CHECK(st_find(f, "base_model.model." QUERY ".lora_A.weight") != NULL);
	st_close(f);
	CHECK(fs_join(path, sizeof(path), dir, "adapter_config.json") == TT_OK &&
	      fs_read(path, 1 << 20, &text) == TT_OK);
	CHECK(strstr(text.data, "\"peft_type\": \"LORA\"") &&
	      strstr(text.data, "\"use_dora\": true"));
	buf_done(&text);
	bench_close(&b);
	CHECK(bench_open(&b, "lora", both, TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_check_config(b.method, config, sizeof(config) - 1) == TT_INVALID);
	CHECK_STR(err_text(), "use_dora is true, and the recipe's method is 'lora'");
	bench_close(&b);
}

/* LoRA+ as PEFT groups it: a magnitude is a vector, and no bias and in no norm. */
static void plus_rates(void)
{
	const struct method_ops *ops = method_find("dora");
	const struct tensor m = { .name = QUERY ".lora_magnitude_vector", .rank = 1 };
	const struct tensor bias = { .name = "classifier.bias", .rank = 1 };
	struct bench b;

	CHECK(bench_open(&b, "dora", "{\"loraplus_lr_ratio\": 16, \"loraplus_weight_decay\": 0.03}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK_NEAR(ops->learning_rate(b.method, &m, 1e-3), 16e-3, 1e-12);
	CHECK_NEAR(ops->weight_decay(b.method, &m, 0.7), 0.03, 1e-12);
	CHECK_NEAR(ops->weight_decay(b.method, &bias, 0), 0, 0);
	bench_close(&b);
}

static const struct {
	const char *method, *json, *why;
} refusals[] = {
	{ "dora", "{\"use_dora\": false}",
	  "peft.use_dora is false: that is LoRA; write \"method\": \"lora\"" },
	{ "dora", "{\"lora_bias\": true}", "peft.lora_bias does not go with method 'dora'" },
	{ "lora", "{\"use_dora\": true}",
	  "peft.use_dora: DoRA is a method of its own here; write \"method\": \"dora\"" },
};

static void what_is_refused(void)
{
	struct bench b;

	for (size_t i = 0; i < COUNT(refusals); i++) {
		CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
		CHECK_NAMED(bench_attach(&b, refusals[i].method, refusals[i].json, TASK_SEQ_CLS,
					 1) == TT_INVALID,
			    refusals[i].json);
		CHECK_STR(err_text(), refusals[i].why);
		bench_close(&b);
	}
	CHECK(bench_open(&b, "", "[\"dora\", {}, \"diff_pruning\", {}]", TASK_SEQ_CLS) ==
	      TT_INVALID);
	CHECK(strstr(err_text(), "the weight of '" QUERY "' trains") != NULL);
	bench_close(&b);
}

static void tied_weights_do_not_merge(void)
{
	struct bench b;

	CHECK(bench_open(&b, "dora", "{\"target_modules\": [\"word_embeddings\"]}", TASK_MLM) ==
	      TT_OK);
	CHECK(method_merge(b.method) == TT_INVALID);
	bench_close(&b);
}

/* 1 - cos(W, W + s B A) of a row. */
static double turned(const struct bench *b, int64_t o)
{
	const float *w = model_site(b->model, QUERY)->weight->data + o * 8;
	double dot = 0, square = 0;

	for (int64_t i = 0; i < 8; i++) {
		dot += (double)w[i] * number(b, QUERY, o, i);
		square += (double)w[i] * (double)w[i];
	}
	return 1 - dot / sqrt(square) / length(b, QUERY, o);
}

static void the_panel(void)
{
	struct told h = { 0 };
	struct bench b;
	double turn = 0;

	CHECK(bench_open(&b, "dora",
			 "{\"r\": 2, \"target_modules\": [\"query\"], \"layers_to_transform\": 0}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(stage_refresh(b.method) == TT_OK);
	told_panel(&b, &h);
	CHECK(told_value(&h, "method/dora/c_min") == 1 && told_value(&h, "method/dora/c_max") == 1);
	CHECK(told_value(&h, "method/dora/magnitude_drift_max") <= 0 &&
	      told_value(&h, "method/dora/direction_drift_max") < 1e-7);
	CHECK(told_value(&h, "method/dora/norm_ms") >= 0 && h.n == 11 && !*h.alarm);
	for (int64_t i = 0; i < 16; i++)
		at(&b, QUERY)->step.b->data[i] = 0.1f * (float)(i - 7);
	lengths(&b, QUERY)->m->data[3] *= 1.5f;
	CHECK(stage_refresh(b.method) == TT_OK);
	told_panel(&b, &h);
	for (int64_t o = 0; o < 8; o++)
		turn += turned(&b, o) / 8;
	CHECK_NEAR(told_value(&h, "method/dora/direction_drift_max"), turn, 1e-6);
	CHECK_NEAR(told_value(&h, "method/dora/magnitude_drift/layer_0"), 0.5 / 8, 1e-6);
	lengths(&b, QUERY)->m->data[3] *= -1;
	told_panel(&b, &h);
	CHECK(told_value(&h, "method/dora/c_min") < 0);
	CHECK(!strncmp(h.alarm, "dora: m / |W + s B A| is from -", 31));
	told_panel(&b, &h);
	CHECK(!*h.alarm); /* once is enough */
	bench_close(&b);
}

int main(void)
{
	norms_agree();
	norms_of_what_is_left();
	first_values();
	dropout();
	files();
	plus_rates();
	what_is_refused();
	tied_weights_do_not_merge();
	the_panel();
	return bench_done();
}
