/*
 * The language of filters, read: characters to a tree.
 *
 *     or    = and { "or" and }
 *     and   = not { ["and"] not }
 *     not   = { "not" } ( "(" or ")" | test )
 *     test  = word | key ( ":" | "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
 *
 * A text is hostile: its length, the number of tests and the depth of
 * parentheses are bounded.
 */
#include "db/where.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/err.h"
#include "base/knob.h"
#include "db/run.h"
#include "db/where_tree.h"

enum { QUOTE_SIZE = 80 };

struct reader {
	const char *text, *at;
	struct where *w;
	size_t tests;
	int depth;
};

/* ---- sentences ---- */

static size_t column_of(const struct reader *r, const char *at)
{
	size_t n = 1;

	for (const char *p = r->text; p < at; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n;
}

static int fail(const struct reader *r, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(const struct reader *r, const char *at, const char *fmt, ...)
{
	char why[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return err_set(TT_INVALID, "column %zu: %s", column_of(r, at), why);
}

/* ---- words ---- */

static void skip_blanks(struct reader *r) { r->at += strspn(r->at, " \t\r\n"); }

static bool ends_word(char c) { return !c || strchr(" \t\r\n()\"", c); }

static bool is_op(const char *p)
{
	return strchr(":=<>", *p) ? *p != 0 : p[0] == '!' && p[1] == '=';
}

/* Where a word that stands at p ends; a key ends at its operator, too. */
static const char *word_end(const char *p, bool key)
{
	while (!ends_word(*p) && !(key && is_op(p)))
		p++;
	return p;
}

/* Is this word, and nothing more, the next? */
static bool next_is(struct reader *r, const char *word)
{
	const size_t n = strlen(word);
	const char *after;

	skip_blanks(r);
	after = r->at + n;
	return !strncasecmp(r->at, word, n) && ends_word(*after);
}

static bool take_word(struct reader *r, const char *word)
{
	if (!next_is(r, word))
		return false;
	r->at += strlen(word);
	return true;
}

/* Texts are no more than the filter had characters, and one NUL for each. */
static void keep(struct reader *r, char c) { r->w->texts[r->w->texts_n++] = c; }

static int take_quoted(struct reader *r, size_t *ret)
{
	const char *begin = r->at++;

	*ret = r->w->texts_n;
	for (; *r->at && *r->at != '"'; r->at++) {
		if (*r->at == '\\' && r->at[1])
			r->at++;
		keep(r, *r->at);
	}
	if (!*r->at)
		return fail(r, begin, "this quotation mark has no other");
	r->at++;
	keep(r, 0);
	return TT_OK;
}

/* A word or a quoted text. */
static int take_text(struct reader *r, bool key, size_t *ret)
{
	const char *end;

	if (*r->at == '"')
		return take_quoted(r, ret);
	end = word_end(r->at, key);
	*ret = r->w->texts_n;
	while (r->at < end)
		keep(r, *r->at++);
	keep(r, 0);
	return TT_OK;
}

static int add(struct reader *r, const struct where_node *n)
{
	r->w->node[r->w->n] = *n;
	return (int)r->w->n++;
}

/* ---- tests ---- */

static bool take_op(struct reader *r, enum where_op *ret)
{
	static const struct {
		const char *sign;
		enum where_op op;
	} ops[] = { { ":", OP_GLOB }, { "=", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE },
		    { ">=", OP_GE },  { "<", OP_LT }, { ">", OP_GT } };
	const char *p = r->at + strspn(r->at, " \t\r\n");

	for (size_t i = 0; i < COUNT(ops); i++) {
		if (strncmp(p, ops[i].sign, strlen(ops[i].sign)) != 0)
			continue;
		*ret = ops[i].op;
		r->at = p + strlen(ops[i].sign);
		return true;
	}
	return false;
}

static bool parse_number(const char *text, double *ret)
{
	char *end;

	if (!*text || isspace((unsigned char)*text))
		return false;
	*ret = strtod(text, &end);
	if (end != text && end[0] && !end[1] && strchr("kMG", *end) && isfinite(*ret)) {
		*ret *= *end == 'k' ? 1e3 : *end == 'M' ? 1e6 : 1e9;
		return true;
	}
	return end != text && !*end;
}

static bool parse_span(const char *text, double *ret)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	char *end;

	*ret = strtod(text, &end);
	if (end == text || !end[0] || end[1] || !isfinite(*ret))
		return false;
	for (size_t i = 0; i < COUNT(units); i++) {
		if (*end != units[i].unit)
			continue;
		*ret *= units[i].seconds * 1e6;
		return true;
	}
	return false;
}

/* Years come first, so that the order of texts is the order of times. */
static bool is_time(const char *text)
{
	return strspn(text, "0123456789") == 4 && strspn(text, "0123456789-: ") == strlen(text);
}

static bool is_order(enum where_op op) { return op >= OP_LT; }

static int check_value(const struct reader *r, const char *at, struct where_node *n)
{
	const char *text = r->w->texts + n->text;
	char value[QUOTE_SIZE];

	knob_quote(text, value, sizeof(value));
	n->is_number = parse_number(text, &n->number);
	if (n->key.kind != KEY_COLUMN) {
		if (!n->is_number &&
		    (is_order(n->op) || (n->key.kind == KEY_METRIC && n->op != OP_GLOB)))
			return fail(r, at, "%.60s is compared with a number, not with %s",
				    n->key.name, value);
		return TT_OK;
	}
	switch (n->key.column->kind) {
	case COLUMN_NUMBER:
		if (n->is_number || n->op == OP_GLOB)
			return TT_OK;
		return fail(r, at, "%s is compared with a number, not with %s", n->key.name, value);
	case COLUMN_SPAN:
		n->is_number = parse_span(text, &n->number);
		if (n->is_number && is_order(n->op))
			return TT_OK;
		return fail(r, at, "%s takes < or > and a span of time such as 90s, 10m, 3h or 2d",
			    n->key.name);
	case COLUMN_TIME:
		if (n->op == OP_GLOB || is_time(text))
			return TT_OK;
		return fail(r, at,
			    "%s is compared with a time such as 2026-03-01 or \"2026-03-01 12:00\"",
			    n->key.name);
	default:
		if (!is_order(n->op))
			return TT_OK;
		return fail(r, at, "%s is no number: it takes ':', '=' or '!='", n->key.name);
	}
}

/* The states that a pattern means; a state that no run can have is a slip of the pen. */
static int take_states(const struct reader *r, const char *at, struct where_node *n)
{
	const char *text = r->w->texts + n->text;
	char value[QUOTE_SIZE];

	for (int s = 0; s < RUN_STATES; s++) {
		const char *name = run_state_name(s);

		if (n->op == OP_GLOB ? !fnmatch(text, name, FNM_CASEFOLD) : !strcmp(text, name))
			n->states |= 1u << s;
	}
	if (n->states)
		return TT_OK;
	knob_quote(text, value, sizeof(value));
	return fail(r, at,
		    "%s is no state; there are queued, running, paused, finished, stopped, failed "
		    "and lost",
		    value);
}

static int find_key(const struct reader *r, const char *at, size_t text, struct run_key *ret)
{
	const char *name = r->w->texts + text, *near;
	char word[QUOTE_SIZE];

	if (*name && run_key_find(name, ret))
		return TT_OK;
	near = run_key_nearest(name);
	knob_quote(name, word, sizeof(word));
	if (near)
		return fail(r, at, "there is no key %s; did you mean %s?", word, near);
	return fail(r, at,
		    "there is no key %s: a setting is a path such as peft.r, a metric has a '/' "
		    "as eval/accuracy, and a text with a sign in it stands in quotation marks",
		    word);
}

static int read_value(struct reader *r, const char *begin, struct where_node *n)
{
	const char *at;
	int code;

	skip_blanks(r);
	at = r->at;
	if (*at != '"' && ends_word(*at))
		return fail(r, at, "a value belongs here, after '%.*s'",
			    (int)(at - begin) > 40 ? 40 : (int)(at - begin), begin);
	code = take_text(r, false, &n->text);
	if (!code && n->key.kind == KEY_COLUMN && n->key.column->kind == COLUMN_STATE &&
	    !is_order(n->op))
		return take_states(r, at, n);
	return code ? code : check_value(r, at, n);
}

/* A word alone that names a state means it. */
static void word_state(struct where *w, struct where_node *n)
{
	enum run_state state;

	if (n->quoted || !run_state_parse(w->texts + n->text, &state))
		return;
	n->kind = WHERE_TEST;
	n->states = 1u << state;
	(void)run_key_find("state", &n->key);
}

static int read_test(struct reader *r, int *ret)
{
	const char *begin = r->at;
	struct where_node n = { .kind = WHERE_WORD, .quoted = *begin == '"' };
	int code;

	if (++r->tests > WHERE_TESTS)
		return fail(r, begin, "a filter has at most %d tests", WHERE_TESTS);
	code = take_text(r, true, &n.text);
	if (code)
		return code;
	if (take_op(r, &n.op)) {
		n.kind = WHERE_TEST;
		code = find_key(r, begin, n.text, &n.key);
		if (!code)
			code = read_value(r, begin, &n);
	} else {
		word_state(r->w, &n);
	}
	if (!code)
		*ret = add(r, &n);
	return code;
}

/* ---- the tree ---- */

static int read_or(struct reader *r, int *ret);

static int read_group(struct reader *r, int *ret)
{
	const char *begin = r->at++;
	int code;

	if (++r->depth > WHERE_DEPTH)
		return fail(r, begin, "parentheses stand at most %d deep", WHERE_DEPTH);
	code = read_or(r, ret);
	if (code)
		return code;
	skip_blanks(r);
	if (*r->at != ')')
		return fail(r, begin, "this parenthesis is not closed");
	r->at++;
	r->depth--;
	return TT_OK;
}

static int fail_missing(const struct reader *r)
{
	if (!*r->at)
		return fail(r, r->at, "a test is missing at the end");
	return fail(r, r->at, "a test is missing before '%.1s'", r->at);
}

static int read_not(struct reader *r, int *ret)
{
	bool turned = false;
	int part, code;

	while (take_word(r, "not"))
		turned = !turned;
	skip_blanks(r);
	if (!*r->at || *r->at == ')' || is_op(r->at))
		return fail_missing(r);
	if (next_is(r, "and") || next_is(r, "or"))
		return fail(r, r->at, "a test is missing before '%.*s'",
			    *r->at == 'a' || *r->at == 'A' ? 3 : 2, r->at);
	code = *r->at == '(' ? read_group(r, &part) : read_test(r, &part);
	if (!code)
		*ret = turned ? add(r, &(struct where_node){ .kind = WHERE_NOT, .left = part })
			      : part;
	return code;
}

static int read_and(struct reader *r, int *ret)
{
	int left, right, code = read_not(r, &left);

	while (!code) {
		const bool said = take_word(r, "and");

		skip_blanks(r);
		if (!said && (!*r->at || *r->at == ')' || next_is(r, "or")))
			break;
		code = read_not(r, &right);
		if (!code)
			left = add(r, &(struct where_node){
					      .kind = WHERE_AND, .left = left, .right = right });
	}
	if (!code)
		*ret = left;
	return code;
}

static int read_or(struct reader *r, int *ret)
{
	int left, right, code = read_and(r, &left);

	while (!code && take_word(r, "or")) {
		code = read_and(r, &right);
		if (!code)
			left = add(r, &(struct where_node){
					      .kind = WHERE_OR, .left = left, .right = right });
	}
	if (!code)
		*ret = left;
	return code;
}

static int read_all(struct reader *r)
{
	const int code = read_or(r, &r->w->root);

	if (!code && *r->at)
		return fail(r, r->at, "there is no parenthesis that this one would close");
	return code;
}

int where_parse(const char *text, struct where **ret)
{
	struct reader r = { .text = text, .at = text };
	int code;

	if (strlen(text) > WHERE_MAX)
		return err_set(TT_INVALID, "a filter has at most %d bytes, this one has %zu",
			       WHERE_MAX, strlen(text));
	skip_blanks(&r);
	if (!*r.at) {
		*ret = NULL;
		return TT_OK;
	}
	r.w = calloc(1, sizeof(*r.w));
	if (!r.w)
		return err_set(TT_NOMEM, "not enough memory for a filter");
	code = read_all(&r);
	if (code) {
		free(r.w);
		return code;
	}
	*ret = r.w;
	return TT_OK;
}
