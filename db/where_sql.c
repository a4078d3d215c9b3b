/* The language of filters, as SQL: every test is true or false, never NULL, so that "not" means not. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/knob.h"
#include "db/metric.h"
#include "db/run.h"
#include "db/setting.h"
#include "db/where_tree.h"

/* Each node has two parameters: its key, and what that is compared with. */
static int key_at(const struct where *w, const struct where_node *n, int first)
{
	return first + 1 + 2 * (int)(n - w->node);
}

static int value_at(const struct where *w, const struct where_node *n, int first)
{
	return key_at(w, n, first) + 1;
}

static const char *value_of(const struct where *w, const struct where_node *n)
{
	return w->texts + n->text;
}

static bool is_pattern(const char *text) { return strpbrk(text, "*?[") != NULL; }

/* A number that is not written as a pattern is the same however it is written. */
static bool is_same_number(const struct where *w, const struct where_node *n)
{
	return n->is_number && n->op == OP_GLOB && !is_pattern(value_of(w, n));
}

static const char *sign_of(enum where_op op)
{
	static const char *const sign[] = { "GLOB", "=", "<>", "<", "<=", ">", ">=" };

	return sign[op];
}

/* `expr` op ?value, where expr is a text. */
static void text_sql(const char *expr, const struct where_node *n, int value, struct buf *sql)
{
	if (n->op == OP_GLOB)
		buf_printf(sql, "lower(%s) GLOB ?%d", expr, value);
	else
		buf_printf(sql, "%s %s ?%d", expr, sign_of(n->op), value);
}

/* ... where it is a metric, whose NULL is no absence but NaN. */
static void metric_sql(const struct where *w, const struct where_node *n, int value,
		       struct buf *sql)
{
	const bool same = is_same_number(w, n) || n->op == OP_EQ;

	if (n->op == OP_GLOB && !same)
		buf_printf(sql, "ifnull(lower(l.value), 'nan') GLOB ?%d", value);
	else if (isnan(n->number) && (same || n->op == OP_NE))
		buf_printf(sql, "l.value IS %s NULL", same ? "" : "NOT");
	else if (n->op == OP_NE)
		buf_printf(sql, "l.value IS NOT ?%d", value);
	else
		buf_printf(sql, "l.value %s ?%d", same ? "=" : sign_of(n->op), value);
}

static void number_sql(const struct where *w, const char *expr, const struct where_node *n,
		       int value, struct buf *sql)
{
	if (is_same_number(w, n))
		buf_printf(sql, "%s = ?%d", expr, value);
	else
		text_sql(expr, n, value, sql);
}

/* A setting may be a number in one run and a text in another. */
static void setting_sql(const struct where *w, const struct where_node *n, int value,
			struct buf *sql)
{
	static const char expr[] = "s.value";

	if (n->is_number && n->op != OP_GLOB && n->op != OP_EQ && n->op != OP_NE)
		buf_printf(sql, "typeof(s.value) <> 'text' AND s.value %s ?%d", sign_of(n->op),
			   value);
	else if (is_same_number(w, n) || (n->is_number && n->op == OP_EQ))
		buf_printf(sql, "s.value = ?%d", value);
	else
		text_sql(expr, n, value, sql);
}

static void list_sql(const char *table, const char *expr, const struct where_node *n, int value,
		     struct buf *sql)
{
	const struct where_node same = { .op = n->op == OP_NE ? OP_EQ : n->op };

	buf_printf(sql, "%s EXISTS (SELECT 1 FROM %s t WHERE t.run = run.row AND ",
		   n->op == OP_NE ? "NOT" : "", table);
	text_sql(expr, &same, value, sql);
	buf_char(sql, ')');
}

static void column_sql(const struct where *w, const struct where_node *n, int value,
		       struct buf *sql)
{
	const struct run_column *c = n->key.column;

	switch (c->kind) {
	case COLUMN_STATE:
		buf_printf(sql, "(1 << %s) & %u %s 0", c->sql, n->states,
			   n->op == OP_NE ? "=" : "<>");
		break;
	case COLUMN_TAG: list_sql("tag", c->sql, n, value, sql); break;
	case COLUMN_NOTE: list_sql("note", c->sql, n, value, sql); break;
	case COLUMN_NUMBER:
	case COLUMN_SPAN:
		buf_text(sql, "ifnull(");
		number_sql(w, c->sql, n, value, sql);
		buf_text(sql, ", 0)");
		break;
	default:
		buf_text(sql, "ifnull(");
		text_sql(c->sql, n, value, sql);
		buf_text(sql, ", 0)");
	}
}

static void test_sql(const struct where *w, const struct where_node *n, int first, struct buf *sql)
{
	const int key = key_at(w, n, first), value = value_at(w, n, first);

	switch (n->key.kind) {
	case KEY_COLUMN: column_sql(w, n, value, sql); return;
	case KEY_METRIC:
		buf_printf(sql,
			   "EXISTS (SELECT 1 FROM last l WHERE l.key = ?%d AND l.run = run.row "
			   "AND ",
			   key);
		metric_sql(w, n, value, sql);
		break;
	case KEY_SETTING:
		buf_printf(sql,
			   "EXISTS (SELECT 1 FROM temp.setting s WHERE s.path = ?%d AND "
			   "s.run = run.row AND ",
			   key);
		setting_sql(w, n, value, sql);
		break;
	}
	buf_char(sql, ')');
}

static void word_sql(const struct where *w, const struct where_node *n, int value, struct buf *sql)
{
	if (!n->quoted && is_pattern(value_of(w, n)))
		buf_printf(sql, "lower(run.name) GLOB ?%d OR run.id GLOB ?%d", value, value);
	else
		buf_printf(sql, "instr(lower(run.name), ?%d) OR instr(run.id, ?%d)", value, value);
}

static void node_sql(const struct where *w, int at, int first, struct buf *sql)
{
	const struct where_node *n = &w->node[at];

	buf_text(sql, n->kind == WHERE_NOT ? "(NOT " : "(");
	switch (n->kind) {
	case WHERE_WORD: word_sql(w, n, value_at(w, n, first), sql); break;
	case WHERE_TEST: test_sql(w, n, first, sql); break;
	case WHERE_NOT: node_sql(w, n->left, first, sql); break;
	case WHERE_AND:
	case WHERE_OR:
		node_sql(w, n->left, first, sql);
		buf_text(sql, n->kind == WHERE_AND ? " AND " : " OR ");
		node_sql(w, n->right, first, sql);
		break;
	}
	buf_char(sql, ')');
}

void where_sql(const struct where *w, int first, struct buf *sql)
{
	node_sql(w, w->root, first, sql);
}

/* ---- parameters ---- */

static int bind_key(struct store *st, const struct where *w, const struct where_node *n, int first,
		    sqlite3_stmt *q)
{
	int64_t key;
	int code;

	if (n->kind != WHERE_TEST || n->key.kind == KEY_COLUMN)
		return TT_OK;
	code = n->key.kind == KEY_METRIC ? sql_key_find(st, n->key.name, &key)
					 : setting_need(st, n->key.name, &key);
	if (!code)
		sqlite3_bind_int64(q, key_at(w, n, first), key);
	return code;
}

static bool is_lower(const struct where_node *n)
{
	return n->kind == WHERE_WORD || n->op == OP_GLOB;
}

static int bind_text(const struct where *w, const struct where_node *n, int at, sqlite3_stmt *q)
{
	char *text = strdup(value_of(w, n));

	if (!text)
		return err_set(TT_NOMEM, "not enough memory for a filter");
	for (char *p = text; *p && is_lower(n); p++)
		*p = (char)tolower((unsigned char)*p);
	(void)sqlite3_bind_text(q, at, text, -1, free);
	return TT_OK;
}

static bool is_text_column(const struct where_node *n)
{
	return n->key.kind == KEY_COLUMN && n->key.column->kind != COLUMN_NUMBER &&
	       n->key.column->kind != COLUMN_SPAN;
}

static int bind_value(const struct where *w, const struct where_node *n, int at, sqlite3_stmt *q)
{
	const bool pattern = n->op == OP_GLOB && !is_same_number(w, n);

	if (n->kind == WHERE_WORD || pattern || !n->is_number || is_text_column(n))
		return bind_text(w, n, at, q);
	(void)sqlite3_bind_double(q, at, n->number);
	return TT_OK;
}

int where_bind(struct store *st, const struct where *w, int first, sqlite3_stmt *q)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < w->n; i++) {
		const struct where_node *n = &w->node[i];

		if (n->kind != WHERE_WORD && n->kind != WHERE_TEST)
			continue;
		code = bind_key(st, w, n, first, q);
		if (!code)
			code = bind_value(w, n, value_at(w, n, first), q);
	}
	return code;
}

/* ---- keys that nobody has ---- */

struct known {
	char **metric, **setting;
	size_t metrics, settings;
};

static bool is_among(const char *name, char *const *word, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word[i], name))
			return true;
	return false;
}

static void hint(const struct known *k, const struct run_key *key, char *ret, size_t size)
{
	const bool metric = key->kind == KEY_METRIC;
	char *const *word = metric ? k->metric : k->setting;
	const size_t n = metric ? k->metrics : k->settings;
	const char *near;

	if (key->kind == KEY_COLUMN || is_among(key->name, word, n))
		return;
	near = knob_nearest(key->name, (const char *const *)word, n);
	if (near)
		snprintf(ret, size, "no %s has %.60s; did you mean %.60s?",
			 metric ? "run" : "recent recipe", key->name, near);
}

int where_hint(struct store *st, const struct where *w, char *ret, size_t size)
{
	struct known k = { .metrics = 0 };
	int code = metric_keys(st, 0, &k.metric, &k.metrics);

	ret[0] = 0;
	if (!code)
		code = run_setting_paths(st, &k.setting, &k.settings);
	for (size_t i = 0; !code && i < w->n && !ret[0]; i++)
		if (w->node[i].kind == WHERE_TEST)
			hint(&k, &w->node[i].key, ret, size);
	free(k.metric);
	free(k.setting);
	return code;
}
