#ifndef UI_OVERLAY_H
#define UI_OVERLAY_H

#include "ui/compare.h"
#include "ui/ema.h"
#include "ui/widget/plot.h"

/* The same metric of many runs on one axis of steps. */

struct overlay_curve {
	struct metric_bucket *bucket; /* cut as the overlay says */
	double *smooth;
	struct ema ema;
};

struct overlay {
	struct overlay_curve curve[COMPARE_RUNS];
	int64_t lo, hi;
	size_t n, room; /* buckets */
};

/* Every curve cut into n buckets over all steps of any. */
int overlay_read(struct overlay *o, struct store *st, const struct compare *c, const char *key,
		 size_t n);
/* Smoothed besides; ret_more: long curves go on, ask again. */
int overlay_smooth(struct overlay *o, struct store *st, const struct compare *c, const char *key,
		   double decay, bool *ret_more);
/* The runs moved or the metric is another: what was smoothed is void. */
void overlay_forget(struct overlay *o);
void overlay_done(struct overlay *o); /* a zeroed one is fine */

/* One series a run, in order of the columns; label[k->n]. ret[c->n]; returns how many. */
size_t overlay_series(const struct overlay *o, const struct compare_columns *k,
		      const char *const *label, bool smooth, struct plot_series *ret);

#endif
