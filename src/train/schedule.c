/*
 * How the learning rate goes over a run: a factor as a function of the steps done, and
 * of nothing else.
 */
#include "train/schedule.h"

#include <math.h>

#include "base/recipe.h"

static const double pi = 3.14159265358979323846;

static double linear(const struct schedule *s, int64_t done)
{
	const int64_t left = s->total - done, all = s->total - s->warmup;

	return left > 0 ? (double)left / (double)(all > 1 ? all : 1) : 0;
}

/* How far it is from the end of the warm-up (0) to the end of the run (1). */
static double progress(const struct schedule *s, int64_t done)
{
	const int64_t all = s->total - s->warmup;

	return (double)(done - s->warmup) / (double)(all > 1 ? all : 1);
}

static double polynomial(const struct schedule *s, int64_t done)
{
	const double end = SCHEDULE_POLYNOMIAL_END / s->start;
	const int64_t all = s->total - s->warmup;

	if (done > s->total || all <= 0)
		return end;
	return (1 - end) * (1 - (double)(done - s->warmup) / (double)all) + end;
}

double schedule_factor(const struct schedule *s, int64_t done)
{
	double at;

	if (s->type == SCHEDULE_CONSTANT)
		return 1;
	if (done < s->warmup)
		return (double)done / (double)s->warmup;
	switch (s->type) {
	case SCHEDULE_LINEAR: return linear(s, done);
	case SCHEDULE_COSINE: return fmax(0, 0.5 * (1 + cos(pi * progress(s, done))));
	case SCHEDULE_COSINE_WITH_RESTARTS: /* transformers' default is one cycle */
		at = progress(s, done);
		return at >= 1 ? 0 : fmax(0, 0.5 * (1 + cos(pi * fmod(at, 1))));
	case SCHEDULE_POLYNOMIAL: return polynomial(s, done);
	case SCHEDULE_INVERSE_SQRT:
		at = s->warmup ? (double)s->warmup : 10000;
		return 1 / sqrt(((double)done + at - (double)s->warmup) / at);
	default: return 1;
	}
}
