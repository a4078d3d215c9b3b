#ifndef UI_WIDGET_PLOT_H
#define UI_WIDGET_PLOT_H

#include <curses.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/event.h"
#include "db/metric.h"
#include "ui/theme.h"

/*
 * A chart of curves over steps. The steps lo .. hi are cut into as many
 * buckets as the chart has dots across, and every bucket is drawn from its
 * smallest to its largest value: a spike of one step in a million is there.
 * Curves are told apart by their mark as well as by colour.
 */

enum {
	PLOT_LOOKS = 8, /* looks that a curve can have: a mark and a colour */
	PLOT_AXIS = 8   /* columns that the numbers of the upright axis take */
};

struct plot_series {
	const char *label;
	const struct metric_bucket *bucket; /* plot_buckets() of them */
	const double *smooth; /* as many, NAN where there is none; NULL: not smoothed */
	bool again; /* looks like the one before, and is not named once more: another seed of it */
};

struct plot {
	int y, x, rows,
		cols; /* where in the window; rows: a title, the chart, an axis line with numbers */
	const char *title, *brief;        /* brief: where values need the room */
	const struct plot_series *series; /* their looks repeat from PLOT_LOOKS on */
	size_t n;
	bool first_on_top; /* or the last */
	int64_t lo, hi;    /* steps */
	bool log;
	int64_t cursor; /* a step, or -1 */
	const struct event *event;
	size_t event_n;
};

/* The letter that marks the curves of one look. */
char plot_letter(size_t look);
/* Dots across a chart that is `cols` columns wide, and so its buckets. */
size_t plot_buckets(int cols, const struct theme *t);
/* The bucket that a step falls into, of n. */
size_t plot_bucket_of(int64_t step, int64_t lo, int64_t hi, size_t n);
void plot_draw(WINDOW *w, const struct plot *p, const struct theme *t);
/* The letter of an event on the axis; see the help page. */
char plot_event_letter(const char *kind);

/* What the upright axis spans; false when no value can be shown on it. */
struct plot_range {
	double lo, hi;
};
bool plot_range(const struct plot_series *s, size_t n, size_t buckets, bool log,
		struct plot_range *ret);

#endif
