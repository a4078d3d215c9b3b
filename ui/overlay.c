/* Curves of many runs on one axis. */
#include "ui/overlay.h"

#include <stdlib.h>

#include "base/err.h"

static int make_room(struct overlay *o, size_t runs, size_t n)
{
	if (n > o->room) { /* all curves have as many */
		for (size_t i = 0; i < COMPARE_RUNS; i++) {
			free(o->curve[i].bucket);
			free(o->curve[i].smooth);
			o->curve[i].bucket = NULL;
			o->curve[i].smooth = NULL;
		}
		o->room = n;
	}
	for (size_t i = 0; i < runs; i++) {
		struct overlay_curve *c = &o->curve[i];

		c->bucket = c->bucket ? c->bucket : calloc(o->room, sizeof(*c->bucket));
		c->smooth = c->smooth ? c->smooth : calloc(o->room, sizeof(*c->smooth));
		if (!c->bucket || !c->smooth)
			return err_set(TT_NOMEM, "not enough memory for the charts");
	}
	return TT_OK;
}

static int read_span(struct overlay *o, struct store *st, const struct compare *c, const char *key)
{
	int64_t lo = INT64_MAX, hi = -1;

	for (size_t i = 0; i < c->n; i++) {
		int64_t from, to;
		const int code = metric_span(st, c->run[i].run.row, key, &from, &to);

		if (code == TT_NOTFOUND)
			continue;
		if (code)
			return code;
		lo = from < lo ? from : lo;
		hi = to > hi ? to : hi;
	}
	o->lo = hi < 0 ? 0 : lo;
	o->hi = hi < 0 ? 0 : hi;
	return TT_OK;
}

int overlay_read(struct overlay *o, struct store *st, const struct compare *c, const char *key,
		 size_t n)
{
	int code = make_room(o, c->n, n);

	o->n = n;
	if (!code)
		code = read_span(o, st, c, key);
	for (size_t i = 0; !code && i < c->n; i++)
		code = metric_buckets(st, c->run[i].run.row, key, o->lo, o->hi, n,
				      o->curve[i].bucket);
	return code;
}

int overlay_smooth(struct overlay *o, struct store *st, const struct compare *c, const char *key,
		   double decay, bool *ret_more)
{
	int code = TT_OK;

	*ret_more = false;
	for (size_t i = 0; !code && i < c->n; i++) {
		struct ema *e = &o->curve[i].ema;

		if (e->decay != decay || e->attempt != c->run[i].run.attempt)
			ema_start(e, decay, c->run[i].run.attempt);
		code = ema_read(e, st, c->run[i].run.row, key);
		if (!code)
			ema_columns(e, o->curve[i].bucket, o->n, o->curve[i].smooth);
		*ret_more |= e->more;
	}
	return code;
}

void overlay_forget(struct overlay *o)
{
	for (size_t i = 0; i < COMPARE_RUNS; i++)
		ema_start(&o->curve[i].ema, -1, -1); /* no decay is that */
}

void overlay_done(struct overlay *o)
{
	for (size_t i = 0; i < COMPARE_RUNS; i++) {
		free(o->curve[i].bucket);
		free(o->curve[i].smooth);
		ema_done(&o->curve[i].ema);
	}
	*o = (struct overlay){ .n = 0 };
}

size_t overlay_series(const struct overlay *o, const struct compare_columns *k,
		      const char *const *label, bool smooth, struct plot_series *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		for (size_t r = k->at[i]; r < k->at[i + 1]; r++) {
			const struct overlay_curve *c = &o->curve[k->run[r]];

			ret[n++] = (struct plot_series){
				.label = label[i],
				.bucket = c->bucket,
				.smooth = smooth ? c->smooth : NULL,
				.again = r > k->at[i],
			};
		}
	return n;
}
