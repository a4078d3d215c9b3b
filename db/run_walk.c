/* Runs as they are read: a list line by line, of which nothing is kept. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/run_filter.h"
#include "db/run_row.h"

/* --- ids --------------------------------------------------------------------------------- */

struct ids {
	int width;
	bool in_order; /* of time, as rows are; runs that were imported may turn it */
};

/* How many characters tell b from a, which is before it; 0 when none do. */
static int tell_apart(const char *a, const char *b)
{
	int same = 0;

	while (a[same] && a[same] == b[same])
		same++;
	return b[same] ? same + 1 : 0;
}

static int ids_scan(struct store *st, struct ids *ret)
{
	struct ids ids = { 5, true };
	char before[RUN_ID_SIZE] = "";
	int64_t row = 0;
	sqlite3_stmt *q;
	int got, code = sql_prepare(st, "SELECT id, row FROM run ORDER BY id", &q);

	if (code)
		return code;
	while ((got = sql_step(st, q)) > 0) {
		const char *id = sql_text(q, 0);
		const int width = tell_apart(before, id);

		ids.width = width > ids.width ? width : ids.width;
		ids.in_order = ids.in_order && row < sqlite3_column_int64(q, 1);
		row = sqlite3_column_int64(q, 1);
		strncpy(before, id, sizeof(before) - 1);
	}
	sql_done(q);
	*ret = ids;
	return got;
}

int run_id_width(struct store *st, int *ret)
{
	struct ids ids;
	const int code = ids_scan(st, &ids);

	if (!code)
		*ret = ids.width;
	return code;
}

/* --- lines ------------------------------------------------------------------------------- */

/* In the order walk_take expects. No more than a line shows: each of them costs, ten thousand times. */
#define LINE_COLUMNS                                                                           \
	"run.id, run.name, method, cause, row, state, started, ended, run.step, total_steps, " \
	"best_step, best_value"

struct walk {
	struct store *st;
	const struct run_filter *f;
	struct run_here here;
	struct values *values; /* of each key */
	struct run_value *value;
	run_visit *visit;
	void *arg;
};

static int walk_take(void *arg, sqlite3_stmt *q)
{
	struct walk *w = arg;
	struct run_line r = { .row = sqlite3_column_int64(q, 4), .value = w->value };
	int code = run_state_of(w->st, &w->here, r.row, sqlite3_column_int(q, 5), &r.state);

	if (code)
		return code;
	if (!filter_wants(w->f, r.state))
		return FILTER_LEFT;
	r.id = sql_text(q, 0);
	r.name = sql_text(q, 1);
	r.method = sql_text(q, 2);
	r.cause = sql_text(q, 3);
	r.started = sqlite3_column_int64(q, 6);
	r.ended = sqlite3_column_int64(q, 7);
	r.step = sqlite3_column_int64(q, 8);
	r.total_steps = sqlite3_column_int64(q, 9);
	r.has_best = sqlite3_column_type(q, 10) != SQLITE_NULL;
	r.best_value = sql_real(q, 11);
	for (size_t k = 0; !code && k < w->f->keys_n; k++)
		code = values_of(&w->values[k], r.row, &w->value[k]);
	if (!code)
		code = w->visit(w->arg, &r);
	return code ? code : FILTER_TOOK;
}

static int walk(struct walk *w, int *ret_width)
{
	struct filter_reader reader = { .columns = LINE_COLUMNS, .take = walk_take, .arg = w };
	struct ids ids;
	int code = ids_scan(w->st, &ids);

	for (size_t k = 0; !code && k < w->f->keys_n; k++)
		code = values_init(&w->values[k], w->st, w->f->keys[k], w->f->limit);
	if (code)
		return code;
	*ret_width = ids.width;
	reader.by_row = !w->f->limit && ids.in_order;
	return filter_read(w->st, w->f, &reader);
}

int run_walk(struct store *st, const struct run_filter *f, int *ret_width, run_visit *visit,
	     void *arg)
{
	struct walk w = { .st = st,
			  .f = f,
			  .here = { .now = proc_now_us() },
			  .values = calloc(f->keys_n + 1, sizeof(*w.values)),
			  .value = calloc(f->keys_n + 1, sizeof(*w.value)),
			  .visit = visit,
			  .arg = arg };
	int code = TT_OK;

	if (!w.values || !w.value)
		code = err_set(TT_NOMEM, "not enough memory for the list of runs");
	if (!code)
		code = sql_begin_read(st);
	if (!code)
		code = sql_end(st, walk(&w, ret_width));
	for (size_t k = 0; w.values && k < f->keys_n; k++)
		values_done(&w.values[k]);
	free(w.values);
	free(w.value);
	return code;
}
