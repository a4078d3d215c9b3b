/* The file itself: opening, migrating, transactions, and what to say when it cannot be used. */
#include "db/store.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "db/setting.h"
#include "db/sql.h"

enum {
	APPLICATION =
		0x7474616d, /* as in schema/0001_init.sql; tells run logs from other databases */
	BUSY_US = 10 * 1000 * 1000, /* how long to wait for another writer */
	PROBE_US = 100 * 1000       /* when to suspect that locks do not work at all */
};

static const struct {
	int version;
	const char *name, *sql;
} migration[] = {
#include "db/schema.inc"
};

int store_head(void) { return migration[COUNT(migration) - 1].version; }

const char *store_path(const struct store *st) { return st->path; }

static int64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* SQLite calls this while another connection holds a lock; 0 gives up. */
static int busy(void *arg, int count)
{
	struct store *st = arg;
	const int64_t now = clock_us();
	const struct timespec nap = { .tv_nsec = (count < 20 ? 1 : 10) * 1000000L };

	if (!count)
		st->waiting_since = now;
	if (now - st->waiting_since > BUSY_US || st->no_locks)
		return 0;
	if (now - st->waiting_since > PROBE_US && count % 64 == 40)
		st->no_locks = sql_lockless(st->path);
	nanosleep(&nap, NULL);
	return 1;
}

/* --- opening ----------------------------------------------------------------------------- */

static int store_new(const char *path, struct store **ret)
{
	struct store *st = calloc(1, sizeof(*st));

	if (st)
		st->path = strdup(path);
	if (!st || !st->path) {
		free(st);
		return err_set(TT_NOMEM, "not enough memory");
	}
	*ret = st;
	return TT_OK;
}

static int connect_to(struct store *st, const char *name, int flags)
{
	const int rc = sqlite3_open_v2(name, &st->db, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (!st->db)
		return err_set(TT_NOMEM, "not enough memory to use the run log '%s'", st->path);
	if (rc != SQLITE_OK)
		return sql_fail(st, sqlite3_extended_errcode(st->db));
	sqlite3_extended_result_codes(st->db, 1);
	/* A file from elsewhere may hold views and triggers: they get no say, and its schema no functions. */
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)NULL);
	sqlite3_busy_handler(st->db, busy, st);
	return setting_open(st);
}

/* By one statement: between two another program may have made the tables. */
static int read_kind(struct store *st, int64_t *ret_version, int64_t *ret_application,
		     int64_t *ret_tables)
{
	sqlite3_stmt *q;
	int got, code = sql_prepare_once(st,
					 "SELECT (SELECT user_version FROM pragma_user_version), "
					 "(SELECT application_id FROM pragma_application_id), "
					 "(SELECT count(*) FROM sqlite_master)",
					 &q);

	if (code)
		return code;
	got = sql_step(st, q);
	if (got > 0) {
		*ret_version = sqlite3_column_int64(q, 0);
		*ret_application = sqlite3_column_int64(q, 1);
		*ret_tables = sqlite3_column_int64(q, 2);
	}
	sqlite3_finalize(q);
	return got < 0 ? got : TT_OK;
}

/* What sort of file is this? Also the first read, so damage and missing locks show here. */
static int check_kind(struct store *st, int64_t *ret_version)
{
	int64_t version = 0, application = 0, tables = 0;
	const int code = read_kind(st, &version, &application, &tables);

	if (code)
		return code;
	if (application != APPLICATION && (version || application || tables))
		return err_set(
			TT_INVALID,
			"'%s' is a database of another program, not a run log: move it away, or "
			"set TRIMTAB_HOME to another folder",
			st->path);
	if (version > store_head())
		return err_set(
			TT_INVALID,
			"the run log '%s' was written by a newer trimtab (format %d, this one "
			"knows %d): update trimtab, or set TRIMTAB_HOME to another folder",
			st->path, (int)version, store_head());
	*ret_version = version;
	return TT_OK;
}

/* Set a journal mode; ret: is it that now? SQLite answers with the mode it kept. */
static int journal_set(struct store *st, const char *sql, const char *want, bool *ret)
{
	sqlite3_stmt *q;
	int rc, code = sql_prepare_once(st, sql, &q);

	if (code)
		return code;
	rc = sqlite3_step(q);
	*ret = rc == SQLITE_ROW && !strcmp(sql_text(q, 0), want);
	sqlite3_finalize(q);
	return TT_OK;
}

/*
 * WAL needs memory shared between processes, which a network file system does
 * not give. A file that is in WAL mode already can be read there only by a
 * connection that is alone, so be alone while leaving it.
 */
static int journal_truncate(struct store *st)
{
	bool done = false;
	int code = journal_set(st, "PRAGMA journal_mode = TRUNCATE", "truncate", &done);

	if (!code && !done) {
		code = sql_exec(st, "PRAGMA locking_mode = EXCLUSIVE");
		if (!code)
			code = journal_set(st, "PRAGMA journal_mode = TRUNCATE", "truncate", &done);
		if (!code)
			code = sql_exec(
				st,
				"PRAGMA locking_mode = NORMAL; SELECT count(*) FROM sqlite_master");
	}
	return code ? code : sql_exec(st, "PRAGMA synchronous = FULL");
}

static int journal_choose(struct store *st)
{
	bool wal = false;
	int code;

	if (fs_network(st->path))
		return journal_truncate(st);
	code = journal_set(st, "PRAGMA journal_mode = WAL", "wal", &wal);
	if (code)
		return code;
	return wal ? sql_exec(st, "PRAGMA synchronous = NORMAL") : journal_truncate(st);
}

/* One step, in its own transaction. Two programs may start at once: the second finds it done. */
static int migrate_step(struct store *st, size_t i)
{
	char stamp[64];
	int64_t have = 0;
	int code = store_begin(st);

	if (code)
		return code;
	code = sql_int(st, "PRAGMA user_version", &have);
	if (!code && have < migration[i].version) {
		snprintf(stamp, sizeof(stamp), "PRAGMA user_version = %d", migration[i].version);
		code = sql_exec(st, migration[i].sql);
		if (!code)
			code = sql_exec(st, stamp);
		if (code)
			err_in("bringing the run log to format %s", migration[i].name);
	}
	return sql_end(st, code);
}

static int migrate(struct store *st, int64_t have)
{
	for (size_t i = 0; i < COUNT(migration); i++) {
		if (migration[i].version > have) {
			const int code = migrate_step(st, i);

			if (code)
				return code;
		}
	}
	return TT_OK;
}

static int check_path(const char *path)
{
	struct stat s;

	if (stat(path, &s)) {
		if (errno == ENOENT)
			return TT_OK;
		return err_set(TT_IO, "cannot open the run log '%s': %s", path, strerror(errno));
	}
	if (!S_ISREG(s.st_mode))
		return err_set(
			TT_INVALID,
			"'%s' should be the run log, but is not a file: move it away, or set "
			"TRIMTAB_HOME to another folder",
			path);
	return TT_OK;
}

static int make_folder(const char *path)
{
	char dir[PATH_MAX], why[300];

	if (!fs_dirname(dir, sizeof(dir), path) && !fs_mkdirs(dir))
		return TT_OK;
	snprintf(why, sizeof(why), "%s", err_text());
	return err_set(TT_IO,
		       "there can be no run log at '%s': %s; set TRIMTAB_HOME to a folder that can "
		       "be written",
		       path, why);
}

static int open_write(struct store *st)
{
	int64_t version;
	int code = check_path(st->path);

	if (!code)
		code = make_folder(st->path);
	if (!code)
		code = connect_to(st, st->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	if (code)
		return code;
	if (sqlite3_db_readonly(st->db, "main") == 1)
		return sql_fail(st, SQLITE_READONLY);
	if (fs_network(st->path)) {
		code = journal_truncate(st);
		if (code)
			return code;
	}
	code = check_kind(st, &version);
	if (!code)
		code = journal_choose(st);
	if (!code)
		code = migrate(st, version);
	if (!code)
		code = sql_exec(st,
				"PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864; "
				"PRAGMA secure_delete = OFF");
	return code ? code : sql_int(st, "PRAGMA data_version", &st->seen);
}

int store_open(const char *path, struct store **ret)
{
	struct store *st = NULL;
	int code = store_new(path, &st);

	if (code)
		return code;
	code = open_write(st);
	if (code) {
		store_close(st);
		return code;
	}
	*ret = st;
	return TT_OK;
}

/* --- reading only ------------------------------------------------------------------------ */

/* Is there a log beside the file with commits that are not in it yet? */
static bool has_wal(const char *path)
{
	char name[PATH_MAX];
	struct stat s;

	if (snprintf(name, sizeof(name), "%s-wal", path) >= (int)sizeof(name))
		return false;
	return !stat(name, &s) && s.st_size > 0;
}

/* "file:" with the characters escaped that mean something in a URI. */
static int immutable_uri(const char *path, char *ret, size_t size)
{
	size_t n = (size_t)snprintf(ret, size, "file:");

	for (; *path; path++) {
		const bool plain = *path != '%' && *path != '?' && *path != '#';
		const int got = snprintf(ret + n, size - n, plain ? "%c" : "%%%02x",
					 (unsigned char)*path);

		n += (size_t)got;
		if (n + 16 > size)
			return err_set(TT_INVALID, "the path of the run log is too long");
	}
	snprintf(ret + n, size - n, "?immutable=1");
	return TT_OK;
}

/*
 * A file in WAL mode needs a helper file beside it even to be read. Where the
 * folder is read-only it cannot be made, but there nothing changes either.
 */
static int open_immutable(struct store *st)
{
	char uri[PATH_MAX * 3 + 32];
	int code;

	if (has_wal(st->path))
		return err_set(TT_IO,
			       "the run log '%s' has changes that were not merged yet and its "
			       "folder cannot be "
			       "written: copy the folder to a writable place and set TRIMTAB_HOME "
			       "to the copy",
			       st->path);
	code = immutable_uri(st->path, uri, sizeof(uri));
	return code ? code : connect_to(st, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

static void disconnect(struct store *st)
{
	store_rollback(st);
	for (size_t i = 0; i < st->cached_n; i++)
		sqlite3_finalize(st->cached[i].q);
	st->cached_n = 0;
	sqlite3_close_v2(st->db);
	st->db = NULL;
}

static bool cannot_write_beside(int rc)
{
	return (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY ||
	       rc == SQLITE_IOERR_SHMOPEN || rc == SQLITE_IOERR_SHMMAP ||
	       rc == SQLITE_IOERR_SHMSIZE;
}

static int open_readable(struct store *st, int64_t *ret_version)
{
	int code = connect_to(st, st->path, SQLITE_OPEN_READONLY);

	if (code)
		return code;
	code = check_kind(st, ret_version);
	if (!code || !cannot_write_beside(sqlite3_extended_errcode(st->db)))
		return code;
	disconnect(st);
	code = open_immutable(st);
	return code ? code : check_kind(st, ret_version);
}

/* An older file is brought up to date first, which only a writable one can be. */
static int update(const char *path)
{
	struct store *st = NULL;
	const int code = store_open(path, &st);

	if (code)
		return err_in("the run log is of an older trimtab");
	store_close(st);
	return TT_OK;
}

static int open_read(struct store *st)
{
	int64_t version;
	int code = check_path(st->path);

	if (code)
		return code;
	if (!fs_exists(st->path))
		return err_set(
			TT_NOTFOUND,
			"there is no run log at '%s' yet: start a run with 'trimtab run RECIPE', "
			"or set TRIMTAB_HOME",
			st->path);
	code = open_readable(st, &version);
	if (!code && version < store_head()) {
		disconnect(st);
		code = update(st->path);
		if (!code)
			code = open_readable(st, &version);
	}
	/*
	 * Lists and curves read a page once, and the system has it: to read it
	 * again costs less than memory for it. But sorting must not go by that.
	 */
	if (!code)
		code = sql_exec(st, "PRAGMA cache_size = -1000; PRAGMA temp_store = MEMORY");
	return code ? code : sql_int(st, "PRAGMA data_version", &st->seen);
}

int store_open_read(const char *path, struct store **ret)
{
	struct store *st = NULL;
	int code = store_new(path, &st);

	if (code)
		return code;
	code = open_read(st);
	if (code) {
		store_close(st);
		return code;
	}
	*ret = st;
	return TT_OK;
}

void store_close(struct store *st)
{
	if (!st)
		return;
	disconnect(st);
	sql_key_forget(st);
	free(st->path);
	free(st);
}

/* --- transactions and small questions ---------------------------------------------------- */

int store_begin(struct store *st)
{
	int code;

	if (st->depth++)
		return TT_OK;
	code = sql_exec(st, "BEGIN IMMEDIATE");
	if (code)
		st->depth = 0;
	return code;
}

int store_commit(struct store *st)
{
	int code;

	if (!st->depth)
		return err_set(TT_INVALID, "the transaction was rolled back before");
	if (--st->depth)
		return TT_OK;
	code = sql_exec(st, "COMMIT");
	if (code)
		store_rollback(st);
	return code;
}

/* Keeps the recorded sentence: it is called because of it. */
void store_rollback(struct store *st)
{
	if (st->db && !sqlite3_get_autocommit(st->db))
		(void)sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	if (st->depth)
		sql_key_forget(st);
	st->depth = 0;
}

bool store_changed(struct store *st)
{
	int64_t now;

	if (sql_int(st, "PRAGMA data_version", &now) || now == st->seen)
		return false;
	st->seen = now;
	return true;
}

const char *store_journal(struct store *st)
{
	static const char *const known[] = {
		"wal", "truncate", "delete", "persist", "memory", "off"
	};
	const char *found = "unknown";
	sqlite3_stmt *q;

	if (sql_prepare(st, "PRAGMA journal_mode", &q))
		return found;
	if (sql_step(st, q) > 0) {
		for (size_t i = 0; i < COUNT(known); i++) {
			if (!strcmp(sql_text(q, 0), known[i]))
				found = known[i];
		}
	}
	sql_done(q);
	return found;
}

int store_version(struct store *st)
{
	int64_t version;
	const int code = sql_int(st, "PRAGMA user_version", &version);

	return code ? code : (int)version;
}

int store_schema(struct store *st, char **ret)
{
	sqlite3_stmt *q;
	char *text = NULL;
	int got, code = sql_prepare(st,
				    "SELECT group_concat(sql, ';' || char(10)) FROM (SELECT sql "
				    "FROM sqlite_master "
				    "WHERE sql IS NOT NULL ORDER BY type DESC, name)",
				    &q);

	if (code)
		return code;
	got = sql_step(st, q);
	if (got > 0)
		text = strdup(sql_text(q, 0));
	sql_done(q);
	if (got < 0)
		return got;
	if (!text)
		return err_set(TT_NOMEM, "not enough memory");
	*ret = text;
	return TT_OK;
}

int store_limit(struct store *st, int pages)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", pages ? pages : 0x3ffffffe);
	return sql_exec(st, sql);
}
