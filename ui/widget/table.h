#ifndef UI_WIDGET_TABLE_H
#define UI_WIDGET_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Columns of a list: how wide each is, given what they would like and what there is. */

struct table_column {
	const char *title;
	int min, max; /* columns of the terminal */
	bool number;  /* stands flush right and is never cut: half a number would lie */
	int drop;     /* > 0: left out when there is no room, the highest first */
};

enum { TABLE_COLUMNS = 20, TABLE_GAP = 1 };

/*
 * wish[i] is what column i would like; ret[i] is what it gets, 0 when it is
 * left out; a number gets its wish (up to max) or nothing. The sum, with a gap after each, is at most `width` unless even the
 * least is more.
 */
void table_layout(const struct table_column *c, size_t n, const int *wish, int width, int *ret);

#endif
