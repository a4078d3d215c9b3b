/*
 * AdaLoRA: its scale, its penalty, how ranks move over a run, and adapter files
 * of modules with fewer ranks, or none.
 */
#include "tests/method/bench.h"

#include "base/array.h"
#include "method/adalora.h"
#include "model/safetensors.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"

static const struct adalora_site *at(const struct bench *b, size_t i)
{
	return b->method->site[i]->state;
}

static const char small[] = "{\"init_r\": 4, \"target_r\": 2, \"tinit\": 2, \"tfinal\": 3, "
			    "\"deltaT\": 2, \"lora_alpha\": 6}";

static bool open_small(struct bench *b, const char *json)
{
	const int code = bench_open(b, "adalora", json, TASK_SEQ_CLS);

	if (code)
		printf("# %s\n", err_text());
	return CHECK_NAMED(code == TT_OK, json);
}

/* A whole step, as a trainer makes it. */
static void step(struct bench *b)
{
	bench_train(b, 0.02);
	CHECK(stage_done(b->method, b->step) == TT_OK);
}

static int64_t masked(const struct bench *b)
{
	int64_t n = 0;

	for (size_t i = 0; i < b->method->nsite; i++) {
		for (int64_t k = 0; k < at(b, i)->low.r; k++)
			n += at(b, i)->masked->data[k] > 0;
	}
	return n;
}

/* Are just the masked triplets without a value? */
static bool masks_hold(const struct bench *b)
{
	for (size_t i = 0; i < b->method->nsite; i++) {
		for (int64_t k = 0; k < at(b, i)->low.r; k++) {
			const float e = at(b, i)->factor[ADALORA_E]->data[k];

			if ((at(b, i)->masked->data[k] > 0) != (fabsf(e) <= 0))
				return false;
		}
	}
	return true;
}

static void scale_is_by_init_r(void)
{
	static const struct {
		const char *json;
		double scale;
	} rows[] = {
		{ "{}", 8 / (12 + 1e-5) },
		{ "{\"init_r\": 4, \"target_r\": 1, \"lora_alpha\": 6}", 6 / (4 + 1e-5) },
		{ "{\"init_r\": 4, \"target_r\": 1, \"lora_alpha\": 0}", 4 / (4 + 1e-5) },
		{ "{\"init_r\": 4, \"target_r\": 1, \"lora_alpha\": -2}", 4 / (4 + 1e-5) },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench b;

		if (open_small(&b, rows[i].json))
			CHECK_NAMED(fabs(at(&b, 0)->low.scale - rows[i].scale) < 1e-12,
				    rows[i].json);
		bench_close(&b);
	}
}

/* weight / M times the sum over A and B of |C - I|, in double. */
static double penalty_of(const struct bench *b, double weight)
{
	double sum = 0;

	for (size_t i = 0; i < b->method->nsite; i++) {
		const struct tensor *a = at(b, i)->factor[ADALORA_A],
				    *left = at(b, i)->factor[ADALORA_B];
		const int64_t r = a->dim[0];
		double rows = 0, cols = 0;

		for (int64_t p = 0; p < r * r; p++) {
			double x = p % r == p / r ? -1 : 0, y = x;

			for (int64_t k = 0; k < a->dim[1]; k++)
				x += (double)a->data[p / r * a->dim[1] + k] *
				     (double)a->data[p % r * a->dim[1] + k];
			for (int64_t k = 0; k < left->dim[0]; k++)
				y += (double)left->data[k * r + p / r] *
				     (double)left->data[k * r + p % r];
			rows += x * x;
			cols += y * y;
		}
		sum += sqrt(rows) + sqrt(cols);
	}
	return weight * sum / (2.0 * (double)b->method->nsite);
}

static void penalty_is_a_mean_of_norms(void)
{
	struct bench b;

	open_small(&b, "{\"init_r\": 3, \"target_r\": 2, \"orth_reg_weight\": 0.25}");
	bench_shake(&b, 0.3f);
	CHECK(isfinite(bench_loss(&b)));
	CHECK_NEAR(b.penalty, penalty_of(&b, 0.25), 1e-6);
	CHECK(b.penalty > 0.1);
	bench_close(&b);
}

/* Twelve steps, 16 ranks that become 8: what is masked when, and what grows in between. */
static void ranks_move_on_schedule(void)
{
	const struct rank_plan plan = {
		.first = 16, .last = 8, .tinit = 2, .tfinal = 3, .deltaT = 2, .total = 12
	};
	struct bench b;
	int64_t want = 0;

	open_small(&b, small);
	CHECK(stage_plan(b.method, 12) == TT_OK && adalora_total(b.method) == 12);
	for (int64_t t = 0; t < 12; t++) {
		bool due;
		const int64_t budget = rank_budget(&plan, t, &due);
		char what[24];

		step(&b);
		snprintf(what, sizeof(what), "t = %d", (int)t);
		want = due ? 16 - budget : want;
		CHECK_NAMED(masked(&b) == want, what);
		/* at a move, and in the final phase at every step, nothing masked has a value */
		CHECK_NAMED(masks_hold(&b) == (due || t > 9 || !want), what);
	}
	for (int i = 0; i < ADALORA_FACTORS; i++)
		CHECK(fabsf(at(&b, 0)->sense[i]->data[0]) <= 0);
	bench_close(&b);
}

/* Scores of the move at t = 2, from the factors and gradients of steps 0 to 2. */
static void lowest_scores_fall(void)
{
	enum { R = 4, NUMBERS = 2 * (R * 8 + R + 8 * R), TRIPLETS = 2 * 2 * R };
	static double sense[2][2][ADALORA_FACTORS][8 * R], doubt[2][2][ADALORA_FACTORS][8 * R];
	double score[TRIPLETS], mean[ADALORA_FACTORS];
	int higher = 0, fell = 0;
	struct bench b;

	open_small(&b, "{\"init_r\": 4, \"target_r\": 1, \"tinit\": 1, \"deltaT\": 2, "
		       "\"lora_alpha\": 6, \"total_step\": 6}");
	CHECK(stage_plan(b.method, 6) == TT_OK && b.method->nsite == 4);
	for (int t = 0; t <= 2; t++) {
		bench_train(&b, 0.02);
		for (size_t i = 0; i < 4; i++) {
			for (int f = 0; f < ADALORA_FACTORS; f++) {
				const struct tensor *x = at(&b, i)->factor[f];
				double *s = sense[i / 2][i % 2][f], *d = doubt[i / 2][i % 2][f];

				for (int64_t k = 0; k < tensor_count(x); k++) {
					const double now = fabs((double)x->data[k] *
								(double)x->grad[k]);

					s[k] = 0.85 * s[k] + 0.15 * now;
					d[k] = 0.85 * d[k] + 0.15 * fabs(now - s[k]);
				}
			}
		}
		CHECK(stage_done(b.method, b.step) == TT_OK);
	}
	for (size_t i = 0; i < 4; i++) {
		for (int k = 0; k < R; k++) {
			for (int f = 0; f < ADALORA_FACTORS; f++) {
				const double *s = sense[i / 2][i % 2][f],
					     *d = doubt[i / 2][i % 2][f];
				const int n = f == ADALORA_E ? 1 : 8;

				mean[f] = 0;
				for (int c = 0; c < n; c++) {
					const int where = f == ADALORA_A   ? k * 8 + c
							  : f == ADALORA_B ? c * R + k
									   : k;

					mean[f] += s[where] * d[where] / n;
				}
			}
			score[i * R + (size_t)k] = mean[ADALORA_A] + mean[ADALORA_E] +
						   mean[ADALORA_B];
		}
	}
	/* every triplet that fell scores less than every one that did not */
	for (int p = 0; p < TRIPLETS; p++) {
		for (int q = 0; q < TRIPLETS; q++) {
			const bool p_fell = at(&b, (size_t)(p / R))->masked->data[p % R] > 0,
				   q_fell = at(&b, (size_t)(q / R))->masked->data[q % R] > 0;

			fell += p == q && p_fell;
			higher += p_fell && !q_fell && !(score[p] < score[q]);
		}
	}
	/* b(2) = int(12 (3/4... of the way: 1 - 1/5)^3 + 4) = int(10.144) */
	CHECK(fell == 16 - 10 && !higher);
	bench_close(&b);
}

/* Scores that are equal fall together: without gradients all of them do. */
static void ties_fall_together(void)
{
	struct bench b;
	double tied;

	open_small(&b, "{\"init_r\": 2, \"target_r\": 1, \"total_step\": 4}");
	CHECK(stage_plan(b.method, 4) == TT_OK);
	bench_shake(&b, 0.1f);
	CHECK(isfinite(bench_loss(&b)));
	for (size_t i = 0; i < b.method->nparam; i++)
		memset(b.method->param[i]->grad, 0,
		       (size_t)tensor_count(b.method->param[i]) * sizeof(float));
	CHECK(stage_done(b.method, 2) == TT_OK);
	CHECK(masked(&b) == 8 && masks_hold(&b));
	tied = (double)((const struct adalora *)b.method->state)->ledger->data[LEDGER_TIED];
	/* b(1) = int(4 (3/4)^3 + 4) = 5 */
	CHECK_NEAR(tied, 5, 0);
	bench_close(&b);
}

static void equal_ranks_never_move(void)
{
	struct bench b;

	open_small(&b, "{\"init_r\": 3, \"target_r\": 3}");
	CHECK(stage_plan(b.method, 4) == TT_OK);
	for (int i = 0; i < 4; i++)
		step(&b);
	CHECK(masked(&b) == 0);
	bench_close(&b);
}

/* ---- files ---- */

/* Rank 0 in the first module, 2 of 4 in the second, and one of them has grown again. */
static void prune(struct bench *b)
{
	for (int k = 0; k < 4; k++) {
		at(b, 0)->masked->data[k] = 1;
		at(b, 0)->factor[ADALORA_E]->data[k] = 0;
		at(b, 1)->masked->data[k] = k > 0;
	}
	at(b, 1)->factor[ADALORA_E]->data[1] = at(b, 1)->factor[ADALORA_E]->data[3] = 0;
}

static bool has_shape(const struct st_file *f, const char *leaf, int64_t d0, int64_t d1)
{
	char name[200];
	const struct st_tensor *t;

	snprintf(name, sizeof(name), "base_model.model.%s.%s", QUERY, leaf);
	t = st_find(f, name);
	return t && t->rank == 2 && t->dim[0] == d0 && t->dim[1] == d1;
}

static void check_file(const char *dir)
{
	char path[PATH_MAX];
	struct json *config = NULL;
	struct st_file *f = NULL;
	const struct json *j;

	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK);
	CHECK(st_open(path, &f) == TT_OK);
	CHECK(has_shape(f, "lora_A", 0, 8) && has_shape(f, "lora_E", 0, 1) &&
	      has_shape(f, "lora_B", 8, 0));
	st_close(f);
	CHECK(fs_join(path, sizeof(path), dir, "adapter_config.json") == TT_OK);
	CHECK(json_load(path, 1 << 20, &config) == TT_OK);
	j = json_get(json_get(config, "rank_pattern"), QUERY ".lora_E");
	CHECK(j && json_count(j) == 4 && !json_bool(json_first(j)));
	j = json_get(json_get(config, "rank_pattern"),
		     "bert.encoder.layer.0.attention.self.value.lora_E");
	CHECK(j && json_bool(json_first(j)) && !json_bool(json_next(json_first(j))) &&
	      json_bool(json_next(json_next(json_first(j)))));
	CHECK(json_number(json_get(config, "total_step")) == 12);
	json_free(config);
}

static void pruned_adapters_come_back(void)
{
	char dir[PATH_MAX], again[PATH_MAX];
	struct bench a, b;
	float *live, *loaded, *third;
	int64_t n = 0;

	open_small(&a, small);
	CHECK(!bench_model(&b, TASK_SEQ_CLS) &&
	      !bench_attach(&b, "adalora", small, TASK_SEQ_CLS, 43));
	CHECK(stage_plan(a.method, 12) == TT_OK);
	bench_shake(&a, 0.2f);
	prune(&a);
	snprintf(dir, sizeof(dir), "%.4000s/adapter", a.dir);
	snprintf(again, sizeof(again), "%.4000s/again", a.dir);
	CHECK(adapter_save(a.method, dir, "toy") == TT_OK);
	check_file(dir);
	/* what was there before the loading must not shine through */
	bench_shake(&b, 0.2f);
	if (!CHECK(adapter_load(b.method, dir) == TT_OK))
		printf("# %s\n", err_text());
	live = bench_logits(&a, &n);
	loaded = bench_logits(&b, &n);
	CHECK(live && loaded && bench_same(live, loaded, n, 0));
	CHECK(adapter_save(b.method, again, "toy") == TT_OK &&
	      adapter_load(a.method, again) == TT_OK);
	third = bench_logits(&a, &n);
	CHECK(third && bench_same(live, third, n, 0));
	free(live);
	free(loaded);
	free(third);
	bench_close(&a);
	bench_close(&b);
}

static const struct {
	const char *config, *says;
} configs[] = {
	{ "\"init_r\": 5", "init_r is 5" },
	{ "\"init_r\": 4, \"lora_alpha\": 4", "lora_alpha is 4" },
	{ "\"init_r\": 4, \"lora_alpha\": -1", "lora_alpha is 4" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"use_dora\": true", "use_dora" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"use_qalora\": true", "use_qalora" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"rank_pattern\": [true]", "not an object" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"rank_pattern\": {\"x.lora_E\": [true]}",
	  "does not adapt" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"rank_pattern\": {\"" QUERY ".lora_E\": [true]}",
	  "no list of init_r" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"rank_pattern\": {\"" QUERY
	  ".lora_E\": [true, 1, true, true]}",
	  "true and false" },
	{ "\"init_r\": 4, \"lora_alpha\": 6, \"rank_pattern\": null", NULL },
	{ "\"init_r\": 4, \"lora_alpha\": 6.0, \"rank_pattern\": {\"" QUERY
	  ".lora_E\": [true, false, false, true]}",
	  NULL },
};

static void other_adapters_are_refused(void)
{
	struct bench b;

	open_small(&b, small);
	for (size_t i = 0; i < COUNT(configs); i++) {
		char text[400];
		int code;

		snprintf(text, sizeof(text), "{\"peft_type\": \"ADALORA\", %s}", configs[i].config);
		code = adapter_check_config(b.method, text, strlen(text));
		CHECK_NAMED(code == (configs[i].says ? TT_INVALID : TT_OK), configs[i].config);
		if (configs[i].says)
			CHECK_NAMED(strstr(err_text(), configs[i].says) != NULL, configs[i].config);
	}
	bench_close(&b);
}

static const struct {
	const char *json, *says;
} wrong[] = {
	{ "{\"init_r\": 4, \"target_r\": 5}", "target_r is 5, more than peft.init_r, 4" },
	{ "{\"r\": 4}", "write init_r and target_r" },
	{ "{\"init_lora_weights\": \"pissa\"}", "true or false" },
	{ "{\"total_step\": 10, \"tinit\": 4, \"tfinal\": 6}",
	  "peft.tinit 4 and peft.tfinal 6 leave none of total_step's 10 steps" },
	{ "{\"target_modules\": [\"word_embeddings\"]}", "cannot adapt" },
};

static void wrong_settings_are_refused(void)
{
	struct bench b;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
		CHECK_NAMED(bench_attach(&b, "adalora", wrong[i].json, TASK_SEQ_CLS, 42) ==
				    TT_INVALID,
			    wrong[i].json);
		if (!CHECK_NAMED(strstr(err_text(), wrong[i].says) != NULL, wrong[i].json))
			printf("# %s\n", err_text());
		bench_close(&b);
	}
	/* without total_step it is the run that must be long enough */
	open_small(&b, small);
	CHECK(stage_plan(b.method, 5) == TT_INVALID);
	CHECK(strstr(err_text(), "leave none of the run's 5 steps") != NULL);
	CHECK(stage_plan(b.method, 0) == TT_OK);
	bench_close(&b);
}

/* ---- the panel ---- */

struct heard {
	double rank, kept, budget, phase, orth;
	char alarm[256];
};

static void listen(void *arg, const char *key, double value)
{
	struct heard *h = arg;
	const struct {
		const char *key;
		double *to;
	} table[] = {
		{ "method/adalora/rank/layer_0/attention.self.query", &h->rank },
		{ "method/adalora/kept", &h->kept },
		{ "method/adalora/budget", &h->budget },
		{ "method/adalora/phase", &h->phase },
		{ "method/adalora/orth_error", &h->orth },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		if (!strcmp(key, table[i].key))
			*table[i].to = value;
	}
}

static void hear(void *arg, const char *text)
{
	struct heard *h = arg;

	snprintf(h->alarm, sizeof(h->alarm), "%s", text);
}

static void panel_tells_where_ranks_are(void)
{
	struct heard h = { .rank = NAN };
	struct watch out = { .metric = listen, .arg = &h, .alarm = hear };
	struct bench b;

	open_small(&b, small);
	CHECK(stage_plan(b.method, 12) == TT_OK);
	stage_watch(b.method, &out);
	CHECK(h.rank == 4 && h.kept == 16 && h.budget == 16 && h.phase == RANK_WARMUP);
	CHECK_NEAR(h.orth, penalty_of(&b, 1), 1e-6);
	for (int i = 0; i < 12; i++)
		step(&b);
	out.step = 12;
	stage_watch(b.method, &out);
	CHECK(h.rank < 5 && h.kept == 8 && h.budget == 8 && h.phase == RANK_FINAL && !*h.alarm);
	bench_close(&b);
	/* a budget for more steps than the run has: nothing will move */
	open_small(&b, "{\"init_r\": 4, \"target_r\": 2, \"tinit\": 50, \"total_step\": 100}");
	CHECK(stage_plan(b.method, 12) == TT_OK);
	out.step = 0;
	stage_watch(b.method, &out);
	CHECK(strstr(h.alarm, "no rank has moved, and none will in this run's 12 steps") != NULL);
	bench_close(&b);
}

int main(void)
{
	scale_is_by_init_r();
	penalty_is_a_mean_of_norms();
	ranks_move_on_schedule();
	lowest_scores_fall();
	ties_fall_together();
	equal_ranks_never_move();
	pruned_adapters_come_back();
	other_adapters_are_refused();
	wrong_settings_are_refused();
	panel_tells_where_ranks_are();
	return bench_done();
}
