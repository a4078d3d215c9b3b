/*
 * Several methods in one batch against each alone: every method with another one of its
 * kind, and with LoRA where the text stands in the same place. On ref a row's numbers
 * do not depend on other rows, so they are the same to the bit.
 */
#include "tests/method/adapters.h"

#include "base/array.h"
#include "method/mixed.h"

enum { PARTS = 3 };

static struct bench base;

/* A method in a model of its own that shares the base's numbers, with first values that were moved. */
static int part_open(struct bench *p, const char *name, const char *json, uint64_t seed)
{
	int code;

	*p = (struct bench){ .arena = arena_new(),
			     .gemm = base.gemm,
			     .tokenizer = base.tokenizer,
			     .batch = base.batch };
	code = model_share(base.model, &p->model);
	if (!code)
		code = graph_new(base.gemm, &p->graph);
	if (!code)
		code = bench_attach(p, name, json, TASK_SEQ_CLS, seed);
	if (!code)
		bench_shake(p, 0.2f);
	return code;
}

static void part_close(struct bench *p)
{
	p->gemm = NULL;
	p->tokenizer = NULL;
	bench_close(p);
}

static bool changes_a_table(const struct bench *p)
{
	for (size_t i = 0; i < base.model->nsite; i++) {
		const struct site *s = &base.model->site[i];

		if (s->kind & SITE_EMBED && p->model->site[i].weight->data != s->weight->data)
			return true;
	}
	return false;
}

/* The logits of a batch whose sequence s is of part who[s], where all have the host of the first. */
static float *together(struct mixed *x, const int32_t *who)
{
	const struct pass pass = { .seed = 1 };
	float *copy = malloc(BENCH_ROWS * BENCH_LABELS * sizeof(*copy));
	struct tensor *y;

	mixed_assign(x, who);
	CHECK(mixed_refresh(x) == TT_OK);
	graph_begin(base.graph, &pass, NULL, 0);
	y = model_forward(mixed_host(x, who[0]), base.graph, &base.batch);
	CHECK(y != NULL);
	if (y && copy)
		memcpy(copy, y->data, BENCH_ROWS * BENCH_LABELS * sizeof(*copy));
	graph_end(base.graph);
	return copy;
}

static void compare(const char *what, struct bench *part, struct mixed *x, const int32_t *who)
{
	float *mixed = together(x, who);
	double apart = 0;

	for (int k = 0; k < PARTS; k++) {
		int64_t n;
		float *alone = bench_logits(&part[k], &n);

		CHECK_NAMED(alone != NULL, what);
		for (int s = 0; alone && s < BENCH_ROWS; s++) {
			const bool same = bench_same(mixed + s * BENCH_LABELS,
						     alone + s * BENCH_LABELS, BENCH_LABELS, 0);

			if (who[s] == k)
				CHECK_NAMED(same, what);
			else
				apart += fabs((double)mixed[s * BENCH_LABELS] -
					      (double)alone[s * BENCH_LABELS]);
		}
		free(alone);
	}
	/* a part's rows are not the others' */
	CHECK_NAMED(apart > 1e-3, what);
	free(mixed);
}

static void one(const struct method_row *row)
{
	/* C where it may be in the batch, else one more of B */
	int32_t who[BENCH_ROWS] = { 0, 0, 0, 1, 1, 1, 2, 2 };
	struct bench part[PARTS];
	struct mixed_part list[PARTS] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
	struct mixed *x = NULL;
	int code;

	CHECK_NAMED(part_open(&part[0], row->method, row->json, 42) == TT_OK, row->json);
	CHECK_NAMED(part_open(&part[1], row->method, row->json, 43) == TT_OK, row->json);
	CHECK(part_open(&part[2], "lora", "{\"r\": 2, \"target_modules\": \"all-linear\"}", 44) ==
	      TT_OK);
	/* the same noise was added to both of a kind, so first values alone may be alike */
	bench_shake(&part[1], 0.1f);
	for (int k = 0; k < PARTS; k++) {
		list[k].model = part[k].model;
		list[k].method = part[k].method;
	}
	code = mixed_new(base.model, list, PARTS, &x);
	if (changes_a_table(&part[0])) {
		CHECK_NAMED(code == TT_INVALID && strstr(err_text(), "use it alone"), row->json);
	} else {
		CHECK_NAMED(code == TT_OK && mixed_count(x) == PARTS, row->json);
		CHECK(mixed_host(x, 0) == mixed_host(x, 1));
		if (mixed_host(x, 0) != mixed_host(x, 2))
			who[6] = who[7] = 1;
		compare(row->json, part, x, who);
	}
	mixed_free(x);
	for (int k = 0; k < PARTS; k++)
		part_close(&part[k]);
}

/* Every model holds what its method changed, and nothing else. */
static void numbers_are_shared(void)
{
	struct bench p;
	size_t own = 0;

	CHECK(part_open(&p, "head", "{}", 42) == TT_OK);
	for (size_t i = 0; i < base.model->nparam; i++)
		own += p.model->param[i]->data != base.model->param[i]->data;
	CHECK(own == 2);
	CHECK(model_param(p.model, "bert.embeddings.word_embeddings.weight")->data ==
	      model_param(base.model, "bert.embeddings.word_embeddings.weight")->data);
	part_close(&p);
}

int main(void)
{
	CHECK(bench_model(&base, TASK_SEQ_CLS) == TT_OK);
	CHECK(model_prepare(base.model, false) == TT_OK);
	CHECK(adapters_make() == TT_OK);
	numbers_are_shared();
	for (size_t i = 0; i < METHOD_ROWS; i++)
		one(&method_rows[i]);
	bench_close(&base);
	return bench_done();
}
