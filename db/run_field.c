/* Runs as they are read: what any key (column, metric, setting) says of some of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "db/run_column.h"
#include "db/run_filter.h"
#include "db/setting.h"

enum { MANY = 256 }; /* so many runs are worth a look at every recipe */

/* Parameter 1 is the run, then there is one for each key. */
static int parameter(size_t i) { return (int)i + 2; }

static void key_sql(const struct run_key *k, int at, bool many, struct buf *sql)
{
	static const char lists[] = "(SELECT group_concat(%s, ' ') FROM (SELECT %s FROM %s t "
				    "WHERE t.run = run.row ORDER BY %s))";

	if (k->kind == KEY_METRIC)
		buf_printf(sql,
			   "(SELECT ifnull(value, 'NaN') FROM last l WHERE l.key = ?%d AND "
			   "l.run = run.row)",
			   at);
	else if (k->kind == KEY_SETTING)
		buf_printf(sql, many ? SETTING_MANY : SETTING_ONE, at);
	else if (k->column->kind == COLUMN_TAG)
		buf_printf(sql, lists, "word", "word", "tag", "word");
	else if (k->column->kind == COLUMN_NOTE)
		buf_printf(sql, lists, "text", "text", "note", "text");
	else
		buf_text(sql, k->column->sql);
}

static int prepare(struct store *st, const struct run_key *key, size_t keys, bool many,
		   sqlite3_stmt **ret)
{
	struct buf sql;
	int code = many ? setting_ready(st) : TT_OK;

	buf_init(&sql, 1 << 20);
	buf_text(&sql, "SELECT run.row");
	for (size_t i = 0; i < keys; i++) {
		buf_text(&sql, ", ");
		key_sql(&key[i], parameter(i), many, &sql);
	}
	buf_text(&sql, " FROM run WHERE run.row = ?1");
	if (!code)
		code = buf_check(&sql, "the columns of a list");
	if (!code)
		code = sql_prepare_once(st, sql.data, ret);
	buf_done(&sql);
	return code;
}

static int bind(struct store *st, const struct run_key *key, size_t keys, bool many,
		sqlite3_stmt *q)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < keys; i++) {
		int64_t number = 0;

		if (key[i].kind == KEY_COLUMN)
			continue;
		if (key[i].kind == KEY_SETTING && !many) {
			sql_bind_text(q, parameter(i), key[i].name);
			continue;
		}
		code = key[i].kind == KEY_METRIC ? sql_key_find(st, key[i].name, &number)
						 : setting_need(st, key[i].name, &number);
		if (!code)
			sqlite3_bind_int64(q, parameter(i), number);
	}
	return code;
}

static void take(const struct run_key *k, sqlite3_stmt *q, int column, struct run_field *ret)
{
	const int type = sqlite3_column_type(q, column);

	*ret = (struct run_field){ .kind = FIELD_NONE };
	if (type == SQLITE_NULL)
		return;
	if (k->kind == KEY_COLUMN && k->column->kind == COLUMN_STATE) {
		ret->kind = FIELD_TEXT;
		snprintf(ret->text, sizeof(ret->text), "%s",
			 run_state_name(sqlite3_column_int(q, column)));
	} else if (type == SQLITE_TEXT && k->kind == KEY_METRIC) {
		ret->kind = FIELD_NUMBER;
		ret->number = (double)NAN;
	} else if (type == SQLITE_TEXT) {
		ret->kind = FIELD_TEXT;
		snprintf(ret->text, sizeof(ret->text), "%s", sql_text(q, column));
	} else {
		ret->kind = k->kind == KEY_COLUMN && k->column->kind == COLUMN_SPAN ? FIELD_SPAN
										    : FIELD_NUMBER;
		ret->number = sqlite3_column_double(q, column);
	}
}

static int read_all(struct store *st, const struct run_key *key, size_t keys, const int64_t *row,
		    size_t n, struct run_field *ret)
{
	const bool many = n > MANY;
	sqlite3_stmt *q;
	int code = prepare(st, key, keys, many, &q);

	if (code)
		return code;
	code = bind(st, key, keys, many, q);
	for (size_t i = 0; !code && i < n; i++) {
		int got;

		sqlite3_bind_int64(q, 1, row[i]);
		got = sql_step(st, q);
		for (size_t k = 0; got > 0 && k < keys; k++)
			take(&key[k], q, (int)k + 1, &ret[i * keys + k]);
		code = got < 0 ? got : TT_OK;
		sqlite3_reset(q);
	}
	sqlite3_finalize(q);
	return code;
}

int run_fields(struct store *st, const int64_t *row, size_t n, const char *const *name, size_t keys,
	       struct run_field *ret)
{
	struct run_key key[RUN_FIELDS_MAX];
	int code;

	if (keys > RUN_FIELDS_MAX)
		return err_set(TT_INVALID, "a list has at most %d columns", RUN_FIELDS_MAX);
	for (size_t i = 0; i < n * keys; i++)
		ret[i].kind = FIELD_NONE;
	for (size_t i = 0; i < keys; i++)
		if (!run_key_find(name[i], &key[i]))
			return err_set(TT_INVALID, "there is no column '%.60s'", name[i]);
	code = n && keys ? sql_begin_read(st) : TT_OK;
	if (!code && n && keys)
		code = sql_end(st, read_all(st, key, keys, row, n, ret));
	return code;
}

bool run_key_is(const char *name)
{
	struct run_key key;

	return run_key_find(name, &key);
}
