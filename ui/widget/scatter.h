#ifndef UI_WIDGET_SCATTER_H
#define UI_WIDGET_SCATTER_H

#include <curses.h>
#include <stdbool.h>
#include <stddef.h>

#include "ui/theme.h"

/* Points with names: each stands in one cell, a name beside it where there is room. */

struct scatter_point {
	double x, y; /* one that is not finite, or not above zero on a log axis, is left out */
	const char *name;
	char letter;
	enum role role;
	bool strong; /* its name is wanted more than others' */
};

struct scatter {
	int y, x, rows, cols;       /* rows: a title, the picture, an axis line with numbers */
	const char *title, *across; /* what the axes are */
	const struct scatter_point *point;
	size_t n;
	bool log; /* the level axis */
};

void scatter_draw(WINDOW *w, const struct scatter *s, const struct theme *t);

#endif
