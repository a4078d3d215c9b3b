/* LoRA-FA: what is frozen, the projected gradient, dropout without a copy, files, and the panel. */
#include "tests/method/told.h"

#include "base/array.h"
#include "method/lowrank.h"
#include "model/safetensors.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"

enum { WIDE = 8, MOST = 12 };

static const struct lowrank *at(const struct bench *b, const char *site)
{
	return model_site(b->model, site)->state;
}

/* B and the head train; A lies in the file and counts as a parameter, as in PEFT. */
static void what_is_frozen(void)
{
	struct bench b;
	struct st_file *f = NULL;
	char dir[PATH_MAX], path[PATH_MAX];

	CHECK(bench_open(&b, "lora_fa", "{\"r\": 3}", TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < b.method->nparam; i++)
		CHECK(strstr(b.method->param[i]->name, "lora_A") == NULL);
	CHECK(b.method->fixed.n == 4 && b.method->fixed_counted == 4 * 3 * WIDE);
	CHECK(method_extra_count(b.method) == 2 * 4 * 3 * WIDE);
	CHECK(!at(&b, QUERY)->step.a->needs && at(&b, QUERY)->step.b->needs);
	told_folder(&b, dir, sizeof(dir));
	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK &&
	      st_open(path, &f) == TT_OK);
	CHECK(st_find(f, "base_model.model." QUERY ".lora_A.weight") &&
	      st_find(f, "base_model.model." QUERY ".lora_B.weight") && st_count(f) == 10);
	st_close(f);
	bench_close(&b);
}

/* want[o] (A A^T + 1e-8 I) s^2 = gB[o], by elimination; r rows and columns. */
static void solve(const struct lowrank *l, const double *grad, double *want)
{
	const int64_t r = l->r, in = l->step.a->dim[1], out = l->step.b->dim[0];
	double m[MOST][MOST + WIDE];

	for (int64_t p = 0; p < r; p++) {
		for (int64_t q = 0; q < r; q++) {
			m[p][q] = p == q ? 1e-8 : 0;
			for (int64_t i = 0; i < in; i++)
				m[p][q] += (double)l->step.a->data[p * in + i] *
					   (double)l->step.a->data[q * in + i];
			m[p][q] *= l->scale * l->scale;
		}
		for (int64_t o = 0; o < out; o++)
			m[p][r + o] = grad[o * r + p];
	}
	for (int64_t k = 0; k < r; k++) {
		for (int64_t p = 0; p < r; p++) {
			const double by = p == k ? 0 : m[p][k] / m[k][k];

			for (int64_t c = 0; c < r + out; c++)
				m[p][c] -= by * m[k][c];
		}
	}
	for (int64_t o = 0; o < out; o++)
		for (int64_t p = 0; p < r; p++)
			want[o * r + p] = m[p][r + o] / m[p][p];
}

/* Every site by its own scale; the head's gradient is left alone. */
static void gradients_are_projected(void)
{
	static const char json[] =
		"{\"r\": 3, \"lora_alpha\": 6, \"alpha_pattern\": {\"value\": 9}}";
	double grad[3 * WIDE], want[4][3 * WIDE], head;
	struct bench b;

	CHECK(bench_open(&b, "lora_fa", json, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.2f);
	bench_loss(&b);
	head = (double)model_param(b.model, "classifier.weight")->grad[0];
	for (size_t i = 0; i < 4; i++) {
		const struct lowrank *l = b.method->site[i]->state;

		for (int64_t k = 0; k < 3 * WIDE; k++)
			grad[k] = (double)l->step.b->grad[k];
		solve(l, grad, want[i]);
	}
	CHECK(at(&b, QUERY)->scale < 2.1 && b.method->nsite == 4);
	CHECK(stage_update(b.method, 1) == TT_OK);
	for (size_t i = 0; i < 4; i++) {
		const struct lowrank *l = b.method->site[i]->state;
		double worst = 0, most = 0;

		for (int64_t k = 0; k < 3 * WIDE; k++) {
			worst = fmax(worst, fabs((double)l->step.b->grad[k] - want[i][k]));
			most = fmax(most, fabs(want[i][k]));
		}
		CHECK_NAMED(most > 0 && worst < 1e-5 * most, b.method->site[i]->name);
	}
	CHECK_NEAR(model_param(b.model, "classifier.weight")->grad[0], head, 0);
	bench_close(&b);
}

/*
 * With more rows than inputs A A^T has no inverse; a gradient lies in what A can
 * reach, so multiplied back it is as it was.
 */
static void more_rows_than_inputs(void)
{
	struct bench b;
	const struct lowrank *l;
	float grad[MOST * WIDE];
	double worst = 0, most = 0;

	CHECK(bench_open(&b, "lora_fa", "{\"r\": 12, \"lora_alpha\": 6}", TASK_SEQ_CLS) == TT_OK);
	bench_loss(&b);
	l = at(&b, QUERY);
	memcpy(grad, l->step.b->grad, sizeof(grad));
	CHECK(stage_update(b.method, 1) == TT_OK);
	for (int64_t o = 0; o < WIDE; o++) {
		for (int64_t q = 0; q < MOST; q++) {
			double sum = 0;

			for (int64_t p = 0; p < MOST; p++)
				for (int64_t i = 0; i < WIDE; i++)
					sum += (double)l->step.b->grad[o * MOST + p] *
					       (double)l->step.a->data[p * WIDE + i] *
					       (double)l->step.a->data[q * WIDE + i];
			sum *= l->scale * l->scale;
			worst = fmax(worst, fabs(sum - (double)grad[o * MOST + q]));
			most = fmax(most, fabs((double)grad[o * MOST + q]));
		}
	}
	CHECK(most > 0 && worst < 1e-4 * most);
	bench_close(&b);
}

/* The same masks as LoRA's, though what was dropped is not kept. */
static void dropout(void)
{
	static const char json[] = "{\"r\": 3, \"lora_dropout\": 0.5}";
	struct bench b, lora;
	double loss;

	CHECK(bench_open(&b, "lora_fa", json, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&lora, "lora", json, TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < 4; i++) {
		const struct lowrank *to = b.method->site[i]->state,
				     *from = lora.method->site[i]->state;

		for (int64_t k = 0; k < 3 * WIDE; k++)
			to->step.b->data[k] = from->step.b->data[k] = 0.1f * (float)(k % 5 - 2);
	}
	loss = bench_loss(&b);
	CHECK_NEAR(loss, bench_loss(&lora), 0);
	for (size_t i = 0; i < 4; i++) {
		const struct lowrank *one = b.method->site[i]->state,
				     *two = lora.method->site[i]->state;

		CHECK(!memcmp(one->step.b->grad, two->step.b->grad, 3 * WIDE * sizeof(float)));
	}
	b.step = 1;
	CHECK(fabs(bench_loss(&b) - loss) > 1e-6);
	bench_close(&b);
	bench_close(&lora);
}

static const struct {
	const char *json, *why;
} refusals[] = {
	{ "{\"use_dora\": true}", "peft.use_dora does not go with method 'lora_fa'" },
	{ "{\"lora_bias\": true}", "peft.lora_bias does not go with method 'lora_fa'" },
	{ "{\"target_modules\": [\"word_embeddings\"]}",
	  "a lookup layer, which method 'lora_fa' cannot adapt" },
};

static void what_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, "lora_fa", refusals[i].json, TASK_SEQ_CLS) == TT_INVALID,
			    refusals[i].json);
		CHECK_NAMED(strstr(err_text(), refusals[i].why) != NULL, refusals[i].why);
		bench_close(&b);
	}
}

/* A A^T is diag(1, 16), and s is 2: a gradient of B's first column shrinks to a quarter. */
static void the_panel(void)
{
	struct told h = { 0 };
	struct bench b;
	const struct lowrank *l;

	CHECK(bench_open(&b, "lora_fa",
			 "{\"r\": 2, \"lora_alpha\": 4, \"lora_dropout\": 0.1, "
			 "\"target_modules\": [\"query\"], \"layers_to_transform\": 0}",
			 TASK_SEQ_CLS) == TT_OK);
	l = at(&b, QUERY);
	bench_loss(&b);
	for (int i = 0; i < 2 * WIDE; i++) {
		l->step.a->data[i] = i == 0 ? 1 : i == WIDE + 3 ? 4 : 0;
		l->step.b->grad[i] = i % 2 ? 0 : (float)i - 3;
	}
	CHECK(stage_update(b.method, 1) == TT_OK);
	told_panel(&b, &h);
	CHECK_NEAR(told_value(&h, "method/lora_fa/condition_max"), 16, 1e-5);
	CHECK_NEAR(told_value(&h, "method/lora_fa/gradient_ratio_mean"), 0.25, 1e-6);
	CHECK_NEAR(told_value(&h, "method/lora_fa/activation_bytes_saved"), 4 * WIDE, 0);
	CHECK(!*h.alarm);
	bench_close(&b);
	CHECK(bench_open(&b, "lora_fa", "{\"r\": 12}", TASK_SEQ_CLS) == TT_OK);
	told_panel(&b, &h);
	CHECK(told_value(&h, "method/lora_fa/condition_max") > 1e6);
	CHECK(!strncmp(h.alarm, "lora_fa: A A^T of 'bert.", 24));
	/* query and value of a layer read the same rows */
	CHECK_NEAR(told_value(&h, "method/lora_fa/activation_bytes_saved"), 2 * 4 * WIDE, 0);
	told_panel(&b, &h);
	CHECK(!*h.alarm); /* once is enough */
	bench_close(&b);
}

int main(void)
{
	what_is_frozen();
	gradients_are_projected();
	more_rows_than_inputs();
	dropout();
	what_is_refused();
	the_panel();
	return bench_done();
}
