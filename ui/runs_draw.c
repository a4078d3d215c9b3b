/* Runs: the list as it is drawn. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "ui/runs.h"
#include "ui/widget/bar.h"
#include "ui/widget/table.h"
#include "ui/widget/text.h"

enum { CELL = 256, MARK = 0, ALL = COLUMNS_MAX + 1 }; /* column 0 is the mark of the state */

/* Columns that are more than a value, and how wide each kind is. */
static const struct {
	const char *key;
	struct table_column look;
} looks[] = {
	{ "id", { "id", 5, 14, false, 0 } },         { "name", { "name", 10, 48, false, 0 } },
	{ "method", { "method", 7, 12, false, 1 } }, { "params", { "train", 5, 12, true, 3 } },
	{ "step", { "step", 6, 23, true, 0 } },      { "best", { "best", 5, 17, true, 0 } },
	{ "curve", { "", 6, SPARK_MAX, false, 2 } }, { "state", { "state", 14, 120, false, 0 } },
};

static bool is(const char *key, const char *word) { return !strcmp(key, word); }

/* ---- what stands in a cell ---- */

static const char *state_mark(enum run_state state, bool unicode)
{
	static const char *const fine[] = { "○", "●", "=", " ", "■", "✗", "?" };
	static const char *const plain[] = { "o", "*", "=", " ", "-", "x", "?" };

	return unicode ? fine[state] : plain[state];
}

static enum role state_role(enum run_state state)
{
	static const enum role role[] = { ROLE_WAIT, ROLE_LIVE, ROLE_WAIT, ROLE_TEXT,
					  ROLE_WAIT, ROLE_BAD,  ROLE_BAD };

	return role[state];
}

static void mark_text(const struct runs_shown *s, bool unicode, char ret[CELL])
{
	if (!s->group)
		snprintf(ret, CELL, "%s", state_mark(s->run.state, unicode));
	else if (unicode)
		snprintf(ret, CELL, "%s", s->open ? "▾" : "▸");
	else
		snprintf(ret, CELL, "%s", s->open ? "v" : ">");
}

static void elapsed(const struct run *run, int64_t now, char *ret)
{
	const int64_t end = run->ended ? run->ended : run->state == RUN_LOST ? run->heartbeat : now;

	ret[0] = 0;
	if (run->started)
		number_duration(ret, end - run->started);
}

/* "3 running, 214 finished, ...": what there is none of goes unsaid. */
static void counts_text(const size_t count[RUN_STATES], const char *between, char *ret, size_t size)
{
	static const enum run_state state[] = { RUN_RUNNING, RUN_PAUSED, RUN_QUEUED, RUN_FINISHED,
						RUN_STOPPED, RUN_FAILED, RUN_LOST };
	size_t used = 0;

	ret[0] = 0;
	for (size_t i = 0; i < COUNT(state) && used < size; i++) {
		char n[NUMBER_SIZE];

		if (!count[state[i]])
			continue;
		number_count(n, (int64_t)count[state[i]]);
		used += (size_t)snprintf(ret + used, size - used, "%s%s %s", used ? between : "", n,
					 run_state_name((int)state[i]));
	}
}

/* What stands in the state column; shorter when that must do. */
static void state_text(const struct runs_shown *s, int64_t now, int width, char ret[CELL])
{
	const struct run *run = &s->run;
	const char *word = run_state_name((int)run->state);
	char time[NUMBER_SIZE], left[NUMBER_SIZE];

	if (s->group) {
		counts_text(s->count, ", ", ret, CELL);
		return;
	}
	elapsed(run, now, time);
	if (run->state == RUN_RUNNING && s->left_us >= 0) {
		number_duration(left, s->left_us);
		if (snprintf(ret, CELL, "%s %s left %s", word, time, left) > width &&
		    snprintf(ret, CELL, "%s left %s", time, left) > width)
			snprintf(ret, CELL, "run %s left", left);
	} else if (run->cause[0]) {
		snprintf(ret, CELL, "%s: %.200s", word, run->cause);
	} else if (run->state == RUN_LOST) {
		snprintf(ret, CELL, "%s after %s", word, time);
	} else {
		snprintf(ret, CELL, "%s %s", word, time);
	}
}

static void step_text(const struct run *run, char ret[CELL])
{
	char done[NUMBER_SIZE], all[NUMBER_SIZE];

	number_count(done, run->step);
	number_count(all, run->total_steps);
	if (run->total_steps > 0 && run->state != RUN_FINISHED)
		snprintf(ret, CELL, "%s/%s", done, all);
	else
		snprintf(ret, CELL, "%s", done);
}

static void params_text(const struct run *run, bool various, char ret[CELL])
{
	const double percent = run->total_params > 0 && run->trainable_params >= 0
				       ? 100.0 * (double)run->trainable_params /
						 (double)run->total_params
				       : NAN;

	if (various)
		snprintf(ret, CELL, "(various)");
	else if (isnan(percent))
		snprintf(ret, CELL, "-");
	else if (percent > 0 && percent < 0.005)
		snprintf(ret, CELL, "<0.01%%");
	else
		snprintf(ret, CELL,
			 percent < 9.995   ? "%.2f%%"
			 : percent < 99.95 ? "%.1f%%"
					   : "%.0f%%",
			 percent);
}

/* Measured values in few digits; settings and counts as they are. */
static void number_text(const struct app *app, double v, bool measured, char ret[NUMBER_SIZE])
{
	if (measured)
		number_value(ret, v, app->cols >= 100 ? 6 : 5);
	else if (v == floor(v) && fabs(v) < 1e15)
		number_count(ret, (int64_t)v);
	else
		snprintf(ret, NUMBER_SIZE, "%.6g", v);
}

/* "0.865±0.004", and of how many when some of the group have none. */
static void mean_text(const struct app *app, const struct runs_cell *c, size_t group,
		      char ret[CELL])
{
	char mean[NUMBER_SIZE], deviation[NUMBER_SIZE], n[NUMBER_SIZE] = "";

	number_text(app, c->low, true, mean);
	number_text(app, c->high, true, deviation);
	if (isnan(c->low)) {
		snprintf(ret, CELL, "%s", mean);
		return;
	}
	if (c->n < group)
		snprintf(n, sizeof(n), " (%zu)", c->n);
	snprintf(ret, CELL, "%s%s%s%s", mean, app->theme.unicode ? "±" : "+-", deviation, n);
}

static void value_text(const struct app *app, const struct runs_cell *c, bool measured,
		       size_t group, char ret[CELL])
{
	char low[NUMBER_SIZE], high[NUMBER_SIZE];

	switch (c->kind) {
	case CELL_NONE: snprintf(ret, CELL, "-"); break;
	case CELL_TEXT: snprintf(ret, CELL, "%s", c->text); break;
	case CELL_VARIOUS: snprintf(ret, CELL, "(various)"); break;
	case CELL_MEAN: mean_text(app, c, group, ret); break;
	case CELL_SPAN:
		number_duration(low, (int64_t)fmin(c->low, 9e15));
		snprintf(ret, CELL, "%s", low);
		break;
	case CELL_NUMBER:
		number_text(app, c->low, measured, low);
		snprintf(ret, CELL, "%s", low);
		break;
	case CELL_RANGE:
		number_text(app, c->low, measured, low);
		number_text(app, c->high, measured, high);
		snprintf(ret, CELL, "%s..%s", low, high);
		break;
	}
}

/* A group is called by what its runs have in common. */
static void name_text(const struct app *app, const struct runs_shown *s, char ret[CELL])
{
	char label[CELL];

	if (!s->group) {
		snprintf(ret, CELL, "%s%.250s", s->inner ? "  " : "", s->run.name);
		return;
	}
	if (!strcmp(app->columns.group, RUN_GROUP_SEED))
		snprintf(label, sizeof(label), "%.200s", s->run.name);
	else
		value_text(app, &s->label, false, 0, label);
	snprintf(ret, CELL, "%zu%s %.200s", s->group, app->theme.unicode ? "×" : "x", label);
}

static bool is_measured(const char *key) { return strchr(key, '/') || is(key, "best"); }

static void cell_text(const struct screen *screen, const struct runs_shown *s, int column,
		      int width, char ret[CELL])
{
	const struct runs *r = screen->state;
	const struct app *app = screen->app;
	const char *key = column ? app->columns.key[column - 1] : "";
	const struct runs_cell *c = column ? &s->cell[column - 1] : NULL;

	ret[0] = 0;
	if (!c)
		mark_text(s, app->theme.unicode, ret);
	else if (is(key, "id"))
		snprintf(ret, CELL, "%.*s", s->group ? 0 : r->id_width, s->run.id);
	else if (is(key, "name"))
		name_text(app, s, ret);
	else if (is(key, "params"))
		params_text(&s->run, c->kind == CELL_RANGE, ret);
	else if (is(key, "step") && !s->group)
		step_text(&s->run, ret);
	else if (is(key, "state"))
		state_text(s, r->now, width, ret);
	else if (!is(key, "curve"))
		value_text(app, c, is_measured(key), s->group, ret);
}

/* ---- columns ---- */

/* What all shown runs are judged by, or "best" when they differ. */
static const char *best_title(const struct runs *r)
{
	const char *key = NULL;

	for (size_t i = 0; i < r->shown_n; i++) {
		const char *k = r->shown[i].run.metric_key;

		if (!k || !*k)
			continue;
		if (key && strcmp(key, k) != 0)
			return "best";
		key = k;
	}
	if (!key)
		return "best";
	return strncmp(key, "eval/", 5) ? key : key + 5;
}

/* The end of a path, unless another column ends in the same. */
static const char *short_title(const struct columns *c, const char *key)
{
	const char *slash = strrchr(key, '/'), *dot = strrchr(key, '.');
	const char *end = slash ? slash + 1 : dot ? dot + 1 : key;

	for (size_t i = 0; i < c->n; i++) {
		const size_t n = strlen(c->key[i]), m = strlen(end);

		if (strcmp(c->key[i], key) != 0 && n >= m && is(c->key[i] + n - m, end))
			return key;
	}
	return end;
}

/* Is the list sorted by this column, and which way round? */
static bool is_sorted(const struct columns *c, int column, bool *ret_turned)
{
	const char *by = column ? columns_sort(c->key[column - 1]) : NULL;

	*ret_turned = c->sort[0] == '-';
	return by && is(by, c->sort + *ret_turned);
}

static void title_text(const struct screen *s, int column, char ret[CELL])
{
	const struct columns *c = &s->app->columns;
	const char *key = column ? c->key[column - 1] : "", *title = short_title(c, key);
	bool turned;

	for (size_t i = 0; i < COUNT(looks); i++)
		if (is(key, looks[i].key))
			title = looks[i].look.title;
	if (is(key, "best"))
		title = best_title(s->state);
	if (!is_sorted(c, column, &turned))
		snprintf(ret, CELL, "%.200s", column ? title : "");
	else if (s->app->theme.unicode)
		snprintf(ret, CELL, "%.200s%s", title, turned ? "▴" : "▾");
	else
		snprintf(ret, CELL, "%.200s%s", title, turned ? "^" : "v");
}

static bool is_number(const struct runs *r, int column)
{
	for (size_t i = 0; i < r->shown_n; i++) {
		const int kind = r->shown[i].cell[column - 1].kind;

		if (r->shown[i].run.row && (kind == CELL_TEXT || kind == CELL_VARIOUS))
			return false;
	}
	return true;
}

static struct table_column look_of(const struct screen *s, int column)
{
	static const struct table_column mark = { "", 1, 1, false, 0 };
	const char *key = column ? s->app->columns.key[column - 1] : "";

	if (!column)
		return mark;
	for (size_t i = 0; i < COUNT(looks); i++)
		if (is(key, looks[i].key))
			return looks[i].look;
	if (is(key, "train/loss"))
		return (struct table_column){ key, 5, 17, true, 1 };
	return is_number(s->state, column) ? (struct table_column){ key, 3, 24, true, 1 }
					   : (struct table_column){ key, 5, 32, false, 1 };
}

struct grid {
	int n, width[ALL];
	struct table_column column[ALL];
};

static int wish_of(const struct screen *s, int column)
{
	const struct runs *r = s->state;
	char text[CELL];
	int wish;

	title_text(s, column, text);
	wish = text_width(text);
	if (column && is(s->app->columns.key[column - 1], "best") && s->app->cols < 100)
		wish = 0; /* its title may be cut */
	for (size_t i = 0; i < r->shown_n; i++) {
		int wide;

		if (!r->shown[i].run.row)
			continue;
		cell_text(s, &r->shown[i], column, CELL, text);
		wide = text_width(text);
		wish = wide > wish ? wide : wish;
	}
	if (column && is(s->app->columns.key[column - 1], "curve"))
		wish = (int)runs_spark_width(s->app);
	return wish;
}

static void layout(const struct screen *s, int width, struct grid *ret)
{
	int wish[ALL];

	ret->n = (int)s->app->columns.n + 1;
	for (int c = 0; c < ret->n; c++) {
		ret->column[c] = look_of(s, c);
		wish[c] = wish_of(s, c);
	}
	table_layout(ret->column, (size_t)ret->n, wish, width - 2, ret->width);
}

/* ---- the picture ---- */

static void put(WINDOW *w, int y, int x, int width, bool right, const char *text)
{
	if (right)
		text_put_right(w, y, x, width, text);
	else
		text_put(w, y, x, width, text);
}

static void draw_titles(const struct screen *s, WINDOW *w, int y, const struct grid *g)
{
	int x = 1;

	for (int c = 0; c < g->n; c++) {
		char title[CELL];
		bool turned;

		if (!g->width[c])
			continue;
		title_text(s, c, title);
		theme_set(&s->app->theme, w,
			  is_sorted(&s->app->columns, c, &turned) ? ROLE_STRONG : ROLE_DIM);
		put(w, y, x, g->width[c], g->column[c].number, title);
		x += g->width[c] + TABLE_GAP;
	}
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

static bool is_marked(const struct screen *s, size_t at)
{
	const struct runs *r = s->state;
	const struct runs_line *l = &r->line[at];

	for (size_t i = 0; i < l->n; i++)
		if (!marks_has(&s->app->marks, r->place[l->place + i].row))
			return false;
	return true;
}

static enum role cell_role(const struct runs_shown *s, const char *key, int column)
{
	if (s->group)
		return column && !is(key, "name") ? ROLE_TEXT : ROLE_STRONG;
	return !column || is(key, "state") ? state_role(s->run.state) : ROLE_TEXT;
}

static void draw_row(const struct screen *s, WINDOW *w, int y, const struct grid *g, size_t at)
{
	const struct runs *r = s->state;
	const struct runs_shown *row = &r->shown[at - r->from];
	const struct theme *t = &s->app->theme;
	const bool selected = at == r->at;
	int x = 1;

	if (selected) {
		theme_set(t, w, ROLE_SELECTED);
		(void)mvwhline(w, y, 0, ' ' | A_REVERSE, getmaxx(w));
	}
	if (is_marked(s, at))
		text_put(w, y, 0, 1, t->unicode ? "✓" : "+");
	for (int c = 0; c < g->n; c++) {
		const char *key = c ? s->app->columns.key[c - 1] : "";
		char text[CELL];

		if (!g->width[c])
			continue;
		cell_text(s, row, c, g->width[c], text);
		if (!selected)
			theme_set(t, w, cell_role(row, key, c));
		if (is(key, "curve") && !row->group)
			spark_draw(w, y, x, g->width[c], row->spark, row->spark_n, t);
		else
			put(w, y, x, g->width[c], g->column[c].number, text);
		if (is(key, "curve") && selected)
			theme_set(t, w, ROLE_SELECTED);
		x += g->width[c] + TABLE_GAP;
	}
	theme_set(t, w, ROLE_TEXT);
}

static void draw_title(const struct screen *s, WINDOW *w)
{
	const struct runs *r = s->state;
	char what[320], where[128], marked[64] = "";

	counts_text(r->count, s->app->theme.unicode ? " · " : ", ", what, sizeof(what));
	if (s->app->marks.n)
		snprintf(marked, sizeof(marked), "%zu marked   ", s->app->marks.n);
	snprintf(where, sizeof(where), "%s%zu of %zu", marked, r->lines ? r->at + 1 : 0, r->lines);
	app_title(s->app, w, what, where);
}

/* What the list leaves out or puts together. */
static void draw_filter(const struct screen *s, WINDOW *w, int y)
{
	const struct runs *r = s->state;
	const char *group = s->app->columns.group;
	char of[64] = "";

	if (r->filter[0])
		snprintf(of, sizeof(of), "   %zu of %zu", r->n, r->total);
	text_printf(w, y, 1, getmaxx(w) - 2, "%s %s%s%s%s%s%.300s%s",
		    s->app->theme.unicode ? "▸" : ">", group[0] ? "grouped by " : "", group,
		    group[0] && r->filter[0] ? "   " : "", r->filter[0] ? "filter:" : "",
		    r->filter[0] ? " " : "", r->filter, of);
}

/* Nothing to list: why, and what to do about it. */
static void draw_empty(const struct screen *s, WINDOW *w, int y)
{
	const struct runs *r = s->state;
	const int width = getmaxx(w) - 4;

	if (s->app->trouble[0] || r->trouble[0]) {
		theme_set(&s->app->theme, w, ROLE_BAD);
		text_paragraph(w, y, 2, width, 6,
			       s->app->trouble[0] ? s->app->trouble : r->trouble);
	} else if (r->filter[0]) {
		text_put(w, y, 2, width,
			 "No run fits the filter. f changes it, esc takes it away.");
	} else {
		text_put(w, y, 2, width,
			 "There are no runs yet. t starts the first, as if you typed:");
		theme_set(&s->app->theme, w, ROLE_STRONG);
		text_put(w, y + 2, 6, width, "trimtab run mr-lora");
		theme_set(&s->app->theme, w, ROLE_TEXT);
		text_put(w, y + 4, 2, width,
			 "It shows up here by itself. `trimtab recipes` lists other recipes.");
		if (r->trashed)
			text_put(w, y + 6, 2, width,
				 "u brings back the run that was deleted last.");
	}
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

void runs_draw(const struct screen *s, WINDOW *w)
{
	const struct runs *r = s->state;
	struct grid g;
	int y = 1;

	draw_title(s, w);
	if (r->filter[0] || s->app->columns.group[0])
		draw_filter(s, w, y++);
	if (!r->lines) {
		draw_empty(s, w, y + 1);
		return;
	}
	layout(s, getmaxx(w), &g);
	draw_titles(s, w, y++, &g);
	for (size_t i = 0; i < r->shown_n && y < getmaxy(w); i++, y++)
		if (r->shown[i].run.row)
			draw_row(s, w, y, &g, r->from + i);
}
