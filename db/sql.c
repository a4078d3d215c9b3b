/* Statements, transactions and sentences: what every other file of the room stands on. */
#include "db/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"

/*
 * SQLite turns some refusals of a lock into "busy", so ask the file system
 * directly. On a file of its own: closing any descriptor of the database would
 * drop the locks that other connections of this process hold on it.
 */
bool sql_lockless(const char *path)
{
	char dir[PATH_MAX], name[PATH_MAX];
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	bool refused = false;
	int fd;

	if (fs_dirname(dir, sizeof(dir), path))
		return false;
	if (snprintf(name, sizeof(name), "%s/.lock-probe-XXXXXX", dir) >= (int)sizeof(name))
		return false;
	fd = mkstemp(name);
	if (fd < 0)
		return false;
	if (fcntl(fd, F_SETLK, &lock))
		refused = errno != EACCES && errno != EAGAIN && errno != EINTR;
	close(fd);
	unlink(name);
	return refused;
}

static int fail_locks(const char *path)
{
	return err_set(
		TT_IO,
		"the file system that holds '%s' does not support file locks, so a run log there "
		"would be damaged: set TRIMTAB_HOME to a folder on a local disk",
		path);
}

static int fail_full(const char *path)
{
	return err_set(
		TT_IO,
		"the disk that holds the run log '%s' is full: free some space and try again; "
		"what was stored before is intact",
		path);
}

static int fail_readonly(const char *path)
{
	return err_set(
		TT_IO,
		"the run log '%s' cannot be written, the file or its folder is read-only: make it "
		"writable, or set TRIMTAB_HOME to another folder",
		path);
}

static bool is_lock(int rc)
{
	return rc == SQLITE_IOERR_LOCK || rc == SQLITE_IOERR_RDLOCK || rc == SQLITE_IOERR_UNLOCK ||
	       rc == SQLITE_IOERR_CHECKRESERVEDLOCK || rc == SQLITE_IOERR_SHMLOCK ||
	       rc == SQLITE_PROTOCOL;
}

/* The system's own reason decides before SQLite's: a full disk shows under several codes. */
static int fail_errno(const char *path, int rc, int reason)
{
	if ((rc & 0xff) != SQLITE_IOERR && (rc & 0xff) != SQLITE_CANTOPEN)
		return TT_OK;
	if (reason == ENOSPC || reason == EDQUOT)
		return fail_full(path);
	if (reason == EROFS)
		return fail_readonly(path);
	return TT_OK;
}

int sql_fail(struct store *st, int rc)
{
	const int reason = sqlite3_system_errno(st->db);
	const int code = fail_errno(st->path, rc, reason);

	if (code)
		return code;
	if (is_lock(rc) || (st->no_locks && (rc & 0xff) == SQLITE_BUSY))
		return fail_locks(st->path);
	switch (rc & 0xff) {
	case SQLITE_FULL: return fail_full(st->path);
	case SQLITE_READONLY:
	case SQLITE_PERM: return fail_readonly(st->path);
	case SQLITE_NOTADB:
		return err_set(
			TT_INVALID,
			"'%s' is not a run log: move it away, or set TRIMTAB_HOME to another "
			"folder",
			st->path);
	case SQLITE_CORRUPT:
		return err_set(TT_IO,
			       "the run log '%s' is damaged (%s): move it away to start a new one; "
			       "'sqlite3 FILE .recover' saves what can be read",
			       st->path, sqlite3_errmsg(st->db));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(
			TT_IO,
			"another program has held the run log '%s' for too long: see what uses it "
			"and try again",
			st->path);
	case SQLITE_CANTOPEN:
		return err_set(TT_IO, "cannot open the run log '%s': %s", st->path,
			       reason ? strerror(reason) : "its folder cannot be used");
	case SQLITE_NOMEM:
		return err_set(TT_NOMEM, "not enough memory to use the run log '%s'", st->path);
	case SQLITE_IOERR:
		return err_set(TT_IO, "the run log '%s' cannot be read or written: %s", st->path,
			       reason ? strerror(reason) : sqlite3_errmsg(st->db));
	default:
		return err_set(TT_IO, "the run log '%s' refused: %s", st->path,
			       sqlite3_errmsg(st->db));
	}
}

int sql_prepare_once(struct store *st, const char *sql, sqlite3_stmt **ret)
{
	sqlite3_stmt *q = NULL;
	const int rc = sqlite3_prepare_v2(st->db, sql, -1, &q, NULL);

	if (rc != SQLITE_OK)
		return sql_fail(st, rc);
	*ret = q;
	return TT_OK;
}

int sql_prepare(struct store *st, const char *sql, sqlite3_stmt **ret)
{
	sqlite3_stmt *q = NULL;
	int rc;

	for (size_t i = 0; i < st->cached_n; i++) {
		if (st->cached[i].sql == sql) {
			*ret = st->cached[i].q;
			return TT_OK;
		}
	}
	if (st->cached_n == SQL_CACHED) /* more literals than places: a bug, raise SQL_CACHED */
		return err_set(TT_NOMEM, "too many kinds of statements for the run log");
	rc = sqlite3_prepare_v3(st->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL);
	if (rc != SQLITE_OK)
		return sql_fail(st, rc);
	st->cached[st->cached_n].sql = sql;
	st->cached[st->cached_n++].q = q;
	*ret = q;
	return TT_OK;
}

void sql_done(sqlite3_stmt *q)
{
	if (!q)
		return;
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
}

int sql_step(struct store *st, sqlite3_stmt *q)
{
	const int rc = sqlite3_step(q);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : sql_fail(st, rc);
}

int sql_write(struct store *st, sqlite3_stmt *q)
{
	const int got = sql_step(st, q);

	sql_done(q);
	return got < 0 ? got : TT_OK;
}

int sql_write_run(struct store *st, sqlite3_stmt *q, int64_t run)
{
	const int code = sql_write(st, q);

	if (code)
		return code;
	if (!sqlite3_changes(st->db))
		return err_set(TT_NOTFOUND, "run number %lld is not in the run log any more",
			       (long long)run);
	return TT_OK;
}

int sql_exec(struct store *st, const char *sql)
{
	const int rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? TT_OK : sql_fail(st, rc);
}

int sql_int(struct store *st, const char *sql, int64_t *ret)
{
	sqlite3_stmt *q;
	int got, code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	got = sql_step(st, q);
	if (got >= 0)
		*ret = got ? sqlite3_column_int64(q, 0) : 0;
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

int sql_begin_read(struct store *st)
{
	int code;

	if (st->depth++)
		return TT_OK;
	code = sql_exec(st, "BEGIN");
	if (code)
		st->depth = 0;
	return code;
}

int sql_end(struct store *st, int code)
{
	if (!code)
		return store_commit(st);
	store_rollback(st);
	return code;
}

void sql_bind_ints(sqlite3_stmt *q, int n, const int64_t *value)
{
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(q, i + 1, value[i]);
}

void sql_bind_text(sqlite3_stmt *q, int at, const char *text)
{
	sqlite3_bind_text(q, at, text ? text : "", -1, SQLITE_TRANSIENT);
}

const char *sql_text(sqlite3_stmt *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q, column);

	return text ? text : "";
}

double sql_real(sqlite3_stmt *q, int column)
{
	if (sqlite3_column_type(q, column) == SQLITE_NULL)
		return (double)NAN;
	return sqlite3_column_double(q, column);
}

/* --- rows with texts --------------------------------------------------------------------- */

static int grow(void **data, size_t *room, size_t need, size_t size)
{
	size_t want = *room ? *room : 16;
	void *grown;

	if (need <= *room)
		return TT_OK;
	while (want < need)
		want *= 2;
	grown = realloc(*data, want * size);
	if (!grown)
		return err_set(TT_NOMEM, "not enough memory");
	*data = grown;
	*room = want;
	return TT_OK;
}

int sql_rows_text(struct sql_rows *r, const char *text)
{
	const size_t size = strlen(text) + 1;
	int code = grow((void **)&r->at, &r->at_room, r->at_n + 1, sizeof(*r->at));

	if (!code)
		code = grow((void **)&r->text, &r->text_room, r->text_n + size, 1);
	if (code)
		return code;
	memcpy(r->text + r->text_n, text, size);
	r->at[r->at_n++] = r->text_n;
	r->text_n += size;
	return TT_OK;
}

int sql_rows_add(struct sql_rows *r, const void *row)
{
	const int code = grow((void **)&r->row, &r->row_room, r->row_n + 1, r->row_size);

	if (code)
		return code;
	memcpy(r->row + r->row_n++ * r->row_size, row, r->row_size);
	return TT_OK;
}

int sql_rows_pack(struct sql_rows *r, const size_t *field, size_t fields, void **ret, size_t *ret_n)
{
	const size_t rows = r->row_n * r->row_size;
	char *block = realloc(r->row, rows + r->text_n + 1);

	if (!block)
		return err_set(TT_NOMEM, "not enough memory");
	r->row = NULL;
	if (r->text_n)
		memcpy(block + rows, r->text, r->text_n);
	for (size_t i = 0; i < r->row_n; i++) {
		for (size_t k = 0; k < fields; k++) {
			const char *text = block + rows + r->at[i * fields + k];

			memcpy(block + i * r->row_size + field[k], &text, sizeof(text));
		}
	}
	*ret = block;
	*ret_n = r->row_n;
	return TT_OK;
}

void sql_rows_done(struct sql_rows *r)
{
	free(r->row);
	free(r->text);
	free(r->at);
}

int sql_texts(struct store *st, sqlite3_stmt *q, char ***ret, size_t *ret_n)
{
	static const size_t field[] = { 0 };
	struct sql_rows rows = { .row_size = sizeof(char *) };
	const char *place = NULL; /* filled in by sql_rows_pack */
	void *list;
	int got = 0, code = TT_OK;

	while (!code && (got = sql_step(st, q)) > 0) {
		code = sql_rows_text(&rows, sql_text(q, 0));
		if (!code)
			code = sql_rows_add(&rows, &place);
	}
	if (!code)
		code = got;
	if (!code)
		code = sql_rows_pack(&rows, field, 1, &list, ret_n);
	if (!code)
		*ret = list;
	sql_rows_done(&rows);
	return code;
}

/* --- keys -------------------------------------------------------------------------------- */

static size_t hash(const char *text)
{
	uint64_t h = 1469598103934665603u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

/* Where name is, or the empty place where it belongs. */
static size_t key_place(char *const *table, size_t room, const char *name)
{
	size_t at = hash(name) & (room - 1);

	while (table[at] && strcmp(table[at], name) != 0)
		at = (at + 1) & (room - 1);
	return at;
}

static int key_grow(struct store *st)
{
	const size_t room = st->key_room ? st->key_room * 2 : 128;
	char **key = calloc(room, sizeof(*key));
	int64_t *id = calloc(room, sizeof(*id));

	if (!key || !id) {
		free(key);
		free(id);
		return err_set(TT_NOMEM, "not enough memory");
	}
	for (size_t i = 0; i < st->key_room; i++) {
		if (st->key[i]) {
			const size_t at = key_place(key, room, st->key[i]);

			key[at] = st->key[i];
			id[at] = st->key_id[i];
		}
	}
	free(st->key);
	free(st->key_id);
	st->key = key;
	st->key_id = id;
	st->key_room = room;
	return TT_OK;
}

static int key_remember(struct store *st, const char *name, int64_t id)
{
	size_t at;
	int code;

	if (2 * st->key_n >= st->key_room) {
		code = key_grow(st);
		if (code)
			return code;
	}
	at = key_place(st->key, st->key_room, name);
	st->key[at] = strdup(name);
	if (!st->key[at])
		return err_set(TT_NOMEM, "not enough memory");
	st->key_id[at] = id;
	st->key_n++;
	return TT_OK;
}

void sql_key_forget(struct store *st)
{
	for (size_t i = 0; i < st->key_room; i++)
		free(st->key[i]);
	free(st->key);
	free(st->key_id);
	st->key = NULL;
	st->key_id = NULL;
	st->key_n = st->key_room = 0;
}

/* Keys are never removed or renumbered, so what was once read from the file stays true. */
int sql_key_find(struct store *st, const char *name, int64_t *ret)
{
	sqlite3_stmt *q;
	int64_t id = 0;
	int got, code;

	if (st->key_room) {
		const size_t at = key_place(st->key, st->key_room, name);

		if (st->key[at]) {
			*ret = st->key_id[at];
			return TT_OK;
		}
	}
	code = sql_prepare(st, "SELECT id FROM key WHERE name = ?1", &q);
	if (code)
		return code;
	sql_bind_text(q, 1, name);
	got = sql_step(st, q);
	if (got > 0)
		id = sqlite3_column_int64(q, 0);
	sql_done(q);
	if (got < 0)
		return got;
	if (id) {
		code = key_remember(st, name, id);
		if (code)
			return code;
	}
	*ret = id;
	return TT_OK;
}

int sql_key_add(struct store *st, const char *name, int64_t *ret)
{
	sqlite3_stmt *q;
	int code = sql_key_find(st, name, ret);

	if (code || *ret)
		return code;
	code = sql_prepare(st, "INSERT INTO key (name) VALUES (?1)", &q);
	if (code)
		return code;
	sql_bind_text(q, 1, name);
	code = sql_write(st, q);
	if (code)
		return code;
	*ret = sqlite3_last_insert_rowid(st->db);
	return key_remember(st, name, *ret);
}
