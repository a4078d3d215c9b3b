/* Runs as they are read: lists of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/knob.h"
#include "base/proc.h"
#include "db/run_row.h"

enum { POINT_READS = 256 }; /* lists up to this long look values up one by one */

/* --- which, in what order ---------------------------------------------------------------- */

static const struct {
	const char *word, *sql;
	bool rising; /* its natural direction */
} order[] = { { "id", "run.id", true },
	      { "name", "run.name COLLATE NOCASE", true },
	      { "state", "state", true },
	      { "method", "method", true },
	      { "model", "model", true },
	      { "task", "task", true },
	      { "created", "created", false },
	      { "started", "nullif(started, 0)", false },
	      { "ended", "nullif(ended, 0)", false },
	      { "step", "run.step", false },
	      { "epoch", "epoch", false },
	      { "trainable_params", "nullif(trainable_params, 0)", false },
	      { "total_params", "nullif(total_params, 0)", false },
	      { "best", "iif(best_greater, best_value, -best_value)", false } };

static bool ends_in(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static int fail_sort(const char *word)
{
	const char *name[COUNT(order)], *near;

	for (size_t i = 0; i < COUNT(order); i++)
		name[i] = order[i].word;
	near = knob_nearest(word, name, COUNT(order));
	if (near)
		return err_set(TT_INVALID, "runs cannot be sorted by '%.60s'; did you mean '%s'?",
			       word, near);
	return err_set(TT_INVALID,
		       "runs cannot be sorted by '%.60s': it takes a column such as created, name, "
		       "step or "
		       "best, or a metric such as eval/accuracy",
		       word);
}

static bool by_age(const struct run_filter *f)
{
	return !f->sort || !f->sort[0] || !strcmp(f->sort, "-");
}

/*
 * Ids are in order of time and have an index, which finds the newest few at
 * once. To read all, the table itself is quicker, and is nearly in order.
 */
static void age_sql(const struct run_filter *f, struct buf *sql)
{
	const char *by = f->limit ? "run.id" : "row";

	buf_printf(sql, " ORDER BY %s%s", by, f->sort && f->sort[0] ? "" : " DESC");
}

static int newer(const void *a, const void *b)
{
	return strcmp(((const struct run *)b)->id, ((const struct run *)a)->id);
}

static int older(const void *a, const void *b) { return newer(b, a); }

static void age_sort(const struct run_filter *f, struct run_list *l)
{
	int (*order_by)(const void *, const void *) = f->sort && f->sort[0] ? older : newer;

	for (size_t i = 1; i < l->n; i++) {
		if (order_by(&l->run[i - 1], &l->run[i]) > 0) {
			qsort(l->run, l->n, sizeof(*l->run), order_by);
			return;
		}
	}
}

/* The ORDER BY of a sort word. */
static int sort_sql(const char *sort, struct buf *sql)
{
	const bool turned = sort[0] == '-';
	const char *word = sort + turned;
	const char *by = NULL;
	bool rising = false;

	for (size_t i = 0; i < COUNT(order); i++) {
		if (!strcmp(word, order[i].word)) {
			by = order[i].sql;
			rising = order[i].rising;
		}
	}
	if (!by && strchr(word, '/')) {
		by = "s.value";
		rising = ends_in(word, "loss") || ends_in(word, "perplexity");
	}
	if (!by)
		return fail_sort(word);
	buf_printf(sql, " ORDER BY %s IS NULL, %s %s, run.id DESC", by, by,
		   rising != turned ? "ASC" : "DESC");
	return TT_OK;
}

/* Parameters: ?1 states, ?2 tag, ?3 method, ?4 text, ?5 the key sorted by. */
static void from_sql(const struct run_filter *f, struct buf *sql)
{
	buf_text(sql, " FROM run");
	if (f->sort && strchr(f->sort, '/'))
		buf_text(sql, " LEFT JOIN last s ON s.key = ?5 AND s.run = run.row");
	buf_text(sql, f->only_trashed   ? " WHERE trashed > 0"
		      : f->with_trashed ? " WHERE 1"
					: " WHERE trashed = 0");
	if (f->states)
		buf_text(sql, " AND (1 << state) & ?1");
	if (f->tag)
		buf_text(sql,
			 " AND EXISTS (SELECT 1 FROM tag WHERE tag.run = run.row AND word = ?2)");
	if (f->method)
		buf_text(sql, " AND method = ?3");
	if (f->text)
		buf_text(sql,
			 " AND (instr(lower(run.name), lower(?4)) OR instr(run.id, lower(?4)))");
}

static int list_sql(const struct run_filter *f, struct buf *sql)
{
	buf_text(sql, "SELECT " RUN_COLUMNS_WITH("''"));
	from_sql(f, sql);
	if (!by_age(f))
		return sort_sql(f->sort, sql);
	age_sql(f, sql);
	return TT_OK;
}

static int list_bind(struct store *st, const struct run_filter *f, sqlite3_stmt *q)
{
	const unsigned live = 1u << RUN_RUNNING | 1u << RUN_PAUSED;
	const int parameters = sqlite3_bind_parameter_count(q);
	int64_t key = 0;
	int code;

	/* A lost run is stored as running or paused. */
	if (f->states)
		sqlite3_bind_int64(q, 1, f->states & 1u << RUN_LOST ? f->states | live : f->states);
	if (f->tag)
		sql_bind_text(q, 2, f->tag);
	if (f->method)
		sql_bind_text(q, 3, f->method);
	if (f->text)
		sql_bind_text(q, 4, f->text);
	if (parameters < 5)
		return TT_OK;
	code = sql_key_find(st, f->sort + (f->sort[0] == '-'), &key);
	sqlite3_bind_int64(q, 5, key);
	return code;
}

/* --- tags of a list ---------------------------------------------------------------------- */

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

static int list_add(struct run_list *l, size_t *room, const struct run *r)
{
	if (l->n == *room) {
		const size_t want = *room ? *room * 2 : 64;
		struct run *grown = realloc(l->run, want * sizeof(*grown));

		if (!grown)
			return err_set(TT_NOMEM, "not enough memory for the list of runs");
		l->run = grown;
		*room = want;
	}
	l->run[l->n++] = *r;
	return TT_OK;
}

static int list_rows(struct store *st, const struct run_filter *f, sqlite3_stmt *q,
		     const struct tags *tags, struct run_list *l)
{
	struct run_here h = { .now = proc_now_us() };
	size_t room = 0;
	int got = 0, code = TT_OK;

	while (!code && (!f->limit || l->n < f->limit) && (got = sql_step(st, q)) > 0) {
		struct run r;

		code = run_take(q, &h, tags_of(tags, sqlite3_column_int64(q, RUN_TEXTS)), &r);
		if (code)
			break;
		if (f->states && !(f->states & 1u << r.state)) {
			run_done(&r);
			continue;
		}
		code = list_add(l, &room, &r);
		if (code)
			run_done(&r);
	}
	return code ? code : got < 0 ? got : TT_OK;
}

/* --- their latest values ----------------------------------------------------------------- */

struct place {
	int64_t row;
	size_t at;
};

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

static struct run_value value_of(sqlite3_stmt *q)
{
	return (struct run_value){ sqlite3_column_int64(q, 1), sql_real(q, 2) };
}

/* Few runs: one look-up each. */
static int values_each(struct store *st, struct run_list *l, int64_t key, size_t k)
{
	sqlite3_stmt *q;
	int got = 0,
	    code = sql_prepare(st, "SELECT run, step, value FROM last WHERE key = ?1 AND run = ?2",
			       &q);

	for (size_t i = 0; !code && i < l->n; i++) {
		sql_bind_ints(q, 2, (const int64_t[]){ key, l->run[i].row });
		got = sql_step(st, q);
		if (got > 0)
			l->value[i * l->keys_n + k] = value_of(q);
		sql_done(q);
		code = got < 0 ? got : TT_OK;
	}
	return code;
}

/* Many runs: the key's rows are in order of run, so walk both. */
static int values_merge(struct store *st, struct run_list *l, const struct place *place,
			int64_t key, size_t k)
{
	sqlite3_stmt *q;
	size_t i = 0;
	int got = 0,
	    code = sql_prepare(st, "SELECT run, step, value FROM last WHERE key = ?1 ORDER BY run",
			       &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, key);
	while (i < l->n && (got = sql_step(st, q)) > 0) {
		const int64_t row = sqlite3_column_int64(q, 0);

		while (i < l->n && place[i].row < row)
			i++;
		if (i < l->n && place[i].row == row)
			l->value[place[i].at * l->keys_n + k] = value_of(q);
	}
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

static int values_fill(struct store *st, const struct run_filter *f, struct run_list *l)
{
	struct place *place = calloc(l->n + 1, sizeof(*place));
	int code = TT_OK;

	if (!place)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; i < l->n; i++)
		place[i] = (struct place){ l->run[i].row, i };
	qsort(place, l->n, sizeof(*place), place_order);
	for (size_t k = 0; !code && k < f->keys_n; k++) {
		int64_t key = 0;

		code = sql_key_find(st, f->keys[k], &key);
		if (!code && key)
			code = l->n <= POINT_READS ? values_each(st, l, key, k)
						   : values_merge(st, l, place, key, k);
	}
	free(place);
	return code;
}

static int list_values(struct store *st, const struct run_filter *f, struct run_list *l)
{
	const struct run_value none = { -1, (double)NAN };

	if (!f->keys_n)
		return TT_OK;
	l->keys_n = f->keys_n;
	l->value = calloc(l->n * l->keys_n + 1, sizeof(*l->value));
	if (!l->value)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; i < l->n * l->keys_n; i++)
		l->value[i] = none;
	return values_fill(st, f, l);
}

static int list(struct store *st, const struct run_filter *f, const char *sql, struct run_list *l)
{
	struct tags tags = { NULL, 0 };
	sqlite3_stmt *q;
	int code = sql_prepare_once(st, sql, &q);

	if (code)
		return code;
	code = tags_load(st, &tags);
	if (!code)
		code = list_bind(st, f, q);
	if (!code)
		code = list_rows(st, f, q, &tags, l);
	sqlite3_finalize(q);
	free(tags.run);
	if (!code && by_age(f))
		age_sort(f, l);
	return code ? code : list_values(st, f, l);
}

int run_list(struct store *st, const struct run_filter *f, struct run_list *ret)
{
	struct run_list l = { 0 };
	struct buf sql;
	int code;

	buf_init(&sql, 8192);
	code = list_sql(f, &sql);
	if (!code)
		code = buf_check(&sql, "the list of runs");
	if (!code)
		code = sql_begin_read(st);
	if (!code)
		code = sql_end(st, list(st, f, sql.data, &l));
	buf_done(&sql);
	if (code) {
		run_list_done(&l);
		return code;
	}
	*ret = l;
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

/* --- places in a list -------------------------------------------------------------------- */

struct index_rows {
	struct run_index *entry;
	size_t n, room;
	bool turned; /* ids were not in order: begin again */
};

static int index_add(struct index_rows *l, const struct run_index *e)
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
	return TT_OK;
}

/* A run stored as live may be lost; few are live, so each is looked up whole. */
static int index_derive(struct store *st, const struct run_filter *f, struct index_rows *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct run_index e = l->entry[i];

		if (e.state == RUN_RUNNING || e.state == RUN_PAUSED) {
			struct run r;
			const int code = run_get_row(st, e.row, &r);

			if (code)
				return code;
			e.state = r.state;
			run_done(&r);
		}
		if (!f->states || f->states & 1u << e.state)
			l->entry[kept++] = e;
	}
	l->n = kept;
	return TT_OK;
}

/* Is this id on the wrong side of the one before? */
static bool index_turns(const struct run_filter *f, char before[RUN_ID_SIZE], const char *id)
{
	const bool rising = f->sort && f->sort[0];
	const int by = before[0] ? strcmp(before, id) : 0;

	strncpy(before, id, RUN_ID_SIZE - 1);
	return rising ? by > 0 : by < 0;
}

static int index_rows_read(struct store *st, const struct run_filter *f, sqlite3_stmt *q,
			   bool by_row, struct index_rows *l)
{
	char before[RUN_ID_SIZE] = "";
	int got = 0, code = list_bind(st, f, q);

	l->turned = false;
	while (!code && !l->turned && (got = sql_step(st, q)) > 0) {
		struct run_index e = { sqlite3_column_int64(q, 0), RUN_FAILED,
				       sqlite3_column_int64(q, 2) > 0 };
		const int state = sqlite3_column_int(q, 1);

		if (state >= RUN_QUEUED && state < RUN_LOST) /* else the file is damaged */
			e.state = (enum run_state)state;
		code = index_add(l, &e);
		if (by_row)
			l->turned = index_turns(f, before, sql_text(q, 3));
	}
	return code ? code : got < 0 ? got : TT_OK;
}

/* by_row: in the order of the table, which is quicker and the order of ids as well unless runs were imported. */
static int index_read(struct store *st, const struct run_filter *f, bool by_row,
		      struct index_rows *l)
{
	struct buf sql;
	sqlite3_stmt *q;
	int code = TT_OK;

	buf_init(&sql, 8192);
	buf_text(&sql, "SELECT row, state, trashed, run.id");
	from_sql(f, &sql);
	if (by_age(f))
		buf_printf(&sql, " ORDER BY %s%s", by_row ? "row" : "run.id",
			   f->sort && f->sort[0] ? "" : " DESC");
	else
		code = sort_sql(f->sort, &sql);
	if (!code)
		code = buf_check(&sql, "the list of runs");
	if (!code)
		code = sql_prepare_once(st, sql.data, &q);
	buf_done(&sql);
	if (code)
		return code;
	l->n = 0;
	code = index_rows_read(st, f, q, by_row, l);
	sqlite3_finalize(q);
	return code;
}

static int index_all(struct store *st, const struct run_filter *f, struct index_rows *l)
{
	int code = index_read(st, f, by_age(f), l);

	if (!code && l->turned)
		code = index_read(st, f, false, l);
	return code ? code : index_derive(st, f, l);
}

int run_index(struct store *st, const struct run_filter *f, struct run_index **ret, size_t *ret_n)
{
	struct index_rows l = { NULL, 0, 0, false };
	int code = sql_begin_read(st);

	if (!code)
		code = sql_end(st, index_all(st, f, &l));
	if (code) {
		free(l.entry);
		return code;
	}
	*ret = l.entry;
	*ret_n = l.n;
	return TT_OK;
}
