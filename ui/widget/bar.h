#ifndef UI_WIDGET_BAR_H
#define UI_WIDGET_BAR_H

#include <curses.h>

#include "db/metric.h"
#include "ui/theme.h"

/* Small pictures in one line. */

/* A progress bar of `width` columns; part is 0 .. 1. */
void bar_draw(WINDOW *w, int y, int x, int width, double part, const struct theme *t);

/*
 * A curve in `width` columns, from its buckets (at most one a column). Each
 * column shows the extreme that lies farther from the column before, so that a
 * spike of a single step is seen; what is not a number is a mark.
 */
void spark_draw(WINDOW *w, int y, int x, int width, const struct metric_bucket *b, size_t n,
		const struct theme *t);

#endif
