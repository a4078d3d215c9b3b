/* Charts as pictures: no spike is lost, what is not a number is a letter, and odd data breaks nothing. */
#include "tests/check.h"

#include <cairo.h>
#include <stdlib.h>

#include "base/array.h"
#include "ui/picture.h"

/* Where the only chart of a picture with one line of names stands; see ui/picture.c. */
enum { LEFT = 76, TOP = 52, TALL = 260 };

static struct metric_bucket bucket[2][PICTURE_COLUMNS];

/* A curve of n steps that is 0.5, but `odd` at one. */
static void cut(struct metric_bucket *b, int64_t n, int64_t at, double odd)
{
	for (int i = 0; i < PICTURE_COLUMNS; i++)
		b[i] = (struct metric_bucket){ .min = NAN, .max = NAN, .first = NAN, .last = NAN };
	for (int64_t s = 0; s < n; s++) {
		struct metric_bucket *to = &b[plot_bucket_of(s, 0, n - 1, PICTURE_COLUMNS)];
		const double v = s == at ? odd : 0.5;

		if (!to->count++)
			to->first = v;
		to->last = v;
		to->nans += isnan(v);
		to->infs += isinf(v) != 0;
		if (isfinite(v)) {
			to->min = fmin(to->min, v);
			to->max = fmax(to->max, v);
		}
	}
}

static int make(const char *name, size_t n, int64_t steps, bool log, enum picture_kind kind,
		struct buf *out)
{
	const struct plot_series series[] = { { .label = name, .bucket = bucket[0] },
					      { .label = "other", .bucket = bucket[1] } };
	const struct picture_chart chart = { .title = "train/loss",
					     .series = series,
					     .n = n,
					     .lo = 0,
					     .hi = steps - 1,
					     .log = log };

	buf_init(out, (size_t)64 << 20);
	return picture_make(&chart, 1, kind, out);
}

struct reader {
	const struct buf *from;
	size_t at;
};

static cairo_status_t next_bytes(void *arg, unsigned char *data, unsigned n)
{
	struct reader *r = arg;

	if (r->at + n > r->from->size)
		return CAIRO_STATUS_READ_ERROR;
	memcpy(data, r->from->data + r->at, n);
	r->at += n;
	return CAIRO_STATUS_SUCCESS;
}

/* How many dots of a part of the chart are of a strong colour: neither white, grey nor black. */
static int coloured(cairo_surface_t *png, int x, int y, int cols, int rows)
{
	const unsigned char *data = cairo_image_surface_get_data(png);
	const int stride = cairo_image_surface_get_stride(png);
	int n = 0;

	for (int i = y; i < y + rows; i++)
		for (int k = x; k < x + cols; k++) {
			const unsigned char *p = data + i * stride + k * 4;
			const int most = p[0] > p[1] ? (p[0] > p[2] ? p[0] : p[2])
						     : (p[1] > p[2] ? p[1] : p[2]);
			const int least = p[0] < p[1] ? (p[0] < p[2] ? p[0] : p[2])
						      : (p[1] < p[2] ? p[1] : p[2]);

			n += most - least > 60;
		}
	return n;
}

static cairo_surface_t *read_back(const struct buf *png)
{
	struct reader r = { png, 0 };
	cairo_surface_t *s = cairo_image_surface_create_from_png_stream(next_bytes, &r);

	CHECK(cairo_surface_status(s) == CAIRO_STATUS_SUCCESS);
	return s;
}

/* One step in a hundred thousand reaches the top of the chart, in its own column and nowhere else. */
static void spike(void)
{
	enum { STEPS = 100000, AT = 77777 };
	const int col = LEFT + AT * (int64_t)PICTURE_COLUMNS / STEPS;
	cairo_surface_t *s;
	struct buf png;

	cut(bucket[0], STEPS, AT, 5);
	CHECK(!make("one", 1, STEPS, false, PICTURE_PNG, &png));
	s = read_back(&png);
	CHECK(cairo_image_surface_get_width(s) == PICTURE_WIDTH);
	CHECK(coloured(s, col - 2, TOP + 2, 5, 20) > 10);
	CHECK(coloured(s, LEFT + 2, TOP + 2, col - LEFT - 6, 20) == 0);
	CHECK(coloured(s, col + 4, TOP + 2, LEFT + PICTURE_COLUMNS - col - 6, 20) == 0);
	CHECK(coloured(s, LEFT + 2, TOP + TALL - 3, 100, 6) > 90); /* the rest is at the foot */
	cairo_surface_destroy(s);
	buf_done(&png);
}

static void letters(void)
{
	const double odd[] = { NAN, INFINITY, -INFINITY };
	cairo_surface_t *s;
	struct buf png;

	for (size_t i = 0; i < COUNT(odd); i++) {
		cut(bucket[0], 8000, 4005, odd[i]);
		CHECK(!make("one", 1, 8000, false, PICTURE_PNG, &png));
		s = read_back(&png);
		CHECK(coloured(s, LEFT + 390, TOP + 2, 20, 12) > (isnan(odd[i]) ? 15 : 5));
		CHECK(coloured(s, LEFT + 10, TOP + 2, 370, 12) == 0);
		cairo_surface_destroy(s);
		buf_done(&png);
	}
	cut(bucket[0], 8000, 4005, -1); /* a log axis has no place for it */
	CHECK(!make("one", 1, 8000, true, PICTURE_PNG, &png));
	s = read_back(&png);
	CHECK(coloured(s, LEFT + 390, TOP + TALL - 12, 20, 10) > 5);
	cairo_surface_destroy(s);
	buf_done(&png);
}

/* cairo numbers what it makes, so that an SVG is the same in a new process only: see tests/cli/compare.sh. */
static void same_again(void)
{
	struct buf a, b;

	cut(bucket[0], 3000, 5, 1);
	cut(bucket[1], 3000, 9, 2);
	CHECK(!make("one", 2, 3000, false, PICTURE_PNG, &a));
	CHECK(!make("one", 2, 3000, false, PICTURE_PNG, &b));
	CHECK(a.size == b.size && !memcmp(a.data, b.data, a.size));
	buf_done(&a);
	buf_done(&b);
	CHECK(!make("one", 2, 3000, false, PICTURE_SVG, &a));
	CHECK(!strncmp(a.data, "<?xml", 5) && strstr(a.data, "</svg>"));
	buf_done(&a);
}

static void odd_data(void)
{
	static const struct {
		int64_t steps;
		double value;
	} cases[] = { { 1, 0.5 },    { 1, NAN },    { 2, INFINITY }, { 3, 1e300 },
		      { 3, -1e300 }, { 3, 1e-300 }, { 3, 5e16 },     { 9, 0.5 } };
	static const char hostile[] = "\xff\xc3 \033[2J <b>&amp;\"\n\u202e";
	struct buf out;

	for (size_t i = 0; i < COUNT(cases); i++)
		for (int log = 0; log < 2; log++) {
			cut(bucket[0], cases[i].steps, 0, cases[i].value);
			CHECK(!make(hostile, 1, cases[i].steps, log, PICTURE_SVG, &out));
			CHECK(!strstr(out.data, "\033") && !strstr(out.data, "nan"));
			buf_done(&out);
		}
	cut(bucket[0], 0, 0, 0);
	CHECK(!make("nothing", 1, 1, false, PICTURE_SVG, &out));
	buf_done(&out);
	buf_init(&out, 100); /* a disk that is full, as it were */
	CHECK(picture_make(&(const struct picture_chart){ .title = "x" }, 1, PICTURE_PNG, &out) !=
	      0);
	buf_done(&out);
}

int main(void)
{
	spike();
	letters();
	same_again();
	odd_data();
	return check_done();
}
