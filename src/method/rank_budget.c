/*
 * AdaLoRA's budget of ranks:
 *
 *     t <= tinit              b = first, nothing moves
 *     t >= total - tfinal     b = last
 *     between them            b = last + (first - last) (1 - (t - tinit) / (total - tfinal - tinit))^3
 *
 * cut to a whole number; ranks move where t is a multiple of deltaT, and once
 * more at t = total - tfinal.
 */
#include "method/rank_budget.h"

#include <math.h>
#include <stdlib.h>

enum rank_phase rank_phase(const struct rank_plan *p, int64_t t)
{
	if (t <= p->tinit)
		return RANK_WARMUP;
	return t < p->total - p->tfinal ? RANK_PRUNING : RANK_FINAL;
}

int64_t rank_budget(const struct rank_plan *p, int64_t t, bool *ret_due)
{
	const int64_t end = p->total - p->tfinal;
	double share;

	*ret_due = false;
	switch (rank_phase(p, t)) {
	case RANK_WARMUP: return p->first;
	case RANK_FINAL: *ret_due = t == end; return p->last;
	case RANK_PRUNING: break;
	}
	*ret_due = t % p->deltaT == 0;
	share = pow(1 - (double)(t - p->tinit) / (double)(end - p->tinit), 3);
	return (int64_t)((double)(p->first - p->last) * share + (double)p->last);
}

int64_t rank_first_move(const struct rank_plan *p, int64_t steps)
{
	for (int64_t t = 0; t < steps; t++) {
		bool due;
		const int64_t b = rank_budget(p, t, &due);

		if (due && b < p->first)
			return t;
	}
	return -1;
}

void rank_average(float *sense, float *doubt, const float *x, const float *g, int64_t n,
		  const struct rank_decay *d)
{
	const float keep1 = (float)d->beta1, add1 = (float)(1 - d->beta1);
	const float keep2 = (float)d->beta2, add2 = (float)(1 - d->beta2);

	for (int64_t i = 0; i < n; i++) {
		const float now = fabsf(x[i] * g[i]);
		const float mean = keep1 * sense[i] + add1 * now;

		sense[i] = mean;
		doubt[i] = keep2 * doubt[i] + add2 * fabsf(now - mean);
	}
}

static int rising(const void *a, const void *b)
{
	const float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

float rank_kth(float *score, size_t n, size_t k)
{
	qsort(score, n, sizeof(*score), rising);
	return score[k - 1];
}
