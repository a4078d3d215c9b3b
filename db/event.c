/* What happened to a run, and what was asked of it. */
#include "db/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/sql.h"

int event_add(struct store *st, int64_t run, int64_t step, const char *kind, const char *text)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"INSERT INTO event (run, n, step, time, kind, text) "
		"SELECT row, 1 + coalesce((SELECT max(n) FROM event WHERE run = ?1), 0), "
		"?2, ?3, ?4, ?5 FROM run WHERE row = ?1",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 3, (const int64_t[]){ run, step, proc_now_us() });
	sql_bind_text(q, 4, kind);
	sql_bind_text(q, 5, text);
	return sql_write_run(st, q, run);
}

static int event_rows(struct store *st, sqlite3_stmt *q, struct sql_rows *rows)
{
	int got = 0, code = TT_OK;

	while (!code && (got = sql_step(st, q)) > 0) {
		const struct event e = { .n = sqlite3_column_int64(q, 0),
					 .step = sqlite3_column_int64(q, 1),
					 .time_us = sqlite3_column_int64(q, 2) };

		code = sql_rows_text(rows, sql_text(q, 3));
		if (!code)
			code = sql_rows_text(rows, sql_text(q, 4));
		if (!code)
			code = sql_rows_add(rows, &e);
	}
	return code ? code : got;
}

int event_list(struct store *st, int64_t run, int64_t after, struct event **ret, size_t *ret_n)
{
	static const size_t field[] = { offsetof(struct event, kind),
					offsetof(struct event, text) };
	struct sql_rows rows = { .row_size = sizeof(struct event) };
	sqlite3_stmt *q;
	void *block;
	int code = sql_prepare(
		st,
		"SELECT n, step, time, kind, text FROM event WHERE run = ?1 AND n > ?2 ORDER BY n",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ run, after });
	code = event_rows(st, q, &rows);
	sql_done(q);
	if (!code)
		code = sql_rows_pack(&rows, field, 2, &block, ret_n);
	if (!code)
		*ret = block;
	sql_rows_done(&rows);
	return code;
}

/* --- commands ---------------------------------------------------------------------------- */

void command_row_done(struct command_row *c)
{
	free(c->text);
	*c = (struct command_row){ 0 };
}

int command_add(struct store *st, int64_t run, const char *verb, const char *arg, int64_t *ret_id)
{
	sqlite3_stmt *q;
	int code = sql_prepare(st,
			       "INSERT INTO command (run, verb, arg, created) "
			       "SELECT row, ?2, ?3, ?4 FROM run WHERE row = ?1",
			       &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	sql_bind_text(q, 2, verb);
	sql_bind_text(q, 3, arg);
	sqlite3_bind_int64(q, 4, proc_now_us());
	code = sql_write_run(st, q, run);
	if (!code)
		*ret_id = sqlite3_last_insert_rowid(st->db);
	return code;
}

static int take_texts(sqlite3_stmt *q, int column, struct command_row *c)
{
	const char **const field[] = { &c->verb, &c->arg, &c->answer };
	const char *text[3];
	size_t size[3];
	char *at;

	for (int i = 0; i < 3; i++) {
		text[i] = sql_text(q, column + i);
		size[i] = strlen(text[i]) + 1;
	}
	at = c->text = malloc(size[0] + size[1] + size[2]);
	if (!at)
		return err_set(TT_NOMEM, "not enough memory");
	for (int i = 0; i < 3; i++) {
		memcpy(at, text[i], size[i]);
		*field[i] = at;
		at += size[i];
	}
	return TT_OK;
}

/* The first row of q, which is given back: 1 found, 0 none, < 0 failed. */
static int command_row_take(struct store *st, sqlite3_stmt *q, struct command_row *ret)
{
	struct command_row c = { 0 };
	int got = sql_step(st, q);

	if (got > 0) {
		const int code = take_texts(q, 6, &c);

		got = code ? code : 1;
		c.id = sqlite3_column_int64(q, 0);
		c.run = sqlite3_column_int64(q, 1);
		c.created = sqlite3_column_int64(q, 2);
		c.taken = sqlite3_column_int64(q, 3);
		c.done = sqlite3_column_int64(q, 4);
		c.ok = sqlite3_column_int(q, 5) != 0;
	}
	sql_done(q);
	if (got > 0)
		*ret = c;
	return got;
}

static int command_next(struct store *st, int64_t run, struct command_row *ret)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"SELECT id, run, created, taken, done, ok, verb, arg, answer FROM command "
		"WHERE run = ?1 AND done = 0 AND taken = 0 ORDER BY id LIMIT 1",
		&q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	return command_row_take(st, q, ret);
}

static int command_mark(struct store *st, struct command_row *c)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, "UPDATE command SET taken = ?2 WHERE id = ?1", &q);

	if (code)
		return code;
	c->taken = proc_now_us();
	sql_bind_ints(q, 2, (const int64_t[]){ c->id, c->taken });
	return sql_write(st, q);
}

/* Asked several times a second and mostly in vain, so look before taking the write lock. */
int command_take(struct store *st, int64_t run, struct command_row *ret, bool *ret_any)
{
	struct command_row c = { 0 };
	int got = command_next(st, run, &c);
	int code = got < 0 ? got : TT_OK;

	command_row_done(&c);
	if (got > 0) {
		code = store_begin(st);
		if (code)
			return code;
		got = command_next(st, run, &c);
		code = got < 0 ? got : TT_OK;
		if (got > 0)
			code = command_mark(st, &c);
		code = sql_end(st, code);
	}
	if (code) {
		command_row_done(&c);
		return code;
	}
	*ret = c;
	*ret_any = got > 0;
	return TT_OK;
}

static int fail_gone(int64_t id)
{
	return err_set(TT_NOTFOUND, "command %lld is not in the run log any more", (long long)id);
}

int command_done(struct store *st, int64_t id, bool ok, const char *answer)
{
	sqlite3_stmt *q;
	int code = sql_prepare(
		st, "UPDATE command SET done = ?2, ok = ?3, answer = ?4 WHERE id = ?1", &q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, proc_now_us() });
	sqlite3_bind_int(q, 3, ok);
	sql_bind_text(q, 4, answer);
	code = sql_write(st, q);
	return !code && !sqlite3_changes(st->db) ? fail_gone(id) : code;
}

int command_get(struct store *st, int64_t id, struct command_row *ret)
{
	sqlite3_stmt *q;
	int got = sql_prepare(
		st,
		"SELECT id, run, created, taken, done, ok, verb, arg, answer FROM command "
		"WHERE id = ?1",
		&q);

	if (got)
		return got;
	sqlite3_bind_int64(q, 1, id);
	got = command_row_take(st, q, ret);
	if (!got)
		return fail_gone(id);
	return got < 0 ? got : TT_OK;
}

int command_cancel(struct store *st, int64_t id, bool *ret_taken)
{
	sqlite3_stmt *q;
	int code = sql_prepare(st,
			       "UPDATE command SET done = ?2, answer = 'nobody took it in time' "
			       "WHERE id = ?1 AND taken = 0 AND done = 0",
			       &q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, proc_now_us() });
	code = sql_write(st, q);
	if (!code)
		*ret_taken = sqlite3_changes(st->db) == 0;
	return code;
}
