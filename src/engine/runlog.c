/* The writer between trainer and run log: a queue in memory, one thread, short transactions. */
#include "engine/runlog.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/proc.h"
#include "db/event.h"
#include "db/metric.h"
#include "engine/engine.h"
#include "tensor/pool.h"

enum {
	TICK_US = 200000, /* a row waits at most this long, plus one transaction */
	HEARTBEAT_US = 1000000,
	SETTLE_US = 2000000, /* so long a checkpoint waits for the rows before it */
	CLOSE_TRIES = 50,    /* ticks that runlog_close waits for a disk that is full */
	KEYS_MAX = 512,
	ROWS_START = 4096,    /* more than a tick has of them: room grows when the writer is late */
	BACKLOG_MAX = 1 << 20 /* rows kept while the log cannot be written; more ends the run */
};

struct queued_event {
	int64_t step;
	char kind[32];
	char *text;
};

struct answer {
	int64_t id;
	char *text;
};

/* What was said since the writer last looked. Two of these: one fills, one is written. */
struct pending {
	struct metric *metric;
	size_t n, room;
	struct queued_event *event;
	size_t n_event, event_room;
	struct answer *answer;
	size_t n_answer, answer_room;
	int64_t step; /* -1: no news */
	double epoch;
	bool has_best, has_state, has_counts, paused;
	int64_t trainable, all;
	char best_key[64];
	double best;
	int64_t best_step;
};

struct inbox {
	struct train_command command[32];
	size_t n;
};

struct runlog {
	struct sink sink;
	struct store *store; /* the writer's alone */
	struct thread *writer;
	struct gate *gate; /* guards everything below */
	struct pending in;
	struct inbox inbox;
	struct arena *keys;
	char *key[KEYS_MAX];
	size_t n_key;
	bool closing, overflow;
	bool hurry;     /* somebody waits for the writer */
	bool unwritten; /* the writer holds what is not committed yet */
	/* the writer's own */
	struct pending out;
	int64_t row, last_write;
	int attempt;
	bool complained;
};

/* Room for one more element; false without memory. */
static bool room_for(void **array, size_t *room, size_t n, size_t size)
{
	size_t more = *room ? *room * 2 : 256;
	void *p;

	if (n < *room)
		return true;
	p = realloc(*array, more * size);
	if (!p)
		return false;
	*array = p;
	*room = more;
	return true;
}

/* A key that lives as long as the log; NULL when there are too many. */
static const char *intern(struct runlog *l, const char *key)
{
	for (size_t i = 0; i < l->n_key; i++)
		if (!strcmp(l->key[i], key))
			return l->key[i];
	if (l->n_key == KEYS_MAX)
		return NULL;
	l->key[l->n_key] = arena_text(l->keys, key);
	return l->key[l->n_key] ? l->key[l->n_key++] : NULL;
}

static void on_metric(void *arg, const char *key, int64_t step, double value)
{
	struct runlog *l = arg;
	struct pending *p = &l->in;

	gate_lock(l->gate);
	if (p->n >= BACKLOG_MAX)
		l->overflow = true;
	key = intern(l, key);
	if (key && !l->overflow &&
	    room_for((void **)&p->metric, &p->room, p->n, sizeof(*p->metric)))
		p->metric[p->n++] = (struct metric){ key, step, value, proc_now_us() };
	gate_unlock(l->gate);
}

static void on_progress(void *arg, int64_t step, double epoch)
{
	struct runlog *l = arg;

	gate_lock(l->gate);
	l->in.step = step;
	l->in.epoch = epoch;
	gate_unlock(l->gate);
}

static void on_event(void *arg, int64_t step, const char *kind, const char *text)
{
	struct runlog *l = arg;
	struct pending *p = &l->in;
	char *copy = strdup(text ? text : "");

	log_line("step %lld: %s%s%s", (long long)step, kind, text && *text ? ": " : "",
		 text ? text : "");
	gate_lock(l->gate);
	if (copy && room_for((void **)&p->event, &p->event_room, p->n_event, sizeof(*p->event))) {
		struct queued_event *e = &p->event[p->n_event++];

		e->step = step;
		strncpy(e->kind, kind, sizeof(e->kind) - 1);
		e->kind[sizeof(e->kind) - 1] = 0;
		e->text = copy;
		copy = NULL;
	}
	gate_unlock(l->gate);
	free(copy);
}

static void on_best(void *arg, const char *key, int64_t step, double value)
{
	struct runlog *l = arg;

	gate_lock(l->gate);
	strncpy(l->in.best_key, key, sizeof(l->in.best_key) - 1);
	l->in.has_best = true;
	l->in.best = value;
	l->in.best_step = step;
	gate_unlock(l->gate);
}

static void on_paused(void *arg, bool yes)
{
	struct runlog *l = arg;

	gate_lock(l->gate);
	l->in.has_state = true;
	l->in.paused = yes;
	gate_wake(l->gate);
	gate_unlock(l->gate);
}

static void on_trains(void *arg, int64_t trainable, int64_t all)
{
	struct runlog *l = arg;

	gate_lock(l->gate);
	l->in.has_counts = true;
	l->in.trainable = trainable;
	l->in.all = all;
	gate_unlock(l->gate);
}

static bool on_command(void *arg, struct train_command *ret, int64_t timeout_us)
{
	struct runlog *l = arg;
	bool any;

	gate_lock(l->gate);
	if (!l->inbox.n && timeout_us > 0)
		gate_wait(l->gate, timeout_us);
	any = l->inbox.n > 0;
	if (any) {
		*ret = l->inbox.command[0];
		memmove(l->inbox.command, l->inbox.command + 1,
			--l->inbox.n * sizeof(*l->inbox.command));
	}
	gate_unlock(l->gate);
	return any;
}

static void on_answer(void *arg, const struct train_command *c, const char *text)
{
	struct runlog *l = arg;
	struct pending *p = &l->in;
	char *copy = strdup(text ? text : "");

	gate_lock(l->gate);
	if (copy &&
	    room_for((void **)&p->answer, &p->answer_room, p->n_answer, sizeof(*p->answer))) {
		p->answer[p->n_answer].id = c->id;
		p->answer[p->n_answer++].text = copy;
		copy = NULL;
	}
	gate_wake(l->gate);
	gate_unlock(l->gate);
	free(copy);
}

static bool on_stop(void *arg)
{
	struct runlog *l = arg;
	bool stop;

	gate_lock(l->gate);
	stop = l->overflow;
	gate_unlock(l->gate);
	return stop || engine_told_to_stop();
}

static bool pending_any(const struct pending *p)
{
	return p->n || p->n_event || p->n_answer || p->step >= 0 || p->has_best || p->has_state ||
	       p->has_counts;
}

static void on_settle(void *arg)
{
	struct runlog *l = arg;
	const int64_t end = proc_clock_us() + SETTLE_US;

	gate_lock(l->gate);
	l->hurry = true;
	gate_wake(l->gate);
	while (pending_any(&l->in) || l->unwritten) {
		const int64_t left = end - proc_clock_us();

		if (left <= 0 || l->overflow)
			break;
		(void)gate_wait(l->gate, left);
	}
	gate_unlock(l->gate);
}

static void pending_clear(struct pending *p)
{
	for (size_t i = 0; i < p->n_event; i++)
		free(p->event[i].text);
	for (size_t i = 0; i < p->n_answer; i++)
		free(p->answer[i].text);
	p->n = p->n_event = p->n_answer = 0;
	p->step = -1;
	p->has_best = p->has_state = p->has_counts = false;
}

static void pending_done(struct pending *p)
{
	pending_clear(p);
	free(p->metric);
	free(p->event);
	free(p->answer);
}

/* Everything in one transaction: all of it is there afterwards, or nothing. */
static int write_all(struct runlog *l, const struct pending *p, int64_t now)
{
	const struct metric_batch batch = {
		.run = l->row,
		.attempt = l->attempt,
		.metric = p->metric,
		.n = p->n,
		.step = p->step,
		.epoch = p->epoch,
		.time_us = now,
	};
	int code = store_begin(l->store);

	if (!code)
		code = metric_batch_add(l->store, &batch);
	for (size_t i = 0; !code && i < p->n_event; i++)
		code = event_add(l->store, l->row, p->event[i].step, p->event[i].kind,
				 p->event[i].text);
	if (!code && p->has_best)
		code = run_update_best(l->store, l->row, p->best, p->best_step);
	if (!code && p->has_state)
		code = run_update_state(l->store, l->row, p->paused ? RUN_PAUSED : RUN_RUNNING);
	if (!code && p->has_counts)
		code = run_update_params(l->store, l->row, p->trainable, p->all);
	for (size_t i = 0; !code && i < p->n_answer; i++)
		code = command_done(l->store, p->answer[i].id, true, p->answer[i].text);
	if (!code)
		code = store_commit(l->store);
	if (code)
		store_rollback(l->store);
	return code;
}

/* Take what was said (the writer's last batch went through) and write it. */
static int flush(struct runlog *l)
{
	const int64_t now = proc_now_us();
	int code;

	if (!pending_any(&l->out)) {
		const struct pending empty = l->out;

		gate_lock(l->gate);
		l->out = l->in;
		l->in = empty;
		l->unwritten = pending_any(&l->out);
		gate_unlock(l->gate);
	}
	if (!pending_any(&l->out) && now - l->last_write < HEARTBEAT_US)
		return TT_OK;
	code = write_all(l, &l->out, now);
	if (code) {
		if (!l->complained)
			log_line("the run log cannot be written, trying again: %s", err_text());
		l->complained = true;
		return code;
	}
	if (l->complained)
		log_line("the run log can be written again");
	l->complained = false;
	l->last_write = now;
	pending_clear(&l->out);
	gate_lock(l->gate);
	l->unwritten = false;
	gate_wake(l->gate);
	gate_unlock(l->gate);
	return TT_OK;
}

/* "learning_rate=1e-4": a positive number. */
static bool parse_rate(const char *arg, double *ret)
{
	static const char name[] = "learning_rate=";
	char *end;

	if (strncmp(arg, name, sizeof(name) - 1) != 0)
		return false;
	*ret = strtod(arg + sizeof(name) - 1, &end);
	return end != arg + sizeof(name) - 1 && !*end && isfinite(*ret) && *ret >= 0;
}

static bool parse_command(const struct command_row *c, struct train_command *ret)
{
	static const struct {
		const char *word;
		enum train_verb verb;
	} table[] = {
		{ "pause", TRAIN_PAUSE },
		{ "resume", TRAIN_RESUME },
		{ "stop", TRAIN_STOP },
		{ "set", TRAIN_SET_LEARNING_RATE },
		{ "checkpoint", TRAIN_CHECKPOINT },
		{ "eval", TRAIN_EVAL_NOW },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].word, c->verb)) {
			*ret = (struct train_command){ .verb = table[i].verb, .id = c->id };
			return ret->verb != TRAIN_SET_LEARNING_RATE ||
			       parse_rate(c->arg, &ret->value);
		}
	return false;
}

/* Move waiting commands into the inbox. A failure is no matter: the next tick looks again. */
static void take_commands(struct runlog *l)
{
	for (;;) {
		struct command_row row;
		struct train_command c;
		bool any, full;

		gate_lock(l->gate);
		full = l->inbox.n == sizeof(l->inbox.command) / sizeof(l->inbox.command[0]);
		gate_unlock(l->gate);
		if (full || command_take(l->store, l->row, &row, &any) || !any)
			return;
		if (!parse_command(&row, &c)) {
			(void)command_done(l->store, row.id, false,
					   "the trainer does not know this command");
			command_row_done(&row);
			continue;
		}
		command_row_done(&row);
		gate_lock(l->gate);
		l->inbox.command[l->inbox.n++] = c;
		gate_wake(l->gate);
		gate_unlock(l->gate);
	}
}

static void writer(void *arg)
{
	struct runlog *l = arg;
	bool closing = false;

	while (!closing) {
		gate_lock(l->gate);
		if (!l->closing && !l->hurry && !l->in.has_state && !l->in.n_answer)
			gate_wait(l->gate, TICK_US);
		l->hurry = false;
		closing = l->closing;
		gate_unlock(l->gate);
		(void)flush(l);
		if (!closing && store_changed(l->store))
			take_commands(l);
	}
}

/* Room for keys and rows at once, so that a step that says as much as others takes no memory. */
static int open_queue(struct runlog *l)
{
	struct pending *const both[] = { &l->in, &l->out };

	l->keys = arena_new();
	for (int i = 0; i < 2; i++) {
		both[i]->step = -1;
		both[i]->room = ROWS_START;
		both[i]->metric = malloc(ROWS_START * sizeof(*both[i]->metric));
	}
	if (!l->keys || !l->in.metric || !l->out.metric || arena_reserve(l->keys, 1))
		return err_set(TT_NOMEM, "not enough memory for the run log's queue");
	return TT_OK;
}

/* Without its writer. */
static void runlog_free(struct runlog *l)
{
	pending_done(&l->in);
	pending_done(&l->out);
	arena_free(l->keys);
	gate_free(l->gate);
	store_close(l->store);
	free(l);
}

int runlog_open(const char *path, int64_t row, int attempt, struct runlog **ret)
{
	struct runlog *l = calloc(1, sizeof(*l));
	int code;

	if (!l)
		return err_set(TT_NOMEM, "not enough memory for the run log's queue");
	l->sink = (struct sink){ .arg = l,
				 .metric = on_metric,
				 .progress = on_progress,
				 .event = on_event,
				 .best = on_best,
				 .paused = on_paused,
				 .trains = on_trains,
				 .command = on_command,
				 .answer = on_answer,
				 .stop = on_stop,
				 .settle = on_settle };
	l->row = row;
	l->attempt = attempt;
	code = open_queue(l);
	if (!code)
		code = store_open(path, &l->store);
	if (!code)
		code = gate_new(&l->gate);
	if (!code) {
		take_commands(l); /* what was asked before the first change is seen */
		code = thread_start(writer, l, &l->writer);
	}
	if (code)
		runlog_free(l);
	else
		*ret = l;
	return code;
}

const struct sink *runlog_sink(struct runlog *l) { return &l->sink; }

/* The last words, with patience: a full disk may get space again. */
static int close_all(struct runlog *l, enum run_state end, const char *cause)
{
	int code = TT_OK;

	for (int i = 0; i < CLOSE_TRIES; i++) {
		code = flush(l);
		if (!code && !pending_any(&l->in))
			code = run_end(l->store, l->row, end, cause);
		else if (!code)
			continue;
		if (!code)
			return TT_OK;
		gate_lock(l->gate);
		gate_wait(l->gate, TICK_US);
		gate_unlock(l->gate);
	}
	return err_in("the last %zu values of the run are lost", l->out.n + l->in.n);
}

int runlog_close(struct runlog *l, enum run_state end, const char *cause)
{
	int code;

	gate_lock(l->gate);
	l->closing = true;
	if (l->overflow) {
		end = RUN_FAILED;
		cause = "the run log could not be written for too long; see log.txt";
	}
	gate_wake(l->gate);
	gate_unlock(l->gate);
	thread_join(l->writer);
	code = close_all(l, end, cause);
	runlog_free(l);
	return code;
}
