/* Output: what a verb that was typed says, while it says it. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/proc.h"
#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/tail.h"
#include "ui/verbs.h"
#include "ui/widget/text.h"

enum { FIRST_ROW = 2, LINE = 1024 };

struct output {
	char verb[64], path[PATH_MAX];
	struct tail tail;
	pid_t pid; /* 0: it has ended */
	int status;
	size_t lines, from; /* from: the first line shown; SIZE_MAX: the last ones */
};

/* ---- the process ---- */

static int make_file(struct output *o)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(o->path, sizeof(o->path), "%.3000s/trimtab-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	fd = mkstemp(o->path);
	if (fd < 0) {
		o->path[0] = 0;
		return err_set(TT_IO, "no file for what the verb says: %s", strerror(errno));
	}
	close(fd);
	return TT_OK;
}

/* The words of the command have line ends between. */
static int start(struct output *o, const struct app *app, char *words)
{
	char *argv[WORDS_MAX + 2] = { (char *)app->program }, *word;
	struct proc_spawn how = {
		.argv = argv, .log_path = o->path, .own_session = true, .pipe_fd = -1
	};
	size_t n = 1;

	if (!app->program)
		return err_set(TT_INVALID, "verbs cannot be started from here");
	while (n < WORDS_MAX + 1 && (word = strsep(&words, "\n")))
		argv[n++] = word;
	argv[n] = NULL;
	return proc_spawn(&how, &o->pid);
}

static int output_open(struct screen *s, const char *arg)
{
	struct output *o = s->state;
	char *words = strdup(arg ? arg : "");
	int code = words ? make_file(o) : err_set(TT_NOMEM, "not enough memory");

	o->from = SIZE_MAX;
	if (words)
		snprintf(o->verb, sizeof(o->verb), "%.*s", (int)strcspn(words, "\n"), words);
	if (!code)
		code = start(o, s->app, words);
	free(words);
	return code;
}

/* A verb that is still at it goes on by itself; its file is gone, and what it says with it. */
static void output_close(struct screen *s)
{
	struct output *o = s->state;

	if (o->path[0])
		unlink(o->path);
	if (o->pid)
		app_leave(s->app, o->pid);
	tail_done(&o->tail);
}

static bool look_ended(struct output *o)
{
	if (!o->pid || waitpid(o->pid, &o->status, WNOHANG) == 0)
		return false;
	o->pid = 0;
	return true;
}

static bool output_poll(struct screen *s)
{
	struct output *o = s->state;
	const bool ended = look_ended(o), more = tail_read(&o->tail, o->path);

	if (more)
		o->lines = tail_lines(&o->tail);
	return ended || more;
}

/* ---- drawing ---- */

static void state_text(const struct output *o, char *ret, size_t size)
{
	if (o->pid)
		snprintf(ret, size, "at work");
	else if (WIFEXITED(o->status) && !WEXITSTATUS(o->status))
		snprintf(ret, size, "done");
	else if (WIFEXITED(o->status))
		snprintf(ret, size, "failed, status %d", WEXITSTATUS(o->status));
	else
		snprintf(ret, size, "ended by signal %d", WTERMSIG(o->status));
}

static size_t rows(const struct screen *s)
{
	return s->app->rows > FIRST_ROW ? (size_t)(s->app->rows - FIRST_ROW) : 1;
}

static size_t last_from(const struct screen *s)
{
	const struct output *o = s->state;

	return o->lines > rows(s) ? o->lines - rows(s) : 0;
}

static size_t first_shown(const struct screen *s)
{
	const struct output *o = s->state;

	return o->from < last_from(s) ? o->from : last_from(s);
}

static void output_draw(const struct screen *s, WINDOW *w)
{
	const struct output *o = s->state;
	char what[192], state[64];

	state_text(o, state, sizeof(state));
	snprintf(what, sizeof(what), ":%s   %s%s", o->verb, state,
		 (size_t)o->tail.file_size > o->tail.size ? ", the end of what it said" : "");
	app_title(s->app, w, what, "esc goes back");
	for (size_t i = first_shown(s); i < o->lines; i++) {
		const int y = FIRST_ROW + (int)(i - first_shown(s));
		char line[LINE];

		if (y >= getmaxy(w))
			break;
		if (tail_line(&o->tail, o->lines - 1 - i, line, sizeof(line)))
			text_put(w, y, 1, getmaxx(w) - 2, line);
	}
}

/* ---- keys ---- */

static unsigned scroll_by(struct screen *s, int64_t by)
{
	struct output *o = s->state;
	const int64_t to = (int64_t)first_shown(s) + by;

	o->from = to < 0 ? 0 : to >= (int64_t)last_from(s) ? SIZE_MAX : (size_t)to;
	return UI_DRAW;
}

static unsigned output_down(struct screen *s) { return scroll_by(s, 1); }
static unsigned output_up(struct screen *s) { return scroll_by(s, -1); }
static unsigned output_page_down(struct screen *s) { return scroll_by(s, (int64_t)rows(s)); }
static unsigned output_page_up(struct screen *s) { return scroll_by(s, -(int64_t)rows(s)); }
static unsigned output_first(struct screen *s) { return scroll_by(s, -TAIL_BYTES); }
static unsigned output_last(struct screen *s) { return scroll_by(s, TAIL_BYTES); }

static unsigned output_stop(struct screen *s)
{
	const struct output *o = s->state;

	(void)kill(o->pid, SIGINT);
	return UI_DRAW;
}

static const char *why_not_stop(const struct screen *s)
{
	return ((const struct output *)s->state)->pid ? NULL : "it has ended";
}

static unsigned output_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE,
	  { KEY_RETURN, '\n' },
	  "back",
	  "go back; the verb goes on",
	  output_back,
	  NULL,
	  false },
	{ '.',
	  { 0 },
	  "stop",
	  "interrupt the verb, as ctrl-C does in a shell",
	  output_stop,
	  why_not_stop,
	  false },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", output_down, NULL, false },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", output_up, NULL, false },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { ' ' },
	  "page down",
	  "go down by a page",
	  output_page_down,
	  NULL,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE),
	  { 0 },
	  "page up",
	  "go up by a page",
	  output_page_up,
	  NULL,
	  true },
	{ 'g',
	  { KEY_TERMINAL(KEY_HOME) },
	  "first",
	  "go to the first line",
	  output_first,
	  NULL,
	  true },
	{ 'G', { KEY_TERMINAL(KEY_END) }, "last", "go to the last line", output_last, NULL, true },
	{ 0 }
};

const struct screen_ops screen_output = {
	.name = "output",
	.title = "Output",
	.state_size = sizeof(struct output),
	.keys = keys,
	.open = output_open,
	.poll = output_poll,
	.draw = output_draw,
	.close = output_close,
};
