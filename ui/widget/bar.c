/* Small pictures in one line: progress bars and sparklines. */
#include "ui/widget/bar.h"

#include <math.h>
#include <stdbool.h>

#include "base/array.h"
#include "ui/widget/text.h"

void bar_draw(WINDOW *w, int y, int x, int width, double part, const struct theme *t)
{
	const double clean = part > 0 ? (part < 1 ? part : 1) : 0;
	const int eighths = (int)(clean * width * 8 + 1e-9);

	for (int i = 0; i < width; i++) {
		const int fill = eighths - i * 8;
		static const char *const block[] = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
		const char *c = t->unicode ? "░" : ".";

		if (fill >= 8)
			c = t->unicode ? "█" : "#";
		else if (fill > 0 && t->unicode)
			c = block[fill - 1];
		text_put(w, y, x + i, 1, c);
	}
}

struct range {
	double lo, hi;
};

static struct range range_of(const struct metric_bucket *b, size_t n)
{
	struct range r = { INFINITY, -INFINITY };

	for (size_t i = 0; i < n; i++) {
		if (b[i].min < r.lo)
			r.lo = b[i].min;
		if (b[i].max > r.hi)
			r.hi = b[i].max;
	}
	return r;
}

static const char *level(double part, const struct theme *t)
{
	static const char *const block[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { "_", ".", ",", "-", "=", "+", "*", "#" };
	const int i = part > 0 ? (int)(part * 7.999) : 0;

	return t->unicode && t->charts != CHARTS_ASCII ? block[i] : ascii[i];
}

/* The extreme that tells more: the one farther from what came before. */
static double telling(const struct metric_bucket *b, double before)
{
	if (isnan(before))
		return b->max;
	return fabs(b->max - before) >= fabs(b->min - before) ? b->max : b->min;
}

void spark_draw(WINDOW *w, int y, int x, int width, const struct metric_bucket *b, size_t n,
		const struct theme *t)
{
	const struct range r = range_of(b, n);
	const double span = r.hi - r.lo;
	double before = NAN;

	for (size_t i = 0; i < n && (int)i < width; i++) {
		double v;

		if (!b[i].count)
			continue;
		if (b[i].nans || b[i].infs || isnan(b[i].min)) {
			theme_set(t, w, ROLE_BAD);
			text_put(w, y, x + (int)i, 1, b[i].nans ? "N" : "I");
			theme_set(t, w, ROLE_TEXT);
			continue;
		}
		v = telling(&b[i], before);
		before = b[i].last;
		text_put(w, y, x + (int)i, 1, level(span > 0 ? (v - r.lo) / span : 0, t));
	}
}
