/* The workbench without its terminal: a stack of screens, keys, ticks, and the frame around them. */
#include "ui/app.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/fs.h"
#include "ui/keymap.h"
#include "ui/trainer.h"
#include "ui/verbs.h"
#include "ui/widget/text.h"

#define ITEM(n) extern const struct screen_ops screen_##n;
#include "ui/list.inc"
#undef ITEM

static const struct screen_ops *const all[] = {
#define ITEM(n) &screen_##n,
#include "ui/list.inc"
#undef ITEM
	NULL
};

enum { RETRY_TICKS = 8, CTRL_L = 12 };

/* ---- screens ---- */

const struct screen_ops *const *screen_all(void) { return all; }

struct screen *screen_open(struct app *app, const struct screen_ops *ops, const char *arg)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)err_set(TT_NOMEM, "not enough memory for a screen");
		return NULL;
	}
	s->ops = ops;
	s->app = app;
	s->state = calloc(1, ops->state_size);
	if (!s->state)
		(void)err_set(TT_NOMEM, "not enough memory for a screen");
	if (!s->state || (ops->open && ops->open(s, arg))) {
		screen_close(s);
		return NULL;
	}
	return s;
}

void screen_close(struct screen *s)
{
	if (!s)
		return;
	if (s->ops->close && s->state)
		s->ops->close(s);
	free(s->state);
	free(s);
}

static unsigned press(struct screen *s, const struct keybind *k)
{
	const char *why = k->why_not ? k->why_not(s) : NULL;
	char name[KEY_NAME_SIZE];

	if (!why)
		return k->act(s);
	keymap_name(k->key, name);
	app_complain(s->app, "%s (%s): %s", name, k->label, why);
	return UI_DRAW;
}

unsigned screen_key(struct screen *s, int key)
{
	const struct keybind *k = keymap_find(s->ops->keys, key);
	char name[KEY_NAME_SIZE];

	if (!k)
		k = keymap_find(keys_everywhere, key);
	if (k)
		return press(s, k);
	keymap_name(key, name);
	app_say(s->app, "%s does nothing here; ? lists the keys", name);
	return UI_DRAW;
}

/* ---- keys that work everywhere ---- */

static unsigned help(struct screen *s)
{
	if (strcmp(s->ops->name, "help") != 0 && app_open(s->app, "help", s->ops->name))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static unsigned quit(struct screen *s)
{
	(void)s;
	return UI_QUIT;
}

static unsigned charts(struct screen *s)
{
	theme_cycle(&s->app->theme);
	app_say(s->app, "charts in %s characters", theme_charts_name(s->app->theme.charts));
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_charts(const struct screen *s)
{
	return s->app->theme.unicode ? NULL : "the locale is not UTF-8, so everything is ASCII";
}

static unsigned redraw(struct screen *s)
{
	(void)s;
	(void)clearok(curscr, TRUE);
	return UI_DRAW;
}

const struct keybind keys_everywhere[] = {
	{ .key = ':',
	  .label = "command",
	  .help = "type a verb: ls, run, tag, ..., also sort, theme, undelete",
	  .act = verbs_ask,
	  .quiet = true },
	{ .key = '?', .label = "help", .help = "list the keys of this screen", .act = help },
	{ .key = 'q', .label = "quit", .help = "leave the workbench; trainers go on", .act = quit },
	{ .key = '~',
	  .label = "charts",
	  .help = "draw charts in braille, block or ASCII characters",
	  .act = charts,
	  .why_not = why_not_charts,
	  .quiet = true },
	{ .key = CTRL_L,
	  .label = "redraw",
	  .help = "draw everything anew",
	  .act = redraw,
	  .quiet = true },
	{ 0 }
};

/* ---- the stack ---- */

struct screen *app_top(struct app *app) { return app->depth ? app->stack[app->depth - 1] : NULL; }

static void poll_top(struct app *app)
{
	struct screen *s = app_top(app);

	app->changed = true;
	if (s && s->ops->poll)
		(void)s->ops->poll(s);
	app->changed = false;
}

int app_open(struct app *app, const char *screen, const char *arg)
{
	for (const struct screen_ops *const *o = all; *o; o++) {
		struct screen *s;

		if (strcmp((*o)->name, screen) != 0)
			continue;
		if (app->depth == APP_DEPTH)
			return err_set(TT_INVALID, "too many screens are open; esc goes back");
		s = screen_open(app, *o, arg);
		if (!s)
			return TT_INVALID;
		app->stack[app->depth++] = s;
		app->prompt.kind = PROMPT_OFF; /* its answer belongs to the screen below */
		poll_top(app);
		return TT_OK;
	}
	return err_set(TT_NOTFOUND, "there is no screen '%s'", screen);
}

static void go_back(struct app *app)
{
	if (app->depth < 2)
		return;
	screen_close(app->stack[--app->depth]);
	app->prompt.kind = PROMPT_OFF;
	poll_top(app);
}

/* ---- the run log ---- */

/* No run log yet is no trouble: the screens say how to start, and each tick looks again. */
static bool open_store(struct app *app)
{
	int code;

	if (app->patience > 0) {
		app->patience--;
		return false;
	}
	if (!fs_exists(app->db))
		return false;
	code = store_open_read(app->db, &app->store);
	if (!code) {
		(void)store_changed(app->store);
		app->trouble[0] = 0;
		return true;
	}
	app->store = NULL;
	app->patience = RETRY_TICKS;
	snprintf(app->trouble, sizeof(app->trouble), "%s", code == TT_NOTFOUND ? "" : err_text());
	return true;
}

/* The data home: the folder of the run log. */
static int home_of(const struct app *app, char ret[PATH_MAX])
{
	return fs_dirname(ret, PATH_MAX, app->db);
}

static void load_columns(struct app *app)
{
	char dir[PATH_MAX];

	columns_default(&app->columns);
	if (home_of(app, dir) || columns_load(dir, &app->columns))
		app_complain(app, "%s", err_text());
	if (app->columns.theme[0])
		(void)theme_background(&app->theme, app->columns.theme);
}

int app_keep_columns(const struct app *app)
{
	char dir[PATH_MAX];
	const int code = home_of(app, dir);

	return code ? code : columns_save(dir, &app->columns);
}

int app_init(struct app *app, const char *db, int64_t (*clock)(void))
{
	const int rows = getmaxy(stdscr) - 2;

	*app = (struct app){ .clock = clock, .rows = rows > 1 ? rows : 1, .cols = getmaxx(stdscr) };
	if (strlen(db) >= sizeof(app->db))
		return err_set(TT_INVALID, "the path of the run log is too long");
	snprintf(app->db, sizeof(app->db), "%s", db);
	theme_init(&app->theme);
	load_columns(app);
	(void)open_store(app);
	return app_open(app, "runs", NULL);
}

void app_done(struct app *app)
{
	while (app->depth)
		screen_close(app->stack[--app->depth]);
	store_close(app->store);
	app->store = NULL;
}

/* ---- keys and ticks ---- */

void app_leave(struct app *app, pid_t pid)
{
	for (int i = 0; i < APP_ASKED; i++) {
		if (app->left[i])
			continue;
		app->left[i] = pid;
		return;
	}
}

static void look_left(struct app *app)
{
	for (int i = 0; i < APP_ASKED; i++)
		if (app->left[i] && waitpid(app->left[i], NULL, WNOHANG) != 0)
			app->left[i] = 0;
}

static void react(struct app *app, unsigned reaction)
{
	if (reaction & UI_QUIT)
		app->quit = true;
	if (reaction & UI_CLOSE)
		go_back(app);
	else if (reaction & UI_RELOAD)
		poll_top(app);
	else if (reaction & UI_POLL && app_top(app)->ops->poll)
		(void)app_top(app)->ops->poll(app_top(app));
}

bool app_key(struct app *app, int key)
{
	struct screen *s = app_top(app);
	unsigned reaction;

	app->message[0] = 0;
	if (app->small) {
		app->quit = key == 'q';
		return false;
	}
	reaction = app->prompt.kind ? prompt_key(&app->prompt, s, key) : screen_key(s, key);
	react(app, reaction);
	return true;
}

/* Is the run that the workbench was opened for over? */
static bool watched_is_over(const struct app *app)
{
	struct run r = { 0 };
	bool over;

	if (!app->watched[0] || !app->store)
		return false;
	over = run_get(app->store, app->watched, &r) ||
	       (r.state != RUN_QUEUED && r.state != RUN_RUNNING && r.state != RUN_PAUSED);
	run_done(&r);
	return over;
}

bool app_tick(struct app *app)
{
	struct screen *s = app_top(app);
	bool redraw = false;

	app->busy = false;
	if (!app->store)
		app->changed = open_store(app);
	else if (store_changed(app->store))
		app->changed = true;
	redraw = trainer_tick(app);
	look_left(app);
	if (s && s->ops->poll && s->ops->poll(s))
		redraw = true;
	app->changed = false;
	app->quit = app->quit || watched_is_over(app);
	return redraw;
}

/* ---- the frame ---- */

void app_say(struct app *app, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(app->message, sizeof(app->message), fmt, args);
	va_end(args);
	app->message_bad = false;
}

void app_complain(struct app *app, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(app->message, sizeof(app->message), fmt, args);
	va_end(args);
	app->message_bad = true;
}

void app_title(const struct app *app, WINDOW *w, const char *what, const char *where)
{
	const int width = getmaxx(w), right = text_width(where);
	int x;

	theme_set(&app->theme, w, ROLE_STRONG);
	x = 1 + text_put(w, 0, 1, width - 2, "trimtab");
	theme_set(&app->theme, w, ROLE_TEXT);
	x += 3 + text_put(w, 0, x + 3, width - x - 4, what);
	theme_set(&app->theme, w, ROLE_DIM);
	if (x + 2 + right < width)
		text_put_right(w, 0, x + 2, width - x - 3, where);
	theme_set(&app->theme, w, ROLE_TEXT);
}

/* "key label" at x if it ends before `end`; returns where the next one goes. */
static int draw_key(struct app *app, WINDOW *w, int x, int end, const struct keybind *k)
{
	const int y = getmaxy(w) - 1;
	const struct screen *s = app_top(app);
	const bool off = k->why_not && k->why_not(s);
	char name[KEY_NAME_SIZE];

	keymap_name(k->key, name);
	if (x + text_width(name) + 1 + text_width(k->label) > end)
		return x;
	theme_set(&app->theme, w, off ? ROLE_DIM : ROLE_STRONG);
	x += text_put(w, y, x, end - x, name) + 1;
	theme_set(&app->theme, w, off ? ROLE_DIM : ROLE_TEXT);
	x += text_put(w, y, x, end - x, k->label) + 2;
	theme_set(&app->theme, w, ROLE_TEXT);
	return x;
}

static void draw_footer(struct app *app, WINDOW *w)
{
	static const char always[] = "? help  q quit";
	const int width = getmaxx(w), reserved = width - (int)sizeof(always);
	int x = 1;

	for (const struct keybind *k = app_top(app)->ops->keys; k->help; k++) {
		const int before = x;

		if (k->quiet)
			continue;
		x = draw_key(app, w, x, reserved - 1, k);
		if (x == before)
			break;
	}
	x = reserved;
	for (const struct keybind *k = keys_everywhere; k->help; k++)
		if (!k->quiet)
			x = draw_key(app, w, x, width, k);
}

static void draw_message(const struct app *app, WINDOW *w, int y)
{
	theme_set(&app->theme, w, app->message_bad ? ROLE_BAD : ROLE_STRONG);
	text_put(w, y, 1, getmaxx(w) - 2, app->message);
	theme_set(&app->theme, w, ROLE_TEXT);
}

/* Whoever is asked has no use for the names of keys: what there is to say stands there. */
static void draw_bottom(struct app *app, WINDOW *w)
{
	const int y = getmaxy(w) - 2;

	if (app->prompt.kind)
		prompt_draw(&app->prompt, &app->theme, w, y);
	if (app->message[0])
		draw_message(app, w, app->prompt.kind ? y + 1 : y);
	if (!app->prompt.kind || !app->message[0])
		draw_footer(app, w);
}

static void draw_small(WINDOW *w)
{
	const int rows = getmaxy(w), cols = getmaxx(w);

	text_printf(w, rows / 2, 0, cols, "trimtab needs %dx%d", APP_MIN_COLS, APP_MIN_ROWS);
	if (rows > 1)
		text_printf(w, rows / 2 + 1, 0, cols, "this is %dx%d; q quits", cols, rows);
}

void app_draw(struct app *app, WINDOW *w)
{
	const int rows = getmaxy(w), cols = getmaxx(w);
	struct screen *s = app_top(app);
	WINDOW *body;

	(void)werase(w);
	theme_set(&app->theme, w, ROLE_TEXT);
	app->small = rows < APP_MIN_ROWS || cols < APP_MIN_COLS;
	if (app->small) {
		draw_small(w);
		return;
	}
	if (app->rows != rows - 2 ||
	    app->cols != cols) { /* what is read depends on what is shown */
		app->rows = rows - 2;
		app->cols = cols;
		if (s->ops->poll)
			(void)s->ops->poll(s);
	}
	body = derwin(w, rows - 2, cols, 0, 0);
	if (!body)
		return;
	s->ops->draw(s, body);
	(void)delwin(body);
	draw_bottom(app, w);
}
