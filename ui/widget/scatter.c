/* Points with names on two axes. */
#include "ui/widget/scatter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ui/widget/text.h"

enum { AXIS = 8 };

struct span {
	double lo, hi;
};

/* Where things go: columns and rows of the picture, and which cells are taken. */
struct field {
	const struct scatter *s;
	struct span x, y;
	int left, top, cols, rows;
	bool *taken; /* [rows][cols] */
};

static double level(const struct scatter *s, double x) { return s->log ? log10(x) : x; }

static bool shows(const struct scatter *s, const struct scatter_point *p)
{
	return isfinite(p->x) && isfinite(p->y) && (!s->log || p->x > 0);
}

static void widen(struct span *r, double v)
{
	r->lo = v < r->lo ? v : r->lo;
	r->hi = v > r->hi ? v : r->hi;
}

/* All the same value stands in the middle. */
static void open_up(struct span *r)
{
	const double by = r->lo != 0 ? fabs(r->lo) * 0.1 : 1;

	if (r->lo == r->hi) {
		r->lo -= by;
		r->hi += by;
	}
}

static bool find_spans(struct field *f)
{
	f->x = f->y = (struct span){ INFINITY, -INFINITY };
	for (size_t i = 0; i < f->s->n; i++) {
		if (!shows(f->s, &f->s->point[i]))
			continue;
		widen(&f->x, level(f->s, f->s->point[i].x));
		widen(&f->y, f->s->point[i].y);
	}
	if (f->x.lo > f->x.hi)
		return false;
	open_up(&f->x);
	open_up(&f->y);
	return true;
}

static int place(const struct span *r, double v, int n)
{
	return (int)lround((v - r->lo) / (r->hi - r->lo) * (n - 1));
}

static int col_of(const struct field *f, const struct scatter_point *p)
{
	return place(&f->x, level(f->s, p->x), f->cols);
}

static int row_of(const struct field *f, const struct scatter_point *p)
{
	return f->rows - 1 - place(&f->y, p->y, f->rows);
}

static bool free_cells(const struct field *f, int row, int from, int n)
{
	if (from < 0 || from + n > f->cols)
		return false;
	for (int i = from; i < from + n; i++)
		if (f->taken[row * f->cols + i])
			return false;
	return true;
}

static void take(struct field *f, int row, int from, int n)
{
	for (int i = from; i < from + n; i++)
		f->taken[row * f->cols + i] = true;
}

static void draw_point(WINDOW *w, const struct field *f, const struct scatter_point *p,
		       const struct theme *t)
{
	const char letter[] = { p->letter, 0 };

	theme_set(t, w, p->role);
	text_put(w, f->top + row_of(f, p), f->left + col_of(f, p), 1, letter);
}

/* To the right of its point, or to the left, or not at all: a name never hides a point. */
static void draw_name(WINDOW *w, struct field *f, const struct scatter_point *p,
		      const struct theme *t)
{
	const int row = row_of(f, p), col = col_of(f, p), width = text_width(p->name);
	int at = col + 2;

	if (!free_cells(f, row, at, width))
		at = col - 1 - width;
	if (!free_cells(f, row, at, width))
		return;
	take(f, row, at, width);
	theme_set(t, w, p->strong ? ROLE_STRONG : ROLE_TEXT);
	text_put(w, f->top + row, f->left + at, width, p->name);
}

static void draw_axes(WINDOW *w, const struct field *f, const struct theme *t)
{
	const int foot = f->top + f->rows;
	char text[NUMBER_SIZE];

	theme_set(t, w, ROLE_DIM);
	for (int row = 0; row < f->rows; row++)
		text_put(w, f->top + row, f->left - 1, 1, t->charts == CHARTS_ASCII ? "|" : "│");
	number_value(text, f->y.hi, AXIS - 1);
	text_put_right(w, f->top, f->s->x, AXIS - 1, text);
	number_value(text, f->y.lo, AXIS - 1);
	text_put_right(w, f->top + f->rows - 1, f->s->x, AXIS - 1, text);
	number_short(text, f->s->log ? pow(10, f->x.lo) : f->x.lo);
	text_put(w, foot, f->left, f->cols / 3, text);
	number_short(text, f->s->log ? pow(10, f->x.hi) : f->x.hi);
	text_put_right(w, foot, f->left + f->cols - f->cols / 3, f->cols / 3, text);
	text_printf(w, foot, f->left + f->cols / 3, f->cols / 3, "%s%s", f->s->across,
		    f->s->log ? ", log" : "");
}

static void draw_points(WINDOW *w, struct field *f, const struct theme *t)
{
	const struct scatter *s = f->s;

	for (size_t i = 0; i < s->n; i++)
		if (shows(s, &s->point[i])) {
			draw_point(w, f, &s->point[i], t);
			take(f, row_of(f, &s->point[i]), col_of(f, &s->point[i]), 1);
		}
	for (int strong = 1; strong >= 0; strong--)
		for (size_t i = 0; i < s->n; i++)
			if (shows(s, &s->point[i]) && s->point[i].strong == strong)
				draw_name(w, f, &s->point[i], t);
}

void scatter_draw(WINDOW *w, const struct scatter *s, const struct theme *t)
{
	struct field f = { .s = s,
			   .left = s->x + AXIS + 1,
			   .top = s->y + 1,
			   .cols = s->cols - AXIS - 2,
			   .rows = s->rows - 2 };

	if (f.rows < 2 || f.cols < 8)
		return;
	theme_set(t, w, ROLE_STRONG);
	text_put(w, s->y, s->x + 1, s->cols - 2, s->title);
	f.taken = calloc((size_t)f.rows * (size_t)f.cols, sizeof(*f.taken));
	if (f.taken && find_spans(&f)) {
		draw_axes(w, &f, t);
		draw_points(w, &f, t);
	} else {
		theme_set(t, w, ROLE_DIM);
		text_put(w, f.top, f.left, f.cols, "no run has both values");
	}
	theme_set(t, w, ROLE_TEXT);
	free(f.taken);
}
