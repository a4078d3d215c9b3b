/*
 * Metric rows as they are read, and the clean curve.
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

#include "base/err.h"
#include "db/curve.h"

/* --- spans ------------------------------------------------------------------------------- */

struct span curve_cut(const struct span *s, int64_t lo, int64_t hi)
{
	return (struct span){ s->attempt, lo > s->lo ? lo : s->lo, hi < s->hi ? hi : s->hi };
}

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

int curve_spans(struct store *st, int64_t run, struct spans *ret)
{
	struct spans s = { NULL, 0 };
	int64_t hi = curve_step_max, attempt = 0;
	sqlite3_stmt *q;
	int got = 0, code = sql_prepare(st,
					"SELECT attempt, from_step FROM attempt WHERE run = ?1 "
					"ORDER BY attempt DESC",
					&q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, run);
	while (!code && (got = sql_step(st, q)) > 0) {
		const int64_t from = sqlite3_column_int64(q, 1);

		attempt = sqlite3_column_int64(q, 0);
		code = spans_add(&s, attempt, from < curve_step_max ? from : curve_step_max, &hi);
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

/* --- reading rows ------------------------------------------------------------------------ */

int curve_walk(struct store *st, int64_t run, int64_t key, const struct span *s,
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

/* Within a read that the caller began. */
static int walk(struct store *st, int64_t run, const char *key, int64_t step_lo,
		metric_visit *visit, void *arg)
{
	struct spans s;
	int64_t id;
	int code = sql_key_find(st, key, &id);

	if (code || !id)
		return code;
	code = curve_spans(st, run, &s);
	if (code)
		return code;
	for (size_t i = s.n; !code && i-- > 0;) {
		const struct span part = curve_cut(&s.span[i], step_lo, curve_step_max);

		if (part.lo <= part.hi)
			code = curve_walk(st, run, id, &part, visit, arg);
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
	code = walk(st, run, key, step_lo, visit, arg);
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
