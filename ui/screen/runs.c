/*
 * Runs: the list of all runs. Of any number of them it reads places and states
 * (run_index); whole rows and sparklines only of those on the screen, and a
 * sparkline again only when its run moved on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "db/metric.h"
#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/trainer.h"
#include "ui/widget/bar.h"
#include "ui/widget/table.h"
#include "ui/widget/text.h"

enum { SPARK_MAX = 24, SHOWN_MAX = 512 };

static const int64_t look_us =
	2000000; /* how often live runs are looked up again: lost is no change of the log */

/* One row on the screen. */
struct shown {
	struct run run; /* row 0: nothing here */
	struct metric_bucket spark[SPARK_MAX];
	size_t spark_n, spark_room;
	int64_t left_us;
};

struct runs {
	struct run_index *place;  /* what the filter lets through, in order */
	size_t n, at, from, rows; /* rows: how many the window holds */
	int64_t at_row;           /* the run under the cursor, wherever it moves */
	struct shown *shown;
	size_t shown_n, total;
	size_t count[RUN_STATES], trashed;
	int id_width, sort;
	char filter[PROMPT_TEXT], search[PROMPT_TEXT];
	struct where *where; /* the filter, read */
	int64_t now, looked_us;
	char trouble[512];
};

enum {
	C_MARK,
	C_ID,
	C_NAME,
	C_METHOD,
	C_PARAMS,
	C_STEP,
	C_BEST,
	C_LOSS,
	C_SPARK,
	C_STATE,
	COLUMNS
};

/* What s cycles through; the title of the column wears an arrow. */
static const struct {
	const char *word;
	int column;
} sorts[] = {
	{ "", C_ID },
	{ "name", C_NAME },
	{ "state", C_STATE },
	{ "method", C_METHOD },
	{ "step", C_STEP },
	{ "best", C_BEST },
	{ "train/loss", C_LOSS },
	{ "trainable_params", C_PARAMS },
};

/* ---- reading ---- */

static struct run_filter filter_of(const struct runs *r)
{
	return (struct run_filter){
		.where = r->where,
		.sort = sorts[r->sort].word,
	};
}

static void count(struct runs *r, const struct run_index *all, size_t n)
{
	memset(r->count, 0, sizeof(r->count));
	r->trashed = r->total = 0;
	for (size_t i = 0; i < n; i++) {
		if (all[i].trashed)
			r->trashed++;
		else
			r->count[all[i].state]++;
	}
	r->total = n - r->trashed;
}

static void drop_trashed(struct run_index *all, size_t n, size_t *ret_n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!all[i].trashed)
			all[kept++] = all[i];
	*ret_n = kept;
}

/* Everything once for the counts; the same serves as the list when nothing is filtered or sorted. */
static int read_places(struct store *st, struct runs *r)
{
	const struct run_filter every = { .with_trashed = true }, f = filter_of(r);
	struct run_index *all = NULL, *some;
	size_t n = 0;
	int code = run_index(st, &every, &all, &n);

	if (code)
		return code;
	count(r, all, n);
	if (!r->filter[0] && !r->sort) {
		drop_trashed(all, n, &n);
	} else {
		code = run_index(st, &f, &some, &n);
		free(all);
		if (code)
			return code;
		all = some;
	}
	free(r->place);
	r->place = all;
	r->n = n;
	return r->id_width ? TT_OK : run_id_width(st, &r->id_width);
}

/* The cursor stays on its run, and else where it was. */
static void keep_cursor(struct runs *r)
{
	if (r->at >= r->n || r->place[r->at].row != r->at_row)
		for (size_t i = 0; i < r->n; i++)
			if (r->place[i].row == r->at_row) {
				r->at = i;
				break;
			}
	if (r->at >= r->n)
		r->at = r->n ? r->n - 1 : 0;
}

/* Scroll as little as shows the cursor. */
static void keep_window(struct runs *r)
{
	if (r->at < r->from)
		r->from = r->at;
	if (r->rows && r->at >= r->from + r->rows)
		r->from = r->at - r->rows + 1;
	if (r->from + r->rows > r->n)
		r->from = r->n > r->rows ? r->n - r->rows : 0;
	r->at_row = r->n ? r->place[r->at].row : 0;
}

static size_t spark_width(const struct app *app)
{
	return app->cols >= 120 ? 16 : app->cols >= 100 ? 10 : 6;
}

/* Move what is known of a row out of the old window. */
static struct shown take_shown(struct runs *r, int64_t row)
{
	for (size_t i = 0; i < r->shown_n; i++)
		if (r->shown[i].run.row == row) {
			const struct shown found = r->shown[i];

			memset(&r->shown[i], 0, sizeof(r->shown[i]));
			return found;
		}
	return (struct shown){ .left_us = -1 };
}

static int read_row(struct app *app, int64_t row, bool again, struct shown *s)
{
	const size_t room = spark_width(app);
	const bool known = s->run.row == row;
	struct run run;
	bool same;
	int code;

	if (known && !again && s->spark_room == room)
		return TT_OK;
	code = run_get_row(app->store, row, &run);
	if (code)
		return code;
	same = known && run.step == s->run.step && run.attempt == s->run.attempt &&
	       s->spark_room == room;
	run_done(&s->run);
	s->run = run;
	s->left_us = trainer_left(app->store, &run);
	if (same && run.state != RUN_RUNNING)
		return TT_OK;
	s->spark_room = room;
	return metric_spark(app->store, row, "train/loss", room, s->spark, &s->spark_n);
}

static void free_shown(struct shown *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run_done(&s[i].run);
	free(s);
}

/* Fill the window; rows that were there before are read again only when asked to. */
static int read_shown(struct app *app, struct runs *r, bool again)
{
	const size_t left = r->n - r->from, n = left < r->rows ? left : r->rows;
	struct shown *next = calloc(n + 1, sizeof(*next));
	int code = TT_OK;

	if (!next)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; !code && i < n; i++) {
		next[i] = take_shown(r, r->place[r->from + i].row);
		code = read_row(app, r->place[r->from + i].row, again, &next[i]);
		if (code ==
		    TT_NOTFOUND) /* purged meanwhile: the next look at the places misses it */
			code = TT_OK;
	}
	free_shown(r->shown, r->shown_n);
	r->shown = next;
	r->shown_n = n;
	return code;
}

static size_t live(const struct runs *r) { return r->count[RUN_RUNNING] + r->count[RUN_PAUSED]; }

static size_t rows_above(const struct runs *r) { return r->filter[0] ? 3 : 2; }

static void window_size(const struct app *app, struct runs *r)
{
	const size_t rows = (size_t)app->rows, above = rows_above(r);

	r->rows = rows > above ? rows - above : 1;
	if (r->rows > SHOWN_MAX)
		r->rows = SHOWN_MAX;
}

static bool runs_poll(struct screen *s)
{
	struct app *app = s->app;
	struct runs *r = s->state;
	const int64_t now = app->clock();
	const bool second = live(r) && now / 1000000 != r->now / 1000000;
	const bool again = app->changed || (live(r) && now - r->looked_us > look_us);
	int code = TT_OK;

	if (second || again)
		r->now = now;
	if (!app->store)
		return app->changed;
	window_size(app, r);
	if (again) {
		r->looked_us = now;
		code = read_places(app->store, r);
		if (!code)
			keep_cursor(r);
	}
	keep_window(r);
	if (!code)
		code = read_shown(app, r, again);
	snprintf(r->trouble, sizeof(r->trouble), "%s", code ? err_text() : "");
	return second || again;
}

/* ---- drawing ---- */

static const struct table_column columns[COLUMNS] = {
	[C_MARK] = { "", 1, 1, false, 0 },          [C_ID] = { "id", 5, 14, false, 0 },
	[C_NAME] = { "name", 10, 48, false, 0 },    [C_METHOD] = { "method", 7, 12, false, 1 },
	[C_PARAMS] = { "train", 5, 6, true, 3 },    [C_STEP] = { "step", 6, 23, true, 0 },
	[C_BEST] = { "best", 5, 12, true, 0 },      [C_LOSS] = { "loss", 5, 7, true, 0 },
	[C_SPARK] = { "", 6, SPARK_MAX, false, 2 }, [C_STATE] = { "state", 14, 120, false, 0 },
};

enum { CELL = 256 };

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

static void elapsed(const struct run *run, int64_t now, char *ret)
{
	const int64_t end = run->ended ? run->ended : run->state == RUN_LOST ? run->heartbeat : now;

	ret[0] = 0;
	if (run->started)
		number_duration(ret, end - run->started);
}

/* What stands in the state column; shorter when that must do. */
static void state_text(const struct shown *s, int64_t now, int width, char ret[CELL])
{
	const struct run *run = &s->run;
	const char *word = run_state_name((int)run->state);
	char time[NUMBER_SIZE], left[NUMBER_SIZE];

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

static void params_text(const struct run *run, char ret[CELL])
{
	const double percent = run->total_params > 0 && run->trainable_params >= 0
				       ? 100.0 * (double)run->trainable_params /
						 (double)run->total_params
				       : NAN;

	if (isnan(percent))
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

/* Digits of a measured value: fewer where columns are few. */
static int value_room(const struct app *app) { return app->cols >= 100 ? 6 : 5; }

static void cell_text(const struct screen *screen, const struct shown *s, int column, int width,
		      char ret[CELL])
{
	const struct runs *r = screen->state;
	const struct run *run = &s->run;

	ret[0] = 0;
	switch (column) {
	case C_MARK:
		snprintf(ret, CELL, "%s",
			 !marks_has(&screen->app->marks, run->row)
				 ? state_mark(run->state, screen->app->theme.unicode)
			 : screen->app->theme.unicode ? "✓"
						      : "+");
		break;
	case C_ID: snprintf(ret, CELL, "%.*s", r->id_width, run->id); break;
	case C_NAME: snprintf(ret, CELL, "%.250s", run->name); break;
	case C_METHOD: snprintf(ret, CELL, "%.60s", run->method); break;
	case C_PARAMS: params_text(run, ret); break;
	case C_STEP: step_text(run, ret); break;
	case C_BEST:
		if (run->has_best)
			number_value(ret, run->best_value, value_room(screen->app));
		else
			snprintf(ret, CELL, "-");
		break;
	case C_LOSS:
		if (s->spark_n)
			number_value(ret, s->spark[s->spark_n - 1].last, value_room(screen->app));
		else
			snprintf(ret, CELL, "-");
		break;
	case C_STATE: state_text(s, r->now, width, ret); break;
	default: break;
	}
}

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

static void title_text(const struct screen *s, int column, char ret[CELL])
{
	const struct runs *r = s->state;
	const bool sorted = sorts[r->sort].column == column;

	snprintf(ret, CELL, "%.200s%s", column == C_BEST ? best_title(r) : columns[column].title,
		 !sorted                 ? ""
		 : s->app->theme.unicode ? "▾"
					 : "v");
}

static void layout(const struct screen *s, int width, int ret[COLUMNS])
{
	const struct runs *r = s->state;
	int wish[COLUMNS];

	for (int c = 0; c < COLUMNS; c++) {
		char title[CELL];

		title_text(s, c, title);
		wish[c] = c == C_BEST && s->app->cols < 100 ? 0 : text_width(title);
	}
	for (size_t i = 0; i < r->shown_n; i++)
		for (int c = 0; c < COLUMNS && r->shown[i].run.row; c++) {
			char text[CELL];
			int wide;

			cell_text(s, &r->shown[i], c, CELL, text);
			wide = text_width(text);
			if (wide > wish[c])
				wish[c] = wide;
		}
	wish[C_SPARK] = (int)spark_width(s->app);
	table_layout(columns, COLUMNS, wish, width - 2, ret);
}

static void put(WINDOW *w, int y, int x, int width, bool right, const char *text)
{
	if (right)
		text_put_right(w, y, x, width, text);
	else
		text_put(w, y, x, width, text);
}

static void draw_titles(const struct screen *s, WINDOW *w, int y, const int *width)
{
	const struct runs *r = s->state;
	int x = 1;

	for (int c = 0; c < COLUMNS; c++) {
		char title[CELL];

		if (!width[c])
			continue;
		title_text(s, c, title);
		theme_set(&s->app->theme, w, sorts[r->sort].column == c ? ROLE_STRONG : ROLE_DIM);
		put(w, y, x, width[c], columns[c].number, title);
		x += width[c] + TABLE_GAP;
	}
	theme_set(&s->app->theme, w, ROLE_TEXT);
}

static void draw_row(const struct screen *s, WINDOW *w, int y, const int *width,
		     const struct shown *row, bool selected)
{
	const struct theme *t = &s->app->theme;
	int x = 1;

	if (selected) {
		theme_set(t, w, ROLE_SELECTED);
		(void)mvwhline(w, y, 0, ' ' | A_REVERSE, getmaxx(w));
	}
	for (int c = 0; c < COLUMNS; c++) {
		char text[CELL];

		if (!width[c])
			continue;
		cell_text(s, row, c, width[c], text);
		if (!selected)
			theme_set(t, w,
				  c == C_MARK || c == C_STATE ? state_role(row->run.state)
							      : ROLE_TEXT);
		if (c == C_SPARK)
			spark_draw(w, y, x, width[c], row->spark, row->spark_n, t);
		else
			put(w, y, x, width[c], columns[c].number, text);
		if (c == C_SPARK && selected)
			theme_set(t, w, ROLE_SELECTED);
		x += width[c] + TABLE_GAP;
	}
	theme_set(t, w, ROLE_TEXT);
}

/* "3 running, 214 finished, ...": what there is none of goes unsaid. */
static void counts_text(const struct runs *r, bool unicode, char *ret, size_t size)
{
	static const struct {
		enum run_state state;
		const char *word;
	} words[] = { { RUN_RUNNING, "running" }, { RUN_PAUSED, "paused" },
		      { RUN_QUEUED, "queued" },   { RUN_FINISHED, "finished" },
		      { RUN_STOPPED, "stopped" }, { RUN_FAILED, "failed" },
		      { RUN_LOST, "lost" } };
	size_t used = 0;

	ret[0] = 0;
	for (size_t i = 0; i < COUNT(words) && used < size; i++) {
		char n[NUMBER_SIZE];

		if (!r->count[words[i].state])
			continue;
		number_count(n, (int64_t)r->count[words[i].state]);
		used += (size_t)snprintf(ret + used, size - used, "%s%s %s",
					 !used     ? ""
					 : unicode ? " · "
						   : ", ",
					 n, words[i].word);
	}
}

static void draw_title(const struct screen *s, WINDOW *w)
{
	const struct runs *r = s->state;
	char what[320], where[128];

	counts_text(r, s->app->theme.unicode, what, sizeof(what));
	snprintf(where, sizeof(where), "%zu of %zu", r->n ? r->at + 1 : 0, r->n);
	app_title(s->app, w, what, where);
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
			 "There are no runs yet. Type this in a shell to start the first:");
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

static void runs_draw(const struct screen *s, WINDOW *w)
{
	const struct runs *r = s->state;
	int width[COLUMNS], y = 1;

	draw_title(s, w);
	if (r->filter[0])
		text_printf(w, y++, 1, getmaxx(w) - 2, "%s filter: %s   %zu of %zu",
			    s->app->theme.unicode ? "▸" : ">", r->filter, r->n, r->total);
	if (!r->n) {
		draw_empty(s, w, y + 1);
		return;
	}
	layout(s, getmaxx(w), width);
	draw_titles(s, w, y++, width);
	for (size_t i = 0; i < r->shown_n && y < getmaxy(w); i++, y++)
		if (r->shown[i].run.row)
			draw_row(s, w, y, width, &r->shown[i], r->from + i == r->at);
}

/* ---- moving ---- */

static unsigned move_to(struct screen *s, int64_t to)
{
	struct runs *r = s->state;

	if (!r->n)
		return UI_NONE;
	if (to < 0)
		to = 0;
	if (to >= (int64_t)r->n)
		to = (int64_t)r->n - 1;
	if ((size_t)to == r->at)
		return UI_NONE;
	r->at = (size_t)to;
	return UI_DRAW | UI_POLL;
}

static unsigned move_by(struct screen *s, int64_t by)
{
	const struct runs *r = s->state;

	return move_to(s, (int64_t)r->at + by);
}

static int64_t page(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->rows > 1 ? (int64_t)r->rows - 1 : 1;
}

static unsigned runs_down(struct screen *s) { return move_by(s, 1); }
static unsigned runs_up(struct screen *s) { return move_by(s, -1); }
static unsigned runs_page_down(struct screen *s) { return move_by(s, page(s)); }
static unsigned runs_page_up(struct screen *s) { return move_by(s, -page(s)); }
static unsigned runs_first(struct screen *s) { return move_to(s, 0); }
static unsigned runs_last(struct screen *s) { return move_to(s, INT64_MAX); }

/* The run under the cursor as it was last read; NULL when there is none. */
static const struct run *selected(const struct screen *s)
{
	const struct runs *r = s->state;
	const size_t i = r->at - r->from;

	return r->n && r->at >= r->from && i < r->shown_n && r->shown[i].run.row ? &r->shown[i].run
										 : NULL;
}

static const char *why_not_any(const struct screen *s)
{
	return selected(s) ? NULL : "there is no run here";
}

static unsigned runs_open(struct screen *s)
{
	if (app_open(s->app, "run", selected(s)->id))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

/* ---- marking ---- */

/* Mark, or take the mark away, and go on: a row of runs is marked by holding the key. */
static unsigned runs_mark(struct screen *s)
{
	struct marks *m = &s->app->marks;
	const int64_t row = selected(s)->row;

	if (marks_has(m, row))
		marks_remove(m, row);
	else if (!marks_add(m, row))
		app_complain(s->app, "%d runs are marked already, and no more can be compared",
			     MARKS_MOST);
	return move_by(s, 1) | UI_DRAW;
}

static unsigned runs_compare(struct screen *s)
{
	if (app_open(s->app, "compare", NULL))
		app_complain(s->app, "%s", err_text());
	return UI_DRAW;
}

static const char *why_not_compare(const struct screen *s)
{
	return s->app->marks.n > 1 ? NULL : "mark two runs or more with space first";
}

/* ---- searching, filtering, sorting ---- */

static bool fits(const struct run *run, const char *text)
{
	return strcasestr(run->name, text) || strcasestr(run->id, text);
}

/* The next run in the list that fits, seen from the cursor, round the end; the number of rows to it, 0: none. */
static size_t seek(const struct runs *r, const struct run_list *l, bool back)
{
	for (size_t by = 1; by <= l->n; by++) {
		const size_t i = back ? (r->at + l->n - by % l->n) % l->n : (r->at + by) % l->n;

		if (fits(&l->run[i], r->search))
			return by;
	}
	return 0;
}

static unsigned search(struct screen *s, bool back)
{
	struct runs *r = s->state;
	const struct run_filter f = filter_of(r);
	struct run_list l;
	size_t by;

	if (run_list(s->app->store, &f, &l)) {
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	by = l.n && r->at < l.n ? seek(r, &l, back) : 0;
	if (by)
		r->at = back ? (r->at + l.n - by % l.n) % l.n : (r->at + by) % l.n;
	if (by && r->at < l.n)
		r->at_row = l.run[r->at].row;
	else
		app_complain(s->app, "no run has '%s' in its name or id", r->search);
	run_list_done(&l);
	return UI_DRAW | UI_RELOAD;
}

static unsigned search_for(struct screen *s, const char *text)
{
	struct runs *r = s->state;

	if (!text[0])
		return UI_DRAW;
	snprintf(r->search, sizeof(r->search), "%s", text);
	return search(s, false);
}

static unsigned runs_search(struct screen *s)
{
	prompt_line(&s->app->prompt, "search name or id:", "", search_for);
	return UI_DRAW;
}

static unsigned runs_next(struct screen *s) { return search(s, false); }
static unsigned runs_previous(struct screen *s) { return search(s, true); }

static const char *why_not_list(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->total ? NULL : "there are no runs yet";
}

static const char *why_not_next(const struct screen *s)
{
	const struct runs *r = s->state;

	if (!r->search[0])
		return "nothing was searched for yet; / does";
	return why_not_any(s);
}

static const char filter_label[] = "filter:";

static void filter_clear(struct runs *r)
{
	free(r->where);
	r->where = NULL;
	r->filter[0] = 0;
}

/* A wrong filter leaves the old one, and stands there again to be put right. */
static unsigned filter_by(struct screen *s, const char *text)
{
	struct runs *r = s->state;
	struct where *where;

	if (where_parse(text, &where)) {
		prompt_line(&s->app->prompt, filter_label, text, filter_by);
		app_complain(s->app, "%s", err_text());
		return UI_DRAW;
	}
	filter_clear(r);
	r->where = where;
	if (where)
		snprintf(r->filter, sizeof(r->filter), "%s", text);
	return UI_DRAW | UI_RELOAD;
}

static unsigned runs_filter(struct screen *s)
{
	const struct runs *r = s->state;

	prompt_line(&s->app->prompt, filter_label, r->filter, filter_by);
	app_say(s->app, "such as: lora running tag:x method:lora* peft.r=8 eval/accuracy>0.85");
	return UI_DRAW;
}

static unsigned runs_unfilter(struct screen *s)
{
	filter_clear(s->state);
	return UI_DRAW | UI_RELOAD;
}

static const char *why_not_unfilter(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->filter[0] ? NULL : "this is the first screen, and nothing is filtered; q quits";
}

static unsigned runs_sort(struct screen *s)
{
	struct runs *r = s->state;

	r->sort = (r->sort + 1) % (int)COUNT(sorts);
	return UI_DRAW | UI_RELOAD;
}

/* ---- acting on a run ---- */

static unsigned runs_stop(struct screen *s) { return trainer_stop(s->app, selected(s)); }
static unsigned runs_pause(struct screen *s) { return trainer_pause(s->app, selected(s)); }
static unsigned runs_resume(struct screen *s) { return trainer_resume(s->app, selected(s)); }
static const char *why_not_stop(const struct screen *s)
{
	return trainer_why_not_stop(selected(s));
}
static const char *why_not_pause(const struct screen *s)
{
	return trainer_why_not_pause(selected(s));
}
static const char *why_not_resume(const struct screen *s)
{
	return trainer_why_not_resume(selected(s));
}
static const char *why_not_delete(const struct screen *s)
{
	return trainer_why_not_delete(selected(s));
}

static unsigned delete_it(struct screen *s, const char *text)
{
	const struct run *run = selected(s);

	(void)text;
	return run ? trainer_trash(s->app, run->row, run->id, run->name) : UI_NONE;
}

static unsigned runs_delete(struct screen *s)
{
	const struct run *run = selected(s);
	char question[160];

	snprintf(question, sizeof(question), "Move %.5s %.60s to the trash?", run->id, run->name);
	prompt_yes_no(&s->app->prompt, question, delete_it);
	return UI_DRAW;
}

static unsigned runs_undo(struct screen *s) { return trainer_undo(s->app); }

static const char *why_not_undo(const struct screen *s)
{
	const struct runs *r = s->state;

	return r->trashed ? NULL : "the trash is empty";
}

static void runs_close(struct screen *s)
{
	struct runs *r = s->state;

	free_shown(r->shown, r->shown_n);
	free(r->place);
	free(r->where);
}

static const struct keybind keys[] = {
	{ KEY_RETURN,
	  { '\n', KEY_TERMINAL(KEY_ENTER) },
	  "open",
	  "open the run",
	  runs_open,
	  why_not_any,
	  false },
	{ ' ',
	  { 0 },
	  "mark",
	  "mark the run for a comparison, or not",
	  runs_mark,
	  why_not_any,
	  false },
	{ 'c', { 0 }, "compare", "compare the marked runs", runs_compare, why_not_compare, false },
	{ '/', { 0 }, "search", "search by name or id", runs_search, why_not_any, false },
	{ 'f',
	  { 0 },
	  "filter",
	  "show some: words and tests, and or not ( ) between; see below",
	  runs_filter,
	  why_not_list,
	  false },
	{ 's',
	  { 0 },
	  "sort",
	  "sort by the next column; the sorted one has an arrow",
	  runs_sort,
	  why_not_list,
	  false },
	{ '.', { 0 }, "stop", "stop the run with a checkpoint", runs_stop, why_not_stop, false },
	{ 'p',
	  { 0 },
	  "pause",
	  "pause a live run, or let a paused one go on",
	  runs_pause,
	  why_not_pause,
	  false },
	{ 'r',
	  { 0 },
	  "resume",
	  "go on with a stopped, failed or lost run from its checkpoint",
	  runs_resume,
	  why_not_resume,
	  false },
	{ 'd', { 0 }, "delete", "move the run to the trash", runs_delete, why_not_delete, false },
	{ 'u',
	  { 0 },
	  "undo",
	  "bring back the run that was deleted last",
	  runs_undo,
	  why_not_undo,
	  false },
	{ 'n',
	  { 0 },
	  "next",
	  "go to the next run that was searched for",
	  runs_next,
	  why_not_next,
	  true },
	{ 'N', { 0 }, "previous", "go to the one before", runs_previous, why_not_next, true },
	{ KEY_ESCAPE, { 0 }, "all", "take the filter away", runs_unfilter, why_not_unfilter, true },
	{ 'j', { KEY_TERMINAL(KEY_DOWN) }, "down", "go down", runs_down, NULL, true },
	{ 'k', { KEY_TERMINAL(KEY_UP) }, "up", "go up", runs_up, NULL, true },
	{ KEY_TERMINAL(KEY_NPAGE),
	  { 6 },
	  "page down",
	  "go down by a page",
	  runs_page_down,
	  NULL,
	  true },
	{ KEY_TERMINAL(KEY_PPAGE), { 2 }, "page up", "go up by a page", runs_page_up, NULL, true },
	{ 'g', { KEY_TERMINAL(KEY_HOME) }, "first", "go to the first run", runs_first, NULL, true },
	{ 'G', { KEY_TERMINAL(KEY_END) }, "last", "go to the last run", runs_last, NULL, true },
	{ 0 }
};

const struct screen_ops screen_runs = {
	.name = "runs",
	.title = "Runs",
	.state_size = sizeof(struct runs),
	.keys = keys,
	.poll = runs_poll,
	.draw = runs_draw,
	.close = runs_close,
};
