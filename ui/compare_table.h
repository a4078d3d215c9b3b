#ifndef UI_COMPARE_TABLE_H
#define UI_COMPARE_TABLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "ui/compare.h"

/* A comparison as a table of texts: what the screen shows and what is exported. */

enum compare_kind {
	COMPARE_NAME, /* the first row: what the columns are called */
	COMPARE_FACT,
	COMPARE_METRIC, /* a value, and how far it is from the baseline's */
	COMPARE_TEST,
	COMPARE_SETTING
};

struct compare_cell {
	const char *text;
	const char *stdev, *delta; /* of a metric: over seeds, against the first column; "" */
	bool best;    /* of a metric: no column has a better one, and some have a worse */
	bool differs; /* from the first column */
};

struct compare_line {
	enum compare_kind kind;
	const char *label;
	const struct compare_cell *cell; /* one a column */
	bool differs;                    /* between any two columns */
};

struct compare_table {
	struct arena *arena;
	struct compare_line *line;
	size_t n, room, columns;
};

struct compare_view {
	const struct compare_columns *columns;
	const char *const *key; /* the metrics to show */
	size_t key_n;
	bool ascii;
};

/* compare_table_done in any case. */
int compare_table(struct compare *c, const struct compare_view *v, struct compare_table *ret);
void compare_table_done(struct compare_table *t); /* a zeroed one is fine */

/* All of a cell as one text, parts with a blank between. */
void compare_cell_text(const struct compare_cell *cell, char *ret, size_t size);

/* What a file is written as follows from its name: .md, .csv, .tex. */
int compare_table_write(const struct compare_table *t, const char *path);
void compare_table_markdown(const struct compare_table *t, struct buf *out);
void compare_table_csv(const struct compare_table *t, struct buf *out);
void compare_table_latex(const struct compare_table *t, struct buf *out);

#endif
