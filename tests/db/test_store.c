/* Opening: the schema, two connections, several writers, and every file that cannot be used. */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "db/metric.h"
#include "tests/db/home.h"
#include "tests/nfs.h"

/* --- a file system without locks --------------------------------------------------------- */

static int lock_errno;

/* Stands before the C library's for this program and the libraries it loads. */
static int fake_fcntl(int fd, int cmd, void *arg)
{
	if (lock_errno && (cmd == F_SETLK || cmd == F_SETLKW || cmd == F_GETLK)) {
		errno = lock_errno;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fake_fcntl(fd, cmd, arg);
}

int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fake_fcntl(fd, cmd, arg);
}

/* --- a network file system --------------------------------------------------------------- */

/* A trainer that was killed: its last rows are in the write-ahead log only. */
static int killed_writer(const char *db, int64_t run)
{
	const struct metric m = { .key = "a", .step = 1, .value = 5 };
	struct store *st;

	return store_open(db, &st) || metric_add(st, run, 1, &m, 1);
}

static void network_leaves_wal(void)
{
	const struct metric m = { .key = "a", .step = 2, .value = 6 };
	struct home h;
	struct store *other = NULL;
	struct metric_point *p = NULL;
	size_t n = 0;
	int64_t run;
	int status = -1;
	pid_t pid;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	store_close(h.st);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(killed_writer(h.db, run));
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	on_nfs = true;
	CHECK(store_open(h.db, &h.st) == TT_OK && store_open(h.db, &other) == TT_OK);
	CHECK_STR(store_journal(h.st), "truncate");
	CHECK_STR(store_journal(other), "truncate");
	CHECK(metric_add(other, run, 1, &m, 1) == TT_OK);
	CHECK(store_changed(h.st));
	CHECK(metric_read(h.st, run, "a", &p, &n) == TT_OK && n == 2 && p[0].value == 5 &&
	      p[1].value == 6);
	free(p);
	CHECK(run_trash(h.st, run) == TT_OK);
	store_close(other);
	store_close(h.st);
	h.st = NULL;
	on_nfs = false;
	CHECK(store_open(h.db, &h.st) == TT_OK); /* at home again */
	CHECK_STR(store_journal(h.st), "wal");
	home_close(&h);
}

/* --- no locks ---------------------------------------------------------------------------- */

static void no_locks_is_said(void)
{
	static const int reasons[] = { ENOLCK, ENOSYS, EINVAL };
	struct home h;
	struct store *st = NULL;

	home_open(&h);
	store_close(h.st); /* a process that has locks already is not refused them again */
	h.st = NULL;
	for (size_t i = 0; i < 3; i++) {
		lock_errno = reasons[i];
		CHECK(store_open(h.db, &st) == TT_IO);
		lock_errno = 0;
		CHECK_NAMED(strstr(err_text(), "does not support file locks") != NULL, err_text());
	}
	CHECK(!st);
	home_close(&h);
}

/* --- helpers ----------------------------------------------------------------------------- */

/* The header of a database file holds its numbers with the first byte the highest. */
static void patch(const char *path, long at, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "r+b");

	if (!f || fseek(f, at, SEEK_SET) || fwrite(bytes, 1, n, f) != n)
		printf("# cannot patch %s\n", path);
	if (f)
		fclose(f);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "wb");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void refused(const char *path, int code, const char *says)
{
	struct store *st = NULL;

	CHECK_NAMED(store_open(path, &st) == code, says);
	CHECK_NAMED(strstr(err_text(), says) != NULL, err_text());
	CHECK_NAMED(strstr(err_text(), path) != NULL, err_text());
	CHECK(!st);
}

/* --- tests ------------------------------------------------------------------------------- */

static void schema_is_the_golden_one(void)
{
	char path[PATH_MAX];
	struct home h;
	struct buf golden;
	char *schema = NULL;

	home_open(&h);
	snprintf(path, sizeof(path), "%s/tests/db/schema.golden",
		 getenv("top_srcdir") ? getenv("top_srcdir") : ".");
	CHECK(fs_read(path, 1 << 20, &golden) == TT_OK);
	CHECK(store_schema(h.st, &schema) == TT_OK);
	CHECK(golden.data && schema && !strcmp(golden.data, schema));
	if (schema && (!golden.data || strcmp(golden.data, schema) != 0)) {
		FILE *f = fopen("schema.found", "w");

		if (f) {
			fputs(schema, f);
			fclose(f);
			printf("# what was found is in schema.found\n");
		}
	}
	CHECK(store_version(h.st) == store_head());
	CHECK_STR(store_journal(h.st), fs_network(h.dir) ? "truncate" : "wal");
	free(schema);
	buf_done(&golden);
	home_close(&h);
}

static void other_connection_is_noticed(void)
{
	struct home h;
	struct store *other = NULL;

	home_open(&h);
	CHECK(store_open(h.db, &other) == TT_OK); /* a second opener finds nothing to do */
	CHECK(!store_changed(other));
	CHECK(home_run(&h, 1, "a", NULL) > 0);
	CHECK(store_changed(other));  /* the other process sees it... */
	CHECK(!store_changed(other)); /* ...once */
	CHECK(!store_changed(h.st));  /* one's own commits do not count */
	store_close(other);
	home_close(&h);
}

static void transactions_nest(void)
{
	struct home h;
	struct run r = { 0 };

	home_open(&h);
	CHECK(store_begin(h.st) == TT_OK);
	CHECK(home_run(&h, 1, "gone", NULL) > 0);
	store_rollback(h.st);
	CHECK(run_find(h.st, "gone", &r) == TT_NOTFOUND);
	CHECK(store_commit(h.st) == TT_INVALID);
	CHECK(store_begin(h.st) == TT_OK && store_begin(h.st) == TT_OK);
	CHECK(home_run(&h, 2, "kept", NULL) > 0);
	CHECK(store_commit(h.st) == TT_OK && store_commit(h.st) == TT_OK);
	CHECK(run_find(h.st, "kept", &r) == TT_OK);
	run_done(&r);
	home_close(&h);
}

/* One of several processes: opens, and commits many small batches. */
static int writer(const char *db, int64_t run, int n)
{
	struct store *st;
	char key[32];

	snprintf(key, sizeof(key), "test/%d", n);
	if (store_open(db, &st))
		return 1;
	for (int step = 0; step < 100; step++) {
		const struct metric m = { .key = key, .step = step, .value = step };

		if (metric_add(st, run, 1, &m, 1)) {
			fprintf(stderr, "# writer %d: %s\n", n, err_text());
			return 2;
		}
	}
	store_close(st);
	return 0;
}

static void writers_do_not_collide(void)
{
	struct home h;
	pid_t pid[3];
	int64_t run;

	home_open(&h);
	run = home_run(&h, 1, "busy", NULL);
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(writer(h.db, run, i));
	}
	for (int i = 0; i < 3; i++) {
		struct metric_point *p = NULL;
		char key[32];
		size_t n = 0;
		int status = -1;

		snprintf(key, sizeof(key), "test/%d", i);
		CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
		CHECK(metric_read(h.st, run, key, &p, &n) == TT_OK && n == 100);
		free(p);
	}
	home_close(&h);
}

/* Commits one row after the other and says so on a pipe, until it is killed. */
static int endless_writer(const char *db, int64_t run, int say)
{
	struct store *st;

	if (store_open(db, &st))
		return 1;
	for (int step = 0; step < 1000000; step++) {
		const struct metric m = { .key = "a", .step = step, .value = step };

		if (metric_add(st, run, 1, &m, 1) || write(say, "x", 1) != 1)
			return 2;
	}
	return 3;
}

/* What was committed before a kill -9 is there afterwards, in order and without holes. */
static size_t rows_after_kill(struct home *h, int64_t run, int acknowledged)
{
	struct metric_point *p = NULL;
	size_t n = 0;
	int end[2], status = 0;
	pid_t pid;
	char x;

	if (pipe(end))
		return 0;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(end[0]);
		_exit(endless_writer(h->db, run, end[1]));
	}
	close(end[1]);
	for (int i = 0; i < acknowledged && read(end[0], &x, 1) == 1; i++)
		;
	kill(pid, SIGKILL);
	close(end[0]);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(metric_read(h->st, run, "a", &p, &n) == TT_OK);
	for (size_t i = 0; i < n; i++) {
		if (p[i].step != (int64_t)i)
			n = 0;
	}
	free(p);
	return n;
}

static void kill_loses_nothing(void)
{
	static const int acknowledged[] = { 1, 7, 64, 130, 301 };
	struct home h;

	home_open(&h);
	for (int i = 0; i < 5; i++) {
		const int64_t run = home_run(&h, i, "doomed", NULL);

		CHECK(rows_after_kill(&h, run, acknowledged[i]) >= (size_t)acknowledged[i]);
	}
	home_close(&h);
}

/* Another program makes the run log while this one looks at what is there. */
static const char *overtaken; /* the file; NULL: it has been made */

static int overtake(unsigned type, void *arg, void *statement, void *ns)
{
	const char *sql = sqlite3_sql(statement), *path = overtaken;
	struct store *st = NULL;

	(void)type, (void)arg, (void)ns;
	if (!path || !sql || !strstr(sql, "sqlite_master"))
		return 0;
	overtaken = NULL;
	CHECK(store_open(path, &st) == TT_OK);
	store_close(st);
	return 0;
}

static int watch_statements(sqlite3 *db, char **ret_error, const struct sqlite3_api_routines *api)
{
	(void)ret_error, (void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, overtake, NULL);
}

static void an_overtaken_opener_opens(void)
{
	struct store *st = NULL;
	struct home h;
	char db[320];

	home_open(&h);
	snprintf(db, sizeof(db), "%s/first/runs.db", h.dir);
	overtaken = db;
	CHECK(sqlite3_auto_extension((void (*)(void))watch_statements) == SQLITE_OK);
	if (!CHECK(store_open(db, &st) == TT_OK && !overtaken))
		printf("# %s\n", err_text());
	store_close(st);
	sqlite3_reset_auto_extension();
	home_close(&h);
}

/* Several programs start on a machine where there is no run log yet. */
static void first_openers_do_not_collide(void)
{
	struct home h;
	char db[320];
	pid_t pid[3];

	home_open(&h);
	snprintf(db, sizeof(db), "%s/new/deep/runs.db", h.dir);
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct store *st = NULL;
			const int code = store_open(db, &st);

			if (code)
				fprintf(stderr, "# %s\n", err_text());
			store_close(st);
			_exit(code != 0);
		}
	}
	for (int i = 0; i < 3; i++) {
		int status = -1;

		CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	}
	home_close(&h);
}

static void bad_files_are_refused(void)
{
	static const unsigned char newer[] = { 0, 0, 3, 231 }, other[] = { 'G', 'P', 'K', 'G' };
	struct home h;
	char path[320];

	home_open(&h);
	store_close(h.st);
	h.st = NULL;
	patch(h.db, 60, newer, 4); /* user_version */
	refused(h.db, TT_INVALID, "newer trimtab (format 999");
	patch(h.db, 68, other, 4); /* application_id */
	refused(h.db, TT_INVALID, "of another program");
	snprintf(path, sizeof(path), "%s/text.db", h.dir);
	put_file(path, "This is a shopping list, and quite a long one: it has more than a hundred "
		       "bytes, since a file "
		       "of fewer than that could be a database that was never written to.\n");
	refused(path, TT_INVALID, "is not a run log");
	refused(h.dir, TT_INVALID, "is not a file");
	snprintf(path, sizeof(path), "%s/text.db/runs.db", h.dir);
	refused(path, TT_IO, "cannot open the run log");
	refused("/proc/trimtab/runs.db", TT_IO, "set TRIMTAB_HOME to a folder that can be written");
	home_close(&h);
}

static void damage_is_said(void)
{
	char junk[4096];
	struct home h;
	struct store *st = NULL;
	struct run_list l = { 0 };
	int code;

	memset(junk, 0x5a, sizeof(junk));
	home_open(&h);
	for (int i = 0; i < 200; i++)
		(void)home_run(&h, i, "some", NULL);
	store_close(h.st);
	h.st = NULL;
	for (long page = 1; page < 40; page++)
		patch(h.db, page * 4096, junk, sizeof(junk));
	code = store_open(h.db, &st);
	if (!code)
		code = run_list(st, &(struct run_filter){ 0 }, &l);
	CHECK(code == TT_IO);
	CHECK_NAMED(strstr(err_text(), "is damaged") != NULL, err_text());
	store_close(st);
	home_close(&h);
}

static void reading_needs_a_file(void)
{
	struct home h;
	struct store *st = NULL;
	struct run r = { 0 };
	char path[320];

	home_open(&h);
	snprintf(path, sizeof(path), "%s/none.db", h.dir);
	CHECK(store_open_read(path, &st) == TT_NOTFOUND);
	CHECK(!fs_exists(path));
	CHECK(home_run(&h, 1, "seen", NULL) > 0);
	CHECK(store_open_read(h.db, &st) == TT_OK);
	CHECK(run_find(st, "seen", &r) == TT_OK);
	CHECK(run_trash(st, r.row) == TT_IO);
	CHECK_NAMED(strstr(err_text(), "cannot be written") != NULL, err_text());
	run_done(&r);
	store_close(st);
	home_close(&h);
}

int main(void)
{
	schema_is_the_golden_one();
	other_connection_is_noticed();
	transactions_nest();
	writers_do_not_collide();
	kill_loses_nothing();
	an_overtaken_opener_opens();
	first_openers_do_not_collide();
	bad_files_are_refused();
	damage_is_said();
	reading_needs_a_file();
	network_leaves_wal();
	no_locks_is_said();
	return check_done();
}
