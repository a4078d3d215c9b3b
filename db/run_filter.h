#ifndef DB_RUN_FILTER_H
#define DB_RUN_FILTER_H

#include "db/run.h"
#include "db/sql.h"

/* Inside the room only: what every list of runs is made with. */

enum filter_taken { FILTER_LEFT, FILTER_TOOK, FILTER_ENOUGH };

/*
 * Ids are in order of time and have an index, which finds the newest few at
 * once. To read all, the table itself is quicker, and is in order of ids too
 * unless runs were imported.
 */
struct filter_reader {
	const char *columns;
	bool by_row; /* where the order is that of ids: that of the table */
	int (*take)(void *arg, sqlite3_stmt *q); /* enum filter_taken of a row, or < 0: failed */
	void *arg;
};

/* Rows that f lets through, up to its limit, within a read that the caller began. */
int filter_read(struct store *st, const struct run_filter *f, const struct filter_reader *r);

bool filter_by_age(const struct run_filter *f); /* is the order that of ids? */
/* Put elements that begin with their id in that order, if it is asked for. */
void filter_sort(const struct run_filter *f, void *base, size_t n, size_t size);
bool filter_wants(const struct run_filter *f, enum run_state now);

/* The latest values that f asks for, of n runs: [n][f->keys_n], free() it. */
int filter_values(struct store *st, const struct run_filter *f, const int64_t *row, size_t n,
		  struct run_value **ret);

#endif
