/* Settings of recipes as columns: out of JSON once, then by (path, run). */
#include "db/setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/number.h"
#include "base/proc.h"
#include "db/run.h"
#include "db/run_row.h"

enum { VALUE_MAX = 4096, DEEP = 64, RECIPES_READ = 64 };

/* ---- one setting of one recipe ---- */

static void add_text(struct buf *out, const char *text, size_t n)
{
	if (out->size)
		buf_char(out, ',');
	buf_add(out, text, n);
}

static void add_scalar(const struct json *j, struct buf *out)
{
	char number[NUMBER_SIZE];

	switch (json_type(j)) {
	case JSON_TEXT: add_text(out, json_text(j), strlen(json_text(j))); break;
	case JSON_NUMBER: add_text(out, number, number_real(json_number(j), number)); break;
	case JSON_BOOL: add_text(out, json_bool(j) ? "true" : "false", json_bool(j) ? 4 : 5); break;
	default: break;
	}
}

/*
 * Everything that a path means, commas between: a list is walked through, so
 * that peft.r finds the r of each of several methods.
 */
static void add_values(const struct json *j, const char *path, int depth, struct buf *out)
{
	const size_t n = strcspn(path, ".");
	const struct json *child;
	char key[256];

	if (!j || depth > DEEP)
		return;
	if (json_type(j) == JSON_ARRAY) {
		for (child = json_first(j); child; child = json_next(child))
			add_values(child, path, depth + 1, out);
		return;
	}
	if (!*path) {
		add_scalar(j, out);
		return;
	}
	if (n >= sizeof(key))
		return;
	snprintf(key, sizeof(key), "%.*s", (int)n, path);
	add_values(json_get(j, key), path + n + (path[n] == '.'), depth + 1, out);
}

/* Is the value one number and nothing else? */
static bool is_number(const char *text, double *ret)
{
	char *end;

	if (!strchr("-0123456789", *text))
		return false;
	*ret = strtod(text, &end);
	return !*end;
}

static void answer(sqlite3_context *c, const struct buf *out)
{
	double number;

	if (out->bad)
		sqlite3_result_error_nomem(c);
	else if (out->size && is_number(out->data, &number))
		sqlite3_result_double(c, number);
	else if (out->size)
		sqlite3_result_text(c, out->data, (int)out->size, SQLITE_TRANSIENT);
}

/*
 * To build the tree of a recipe for one value costs more than all else that a
 * list does, so objects on the way are searched as text. It is safe on any
 * text; of one that is no JSON it may find something, which is then checked.
 */
static const char *skip_text(const char *p)
{
	p++;
	while (*p && *p != '"')
		p += *p == '\\' && p[1] ? 2 : 1;
	return *p ? p + 1 : p;
}

static const char *skip_value(const char *p)
{
	int depth = 0;

	do {
		p += depth ? strcspn(p, "\"{}[]") : strspn(p, " \t\r\n");
		if (*p == '"')
			p = skip_text(p);
		else if (*p == '{' || *p == '[')
			depth++, p++;
		else if (*p == '}' || *p == ']')
			depth--, p++;
		else
			p += strcspn(p, " \t\r\n,}]");
	} while (*p && depth > 0);
	return p;
}

/* The value of a member of the object at p; NULL: there is none. */
static const char *find_member(const char *p, const char *key, size_t n)
{
	for (p++;; p++) {
		const char *name;
		bool same;

		p += strspn(p, " \t\r\n");
		if (*p != '"')
			return NULL;
		name = p + 1;
		p = skip_text(p);
		same = (size_t)(p - name) == n + 1 && !memcmp(name, key, n);
		p += strspn(p, " \t\r\n");
		if (*p != ':')
			return NULL;
		p++;
		p += strspn(p, " \t\r\n");
		if (same)
			return p;
		p = skip_value(p);
		p += strspn(p, " \t\r\n");
		if (*p != ',')
			return NULL;
	}
}

/* setting(json, path): NULL where the recipe has none. */
static void setting(sqlite3_context *c, int n, sqlite3_value **v)
{
	const char *at = (const char *)sqlite3_value_text(v[0]);
	const char *path = (const char *)sqlite3_value_text(v[1]);
	struct json *j;
	struct buf out;

	(void)n;
	if (!at || !path)
		return;
	at += strspn(at, " \t\r\n");
	while (at && *at == '{' && *path) {
		const size_t name = strcspn(path, ".");

		at = find_member(at, path, name);
		path += name + (path[name] == '.');
	}
	if (!at || json_parse(at, (size_t)(skip_value(at) - at), &j))
		return;
	buf_init(&out, VALUE_MAX);
	add_values(j, path, 0, &out);
	answer(c, &out);
	buf_done(&out);
	json_free(j);
}

/* ---- what the store can be asked ---- */

/* digest(text): the same for the same text, and by all odds for no other. FNV-1a. */
static void digest(sqlite3_context *c, int n, sqlite3_value **v)
{
	const unsigned char *text = sqlite3_value_text(v[0]);
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	(void)n;
	for (; text && *text; text++)
		h = (h ^ *text) * UINT64_C(0x100000001b3);
	sqlite3_result_int64(c, (int64_t)h);
}

struct states {
	struct store *st;
	struct run_here here;
};

/* run_state(stored, row): as of now. */
static void run_state(sqlite3_context *c, int n, sqlite3_value **v)
{
	struct states *s = sqlite3_user_data(c);
	enum run_state state;

	(void)n;
	s->here.now = proc_now_us();
	if (run_state_of(s->st, &s->here, sqlite3_value_int64(v[1]), sqlite3_value_int(v[0]),
			 &state))
		sqlite3_result_error(c, err_text(), -1);
	else
		sqlite3_result_int(c, (int)state);
}

int setting_open(struct store *st)
{
	struct states *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(TT_NOMEM, "not enough memory to use the run log '%s'", st->path);
	s->st = st;
	rc = sqlite3_create_function(st->db, "setting", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
				     setting, NULL, NULL);
	if (!rc)
		rc = sqlite3_create_function(st->db, "digest", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
					     NULL, digest, NULL, NULL);
	if (rc) {
		free(s);
		return sql_fail(st, rc);
	}
	rc = sqlite3_create_function_v2(st->db, "run_state", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, s,
					run_state, NULL, NULL, free);
	return rc ? sql_fail(st, rc) : TT_OK;
}

/* ---- the table ---- */

int setting_ready(struct store *st)
{
	return sql_exec(st, "CREATE TEMP TABLE IF NOT EXISTS setting_path (id INTEGER PRIMARY KEY, "
			    "path TEXT NOT NULL UNIQUE, upto INTEGER NOT NULL);"
			    "CREATE TEMP TABLE IF NOT EXISTS setting (path INTEGER NOT NULL, "
			    "run INTEGER NOT NULL, value, PRIMARY KEY (path, run)) WITHOUT ROWID");
}

/* The number of a path, and the last run that was read for it. */
static int find(struct store *st, const char *path, int64_t *ret_id, int64_t *ret_upto)
{
	sqlite3_stmt *q;
	int got, code = sql_prepare(st, "SELECT id, upto FROM temp.setting_path WHERE path = ?1",
				    &q);

	if (code)
		return code;
	sql_bind_text(q, 1, path);
	got = sql_step(st, q);
	*ret_id = got > 0 ? sqlite3_column_int64(q, 0) : 0;
	*ret_upto = got > 0 ? sqlite3_column_int64(q, 1) : 0;
	sql_done(q);
	return got < 0 ? got : TT_OK;
}

static int add_path(struct store *st, const char *path, int64_t *ret_id)
{
	sqlite3_stmt *q;
	int code = sql_prepare(st, "INSERT INTO temp.setting_path (path, upto) VALUES (?1, 0)", &q);

	if (code)
		return code;
	sql_bind_text(q, 1, path);
	code = sql_write(st, q);
	if (!code)
		*ret_id = sqlite3_last_insert_rowid(st->db);
	return code;
}

static int read_recipes(struct store *st, const char *path, int64_t id, int64_t upto)
{
	const bool but_seed = !strcmp(path, SETTING_BUT_SEED);
	sqlite3_stmt *q;
	int code = but_seed ? sql_prepare(st,
					  "INSERT OR REPLACE INTO temp.setting SELECT ?1, run, "
					  "json_remove(json, '$.train.seed', '$.name', '$.note') "
					  "FROM recipe WHERE run > ?2 AND json_valid(json)",
					  &q)
			    : sql_prepare(st,
					  "INSERT OR REPLACE INTO temp.setting SELECT * FROM "
					  "(SELECT ?1, run, setting(json, ?3) AS value "
					  "FROM recipe WHERE run > ?2) WHERE value IS NOT NULL",
					  &q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, upto });
	if (!but_seed)
		sql_bind_text(q, 3, path);
	return sql_write(st, q);
}

static int note_upto(struct store *st, int64_t id, int64_t upto)
{
	sqlite3_stmt *q;
	const int code = sql_prepare(st, "UPDATE temp.setting_path SET upto = ?2 WHERE id = ?1",
				     &q);

	if (code)
		return code;
	sql_bind_ints(q, 2, (const int64_t[]){ id, upto });
	return sql_write(st, q);
}

int setting_need(struct store *st, const char *path, int64_t *ret)
{
	int64_t id, upto, newest;
	int code = find(st, path, &id, &upto);

	if (!code && !id)
		code = add_path(st, path, &id);
	if (!code)
		code = sql_int(st, "SELECT ifnull(max(run), 0) FROM recipe", &newest);
	if (!code && newest > upto) {
		code = read_recipes(st, path, id, upto);
		if (!code)
			code = note_upto(st, id, newest);
	}
	if (!code)
		*ret = id;
	return code;
}

/* ---- what paths there are ---- */

/* Each with a NUL behind it, in no order, some many times. */
static void add_paths(const struct json *j, const char *path, int depth, struct buf *out)
{
	char longer[256];

	if (depth > DEEP)
		return;
	if (json_type(j) == JSON_OBJECT || json_type(j) == JSON_ARRAY) {
		for (const struct json *child = json_first(j); child; child = json_next(child)) {
			const char *key = json_type(j) == JSON_OBJECT ? json_key(child) : "";
			const char *dot = *path && *key ? "." : "";

			if (snprintf(longer, sizeof(longer), "%s%s%s", path, dot, key) <
			    (int)sizeof(longer))
				add_paths(child, longer, depth + 1, out);
		}
		return;
	}
	buf_printf(out, "%s%c", path, 0);
}

static int read_paths(struct store *st, struct buf *out)
{
	sqlite3_stmt *q;
	struct json *j;
	int got, code = sql_prepare(st, "SELECT json FROM recipe ORDER BY run DESC LIMIT ?1", &q);

	if (code)
		return code;
	sqlite3_bind_int(q, 1, RECIPES_READ);
	while ((got = sql_step(st, q)) > 0) {
		const char *text = sql_text(q, 0);

		if (json_parse(text, strlen(text), &j))
			continue;
		add_paths(j, "", 0, out);
		json_free(j);
	}
	sql_done(q);
	return got < 0 ? got : buf_check(out, "the settings of all recipes");
}

static int text_order(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* Pointers and what they point to in one block, sorted, each once. */
static int pack(const struct buf *text, char ***ret, size_t *ret_n)
{
	size_t n = 0, kept = 0;
	char **path, *at;

	for (size_t i = 0; i < text->size; i++)
		n += !text->data[i];
	path = malloc((n + 1) * sizeof(*path) + text->size);
	if (!path)
		return err_set(TT_NOMEM, "not enough memory for the settings of all recipes");
	at = (char *)(path + n + 1);
	if (text->size)
		memcpy(at, text->data, text->size);
	for (size_t i = 0; i < n; i++, at += strlen(at) + 1)
		path[i] = at;
	qsort(path, n, sizeof(*path), text_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(path[kept - 1], path[i]) != 0)
			path[kept++] = path[i];
	*ret = path;
	*ret_n = kept;
	return TT_OK;
}

int run_setting_paths(struct store *st, char ***ret, size_t *ret_n)
{
	struct buf text;
	int code;

	buf_init(&text, (size_t)1 << 24);
	code = read_paths(st, &text);
	if (!code)
		code = pack(&text, ret, ret_n);
	buf_done(&text);
	return code;
}
