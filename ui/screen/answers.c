/*
 * Answers: the rows of the validation data that one of two runs gets right and
 * the other wrong. Answers are read when the screen opens, once: they are kept
 * when a run ends and change no more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/stats.h"
#include "ui/answers.h"
#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/widget/text.h"

enum { WHOLE = 6 /* lines for the whole of a row */, NAME = 16 };

enum filter { EITHER, SECOND, FIRST, FILTERS };

struct view {
	char id[2][RUN_ID_SIZE];
	struct run run[2];
	struct answers answers[2];
	size_t *row; /* those that differ and pass the filter */
	size_t n, at, from;
	int64_t only[2]; /* rows that only this one gets right */
	enum filter filter;
	bool loaded;
	char trouble[512];
};

static struct view *view_of(struct screen *s) { return s->state; }

/* ---- reading ---- */

static bool passes(const struct view *v, size_t i)
{
	const bool first = v->answers[0].row[i].right, second = v->answers[1].row[i].right;

	return first != second && (v->filter == EITHER || (v->filter == FIRST) == first);
}

static int list_rows(struct view *v)
{
	size_t *row = calloc(v->answers[0].n + 1, sizeof(*row));

	if (!row)
		return err_set(TT_NOMEM, "not enough memory for %zu rows", v->answers[0].n);
	free(v->row);
	v->row = row;
	v->n = v->at = v->from = 0;
	for (size_t i = 0; i < v->answers[0].n; i++)
		if (passes(v, i))
			v->row[v->n++] = i;
	return TT_OK;
}

static int load(struct app *app, struct view *v)
{
	int code = TT_OK;

	for (int i = 0; !code && i < 2; i++) {
		run_done(&v->run[i]);
		answers_done(&v->answers[i]);
		v->run[i] = (struct run){ .row = 0 };
		code = run_get(app->store, v->id[i], &v->run[i]);
		if (!code)
			code = answers_read(v->run[i].dir, &v->answers[i]);
	}
	if (!code && !answers_same_rows(&v->answers[0], &v->answers[1]))
		code = err_set(TT_INVALID, "the two runs did not answer the same rows");
	if (code)
		return code;
	answers_count(&v->answers[0], &v->answers[1], &v->only[0], &v->only[1]);
	v->loaded = true;
	return list_rows(v);
}

static size_t rows_shown(const struct app *app)
{
	return app->rows > WHOLE + 4 ? (size_t)(app->rows - WHOLE - 3) : 1;
}

static void keep_window(const struct app *app, struct view *v)
{
	const size_t rows = rows_shown(app);

	if (v->at >= v->n)
		v->at = v->n ? v->n - 1 : 0;
	if (v->at < v->from)
		v->from = v->at;
	if (v->at >= v->from + rows)
		v->from = v->at - rows + 1;
}

static bool answers_poll(struct screen *s)
{
	struct view *v = view_of(s);
	const size_t from = v->from;

	if (!s->app->store)
		return false;
	if (!v->loaded && s->app->changed) {
		snprintf(v->trouble, sizeof(v->trouble), "%s", load(s->app, v) ? err_text() : "");
		return true;
	}
	keep_window(s->app, v);
	return v->from != from;
}

/* arg: two ids, the baseline's first. */
static int answers_open(struct screen *s, const char *arg)
{
	struct view *v = view_of(s);
	const char *second = arg ? strchr(arg, ' ') : NULL;

	snprintf(v->id[0], RUN_ID_SIZE, "%s", arg ? arg : "");
	snprintf(v->id[1], RUN_ID_SIZE, "%s", second ? second + 1 : "");
	return TT_OK;
}

static void answers_close(struct screen *s)
{
	struct view *v = view_of(s);

	for (int i = 0; i < 2; i++) {
		run_done(&v->run[i]);
		answers_done(&v->answers[i]);
	}
	free(v->row);
}

/* ---- drawing ---- */

static const char *text_at(const struct json *row, const char *key)
{
	const char *text = json_text(json_get(row, key));

	return text ? text : "";
}

/* "12  mr-lora is right  positive  the sentence" */
static void draw_row(const struct screen *s, WINDOW *w, int y, size_t at)
{
	const struct view *v = s->state;
	const struct theme *t = &s->app->theme;
	const size_t i = v->row[at];
	const int right = v->answers[1].row[i].right ? 1 : 0, width = getmaxx(w);
	char number[NUMBER_SIZE];
	struct json *row;
	int x = 9;

	if (answers_row(&v->answers[0], i, &row))
		return;
	theme_set(t, w, at == v->at ? ROLE_SELECTED : ROLE_TEXT);
	if (at == v->at)
		(void)mvwhline(w, y, 0, ' ' | A_REVERSE, width);
	number_count(number, (int64_t)i + 1);
	text_put_right(w, y, 1, 7, number);
	if (at != v->at)
		theme_set(t, w, right ? ROLE_SERIES_2 : ROLE_SERIES);
	text_put(w, y, x, NAME, v->run[right].name);
	if (at != v->at)
		theme_set(t, w, ROLE_TEXT);
	x += NAME + 1;
	text_put(w, y, x, 12, text_at(row, "label"));
	x += 13;
	text_printf(w, y, x, width - x - 1, "%.400s", text_at(row, "text_a"));
	theme_set(t, w, ROLE_TEXT);
	json_free(row);
}

/* The row under the cursor with all its words, and what either said. */
static void draw_whole(const struct screen *s, WINDOW *w, int y)
{
	const struct view *v = s->state;
	const int width = getmaxx(w) - 2;
	struct json *row, *other;

	if (answers_row(&v->answers[0], v->row[v->at], &row))
		return;
	if (answers_row(&v->answers[1], v->row[v->at], &other)) {
		json_free(row);
		return;
	}
	theme_set(&s->app->theme, w, ROLE_STRONG);
	text_printf(w, y, 1, width, "%.60s   %.40s: %.60s   %.40s: %.60s", text_at(row, "label"),
		    v->run[0].name, text_at(row, "predicted"), v->run[1].name,
		    text_at(other, "predicted"));
	theme_set(&s->app->theme, w, ROLE_TEXT);
	y += 1 + text_paragraph(w, y + 1, 1, width, WHOLE - 3, text_at(row, "text_a"));
	theme_set(&s->app->theme, w, ROLE_DIM);
	text_paragraph(w, y, 1, width, 2, text_at(row, "text_b"));
	theme_set(&s->app->theme, w, ROLE_TEXT);
	json_free(row);
	json_free(other);
}

static void draw_columns(const struct screen *s, WINDOW *w)
{
	theme_set(&s->app->theme, w, ROLE_DIM);
	text_put_right(w, 1, 1, 7, "row");
	text_put(w, 1, 9, NAME, "right is");
	text_put(w, 1, 9 + NAME + 1, 12, "label");
	text_put(w, 1, 9 + NAME + 14, 12, "text");
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

static void draw_title(const struct screen *s, WINDOW *w)
{
	static const char *const shown[] = { "either right", "the second right",
					     "the first right" };
	const struct view *v = s->state;
	char what[300], where[64], rows[NUMBER_SIZE];
	const double p = stats_mcnemar(v->only[1], v->only[0]);

	number_count(rows, (int64_t)v->answers[0].n);
	snprintf(what, sizeof(what), "only %.40s %lld, only %.40s %lld of %s  p %.*g",
		 v->run[0].name, (long long)v->only[0], v->run[1].name, (long long)v->only[1], rows,
		 p < 1e-4 ? 2 : 4, p);
	snprintf(where, sizeof(where), "%s", shown[v->filter]);
	app_title(s->app, w, what, where);
}

static void answers_draw(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	const size_t rows = rows_shown(s->app);

	if (!v->loaded) {
		app_title(s->app, w, "answers", "");
		theme_set(&s->app->theme, w, ROLE_BAD);
		text_paragraph(w, 2, 2, getmaxx(w) - 4, 6,
			       v->trouble[0] ? v->trouble : "there are no such runs");
		theme_set(&s->app->theme, w, ROLE_TEXT);
		return;
	}
	draw_title(s, w);
	draw_columns(s, w);
	if (!v->n)
		text_put(w, 2, 2, getmaxx(w) - 4, "There is no such row.");
	for (size_t i = 0; i < rows && v->from + i < v->n; i++)
		draw_row(s, w, 2 + (int)i, v->from + i);
	if (v->n)
		draw_whole(s, w, 2 + (int)rows + 1);
}

/* ---- keys ---- */

static const char *why_not_any(const struct screen *s)
{
	const struct view *v = s->state;

	return v->n ? NULL : "there is no row here";
}

static const char *why_not_loaded(const struct screen *s)
{
	const struct view *v = s->state;

	return v->loaded ? NULL : "there are no answers here";
}

static unsigned answers_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static unsigned move_to(struct screen *s, int64_t to)
{
	struct view *v = view_of(s);
	const int64_t last = (int64_t)v->n - 1;

	v->at = (size_t)(to < 0 || last < 0 ? 0 : to > last ? last : to);
	keep_window(s->app, v);
	return UI_DRAW;
}

static int64_t at(const struct screen *s) { return (int64_t)((const struct view *)s->state)->at; }

static int64_t page(const struct screen *s) { return (int64_t)rows_shown(s->app); }

static unsigned answers_down(struct screen *s) { return move_to(s, at(s) + 1); }
static unsigned answers_up(struct screen *s) { return move_to(s, at(s) - 1); }
static unsigned answers_page_down(struct screen *s) { return move_to(s, at(s) + page(s)); }
static unsigned answers_page_up(struct screen *s) { return move_to(s, at(s) - page(s)); }
static unsigned answers_first(struct screen *s) { return move_to(s, 0); }
static unsigned answers_last(struct screen *s) { return move_to(s, INT64_MAX); }

static unsigned answers_filter(struct screen *s)
{
	struct view *v = view_of(s);

	v->filter = (enum filter)((v->filter + 1) % FILTERS);
	if (list_rows(v))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE, { 0 }, "back", "go back to the comparison", answers_back, NULL, false },
	{ 'f',
	  { 0 },
	  "filter",
	  "rows that either gets right, the second, the first",
	  answers_filter,
	  why_not_loaded,
	  false },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", answers_down, why_not_any, false },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", answers_up, why_not_any, false },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { 6 },
	  "page down",
	  "go down by a page",
	  answers_page_down,
	  why_not_any,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE),
	  { 2 },
	  "page up",
	  "go up by a page",
	  answers_page_up,
	  why_not_any,
	  true },
	{ 'g',
	  { KEY_TERMINAL(KEY_HOME) },
	  "first",
	  "go to the first row",
	  answers_first,
	  why_not_any,
	  true },
	{ 'G',
	  { KEY_TERMINAL(KEY_END) },
	  "last",
	  "go to the last row",
	  answers_last,
	  why_not_any,
	  true },
	{ 0 }
};

const struct screen_ops screen_answers = {
	.name = "answers",
	.title = "Answers",
	.state_size = sizeof(struct view),
	.keys = keys,
	.open = answers_open,
	.poll = answers_poll,
	.draw = answers_draw,
	.close = answers_close,
};
