/*
 * Metric rows, their summaries, and the clean curve.
 *
 * An attempt that resumed from step S makes rows of older attempts after S
 * count no more. Nothing is deleted: each attempt has a span of steps that
 * counts, and the spans follow one another,
 *
 *     attempt 1   0 ........ S2            (cut off where 2 resumed)
 *     attempt 2              S2+1 ..... S3
 *     attempt 3                         S3+1 ....
 *
 * so the clean curve is one range scan per attempt. An attempt from step 0
 * leaves nothing of those before it.
 */
#include "db/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/sql.h"

enum { CHUNK = 64, BUCKETS_MAX = 65536 };

static const int64_t step_max = (int64_t)1 << 46;

struct span {
	int64_t attempt, lo, hi;
};

struct spans {
	struct span *span;
	size_t n;
};

/* --- spans ------------------------------------------------------------------------------- */

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* Newest first, as the table is read; attempt 1 is there even when nobody recorded it (an import). */
static int spans_add(struct spans *s, int64_t attempt, int64_t from, int64_t *hi)
{
	struct span *grown = realloc(s->span, (s->n + 1) * sizeof(*grown));

	if (!grown)
		return err_set(TT_NOMEM, "not enough memory");
	s->span = grown;
	s->span[s->n++] = (struct span){ attempt, from > 0 ? from + 1 : 0, *hi };
	if (from > 0 && from < *hi)
		*hi = from;
	else if (from <= 0)
		*hi = -1;
	return TT_OK;
}

static int spans_load(struct store *st, int64_t run, struct spans *ret)
{
	struct spans s = { NULL, 0 };
	int64_t hi = step_max, attempt = 0;
	sqlite3_stmt *q;
	int got = 0, code = sql_prepare(st,
					"SELECT attempt, from_step FROM attempt WHERE run = ?1 "
					"ORDER BY attempt DESC",
					&q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	while (!code && (got = sql_step(st, q)) > 0) {
		attempt = sqlite3_column_int64(q, 0);
		code = spans_add(&s, attempt, min64(sqlite3_column_int64(q, 1), step_max), &hi);
	}
	sql_done(q);
	if (!code)
		code = got;
	if (!code && attempt != 1)
		code = spans_add(&s, 1, 0, &hi);
	if (code) {
		free(s.span);
		return code;
	}
	*ret = s;
	return TT_OK;
}

/* --- buckets ----------------------------------------------------------------------------- */

static const struct metric_bucket empty = {
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

static void bucket_add(struct metric_bucket *b, int64_t step, double value)
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

/* --- writing ----------------------------------------------------------------------------- */

struct entry {
	int64_t key, step;
	size_t at;
};

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static int check_metric(const struct metric *m)
{
	const size_t size = m->key ? strlen(m->key) : 0;

	if (!size || size > METRIC_KEY_MAX)
		return err_set(TT_INVALID, "a metric key has 1 to %d characters, '%.40s' has %zu",
			       METRIC_KEY_MAX, m->key ? m->key : "", size);
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)m->key[i] <= ' ' || m->key[i] == 0x7f)
			return err_set(
				TT_INVALID,
				"metric key '%.40s' has a space or a control character in it",
				m->key);
	}
	if (m->step < 0 || m->step > step_max)
		return err_set(TT_INVALID, "step %lld of metric '%s' is out of range",
			       (long long)m->step, m->key);
	return TT_OK;
}

/* Sorted by key, then step: rows go in where their neighbours are, and each key and chunk is one group. */
static int entries_make(struct store *st, const struct metric *m, size_t n, struct entry *e)
{
	for (size_t i = 0; i < n; i++) {
		int code = check_metric(&m[i]);

		if (!code)
			code = sql_key_add(st, m[i].key, &e[i].key);
		if (code)
			return code;
		e[i].step = m[i].step;
		e[i].at = i;
	}
	qsort(e, n, sizeof(*e), entry_order);
	return TT_OK;
}

static int put_row(struct store *st, const struct metric_batch *b, const struct entry *e,
		   int64_t now)
{
	const struct metric *m = &b->metric[e->at];
	sqlite3_stmt *q;
	const int code = sql_prepare(st,
				     "INSERT INTO metric (run, key, attempt, step, time, value) "
				     "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE "
				     "SET time = excluded.time, value = excluded.value",
				     &q);

	if (code)
		return code;
	sql_bind_ints(q, 5,
		      (const int64_t[]){ b->run, e->key, b->attempt, e->step,
					 m->time_us ? m->time_us : now });
	sqlite3_bind_double(q, 6, m->value); /* SQLite stores NaN as NULL */
	return sql_write(st, q);
}

/* Finite values or NULL: low and high must stay comparable. */
static void bind_finite(sqlite3_stmt *q, int at, double v)
{
	if (isfinite(v))
		sqlite3_bind_double(q, at, v);
	else
		sqlite3_bind_null(q, at);
}

static int put_last(struct store *st, int64_t run, int64_t key, int64_t time,
		    const struct metric_bucket *b)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(
		st,
		"INSERT INTO last (key, run, step, time, value, low, high) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET "
		"value = iif(excluded.step >= step, excluded.value, value), "
		"time = iif(excluded.step >= step, excluded.time, time), "
		"step = max(step, excluded.step), "
		"low = iif(low IS NULL OR excluded.low < low, excluded.low, low), "
		"high = iif(high IS NULL OR excluded.high > high, excluded.high, high)",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 4, (const int64_t[]){ key, run, b->last_step, time });
	sqlite3_bind_double(q, 5, b->last);
	bind_finite(q, 6, b->min);
	bind_finite(q, 7, b->max);
	return sql_write(st, q);
}

/* Read the chunk's rows again rather than add to the old summary: a replaced value must leave no trace. */
static int chunk_sum(struct store *st, const struct metric_batch *b, const struct entry *e,
		     struct metric_bucket *ret)
{
	const int64_t lo = e->step / CHUNK * CHUNK;
	struct metric_bucket sum = empty;
	sqlite3_stmt *q;
	int got, code = sql_prepare(st,
				    "SELECT step, value FROM metric WHERE run = ?1 AND key = ?2 "
				    "AND attempt = ?3 AND step BETWEEN ?4 AND ?5 ORDER BY step",
				    &q);

	if (code)
		return code;
	sql_bind_ints(q, 5, (const int64_t[]){ b->run, e->key, b->attempt, lo, lo + CHUNK - 1 });
	while ((got = sql_step(st, q)) > 0)
		bucket_add(&sum, sqlite3_column_int64(q, 0), sql_real(q, 1));
	sql_done(q);
	*ret = sum;
	return got;
}

static int put_chunk(struct store *st, const struct metric_batch *b, const struct entry *e)
{
	struct metric_bucket sum;
	sqlite3_stmt *q;
	int code = chunk_sum(st, b, e, &sum);

	if (!code)
		code = sql_prepare(
			st,
			"INSERT OR REPLACE INTO chunk (run, key, attempt, chunk, n, nans, infs, "
			"low, "
			"high, first, last, first_step, last_step) "
			"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
			&q);
	if (code)
		return code;
	sql_bind_ints(q, 7,
		      (const int64_t[]){ b->run, e->key, b->attempt, e->step / CHUNK, sum.count,
					 sum.nans, sum.infs });
	bind_finite(q, 8, sum.min);
	bind_finite(q, 9, sum.max);
	sqlite3_bind_double(q, 10, sum.first);
	sqlite3_bind_double(q, 11, sum.last);
	sqlite3_bind_int64(q, 12, sum.first_step);
	sqlite3_bind_int64(q, 13, sum.last_step);
	return sql_write(st, q);
}

/* All entries of one key, in step order. */
static int put_key(struct store *st, const struct metric_batch *b, const struct entry *e, size_t n,
		   int64_t now)
{
	const struct metric *latest = &b->metric[e[n - 1].at];
	struct metric_bucket all = empty;
	int code = TT_OK;

	for (size_t i = 0; !code && i < n; i++) {
		code = put_row(st, b, &e[i], now);
		bucket_add(&all, e[i].step, b->metric[e[i].at].value);
		if (!code && (i + 1 == n || e[i + 1].step / CHUNK != e[i].step / CHUNK))
			code = put_chunk(st, b, &e[i]);
	}
	return code ? code
		    : put_last(st, b->run, e->key, latest->time_us ? latest->time_us : now, &all);
}

static int put_entries(struct store *st, const struct metric_batch *b, int64_t now)
{
	struct entry *e = calloc(b->n + 1, sizeof(*e));
	int code;

	if (!e)
		return err_set(TT_NOMEM, "not enough memory");
	code = entries_make(st, b->metric, b->n, e);
	for (size_t i = 0, end; !code && i < b->n; i = end) {
		for (end = i + 1; end < b->n && e[end].key == e[i].key; end++)
			;
		code = put_key(st, b, &e[i], end - i, now);
	}
	free(e);
	return code;
}

/* Also the check that the run still exists and that no newer attempt has taken it over. */
static int put_progress(struct store *st, const struct metric_batch *b, int64_t now)
{
	sqlite3_stmt *q;
	int code = sql_prepare(
		st,
		"UPDATE run SET heartbeat = ?3, step = iif(?4 < 0, step, ?4), "
		"epoch = iif(?4 < 0, epoch, ?5) WHERE row = ?1 AND attempt IN (0, ?2)",
		&q);

	if (code)
		return code;
	sql_bind_ints(q, 4, (const int64_t[]){ b->run, b->attempt, now, b->step });
	sqlite3_bind_double(q, 5, isfinite(b->epoch) ? b->epoch : 0);
	code = sql_write(st, q);
	if (!code && !sqlite3_changes(st->db))
		code = err_set(
			TT_NOTFOUND,
			"attempt %d of run number %lld is over: the run was removed, or a newer "
			"attempt has taken it",
			b->attempt, (long long)b->run);
	return code;
}

int metric_batch_add(struct store *st, const struct metric_batch *b)
{
	const int64_t now = b->time_us ? b->time_us : proc_now_us();
	int code;

	if (b->attempt < 1)
		return err_set(TT_INVALID, "attempt %d: attempts count from 1", b->attempt);
	code = store_begin(st);
	if (code)
		return code;
	code = put_progress(st, b, now);
	if (!code && b->n)
		code = put_entries(st, b, now);
	return sql_end(st, code);
}

int metric_add(struct store *st, int64_t run, int attempt, const struct metric *m, size_t n)
{
	const struct metric_batch b = {
		.run = run, .attempt = attempt, .metric = m, .n = n, .step = -1
	};

	return metric_batch_add(st, &b);
}

/* --- reading rows ------------------------------------------------------------------------ */

static int walk_span(struct store *st, int64_t run, int64_t key, const struct span *s,
		     metric_visit *visit, void *arg)
{
	sqlite3_stmt *q;
	int got = 0,
	    code = sql_prepare(st,
			       "SELECT step, time, value FROM metric WHERE run = ?1 AND key = ?2 "
			       "AND attempt = ?3 AND step BETWEEN ?4 AND ?5 ORDER BY step",
			       &q);

	if (code)
		return code;
	sql_bind_ints(q, 5, (const int64_t[]){ run, key, s->attempt, s->lo, s->hi });
	while (!code && (got = sql_step(st, q)) > 0) {
		const struct metric_point p = { sqlite3_column_int64(q, 0),
						sqlite3_column_int64(q, 1), sql_real(q, 2),
						(int)s->attempt };

		code = visit(arg, &p);
	}
	sql_done(q);
	return code ? code : got;
}

/* The clean curve between two steps, within a read that the caller began. */
static int walk(struct store *st, int64_t run, const char *key, int64_t lo, int64_t hi,
		metric_visit *visit, void *arg)
{
	struct spans s;
	int64_t id;
	int code = sql_key_find(st, key, &id);

	if (code || !id)
		return code;
	code = spans_load(st, run, &s);
	if (code)
		return code;
	for (size_t i = s.n; !code && i-- > 0;) {
		const struct span part = { s.span[i].attempt, max64(lo, s.span[i].lo),
					   min64(hi, s.span[i].hi) };

		if (part.lo <= part.hi)
			code = walk_span(st, run, id, &part, visit, arg);
	}
	free(s.span);
	return code;
}

int metric_walk(struct store *st, int64_t run, const char *key, int64_t step_lo,
		metric_visit *visit, void *arg)
{
	int code = sql_begin_read(st);

	if (code)
		return code;
	code = walk(st, run, key, step_lo, step_max, visit, arg);
	if (code > 0) { /* the visitor had enough: not a failure */
		const int ended = sql_end(st, TT_OK);

		return ended ? ended : code;
	}
	return sql_end(st, code);
}

struct points {
	struct metric_point *point;
	size_t n, room;
};

static int points_add(void *arg, const struct metric_point *p)
{
	struct points *all = arg;

	if (all->n == all->room) {
		const size_t room = all->room ? all->room * 2 : 256;
		struct metric_point *grown = realloc(all->point, room * sizeof(*grown));

		if (!grown)
			return err_set(TT_NOMEM, "not enough memory for a curve of %zu points",
				       room);
		all->point = grown;
		all->room = room;
	}
	all->point[all->n++] = *p;
	return TT_OK;
}

/* free() of NULL is fine, but an empty curve is easier to use when it is not NULL. */
static int points_give(struct points *all, int code, struct metric_point **ret, size_t *ret_n)
{
	if (!code && !all->point) {
		all->point = malloc(sizeof(*all->point));
		if (!all->point)
			code = err_set(TT_NOMEM, "not enough memory");
	}
	if (code) {
		free(all->point);
		return code;
	}
	*ret = all->point;
	*ret_n = all->n;
	return TT_OK;
}

int metric_read(struct store *st, int64_t run, const char *key, struct metric_point **ret,
		size_t *ret_n)
{
	struct points all = { NULL, 0, 0 };
	const int code = metric_walk(st, run, key, 0, points_add, &all);

	return points_give(&all, code, ret, ret_n);
}

int metric_read_attempts(struct store *st, int64_t run, const char *key, struct metric_point **ret,
			 size_t *ret_n)
{
	struct points all = { NULL, 0, 0 };
	sqlite3_stmt *q;
	int64_t id;
	int got = 0, code = sql_key_find(st, key, &id);

	if (!code)
		code = sql_prepare(
			st,
			"SELECT step, time, value, attempt FROM metric WHERE run = ?1 AND key = ?2 "
			"ORDER BY attempt, step",
			&q);
	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ run, id });
	while (!code && (got = sql_step(st, q)) > 0) {
		const struct metric_point p = { sqlite3_column_int64(q, 0),
						sqlite3_column_int64(q, 1), sql_real(q, 2),
						sqlite3_column_int(q, 3) };

		code = points_add(&all, &p);
	}
	sql_done(q);
	return points_give(&all, code ? code : got, ret, ret_n);
}

int metric_keys(struct store *st, int64_t run, char ***ret, size_t *ret_n)
{
	sqlite3_stmt *q;
	int code = sql_prepare(st,
			       "SELECT name FROM key WHERE ?1 = 0 OR EXISTS "
			       "(SELECT 1 FROM last WHERE key = key.id AND run = ?1) ORDER BY name",
			       &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	code = sql_texts(st, q, ret, ret_n);
	sql_done(q);
	return code;
}

int metric_last(struct store *st, int64_t run, struct metric_last **ret, size_t *ret_n)
{
	static const size_t field[] = { offsetof(struct metric_last, key) };
	struct sql_rows rows = { .row_size = sizeof(struct metric_last) };
	sqlite3_stmt *q;
	void *block;
	int got = 0,
	    code = sql_prepare(st,
			       "SELECT k.name, l.step, l.time, l.value, l.low, l.high FROM key k "
			       "CROSS JOIN last l ON l.key = k.id AND l.run = ?1 ORDER BY k.name",
			       &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	while (!code && (got = sql_step(st, q)) > 0) {
		const struct metric_last row = { .step = sqlite3_column_int64(q, 1),
						 .time_us = sqlite3_column_int64(q, 2),
						 .value = sql_real(q, 3),
						 .min = sql_real(q, 4),
						 .max = sql_real(q, 5) };

		code = sql_rows_text(&rows, sql_text(q, 0));
		if (!code)
			code = sql_rows_add(&rows, &row);
	}
	sql_done(q);
	if (!code)
		code = got;
	if (!code)
		code = sql_rows_pack(&rows, field, 1, &block, ret_n);
	if (!code)
		*ret = block;
	sql_rows_done(&rows);
	return code;
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
	return sum->count > 0 && sum->count <= CHUNK && sum->nans >= 0 && sum->infs >= 0 &&
	       sum->nans <= sum->count && sum->infs <= sum->count && sum->first_step >= 0 &&
	       sum->first_step <= sum->last_step && sum->last_step - sum->first_step < CHUNK;
}

/* A summary whose steps all count and share a bucket is taken whole; else its rows are read. */
static int cut_chunk(struct cut *c, const struct span *s, const struct metric_bucket *sum)
{
	const bool inside = sum->first_step >= s->lo && sum->last_step <= s->hi;
	struct span rows = { s->attempt, max64(s->lo, sum->first_step),
			     min64(s->hi, sum->last_step) };

	if (inside && cut_index(c, sum->first_step) == cut_index(c, sum->last_step)) {
		bucket_merge(&c->bucket[cut_index(c, sum->first_step)], sum);
		return TT_OK;
	}
	return rows.lo > rows.hi ? TT_OK : walk_span(c->st, c->run, c->key, &rows, cut_point, c);
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
	sql_bind_ints(
		q, 5,
		(const int64_t[]){ c->run, c->key, s->attempt, s->lo / CHUNK, s->hi / CHUNK });
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
			  2 * CHUNK; /* summaries would seldom fit */
	struct spans s;
	int code = spans_load(c->st, c->run, &s);

	if (code)
		return code;
	for (size_t i = s.n; !code && i-- > 0;) {
		const struct span part = { s.span[i].attempt, max64(c->lo, s.span[i].lo),
					   min64(c->hi, s.span[i].hi) };

		if (part.lo > part.hi)
			continue;
		code = fine ? walk_span(c->st, c->run, c->key, &part, cut_point, c)
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

	if (step_lo < 0 || step_hi < step_lo || step_hi > step_max || !n || n > BUCKETS_MAX)
		return err_set(TT_INVALID, "%zu buckets over steps %lld to %lld are out of range",
			       n, (long long)step_lo, (long long)step_hi);
	c.bucket = malloc(n * sizeof(*c.bucket));
	if (!c.bucket)
		return err_set(TT_NOMEM, "not enough memory");
	for (size_t i = 0; i < n; i++)
		c.bucket[i] = empty;
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
		*lo = min64(*lo, sqlite3_column_int64(q, 0));
		*hi = max64(*hi, sqlite3_column_int64(q, 1));
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
		code = spans_load(st, run, &s);
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
	if (lo < 0 || hi < lo || hi > step_max)
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

/* --- for db/run.c ------------------------------------------------------------------------ */

static int first_time(void *arg, const struct metric_point *p)
{
	*(int64_t *)arg = p->time_us;
	return 1;
}

static int relast_key(struct store *st, int64_t run, const char *key)
{
	struct metric_bucket all;
	int64_t id, time = 0;
	sqlite3_stmt *q;
	int code = sql_key_find(st, key, &id);

	if (!code)
		code = metric_buckets(st, run, key, 0, step_max, 1, &all);
	if (!code)
		code = sql_prepare(st, "DELETE FROM last WHERE key = ?1 AND run = ?2", &q);
	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, run });
	code = sql_write(st, q);
	if (code || !all.count)
		return code;
	code = walk(st, run, key, all.last_step, step_max, first_time, &time);
	return code < 0 ? code : put_last(st, run, id, time, &all);
}

int metric_relast(struct store *st, int64_t run)
{
	char **key;
	size_t n;
	int code = metric_keys(st, run, &key, &n);

	if (code)
		return code;
	for (size_t i = 0; !code && i < n; i++)
		code = relast_key(st, run, key[i]);
	free(key);
	return code;
}

struct best {
	bool any, greater;
	double value;
	int64_t step;
};

static int best_visit(void *arg, const struct metric_point *p)
{
	struct best *b = arg;

	if (isfinite(p->value) &&
	    (!b->any || (b->greater ? p->value > b->value : p->value < b->value))) {
		b->any = true;
		b->value = p->value;
		b->step = p->step;
	}
	return TT_OK;
}

int metric_best(struct store *st, int64_t run, const char *key, bool greater, bool *ret_any,
		double *ret_value, int64_t *ret_step)
{
	struct best b = { .greater = greater };
	const int code = metric_walk(st, run, key, 0, best_visit, &b);

	if (code)
		return code;
	*ret_any = b.any;
	*ret_value = b.value;
	*ret_step = b.step;
	return TT_OK;
}
