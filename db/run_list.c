/* Runs as they are read: lists of them. */
#include <stdlib.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/run_filter.h"
#include "db/run_row.h"

/* --- their tags -------------------------------------------------------------------------- */

/* Asking for each run's tags costs a list more than all else, and few runs have any. */
struct tagged {
	int64_t run;
	const char *words;
};

struct tags {
	struct tagged *run; /* sorted */
	size_t n;
};

static int tags_load(struct store *st, struct tags *ret)
{
	static const size_t field[] = { offsetof(struct tagged, words) };
	struct sql_rows rows = { .row_size = sizeof(struct tagged) };
	sqlite3_stmt *q;
	void *block;
	int got = 0,
	    code = sql_prepare(
		    st,
		    "SELECT run, group_concat(word, ' ') FROM "
		    "(SELECT run, word FROM tag ORDER BY run, word) GROUP BY run ORDER BY run",
		    &q);

	if (code)
		return code;
	while (!code && (got = sql_step(st, q)) > 0) {
		const struct tagged t = { .run = sqlite3_column_int64(q, 0) };

		code = sql_rows_text(&rows, sql_text(q, 1));
		if (!code)
			code = sql_rows_add(&rows, &t);
	}
	sql_done(q);
	if (!code)
		code = got;
	if (!code)
		code = sql_rows_pack(&rows, field, 1, &block, &ret->n);
	if (!code)
		ret->run = block;
	sql_rows_done(&rows);
	return code;
}

static int tagged_order(const void *a, const void *b)
{
	const struct tagged *x = a, *y = b;

	return (x->run > y->run) - (x->run < y->run);
}

static const char *tags_of(const struct tags *t, int64_t run)
{
	const struct tagged want = { .run = run };
	const struct tagged *found = t->n ? bsearch(&want, t->run, t->n, sizeof(want), tagged_order)
					  : NULL;

	return found ? found->words : "";
}

/* --- runs -------------------------------------------------------------------------------- */

struct listing {
	const struct run_filter *f;
	struct run_here here;
	struct tags tags;
	size_t room;
	struct run_list list;
};

static int list_add(struct listing *l, const struct run *r)
{
	struct run_list *list = &l->list;

	if (list->n == l->room) {
		const size_t want = l->room ? l->room * 2 : 64;
		struct run *grown = realloc(list->run, want * sizeof(*grown));

		if (!grown)
			return err_set(TT_NOMEM, "not enough memory for the list of runs");
		list->run = grown;
		l->room = want;
	}
	list->run[list->n++] = *r;
	return FILTER_TOOK;
}

static int list_take(void *arg, sqlite3_stmt *q)
{
	struct listing *l = arg;
	const char *tags = tags_of(&l->tags, sqlite3_column_int64(q, RUN_TEXTS));
	struct run r;
	int code = run_take(q, &l->here, tags, &r);

	if (code)
		return code;
	code = filter_wants(l->f, r.state) ? list_add(l, &r) : FILTER_LEFT;
	if (code != FILTER_TOOK)
		run_done(&r);
	return code;
}

static int list_values(struct store *st, const struct run_filter *f, struct run_list *l)
{
	int64_t *row = malloc((l->n + 1) * sizeof(*row));
	int code;

	if (!row)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; i < l->n; i++)
		row[i] = l->run[i].row;
	code = values_list(st, f, row, l->n, &l->value);
	if (!code)
		l->keys_n = f->keys_n;
	free(row);
	return code;
}

static int list(struct store *st, const struct run_filter *f, struct listing *l)
{
	const struct filter_reader reader = { RUN_COLUMNS_WITH("''"), !f->limit, list_take, l };
	int code = tags_load(st, &l->tags);

	if (!code)
		code = filter_read(st, f, &reader);
	free(l->tags.run);
	if (code)
		return code;
	filter_sort(f, l->list.run, l->list.n, sizeof(*l->list.run));
	return list_values(st, f, &l->list);
}

int run_list(struct store *st, const struct run_filter *f, struct run_list *ret)
{
	struct listing l = { .f = f, .here = { .now = proc_now_us() } };
	int code = sql_begin_read(st);

	if (!code)
		code = sql_end(st, list(st, f, &l));
	if (code) {
		run_list_done(&l.list);
		return code;
	}
	*ret = l.list;
	return TT_OK;
}

void run_list_done(struct run_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		run_done(&l->run[i]);
	free(l->run);
	free(l->value);
	*l = (struct run_list){ 0 };
}
