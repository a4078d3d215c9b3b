/* Columns: what the list of runs shows of each, chosen from everything that runs have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "db/metric.h"
#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/widget/text.h"

enum { FIRST_ROW = 2 };

struct choice {
	const char *key; /* of a block below, or of the program */
	const char *kind;
};

struct chooser {
	char **metric, **setting;
	size_t metrics, settings;
	char chosen[COLUMNS_MAX][COLUMN_KEY]; /* in front, in their order */
	struct choice *choice;
	size_t n, at, from;
	char search[COLUMN_KEY];
};

/* ---- what there is ---- */

static void add(struct chooser *c, const struct columns *has, const char *key, const char *kind)
{
	if (!columns_has(has, key))
		c->choice[c->n++] = (struct choice){ key, kind };
}

static const char *kind_of(const char *key)
{
	return strchr(key, '/') ? "metric" : strpbrk(key, ".") ? "setting" : "column";
}

/* The chosen ones first, then all others by kind. The room is for all of them. */
static void list(struct chooser *c, const struct columns *has)
{
	c->n = 0;
	for (size_t i = 0; i < has->n; i++) {
		snprintf(c->chosen[i], COLUMN_KEY, "%s", has->key[i]);
		c->choice[c->n++] = (struct choice){ c->chosen[i], kind_of(has->key[i]) };
	}
	add(c, has, "params", "column");
	add(c, has, "curve", "column");
	for (size_t i = 0; run_column_name(i); i++)
		add(c, has, run_column_name(i), "column");
	for (size_t i = 0; i < c->metrics; i++)
		if (run_key_is(c->metric[i]))
			add(c, has, c->metric[i], "metric");
	for (size_t i = 0; i < c->settings; i++)
		if (run_key_is(c->setting[i]) && strcmp(kind_of(c->setting[i]), "column") != 0)
			add(c, has, c->setting[i], "setting");
}

static int columns_open(struct screen *s, const char *arg)
{
	struct chooser *c = s->state;
	struct store *st = s->app->store;
	size_t room = COLUMNS_MAX + 2;
	int code = TT_OK;

	(void)arg;
	if (st)
		code = metric_keys(st, 0, &c->metric, &c->metrics);
	if (!code && st)
		code = run_setting_paths(st, &c->setting, &c->settings);
	if (code)
		return code;
	while (run_column_name(room - COLUMNS_MAX - 2))
		room++;
	c->choice = calloc(room + c->metrics + c->settings, sizeof(*c->choice));
	if (!c->choice)
		return err_set(TT_NOMEM, "not enough memory for the columns");
	list(c, &s->app->columns);
	return TT_OK;
}

static void columns_close(struct screen *s)
{
	struct chooser *c = s->state;

	free(c->metric);
	free(c->setting);
	free(c->choice);
}

/* ---- drawing ---- */

static void draw_choice(const struct screen *s, WINDOW *w, int y, size_t at)
{
	const struct chooser *c = s->state;
	const struct theme *t = &s->app->theme;
	const bool chosen = at < s->app->columns.n, selected = at == c->at;
	const int width = getmaxx(w);

	theme_set(t, w, selected ? ROLE_SELECTED : chosen ? ROLE_STRONG : ROLE_TEXT);
	if (selected)
		(void)mvwhline(w, y, 0, ' ' | A_REVERSE, width);
	text_put(w, y, 1, 3, chosen ? "[x]" : "[ ]");
	text_put(w, y, 5, width - 16, c->choice[at].key);
	if (!selected)
		theme_set(t, w, ROLE_DIM);
	text_put_right(w, y, width - 10, 9, c->choice[at].kind);
	theme_set(t, w, ROLE_TEXT);
}

static void columns_draw(const struct screen *s, WINDOW *w)
{
	const struct chooser *c = s->state;
	char what[80];

	snprintf(what, sizeof(what), "columns: %zu chosen, of %d", s->app->columns.n, COLUMNS_MAX);
	app_title(s->app, w, what, "esc goes back");
	for (int y = FIRST_ROW; y < getmaxy(w); y++) {
		const size_t at = c->from + (size_t)(y - FIRST_ROW);

		if (at < c->n)
			draw_choice(s, w, y, at);
	}
}

/* ---- moving ---- */

static size_t rows(const struct screen *s)
{
	return s->app->rows > FIRST_ROW ? (size_t)(s->app->rows - FIRST_ROW) : 1;
}

static unsigned move_to(struct screen *s, int64_t to)
{
	struct chooser *c = s->state;

	if (to >= (int64_t)c->n)
		to = (int64_t)c->n - 1;
	c->at = to < 0 ? 0 : (size_t)to;
	if (c->at < c->from)
		c->from = c->at;
	if (c->at >= c->from + rows(s))
		c->from = c->at - rows(s) + 1;
	return UI_DRAW;
}

static int64_t at(const struct screen *s)
{
	return (int64_t)((const struct chooser *)s->state)->at;
}

static unsigned columns_down(struct screen *s) { return move_to(s, at(s) + 1); }
static unsigned columns_up(struct screen *s) { return move_to(s, at(s) - 1); }
static unsigned columns_page_down(struct screen *s) { return move_to(s, at(s) + (int64_t)rows(s)); }
static unsigned columns_page_up(struct screen *s) { return move_to(s, at(s) - (int64_t)rows(s)); }
static unsigned columns_first(struct screen *s) { return move_to(s, 0); }
static unsigned columns_last(struct screen *s) { return move_to(s, INT64_MAX); }

static unsigned next(struct screen *s)
{
	const struct chooser *c = s->state;

	for (size_t by = 1; by <= c->n; by++) {
		const size_t i = (c->at + by) % c->n;

		if (strcasestr(c->choice[i].key, c->search))
			return move_to(s, (int64_t)i);
	}
	app_complain(s->app, "nothing has '%s' in its name", c->search);
	return UI_DRAW;
}

static unsigned search_for(struct screen *s, const char *text)
{
	struct chooser *c = s->state;

	snprintf(c->search, sizeof(c->search), "%.*s", COLUMN_KEY - 1, text);
	return *text ? next(s) : UI_DRAW;
}

static unsigned columns_search(struct screen *s)
{
	prompt_line(&s->app->prompt, "search:", "", search_for);
	return UI_DRAW;
}

static const char *why_not_next(const struct screen *s)
{
	return ((const struct chooser *)s->state)->search[0]
		       ? NULL
		       : "nothing was searched for yet; / does";
}

/* ---- choosing ---- */

/* Kept at once; the cursor goes along with its column. */
static unsigned changed(struct screen *s, const char *key)
{
	struct chooser *c = s->state;

	list(c, &s->app->columns);
	if (app_keep_columns(s->app))
		app_complain(s->app, "this lasts until you leave: %s", err_text());
	for (size_t i = 0; key && i < c->n; i++)
		if (!strcmp(c->choice[i].key, key))
			return move_to(s, (int64_t)i);
	return move_to(s, at(s));
}

static unsigned columns_toggle(struct screen *s)
{
	struct chooser *c = s->state;
	struct columns *has = &s->app->columns;
	const char *key = c->choice[c->at].key;

	if (c->at < has->n) {
		columns_remove(has, key);
		return changed(s, NULL);
	}
	if (!columns_add(has, key))
		app_complain(s->app, "there are at most %d columns; take one away first",
			     COLUMNS_MAX);
	return changed(s, NULL);
}

static const char *why_not_toggle(const struct screen *s)
{
	const struct chooser *c = s->state;

	return !strcmp(c->choice[c->at].key, "name") ? "a list without names says little" : NULL;
}

static unsigned move_column(struct screen *s, int by)
{
	const struct chooser *c = s->state;
	char key[COLUMN_KEY];

	snprintf(key, sizeof(key), "%s", c->choice[c->at].key);
	columns_move(&s->app->columns, c->at, by);
	return changed(s, key);
}

static unsigned columns_left(struct screen *s) { return move_column(s, -1); }
static unsigned columns_right(struct screen *s) { return move_column(s, 1); }

static const char *why_not_move(const struct screen *s)
{
	const struct chooser *c = s->state;

	return c->at < s->app->columns.n ? NULL : "only a chosen column has a place";
}

static unsigned columns_sort_by(struct screen *s)
{
	const struct chooser *c = s->state;

	snprintf(s->app->columns.sort, COLUMN_KEY, "%s", columns_sort(c->choice[c->at].key));
	app_say(s->app, "sorted by %.60s", c->choice[c->at].key);
	return changed(s, NULL);
}

static const char *why_not_sort(const struct screen *s)
{
	const struct chooser *c = s->state;

	return columns_sort(c->choice[c->at].key) ? NULL : "runs have no order by this";
}

static unsigned columns_usual(struct screen *s)
{
	struct columns *has = &s->app->columns;
	char theme[sizeof(has->theme)];

	memcpy(theme, has->theme, sizeof(theme));
	columns_default(has);
	memcpy(has->theme, theme, sizeof(theme));
	return changed(s, NULL);
}

static unsigned columns_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE,
	  { KEY_RETURN, '\n' },
	  "back",
	  "go back to the list",
	  columns_back,
	  NULL,
	  false },
	{ ' ',
	  { 0 },
	  "choose",
	  "show the column, or do not",
	  columns_toggle,
	  why_not_toggle,
	  false },
	{ '<', { 0 }, "left", "move the column to the left", columns_left, why_not_move, false },
	{ '>', { 0 }, "right", "move the column to the right", columns_right, why_not_move, false },
	{ 's',
	  { 0 },
	  "sort",
	  "sort the list by this, shown or not",
	  columns_sort_by,
	  why_not_sort,
	  false },
	{ '/', { 0 }, "search", "search by name", columns_search, NULL, false },
	{ 'D',
	  { 0 },
	  "usual",
	  "the usual columns, by age, without groups",
	  columns_usual,
	  NULL,
	  false },
	{ 'n', { 0 }, "next", "go to the next that was searched for", next, why_not_next, true },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", columns_down, NULL, true },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", columns_up, NULL, true },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { 6 },
	  "page down",
	  "go down by a page",
	  columns_page_down,
	  NULL,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE),
	  { 2 },
	  "page up",
	  "go up by a page",
	  columns_page_up,
	  NULL,
	  true },
	{ 'g', { KEY_TERMINAL(KEY_HOME) }, "first", "go to the first", columns_first, NULL, true },
	{ 'G', { KEY_TERMINAL(KEY_END) }, "last", "go to the last", columns_last, NULL, true },
	{ 0 }
};

const struct screen_ops screen_columns = {
	.name = "columns",
	.title = "Columns",
	.state_size = sizeof(struct chooser),
	.keys = keys,
	.open = columns_open,
	.draw = columns_draw,
	.close = columns_close,
};
