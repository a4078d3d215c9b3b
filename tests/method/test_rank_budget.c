/* AdaLoRA's budget, its phases, and what scores are made of. */
#include "tests/check.h"

#include "base/array.h"
#include "method/rank_budget.h"

static const struct {
	int64_t t, budget;
	bool due;
	enum rank_phase phase;
} golden[] = {
	{ 0, 16, false, RANK_WARMUP },  { 4, 16, false, RANK_WARMUP },
	{ 5, 13, false, RANK_PRUNING }, { 6, 12, true, RANK_PRUNING },
	{ 7, 10, false, RANK_PRUNING }, { 8, 9, true, RANK_PRUNING },
	{ 9, 9, false, RANK_PRUNING },  { 10, 8, true, RANK_PRUNING },
	{ 11, 8, false, RANK_PRUNING }, { 12, 8, true, RANK_PRUNING },
	{ 13, 8, false, RANK_PRUNING }, { 14, 8, true, RANK_FINAL },
	{ 15, 8, false, RANK_FINAL },   { 40, 8, false, RANK_FINAL },
};

static void falls_by_the_cube(void)
{
	const struct rank_plan p = {
		.first = 16, .last = 8, .tinit = 4, .tfinal = 6, .deltaT = 2, .total = 20
	};

	for (size_t i = 0; i < COUNT(golden); i++) {
		char what[32];
		bool due;

		snprintf(what, sizeof(what), "t = %d", (int)golden[i].t);
		CHECK_NAMED(rank_budget(&p, golden[i].t, &due) == golden[i].budget, what);
		CHECK_NAMED(due == golden[i].due, what);
		CHECK_NAMED(rank_phase(&p, golden[i].t) == golden[i].phase, what);
	}
	CHECK(rank_first_move(&p, 20) == 6 && rank_first_move(&p, 6) == -1);
}

/* The last move is made at total - tfinal whatever deltaT is; without a final phase there is none. */
static void ends_with_a_move(void)
{
	struct rank_plan p = { .first = 6, .last = 2, .tfinal = 3, .deltaT = 100, .total = 10 };
	bool due;

	CHECK(rank_budget(&p, 7, &due) == 2 && due);
	CHECK(rank_budget(&p, 6, &due) == 2 && !due);
	CHECK(rank_first_move(&p, 10) == 7);
	p.tfinal = 0;
	CHECK(rank_first_move(&p, 10) == -1);
	p.deltaT = 1;
	CHECK(rank_first_move(&p, 10) == 1);
	p.last = 6;
	CHECK(rank_first_move(&p, 10) == -1 && rank_budget(&p, 5, &due) == 6);
}

static void averages_follow_the_product(void)
{
	const struct rank_decay d = { 0.75, 0.5 };
	const float x[] = { 2, -1 }, g[] = { -0.5F, 4 };
	float sense[2] = { 1, 2 }, doubt[2] = { 0, 8 };

	rank_average(sense, doubt, x, g, 2, &d);
	/* |x g| is 1 and 4: 0.75 + 0.25, 1.5 + 1; then 0, and 4 + 0.5 (4 - 2.5) */
	CHECK(sense[0] == 1 && sense[1] == 2.5F);
	CHECK(doubt[0] == 0 && doubt[1] == 4.75F);
}

static void kth_counts_from_one(void)
{
	float score[] = { 3, 1, 2, 2, 5 };

	CHECK(rank_kth(score, COUNT(score), 1) == 1);
	CHECK(rank_kth(score, COUNT(score), 2) == 2);
	CHECK(rank_kth(score, COUNT(score), 3) == 2);
	CHECK(rank_kth(score, COUNT(score), 5) == 5);
}

int main(void)
{
	falls_by_the_cube();
	ends_with_a_move();
	averages_follow_the_product();
	kth_counts_from_one();
	return check_done();
}
