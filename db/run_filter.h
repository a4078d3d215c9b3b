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

/*
 * The latest values of one metric: looked up run by run, until so many were
 * asked for that reading those of all runs is quicker.
 */
struct values {
	struct store *st;
	int64_t key; /* 0: nobody has it */
	size_t asked, n, room, at;
	struct values_entry {
		int64_t row;
		struct run_value value;
	} * entry; /* in order of row */
};

int values_init(struct values *v, struct store *st, const char *name,
		size_t expect); /* expect so many to be asked for; 0: unknown */
int values_of(struct values *v, int64_t row, struct run_value *ret);
void values_done(struct values *v);
/* All that f asks for, of n runs: [n][f->keys_n], free() it. */
int values_list(struct store *st, const struct run_filter *f, const int64_t *row, size_t n,
		struct run_value **ret);

#endif
