/*
 * Diff pruning: gates as the formulas have them, and the projection to the
 * largest differences, which leaves the share that was asked for.
 */
#include "tests/method/bench.h"

static int64_t differing(const struct bench *b, const struct bench *base, int64_t *ret_all)
{
	int64_t n = 0;

	*ret_all = 0;
	for (size_t i = 0; i < b->model->nparam; i++) {
		const struct tensor *t = b->model->param[i], *o = base->model->param[i];

		if (!strncmp(t->name, "classifier", 10))
			continue;
		for (int64_t k = 0; k < tensor_count(t); k++)
			n += memcmp(t->data + k, o->data + k, sizeof(float)) != 0;
		*ret_all += tensor_count(t);
	}
	return n;
}

/* After the step that fixes the places, the share that was asked for differs, at most. */
static void only_the_largest_stay(void)
{
	struct bench base, b;
	int64_t all, n;

	CHECK(bench_model(&base, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "diff_pruning",
			 "{\"target_sparsity\": 0.25, \"fixed_mask_ratio\": 0.5}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(b.method->ops->plan(b.method, 10) == TT_OK);
	bench_shake(&b, 0.1f);
	CHECK(stage_refresh(b.method) == TT_OK);
	n = differing(&b, &base, &all);
	CHECK((double)n > 0.9 * (double)all);
	CHECK(stage_done(b.method, 4) == TT_OK && stage_refresh(b.method) == TT_OK &&
	      differing(&b, &base, &all) == n);
	CHECK(stage_done(b.method, 5) == TT_OK && stage_refresh(b.method) == TT_OK);
	n = differing(&b, &base, &all);
	CHECK((double)n <= 0.25 * (double)all && (double)n > 0.24 * (double)all);
	for (int i = 0; i < 5; i++)
		(void)bench_train(&b, 0.01);
	CHECK(stage_refresh(b.method) == TT_OK && differing(&b, &base, &all) <= n);
	bench_close(&b);
	bench_close(&base);
}

/* P(z > 0) of alpha 5 is 0.993307 (peft-methods 6), so an untrained run expects so many. */
static void what_it_expects(void)
{
	struct bench b;
	struct tensor *penalty;
	const struct pass pass = { .train = true, .seed = 1 };
	int64_t numbers = 0, tensors = 0;

	CHECK(bench_open(&b, "diff_pruning", "{\"sparsity_penalty\": 1e-3}", TASK_SEQ_CLS) ==
	      TT_OK);
	for (size_t i = 0; i < b.model->nparam; i++) {
		if (!strncmp(b.model->param[i]->name, "classifier", 10))
			continue;
		numbers += tensor_count(b.model->param[i]);
		tensors++;
	}
	graph_begin(b.tape, &pass, b.leaves, 0);
	penalty = b.method->ops->penalty(b.method, b.tape);
	CHECK(penalty != NULL);
	if (penalty)
		CHECK_NEAR((double)penalty->data[0], 1e-3 * 0.993307 * (double)(numbers + tensors),
			   1e-3);
	bench_close(&b);
}

int main(void)
{
	only_the_largest_stay();
	what_it_expects();
	return bench_done();
}
