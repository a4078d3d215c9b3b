/* Runs as they are written: ids, states, attempts, progress, the trash. */
#include "db/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/proc.h"
#include "db/sql.h"

static const char *const state_name[RUN_STATES] = {
	[RUN_QUEUED] = "queued",     [RUN_RUNNING] = "running", [RUN_PAUSED] = "paused",
	[RUN_FINISHED] = "finished", [RUN_STOPPED] = "stopped", [RUN_FAILED] = "failed",
	[RUN_LOST] = "lost"
};

const char *run_state_name(int state)
{
	return state >= 0 && state < RUN_STATES ? state_name[state] : "unknown";
}

bool run_state_parse(const char *word, enum run_state *ret)
{
	for (int i = 0; i < RUN_STATES; i++) {
		if (!strcasecmp(word, state_name[i])) {
			*ret = (enum run_state)i;
			return true;
		}
	}
	return false;
}

/* --- ids --------------------------------------------------------------------------------- */

enum { TIME_DIGITS = 10, RANDOM_DIGITS = 4 };

static void digits(char *ret, int n, uint64_t v)
{
	static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";

	for (int i = n - 1; i >= 0; i--, v >>= 5)
		ret[i] = base32[v & 31];
}

void run_id_make(char ret[RUN_ID_SIZE], int64_t time_us, uint32_t random)
{
	const int64_t since = time_us -
			      1420070400000000; /* 2015-01-01; an older run sorts as from then */

	digits(ret, TIME_DIGITS, since > 0 ? (uint64_t)since : 0);
	digits(ret + TIME_DIGITS, RANDOM_DIGITS, random);
	ret[TIME_DIGITS + RANDOM_DIGITS] = 0;
}

void run_id_new(char ret[RUN_ID_SIZE])
{
	uint32_t random = 0;

	/* Without a source of randomness the clock and the pid still keep runs apart. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)getpid() * 2654435761u;
	run_id_make(ret, proc_now_us(), random);
}

void run_process_self(struct run_process *ret)
{
	*ret = (struct run_process){ .pid = getpid(), .pid_start = proc_start_time(getpid()) };
	(void)proc_boot_id(ret->boot_id, sizeof(ret->boot_id));
	(void)proc_host(ret->host, sizeof(ret->host));
}

/* --- small writes ------------------------------------------------------------------------ */

static int update2(struct store *st, const char *sql, int64_t row, int64_t a, int64_t b)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ row, a });
	if (sqlite3_bind_parameter_count(q) > 2)
		sqlite3_bind_int64(q, 3, b);
	return sql_write_run(st, q, row);
}

static int update_text(struct store *st, const char *sql, int64_t row, const char *text, int64_t b)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, row);
	sql_bind_text(q, 2, text);
	if (sqlite3_bind_parameter_count(q) > 2)
		sqlite3_bind_int64(q, 3, b);
	return sql_write_run(st, q, row);
}

static int update_real(struct store *st, const char *sql, int64_t row, double v, int64_t b)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, row);
	sqlite3_bind_double(q, 2, v);
	sqlite3_bind_int64(q, 3, b);
	return sql_write_run(st, q, row);
}

int run_update_state(struct store *st, int64_t row, enum run_state state)
{
	if (state < RUN_QUEUED || state >= RUN_LOST)
		return err_set(TT_INVALID, "a run cannot be set to '%s'",
			       run_state_name((int)state));
	return update2(st, "UPDATE run SET state = ?2 WHERE row = ?1", row, state, 0);
}

int run_update_progress(struct store *st, int64_t row, int64_t step, double epoch)
{
	return update_real(st, "UPDATE run SET epoch = ?2, step = ?3 WHERE row = ?1", row,
			   isfinite(epoch) ? epoch : 0, step);
}

int run_update_heartbeat(struct store *st, int64_t row, int64_t time_us)
{
	return update2(st, "UPDATE run SET heartbeat = ?2 WHERE row = ?1", row,
		       time_us ? time_us : proc_now_us(), 0);
}

int run_update_total(struct store *st, int64_t row, int64_t total_steps, int64_t steps_per_epoch)
{
	return update2(st, "UPDATE run SET total_steps = ?2, steps_per_epoch = ?3 WHERE row = ?1",
		       row, total_steps, steps_per_epoch);
}

int run_update_params(struct store *st, int64_t row, int64_t trainable, int64_t total)
{
	return update2(st, "UPDATE run SET trainable_params = ?2, total_params = ?3 WHERE row = ?1",
		       row, trainable, total);
}

int run_update_metric(struct store *st, int64_t row, const char *metric_key, bool greater)
{
	return update_text(st, "UPDATE run SET metric_key = ?2, best_greater = ?3 WHERE row = ?1",
			   row, metric_key, greater);
}

/* NaN is nobody's best. */
int run_update_best(struct store *st, int64_t row, double value, int64_t step)
{
	if (isnan(value))
		return TT_OK;
	return update_real(st, "UPDATE run SET best_value = ?2, best_step = ?3 WHERE row = ?1", row,
			   value, step);
}

int run_update_dir(struct store *st, int64_t row, const char *dir)
{
	return update_text(st, "UPDATE run SET dir = ?2 WHERE row = ?1", row, dir, 0);
}

int run_update_name(struct store *st, int64_t row, const char *name)
{
	if (!name || !name[0])
		return err_set(TT_INVALID, "a run needs a name");
	return update_text(st, "UPDATE run SET name = ?2 WHERE row = ?1", row, name, 0);
}

int run_trash(struct store *st, int64_t row)
{
	return update2(st, "UPDATE run SET trashed = ?2 WHERE row = ?1", row, proc_now_us(), 0);
}

int run_untrash(struct store *st, int64_t row)
{
	return update2(st, "UPDATE run SET trashed = ?2 WHERE row = ?1", row, 0, 0);
}

/* --- adding ------------------------------------------------------------------------------ */

static int check_new(const struct run *r)
{
	if (!r->id || strlen(r->id) != RUN_ID_SIZE - 1 ||
	    strspn(r->id, "0123456789abcdefghjkmnpqrstvwxyz") != RUN_ID_SIZE - 1)
		return err_set(TT_INVALID, "'%.40s' is not a run id", r->id ? r->id : "");
	if (!r->name || !r->name[0])
		return err_set(TT_INVALID, "a run needs a name");
	if (r->state < RUN_QUEUED || r->state >= RUN_LOST)
		return err_set(TT_INVALID, "a run cannot start out '%s'",
			       run_state_name((int)r->state));
	return TT_OK;
}

static void bind_new(sqlite3_stmt *q, const struct run *r)
{
	const char *const text[] = { r->id,   r->name, r->cause,  r->method,    r->model,
				     r->task, r->dir,  r->parent, r->metric_key };
	const int64_t number[] = {
		r->state,       r->best_greater,    r->created ? r->created : proc_now_us(),
		r->started,     r->ended,           r->step,
		r->total_steps, r->steps_per_epoch, r->trainable_params,
		r->total_params
	};
	int at = 0;

	for (size_t i = 0; i < COUNT(text); i++)
		sql_bind_text(q, ++at, text[i]);
	for (size_t i = 0; i < COUNT(number); i++)
		sqlite3_bind_int64(q, ++at, number[i]);
	sqlite3_bind_double(q, ++at, isfinite(r->epoch) ? r->epoch : 0);
}

static int add_recipe(struct store *st, int64_t row, const char *recipe)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, "INSERT INTO recipe (run, json) VALUES (?1, ?2)", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, row);
	sql_bind_text(q, 2, recipe);
	return sql_write(st, q);
}

static int add(struct store *st, const struct run *r, const char *recipe, int64_t *ret_row)
{
	sqlite3_stmt *q;
	int code = sql_prepare(
		st,
		"INSERT INTO run (id, name, cause, method, model, task, dir, parent, metric_key, "
		"state, best_greater, created, started, ended, step, total_steps, steps_per_epoch, "
		"trainable_params, total_params, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
		"?9, "
		"?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
		&q);

	if (code)
		return code;
	bind_new(q, r);
	code = sql_write(st, q);
	if (code)
		return sqlite3_extended_errcode(st->db) == SQLITE_CONSTRAINT_UNIQUE
			       ? err_set(TT_INVALID, "there is a run '%s' already", r->id)
			       : code;
	*ret_row = sqlite3_last_insert_rowid(st->db);
	return add_recipe(st, *ret_row, recipe);
}

int run_add(struct store *st, const struct run *r, const char *recipe, int64_t *ret_row)
{
	int64_t row = 0;
	int code = check_new(r);

	if (!code)
		code = store_begin(st);
	if (code)
		return code;
	code = sql_end(st, add(st, r, recipe ? recipe : "{}", &row));
	if (!code)
		*ret_row = row;
	return code;
}

/* --- attempts ---------------------------------------------------------------------------- */

static int check_free(const struct run *r, int64_t from_step)
{
	if (r->state == RUN_RUNNING || r->state == RUN_PAUSED)
		return err_set(TT_INVALID,
			       "run %s is being trained by process %lld on %s: stop it first",
			       r->id, (long long)r->pid, r->host);
	if (from_step < 0)
		return err_set(TT_INVALID, "a run cannot resume from step %lld",
			       (long long)from_step);
	return TT_OK;
}

/* The old attempt ended without saying so when its process was killed. */
static int close_attempt(struct store *st, const struct run *r)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st,
				     "UPDATE attempt SET ended = ?3, state = ?4 "
				     "WHERE run = ?1 AND attempt = ?2 AND ended = 0",
				     &q);

	if (code)
		return code;
	sql_bind_ints(q, 4, (const int64_t[]){ r->row, r->attempt, r->heartbeat, RUN_LOST });
	return sql_write(st, q);
}

static int open_attempt(struct store *st, const struct run *r, int64_t from_step,
			const struct run_process *who, int64_t now)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"INSERT INTO attempt (run, attempt, from_step, started, state, pid, host) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		&q);

	if (code)
		return code;
	sql_bind_ints(
		q, 6,
		(const int64_t[]){ r->row, r->attempt + 1, from_step, now, RUN_RUNNING, who->pid });
	sql_bind_text(q, 7, who->host);
	return sql_write(st, q);
}

static int take_run(struct store *st, const struct run *r, int64_t from_step,
		    const struct run_process *who, int64_t now)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"UPDATE run SET state = ?2, cause = '', attempt = ?3, step = ?4, "
		"epoch = iif(steps_per_epoch > 0, 1.0 * ?4 / steps_per_epoch, 0.0), "
		"started = iif(started = 0, ?5, started), ended = 0, heartbeat = ?5, "
		"pid = ?6, pid_start = ?7, boot_id = ?8, host = ?9 WHERE row = ?1",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 7,
		      (const int64_t[]){ r->row, RUN_RUNNING, r->attempt + 1, from_step, now,
					 who->pid, (int64_t)who->pid_start });
	sql_bind_text(q, 8, who->boot_id);
	sql_bind_text(q, 9, who->host);
	return sql_write_run(st, q, r->row);
}

/* Nobody is left to obey what was asked of an older attempt, and the new one must not. */
static int close_commands(struct store *st, int64_t row, int64_t now)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"UPDATE command SET done = ?2, answer = "
		"'the trainer ended before it could answer' WHERE run = ?1 AND done = 0",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ row, now });
	return sql_write(st, q);
}

static int recompute_best(struct store *st, const struct run *r)
{
	bool any = false;
	double value = 0;
	int64_t step = 0;
	int code = update2(
		st, "UPDATE run SET best_step = NULL, best_value = NULL WHERE row = ?1 AND ?2",
		r->row, 1, 0);

	if (!code && r->metric_key[0])
		code = metric_best(st, r->row, r->metric_key, r->best_greater, &any, &value, &step);
	return !code && any ? run_update_best(st, r->row, value, step) : code;
}

static int take_over(struct store *st, const struct run *r, int64_t from_step,
		     const struct run_process *who)
{
	const int64_t now = proc_now_us();
	int code = check_free(r, from_step);

	if (!code)
		code = close_attempt(st, r);
	if (!code)
		code = open_attempt(st, r, from_step, who, now);
	if (!code)
		code = take_run(st, r, from_step, who, now);
	if (code || !r->attempt)
		return code;
	code = close_commands(st, r->row, now);
	if (!code)
		code = metric_relast(st, r->row);
	return code ? code : recompute_best(st, r);
}

int run_resume(struct store *st, int64_t row, int64_t from_step, const struct run_process *who,
	       int *ret_attempt)
{
	struct run_process self;
	struct run r = { 0 };
	int code = store_begin(st);

	if (code)
		return code;
	if (!who)
		run_process_self(&self);
	code = run_get_row(st, row, &r);
	if (!code)
		code = take_over(st, &r, from_step, who ? who : &self);
	code = sql_end(st, code);
	if (!code)
		*ret_attempt = r.attempt + 1;
	run_done(&r);
	return code;
}

int run_start(struct store *st, int64_t row, const struct run_process *who, int *ret_attempt)
{
	return run_resume(st, row, 0, who, ret_attempt);
}

static int end_attempt(struct store *st, int64_t row, enum run_state state, const char *cause,
		       int64_t now)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"UPDATE attempt SET ended = ?2, state = ?3, cause = ?4 WHERE run = ?1 "
		"AND attempt = (SELECT attempt FROM run WHERE row = ?1)",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 3, (const int64_t[]){ row, now, state });
	sql_bind_text(q, 4, cause);
	return sql_write(st, q);
}

static int end_run(struct store *st, int64_t row, enum run_state state, const char *cause,
		   int64_t now)
{
	sqlite3_stmt *q;
	int code = sql_prepare(
		st,
		"UPDATE run SET state = ?2, cause = ?3, ended = ?4, heartbeat = ?4 WHERE row = ?1",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ row, state });
	sql_bind_text(q, 3, cause);
	sqlite3_bind_int64(q, 4, now);
	code = sql_write_run(st, q, row);
	return code ? code : end_attempt(st, row, state, cause, now);
}

int run_end(struct store *st, int64_t row, enum run_state state, const char *cause)
{
	int code;

	if (state != RUN_FINISHED && state != RUN_STOPPED && state != RUN_FAILED)
		return err_set(TT_INVALID, "a run cannot end '%s'", run_state_name((int)state));
	code = store_begin(st);
	if (code)
		return code;
	return sql_end(st, end_run(st, row, state, cause, proc_now_us()));
}

static int attempt_rows(struct store *st, sqlite3_stmt *q, struct sql_rows *rows)
{
	int got = 0, code = TT_OK;

	while (!code && (got = sql_step(st, q)) > 0) {
		struct attempt a = { .attempt = sqlite3_column_int(q, 0),
				     .started = sqlite3_column_int64(q, 1),
				     .ended = sqlite3_column_int64(q, 2),
				     .from_step = sqlite3_column_int64(q, 3),
				     .pid = sqlite3_column_int64(q, 4),
				     .state = (enum run_state)sqlite3_column_int(q, 5) };

		snprintf(a.host, sizeof(a.host), "%s", sql_text(q, 6));
		snprintf(a.cause, sizeof(a.cause), "%s", sql_text(q, 7));
		code = sql_rows_add(rows, &a);
	}
	return code ? code : got;
}

int attempt_list(struct store *st, int64_t row, struct attempt **ret, size_t *ret_n)
{
	struct sql_rows rows = { .row_size = sizeof(struct attempt) };
	sqlite3_stmt *q;
	void *block;
	int code = sql_prepare(
		st,
		"SELECT attempt, started, ended, from_step, pid, state, host, cause FROM attempt "
		"WHERE run = ?1 ORDER BY attempt",
		&q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, row);
	code = attempt_rows(st, q, &rows);
	sql_done(q);
	if (!code)
		code = sql_rows_pack(&rows, NULL, 0, &block, ret_n);
	if (!code)
		*ret = block;
	sql_rows_done(&rows);
	return code;
}

/* --- purging ----------------------------------------------------------------------------- */

static int purge_table(struct store *st, const char *sql, int64_t row)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, row);
	return sql_write(st, q);
}

/* One curve a transaction, so that trainers need not wait for a million rows to go. */
static int purge_curves(struct store *st, int64_t row)
{
	static const char delete_rows[] = "DELETE FROM metric WHERE run = ?1 AND key = "
					  "(SELECT min(key) FROM metric WHERE run = ?1)";
	int code;

	do {
		code = purge_table(st, delete_rows, row);
	} while (!code && sqlite3_changes(st->db) > 0);
	return code;
}

static int purge_rest(struct store *st, int64_t row)
{
	static const char *const sql[] = {
		"DELETE FROM metric WHERE run = ?1",  "DELETE FROM chunk WHERE run = ?1",
		"DELETE FROM last WHERE run = ?1",    "DELETE FROM event WHERE run = ?1",
		"DELETE FROM command WHERE run = ?1", "DELETE FROM attempt WHERE run = ?1",
		"DELETE FROM recipe WHERE run = ?1",  "DELETE FROM tag WHERE run = ?1",
		"DELETE FROM note WHERE run = ?1",    "DELETE FROM run WHERE row = ?1"
	};

	for (size_t i = 0; i < COUNT(sql); i++) {
		const int code = purge_table(st, sql[i], row);

		if (code)
			return code;
	}
	return TT_OK;
}

int run_purge(struct store *st, int64_t row)
{
	struct run r = { 0 };
	int code = run_get_row(st, row, &r);

	if (!code && (r.state == RUN_RUNNING || r.state == RUN_PAUSED))
		code = err_set(TT_INVALID, "run %s is still being trained: stop it first", r.id);
	run_done(&r);
	if (!code)
		code = purge_curves(st, row);
	if (!code)
		code = store_begin(st);
	return code ? code : sql_end(st, purge_rest(st, row));
}
