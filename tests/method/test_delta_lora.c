/*
 * Delta-LoRA against the algorithm as the paper has it: a dense W that moves by
 * B+ (A+ - A) + (B+ - B) A after every step, and LoRA's gradients beside it.
 */
#include "tests/method/bench.h"

#include "base/array.h"
#include "method/lowrank.h"

enum { STEPS = 7, SIDE = 8, WEIGHT = SIDE * SIDE, SITES = 4 };

static const struct lowrank *at(const struct bench *b, size_t i)
{
	return b->method->site[i]->state;
}

/* What the plain algorithm knows of a site. */
struct plain {
	double w[WEIGHT];
	float a[4 * SIDE], b[4 * SIDE]; /* before the step */
};

static void remember(const struct bench *b, struct plain *p)
{
	for (size_t i = 0; i < SITES; i++) {
		const struct lowrank *l = at(b, i);

		memcpy(p[i].a, l->step.a->data, (size_t)(l->r * SIDE) * sizeof(float));
		memcpy(p[i].b, l->step.b->data, (size_t)(l->r * SIDE) * sizeof(float));
	}
}

static void move(const struct bench *b, struct plain *p, double ratio)
{
	for (size_t i = 0; i < SITES; i++) {
		const struct lowrank *l = at(b, i);
		const float *a = l->step.a->data, *left = l->step.b->data;

		for (int64_t n = 0; n < WEIGHT; n++) {
			double sum = 0;

			for (int64_t k = 0; k < l->r; k++) {
				const int64_t x = n / SIDE * l->r + k, y = k * SIDE + n % SIDE;
				const double old_a = (double)p[i].a[y], old_b = (double)p[i].b[x];

				sum += (double)left[x] * ((double)a[y] - old_a) +
				       ((double)left[x] - old_b) * old_a;
			}
			p[i].w[n] += ratio * l->scale * sum;
		}
	}
}

/* LoRA on the moved weights, with the same factors and head: its loss, and its gradients in `b`. */
static double plain_loss(struct bench *b, const struct bench *of, const struct plain *p)
{
	for (size_t i = 0; i < SITES; i++) {
		struct tensor *w = b->method->site[i]->weight;

		CHECK(model_own_param(b->model, w) == TT_OK);
		for (int64_t n = 0; n < WEIGHT; n++)
			w->data[n] = (float)p[i].w[n];
	}
	CHECK(b->method->nparam == of->method->nparam);
	for (size_t i = 0; i < b->method->nparam; i++)
		memcpy(b->method->param[i]->data, of->method->param[i]->data,
		       (size_t)tensor_count(b->method->param[i]) * sizeof(float));
	return bench_loss(b);
}

/* Largest difference of the two runs' gradients, over the largest gradient. */
static double gradient_error(const struct bench *a, const struct bench *b)
{
	double worst = 0, most = 0;

	for (size_t i = 0; i < a->method->nparam; i++) {
		const struct tensor *x = a->method->param[i], *y = b->method->param[i];

		for (int64_t k = 0; k < tensor_count(x); k++) {
			worst = fmax(worst, fabs((double)x->grad[k] - (double)y->grad[k]));
			most = fmax(most, fabs((double)y->grad[k]));
		}
	}
	return worst / most;
}

static const struct {
	const char *json, *lora;
	int start;
	double ratio;
} cases[] = {
	{ "{\"r\": 3, \"lora_alpha\": 6, \"start_steps\": 0}", "{\"r\": 3, \"lora_alpha\": 6}", 0,
	  2 },
	{ "{\"r\": 2, \"lora_alpha\": 3, \"start_steps\": 3, \"update_ratio\": 0.7, "
	  "\"use_rslora\": true, \"lora_bias\": true}",
	  "{\"r\": 2, \"lora_alpha\": 3, \"use_rslora\": true, \"lora_bias\": true}", 3, 0.7 },
};

static void moves_as_the_paper_says(void)
{
	for (size_t c = 0; c < COUNT(cases); c++) {
		struct plain p[SITES];
		struct bench b, lora;

		CHECK(bench_open(&b, "delta_lora", cases[c].json, TASK_SEQ_CLS) == TT_OK);
		CHECK(bench_open(&lora, "lora", cases[c].lora, TASK_SEQ_CLS) == TT_OK);
		CHECK(b.method->nsite == SITES);
		for (size_t i = 0; i < SITES; i++) {
			for (int64_t n = 0; n < WEIGHT; n++)
				p[i].w[n] = (double)b.method->site[i]->weight->data[n];
		}
		for (int step = 1; step <= STEPS; step++) {
			const double want = plain_loss(&lora, &b, p);
			double loss = bench_loss(&b);

			CHECK_NEAR(loss, want, 1e-6 * fabs(want));
			CHECK(gradient_error(&b, &lora) < 1e-5);
			remember(&b, p);
			CHECK(stage_update(b.method, step) == TT_OK);
			loss = bench_train(&b, 0.03);
			CHECK(stage_done(b.method, step) == TT_OK && isfinite(loss));
			if (step > cases[c].start)
				move(&b, p, cases[c].ratio);
		}
		/* and the moves are in what is exported */
		CHECK(method_mergeable(b.method));
		remember(&b, p);
		for (size_t i = 0; i < SITES; i++) {
			const struct lowrank *l = at(&b, i);
			struct site *s = b.method->site[i];
			double worst = 0;

			for (int64_t n = 0; n < WEIGHT; n++) {
				for (int64_t k = 0; k < l->r; k++)
					p[i].w[n] += l->scale *
						     (double)p[i].b[n / SIDE * l->r + k] *
						     (double)p[i].a[k * SIDE + n % SIDE];
			}
			CHECK(b.method->ops->merge(b.method, s) == TT_OK);
			for (int64_t n = 0; n < WEIGHT; n++)
				worst = fmax(worst, fabs(p[i].w[n] - (double)s->weight->data[n]));
			CHECK(worst < 1e-6);
		}
		bench_close(&b);
		bench_close(&lora);
	}
}

/* A run of some steps, then its file, then another run from there: the function is the same to the bit. */
static void moved_adapters_come_back(void)
{
	static const char json[] = "{\"r\": 2, \"start_steps\": 1}";
	char dir[PATH_MAX];
	struct bench a, b;
	float *live, *loaded, *merged;
	int64_t n = 0;

	CHECK(bench_open(&a, "delta_lora", json, TASK_SEQ_CLS) == TT_OK);
	CHECK(!bench_model(&b, TASK_SEQ_CLS) &&
	      !bench_attach(&b, "delta_lora", json, TASK_SEQ_CLS, 43));
	for (int step = 1; step <= 4; step++) {
		CHECK(isfinite(bench_loss(&a)) && stage_update(a.method, step) == TT_OK);
		bench_train(&a, 0.05);
	}
	snprintf(dir, sizeof(dir), "%.4000s/adapter", a.dir);
	CHECK(adapter_save(a.method, dir, "toy") == TT_OK);
	if (!CHECK(adapter_load(b.method, dir) == TT_OK))
		printf("# %s\n", err_text());
	live = bench_logits(&a, &n);
	loaded = bench_logits(&b, &n);
	CHECK(live && loaded && bench_same(live, loaded, n, 0));
	CHECK(method_merge(b.method) == TT_OK);
	b.method = NULL;
	merged = bench_logits(&b, &n);
	CHECK(merged && bench_same(live, merged, n, 1e-5));
	free(live);
	free(loaded);
	free(merged);
	bench_close(&a);
	bench_close(&b);
}

struct heard {
	double moving, drift, move, rank;
};

static void listen(void *arg, const char *key, double value)
{
	struct heard *h = arg;

	if (!strcmp(key, "method/delta_lora/moving"))
		h->moving = value;
	if (!strcmp(key, "method/delta_lora/drift_max"))
		h->drift = value;
	if (!strcmp(key, "method/delta_lora/move_max"))
		h->move = value;
	if (!strcmp(key, "method/delta_lora/rank_max"))
		h->rank = value;
}

static double norm(const double *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	return sqrt(sum);
}

/* One adapted module, so that the largest is the only one. */
static void panel_tells_how_far(void)
{
	struct heard h = { .moving = NAN };
	const struct watch out = { .metric = listen, .arg = &h };
	double first[WEIGHT], before[WEIGHT], all[WEIGHT], last[WEIGHT];
	const struct lowrank *l;
	struct bench b;

	CHECK(bench_open(&b, "delta_lora",
			 "{\"r\": 1, \"start_steps\": 1, \"layers_to_transform\": 1, "
			 "\"target_modules\": [\"key\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	stage_watch(b.method, &out);
	CHECK(h.moving == 0);
	l = at(&b, 0);
	for (int step = 1; step <= 4; step++) {
		CHECK(isfinite(bench_loss(&b)) && stage_update(b.method, step) == TT_OK);
		for (int64_t n = 0; n < WEIGHT; n++)
			before[n] = (double)l->step.b->data[n / SIDE] *
				    (double)l->step.a->data[n % SIDE];
		if (step == 2)
			memcpy(first, before, sizeof(first));
		bench_train(&b, 0.05);
	}
	for (int64_t n = 0; n < WEIGHT; n++) {
		const double now = (double)l->step.b->data[n / SIDE] *
				   (double)l->step.a->data[n % SIDE];

		all[n] = 2 * l->scale * (now - first[n]);
		last[n] = 2 * l->scale * (now - before[n]);
	}
	stage_watch(b.method, &out);
	CHECK(h.moving == 1);
	CHECK_NEAR(h.drift, norm(all, WEIGHT) / l->weight_norm, 1e-6);
	CHECK_NEAR(h.move, norm(last, WEIGHT), 1e-6);
	/* two products of rank 1 that point into nearly the same direction */
	CHECK(h.rank >= 1 && h.rank <= 2);
	bench_close(&b);
}

static const struct {
	const char *json, *says;
} wrong[] = {
	{ "{\"lora_dropout\": 0.1}", "Delta-LoRA takes none" },
	{ "{\"init_lora_weights\": \"pissa\"}", "take the step out of W" },
	{ "{\"target_modules\": [\"word_embeddings\"]}", "cannot adapt" },
};

static void wrong_settings_are_refused(void)
{
	static const char other[] = "{\"peft_type\": \"TRIMTAB_DELTA_LORA\", \"weights_move\": "
				    "true, \"update_ratio\": 1.0}";
	struct bench b;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
		CHECK_NAMED(bench_attach(&b, "delta_lora", wrong[i].json, TASK_SEQ_CLS, 42) ==
				    TT_INVALID,
			    wrong[i].json);
		CHECK_NAMED(strstr(err_text(), wrong[i].says) != NULL, wrong[i].json);
		bench_close(&b);
	}
	CHECK(bench_open(&b, "delta_lora", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_check_config(b.method, other, strlen(other)) == TT_INVALID);
	CHECK(strstr(err_text(), "update_ratio is 1, and the recipe says 2") != NULL);
	bench_close(&b);
}

int main(void)
{
	moves_as_the_paper_says();
	moved_adapters_come_back();
	panel_tells_how_far();
	wrong_settings_are_refused();
	return bench_done();
}
