/* Runs as they are read: the places of a list, for screens that read the rows they show. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/run_filter.h"
#include "db/run_row.h"

struct index {
	struct store *st;
	const struct run_filter *f;
	struct run_here here;
	struct run_index *entry;
	size_t n, room;
	bool by_row, turned; /* ids were not in order: begin again */
	char before[RUN_ID_SIZE];
};

static int index_add(struct index *l, const struct run_index *e)
{
	if (l->n == l->room) {
		const size_t want = l->room ? l->room * 2 : 1024;
		struct run_index *grown = realloc(l->entry, want * sizeof(*grown));

		if (!grown)
			return err_set(TT_NOMEM, "not enough memory for the list of runs");
		l->entry = grown;
		l->room = want;
	}
	l->entry[l->n++] = *e;
	return FILTER_TOOK;
}

/* Is this id on the wrong side of the one before? */
static bool index_turns(struct index *l, const char *id)
{
	const bool rising = l->f->sort && l->f->sort[0];
	const int by = l->before[0] ? strcmp(l->before, id) : 0;

	strncpy(l->before, id, RUN_ID_SIZE - 1);
	return rising ? by > 0 : by < 0;
}

static int index_take(void *arg, sqlite3_stmt *q)
{
	struct index *l = arg;
	struct run_index e = { .row = sqlite3_column_int64(q, 0),
			       .trashed = sqlite3_column_int64(q, 2) > 0,
			       .group = l->f->group ? sqlite3_column_int64(q, 4) : 0 };
	const int code = run_state_of(l->st, &l->here, e.row, sqlite3_column_int(q, 1), &e.state);

	if (code)
		return code;
	l->turned = l->by_row && index_turns(l, sql_text(q, 3));
	if (l->turned)
		return FILTER_ENOUGH;
	return filter_wants(l->f, e.state) ? index_add(l, &e) : FILTER_LEFT;
}

/* by_row: in the order of the table, as long as that is the order of ids. */
static int index_read(struct index *l, bool by_row)
{
	const struct filter_reader reader = { "run.row, run.state, trashed, run.id", by_row,
					      index_take, l };

	l->by_row = by_row;
	l->n = 0;
	return filter_read(l->st, l->f, &reader);
}

static int index_all(struct index *l)
{
	const int code = index_read(l, filter_by_age(l->f));

	return !code && l->turned ? index_read(l, false) : code;
}

int run_index(struct store *st, const struct run_filter *f, struct run_index **ret, size_t *ret_n)
{
	struct index l = { .st = st, .f = f, .here = { .now = proc_now_us() } };
	int code = sql_begin_read(st);

	if (!code)
		code = sql_end(st, index_all(&l));
	if (code) {
		free(l.entry);
		return code;
	}
	*ret = l.entry;
	*ret_n = l.n;
	return TT_OK;
}
