/*
 * Compare: the marked runs side by side. Above, their curves on one axis, or
 * quality against cost; below, a table of results, tests and the settings that
 * differ. Columns, differences and tests are those of ui/compare.c; here is
 * only what is shown of them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "ui/app.h"
#include "ui/compare_table.h"
#include "ui/export.h"
#include "ui/keymap.h"
#include "ui/overlay.h"
#include "ui/pareto.h"
#include "ui/plot_file.h"
#include "ui/sheet.h"
#include "ui/widget/scatter.h"
#include "ui/widget/text.h"

enum { BUCKETS_MAX = 2048, CHART_LEAST = 7 };

enum pane { BOTH, ABOVE, BELOW, PANES };

static const double decays[] = { 0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999 };

/* What a run costs. */
static const struct {
	const char *title;
	bool log;
} costs[] = { { "trainable parameters", true }, { "peak memory", false }, { "seconds", false } };

struct view {
	struct compare *c;
	struct compare_columns columns;
	struct compare_table table;
	const char **key; /* metrics of the table */
	size_t key_n;
	char shown[METRIC_KEY_MAX + 1]; /* the one above; "": that of the baseline */
	struct overlay *over;
	struct sheet sheet;
	enum pane pane;
	bool loaded, unfold, pareto, log_axis, more;
	int cost, smoothing;
	int chart_rows, laid_rows, laid_cols, laid_sx; /* what the buckets were read for */
	char path[256];                                /* a file that is there already */
	char trouble[512];
};

static struct view *view_of(struct screen *s) { return s->state; }

/* ---- reading ---- */

static int load_runs(struct app *app, struct view *v)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < app->marks.n; i++) {
		struct run run;

		code = run_get_row(app->store, app->marks.row[i], &run);
		if (!code)
			code = compare_add(v->c, app->store, &run);
		else if (code == TT_NOTFOUND) /* deleted for good after it was marked */
			code = TT_OK;
	}
	v->loaded = !code;
	return code;
}

/* The metric above: what the baseline is judged by, unless a person chose. */
static void choose_metric(struct view *v)
{
	const char *judged = v->c->n ? v->c->run[0].run.metric_key : "";

	if (v->shown[0] && compare_has(v->c, v->shown))
		return;
	if (!compare_has(v->c, judged))
		judged = v->key_n ? v->key[0] : "";
	snprintf(v->shown, sizeof(v->shown), "%.*s", METRIC_KEY_MAX, judged);
}

static int make_table(const struct app *app, struct view *v)
{
	struct compare_view what = { .columns = &v->columns, .ascii = !app->theme.unicode };
	struct compare_table table = { .n = 0 };
	const char **key;
	size_t n;
	int code = compare_keys(v->c, &key, &n);

	if (code)
		return code;
	if (v->unfold)
		compare_columns(v->c, false, &v->columns);
	else
		compare_columns_best(v->c, &v->columns);
	what.key = key;
	what.key_n = n;
	code = compare_table(v->c, &what, &table);
	compare_table_done(&v->table);
	free(v->key);
	v->table = table;
	v->key = key;
	v->key_n = n;
	choose_metric(v);
	sheet_scroll(&v->sheet, app->cols);
	return code;
}

static int read_curves(struct app *app, struct view *v)
{
	const size_t n = plot_buckets(app->cols, &app->theme);

	if (!v->shown[0] || !v->chart_rows)
		return TT_OK;
	return overlay_read(v->over, app->store, v->c, v->shown, n < BUCKETS_MAX ? n : BUCKETS_MAX);
}

static int smooth_curves(struct app *app, struct view *v)
{
	int code;

	v->more = false;
	if (!v->smoothing || !v->shown[0] || !v->chart_rows)
		return TT_OK;
	code = overlay_smooth(v->over, app->store, v->c, v->shown, decays[v->smoothing], &v->more);
	app->busy |= v->more;
	return code;
}

static void lay_out(const struct app *app, struct view *v)
{
	const int rows = app->rows - 1, half = rows * 2 / 5;

	v->chart_rows = v->pane == ABOVE ? rows : v->pane == BELOW ? 0 : half;
	if (v->chart_rows < CHART_LEAST)
		v->chart_rows = v->pane == BELOW ? 0 : CHART_LEAST;
	v->sheet.table = &v->table;
	v->sheet.y = 1 + v->chart_rows;
	v->sheet.rows = rows - v->chart_rows - 1; /* one for messages, and for what a cell cuts */
	sheet_scroll(&v->sheet, app->cols);
}

/* Did the window, or what is drawn in it, change so that other buckets are due? */
static bool laid_anew(const struct app *app, struct view *v)
{
	const int sx = (int)plot_buckets(100, &app->theme);
	const bool same = v->laid_rows == app->rows && v->laid_cols == app->cols &&
			  v->laid_sx == sx;

	v->laid_rows = app->rows;
	v->laid_cols = app->cols;
	v->laid_sx = sx;
	return !same;
}

static bool compare_poll(struct screen *s)
{
	struct app *app = s->app;
	struct view *v = view_of(s);
	const bool anew = laid_anew(app, v), again = app->changed || anew || !v->loaded;
	const bool smooth = v->more;
	int code = TT_OK;

	if (!app->store || app->marks.n < 2)
		return false;
	lay_out(app, v);
	if (!v->loaded)
		code = load_runs(app, v);
	else if (app->changed)
		code = compare_refresh(v->c, app->store);
	if (!code && again)
		code = make_table(app, v);
	if (!code && again)
		code = read_curves(app, v);
	if (!code && (again || smooth))
		code = smooth_curves(app, v);
	if (again || code)
		snprintf(v->trouble, sizeof(v->trouble), "%s", code ? err_text() : v->c->trouble);
	return again || smooth;
}

static int compare_open(struct screen *s, const char *arg)
{
	struct view *v = view_of(s);

	(void)arg;
	v->c = calloc(1, sizeof(*v->c));
	v->over = calloc(1, sizeof(*v->over));
	v->sheet = (struct sheet){ .line = 1, .column = 1, .table = &v->table };
	return v->c && v->over ? TT_OK : err_set(TT_NOMEM, "not enough memory to compare runs");
}

static void compare_close(struct screen *s)
{
	struct view *v = view_of(s);

	if (v->c)
		compare_done(v->c);
	if (v->over)
		overlay_done(v->over);
	compare_table_done(&v->table);
	free(v->key);
	free(v->c);
	free(v->over);
}

/* ---- drawing ---- */

static const char *column_name(const struct view *v, size_t i)
{
	return v->table.n ? v->table.line[0].cell[i].text : "";
}

static void draw_curves(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	struct plot_series series[COMPARE_RUNS];
	const char *label[COMPARE_RUNS];
	struct plot p = { .y = 1,
			  .rows = v->chart_rows,
			  .cols = getmaxx(w),
			  .title = v->shown,
			  .brief = v->shown,
			  .series = series,
			  .first_on_top = true,
			  .lo = v->over->lo,
			  .hi = v->over->hi,
			  .log = v->log_axis,
			  .cursor = -1 };

	for (size_t i = 0; i < v->columns.n; i++)
		label[i] = column_name(v, i);
	if (!v->over->n || v->over->n != plot_buckets(getmaxx(w), &s->app->theme))
		return;
	p.n = overlay_series(v->over, &v->columns, label, v->smoothing > 0, series);
	plot_draw(w, &p, &s->app->theme);
}

static double seconds(const struct run *r)
{
	return r->started && r->ended ? (double)(r->ended - r->started) * 1e-6 : NAN;
}

static double cost_of(const struct compare *c, size_t run, int cost)
{
	const struct compare_run *r = &c->run[run];

	if (cost == 0)
		return r->run.trainable_params > 0 ? (double)r->run.trainable_params : NAN;
	if (cost == 2)
		return seconds(&r->run);
	for (size_t i = 0; i < r->last_n; i++)
		if (!strcmp(r->last[i].key, "system/rss_bytes"))
			return r->last[i].max;
	return NAN;
}

/* A column of several stands at their means. */
static struct pareto pareto_of(const struct view *v, size_t column)
{
	const struct compare_columns *k = &v->columns;
	double sum = 0;

	for (size_t i = k->at[column]; i < k->at[column + 1]; i++)
		sum += cost_of(v->c, k->run[i], v->cost);
	return (struct pareto){
		.cost = sum / (double)compare_column_size(k, column),
		.quality = compare_spread(v->c, k, column, compare_last, v->shown).mean,
	};
}

static void draw_pareto(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	struct pareto p[COMPARE_RUNS];
	struct scatter_point point[COMPARE_RUNS];
	char title[METRIC_KEY_MAX + 80];
	const struct scatter scatter = { .y = 1,
					 .rows = v->chart_rows,
					 .cols = getmaxx(w),
					 .title = title,
					 .across = costs[v->cost].title,
					 .point = point,
					 .n = v->columns.n,
					 .log = costs[v->cost].log };

	for (size_t i = 0; i < v->columns.n; i++)
		p[i] = pareto_of(v, i);
	pareto_front(p, v->columns.n, compare_less_is_better(v->c, v->shown));
	for (size_t i = 0; i < v->columns.n; i++)
		point[i] = (struct scatter_point){
			.x = p[i].cost,
			.y = p[i].quality,
			.name = column_name(v, i),
			.letter = p[i].front ? plot_letter(i) : '.',
			.role = p[i].front ? (enum role)(ROLE_SERIES + (int)(i % PLOT_LOOKS))
					   : ROLE_DIM,
			.strong = p[i].front,
		};
	snprintf(title, sizeof(title), "%s by %s; a dot is beaten in both", v->shown,
		 costs[v->cost].title);
	scatter_draw(w, &scatter, &s->app->theme);
}

static void draw_title(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	char what[400], where[64] = "";

	if (v->c->n == v->columns.n)
		snprintf(what, sizeof(what), "%zu runs against %.300s", v->c->n, column_name(v, 0));
	else
		snprintf(what, sizeof(what), "%zu runs in %zu columns, against %.300s", v->c->n,
			 v->columns.n, column_name(v, 0));
	if (v->smoothing && !v->pareto)
		snprintf(where, sizeof(where), "smoothed %.3g", decays[v->smoothing]);
	app_title(s->app, w, what, where);
}

/* The whole of a cell that has no room, in the last line. */
static void draw_whole(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	const struct compare_line *l = &v->table.line[v->sheet.line];

	if (!sheet_cuts(&v->sheet, getmaxx(w)))
		return;
	theme_set(&s->app->theme, w, ROLE_STRONG);
	text_printf(w, getmaxy(w) - 1, 1, getmaxx(w) - 2, "%s: %.400s", l->label,
		    l->cell[v->sheet.column].text);
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

static void draw_nothing(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;

	app_title(s->app, w, "compare", "");
	text_paragraph(w, 2, 2, getmaxx(w) - 4, 6,
		       v->trouble[0]
			       ? v->trouble
			       : "There is nothing to compare. Go back to the list of runs, mark "
				 "two or more with space, and press c.");
}

static void compare_draw(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;

	if (!v->loaded || !v->table.n) {
		draw_nothing(s, w);
		return;
	}
	draw_title(s, w);
	if (v->chart_rows && v->pareto)
		draw_pareto(s, w);
	else if (v->chart_rows)
		draw_curves(s, w);
	sheet_draw(w, &v->sheet, &s->app->theme);
	if (v->trouble[0]) {
		theme_set(&s->app->theme, w, ROLE_BAD);
		text_put(w, getmaxy(w) - 1, 1, getmaxx(w) - 2, v->trouble);
		theme_set(&s->app->theme, w, ROLE_TEXT);
	} else {
		draw_whole(s, w);
	}
}

/* ---- keys ---- */

static const char *why_not_any(const struct screen *s)
{
	const struct view *v = s->state;

	return v->loaded && v->table.n ? NULL : "there is nothing to compare yet";
}

static unsigned compare_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static unsigned move_to(struct screen *s, size_t line, size_t column)
{
	struct view *v = view_of(s);

	v->sheet.line = line;
	v->sheet.column = column;
	sheet_scroll(&v->sheet, s->app->cols);
	return UI_DRAW;
}

static size_t line_of(const struct screen *s)
{
	return ((const struct view *)s->state)->sheet.line;
}
static size_t column_of(const struct screen *s)
{
	return ((const struct view *)s->state)->sheet.column;
}

static unsigned compare_down(struct screen *s) { return move_to(s, line_of(s) + 1, column_of(s)); }
static unsigned compare_up(struct screen *s)
{
	return move_to(s, line_of(s) > 1 ? line_of(s) - 1 : 1, column_of(s));
}
static unsigned compare_right(struct screen *s) { return move_to(s, line_of(s), column_of(s) + 1); }
static unsigned compare_left(struct screen *s)
{
	return move_to(s, line_of(s), column_of(s) ? column_of(s) - 1 : 0);
}
static unsigned compare_top(struct screen *s) { return move_to(s, 1, column_of(s)); }
static unsigned compare_end(struct screen *s) { return move_to(s, SIZE_MAX, column_of(s)); }

/* Does a cell of a setting or a fact differ from the baseline's, or, in the baseline's own column, from any? */
static bool differs(const struct view *v, size_t line, size_t column)
{
	const struct compare_line *l = &v->table.line[line];

	if (l->kind == COMPARE_METRIC || l->kind == COMPARE_TEST || !strcmp(l->label, "id"))
		return false;
	return column ? l->cell[column].differs : l->differs;
}

static unsigned nothing_more(struct screen *s, const char *where)
{
	app_complain(s->app, "nothing else differs %s", where);
	return UI_DRAW;
}

static unsigned seek_line(struct screen *s, int by)
{
	const struct view *v = s->state;

	for (size_t l = v->sheet.line + (size_t)by; l >= 1 && l < v->table.n; l += (size_t)by)
		if (differs(v, l, v->sheet.column))
			return move_to(s, l, v->sheet.column);
	return nothing_more(s, by > 0 ? "below" : "above");
}

static unsigned seek_column(struct screen *s, int by)
{
	const struct view *v = s->state;

	for (size_t c = v->sheet.column + (size_t)by; c >= 1 && c < v->table.columns;
	     c += (size_t)by)
		if (v->table.line[v->sheet.line].cell[c].differs)
			return move_to(s, v->sheet.line, c);
	return nothing_more(s, by > 0 ? "to the right" : "to the left");
}

static unsigned compare_next_line(struct screen *s) { return seek_line(s, 1); }
static unsigned compare_previous_line(struct screen *s) { return seek_line(s, -1); }
static unsigned compare_next_column(struct screen *s) { return seek_column(s, 1); }
static unsigned compare_previous_column(struct screen *s) { return seek_column(s, -1); }

static const struct compare_run *selected(const struct screen *s)
{
	const struct view *v = s->state;

	return &v->c->run[v->columns.run[v->columns.at[v->sheet.column]]];
}

static unsigned compare_enter(struct screen *s)
{
	if (app_open(s->app, "run", selected(s)->run.id))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static unsigned compare_baseline(struct screen *s)
{
	struct view *v = view_of(s);

	compare_pin(v->c, &v->columns, v->sheet.column);
	overlay_forget(v->over);
	v->sheet.column = 0;
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_baseline(const struct screen *s)
{
	if (why_not_any(s))
		return why_not_any(s);
	return column_of(s) ? NULL : "this column is the baseline";
}

static unsigned compare_metric(struct screen *s)
{
	struct view *v = view_of(s);
	size_t at = 0;

	while (at < v->key_n && strcmp(v->key[at], v->shown) != 0)
		at++;
	snprintf(v->shown, sizeof(v->shown), "%.*s", METRIC_KEY_MAX,
		 v->key[at + 1 < v->key_n ? at + 1 : 0]);
	overlay_forget(v->over);
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_metric(const struct screen *s)
{
	const struct view *v = s->state;

	if (why_not_any(s))
		return why_not_any(s);
	return v->key_n > 1 ? NULL : "the runs have no other metric";
}

static unsigned compare_fold(struct screen *s)
{
	struct view *v = view_of(s);

	v->unfold = !v->unfold;
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_fold(const struct screen *s)
{
	const struct view *v = s->state;
	struct compare_columns k;

	if (why_not_any(s))
		return why_not_any(s);
	compare_columns_best(v->c, &k);
	return k.n < v->c->n ? NULL : "no two of the runs differ in their seed alone";
}

static unsigned compare_panes(struct screen *s)
{
	struct view *v = view_of(s);

	v->pane = (enum pane)((v->pane + 1) % PANES);
	return UI_DRAW | UI_RELOAD;
}

static unsigned compare_pareto(struct screen *s)
{
	struct view *v = view_of(s);

	v->pareto = !v->pareto;
	v->pane = v->pane == BELOW ? BOTH : v->pane;
	return UI_DRAW | UI_RELOAD;
}

static unsigned compare_cost(struct screen *s)
{
	struct view *v = view_of(s);

	v->cost = (v->cost + 1) % (int)COUNT(costs);
	return UI_DRAW;
}

static const char *why_not_cost(const struct screen *s)
{
	const struct view *v = s->state;

	return v->pareto ? NULL : "curves are over steps; with P the level axis is a cost";
}

static unsigned compare_log_axis(struct screen *s)
{
	view_of(s)->log_axis = !view_of(s)->log_axis;
	return UI_DRAW;
}

static const char *why_not_curves(const struct screen *s)
{
	const struct view *v = s->state;

	if (why_not_any(s))
		return why_not_any(s);
	return v->pareto || !v->chart_rows ? "no curves are shown; P and v bring them back" : NULL;
}

static unsigned smooth_by(struct screen *s, int by)
{
	struct view *v = view_of(s);
	const int to = by ? v->smoothing + by : 0;

	v->smoothing = to < 0 ? 0 : to < (int)COUNT(decays) ? to : (int)COUNT(decays) - 1;
	return UI_DRAW | UI_RELOAD;
}

static unsigned compare_smoother(struct screen *s) { return smooth_by(s, 1); }
static unsigned compare_rougher(struct screen *s) { return smooth_by(s, -1); }
static unsigned compare_raw(struct screen *s) { return smooth_by(s, 0); }

static const char *why_not_rougher(const struct screen *s)
{
	const struct view *v = s->state;

	return v->smoothing ? why_not_curves(s) : "nothing is smoothed";
}

/* ---- as a file ---- */

/* The curves that are drawn, of every run. */
static int write_curves(struct screen *s)
{
	const struct view *v = s->state;
	const char *const key[] = { v->shown };
	const struct run *run[COMPARE_RUNS];
	const struct plot_file how = { v->path, key, 1, v->log_axis };

	for (size_t i = 0; i < v->c->n; i++)
		run[i] = &v->c->run[i].run;
	return plot_file_write(s->app->store, run, v->c->n, &how);
}

static unsigned write_it(struct screen *s, const char *text)
{
	const struct view *v = s->state;

	(void)text;
	if (plot_file_knows(v->path))
		return export_say(s, write_curves(s), "the curves are in", v->path);
	return export_say(s, compare_table_write(&v->table, v->path), "the table is in", v->path);
}

static unsigned write_to(struct screen *s, const char *text)
{
	return why_not_any(s) ? UI_DRAW : export_to(s, text, view_of(s)->path, write_it);
}

static unsigned compare_export(struct screen *s)
{
	prompt_line(&s->app->prompt,
		    "write to (table .md .csv .tex, curves .svg .png):", "compare.md", write_to);
	return UI_DRAW;
}

/* ---- row by row ---- */

static unsigned compare_rows_screen(struct screen *s)
{
	const struct view *v = s->state;
	char arg[2 * RUN_ID_SIZE + 1];

	snprintf(arg, sizeof(arg), "%s %s", v->c->run[v->columns.run[0]].run.id,
		 selected(s)->run.id);
	if (app_open(s->app, "answers", arg))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static const char *why_not_rows(const struct screen *s)
{
	const struct view *v = s->state;

	if (why_not_baseline(s))
		return why_not_baseline(s);
	if (!selected(s)->answers.n || !v->c->run[v->columns.run[0]].answers.n)
		return "a run keeps its answers when it ends, and one of the two has none";
	return answers_same_rows(&v->c->run[v->columns.run[0]].answers, &selected(s)->answers)
		       ? NULL
		       : "the two answered other rows";
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE, { 0 }, "back", "go back to the list", compare_back, NULL, false },
	{ 'm', { 0 }, "metric", "draw the next metric", compare_metric, why_not_metric, false },
	{ 'b',
	  { 0 },
	  "baseline",
	  "measure all against the column under the cursor",
	  compare_baseline,
	  why_not_baseline,
	  false },
	{ 'D',
	  { 0 },
	  "rows",
	  "rows that either this run or the baseline gets right",
	  compare_rows_screen,
	  why_not_rows,
	  false },
	{ 'P',
	  { 0 },
	  "Pareto",
	  "quality against cost, or curves",
	  compare_pareto,
	  why_not_any,
	  false },
	{ 'w',
	  { 0 },
	  "write",
	  "write the table or the curves to a file",
	  compare_export,
	  why_not_any,
	  false },
	{ ']',
	  { 0 },
	  "next",
	  "go down to the next line that differs in this column",
	  compare_next_line,
	  why_not_any,
	  false },
	{ '[',
	  { 0 },
	  "previous",
	  "go up to the line before that differs",
	  compare_previous_line,
	  why_not_any,
	  true },
	{ '}',
	  { 0 },
	  "next column",
	  "go right to the next column that differs in this line",
	  compare_next_column,
	  why_not_any,
	  true },
	{ '{',
	  { 0 },
	  "previous column",
	  "go left to the column before that differs",
	  compare_previous_column,
	  why_not_any,
	  true },
	{ 'a',
	  { 0 },
	  "all",
	  "every run by itself, or seeds folded",
	  compare_fold,
	  why_not_fold,
	  false },
	{ 'v',
	  { 0 },
	  "panes",
	  "chart alone, table alone, both",
	  compare_panes,
	  why_not_any,
	  false },
	{ KEY_RETURN,
	  { '\n', KEY_TERMINAL(KEY_ENTER) },
	  "open",
	  "open the run under the cursor",
	  compare_enter,
	  why_not_any,
	  true },
	{ 'x',
	  { 0 },
	  "cost",
	  "with P: parameters, memory, time",
	  compare_cost,
	  why_not_cost,
	  true },
	{ '+', { 0 }, "smooth", "smooth more", compare_smoother, why_not_curves, true },
	{ '-', { 0 }, "less", "smooth less", compare_rougher, why_not_rougher, true },
	{ '0', { 0 }, "raw", "smooth nothing", compare_raw, why_not_rougher, true },
	{ 'y',
	  { 0 },
	  "log axis",
	  "upright axis: logarithm, or plain",
	  compare_log_axis,
	  why_not_curves,
	  true },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", compare_down, why_not_any, true },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", compare_up, why_not_any, true },
	{ 'l', { KEY_TERMINAL(KEY_RIGHT) }, "right", "go right", compare_right, why_not_any, true },
	{ 'h', { KEY_TERMINAL(KEY_LEFT) }, "left", "go left", compare_left, why_not_any, true },
	{ 'g',
	  { KEY_TERMINAL(KEY_HOME) },
	  "first",
	  "go to the first line",
	  compare_top,
	  why_not_any,
	  true },
	{ 'G',
	  { KEY_TERMINAL(KEY_END) },
	  "last",
	  "go to the last line",
	  compare_end,
	  why_not_any,
	  true },
	{ 0 }
};

const struct screen_ops screen_compare = {
	.name = "compare",
	.title = "Compare",
	.state_size = sizeof(struct view),
	.keys = keys,
	.open = compare_open,
	.poll = compare_poll,
	.draw = compare_draw,
	.close = compare_close,
};
