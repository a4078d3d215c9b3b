#ifndef UI_EMA_H
#define UI_EMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/metric.h"

/*
 * A smoothed curve: an exponential moving average over all points, in step
 * space, so that zooming never changes it:
 *
 *     s <- s d^gap + x        n <- n d^gap + 1        y = s / n
 *
 * with d the decay of one step. A long curve is read in parts, one a call.
 */
struct ema {
	double decay, s, n;
	int64_t step; /* the last one read; -1: none */
	int attempt;  /* the run's when it was read: a later one may have cut the curve off */
	struct ema_point {
		int64_t step;
		double value;
	} * point;
	size_t count, room;
	bool more; /* the curve goes on: read again */
};

void ema_start(struct ema *e, double decay, int attempt); /* forget what was read */
void ema_done(struct ema *e);
void ema_add(struct ema *e, int64_t step,
	     double value); /* in step order; what is not finite is left out */
int ema_read(struct ema *e, struct store *st, int64_t run, const char *key);
/* The average at the last point of each bucket; NAN where there is none. */
void ema_columns(const struct ema *e, const struct metric_bucket *b, size_t n, double *ret);

#endif
