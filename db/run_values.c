/* The latest values that a list of runs carries. */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "db/run_filter.h"

enum { POINT_READS = 256 }; /* lists up to this long look values up one by one */

int values_init(struct values *v, struct store *st, const char *name, size_t expect)
{
	*v = (struct values){ .st = st, .asked = expect > POINT_READS ? POINT_READS : 0 };
	return sql_key_find(st, name, &v->key);
}

void values_done(struct values *v) { free(v->entry); }

static struct run_value value_of(sqlite3_stmt *q, int column)
{
	return (struct run_value){ sqlite3_column_int64(q, column), sql_real(q, column + 1) };
}

static int look_up(struct values *v, int64_t row, struct run_value *ret)
{
	sqlite3_stmt *q;
	int got = sql_prepare(v->st, "SELECT step, value FROM last WHERE key = ?1 AND run = ?2",
			      &q);

	if (got)
		return got;
	sql_bind_ints(q, 2, (const int64_t[]){ v->key, row });
	got = sql_step(v->st, q);
	if (got > 0)
		*ret = value_of(q, 0);
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

static int add(struct values *v, const struct values_entry *e)
{
	if (v->n == v->room) {
		const size_t want = v->room ? v->room * 2 : 1024;
		struct values_entry *grown = realloc(v->entry, want * sizeof(*grown));

		if (!grown)
			return err_set(TT_NOMEM, "not enough memory for the list of runs");
		v->entry = grown;
		v->room = want;
	}
	v->entry[v->n++] = *e;
	return TT_OK;
}

static int load(struct values *v)
{
	sqlite3_stmt *q;
	int got = 0,
	    code = sql_prepare(v->st,
			       "SELECT run, step, value FROM last WHERE key = ?1 ORDER BY run", &q);

	if (code)
		return code;
	sqlite3_bind_int64(q, 1, v->key);
	while (!code && (got = sql_step(v->st, q)) > 0)
		code = add(v, &(struct values_entry){ sqlite3_column_int64(q, 0), value_of(q, 1) });
	sql_done(q);
	v->at = v->n;
	return code ? code : got;
}

static int entry_order(const void *a, const void *b)
{
	const struct values_entry *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

/* Lists have the newest first as a rule, so the run wanted next is the one before. */
static const struct values_entry *find(struct values *v, int64_t row)
{
	const struct values_entry want = { .row = row };
	const struct values_entry *e = v->at ? &v->entry[v->at - 1] : NULL;

	if (!e || e->row != row)
		e = v->n ? bsearch(&want, v->entry, v->n, sizeof(want), entry_order) : NULL;
	if (e)
		v->at = (size_t)(e - v->entry);
	return e;
}

int values_of(struct values *v, int64_t row, struct run_value *ret)
{
	const struct values_entry *e;
	int code = TT_OK;

	*ret = (struct run_value){ -1, (double)NAN };
	if (!v->key)
		return TT_OK;
	if (v->asked++ < POINT_READS)
		return look_up(v, row, ret);
	if (!v->entry)
		code = load(v);
	if (code)
		return code;
	e = find(v, row);
	if (e)
		*ret = e->value;
	return TT_OK;
}

/* A key at a time, so that only one of them is in memory. */
static int fill(struct values *v, const int64_t *row, size_t n, size_t keys_n,
		struct run_value *value)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < n; i++)
		code = values_of(v, row[i], &value[i * keys_n]);
	return code;
}

int values_list(struct store *st, const struct run_filter *f, const int64_t *row, size_t n,
		struct run_value **ret)
{
	struct run_value *value = calloc(n * f->keys_n + 1, sizeof(*value));
	int code = TT_OK;

	if (!value)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t k = 0; !code && k < f->keys_n; k++) {
		struct values v;

		code = values_init(&v, st, f->keys[k], n);
		if (!code)
			code = fill(&v, row, n, f->keys_n, value + k);
		values_done(&v);
	}
	if (code) {
		free(value);
		return code;
	}
	*ret = value;
	return TT_OK;
}
