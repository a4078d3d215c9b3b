/* Charts as SVG and PNG. */
#include "ui/picture.h"

#include <math.h>
#include <stdio.h>

#include "base/array.h"
#include "base/err.h"
#include "ui/pencil.h"
#include "ui/widget/text.h"

enum {
	LEFT = 76,
	TALL = 260, /* of the chart alone */
	ABOVE = 34,
	BELOW = 46,
	LEGEND = 18, /* a line of names */
	TICKS = 5,
	TEXT = 512
};

static const double font = 12;

/* Those of the screen (theme.c): apart for deuteranopes and protanopes. */
static const struct colour {
	double r, g, b;
} colours[PLOT_LOOKS] = {
	{ 0, 0.45, 0.70 },    { 0.84, 0.37, 0 },    { 0, 0.62, 0.45 },    { 0.80, 0.47, 0.65 },
	{ 0.58, 0.56, 0.10 }, { 0.34, 0.71, 0.91 }, { 0.55, 0.34, 0.16 }, { 0.40, 0.25, 0.60 },
};

static const struct {
	double length[4];
	int n;
} dashes[PLOT_LOOKS] = {
	{ { 0 }, 0 },     { { 7, 3 }, 2 },       { { 2, 3 }, 2 }, { { 9, 3, 2, 3 }, 4 },
	{ { 14, 4 }, 2 }, { { 4, 2, 1, 2 }, 4 }, { { 1, 2 }, 2 }, { { 12, 3, 5, 3 }, 4 },
};

/* What one chart is drawn with. */
struct sketch {
	const struct pencil *p;
	cairo_t *cr;
	const struct picture_chart *c;
	struct plot_range range;
	bool shows;
	double top; /* of the chart alone */
};

/* ---- text ---- */

/* cairo wants UTF-8, and names are from outside. */
static void tame(const char *text, char ret[TEXT])
{
	int32_t code;

	ret[0] = 0;
	for (code = text_plain(&text); code; code = text_plain(&text))
		if (!text_append(ret, TEXT, code))
			return;
}

static double text_size(const struct pencil *p, cairo_t *cr, const char *text)
{
	cairo_text_extents_t size;
	char plain[TEXT];

	tame(text, plain);
	p->cairo_text_extents(cr, plain, &size);
	return size.x_advance;
}

/* share: how much of it stands left of x. */
static void write_at(const struct pencil *p, cairo_t *cr, double x, double y, double share,
		     const char *text)
{
	char plain[TEXT];

	tame(text, plain);
	p->cairo_move_to(cr, x - share * text_size(p, cr, plain), y);
	p->cairo_show_text(cr, plain);
}

static void ink(const struct sketch *s, double grey)
{
	s->p->cairo_set_source_rgb(s->cr, grey, grey, grey);
}

/* ---- names of curves ---- */

static void colour_of(const struct sketch *s, size_t look, double alpha)
{
	const struct colour *c = &colours[look % PLOT_LOOKS];

	s->p->cairo_set_source_rgba(s->cr, c->r, c->g, c->b, alpha);
}

static void dash_of(const struct sketch *s, size_t look)
{
	s->p->cairo_set_dash(s->cr, dashes[look % PLOT_LOOKS].length, dashes[look % PLOT_LOOKS].n,
			     0);
}

static void draw_sample(const struct sketch *s, double x, double y, size_t look, const char *name)
{
	colour_of(s, look, 1);
	dash_of(s, look);
	s->p->cairo_move_to(s->cr, x, y - 4);
	s->p->cairo_line_to(s->cr, x + 26, y - 4);
	s->p->cairo_stroke(s->cr);
	s->p->cairo_set_dash(s->cr, NULL, 0, 0);
	ink(s, 0.1);
	write_at(s->p, s->cr, x + 32, y, 0, name);
}

/* Names side by side, in as many lines as they need; returns the lines. */
static int legend(const struct sketch *s, double y, bool draw)
{
	double x = LEFT;
	size_t look = 0;
	int lines = 1;

	for (size_t i = 0; i < s->c->n; i++) {
		const double wide = 48 + text_size(s->p, s->cr, s->c->series[i].label);

		if (s->c->series[i].again)
			continue;
		if (x > LEFT && x + wide > PICTURE_WIDTH) {
			x = LEFT;
			lines++;
		}
		if (draw)
			draw_sample(s, x, y + (lines - 1) * LEGEND, look, s->c->series[i].label);
		look++;
		x += wide;
	}
	return lines;
}

/* ---- axes ---- */

static double row_of(const struct sketch *s, double v)
{
	const struct plot_range *r = &s->range;
	const double at = s->c->log ? (log10(v) - log10(r->lo)) / (log10(r->hi) - log10(r->lo))
				    : (v - r->lo) / (r->hi - r->lo);

	return s->top + TALL * (1 - at);
}

/* 1, 2 or 5 times a power of ten, so that some TICKS of them fit into a span. */
static double tick_of(double span)
{
	const double power = pow(10, floor(log10(span / TICKS))), times = span / TICKS / power;

	return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void draw_level(const struct sketch *s, double v)
{
	char text[NUMBER_SIZE];
	const double y = row_of(s, v);

	if (y < s->top - 0.5 || y > s->top + TALL + 0.5)
		return;
	ink(s, 0.88);
	s->p->cairo_move_to(s->cr, LEFT, y);
	s->p->cairo_line_to(s->cr, LEFT + PICTURE_COLUMNS, y);
	s->p->cairo_stroke(s->cr);
	ink(s, 0.3);
	snprintf(text, sizeof(text), "%.4g", v);
	write_at(s->p, s->cr, LEFT - 6, y + 4, 1, text);
}

static void draw_levels(const struct sketch *s)
{
	const struct plot_range *r = &s->range;

	if (s->c->log && r->hi / r->lo >= 10) {
		for (double e = floor(log10(r->lo)); e <= ceil(log10(r->hi)); e++)
			draw_level(s, pow(10, e));
	} else {
		const double by = tick_of(r->hi - r->lo);

		for (int i = 0; i <= 2 * TICKS; i++) /* what lies beyond the axis is left out */
			draw_level(s, (ceil(r->lo / by) + i) * by);
	}
}

static void draw_steps(const struct sketch *s)
{
	const double span = (double)(s->c->hi - s->c->lo),
		     by = fmax(1, tick_of(span > 0 ? span : 1));
	const double foot = s->top + TALL;
	char text[NUMBER_SIZE];

	for (int i = 0; i <= 2 * TICKS; i++) {
		const double step = (ceil((double)s->c->lo / by) + i) * by;
		const double x = LEFT +
				 (step - (double)s->c->lo + 0.5) / (span + 1) * PICTURE_COLUMNS;

		if (step > (double)s->c->hi)
			break;
		ink(s, 0.3);
		s->p->cairo_move_to(s->cr, x, foot);
		s->p->cairo_line_to(s->cr, x, foot + 4);
		s->p->cairo_stroke(s->cr);
		number_count(text, (int64_t)step);
		write_at(s->p, s->cr, x, foot + 17, 0.5, text);
	}
	write_at(s->p, s->cr, LEFT + PICTURE_COLUMNS, foot + 32, 1,
		 s->c->log ? "step; log axis" : "step");
}

static void draw_frame(const struct sketch *s)
{
	ink(s, 0.3);
	s->p->cairo_rectangle(s->cr, LEFT, s->top, PICTURE_COLUMNS, TALL);
	s->p->cairo_stroke(s->cr);
}

/* ---- curves ---- */

static bool can_show(const struct sketch *s, double v)
{
	return isfinite(v) && (!s->c->log || v > 0);
}

/* From the smallest to the largest of each column. */
static void draw_span(const struct sketch *s, const struct metric_bucket *b, size_t look)
{
	colour_of(s, look, 0.35);
	for (int i = 0; i < PICTURE_COLUMNS; i++) {
		const double lo = s->c->log && b[i].min <= 0 ? s->range.lo : b[i].min;

		if (b[i].count < 2 || !can_show(s, b[i].max) || !can_show(s, lo))
			continue;
		s->p->cairo_rectangle(s->cr, LEFT + i, row_of(s, b[i].max), 1,
				      row_of(s, lo) - row_of(s, b[i].max));
	}
	s->p->cairo_fill(s->cr);
}

/* From the first value of a column to its last, and on to the next column. */
static void draw_line(const struct sketch *s, const struct metric_bucket *b, size_t look)
{
	bool on = false;

	colour_of(s, look, 1);
	dash_of(s, look);
	for (int i = 0; i < PICTURE_COLUMNS; i++) {
		const double ends[] = { b[i].first, b[i].last };

		for (int k = 0; b[i].count && k < (b[i].count > 1 ? 2 : 1); k++) {
			if (!can_show(s, ends[k]))
				continue;
			if (on)
				s->p->cairo_line_to(s->cr, LEFT + i + 0.5, row_of(s, ends[k]));
			else
				s->p->cairo_move_to(s->cr, LEFT + i + 0.5, row_of(s, ends[k]));
			on = true;
		}
	}
	s->p->cairo_stroke(s->cr);
	s->p->cairo_set_dash(s->cr, NULL, 0, 0);
}

/* A curve of a few values shows each of them. */
static void draw_points(const struct sketch *s, const struct metric_bucket *b, size_t look)
{
	colour_of(s, look, 1);
	for (int i = 0, quiet = PICTURE_COLUMNS; i < PICTURE_COLUMNS; i++) {
		const bool lonely = b[i].count == 1 && can_show(s, b[i].last) &&
				    (quiet > 5 || i == PICTURE_COLUMNS - 1);

		if (lonely)
			s->p->cairo_rectangle(s->cr, LEFT + i - 1.5, row_of(s, b[i].last) - 2, 4,
					      4);
		quiet = b[i].count ? 0 : quiet + 1;
	}
	s->p->cairo_fill(s->cr);
}

/* What cannot be a point is a letter: N, I, and v below a log axis. */
static void draw_odd(const struct sketch *s, const struct metric_bucket *b)
{
	double free_from =
		0; /* letters do not lie over each other: some stand for their neighbours */

	s->p->cairo_set_source_rgb(s->cr, 0.8, 0.1, 0);
	for (int i = 0; i < PICTURE_COLUMNS; i++) {
		const bool below = s->c->log && b[i].min <= 0;
		const double x = LEFT + i;

		if ((!b[i].nans && !b[i].infs && !below) || x < free_from)
			continue;
		if (b[i].nans || b[i].infs)
			write_at(s->p, s->cr, x, s->top + 12, 0.5, b[i].nans ? "N" : "I");
		if (below)
			write_at(s->p, s->cr, x, s->top + TALL - 3, 0.5, "v");
		free_from = x + 8;
	}
}

/* The first curve on top, as it is what the others are held against. */
static void draw_curves(const struct sketch *s)
{
	size_t looks = 0;

	for (size_t i = 1; i < s->c->n; i++)
		looks += !s->c->series[i].again;
	for (size_t i = s->c->n; i-- > 0;) {
		const struct metric_bucket *b = s->c->series[i].bucket;

		draw_odd(s, b);
		if (s->shows) {
			draw_span(s, b, looks);
			draw_line(s, b, looks);
			draw_points(s, b, looks);
		}
		looks -= i && !s->c->series[i].again;
	}
}

/* ---- the picture ---- */

static double chart_height(const struct pencil *p, cairo_t *cr, const struct picture_chart *c)
{
	const struct sketch s = { .p = p, .cr = cr, .c = c };

	return ABOVE + legend(&s, 0, false) * LEGEND + TALL + BELOW;
}

static void draw_chart(const struct pencil *p, cairo_t *cr, const struct picture_chart *c, double y)
{
	struct sketch s = { .p = p, .cr = cr, .c = c };

	p->cairo_set_line_width(cr, 1.2);
	ink(&s, 0);
	write_at(p, cr, LEFT, y + 20, 0, c->title);
	s.top = y + ABOVE + legend(&s, y + ABOVE + 8, true) * LEGEND;
	s.shows = plot_range(c->series, c->n, PICTURE_COLUMNS, c->log, &s.range);
	if (s.shows)
		draw_levels(&s);
	draw_steps(&s);
	draw_frame(&s); /* below the curves: one may run along it */
	draw_curves(&s);
}

static cairo_status_t keep(void *arg, const unsigned char *data, unsigned n)
{
	struct buf *out = arg;

	buf_add(out, data, n);
	return out->bad ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static cairo_t *begin(const struct pencil *p, cairo_surface_t *on)
{
	cairo_t *cr = p->cairo_create(on);

	p->cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
				  CAIRO_FONT_WEIGHT_NORMAL);
	p->cairo_set_font_size(cr, font);
	return cr;
}

/* How tall it becomes follows from how long the names are; asked on a surface of one point. */
static double picture_height(const struct pencil *p, const struct picture_chart *chart, size_t n)
{
	cairo_surface_t *on = p->cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1, 1);
	cairo_t *cr = begin(p, on);
	double height = 0;

	for (size_t i = 0; i < n; i++)
		height += chart_height(p, cr, &chart[i]);
	p->cairo_destroy(cr);
	p->cairo_surface_destroy(on);
	return height;
}

static cairo_status_t draw_all(const struct pencil *p, cairo_surface_t *on,
			       const struct picture_chart *chart, size_t n)
{
	cairo_t *cr = begin(p, on);
	cairo_status_t status;
	double y = 0;

	p->cairo_set_source_rgb(cr, 1, 1, 1);
	p->cairo_paint(cr);
	for (size_t i = 0; i < n; i++) {
		draw_chart(p, cr, &chart[i], y);
		y += chart_height(p, cr, &chart[i]);
	}
	status = p->cairo_status(cr);
	p->cairo_destroy(cr);
	return status;
}

int picture_make(const struct picture_chart *chart, size_t n, enum picture_kind kind,
		 struct buf *ret)
{
	struct pencil p;
	cairo_surface_t *on;
	cairo_status_t status;
	double height;
	int code = pencil_open(&p);

	if (code)
		return code;
	height = picture_height(&p, chart, n);
	on = kind == PICTURE_SVG
		     ? p.cairo_svg_surface_create_for_stream(keep, ret, PICTURE_WIDTH, height)
		     : p.cairo_image_surface_create(CAIRO_FORMAT_RGB24, PICTURE_WIDTH, (int)height);
	status = draw_all(&p, on, chart, n);
	if (!status && kind == PICTURE_PNG)
		status = p.cairo_surface_write_to_png_stream(on, keep, ret);
	p.cairo_surface_finish(on);
	if (!status)
		status = p.cairo_surface_status(on);
	if (status)
		code = err_set(TT_IO, "cairo cannot draw the charts: %s",
			       p.cairo_status_to_string(status));
	p.cairo_surface_destroy(on);
	return code ? code : buf_check(ret, "the picture");
}
