/* Smoothed curves. */
#include "ui/ema.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"

enum { PART = 20000 }; /* points a call: some 10 ms, so that keys are not kept waiting */

void ema_start(struct ema *e, double decay, int attempt)
{
	ema_done(e);
	*e = (struct ema){ .decay = decay, .attempt = attempt, .step = -1, .more = true };
}

void ema_done(struct ema *e)
{
	free(e->point);
	e->point = NULL;
	e->count = e->room = 0;
}

static bool grow(struct ema *e)
{
	const size_t room = e->room ? e->room * 2 : 1024;
	struct ema_point *p = realloc(e->point, room * sizeof(*p));

	if (!p)
		return false;
	e->point = p;
	e->room = room;
	return true;
}

void ema_add(struct ema *e, int64_t step, double value)
{
	const double fade = e->step < 0 ? 0 : pow(e->decay, (double)(step - e->step));

	if (!isfinite(value) || (e->count == e->room && !grow(e)))
		return;
	e->s = e->s * fade + value;
	e->n = e->n * fade + 1;
	e->step = step;
	e->point[e->count++] = (struct ema_point){ step, e->s / e->n };
}

struct part {
	struct ema *e;
	int64_t from;
	int n;
};

static int visit(void *arg, const struct metric_point *p)
{
	struct part *part = arg;

	if (p->step <= part->from)
		return 0;
	ema_add(part->e, p->step, p->value);
	return ++part->n >= PART;
}

int ema_read(struct ema *e, struct store *st, int64_t run, const char *key)
{
	struct part part = { .e = e, .from = e->step };
	const int code = metric_walk(st, run, key, e->step + 1, visit, &part);

	e->more = code > 0;
	return code < 0 ? code : TT_OK;
}

/* The last point at or before a step; -1: none. */
static int64_t find(const struct ema *e, int64_t step)
{
	size_t lo = 0, hi = e->count;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (e->point[mid].step <= step)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int64_t)lo - 1;
}

void ema_columns(const struct ema *e, const struct metric_bucket *b, size_t n, double *ret)
{
	for (size_t i = 0; i < n; i++) {
		const int64_t at = b[i].count ? find(e, b[i].last_step) : -1;

		ret[i] = at >= 0 && e->point[at].step >= b[i].first_step ? e->point[at].value : NAN;
	}
}
