/* Runs as they are read: one. */
#include "db/run_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/proc.h"

enum {
	LOST_US = 10 * 1000 * 1000, /* silence of another machine before a run counts as lost */
	ATTEMPT_MAX = 1000000
};

/* --- state as of now --------------------------------------------------------------------- */

static void here_find(struct run_here *h)
{
	if (h->known)
		return;
	(void)proc_boot_id(h->boot_id, sizeof(h->boot_id));
	(void)proc_host(h->host, sizeof(h->host));
	h->known = true;
}

static bool vanished(struct run_here *h, const char *host, const char *boot_id, int64_t pid,
		     uint64_t pid_start, int64_t heartbeat)
{
	uint64_t start;

	here_find(h);
	if (strcmp(host, h->host) != 0 || !pid)
		return heartbeat < h->now - LOST_US;
	if (strcmp(boot_id, h->boot_id) != 0)
		return true;
	start = proc_start_time((pid_t)pid);
	return !start || (pid_start && start != pid_start);
}

static bool is_live(enum run_state stored) { return stored == RUN_RUNNING || stored == RUN_PAUSED; }

/* Only a damaged file holds others. */
static enum run_state sound(int stored)
{
	return stored >= RUN_QUEUED && stored < RUN_LOST ? (enum run_state)stored : RUN_FAILED;
}

enum run_state run_state_now(enum run_state stored, const struct run_process *trainer,
			     int64_t heartbeat, int64_t now)
{
	struct run_here h = { .now = now };

	if (!is_live(stored))
		return stored;
	return vanished(&h, trainer->host, trainer->boot_id, trainer->pid, trainer->pid_start,
			heartbeat)
		       ? RUN_LOST
		       : stored;
}
/* 1: its trainer is gone, 0: it is there, < 0: failed. */
static int look_up(struct store *st, struct run_here *h, int64_t row)
{
	sqlite3_stmt *q;
	int got = sql_prepare(st,
			      "SELECT host, boot_id, pid, pid_start, heartbeat FROM run "
			      "WHERE row = ?1",
			      &q);

	if (got)
		return got;
	sqlite3_bind_int64(q, 1, row);
	got = sql_step(st, q);
	if (got > 0)
		got = vanished(h, sql_text(q, 0), sql_text(q, 1), sqlite3_column_int64(q, 2),
			       (uint64_t)sqlite3_column_int64(q, 3), sqlite3_column_int64(q, 4));
	sql_done(q);
	return got;
}

int run_state_of(struct store *st, struct run_here *h, int64_t row, int stored, enum run_state *ret)
{
	const enum run_state state = sound(stored);
	const int gone = is_live(state) ? look_up(st, h, row) : 0;

	if (gone < 0)
		return gone;
	*ret = gone ? RUN_LOST : state;
	return TT_OK;
}

/* --- one row ----------------------------------------------------------------------------- */

void run_done(struct run *r)
{
	free(r->text);
	*r = (struct run){ 0 };
}

static int take_texts(sqlite3_stmt *q, const char *tags, struct run *r)
{
	const char **const field[RUN_TEXTS] = { &r->id,    &r->name,   &r->cause,      &r->method,
						&r->model, &r->task,   &r->host,       &r->boot_id,
						&r->dir,   &r->parent, &r->metric_key, &r->tags };
	const char *text[RUN_TEXTS];
	size_t size[RUN_TEXTS], all = 0;
	char *at;

	for (int i = 0; i < RUN_TEXTS; i++) {
		text[i] = tags && i == RUN_TEXTS - 1 ? tags : sql_text(q, i);
		size[i] = strlen(text[i]) + 1;
		all += size[i];
	}
	at = r->text = malloc(all);
	if (!at)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (int i = 0; i < RUN_TEXTS; i++) {
		memcpy(at, text[i], size[i]);
		*field[i] = at;
		at += size[i];
	}
	return TT_OK;
}

static void take_numbers(sqlite3_stmt *q, struct run *r)
{
	int64_t *const first[] = { &r->created,   &r->started, &r->ended,
				   &r->heartbeat, &r->trashed, &r->pid };
	int at = RUN_TEXTS;

	r->row = sqlite3_column_int64(q, at++);
	r->stored = (enum run_state)sqlite3_column_int(q, at++);
	for (size_t i = 0; i < COUNT(first); i++)
		*first[i] = sqlite3_column_int64(q, at++);
	r->pid_start = (uint64_t)sqlite3_column_int64(q, at++);
	r->attempt = sqlite3_column_int(q, at++);
	r->step = sqlite3_column_int64(q, at++);
	r->total_steps = sqlite3_column_int64(q, at++);
	r->steps_per_epoch = sqlite3_column_int64(q, at++);
	r->epoch = sqlite3_column_double(q, at++);
	r->trainable_params = sqlite3_column_int64(q, at++);
	r->total_params = sqlite3_column_int64(q, at++);
	r->best_greater = sqlite3_column_int(q, at++) != 0;
	r->has_best = sqlite3_column_type(q, at) != SQLITE_NULL;
	r->best_step = sqlite3_column_int64(q, at++);
	r->best_value = sql_real(q, at);
}

int run_take(sqlite3_stmt *q, struct run_here *h, const char *tags, struct run *ret)
{
	struct run r = { 0 };
	const int code = take_texts(q, tags, &r);

	if (code)
		return code;
	take_numbers(q, &r);
	r.stored = sound((int)r.stored);
	if (r.attempt < 0 || r.attempt > ATTEMPT_MAX)
		r.attempt = ATTEMPT_MAX;
	r.state = r.stored;
	if (is_live(r.stored) && vanished(h, r.host, r.boot_id, r.pid, r.pid_start, r.heartbeat))
		r.state = RUN_LOST;
	*ret = r;
	return TT_OK;
}

/* The first row of q, which is given back: 1 found, 0 none, < 0 failed. */
static int take_one(struct store *st, sqlite3_stmt *q, struct run *ret)
{
	struct run_here h = { .now = proc_now_us() };
	int got = sql_step(st, q);

	if (got > 0) {
		const int code = run_take(q, &h, NULL, ret);

		got = code ? code : 1;
	}
	sql_done(q);
	return got;
}

int run_by_text(struct store *st, const char *sql, const char *text, struct run *ret)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, sql, &q);

	if (code)
		return code;
	if (text)
		sql_bind_text(q, 1, text);
	return take_one(st, q, ret);
}

int run_by_id(struct store *st, const char *id, struct run *ret)
{
	return run_by_text(st, "SELECT " RUN_COLUMNS " FROM run WHERE run.id = ?1", id, ret);
}

int run_get(struct store *st, const char *id, struct run *ret)
{
	const int got = run_by_id(st, id, ret);

	if (!got)
		return err_set(TT_NOTFOUND, "there is no run '%s'", id);
	return got < 0 ? got : TT_OK;
}

int run_get_row(struct store *st, int64_t row, struct run *ret)
{
	sqlite3_stmt *q;
	int got = sql_prepare(st, "SELECT " RUN_COLUMNS " FROM run WHERE row = ?1", &q);

	if (got)
		return got;
	sqlite3_bind_int64(q, 1, row);
	got = take_one(st, q, ret);
	if (!got)
		return err_set(TT_NOTFOUND, "run number %lld is not in the run log any more",
			       (long long)row);
	return got < 0 ? got : TT_OK;
}

int run_last_trashed(struct store *st, struct run *ret)
{
	const int got = run_by_text(st,
				    "SELECT " RUN_COLUMNS " FROM run WHERE trashed > 0 "
				    "ORDER BY trashed DESC, run.id DESC LIMIT 1",
				    NULL, ret);

	if (!got)
		return err_set(TT_NOTFOUND, "the trash is empty");
	return got < 0 ? got : TT_OK;
}

int run_recipe(struct store *st, const char *id, char **ret)
{
	sqlite3_stmt *q;
	char *text = NULL;
	int got, code = sql_prepare(st,
				    "SELECT json FROM recipe JOIN run ON run.row = recipe.run "
				    "WHERE run.id = ?1",
				    &q);

	if (code)
		return code;
	sql_bind_text(q, 1, id);
	got = sql_step(st, q);
	if (got > 0)
		text = strdup(sql_text(q, 0));
	sql_done(q);
	if (got < 0)
		return got;
	if (!got)
		return err_set(TT_NOTFOUND, "there is no run '%s'", id);
	if (!text)
		return err_set(TT_NOMEM, "not enough memory");
	*ret = text;
	return TT_OK;
}
