#ifndef UI_SHEET_H
#define UI_SHEET_H

#include <curses.h>

#include "ui/compare_table.h"
#include "ui/theme.h"

/*
 * A table of a comparison on the screen, with a cursor on one cell. The names
 * and the first column stay in sight, whatever is scrolled.
 */
struct sheet {
	const struct compare_table *table;
	size_t line, column; /* the cursor; line from 1: names are no place for it */
	size_t top, left;    /* the first line and the first other column in sight */
	int y, rows;         /* where in the window; it takes all columns */
};

/* Scroll as little as shows the cursor; after every move, and when the window changed. */
void sheet_scroll(struct sheet *s, int cols);
bool sheet_cuts(const struct sheet *s,
		int cols); /* is the text under the cursor too long for its cell? */
void sheet_draw(WINDOW *w, const struct sheet *s, const struct theme *t);

#endif
