/* Asking runs, starting them again, and the trash. */
#include "ui/trainer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "db/event.h"
#include "db/metric.h"
#include "db/note.h"

enum { RATE_STEPS = 64 };

static const int64_t patience_us = 30000000; /* a long step or an evaluation may lie between */
static const int64_t early_us = 60000000;    /* a trainer that ends sooner never got going */

static bool is_live(const struct run *r)
{
	return r->state == RUN_RUNNING || r->state == RUN_PAUSED;
}

const char *trainer_why_not_stop(const struct run *r)
{
	if (!r)
		return "there is no run here";
	return is_live(r) ? NULL : "only a live run can be stopped";
}

const char *trainer_why_not_pause(const struct run *r)
{
	if (!r)
		return "there is no run here";
	return is_live(r) ? NULL : "only a live run can be paused or continued";
}

const char *trainer_why_not_resume(const struct run *r)
{
	if (!r)
		return "there is no run here";
	if (r->state == RUN_RUNNING)
		return "the run is running";
	if (r->state == RUN_FINISHED)
		return "the run is finished; there is nothing left to do";
	return r->state == RUN_QUEUED ? "the run has not started yet" : NULL;
}

const char *trainer_why_not_delete(const struct run *r)
{
	if (!r)
		return "there is no run here";
	return is_live(r) ? "the run is live; stop it first" : NULL;
}

/* A place for what was asked; the oldest gives way when there are too many. */
static struct asked *asked_place(struct app *app)
{
	struct asked *oldest = &app->asked[0];

	for (int i = 0; i < APP_ASKED; i++) {
		if (!app->asked[i].id)
			return &app->asked[i];
		if (app->asked[i].since_us < oldest->since_us)
			oldest = &app->asked[i];
	}
	return oldest;
}

static unsigned ask(struct app *app, const struct run *r, const char *verb, const char *arg)
{
	struct asked *a = asked_place(app);
	struct store *st;
	int64_t id = 0;
	int code = store_open(app->db, &st);

	if (!code) {
		code = command_add(st, r->row, verb, arg, &id);
		store_close(st);
	}
	if (code) {
		app_complain(app, "%s", err_text());
		return UI_DRAW;
	}
	*a = (struct asked){ .id = id, .since_us = app->clock() };
	snprintf(a->run, sizeof(a->run), "%s", r->id);
	snprintf(a->verb, sizeof(a->verb), "%s", verb);
	app_say(app, "%.5s: asked to %s ...", r->id, verb);
	return UI_DRAW;
}

unsigned trainer_stop(struct app *app, const struct run *r) { return ask(app, r, "stop", ""); }

unsigned trainer_pause(struct app *app, const struct run *r)
{
	return ask(app, r, r->state == RUN_PAUSED ? "resume" : "pause", "");
}

unsigned trainer_set_rate(struct app *app, const struct run *r, const char *rate)
{
	char arg[300], *end;
	const double v = strtod(rate, &end);

	if (end == rate || *end || !isfinite(v) || v < 0) {
		app_complain(app, "a learning rate is a number from 0 on, such as 1e-4");
		return UI_DRAW;
	}
	snprintf(arg, sizeof(arg), "learning_rate=%s", rate);
	return ask(app, r, "set", arg);
}

static void remember(struct app *app, const struct run *r, pid_t pid)
{
	for (int i = 0; i < APP_ASKED; i++) {
		struct launched *s = &app->launched[i];

		if (s->pid)
			continue;
		*s = (struct launched){ .pid = pid, .row = r->row, .since_us = app->clock() };
		snprintf(s->run, sizeof(s->run), "%s", r->id);
		return;
	}
}

static bool is_starting(const struct app *app, const struct run *r)
{
	for (int i = 0; i < APP_ASKED; i++)
		if (app->launched[i].pid && app->launched[i].row == r->row)
			return true;
	return false;
}

static int spawn(const struct run *r, pid_t *ret)
{
	char path[PATH_MAX], log[PATH_MAX], verb[] = "resume", id[RUN_ID_SIZE];
	char *argv[] = { path, verb, id, NULL };
	struct proc_spawn how = {
		.argv = argv, .log_path = log, .own_session = true, .pipe_fd = -1
	};
	int code = proc_engine_path(path, sizeof(path));

	snprintf(id, sizeof(id), "%s", r->id);
	if (!code && !fs_is_dir(r->dir))
		return err_set(TT_NOTFOUND, "the folder of run %s is gone", r->id);
	if (!code)
		code = fs_join(log, sizeof(log), r->dir, "log.txt");
	return code ? code : proc_spawn(&how, ret);
}

unsigned trainer_resume(struct app *app, const struct run *r)
{
	pid_t pid;

	if (r->state == RUN_PAUSED)
		return ask(app, r, "resume", "");
	if (is_starting(app, r)) {
		app_say(app, "%.5s: the trainer is starting", r->id);
		return UI_DRAW;
	}
	if (spawn(r, &pid)) {
		app_complain(app, "%s", err_text());
		return UI_DRAW;
	}
	remember(app, r, pid);
	app_say(app, "%.5s: the trainer starts from the newest checkpoint", r->id);
	return UI_DRAW;
}

unsigned trainer_trash(struct app *app, int64_t row, const char *id, const char *name)
{
	struct store *st;
	int code = store_open(app->db, &st);

	if (!code) {
		code = run_trash(st, row);
		store_close(st);
	}
	if (code)
		app_complain(app, "%s", err_text());
	else
		app_say(app, "%.5s %s is in the trash; u brings it back", id, name);
	return UI_DRAW | UI_RELOAD;
}

/* 1: it is in the trash, 0: it lives, < 0: failed. */
static int trash_one(struct store *st, int64_t row)
{
	struct run r;
	int code = run_get_row(st, row, &r);
	bool live;

	if (code)
		return code;
	live = is_live(&r);
	run_done(&r);
	code = live ? TT_OK : run_trash(st, row);
	return code ? code : !live;
}

/* All or none, but for those that live. */
static int trash_all(struct app *app, size_t *ret_n)
{
	struct store *st;
	int got = TT_OK, code = store_open(app->db, &st);

	if (code)
		return code;
	code = store_begin(st);
	*ret_n = 0;
	for (size_t i = 0; !code && i < app->marks.n; i++) {
		got = trash_one(st, app->marks.row[i]);
		if (got < 0 && got != TT_NOTFOUND)
			code = got;
		*ret_n += got > 0;
	}
	if (code)
		store_rollback(st);
	else
		code = store_commit(st);
	store_close(st);
	return code;
}

unsigned trainer_trash_marked(struct app *app)
{
	const size_t marked = app->marks.n;
	size_t n;

	if (trash_all(app, &n)) {
		app_complain(app, "%s", err_text());
		return UI_DRAW | UI_RELOAD;
	}
	if (n == marked)
		app_say(app, "%zu runs are in the trash; u brings them back, one by one", n);
	else
		app_complain(app, "%zu of %zu runs are in the trash; the others are live", n,
			     marked);
	app->marks.n = 0;
	return UI_DRAW | UI_RELOAD;
}

/* ---- tags and notes ---- */

static bool has_word(const char *words, const char *word)
{
	const size_t n = strlen(word);

	for (const char *p = words; *p; p += strspn(p, " ")) {
		const size_t size = strcspn(p, " ");

		if (size == n && !memcmp(p, word, n))
			return true;
		p += size;
	}
	return false;
}

/* Call change with every word of `words` that is not among `others`. */
static int for_new_words(struct store *st, const struct run *r, const char *words,
			 const char *others,
			 int (*change)(struct store *st, int64_t run, const char *word))
{
	char *copy = strdup(words), *at = copy, *word;
	int code = copy ? TT_OK : err_set(TT_NOMEM, "not enough memory");

	while (!code && (word = strsep(&at, " ")))
		if (*word && !has_word(others, word))
			code = change(st, r->row, word);
	free(copy);
	return code;
}

static int set_tags(struct store *st, const struct run *r, const char *words)
{
	int code = store_begin(st);

	if (!code)
		code = for_new_words(st, r, words, r->tags, tag_add);
	if (!code)
		code = for_new_words(st, r, r->tags, words, tag_remove);
	if (!code)
		return store_commit(st);
	store_rollback(st);
	return code;
}

unsigned trainer_tags(struct app *app, const struct run *r, const char *words)
{
	struct store *st;
	int code = store_open(app->db, &st);

	if (!code) {
		code = set_tags(st, r, words);
		store_close(st);
	}
	if (code)
		app_complain(app, "%s", err_text());
	return UI_DRAW | UI_RELOAD;
}

bool trainer_note_line(const char *note, char *ret, size_t size)
{
	size_t n = 0;

	for (; *note && n + 3 < size; note++) {
		if (*note == '\n' || *note == '\\')
			ret[n++] = '\\';
		ret[n++] = (char)(*note == '\n' ? 'n' : *note);
	}
	ret[n] = 0;
	return !*note;
}

/* A line back into a note, in place. */
static void unfold_note(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '\\' && (p[1] == 'n' || p[1] == '\\'))
			*to++ = (char)(*++p == 'n' ? '\n' : '\\');
		else
			*to++ = *p;
	}
	*to = 0;
}

unsigned trainer_note(struct app *app, const struct run *r, const char *line)
{
	char note[PROMPT_TEXT];
	struct store *st;
	int code = store_open(app->db, &st);

	snprintf(note, sizeof(note), "%s", line);
	unfold_note(note);
	if (!code) {
		code = note_set(st, r->row, note);
		store_close(st);
	}
	if (code)
		app_complain(app, "%s", err_text());
	else
		app_say(app, note[0] ? "%.5s: noted" : "%.5s: no note any more", r->id);
	return UI_DRAW | UI_RELOAD;
}

/* ---- the trash ---- */

unsigned trainer_undo(struct app *app)
{
	struct run r = { 0 };
	struct store *st;
	int code = store_open(app->db, &st);

	if (!code) {
		code = run_last_trashed(st, &r);
		if (!code)
			code = run_untrash(st, r.row);
		store_close(st);
	}
	if (code)
		app_complain(app, "%s", err_text());
	else
		app_say(app, "%.5s %s is back", r.id, r.name);
	run_done(&r);
	return UI_DRAW | UI_RELOAD;
}

/* Nobody answered: take the command back, so that no later attempt obeys it. */
static void give_up(struct app *app, struct asked *a)
{
	struct store *st;
	bool taken = false;

	if (!store_open(app->db, &st)) {
		(void)command_cancel(st, a->id, &taken);
		store_close(st);
	}
	if (taken)
		app_complain(app, "%.5s took `%s` but has not carried it out yet", a->run, a->verb);
	else
		app_complain(app, "%.5s did not answer; nothing was changed", a->run);
	a->id = 0;
}

static bool look_answer(struct app *app, struct asked *a)
{
	struct command_row c;
	const int code = app->store ? command_get(app->store, a->id, &c) : TT_NOTFOUND;

	if (code) { /* purged with its run */
		a->id = 0;
		return false;
	}
	if (c.done && c.ok)
		app_say(app, "%.5s: %s", a->run, c.answer);
	else if (c.done)
		app_complain(app, "%.5s: %s", a->run, c.answer);
	else if (app->clock() - a->since_us > patience_us)
		give_up(app, a);
	else {
		command_row_done(&c);
		return false;
	}
	if (c.done)
		a->id = 0;
	command_row_done(&c);
	return true;
}

static bool look_launched(struct app *app, struct launched *s)
{
	int status;
	const pid_t got = waitpid(s->pid, &status, WNOHANG);
	const bool early = app->clock() - s->since_us < early_us;
	bool say = false;

	if (!got)
		return false;
	if (got == s->pid && early && WIFEXITED(status) && WEXITSTATUS(status)) {
		app_complain(app, "%.5s: the trainer could not go on; the log says why", s->run);
		say = true;
	} else if (got == s->pid && early && WIFSIGNALED(status)) {
		app_complain(app, "%.5s: the trainer was ended by signal %d", s->run,
			     WTERMSIG(status));
		say = true;
	}
	s->pid = 0;
	return say;
}

bool trainer_tick(struct app *app)
{
	bool any = false;

	for (int i = 0; i < APP_ASKED; i++) {
		if (app->asked[i].id && look_answer(app, &app->asked[i]))
			any = true;
		if (app->launched[i].pid && look_launched(app, &app->launched[i]))
			any = true;
	}
	return any;
}

struct pace {
	struct metric_point first, last;
	int n;
};

static int pace_add(void *arg, const struct metric_point *p)
{
	struct pace *pace = arg;

	if (!pace->n || p->attempt != pace->first.attempt) {
		pace->first = *p;
		pace->n = 0;
	}
	pace->last = *p;
	pace->n++;
	return 0;
}

int64_t trainer_left(struct store *st, const struct run *r)
{
	struct pace pace = { .n = 0 };
	const int64_t from = r->step > RATE_STEPS ? r->step - RATE_STEPS : 0;
	const int64_t todo = r->total_steps - r->step;
	double us;

	if (r->state != RUN_RUNNING || todo < 0 || r->total_steps <= 0 ||
	    metric_walk(st, r->row, "train/loss", from, pace_add, &pace))
		return -1;
	if (pace.n < 2 || pace.last.step <= pace.first.step ||
	    pace.last.time_us <= pace.first.time_us)
		return -1;
	us = (double)(pace.last.time_us - pace.first.time_us) /
	     (double)(pace.last.step - pace.first.step) * (double)todo;
	return us < 3e14 ? (int64_t)us : -1;
}
