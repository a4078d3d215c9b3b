/*
 * Masks: as many numbers as the density says, those with the best scores; the
 * others never move. The largest of many are told without sorting them.
 */
#include "tests/method/bench.h"

#include "base/array.h"
#include "method/topk.h"

#define VALUE "bert.encoder.layer.1.attention.self.value.weight"

static void the_largest(void)
{
	static const float a[] = { 3, 1, 2, 3, 0 }, b[] = { 5, 2, 0, 2 };
	static const float *const piece[] = { a, b };
	static const int64_t size[] = { 5, 4 };
	static const bool want[][9] = {
		{ 0, 0, 0, 0, 0, 1, 0, 0, 0 }, { 1, 0, 0, 1, 0, 1, 0, 0, 0 },
		{ 1, 0, 1, 1, 0, 1, 0, 0, 0 }, { 1, 0, 1, 1, 0, 1, 1, 0, 0 },
		{ 1, 1, 1, 1, 1, 1, 1, 1, 1 },
	};
	static const int64_t k[] = { 1, 3, 4, 5, 9 };

	for (size_t i = 0; i < COUNT(k); i++) {
		struct topk t = topk_find(piece, size, 2, k[i]);
		bool good = true;

		for (int j = 0; j < 9; j++)
			good = (topk_takes(&t, j < 5 ? a[j] : b[j - 5]) == want[i][j]) && good;
		CHECK(good);
	}
}

/* How many numbers of the base's linear weights have moved, and how many there are. */
static int64_t moved(const struct bench *b, const struct bench *base, int64_t *ret_all)
{
	int64_t n = 0;

	*ret_all = 0;
	for (size_t i = 0; i < b->model->nsite; i++) {
		const struct site *s = &b->model->site[i], *o = &base->model->site[i];

		if (!(s->kind & SITE_LINEAR) || s->kind & SITE_HEAD)
			continue;
		for (int64_t k = 0; k < tensor_count(s->weight); k++)
			n += memcmp(s->weight->data + k, o->weight->data + k, sizeof(float)) != 0;
		*ret_all += tensor_count(s->weight);
	}
	return n;
}

static const struct {
	const char *json;
	double share;
} kinds[] = {
	{ "{\"density\": 0.1}", 0.1 },
	{ "{\"density\": 0.1, \"selection\": \"magnitude\"}", 0.1 },
	{ "{\"density\": 0.1, \"selection\": \"pafi\"}", 0.1 },
	{ "{\"density\": 0.1, \"selection\": \"random\"}", 0.1 },
	{ "{\"density\": 0.25, \"selection\": \"magnitude\", \"structure\": \"rows\"}", 0.25 },
};

static void only_they_move(void)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct bench base, b;
		int64_t n, all;

		CHECK(bench_model(&base, TASK_SEQ_CLS) == TT_OK);
		CHECK(bench_open(&b, "mask", kinds[i].json, TASK_SEQ_CLS) == TT_OK);
		CHECK(moved(&b, &base, &all) == 0);
		bench_shake(&b, 0.1f);
		CHECK(stage_refresh(b.method) == TT_OK);
		n = moved(&b, &base, &all);
		CHECK_NAMED((double)n <= kinds[i].share * (double)all &&
				    (double)n > (kinds[i].share - 0.02) * (double)all,
			    kinds[i].json);
		bench_close(&b);
		bench_close(&base);
	}
}

/* Of one weight the largest numbers, and rows whole. */
static void by_size(void)
{
	static const char one[] = "{\"density\": 0.125, \"selection\": \"magnitude\", "
				  "\"target_modules\": [\"layer.1.attention.self.value\"]";
	struct bench base, b;
	char json[256];
	float least = INFINITY, most = 0;
	const float *was, *now;

	for (int rows = 0; rows < 2; rows++) {
		int changed_rows = 0;

		snprintf(json, sizeof(json), "%s%s}", one, rows ? ", \"structure\": \"rows\"" : "");
		CHECK(bench_model(&base, TASK_SEQ_CLS) == TT_OK);
		CHECK(bench_open(&b, "mask", json, TASK_SEQ_CLS) == TT_OK);
		bench_shake(&b, 0.1f);
		CHECK(stage_refresh(b.method) == TT_OK);
		was = model_param(base.model, VALUE)->data;
		now = model_param(b.model, VALUE)->data;
		for (int r = 0; r < 8; r++)
			changed_rows += memcmp(was + 8 * r, now + 8 * r, 8 * sizeof(float)) != 0;
		for (int k = 0; k < 64 && !rows; k++) {
			const float size = fabsf(was[k]);

			if (memcmp(was + k, now + k, sizeof(float)) != 0)
				least = fminf(least, size);
			else
				most = fmaxf(most, size);
		}
		CHECK(rows ? changed_rows == 1 : least >= most);
		bench_close(&b);
		bench_close(&base);
	}
}

static const struct {
	const char *json;
	bool fewer; /* is less than the whole computed of some weight? */
} asks[] = {
	{ "{\"density\": 0.2, \"structure\": \"rows\"}", true },
	{ "{\"density\": 0.2, \"structure\": \"heads\", \"selection\": \"magnitude\"}", true },
	{ "{\"density\": 0.01, \"selection\": \"random\"}", true },
	{ "{\"density\": 0.9}", false },
};

/* Gradients of what trains; NULL: no memory. */
static float *gradient(struct bench *b, size_t *ret_n)
{
	const struct tensor *value = b->method->param[0];
	float *copy = malloc((size_t)tensor_count(value) * sizeof(*copy));

	CHECK(isfinite(bench_loss(b)));
	*ret_n = (size_t)tensor_count(value);
	if (copy)
		memcpy(copy, value->grad, *ret_n * sizeof(*copy));
	return copy;
}

/* Computing rows that train alone gives the same bits as the whole gradient of every weight. */
static void rows_alone_are_the_same(void)
{
	for (size_t i = 0; i < COUNT(asks); i++) {
		struct bench b;
		size_t n = 0, fewer = 0;
		float *rows, *whole;

		CHECK(bench_open(&b, "mask", asks[i].json, TASK_SEQ_CLS) == TT_OK);
		bench_shake(&b, 0.1f);
		CHECK(strstr(b.method->param[0]->name, "mask.value") != NULL);
		rows = gradient(&b, &n);
		for (size_t k = 0; k < b.model->nsite; k++) {
			struct tensor *w = b.model->site[k].weight;

			if (b.model->site[k].hooks && w) {
				fewer += w->grad_rows || !w->needs;
				w->grad_rows = NULL;
				w->needs = true;
			}
		}
		CHECK_NAMED((fewer > 0) == asks[i].fewer, asks[i].json);
		whole = gradient(&b, &n);
		CHECK_NAMED(rows && whole && !memcmp(rows, whole, n * sizeof(*rows)), asks[i].json);
		free(rows);
		free(whole);
		bench_close(&b);
	}
}

static const struct {
	const char *json, *why;
} refused[] = {
	{ "{\"density\": 1e-9}", "is not one; make it larger" },
	{ "{\"density\": 0.005, \"structure\": \"rows\", \"selection\": \"random\"}",
	  "less than one row" },
};

static void what_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct bench b;

		CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
		CHECK_NAMED(bench_attach(&b, "mask", refused[i].json, TASK_SEQ_CLS, 42) ==
					    TT_INVALID &&
				    strstr(err_text(), refused[i].why),
			    refused[i].why);
		bench_close(&b);
	}
}

int main(void)
{
	the_largest();
	only_they_move();
	by_size();
	rows_alone_are_the_same();
	what_is_refused();
	return bench_done();
}
