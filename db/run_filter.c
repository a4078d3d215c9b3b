/* Which runs, in what order: the SQL of a filter, and the rows it lets through. */
#include "db/run_filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "db/run_column.h"
#include "db/setting.h"
#include "db/where_tree.h"

static bool ends_in(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static int fail_sort(const char *word)
{
	const char *near = run_key_nearest(word);

	if (near)
		return err_set(TT_INVALID, "runs cannot be sorted by '%.60s'; did you mean '%s'?",
			       word, near);
	return err_set(TT_INVALID,
		       "runs cannot be sorted by '%.60s': it takes a column such as created, name, "
		       "step or best, a metric such as eval/accuracy, or a setting such as peft.r",
		       word);
}

bool filter_by_age(const struct run_filter *f)
{
	return !f->sort || !f->sort[0] || !strcmp(f->sort, "-");
}

/* What is sorted by, and that alone: a '-' in front turns the order. */
static const char *sort_word(const struct run_filter *f)
{
	return f->sort && !filter_by_age(f) ? f->sort + (f->sort[0] == '-') : "created";
}

/* The ORDER BY of a sort word. */
static int sort_sql(const struct run_filter *f, struct buf *sql)
{
	const char *word = sort_word(f), *by = "s.value";
	bool rising = ends_in(word, "loss") || ends_in(word, "perplexity");
	struct run_key key;

	if (!run_key_find(word, &key))
		return fail_sort(word);
	if (key.kind == KEY_COLUMN) {
		by = key.column->sort ? key.column->sort : key.column->sql;
		rising = key.column->rising;
	} else if (key.kind == KEY_SETTING) {
		rising = true;
	}
	if (!by[0])
		return fail_sort(word);
	buf_printf(sql, " ORDER BY %s IS NULL, %s %s, run.id DESC", by, by,
		   rising != (f->sort[0] == '-') ? "ASC" : "DESC");
	return TT_OK;
}

enum { STATES = 1, TAG, METHOD, TEXT, SORT_KEY, GROUP_KEY, PARAMETERS = GROUP_KEY };

static void sort_from(const struct run_filter *f, struct buf *sql)
{
	struct run_key key;

	if (!run_key_find(sort_word(f), &key) || key.kind == KEY_COLUMN)
		return;
	buf_printf(sql, " LEFT JOIN %s = ?%d AND s.run = run.row",
		   key.kind == KEY_METRIC ? "last s ON s.key" : "temp.setting s ON s.path",
		   SORT_KEY);
}

/* Parameters: as above, then those of f->where. */
static void from_sql(const struct run_filter *f, struct buf *sql)
{
	buf_text(sql, " FROM run");
	sort_from(f, sql);
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
	if (!f->where)
		return;
	buf_text(sql, " AND ");
	where_sql(f->where, PARAMETERS, sql);
}

bool filter_wants(const struct run_filter *f, enum run_state now)
{
	return !f->states || f->states & 1u << now;
}

/* What is grouped by, with a path of its own for "all but the seed". */
static const char *group_word(const struct run_filter *f)
{
	return strcmp(f->group, RUN_GROUP_SEED) != 0 ? f->group : SETTING_BUT_SEED;
}

static int group_sql(const struct run_filter *f, struct buf *sql)
{
	const char *word = group_word(f);
	struct run_key key = { .kind = KEY_SETTING };

	if (strcmp(word, SETTING_BUT_SEED) != 0 && !run_key_find(word, &key))
		return err_set(TT_INVALID,
			       "runs cannot be grouped by '%.60s': it takes seed, a column such as "
			       "method, or a setting such as peft.r",
			       word);
	buf_text(sql, ", dense_rank() OVER (ORDER BY ");
	if (key.kind == KEY_METRIC)
		buf_printf(sql, "(SELECT value FROM last g WHERE g.key = ?%d AND g.run = run.row)",
			   GROUP_KEY);
	else if (key.kind == KEY_SETTING)
		buf_printf(sql, SETTING_MANY, GROUP_KEY);
	else if (key.column->kind == COLUMN_TAG || key.column->kind == COLUMN_NOTE)
		buf_printf(sql, "(SELECT group_concat(%s) FROM %s t WHERE t.run = run.row)",
			   key.column->sql, key.column->word);
	else
		buf_text(sql, key.column->sql);
	buf_text(sql, ")");
	return TT_OK;
}

static int filter_sql(const struct run_filter *f, const char *columns, bool by_row, struct buf *sql)
{
	int code;

	buf_printf(sql, "SELECT %s", columns);
	code = f->group ? group_sql(f, sql) : TT_OK;
	if (code)
		return code;
	from_sql(f, sql);
	if (!filter_by_age(f))
		return sort_sql(f, sql);
	buf_printf(sql, " ORDER BY %s%s", by_row ? "row" : "run.id",
		   f->sort && f->sort[0] ? "" : " DESC");
	return TT_OK;
}

static int filter_prepare(struct store *st, const struct run_filter *f,
			  const struct filter_reader *r, sqlite3_stmt **ret)
{
	struct buf sql;
	int code;

	buf_init(&sql, 1 << 20);
	code = filter_sql(f, r->columns, r->by_row, &sql);
	if (!code)
		code = buf_check(&sql, "the list of runs");
	if (!code && strstr(sql.data, "temp.setting"))
		code = setting_ready(st);
	if (!code)
		code = sql_prepare_once(st, sql.data, ret);
	buf_done(&sql);
	return code;
}

/* The number of a metric or a setting; that of a column is not asked for. */
static int bind_key(struct store *st, const char *name, int at, sqlite3_stmt *q)
{
	struct run_key key;
	int64_t number = 0;
	int code;

	if (!strcmp(name, SETTING_BUT_SEED))
		key.kind = KEY_SETTING;
	else if (!run_key_find(name, &key) || key.kind == KEY_COLUMN)
		return TT_OK;
	code = key.kind == KEY_METRIC ? sql_key_find(st, name, &number)
				      : setting_need(st, name, &number);
	if (!code)
		sqlite3_bind_int64(q, at, number);
	return code;
}

static int filter_bind(struct store *st, const struct run_filter *f, sqlite3_stmt *q)
{
	const unsigned live = 1u << RUN_RUNNING | 1u << RUN_PAUSED;
	int code;

	/* A lost run is stored as running or paused. */
	if (f->states)
		sqlite3_bind_int64(q, STATES,
				   f->states & 1u << RUN_LOST ? f->states | live : f->states);
	if (f->tag)
		sql_bind_text(q, TAG, f->tag);
	if (f->method)
		sql_bind_text(q, METHOD, f->method);
	if (f->text)
		sql_bind_text(q, TEXT, f->text);
	code = bind_key(st, sort_word(f), SORT_KEY, q);
	if (!code && f->group)
		code = bind_key(st, group_word(f), GROUP_KEY, q);
	return code || !f->where ? code : where_bind(st, f->where, PARAMETERS, q);
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
