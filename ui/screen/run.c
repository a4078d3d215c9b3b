/*
 * Run: one run as it goes. Facts on the left, charts on the right. Of each
 * curve it reads as many buckets as its chart has dots across, so that a
 * million steps cost what a thousand do.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "db/event.h"
#include "db/metric.h"
#include "ui/app.h"
#include "ui/ema.h"
#include "ui/export.h"
#include "ui/keymap.h"
#include "ui/plot_file.h"
#include "ui/tail.h"
#include "ui/trainer.h"
#include "ui/widget/bar.h"
#include "ui/widget/plot.h"
#include "ui/widget/text.h"

enum { CHARTS = 4, CURVES = 2, BUCKETS_MAX = 2048, FACTS = 27, LABEL = 8, EVENTS_MAX = 4096 };
enum { GRID_FROM = 64 /* steps a bucket; the store has summaries of as many */ };
enum { LOSS, JUDGED, RATE, NORM };

static const int64_t look_us =
	2000000; /* how often a live run is looked up again: lost is no change of the log */

struct curve {
	char key[METRIC_KEY_MAX + 1]; /* "": none */
	const char *label;
	struct metric_bucket *bucket; /* BUCKETS_MAX; cut as `cut` says */
	struct {
		int64_t lo, hi;
		size_t n; /* 0: nothing was read */
		int attempt;
	} cut;
	double *smooth; /* BUCKETS_MAX */
	struct ema ema;
};

struct chart {
	char title[64], brief[16];
	struct curve curve[CURVES];
	int y, x, rows, cols; /* rows 0: not shown */
};

struct view {
	char id[RUN_ID_SIZE];
	struct run run; /* row 0: not read yet */
	struct chart chart[CHARTS];
	int64_t lo, hi, cursor; /* steps; cursor -1: off */
	int only;               /* one chart alone, -1: all */
	int smoothing;
	bool log_axis, log_open;
	struct event *event;
	size_t event_n;
	struct metric_last *last;
	size_t last_n;
	int64_t left_us, now, looked_us;
	struct tail tail;
	size_t back; /* lines the log is scrolled up */
	int log_y, log_rows;
	int laid_rows, laid_cols, laid_sx; /* what the buckets were read for */
	char path[EXPORT_PATH];
	char trouble[512];
};

/* ---- where things go ---- */

static bool narrow(int cols) { return cols < 72; }

static int facts_cols(int cols)
{
	return cols >= 120 ? FACTS + 7 : narrow(cols) ? FACTS - 4 : FACTS;
}

/* The charts' part of the screen, cut into a grid that leaves each chart room to be read. */
static void lay_out(struct view *v, int rows, int cols)
{
	const int x = facts_cols(cols), y = 1, wide = cols - x;
	int tall = rows - y, across, down, n = 0;

	v->log_rows = !v->log_open ? 0 : tall >= 26 ? tall / 2 : tall;
	v->log_y = rows - v->log_rows;
	tall -= v->log_rows;
	across = v->only < 0 && wide >= 48 ? 2 : 1;
	down = v->only >= 0 ? 1 : (CHARTS + across - 1) / across;
	while (down > 1 && tall / down < 7)
		down--;
	for (int i = 0; i < CHARTS; i++) {
		struct chart *c = &v->chart[i];

		c->rows = c->cols = 0;
		if ((v->only >= 0 && i != v->only) || n >= across * down || tall < 5)
			continue;
		c->cols = wide / across;
		c->x = x + n % across * c->cols;
		c->y = y + n / across * (tall / down);
		c->rows = tall / down;
		n++;
	}
}

/* ---- reading ---- */

static bool is_live(const struct view *v)
{
	return v->run.state == RUN_RUNNING || v->run.state == RUN_PAUSED;
}

static void name_chart(struct chart *c, const char *title, const char *brief, const char *key)
{
	snprintf(c->title, sizeof(c->title), "%.60s", title);
	snprintf(c->brief, sizeof(c->brief), "%.15s", brief);
	if (strcmp(c->curve[0].key, key) != 0)
		c->curve[0].cut.n = 0;
	snprintf(c->curve[0].key, sizeof(c->curve[0].key), "%s", key);
}

/* One chart is for what the run is judged by, unless that is a loss, which is there already. */
static void name_charts(struct view *v)
{
	const char *judged = v->run.metric_key;
	const bool own = judged[0] && strcmp(judged, "eval/loss") != 0 &&
			 strlen(judged) <= METRIC_KEY_MAX;
	struct curve *eval = &v->chart[LOSS].curve[1];

	name_chart(&v->chart[LOSS], "loss", "loss", "train/loss");
	v->chart[LOSS].curve[0].label = "train";
	snprintf(eval->key, sizeof(eval->key), "eval/loss");
	eval->label = "eval";
	if (own)
		name_chart(&v->chart[JUDGED], judged,
			   strncmp(judged, "eval/", 5) ? judged : judged + 5, judged);
	else
		name_chart(&v->chart[JUDGED], "tokens per second", "tokens/s",
			   "train/tokens_per_second");
	name_chart(&v->chart[RATE], "learning rate", "rate", "train/learning_rate");
	name_chart(&v->chart[NORM], "gradient norm", "norm", "train/grad_norm");
}

static size_t chart_buckets(const struct chart *c, const struct theme *t)
{
	const size_t n = plot_buckets(c->cols, t);

	return n < BUCKETS_MAX ? n : BUCKETS_MAX;
}

/*
 * The axis of a live run that is long already grows by a whole grid of buckets:
 * the end of the axis then lies a little ahead, by an eighth at most, and of a
 * curve only the last bucket must be read when it goes on.
 */
static int64_t axis_end(int64_t lo, int64_t hi, size_t n)
{
	const int64_t range = hi - lo + 1;
	int64_t width = (range + (int64_t)n - 1) / (int64_t)n, grid = 1;

	if (width < GRID_FROM)
		return hi;
	while (grid * 16 <= width)
		grid *= 2;
	width = (width + grid - 1) / grid * grid;
	return lo + width * (int64_t)n - 1;
}

/* All charts share one axis of steps, so that one cursor reads them all; all that are shown are equally wide. */
static int read_span(struct store *st, struct view *v, size_t n)
{
	int64_t lo = INT64_MAX, hi = -1;

	for (int i = 0; i < CHARTS * CURVES; i++) {
		const struct curve *c = &v->chart[i / CURVES].curve[i % CURVES];
		int64_t from, to;
		int code = c->key[0] ? metric_span(st, v->run.row, c->key, &from, &to)
				     : TT_NOTFOUND;

		if (code == TT_NOTFOUND)
			continue;
		if (code)
			return code;
		lo = from < lo ? from : lo;
		hi = to > hi ? to : hi;
	}
	v->lo = hi < 0 ? 0 : lo;
	v->hi = hi < 0 ? 0 : is_live(v) ? axis_end(lo, hi, n) : hi;
	return TT_OK;
}

/* The first bucket that must be read: when the cut is the same, all before the last one that holds anything are known. */
static size_t first_unknown(const struct view *v, const struct curve *c, size_t n)
{
	size_t at = n;

	if (c->cut.lo != v->lo || c->cut.hi != v->hi || c->cut.n != n ||
	    c->cut.attempt != v->run.attempt || (v->hi - v->lo + 1) % (int64_t)n)
		return 0;
	while (at > 0 && !c->bucket[at - 1].count)
		at--;
	return at ? at - 1 : 0;
}

static int read_curve(struct store *st, struct view *v, struct curve *c, size_t n)
{
	const size_t from = first_unknown(v, c, n);
	const int64_t width = (v->hi - v->lo + 1) / (int64_t)n;
	int code;

	if (!c->key[0])
		return TT_OK;
	c->cut.n = 0;
	code = metric_buckets(st, v->run.row, c->key, v->lo + (from ? (int64_t)from * width : 0),
			      v->hi, n - from, c->bucket + from);
	if (code)
		return code;
	c->cut.lo = v->lo;
	c->cut.hi = v->hi;
	c->cut.n = n;
	c->cut.attempt = v->run.attempt;
	return TT_OK;
}

static int read_charts(struct app *app, struct view *v)
{
	size_t n = 1;
	int code;

	for (int i = 0; i < CHARTS; i++)
		if (v->chart[i].rows)
			n = chart_buckets(&v->chart[i], &app->theme);
	code = read_span(app->store, v, n);
	for (int i = 0; !code && i < CHARTS; i++)
		for (int k = 0; !code && v->chart[i].rows && k < CURVES; k++)
			code = read_curve(app->store, v, &v->chart[i].curve[k], n);
	return code;
}

static const double decays[] = { 0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999 };

static int smooth_curve(struct app *app, struct view *v, struct curve *c, size_t n)
{
	const double decay = decays[v->smoothing];
	int code;

	if (c->ema.decay != decay || c->ema.attempt != v->run.attempt)
		ema_start(&c->ema, decay, v->run.attempt);
	code = ema_read(&c->ema, app->store, v->run.row, c->key);
	if (!code)
		ema_columns(&c->ema, c->bucket, n, c->smooth);
	if (c->ema.more)
		app->busy = true;
	return code;
}

static int smooth_charts(struct app *app, struct view *v)
{
	int code = TT_OK;

	for (int i = 0; v->smoothing && i < CHARTS; i++)
		for (int k = 0; !code && v->chart[i].rows && k < CURVES; k++)
			if (v->chart[i].curve[k].key[0])
				code = smooth_curve(app, v, &v->chart[i].curve[k],
						    chart_buckets(&v->chart[i], &app->theme));
	return code;
}

static int read_events(struct store *st, struct view *v)
{
	struct event *event;
	size_t n;
	const int code = event_list(st, v->run.row, 0, &event, &n);

	if (code)
		return code;
	free(v->event);
	v->event = event;
	v->event_n = n < EVENTS_MAX ? n : EVENTS_MAX;
	return TT_OK;
}

static int read_last(struct store *st, struct view *v)
{
	struct metric_last *last;
	size_t n;
	const int code = metric_last(st, v->run.row, &last, &n);

	if (code)
		return code;
	free(v->last);
	v->last = last;
	v->last_n = n;
	return TT_OK;
}

static int read_all(struct app *app, struct view *v)
{
	struct run run;
	int code = run_get(app->store, v->id, &run);

	if (code)
		return code;
	run_done(&v->run);
	v->run = run;
	name_charts(v);
	v->left_us = trainer_left(app->store, &v->run);
	code = read_last(app->store, v);
	if (!code)
		code = read_events(app->store, v);
	if (!code)
		code = read_charts(app, v);
	return code;
}

static bool read_log(struct view *v)
{
	char path[PATH_MAX];

	if (!v->log_open || !v->run.row || fs_join(path, sizeof(path), v->run.dir, "log.txt"))
		return false;
	return tail_read(&v->tail, path);
}

static bool more_to_smooth(const struct view *v)
{
	for (int i = 0; v->smoothing && i < CHARTS * CURVES; i++) {
		const struct curve *c = &v->chart[i / CURVES].curve[i % CURVES];

		if (c->key[0] && v->chart[i / CURVES].rows && c->ema.more)
			return true;
	}
	return false;
}

/* Did the window, or what is drawn in it, change so that other buckets are due? */
static bool laid_anew(struct app *app, struct view *v)
{
	const int sx = (int)plot_buckets(100, &app->theme);
	const bool same = v->laid_rows == app->rows && v->laid_cols == app->cols &&
			  v->laid_sx == sx;

	lay_out(v, app->rows, app->cols);
	v->laid_rows = app->rows;
	v->laid_cols = app->cols;
	v->laid_sx = sx;
	return !same;
}

static bool run_poll(struct screen *s)
{
	struct app *app = s->app;
	struct view *v = s->state;
	const int64_t now = app->clock();
	const bool second = is_live(v) && now / 1000000 != v->now / 1000000;
	const bool anew = laid_anew(app, v);
	const bool again = app->changed || anew || !v->run.row ||
			   (is_live(v) && now - v->looked_us > look_us);
	const bool log = read_log(v), smooth = again || more_to_smooth(v);
	int code = TT_OK;

	if (!app->store)
		return false;
	if (again || second)
		v->now = now;
	if (again) {
		v->looked_us = now;
		code = read_all(app, v);
	}
	if (!code && smooth)
		code = smooth_charts(app, v);
	if (again || code)
		snprintf(v->trouble, sizeof(v->trouble), "%s", code ? err_text() : "");
	return again || second || log || smooth;
}

static void run_close(struct screen *s)
{
	struct view *v = s->state;

	for (int i = 0; i < CHARTS * CURVES; i++) {
		struct curve *c = &v->chart[i / CURVES].curve[i % CURVES];

		free(c->bucket);
		free(c->smooth);
		ema_done(&c->ema);
	}
	run_done(&v->run);
	free(v->event);
	free(v->last);
	tail_done(&v->tail);
}

static int run_open(struct screen *s, const char *arg)
{
	struct view *v = s->state;

	snprintf(v->id, sizeof(v->id), "%s", arg ? arg : "");
	v->cursor = v->only = -1;
	for (int i = 0; i < CHARTS * CURVES; i++) {
		struct curve *c = &v->chart[i / CURVES].curve[i % CURVES];

		c->label = "";
		c->bucket = calloc(BUCKETS_MAX, sizeof(*c->bucket));
		c->smooth = calloc(BUCKETS_MAX, sizeof(*c->smooth));
		if (!c->bucket || !c->smooth)
			return err_set(TT_NOMEM, "not enough memory for the charts");
	}
	return TT_OK;
}

/* ---- drawing facts ---- */

struct facts {
	const struct screen *s;
	WINDOW *w;
	int y, cols;
};

static void fact(struct facts *f, enum role role, const char *label, const char *text)
{
	const struct theme *t = &f->s->app->theme;

	if (f->y >= getmaxy(f->w) || !text[0])
		return;
	theme_set(t, f->w, ROLE_DIM);
	text_put(f->w, f->y, 1, LABEL, label);
	theme_set(t, f->w, role);
	text_put(f->w, f->y++, 1 + LABEL, f->cols - LABEL - 2, text);
	theme_set(t, f->w, ROLE_TEXT);
}

static void sentence(struct facts *f, enum role role, const char *text)
{
	enum { LINES_MOST = 4 };
	const int room = getmaxy(f->w) - f->y, most = room < LINES_MOST ? room : LINES_MOST;

	theme_set(&f->s->app->theme, f->w, role);
	f->y += text_paragraph(f->w, f->y, 1, f->cols - 2, most, text);
	theme_set(&f->s->app->theme, f->w, ROLE_TEXT);
}

static double last_of(const struct view *v, const char *key)
{
	for (size_t i = 0; i < v->last_n; i++)
		if (!strcmp(v->last[i].key, key))
			return v->last[i].value;
	return NAN;
}

static void fact_value(struct facts *f, const char *label, const char *key)
{
	const struct view *v = f->s->state;
	const double value = last_of(v, key);
	char text[NUMBER_SIZE];
	bool known = false;

	for (size_t i = 0; i < v->last_n; i++)
		known |= !strcmp(v->last[i].key, key);
	number_value(text, value, 9);
	if (known)
		fact(f, isfinite(value) ? ROLE_TEXT : ROLE_BAD, label, text);
}

static void facts_state(struct facts *f)
{
	static const enum role role[] = { ROLE_WAIT, ROLE_LIVE, ROLE_WAIT, ROLE_TEXT,
					  ROLE_WAIT, ROLE_BAD,  ROLE_BAD };
	const struct view *v = f->s->state;
	const struct run *r = &v->run;

	fact(f, role[r->state], "state", run_state_name((int)r->state));
	if (r->cause[0])
		sentence(f, r->state == RUN_FAILED ? ROLE_BAD : ROLE_TEXT, r->cause);
	if (r->total_steps > 0) {
		const double part = (double)r->step / (double)r->total_steps;

		theme_set(&f->s->app->theme, f->w, ROLE_LIVE);
		bar_draw(f->w, f->y, 1, f->cols - 7, part, &f->s->app->theme);
		theme_set(&f->s->app->theme, f->w, ROLE_TEXT);
		text_printf(f->w, f->y++, f->cols - 5, 4, "%3.0f%%",
			    part < 1 ? floor(part * 100) : 100);
	}
}

static void facts_progress(struct facts *f)
{
	const struct view *v = f->s->state;
	const struct run *r = &v->run;
	const int64_t end = r->ended ? r->ended : r->state == RUN_LOST ? r->heartbeat : v->now;
	char a[NUMBER_SIZE], b[NUMBER_SIZE], text[96];

	number_count(a, r->step);
	number_count(b, r->total_steps);
	snprintf(text, sizeof(text), r->total_steps > 0 ? "%s of %s" : "%s", a, b);
	fact(f, ROLE_TEXT, "step", text);
	if (r->steps_per_epoch > 0) {
		snprintf(text, sizeof(text), "%.2f of %.3g", r->epoch,
			 (double)r->total_steps / (double)r->steps_per_epoch);
		fact(f, ROLE_TEXT, "epoch", text);
	}
	number_duration(text, end - r->started);
	if (r->started)
		fact(f, ROLE_TEXT, "time", text);
	number_duration(text, v->left_us);
	if (v->left_us >= 0)
		fact(f, ROLE_TEXT, "left", text);
}

static void facts_numbers(struct facts *f)
{
	const struct view *v = f->s->state;
	const struct run *r = &v->run;
	const double speed = last_of(v, "train/tokens_per_second"),
		     rss = last_of(v, "system/rss_bytes");
	char n[NUMBER_SIZE], at[NUMBER_SIZE], text[96];

	if (isfinite(speed)) {
		number_count(n, (int64_t)fmin(fmax(speed, 0), 1e15));
		snprintf(text, sizeof(text), "%s tokens/s", n);
		fact(f, ROLE_TEXT, "speed", text);
	}
	if (isfinite(rss)) {
		number_short(n, rss);
		snprintf(text, sizeof(text), "%sB", n);
		fact(f, ROLE_TEXT, "memory", text);
	}
	fact_value(f, "rate", "train/learning_rate");
	fact_value(f, "loss", "train/loss");
	fact_value(f, "eval", "eval/loss");
	if (r->has_best) {
		number_value(n, r->best_value, 7);
		number_count(at, r->best_step);
		snprintf(text, sizeof(text), "%s at %s", n, at);
		fact(f, ROLE_STRONG, "best", text);
	}
}

static void facts_params(struct facts *f)
{
	const struct run *r = &((const struct view *)f->s->state)->run;
	char n[NUMBER_SIZE], all[NUMBER_SIZE], text[96];

	if (r->total_params <= 0)
		return;
	number_short(n, (double)r->trainable_params);
	number_short(all, (double)r->total_params);
	snprintf(text, sizeof(text), "%s of %s", n, all);
	fact(f, ROLE_TEXT, "trains", text);
	snprintf(text, sizeof(text), "%.3g%%",
		 100.0 * (double)r->trainable_params / (double)r->total_params);
	fact(f, ROLE_TEXT, "", text);
}

static void facts_names(struct facts *f)
{
	const struct run *r = &((const struct view *)f->s->state)->run;
	char text[300], when[64];
	const time_t seconds = (time_t)(r->created / 1000000);
	struct tm tm;

	fact(f, ROLE_TEXT, "method", r->method);
	fact(f, ROLE_TEXT, "model", r->model);
	fact(f, ROLE_TEXT, "task", r->task);
	snprintf(text, sizeof(text), "%.255s %lld", r->host, (long long)r->pid);
	if (r->host[0])
		fact(f, ROLE_TEXT, "host", text);
	snprintf(text, sizeof(text), "%d", r->attempt);
	if (r->attempt > 0)
		fact(f, ROLE_TEXT, "attempt", text);
	fact(f, ROLE_TEXT, "tags", r->tags);
	if (localtime_r(&seconds, &tm) && strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm))
		fact(f, ROLE_TEXT, "made", when);
}

static void draw_facts(const struct screen *s, WINDOW *w)
{
	struct facts f = { s, w, 2, facts_cols(getmaxx(w)) };

	facts_state(&f);
	facts_progress(&f);
	facts_numbers(&f);
	facts_params(&f);
	facts_names(&f);
}

/* ---- drawing charts and log ---- */

static void draw_chart(const struct screen *s, WINDOW *w, const struct chart *c)
{
	const struct view *v = s->state;
	struct plot_series series[CURVES];
	struct plot p = { .y = c->y,
			  .x = c->x,
			  .rows = c->rows,
			  .cols = c->cols,
			  .title = c->title,
			  .brief = c->brief,
			  .series = series,
			  .lo = v->lo,
			  .hi = v->hi,
			  .log = v->log_axis,
			  .cursor = v->cursor,
			  .event = v->event,
			  .event_n = v->event_n };

	for (int k = 0; k < CURVES; k++)
		if (c->curve[k].key[0])
			series[p.n++] = (struct plot_series){
				.label = c->curve[k].label,
				.bucket = c->curve[k].bucket,
				.smooth = v->smoothing ? c->curve[k].smooth : NULL,
			};
	plot_draw(w, &p, &s->app->theme);
}

static void draw_log(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	const int x = facts_cols(getmaxx(w)) + 1, width = getmaxx(w) - x - 1;
	char line[1024];

	theme_set(&s->app->theme, w, ROLE_STRONG);
	text_printf(w, v->log_y, x, width, "log%s", v->back ? " (scrolled; j goes down)" : "");
	theme_set(&s->app->theme, w, ROLE_TEXT);
	if (v->tail.missing)
		text_put(w, v->log_y + 1, x, width, "there is no log.txt in the run's folder");
	for (int row = v->log_rows - 1, i = 0; row > 0; row--, i++)
		if (!v->tail.missing &&
		    tail_line(&v->tail, v->back + (size_t)i, line, sizeof(line)))
			text_put(w, v->log_y + row, x, width, line);
}

static void draw_title(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;
	char what[400], where[160] = "", step[NUMBER_SIZE];

	snprintf(what, sizeof(what), "%.5s  %.300s", v->run.id, v->run.name);
	if (v->cursor >= 0) {
		number_count(step, v->cursor);
		snprintf(where, sizeof(where), "at step %s", step);
	} else if (v->smoothing) {
		snprintf(where, sizeof(where), "smoothed %.3g", decays[v->smoothing]);
	}
	app_title(s->app, w, what, where);
}

static void run_draw(const struct screen *s, WINDOW *w)
{
	const struct view *v = s->state;

	if (!v->run.row) {
		app_title(s->app, w, v->id, "");
		theme_set(&s->app->theme, w, ROLE_BAD);
		text_paragraph(w, 2, 2, getmaxx(w) - 4, 6,
			       v->trouble[0] ? v->trouble : "there is no such run");
		theme_set(&s->app->theme, w, ROLE_TEXT);
		return;
	}
	draw_title(s, w);
	draw_facts(s, w);
	for (int i = 0; i < CHARTS; i++)
		if (v->chart[i].rows)
			draw_chart(s, w, &v->chart[i]);
	if (v->log_rows)
		draw_log(s, w);
	if (v->trouble[0]) {
		theme_set(&s->app->theme, w, ROLE_BAD);
		text_put(w, getmaxy(w) - 1, 1, getmaxx(w) - 2, v->trouble);
		theme_set(&s->app->theme, w, ROLE_TEXT);
	}
}

/* ---- keys ---- */

static struct view *view_of(struct screen *s) { return s->state; }

static const struct run *the_run(const struct screen *s)
{
	const struct view *v = s->state;

	return v->run.row ? &v->run : NULL;
}

static const char *why_not_any(const struct screen *s)
{
	return the_run(s) ? NULL : "there is no run here";
}

static unsigned run_back(struct screen *s)
{
	(void)s;
	return UI_CLOSE | UI_DRAW;
}

static unsigned run_zoom(struct screen *s)
{
	struct view *v = view_of(s);

	v->only = v->only + 1 < CHARTS ? v->only + 1 : -1;
	return UI_DRAW | UI_RELOAD;
}

static unsigned smooth_by(struct screen *s, int by)
{
	struct view *v = view_of(s);
	const int to = by ? v->smoothing + by : 0;

	v->smoothing = to < 0 ? 0 : to < (int)COUNT(decays) ? to : (int)COUNT(decays) - 1;
	return UI_DRAW | UI_RELOAD;
}

static unsigned run_smoother(struct screen *s) { return smooth_by(s, 1); }
static unsigned run_rougher(struct screen *s) { return smooth_by(s, -1); }
static unsigned run_raw(struct screen *s) { return smooth_by(s, 0); }

static const char *why_not_rougher(const struct screen *s)
{
	const struct view *v = s->state;

	if (!the_run(s))
		return "there is no run here";
	return v->smoothing ? NULL : "nothing is smoothed";
}

static unsigned run_log_axis(struct screen *s)
{
	view_of(s)->log_axis = !view_of(s)->log_axis;
	return UI_DRAW;
}

/* By one column of the chart; the first step turns the cursor on, and beyond the end it goes off. */
static unsigned move_cursor(struct screen *s, int by)
{
	struct view *v = view_of(s);
	int64_t cell = 1;

	for (int i = 0; i < CHARTS; i++)
		if (v->chart[i].rows)
			cell = (v->hi - v->lo + 1) / (v->chart[i].cols > PLOT_AXIS + 1
							      ? v->chart[i].cols - PLOT_AXIS - 1
							      : 1);
	if (cell < 1)
		cell = 1;
	if (v->cursor < 0)
		v->cursor = by < 0 ? v->hi : v->lo;
	else if (v->cursor >= v->hi && by > 0)
		v->cursor = -1;
	else
		v->cursor += by * cell;
	if (v->cursor > v->hi)
		v->cursor = v->hi;
	if (v->cursor >= 0 && v->cursor < v->lo)
		v->cursor = v->lo;
	return UI_DRAW;
}

/* The curves of the charts that are shown. */
static unsigned write_charts(struct screen *s, const char *text)
{
	const struct view *v = s->state;
	const char *key[CHARTS * CURVES];
	struct plot_file how = { .path = v->path, .key = key, .log = v->log_axis };

	(void)text;
	for (int i = 0; i < CHARTS * CURVES; i++) {
		const struct curve *c = &v->chart[i / CURVES].curve[i % CURVES];

		if (c->key[0] && (v->only < 0 || v->only == i / CURVES))
			key[how.key_n++] = c->key;
	}
	return export_say(s,
			  plot_file_write(s->app->store, &(const struct run *){ &v->run }, 1, &how),
			  "the charts are in", v->path);
}

static unsigned write_to(struct screen *s, const char *text)
{
	return the_run(s) ? export_to(s, text, view_of(s)->path, write_charts) : UI_DRAW;
}

static unsigned run_write(struct screen *s)
{
	char name[RUN_ID_SIZE + 8];

	snprintf(name, sizeof(name), "%s.svg", the_run(s)->id);
	prompt_line(&s->app->prompt, "write the charts to (.svg, .png, .csv):", name, write_to);
	return UI_DRAW;
}

static unsigned run_left(struct screen *s) { return move_cursor(s, -1); }
static unsigned run_right(struct screen *s) { return move_cursor(s, 1); }

static const char *why_not_cursor(const struct screen *s)
{
	const struct view *v = s->state;

	return v->hi > 0 ? NULL : "there are no values yet";
}

static unsigned run_log(struct screen *s)
{
	struct view *v = view_of(s);

	v->log_open = !v->log_open;
	v->back = 0;
	return UI_DRAW | UI_RELOAD;
}

static unsigned run_log_up(struct screen *s)
{
	struct view *v = view_of(s);
	char line[2];

	if (tail_line(&v->tail, v->back + (size_t)(v->log_rows > 1 ? v->log_rows - 1 : 1), line,
		      sizeof(line)))
		v->back++;
	return UI_DRAW;
}

static unsigned run_log_down(struct screen *s)
{
	struct view *v = view_of(s);

	if (v->back)
		v->back--;
	return UI_DRAW;
}

static const char *why_not_scroll(const struct screen *s)
{
	const struct view *v = s->state;

	return v->log_open ? NULL : "the log is not open; L opens it";
}

static unsigned run_stop(struct screen *s) { return trainer_stop(s->app, the_run(s)); }
static unsigned run_pause(struct screen *s) { return trainer_pause(s->app, the_run(s)); }
static unsigned run_resume_it(struct screen *s) { return trainer_resume(s->app, the_run(s)); }
static const char *why_not_stop(const struct screen *s) { return trainer_why_not_stop(the_run(s)); }
static const char *why_not_pause(const struct screen *s)
{
	return trainer_why_not_pause(the_run(s));
}
static const char *why_not_resume(const struct screen *s)
{
	return trainer_why_not_resume(the_run(s));
}

static const char *why_not_rate(const struct screen *s)
{
	return trainer_why_not_stop(the_run(s)) ? "only a live run can change its learning rate"
						: NULL;
}

static unsigned set_rate(struct screen *s, const char *text)
{
	return why_not_rate(s) ? UI_DRAW : trainer_set_rate(s->app, the_run(s), text);
}

static unsigned run_rate(struct screen *s)
{
	prompt_line(&s->app->prompt, "new base learning rate:", "", set_rate);
	return UI_DRAW;
}

static const struct keybind keys[] = {
	{ KEY_ESCAPE, { 0 }, "back", "go back to the list", run_back, NULL, false },
	{ 'v',
	  { 0 },
	  "chart",
	  "show one chart alone, then the next, then all",
	  run_zoom,
	  why_not_any,
	  false },
	{ 'L', { 0 }, "log", "open or close the trainer's own words", run_log, why_not_any, false },
	{ '.', { 0 }, "stop", "stop the run with a checkpoint", run_stop, why_not_stop, false },
	{ 'p',
	  { 0 },
	  "pause",
	  "pause a live run, or let a paused one go on",
	  run_pause,
	  why_not_pause,
	  false },
	{ 'r',
	  { 0 },
	  "resume",
	  "go on with a stopped, failed or lost run from its checkpoint",
	  run_resume_it,
	  why_not_resume,
	  false },
	{ '=',
	  { 0 },
	  "rate",
	  "change the learning rate of a live run",
	  run_rate,
	  why_not_rate,
	  false },
	{ '+', { 0 }, "smooth", "smooth more", run_smoother, why_not_any, false },
	{ '-', { 0 }, "less", "smooth less", run_rougher, why_not_rougher, true },
	{ '0', { 0 }, "raw", "smooth nothing", run_raw, why_not_rougher, true },
	{ 'y',
	  { 0 },
	  "log axis",
	  "upright axis: logarithm, or plain",
	  run_log_axis,
	  why_not_any,
	  false },
	{ 'w',
	  { 0 },
	  "write",
	  "write the charts, or every value, to a file",
	  run_write,
	  why_not_any,
	  true },
	{ KEY_TERMINAL(KEY_LEFT),
	  { 'h' },
	  "earlier",
	  "move the cursor that reads values off every chart",
	  run_left,
	  why_not_cursor,
	  true },
	{ KEY_TERMINAL(KEY_RIGHT),
	  { 'l' },
	  "later",
	  "move it to the right; beyond the end it goes away",
	  run_right,
	  why_not_cursor,
	  true },
	{ 'k',
	  { KEY_TERMINAL(KEY_UP) },
	  "log up",
	  "scroll the log up",
	  run_log_up,
	  why_not_scroll,
	  true },
	{ 'j',
	  { KEY_TERMINAL(KEY_DOWN) },
	  "log down",
	  "scroll the log down",
	  run_log_down,
	  why_not_scroll,
	  true },
	{ 0 }
};

static const char *run_here(const struct screen *s)
{
	const struct view *v = s->state;

	return v->id;
}

const struct screen_ops screen_run = {
	.name = "run",
	.title = "Run",
	.state_size = sizeof(struct view),
	.keys = keys,
	.open = run_open,
	.poll = run_poll,
	.draw = run_draw,
	.close = run_close,
	.here = run_here,
};
