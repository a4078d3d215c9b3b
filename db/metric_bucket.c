/* A curve cut into spans of steps: summaries of 64 steps are taken whole where they fit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "db/curve.h"

enum { BUCKETS_MAX = 65536 };

/* --- buckets ----------------------------------------------------------------------------- */

const struct metric_bucket bucket_empty = {
	.min = (double)NAN, .max = (double)NAN, .first = (double)NAN, .last = (double)NAN
};

static void bucket_ends(struct metric_bucket *b, const struct metric_bucket *more)
{
	if (!b->count) {
		b->first = more->first;
		b->first_step = more->first_step;
	}
	b->last = more->last;
	b->last_step = more->last_step;
}

/* Later steps are merged after earlier ones. */
static void bucket_merge(struct metric_bucket *b, const struct metric_bucket *more)
{
	bucket_ends(b, more);
	b->count += more->count;
	b->nans += more->nans;
	b->infs += more->infs;
	if (isnan(b->min) || more->min < b->min)
		b->min = more->min;
	if (isnan(b->max) || more->max > b->max)
		b->max = more->max;
}

void bucket_add(struct metric_bucket *b, int64_t step, double value)
{
	const double finite = isfinite(value) ? value : (double)NAN;
	const struct metric_bucket one = { .count = 1,
					   .nans = isnan(value),
					   .infs = isinf(value) != 0,
					   .min = finite,
					   .max = finite,
					   .first = value,
					   .last = value,
					   .first_step = step,
					   .last_step = step };

	bucket_merge(b, &one);
}

/* --- reading buckets --------------------------------------------------------------------- */

struct cut {
	struct store *st;
	int64_t run, key;
	int64_t lo, hi;
	size_t n;
	struct metric_bucket *bucket;
};

/* Steps are below 2^47 and n is at most 2^16, so the product stays below 2^63. */
static size_t cut_index(const struct cut *c, int64_t step)
{
	return (size_t)((step - c->lo) * (int64_t)c->n / (c->hi - c->lo + 1));
}

/* A damaged file may hand out rows that were not asked for. */
static int cut_point(void *arg, const struct metric_point *p)
{
	struct cut *c = arg;

	if (p->step < c->lo || p->step > c->hi)
		return TT_OK;
	bucket_add(&c->bucket[cut_index(c, p->step)], p->step, p->value);
	return TT_OK;
}

static bool chunk_sound(const struct metric_bucket *sum)
{
	return sum->count > 0 && sum->count <= CURVE_CHUNK && sum->nans >= 0 && sum->infs >= 0 &&
	       sum->nans <= sum->count && sum->infs <= sum->count && sum->first_step >= 0 &&
	       sum->first_step <= sum->last_step && sum->last_step - sum->first_step < CURVE_CHUNK;
}

/* A summary whose steps all count and share a bucket is taken whole; else its rows are read. */
static int cut_chunk(struct cut *c, const struct span *s, const struct metric_bucket *sum)
{
	const bool inside = sum->first_step >= s->lo && sum->last_step <= s->hi;
	const struct span rows = curve_cut(s, sum->first_step, sum->last_step);

	if (inside && cut_index(c, sum->first_step) == cut_index(c, sum->last_step)) {
		bucket_merge(&c->bucket[cut_index(c, sum->first_step)], sum);
		return TT_OK;
	}
	return rows.lo > rows.hi ? TT_OK : curve_walk(c->st, c->run, c->key, &rows, cut_point, c);
}

static int cut_span(struct cut *c, const struct span *s)
{
	sqlite3_stmt *q;
	int got = 0, code = sql_prepare(
			     c->st,
			     "SELECT n, nans, infs, low, high, first, last, first_step, last_step "
			     "FROM chunk WHERE run = ?1 AND key = ?2 AND attempt = ?3 "
			     "AND chunk BETWEEN ?4 AND ?5 ORDER BY chunk",
			     &q);

	if (code)
		return code;
	sql_bind_ints(q, 5,
		      (const int64_t[]){ c->run, c->key, s->attempt, s->lo / CURVE_CHUNK,
					 s->hi / CURVE_CHUNK });
	while (!code && (got = sql_step(c->st, q)) > 0) {
		const struct metric_bucket sum = { .count = sqlite3_column_int64(q, 0),
						   .nans = sqlite3_column_int64(q, 1),
						   .infs = sqlite3_column_int64(q, 2),
						   .min = sql_real(q, 3),
						   .max = sql_real(q, 4),
						   .first = sql_real(q, 5),
						   .last = sql_real(q, 6),
						   .first_step = sqlite3_column_int64(q, 7),
						   .last_step = sqlite3_column_int64(q, 8) };

		code = chunk_sound(&sum) ? cut_chunk(c, s, &sum)
					 : err_set(TT_IO,
						   "the run log '%s' is damaged: a summary of a "
						   "curve makes no sense",
						   store_path(c->st));
	}
	sql_done(q);
	return code ? code : got;
}

static int cut_run(struct cut *c)
{
	const bool fine = (c->hi - c->lo) / (int64_t)c->n <
			  2 * CURVE_CHUNK; /* summaries would seldom fit */
	struct spans s;
	int code = curve_spans(c->st, c->run, &s);

	if (code)
		return code;
	for (size_t i = s.n; !code && i-- > 0;) {
		const struct span part = curve_cut(&s.span[i], c->lo, c->hi);

		if (part.lo > part.hi)
			continue;
		code = fine ? curve_walk(c->st, c->run, c->key, &part, cut_point, c)
			    : cut_span(c, &part);
	}
	free(s.span);
	return code;
}

int metric_buckets(struct store *st, int64_t run, const char *key, int64_t step_lo, int64_t step_hi,
		   size_t n, struct metric_bucket *ret)
{
	struct cut c = { .st = st, .run = run, .lo = step_lo, .hi = step_hi, .n = n };
	int code;

	if (step_lo < 0 || step_hi < step_lo || step_hi > curve_step_max || !n || n > BUCKETS_MAX)
		return err_set(TT_INVALID, "%zu buckets over steps %lld to %lld are out of range",
			       n, (long long)step_lo, (long long)step_hi);
	c.bucket = malloc(n * sizeof(*c.bucket));
	if (!c.bucket)
		return err_set(TT_NOMEM, "not enough memory");
	for (size_t i = 0; i < n; i++)
		c.bucket[i] = bucket_empty;
	code = sql_begin_read(st);
	if (!code) {
		code = sql_key_find(st, key, &c.key);
		if (!code && c.key)
			code = cut_run(&c);
		code = sql_end(st, code);
	}
	if (!code)
		memcpy(ret, c.bucket, n * sizeof(*ret));
	free(c.bucket);
	return code;
}

/* First and last step within one span, if it has any. */
static int span_ends(struct store *st, int64_t run, int64_t key, const struct span *s, int64_t *lo,
		     int64_t *hi)
{
	sqlite3_stmt *q;
	int got, code = sql_prepare(
			 st,
			 "SELECT (SELECT min(step) FROM metric WHERE run = ?1 AND key = ?2 "
			 "AND attempt = ?3 AND step BETWEEN ?4 AND ?5), (SELECT max(step) FROM "
			 "metric "
			 "WHERE run = ?1 AND key = ?2 AND attempt = ?3 AND step BETWEEN ?4 AND ?5)",
			 &q);

	if (code)
		return code;
	sql_bind_ints(q, 5, (const int64_t[]){ run, key, s->attempt, s->lo, s->hi });
	got = sql_step(st, q);
	if (got > 0 && sqlite3_column_type(q, 0) != SQLITE_NULL) {
		const int64_t first = sqlite3_column_int64(q, 0);
		const int64_t last = sqlite3_column_int64(q, 1);

		*lo = first < *lo ? first : *lo;
		*hi = last > *hi ? last : *hi;
	}
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

int metric_span(struct store *st, int64_t run, const char *key, int64_t *ret_lo, int64_t *ret_hi)
{
	struct spans s;
	int64_t id, lo = INT64_MAX, hi = -1;
	int code = sql_key_find(st, key, &id);

	if (!code && id)
		code = curve_spans(st, run, &s);
	if (code)
		return code;
	for (size_t i = 0; id && !code && i < s.n; i++)
		code = span_ends(st, run, id, &s.span[i], &lo, &hi);
	if (id)
		free(s.span);
	if (code)
		return code;
	if (hi < 0)
		return err_set(TT_NOTFOUND, "the run has no values of '%s'", key);
	if (lo < 0 || hi < lo || hi > curve_step_max)
		return err_set(TT_IO, "the run log '%s' is damaged: steps of '%s' are out of range",
			       store_path(st), key);
	*ret_lo = lo;
	*ret_hi = hi;
	return TT_OK;
}

int metric_spark(struct store *st, int64_t run, const char *key, size_t n,
		 struct metric_bucket *ret, size_t *ret_n)
{
	int64_t lo, hi;
	int code = metric_span(st, run, key, &lo, &hi);

	if (code == TT_NOTFOUND) {
		*ret_n = 0;
		return TT_OK;
	}
	if (code)
		return code;
	if ((int64_t)n > hi - lo + 1)
		n = (size_t)(hi - lo + 1);
	code = metric_buckets(st, run, key, lo, hi, n, ret);
	if (!code)
		*ret_n = n;
	return code;
}
