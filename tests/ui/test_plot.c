/* Charts: no spike is lost, what is not a number is a mark, and odd data breaks nothing. */
#include "tests/check.h"

#include "base/array.h"
#include "tests/ui/stage.h"
#include "ui/widget/bar.h"
#include "ui/widget/plot.h"

enum { TALL = 12, WIDE = 50, MOST = 256 };

/* Cut values of steps 0 .. n-1 into buckets, as the store does. */
static void cut(const double *v, int64_t n, size_t buckets, struct metric_bucket *ret)
{
	for (size_t i = 0; i < buckets; i++)
		ret[i] = (struct metric_bucket){
			.min = NAN, .max = NAN, .first = NAN, .last = NAN
		};
	for (int64_t s = 0; s < n; s++) {
		struct metric_bucket *b = &ret[plot_bucket_of(s, 0, n - 1, buckets)];

		if (!b->count++) {
			b->first = v[s];
			b->first_step = s;
		}
		b->last = v[s];
		b->last_step = s;
		b->nans += isnan(v[s]);
		b->infs += isinf(v[s]) != 0;
		if (!isfinite(v[s]))
			continue;
		if (!(b->min <= v[s]))
			b->min = v[s];
		if (!(b->max >= v[s]))
			b->max = v[s];
	}
}

static void draw_one(struct stage *s, const double *v, int64_t n, bool log)
{
	static struct metric_bucket bucket[MOST];
	const struct plot_series series = { .label = "x", .bucket = bucket };
	const struct plot p = { .rows = TALL,
				.cols = WIDE,
				.title = "curve",
				.brief = "curve",
				.series = &series,
				.n = 1,
				.lo = 0,
				.hi = n - 1,
				.log = log,
				.cursor = -1 };

	cut(v, n, plot_buckets(WIDE, &s->app.theme), bucket);
	(void)werase(s->w);
	plot_draw(s->w, &p, &s->app.theme);
}

/* Does the chart have anything in this row of its canvas? */
static bool row_used(const struct stage *s, int row)
{
	wchar_t wide[WIDE + 1];

	(void)mvwinnwstr(s->w, 1 + row, PLOT_AXIS + 1, wide, WIDE - PLOT_AXIS - 1);
	return wcsspn(wide, L" ") < wcslen(wide);
}

static void spike_is_seen(struct stage *s)
{
	static double v[100000];

	for (size_t at = 0; at < COUNT(v); at += 9973) {
		for (size_t i = 0; i < COUNT(v); i++)
			v[i] = i == at ? 9 : 0.5;
		draw_one(s, v, COUNT(v), false);
		CHECK_NAMED(row_used(s, 0) && row_used(s, TALL - 3), "one spike in 100,000 points");
	}
}

static void odd_values(struct stage *s)
{
	double v[200];

	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = 0.5;
	draw_one(s, v, COUNT(v), false);
	CHECK(row_used(s, 4) || row_used(s, 5)); /* a constant stands in the middle */
	CHECK(!row_used(s, 0) && stage_shows(s, "0.5500") && stage_shows(s, "0.4500"));
	v[50] = NAN;
	v[150] = INFINITY;
	draw_one(s, v, COUNT(v), false);
	CHECK(stage_shows(s, "N"));
	CHECK(stage_shows(s, "I"));
	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = NAN;
	draw_one(s, v, COUNT(v), false);
	CHECK(stage_shows(s, "nothing finite") && stage_shows(s, "N"));
	draw_one(s, v, 0, false);
	CHECK(stage_shows(s, "no values yet") && stage_shows(s, "curve -"));
	v[0] = 3;
	draw_one(s, v, 1, false);
	CHECK(stage_shows(s, "3.0000"));
	v[0] = 1.7e308;
	v[1] = -1.7e308; /* a span that does not fit a double */
	draw_one(s, v, 2, false);
	CHECK(stage_shows(s, "curve"));
}

static void log_axis(struct stage *s)
{
	double v[200];

	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = pow(10, (double)i / 50 - 2);
	draw_one(s, v, COUNT(v), true);
	CHECK(stage_shows(s, "0.0100") && stage_shows(s, "log"));
	CHECK(!stage_shows(s, "v "));
	v[20] = 0;
	v[120] = -4;
	draw_one(s, v, COUNT(v), true);
	CHECK(stage_shows(s, "v")); /* what a log axis cannot show has a mark */
	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = -1;
	draw_one(s, v, COUNT(v), true);
	CHECK(stage_shows(s, "nothing above zero"));
	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = 1e-5;
	draw_one(s, v, COUNT(v), true);
	CHECK(stage_shows(s, "2e-05") && stage_shows(s, "5e-06"));
}

/* Every size, every kind of charts: nothing is written outside the chart. */
static void stays_inside(struct stage *s)
{
	static struct metric_bucket bucket[MOST];
	static const struct event events[] = { { 1, 0, 0, "checkpoint", "" },
					       { 2, 99, 0, "x", "" },
					       { 3, 500, 0, "y", "" } };
	struct plot_series series[2] = { { .label = "a", .bucket = bucket },
					 { .label = "b", .bucket = bucket } };
	double v[100];
	bool clean = true;

	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = sin((double)i / 9);
	for (int kind = 0; kind < CHARTS_KINDS; kind++)
		for (int cols = 0; cols <= WIDE; cols++)
			for (int rows = 0; rows <= TALL; rows++) {
				const struct plot p = { .y = 3,
							.x = 5,
							.rows = rows,
							.cols = cols,
							.title = "t",
							.brief = "t",
							.series = series,
							.n = 2,
							.lo = 0,
							.hi = 99,
							.cursor = cols % 3 ? -1 : 40,
							.event = events,
							.event_n = COUNT(events) };
				char line[4096];

				s->app.theme.charts = (enum charts)kind;
				cut(v, COUNT(v), plot_buckets(cols, &s->app.theme), bucket);
				(void)werase(s->w);
				plot_draw(s->w, &p, &s->app.theme);
				for (int y = 0; y < 24; y++) {
					stage_line(s, y, line, sizeof(line));
					if ((y < 3 || y >= 3 + rows) ? line[0] != 0
								     : text_width(line) > 5 + cols)
						clean = false;
				}
			}
	s->app.theme.charts = CHARTS_BRAILLE;
	CHECK(clean);
}

static void buckets_agree(void)
{
	CHECK(plot_bucket_of(0, 0, 99, 10) == 0);
	CHECK(plot_bucket_of(9, 0, 99, 10) == 0);
	CHECK(plot_bucket_of(10, 0, 99, 10) == 1);
	CHECK(plot_bucket_of(99, 0, 99, 10) == 9);
	CHECK(plot_bucket_of(-5, 0, 99, 10) == 0);
	CHECK(plot_bucket_of(500, 0, 99, 10) == 9);
	CHECK(plot_bucket_of(7, 7, 7, 10) == 0);
	CHECK(plot_bucket_of(29, 0, 99, 100) == 29); /* 29 / 100 * 100 is less than 29 in doubles */
	CHECK(plot_bucket_of(INT64_C(1) << 45, 0, (INT64_C(1) << 46) - 1, 65536) == 32768);
	CHECK(plot_event_letter("checkpoint") == 'c' && plot_event_letter("\033[2J") == '*');
}

static void sparks(struct stage *s)
{
	struct metric_bucket b[8];
	char line[4096];

	for (size_t i = 0; i < COUNT(b); i++)
		b[i] = (struct metric_bucket){
			.count = 9, .min = 1, .max = 1, .first = 1, .last = 1
		};
	b[3].max = 9; /* seen although the column's other values are low */
	b[5].nans = 1;
	b[6].min = -9;
	(void)werase(s->w);
	spark_draw(s->w, 0, 0, 8, b, COUNT(b), &s->app.theme);
	stage_line(s, 0, line, sizeof(line));
	CHECK_STR(line, "▅▅▅█▅N▁▅");
	(void)werase(s->w);
	bar_draw(s->w, 0, 0, 4, 0.5 + 1.0 / 32, &s->app.theme);
	bar_draw(s->w, 1, 0, 4, 7, &s->app.theme);
	bar_draw(s->w, 2, 0, 4, NAN, &s->app.theme);
	stage_line(s, 0, line, sizeof(line));
	CHECK_STR(line, "██▏░");
	stage_line(s, 1, line, sizeof(line));
	CHECK_STR(line, "████");
	stage_line(s, 2, line, sizeof(line));
	CHECK_STR(line, "░░░░");
}

int main(void)
{
	struct stage s;

	stage_open(&s, "C.UTF-8", "xterm-256color");
	for (int kind = 0; kind < CHARTS_KINDS; kind++) {
		s.app.theme.charts = (enum charts)kind;
		spike_is_seen(&s);
		odd_values(&s);
		log_axis(&s);
	}
	s.app.theme.charts = CHARTS_BRAILLE;
	stays_inside(&s);
	sparks(&s);
	stage_close(&s);
	buckets_agree();
	return check_done();
}
