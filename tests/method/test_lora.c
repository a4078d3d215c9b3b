/* LoRA: first values, scales, dropout, LoRA+ rates, folding in, and the size of the step. */
#include "tests/method/told.h"

#include "base/array.h"
#include "method/decompose.h"
#include "method/lowrank.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"

static const struct lowrank *at(const struct bench *b, const char *site)
{
	const struct site *s = model_site(b->model, site);

	return s ? s->state : NULL;
}

/* out[o,i] = scale B A of a linear site. */
static void product(const struct lowrank *l, double *out)
{
	const int64_t rows = l->step.b->dim[0], cols = l->step.a->dim[1];

	for (int64_t i = 0; i < rows * cols; i++) {
		out[i] = 0;
		for (int64_t k = 0; k < l->r; k++)
			out[i] += l->scale * (double)l->step.b->data[i / cols * l->r + k] *
				  (double)l->step.a->data[k * cols + i % cols];
	}
}

static double largest(const float *x, int64_t n)
{
	double most = 0;

	for (int64_t i = 0; i < n; i++)
		most = fmax(most, fabs((double)x[i]));
	return most;
}

static const struct {
	const char *json;
	double a_most, b_most;   /* no more than this ... */
	double a_least, b_least; /* ... and the largest is at least this */
} firsts[] = {
	/* 1 / sqrt(8) = 0.354 bounds A; with false also B by 1 / sqrt(4) */
	{ "{\"r\": 4}", 0.3536, 0, 0.2, 0 },
	{ "{\"r\": 4, \"init_lora_weights\": true}", 0.3536, 0, 0.2, 0 },
	{ "{\"r\": 4, \"init_lora_weights\": false}", 0.3536, 0.5001, 0.2, 0.3 },
	/* N(0, 1/16): 32 numbers reach 1.2 but not 6 deviations */
	{ "{\"r\": 4, \"init_lora_weights\": \"gaussian\"}", 1.5, 0, 0.3, 0 },
	{ "{\"r\": 4, \"init_lora_weights\": \"Orthogonal\"}", 0.6, 0.6, 0.05, 0.05 },
};

static void first_values(void)
{
	for (size_t i = 0; i < COUNT(firsts); i++) {
		struct bench b;
		const struct lowrank *l;

		CHECK_NAMED(bench_open(&b, "lora", firsts[i].json, TASK_SEQ_CLS) == TT_OK,
			    firsts[i].json);
		l = at(&b, QUERY);
		CHECK_NAMED(largest(l->step.a->data, 32) <= firsts[i].a_most, firsts[i].json);
		CHECK_NAMED(largest(l->step.a->data, 32) >= firsts[i].a_least, firsts[i].json);
		CHECK_NAMED(largest(l->step.b->data, 32) <= firsts[i].b_most, firsts[i].json);
		CHECK_NAMED(largest(l->step.b->data, 32) >= firsts[i].b_least, firsts[i].json);
		bench_close(&b);
	}
}

static void orthogonal_factors_cancel(void)
{
	struct bench b;
	double step[64], most = 0;

	CHECK(bench_open(&b, "lora", "{\"r\": 6, \"init_lora_weights\": \"orthogonal\"}",
			 TASK_SEQ_CLS) == TT_OK);
	product(at(&b, QUERY), step);
	for (int i = 0; i < 64; i++)
		most = fmax(most, fabs(step[i]));
	CHECK(most < 1e-7);
	bench_close(&b);
}

static void table_factors(void)
{
	static const char *const json[] = {
		"{\"r\": 3, \"target_modules\": [\"word_embeddings\"]}",
		"{\"r\": 3, \"target_modules\": [\"word_embeddings\"], \"init_lora_weights\": "
		"\"pissa\"}",
	};

	for (size_t i = 0; i < COUNT(json); i++) {
		struct bench b;
		const struct lowrank *l;

		CHECK(bench_open(&b, "lora", json[i], TASK_SEQ_CLS) == TT_OK);
		l = at(&b, "bert.embeddings.word_embeddings");
		CHECK_STR(l->step.a->name, "bert.embeddings.word_embeddings.lora_embedding_A");
		CHECK(l->step.a->dim[0] == 3 && l->step.a->dim[1] == BENCH_VOCAB &&
		      l->step.b->dim[0] == 8);
		CHECK(largest(l->step.a->data, 120) <= 0 && largest(l->step.b->data, 24) > 1);
		bench_close(&b);
	}
}

static const struct {
	const char *json;
	int64_t r;
	double scale;
} scales[] = {
	{ "{}", 8, 1 },
	{ "{\"r\": 4, \"lora_alpha\": 10}", 4, 2.5 },
	{ "{\"r\": 4, \"lora_alpha\": 6, \"use_rslora\": true}", 4, 3 },
	{ "{\"r\": 4, \"lora_alpha\": 6, \"rank_pattern\": {\"layer.0.attention.self.query\": 2}}",
	  2, 3 },
	{ "{\"r\": 4, \"lora_alpha\": 6, \"alpha_pattern\": {\"value\": 9, \"query\": 2}}", 4,
	  0.5 },
	{ "{\"r\": 4, \"lora_alpha\": 6, \"alpha_pattern\": {\"^query\": 2}}", 4, 1.5 },
};

static void scaling(void)
{
	for (size_t i = 0; i < COUNT(scales); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, "lora", scales[i].json, TASK_SEQ_CLS) == TT_OK,
			    scales[i].json);
		CHECK_NAMED(at(&b, QUERY)->r == scales[i].r, scales[i].json);
		CHECK_NEAR(at(&b, QUERY)->scale, scales[i].scale, 1e-12);
		bench_close(&b);
	}
}

/*
 * PiSSA: what stays is W minus its r largest singular parts, whatever alpha is;
 * OLoRA: Q R of the first r.
 */
static void taken_out_of_the_weight(const char *json, bool pissa)
{
	struct bench b, plain;
	const struct lowrank *l;
	const float *now, *was;
	double step[64], left[24], s[3], right[24], worst = 0, part = 0;

	CHECK_NAMED(bench_open(&b, "lora", json, TASK_SEQ_CLS) == TT_OK, json);
	CHECK(bench_model(&plain, TASK_SEQ_CLS) == TT_OK);
	l = at(&b, QUERY);
	now = model_site(b.model, QUERY)->weight->data;
	was = model_site(plain.model, QUERY)->weight->data;
	product(l, step);
	if (pissa)
		CHECK(decompose_svd(was, 8, 8, 3, left, s, right) == TT_OK);
	else
		CHECK(decompose_qr(was, 8, 8, 3, left, right) == TT_OK);
	for (int i = 0; i < 64; i++) {
		double top = 0;

		for (int k = 0; k < 3; k++)
			top += left[i / 8 * 3 + k] * right[k * 8 + i % 8] *
			       (pissa ? s[k] : l->scale);
		worst = fmax(worst, fabs((double)now[i] + step[i] - (double)was[i]));
		part = fmax(part, fabs(step[i] - top));
	}
	CHECK_NAMED(worst < 1e-6, json);
	CHECK_NAMED(part < 1e-6, json);
	CHECK_NAMED(lowrank_delta_norm(l) < 1e-3, json); /* nothing learned yet */
	bench_close(&b);
	bench_close(&plain);
}

static void base_is_whole_at_first(void)
{
	static const char *const json[] = {
		"{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa\"}",
		"{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"olora\"}",
		"{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa_niter_4\"}",
		"{\"r\": 4, \"init_lora_weights\": \"orthogonal\"}",
	};

	for (size_t i = 0; i < COUNT(json); i++) {
		struct bench b;
		float *before, *after;
		int64_t n;

		CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
		before = bench_logits(&b, &n);
		CHECK(bench_attach(&b, "lora", json[i], TASK_SEQ_CLS, 1) == TT_OK);
		after = bench_logits(&b, &n);
		CHECK_NAMED(before && after && bench_same(before, after, n, 1e-5), json[i]);
		free(before);
		free(after);
		bench_close(&b);
	}
}

/*
 * Dropout acts in training, on the step alone, anew at every step of the
 * optimizer, and never in evaluation.
 */
static void dropout(void)
{
	struct bench b;
	float *one, *two;
	double first, again, later;
	int64_t n;

	CHECK(bench_open(&b, "lora", "{\"lora_dropout\": 0.5}", TASK_SEQ_CLS) == TT_OK);
	later = bench_loss(&b);
	b.step = 1;
	CHECK_NEAR(bench_loss(&b), later, 0); /* B is zero: nothing to drop */
	bench_shake(&b, 0.3f);
	first = bench_loss(&b);
	again = bench_loss(&b);
	b.step = 2;
	later = bench_loss(&b);
	CHECK_NEAR(first, again, 0);
	CHECK(fabs(first - later) > 1e-6);
	one = bench_logits(&b, &n);
	b.step = 3;
	two = bench_logits(&b, &n);
	CHECK(one && two && bench_same(one, two, n, 0));
	free(one);
	free(two);
	bench_close(&b);
}

/* LoRA+ as PEFT groups it: peft-methods 3.5. */
static const struct {
	const char *name;
	int rank;
	double rate, decay;
} plus[] = {
	{ QUERY ".lora_A.weight", 2, 1e-3, 0.03 },
	{ QUERY ".lora_B.weight", 2, 16e-3, 0.03 },
	{ QUERY ".lora_B.bias", 1, 16e-3, 0 },
	{ QUERY ".bias", 1, 16e-3, 0 },
	{ "bert.embeddings.word_embeddings.lora_embedding_A", 2, 2e-6, 0.03 },
	{ "bert.embeddings.word_embeddings.lora_embedding_B", 2, 2e-6, 0.03 },
	{ "classifier.weight", 2, 1e-3, 0.03 },
	{ "classifier.bias", 1, 16e-3, 0 },
};

static void plus_rates(void)
{
	const struct method_ops *ops = method_find("lora");
	struct bench b;

	CHECK(bench_open(&b, "lora",
			 "{\"loraplus_lr_ratio\": 16, \"loraplus_weight_decay\": 0.03, "
			 "\"loraplus_lr_embedding\": 2e-6}",
			 TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(plus); i++) {
		const struct tensor t = { .name = plus[i].name, .rank = plus[i].rank };

		CHECK_NEAR(ops->learning_rate(b.method, &t, 1e-3), plus[i].rate, 1e-12);
		CHECK_NEAR(ops->weight_decay(b.method, &t, 0.7), plus[i].decay, 1e-12);
	}
	bench_close(&b);
	CHECK(bench_open(&b, "lora", "{}", TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(plus); i++) {
		const struct tensor t = { .name = plus[i].name, .rank = plus[i].rank };

		CHECK_NEAR(ops->learning_rate(b.method, &t, 1e-3), 1e-3, 0);
		CHECK_NEAR(ops->weight_decay(b.method, &t, 0.7), 0.7, 0);
	}
	bench_close(&b);
}

static const char *const mergeable[] = {
	"{\"r\": 2, \"lora_alpha\": 5}",
	"{\"r\": 3, \"lora_alpha\": 7, \"target_modules\": \"all-linear\", \"bias\": \"all\"}",
	"{\"r\": 2, \"lora_alpha\": 5, \"lora_bias\": true, \"bias\": \"lora_only\"}",
	("{\"r\": 2, \"target_modules\": [\"word_embeddings\", \"position_embeddings\", "
	 "\"token_type_embeddings\"]}"),
	"{\"r\": 2, \"lora_alpha\": 5, \"init_lora_weights\": \"olora\"}",
	"{\"r\": 2, \"target_modules\": [\"classifier\"], \"modules_to_save\": [\"pooler\"]}",
};

static void merging(void)
{
	for (size_t i = 0; i + 1 < COUNT(mergeable); i++) {
		struct bench b;
		float *live, *merged;
		int64_t n;

		CHECK_NAMED(bench_open(&b, "lora", mergeable[i], TASK_SEQ_CLS) == TT_OK,
			    mergeable[i]);
		bench_shake(&b, 0.2f);
		live = bench_logits(&b, &n);
		CHECK_NAMED(method_merge(b.method) == TT_OK, mergeable[i]);
		merged = bench_logits(&b, &n);
		CHECK_NAMED(live && merged && bench_same(live, merged, n, 1e-5), mergeable[i]);
		CHECK_NAMED(!model_site(b.model, QUERY)->hooks && b.method->nsite == 0,
			    mergeable[i]);
		free(live);
		free(merged);
		bench_close(&b);
	}
}

/* The head always trains wholly, so a rule that adapts nothing else has nothing to do. */
static void only_the_head_is_no_target(void)
{
	struct bench b;

	CHECK(bench_open(&b, "lora", mergeable[COUNT(mergeable) - 1], TASK_SEQ_CLS) == TT_INVALID);
	bench_close(&b);
}

static void tied_weights_do_not_merge(void)
{
	struct bench b;

	CHECK(bench_open(&b, "lora", "{\"target_modules\": [\"word_embeddings\"]}", TASK_MLM) ==
	      TT_OK);
	CHECK(method_merge(b.method) == TT_INVALID);
	CHECK_STR(err_text(), "'bert.embeddings.word_embeddings' shares its weight with "
			      "'cls.predictions.decoder', so the "
			      "step cannot be merged into one of them");
	CHECK(model_site(b.model, "bert.embeddings.word_embeddings")->hooks);
	bench_close(&b);
}

static void delta_norm(const char *json)
{
	struct bench b;
	const struct lowrank *l;
	double first[64], step[64], sum = 0;

	CHECK_NAMED(bench_open(&b, "lora", json, TASK_SEQ_CLS) == TT_OK, json);
	l = at(&b, QUERY);
	product(l, first);
	bench_shake(&b, 0.2f);
	product(l, step);
	for (int i = 0; i < 64; i++)
		sum += (step[i] - (l->a0 ? first[i] : 0)) * (step[i] - (l->a0 ? first[i] : 0));
	CHECK_NEAR(lowrank_delta_norm(l), sqrt(sum), 1e-6);
	bench_close(&b);
}

struct heard {
	int n;
	double mean, most, layer;
};

static void hear(void *arg, const char *key, double value)
{
	struct heard *h = arg;

	h->n++;
	if (!strcmp(key, "method/lora/delta_ratio_mean"))
		h->mean = value;
	if (!strcmp(key, "method/lora/delta_ratio_max"))
		h->most = value;
	if (!strcmp(key, "method/lora/delta_ratio/layer_1"))
		h->layer = value;
}

static void the_panel(void)
{
	struct heard h = { 0 };
	const struct watch out = { .metric = hear, .arg = &h };
	struct bench b;
	double ratio[4], sum = 0;

	CHECK(bench_open(&b, "lora", "{\"r\": 2}", TASK_SEQ_CLS) == TT_OK);
	method_find("lora")->watch(b.method, &out);
	CHECK(h.n == 4 && h.mean <= 0 && h.most <= 0);
	bench_shake(&b, 0.2f);
	method_find("lora")->watch(b.method, &out);
	for (int i = 0; i < 4; i++) {
		const struct lowrank *l = b.method->site[i]->state;

		ratio[i] = lowrank_delta_norm(l) / l->weight_norm;
		sum += ratio[i];
	}
	CHECK_NEAR(h.mean, sum / 4, 1e-12);
	CHECK_NEAR(h.layer, (ratio[2] + ratio[3]) / 2, 1e-12);
	CHECK_NEAR(h.most, fmax(fmax(ratio[0], ratio[1]), fmax(ratio[2], ratio[3])), 1e-12);
	bench_close(&b);
}

/* B that is zero after 50 steps is told once, with a name. */
static void what_stays_zero(void)
{
	struct told h = { .step = 49 };
	struct bench b;

	CHECK(bench_open(&b, "lora",
			 "{\"r\": 2, \"target_modules\": [\"query\", \"word_embeddings\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	told_panel(&b, &h);
	CHECK(!*h.alarm);
	bench_train(&b, 0.01);
	memset(at(&b, QUERY)->step.b->data, 0, 16 * sizeof(float));
	h.step = 50;
	told_panel(&b, &h);
	CHECK_STR(h.alarm, "lora: '" QUERY ".lora_B.weight' is still exactly 0 after 50 steps: no "
			   "gradient reaches it");
	told_panel(&b, &h);
	CHECK(!*h.alarm);
	bench_close(&b);
}

int main(void)
{
	first_values();
	orthogonal_factors_cancel();
	table_factors();
	scaling();
	taken_out_of_the_weight("{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa\"}",
				true);
	taken_out_of_the_weight(
		"{\"r\": 3, \"init_lora_weights\": \"pissa\", \"use_rslora\": true}", true);
	taken_out_of_the_weight(
		"{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa_niter_60\"}", true);
	taken_out_of_the_weight("{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"olora\"}",
				false);
	base_is_whole_at_first();
	dropout();
	plus_rates();
	merging();
	only_the_head_is_no_target();
	tied_weights_do_not_merge();
	delta_norm("{\"r\": 3, \"lora_alpha\": 7}");
	delta_norm("{\"r\": 3, \"lora_alpha\": 7, \"init_lora_weights\": \"pissa\"}");
	the_panel();
	what_stays_zero();
	return bench_done();
}
