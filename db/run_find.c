/* Runs as they are read: the one a person meant. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/knob.h"
#include "db/run_row.h"

static int fail_nothing(struct store *st, const char *what)
{
	const char *near;
	char **name;
	size_t n;
	sqlite3_stmt *q;
	int code = sql_prepare(st, "SELECT DISTINCT name FROM run WHERE trashed = 0", &q);

	if (code)
		return code;
	code = sql_texts(st, q, &name, &n);
	sql_done(q);
	if (code)
		return code;
	near = knob_nearest(what, (const char *const *)name, n);
	if (near)
		code = err_set(TT_NOTFOUND, "there is no run '%.100s'; did you mean '%.100s'?",
			       what, near);
	else
		code = err_set(TT_NOTFOUND,
			       "there is no run '%.100s': 'trimtab ls' lists what there is", what);
	free(name);
	return code;
}

static int fail_many(char *const *fit, size_t n, const char *prefix)
{
	struct buf list;

	buf_init(&list, 300);
	for (size_t i = 0; i < n && i < 4; i++)
		buf_printf(&list, "%s%.14s", i ? ", " : "", fit[i]);
	err_set(TT_INVALID, "'%s' is the beginning of several runs (%s%s): type more of the id",
		prefix, list.data ? list.data : "", n > 4 ? ", ..." : "");
	buf_done(&list);
	return TT_INVALID;
}

/* 1 found, 0 none, < 0 failed or several. */
static int by_prefix(struct store *st, const char *prefix, struct run *ret)
{
	sqlite3_stmt *q;
	char **fit;
	size_t n;
	int code = sql_prepare(
		st,
		"SELECT id FROM run WHERE id >= ?1 AND id < ?1 || '~' AND trashed = 0 "
		"ORDER BY id DESC LIMIT 5",
		&q);

	if (code)
		return code;
	sql_bind_text(q, 1, prefix);
	code = sql_texts(st, q, &fit, &n);
	sql_done(q);
	if (code)
		return code;
	if (n > 1)
		code = fail_many(fit, n, prefix);
	else
		code = n ? run_by_id(st, fit[0], ret) : 0;
	free(fit);
	return code;
}

int run_find(struct store *st, const char *what, struct run *ret)
{
	char id[RUN_ID_SIZE];
	size_t n = strlen(what);
	int got;

	if (!n)
		return err_set(TT_INVALID,
			       "which run? Give an id, the beginning of one, a name, or 'latest'");
	if (!strcmp(what, "latest")) {
		got = run_by_text(st,
				  "SELECT " RUN_COLUMNS
				  " FROM run WHERE trashed = 0 ORDER BY run.id DESC LIMIT 1",
				  NULL, ret);
		if (!got)
			return err_set(
				TT_NOTFOUND,
				"there are no runs yet: start one with 'trimtab run RECIPE'");
		return got < 0 ? got : TT_OK;
	}
	for (size_t i = 0; i <= n && n < sizeof(id); i++)
		id[i] = (char)tolower((unsigned char)what[i]);
	got = n == sizeof(id) - 1 ? run_by_id(st, id, ret) : 0;
	if (!got)
		got = run_by_text(st,
				  "SELECT " RUN_COLUMNS
				  " FROM run WHERE run.name = ?1 AND trashed = 0 "
				  "ORDER BY run.id DESC LIMIT 1",
				  what, ret);
	if (!got && n < sizeof(id) - 1)
		got = by_prefix(st, id, ret);
	if (!got)
		return fail_nothing(st, what);
	return got < 0 ? got : TT_OK;
}
