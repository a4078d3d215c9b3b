/*
 * Charts. Curves are drawn as dots on a canvas (2 x 4 a cell in braille, 2 x 2
 * in blocks, one in ASCII), then the canvas goes to the window with everything
 * else that needs whole cells: events below the curves, marks above them.
 */
#include "ui/widget/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "ui/widget/text.h"

enum {
	MARK_EVERY = 9,
	/* cells between the marks of a dense curve */ NARROW = 40,
	/* columns of a chart whose title has no room for both labels and values */ FAINT =
		255 /* what lies behind a smooth curve */
};

struct canvas {
	int cols, rows;        /* cells */
	int sx, sy;            /* dots of a cell */
	unsigned char *dot;    /* one bit a dot of a cell, from the left top, line by line */
	unsigned char *series; /* whose: 1 + number, or FAINT; the last one drawn */
	char *mark;            /* a letter over the cell, 0: none */
};

static void grain(const struct theme *t, int *sx, int *sy)
{
	*sx = t->charts == CHARTS_ASCII ? 1 : 2;
	*sy = t->charts == CHARTS_ASCII ? 1 : t->charts == CHARTS_BLOCK ? 2 : 4;
}

static int chart_cols(int cols) { return cols > PLOT_AXIS + 1 ? cols - PLOT_AXIS - 1 : 1; }

size_t plot_buckets(int cols, const struct theme *t)
{
	int sx, sy;

	grain(t, &sx, &sy);
	return (size_t)(chart_cols(cols) * sx);
}

size_t plot_bucket_of(int64_t step, int64_t lo, int64_t hi, size_t n)
{
	if (step <= lo || hi <= lo)
		return 0;
	if (step >= hi)
		return n - 1;
	return (size_t)((step - lo) * (int64_t)n /
			(hi - lo + 1)); /* as the store cuts; steps are below 2^47 */
}

char plot_event_letter(const char *kind)
{
	static const struct {
		const char *kind;
		char letter;
	} known[] = { { "checkpoint", 'c' },
		      { "learning_rate", 'l' },
		      { "paused", 'p' },
		      { "resumed", 'r' },
		      { "continued", 'r' } };

	for (size_t i = 0; i < COUNT(known); i++)
		if (!strcmp(known[i].kind, kind))
			return known[i].letter;
	return '*';
}

/* ---- the upright axis ---- */

static void widen(struct plot_range *r, double v, bool log)
{
	if (!isfinite(v) || (log && v <= 0))
		return;
	if (v < r->lo)
		r->lo = v;
	if (v > r->hi)
		r->hi = v;
}

bool plot_range(const struct plot_series *s, size_t n, size_t buckets, bool log,
		struct plot_range *ret)
{
	struct plot_range r = { INFINITY, -INFINITY };

	for (size_t i = 0; i < n; i++)
		for (size_t b = 0; b < buckets; b++) {
			widen(&r, s[i].bucket[b].min, log);
			widen(&r, s[i].bucket[b].max, log);
		}
	if (r.lo > r.hi)
		return false;
	if (r.lo == r.hi) { /* a constant stands in the middle */
		const double by = log ? 0 : r.lo != 0 ? fabs(r.lo) * 0.1 : 1;

		r.lo = log ? r.lo / 2 : r.lo - by;
		r.hi = log ? r.hi * 2 : r.hi + by;
	}
	*ret = r;
	return isfinite(r.hi - r.lo) && r.hi > r.lo && (!log || r.lo > 0);
}

/* Where a value stands on the axis, 0 .. 1 from below. Below the axis is its foot. */
static double place(const struct plot_range *r, bool log, double v)
{
	double at;

	if (log)
		at = v > 0 ? (log10(v) - log10(r->lo)) / (log10(r->hi) - log10(r->lo)) : 0;
	else
		at = (v - r->lo) / (r->hi - r->lo);
	return at > 0 ? (at < 1 ? at : 1) : 0;
}

static double value_at(const struct plot_range *r, bool log, double at)
{
	return log ? pow(10, log10(r->lo) + at * (log10(r->hi) - log10(r->lo)))
		   : r->lo + at * (r->hi - r->lo);
}

/* ---- the canvas ---- */

static bool canvas_new(struct canvas *c, int cols, int rows, const struct theme *t)
{
	const size_t cells = (size_t)cols * (size_t)rows;

	*c = (struct canvas){ .cols = cols, .rows = rows };
	grain(t, &c->sx, &c->sy);
	c->dot = calloc(cells, 3);
	if (!c->dot)
		return false;
	c->series = c->dot + cells;
	c->mark = (char *)c->series + cells;
	return true;
}

static size_t cell_at(const struct canvas *c, int col, int row)
{
	return (size_t)row * (size_t)c->cols + (size_t)col;
}

/* x, y in dots, y from above. */
static void dot(struct canvas *c, int x, int y, size_t series)
{
	const size_t i = cell_at(c, x / c->sx, y / c->sy);

	c->dot[i] |= (unsigned char)(1 << (y % c->sy * c->sx + x % c->sx));
	c->series[i] = (unsigned char)(series == FAINT ? FAINT : series + 1);
}

static void upright(struct canvas *c, int x, int y0, int y1, size_t series)
{
	for (int y = y0 < y1 ? y0 : y1; y <= (y0 < y1 ? y1 : y0); y++)
		dot(c, x, y, series);
}

/* A straight line between two dots, without gaps upright. */
static void line(struct canvas *c, int x0, int y0, int x1, int y1, size_t series)
{
	int before = y0;

	for (int x = x0; x <= x1; x++) {
		const int y = x1 == x0 ? y1
				       : y0 + (int)lround((double)(y1 - y0) * (x - x0) / (x1 - x0));

		upright(c, x, before, y, series);
		before = y;
	}
}

struct pen {
	struct canvas *c;
	struct plot_range range;
	bool log;
	size_t series;
	int x, y; /* where the last bucket ended; x < 0: nowhere */
};

static int dot_row(const struct pen *p, double v)
{
	const int dots = p->c->rows * p->c->sy;

	return (int)lround((1 - place(&p->range, p->log, v)) * (dots - 1));
}

static void pen_to(struct pen *p, int x, double v)
{
	const int y = dot_row(p, v);

	if (p->x >= 0)
		line(p->c, p->x, p->y, x, y, p->series);
	p->x = x;
	p->y = y;
}

static void mark(struct canvas *c, int x, int row, char letter)
{
	c->mark[cell_at(c, x / c->sx, row)] = letter;
}

/* What cannot be a dot becomes a letter: nothing that was measured goes unseen. */
static void mark_odd(struct pen *p, int x, const struct metric_bucket *b)
{
	if (b->nans)
		mark(p->c, x, 0, 'N');
	else if (b->infs)
		mark(p->c, x, 0, 'I');
	if (p->log && b->min <= 0)
		mark(p->c, x, p->c->rows - 1, 'v');
}

static bool can_show(const struct pen *p, double v) { return isfinite(v) && (!p->log || v > 0); }

static void draw_bucket(struct pen *p, int x, const struct metric_bucket *b)
{
	mark_odd(p, x, b);
	if (!can_show(p, b->max))
		return;
	if (p->series != FAINT && can_show(p, b->first))
		pen_to(p, x, b->first);
	upright(p->c, x, dot_row(p, b->min), dot_row(p, b->max), p->series);
	if (can_show(p, b->last)) {
		p->x = x;
		p->y = dot_row(p, b->last);
	}
}

static void draw_series(struct pen *p, const struct plot_series *s, size_t buckets)
{
	for (size_t i = 0; i < buckets; i++)
		if (s->bucket[i].count)
			draw_bucket(p, (int)i, &s->bucket[i]);
}

static void draw_smooth(struct pen *p, size_t series, const double *smooth, size_t buckets)
{
	p->x = -1;
	p->series = series;
	for (size_t i = 0; i < buckets; i++)
		if (can_show(p, smooth[i]))
			pen_to(p, (int)i, smooth[i]);
}

/* Letters along a curve, so that it is known without its colour: each point of a sparse one, some of a dense one. */
static void mark_series(struct pen *p, const struct plot_series *s, size_t buckets, char letter)
{
	int last = -MARK_EVERY * p->c->sx;

	for (size_t i = 0; i < buckets; i++) {
		const double v = s->smooth ? s->smooth[i] : s->bucket[i].last;
		const int x = (int)i;

		if (!s->bucket[i].count || !can_show(p, v))
			continue;
		if (x - last < MARK_EVERY * p->c->sx)
			continue;
		last = x;
		p->c->mark[cell_at(p->c, x / p->c->sx, dot_row(p, v) / p->c->sy)] = letter;
	}
}

char plot_letter(size_t look)
{
	static const char letter[PLOT_LOOKS] = { 'o', 'x', '+', '#', '*', '@', '%', '&' };

	return letter[look % PLOT_LOOKS];
}

/* Which look a series has: each that is not another seed of the one before takes the next. */
static size_t look_of(const struct plot *p, size_t series)
{
	size_t look = 0;

	for (size_t i = 1; i <= series; i++)
		look += !p->series[i].again;
	return look;
}

static void draw_curves(struct canvas *c, const struct plot *p, const struct plot_range *range)
{
	const size_t buckets = (size_t)(c->cols * c->sx);

	for (size_t k = 0; k < p->n; k++) {
		const size_t i = p->first_on_top ? p->n - 1 - k : k, look = look_of(p, i);
		struct pen pen = { .c = c,
				   .range = *range,
				   .log = p->log,
				   .x = -1,
				   .series = p->series[i].smooth ? FAINT : look };

		draw_series(&pen, &p->series[i], buckets);
		if (p->series[i].smooth)
			draw_smooth(&pen, look, p->series[i].smooth, buckets);
		if (p->n > 1 && c->sx > 1)
			mark_series(&pen, &p->series[i], buckets, plot_letter(look));
	}
}

/* ---- to the window ---- */

static wchar_t braille(unsigned bits)
{
	/* braille numbers its dots down the left, down the right, then the bottom two */
	static const unsigned char order[] = { 0, 3, 1, 4, 2, 5, 6, 7 };
	unsigned code = 0;

	for (unsigned i = 0; i < 8; i++)
		if (bits >> i & 1)
			code |= 1u << order[i];
	return (wchar_t)(0x2800 + code);
}

static wchar_t block(unsigned bits)
{
	static const wchar_t quadrant[] = { L' ',   0x2598, 0x259d, 0x2580, 0x2596, 0x258c,
					    0x259e, 0x259b, 0x2597, 0x259a, 0x2590, 0x259c,
					    0x2584, 0x2599, 0x259f, 0x2588 };

	return quadrant[bits & 15];
}

static void put_wide(WINDOW *w, int y, int x, wchar_t wc)
{
	const wchar_t text[] = { wc, 0 };
	attr_t attrs;
	short pair;
	cchar_t cc;

	(void)wattr_get(w, &attrs, &pair, NULL);
	if (setcchar(&cc, text, attrs, pair, NULL) == OK)
		(void)mvwadd_wch(w, y, x, &cc);
}

static void show_cell(WINDOW *w, int y, int x, const struct canvas *c, size_t i,
		      const struct theme *t)
{
	const bool faint = c->series[i] == FAINT;
	const int series = c->series[i] && !faint ? c->series[i] - 1 : 0;
	const char letter = c->mark[i];

	if (letter == 'N' || letter == 'I' || letter == 'v')
		theme_set(t, w, ROLE_BAD);
	else if (faint)
		theme_set(t, w, ROLE_DIM);
	else
		theme_set(t, w, (enum role)(ROLE_SERIES + series % PLOT_LOOKS));
	if (letter)
		put_wide(w, y, x, (wchar_t)letter);
	else if (t->charts == CHARTS_ASCII)
		put_wide(w, y, x, faint ? L'.' : (wchar_t)plot_letter((size_t)series));
	else
		put_wide(w, y, x,
			 t->charts == CHARTS_BLOCK ? block(c->dot[i]) : braille(c->dot[i]));
}

static void show_canvas(WINDOW *w, const struct plot *p, const struct canvas *c,
			const struct theme *t)
{
	for (int row = 0; row < c->rows; row++)
		for (int col = 0; col < c->cols; col++) {
			const size_t i = cell_at(c, col, row);

			if (c->dot[i] || c->mark[i])
				show_cell(w, p->y + 1 + row, p->x + PLOT_AXIS + 1 + col, c, i, t);
		}
}

static int column_of(const struct plot *p, int64_t step, int cols)
{
	return (int)plot_bucket_of(step, p->lo, p->hi, (size_t)cols);
}

/* Upright lines below the curves; their letters stand on the axis. */
static void draw_events(WINDOW *w, const struct plot *p, int cols, int rows, const struct theme *t)
{
	theme_set(t, w, ROLE_EVENT);
	for (size_t i = 0; i < p->event_n; i++) {
		const int x = p->x + PLOT_AXIS + 1 + column_of(p, p->event[i].step, cols);

		if (p->event[i].step < p->lo || p->event[i].step > p->hi)
			continue;
		for (int row = 0; row < rows; row++)
			put_wide(w, p->y + 1 + row, x, t->charts == CHARTS_ASCII ? L':' : 0x250a);
	}
	theme_set(t, w, ROLE_TEXT);
}

static void draw_event_letters(WINDOW *w, const struct plot *p, int cols, int y,
			       const struct theme *t)
{
	theme_set(t, w, ROLE_EVENT);
	for (size_t i = 0; i < p->event_n; i++)
		if (p->event[i].step >= p->lo && p->event[i].step <= p->hi)
			put_wide(w, y, p->x + PLOT_AXIS + 1 + column_of(p, p->event[i].step, cols),
				 (wchar_t)plot_event_letter(p->event[i].kind));
	theme_set(t, w, ROLE_TEXT);
}

static void draw_cursor(WINDOW *w, const struct plot *p, int cols, int rows, const struct theme *t)
{
	const int x = p->x + PLOT_AXIS + 1 + column_of(p, p->cursor, cols);

	theme_set(t, w, ROLE_STRONG);
	for (int row = 0; row < rows; row++)
		put_wide(w, p->y + 1 + row, x, t->charts == CHARTS_ASCII ? L'|' : 0x2502);
	theme_set(t, w, ROLE_TEXT);
}

static void draw_axes(WINDOW *w, const struct plot *p, const struct plot_range *r, int cols,
		      int rows, const struct theme *t)
{
	const int left = p->x + PLOT_AXIS, foot = p->y + 1 + rows;
	char text[NUMBER_SIZE];

	theme_set(t, w, ROLE_DIM);
	for (int row = 0; row < rows; row++)
		put_wide(w, p->y + 1 + row, left, t->charts == CHARTS_ASCII ? L'|' : 0x2502);
	for (int i = 0; r && i < 3 && rows > 2; i++) {
		const int row = i * (rows - 1) / 2;

		number_value(text, value_at(r, p->log, 1 - (double)row / (rows - 1)),
			     PLOT_AXIS - 1);
		text_put_right(w, p->y + 1 + row, p->x, PLOT_AXIS - 1, text);
	}
	number_count(text, p->lo);
	text_put(w, foot, left + 1, cols / 2, text);
	number_count(text, p->hi);
	text_put_right(w, foot, left + 1 + cols / 2, cols - cols / 2, text);
	theme_set(t, w, ROLE_TEXT);
}

/* The bucket at or before the cursor that holds anything; NULL: none. */
static const struct metric_bucket *under_cursor(const struct plot *p, const struct plot_series *s,
						size_t buckets)
{
	for (size_t i = plot_bucket_of(p->cursor, p->lo, p->hi, buckets) + 1; i-- > 0;)
		if (s->bucket[i].count)
			return &s->bucket[i];
	return NULL;
}

/* What the cursor points at: one value, the span of a column, or the last value before it. */
static void reading(const struct plot *p, const struct plot_series *s, size_t buckets, char *ret,
		    size_t size)
{
	const struct metric_bucket *b = under_cursor(p, s, buckets);
	char lo[NUMBER_SIZE], hi[NUMBER_SIZE];

	snprintf(ret, size, "-");
	if (!b)
		return;
	number_value(lo, b->count > 1 ? b->min : b->last, 7);
	number_value(hi, b->max, 7);
	if (b->count > 1 && b->min != b->max)
		snprintf(ret, size, "%s..%s", lo, hi);
	else
		snprintf(ret, size, "%s", lo);
	if (b->count > 1 && (b->nans || b->infs))
		snprintf(ret + strlen(ret), size - strlen(ret), " %s", b->nans ? "NaN" : "inf");
	if (plot_bucket_of(b->last_step, p->lo, p->hi, buckets) !=
	    plot_bucket_of(p->cursor, p->lo, p->hi, buckets))
		snprintf(ret + strlen(ret), size - strlen(ret), " at %lld",
			 (long long)b->last_step);
}

/* The latest value of a curve. */
static void latest(const struct plot_series *s, size_t buckets, char *ret)
{
	for (size_t i = buckets; i-- > 0;)
		if (s->bucket[i].count) {
			number_value(ret, s->bucket[i].last, 7);
			return;
		}
	snprintf(ret, NUMBER_SIZE, "-");
}

/* One curve of the title: mark, label and value, as far as a narrow chart has room for them. */
static void legend(const struct plot *p, size_t i, size_t buckets, char *ret, size_t size)
{
	const bool narrow = p->cols < NARROW, several = i + 1 < p->n && p->series[i + 1].again;
	char value[128];

	if (p->cursor >= 0)
		reading(p, &p->series[i], buckets, value, sizeof(value));
	else
		latest(&p->series[i], buckets, value);
	if (p->n == 1)
		snprintf(ret, size, "%s", value);
	else if (several) /* the value of one seed is not that of all */
		snprintf(ret, size, "%c %s", plot_letter(look_of(p, i)), p->series[i].label);
	else if (narrow)
		snprintf(ret, size, "%c %s", plot_letter(look_of(p, i)),
			 p->cursor >= 0 ? value : p->series[i].label);
	else
		snprintf(ret, size, "%c %s %s", plot_letter(look_of(p, i)), p->series[i].label,
			 value);
}

static void draw_title(WINDOW *w, const struct plot *p, size_t buckets, const struct theme *t)
{
	const bool tight = p->cols < NARROW && p->cursor >= 0;
	const char *title = !tight ? p->title : p->n > 1 ? "" : p->brief;
	const int end = p->x + p->cols;
	int x = p->x + 1;

	theme_set(t, w, ROLE_STRONG);
	x += text_put(w, p->y, x, end - x, title) + (title[0] ? 1 : 0);
	theme_set(t, w, ROLE_DIM);
	if (p->log)
		x += text_put(w, p->y, x, end - x, "log") + 1;
	for (size_t i = 0; i < p->n; i++) {
		char text[192];

		if (p->series[i].again)
			continue;
		legend(p, i, buckets, text, sizeof(text));
		theme_set(t, w, (enum role)(ROLE_SERIES + (int)(look_of(p, i) % PLOT_LOOKS)));
		x += text_put(w, p->y, x, end - x, text) + 2;
	}
	theme_set(t, w, ROLE_TEXT);
}

static bool any_point(const struct plot *p, size_t buckets)
{
	for (size_t i = 0; i < p->n; i++)
		for (size_t b = 0; b < buckets; b++)
			if (p->series[i].bucket[b].count)
				return true;
	return false;
}

void plot_draw(WINDOW *w, const struct plot *p, const struct theme *t)
{
	const int cols = chart_cols(p->cols), rows = p->rows - 2;
	const size_t buckets = plot_buckets(p->cols, t);
	struct plot_range range = { 0, 1 };
	struct canvas c;
	bool shows;

	if (rows < 1 || p->cols < PLOT_AXIS + 3 || !canvas_new(&c, cols, rows, t))
		return;
	draw_title(w, p, buckets, t);
	shows = plot_range(p->series, p->n, buckets, p->log, &range);
	draw_events(w, p, cols, rows, t);
	draw_axes(w, p, shows ? &range : NULL, cols, rows, t);
	draw_event_letters(w, p, cols, p->y + 1 + rows, t);
	if (p->cursor >= 0)
		draw_cursor(w, p, cols, rows, t);
	draw_curves(&c, p, &range);
	show_canvas(w, p, &c, t);
	theme_set(t, w, ROLE_DIM);
	if (!shows)
		text_put(w, p->y + 1 + rows / 2, p->x + PLOT_AXIS + 2, cols - 1,
			 !any_point(p, buckets) ? "no values yet"
			 : p->log               ? "nothing above zero"
						: "nothing finite");
	theme_set(t, w, ROLE_TEXT);
	free(c.dot);
}
