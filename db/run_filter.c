/* Which runs, in what order: the SQL of a filter, and the rows it lets through. */
#include "db/run_filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/knob.h"

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

bool filter_by_age(const struct run_filter *f)
{
	return !f->sort || !f->sort[0] || !strcmp(f->sort, "-");
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

bool filter_wants(const struct run_filter *f, enum run_state now)
{
	return !f->states || f->states & 1u << now;
}

static int filter_sql(const struct run_filter *f, const char *columns, bool by_row, struct buf *sql)
{
	buf_printf(sql, "SELECT %s", columns);
	from_sql(f, sql);
	if (!filter_by_age(f))
		return sort_sql(f->sort, sql);
	buf_printf(sql, " ORDER BY %s%s", by_row ? "row" : "run.id",
		   f->sort && f->sort[0] ? "" : " DESC");
	return TT_OK;
}

static int filter_prepare(struct store *st, const struct run_filter *f,
			  const struct filter_reader *r, sqlite3_stmt **ret)
{
	struct buf sql;
	int code;

	buf_init(&sql, 8192);
	code = filter_sql(f, r->columns, r->by_row, &sql);
	if (!code)
		code = buf_check(&sql, "the list of runs");
	if (!code)
		code = sql_prepare_once(st, sql.data, ret);
	buf_done(&sql);
	return code;
}

static int filter_bind(struct store *st, const struct run_filter *f, sqlite3_stmt *q)
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

int filter_read(struct store *st, const struct run_filter *f, const struct filter_reader *r)
{
	sqlite3_stmt *q;
	size_t n = 0;
	int got = 0, code = filter_prepare(st, f, r, &q);

	if (code)
		return code;
	code = filter_bind(st, f, q);
	while (!code && (!f->limit || n < f->limit) && (got = sql_step(st, q)) > 0) {
		const int took = r->take(r->arg, q);

		if (took < 0)
			code = took;
		else if (took == FILTER_ENOUGH)
			break;
		else
			n += took == FILTER_TOOK;
	}
	sqlite3_finalize(q);
	return code ? code : got < 0 ? got : TT_OK;
}

/* --- the order of ids -------------------------------------------------------------------- */

static int newer(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*y, *x);
}

static int older(const void *a, const void *b) { return newer(b, a); }

void filter_sort(const struct run_filter *f, void *base, size_t n, size_t size)
{
	int (*order_by)(const void *, const void *) = f->sort && f->sort[0] ? older : newer;
	const char *at = base;

	if (!filter_by_age(f))
		return;
	for (size_t i = 1; i < n; i++) {
		if (order_by(at + (i - 1) * size, at + i * size) > 0) {
			qsort(base, n, size, order_by);
			return;
		}
	}
}
