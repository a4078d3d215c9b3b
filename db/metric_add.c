/* Metric rows as they are written, with their summaries and latest values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proc.h"
#include "db/curve.h"

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
	if (m->step < 0 || m->step > curve_step_max)
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
	const int64_t lo = e->step / CURVE_CHUNK * CURVE_CHUNK;
	struct metric_bucket sum = bucket_empty;
	sqlite3_stmt *q;
	int got, code = sql_prepare(st,
				    "SELECT step, value FROM metric WHERE run = ?1 AND key = ?2 "
				    "AND attempt = ?3 AND step BETWEEN ?4 AND ?5 ORDER BY step",
				    &q);

	if (code)
		return code;
	sql_bind_ints(q, 5,
		      (const int64_t[]){ b->run, e->key, b->attempt, lo, lo + CURVE_CHUNK - 1 });
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
		      (const int64_t[]){ b->run, e->key, b->attempt, e->step / CURVE_CHUNK,
					 sum.count, sum.nans, sum.infs });
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
	struct metric_bucket all = bucket_empty;
	int code = TT_OK;

	for (size_t i = 0; !code && i < n; i++) {
		code = put_row(st, b, &e[i], now);
		bucket_add(&all, e[i].step, b->metric[e[i].at].value);
		if (!code && (i + 1 == n || e[i + 1].step / CURVE_CHUNK != e[i].step / CURVE_CHUNK))
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
		code = metric_buckets(st, run, key, 0, curve_step_max, 1, &all);
	if (!code)
		code = sql_prepare(st, "DELETE FROM last WHERE key = ?1 AND run = ?2", &q);
	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, run });
	code = sql_write(st, q);
	if (code || !all.count)
		return code;
	code = metric_walk(st, run, key, all.last_step, first_time, &time);
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
