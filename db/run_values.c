/* The latest values that a list of runs carries. */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "db/run_filter.h"

enum { POINT_READS = 256 }; /* lists up to this long look values up one by one */

/* A list's runs, in order of row. */
struct place {
	int64_t row;
	size_t at;
};

struct values {
	struct store *st;
	const struct place *place;
	size_t n, keys_n;
	struct run_value *value;
};

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

/* Lists mostly have the newest first, so that from their end they are in order. */
static struct place *places_make(const int64_t *row, size_t n)
{
	struct place *place = calloc(n + 1, sizeof(*place));
	bool sorted = true;

	if (!place)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		place[i] = (struct place){ row[n - 1 - i], n - 1 - i };
		sorted = sorted && (!i || place[i - 1].row < place[i].row);
	}
	if (!sorted)
		qsort(place, n, sizeof(*place), place_order);
	return place;
}

static void take(struct values *v, size_t i, size_t k, sqlite3_stmt *q)
{
	v->value[v->place[i].at * v->keys_n + k] = (struct run_value){ sqlite3_column_int64(q, 1),
								       sql_real(q, 2) };
}

/* Few runs: one look-up each. */
static int values_each(struct values *v, int64_t key, size_t k)
{
	sqlite3_stmt *q;
	int got = 0,
	    code = sql_prepare(v->st,
			       "SELECT run, step, value FROM last WHERE key = ?1 AND run = ?2", &q);

	for (size_t i = 0; !code && i < v->n; i++) {
		sql_bind_ints(q, 2, (const int64_t[]){ key, v->place[i].row });
		got = sql_step(v->st, q);
		if (got > 0)
			take(v, i, k, q);
		sql_done(q);
		code = got < 0 ? got : TT_OK;
	}
	return code;
}

/* Many runs: the key's rows are in order of run, so walk both. */
static int values_merge(struct values *v, int64_t key, size_t k)
{
	sqlite3_stmt *q;
	size_t i = 0;
	int got = 0,
	    code = sql_prepare(v->st,
			       "SELECT run, step, value FROM last WHERE key = ?1 ORDER BY run", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, key);
	while (i < v->n && (got = sql_step(v->st, q)) > 0) {
		const int64_t row = sqlite3_column_int64(q, 0);

		while (i < v->n && v->place[i].row < row)
			i++;
		if (i < v->n && v->place[i].row == row)
			take(v, i, k, q);
	}
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

static int values_fill(struct values *v, const struct run_filter *f)
{
	int code = TT_OK;

	for (size_t k = 0; !code && k < f->keys_n; k++) {
		int64_t key = 0;

		code = sql_key_find(v->st, f->keys[k], &key);
		if (!code && key)
			code = v->n <= POINT_READS ? values_each(v, key, k)
						   : values_merge(v, key, k);
	}
	return code;
}

int filter_values(struct store *st, const struct run_filter *f, const int64_t *row, size_t n,
		  struct run_value **ret)
{
	const struct run_value none = { -1, (double)NAN };
	struct run_value *value = calloc(n * f->keys_n + 1, sizeof(*value));
	struct place *place = places_make(row, n);
	struct values v = { st, place, n, f->keys_n, value };
	int code = TT_OK;

	if (!value || !place)
		code = err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; !code && i < n * f->keys_n; i++)
		value[i] = none;
	if (!code)
		code = values_fill(&v, f);
	free(place);
	if (code) {
		free(value);
		return code;
	}
	*ret = value;
	return TT_OK;
}
