/*
 * Oniguruma patterns on PCRE2. The translation walks over the pattern once and
 * knows just enough of the syntax to tell escapes, classes and groups apart.
 * Matching is limited in steps and memory, because pattern and text both come
 * from outside.
 */
#include "data/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"

enum { PATTERN_MAX = 1 << 16, MATCH_STEPS = 10000000, MATCH_KIB = 64 * 1024 };

#define WORD_CLASS "\\p{L}\\p{M}\\p{N}\\p{Pc}"
#define HEX_CLASS "0-9a-fA-F"
#define SPACE_CLASS "\\p{Z}\\x{09}-\\x{0d}\\x{85}" /* PCRE2 would add U+180E */

struct regex {
	pcre2_code *code;
};

struct regex_walk {
	const struct regex *regex;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	const char *text;
	size_t size, at, last_end;
	bool any; /* last_end is one */
};

struct translation {
	const char *pattern, *at;
	struct buf out;
	bool in_class;
};

static int translate_refuse(const struct translation *t, const char *what)
{
	return err_set(TT_INVALID, "the regular expression '%s' uses %s, which is not supported",
		       t->pattern, what);
}

/* Escapes that mean something else here; inside NULL: as PCRE2 has it. */
static const struct {
	char letter;
	const char *outside, *inside;
} escapes[] = {
	{ 'w', "[" WORD_CLASS "]", WORD_CLASS },   { 'W', "[^" WORD_CLASS "]", NULL },
	{ 'h', "[" HEX_CLASS "]", HEX_CLASS },     { 'H', "[^" HEX_CLASS "]", NULL },
	{ 's', "[" SPACE_CLASS "]", SPACE_CLASS }, { 'S', "[^" SPACE_CLASS "]", NULL },
};

static int translate_escape(struct translation *t)
{
	const char c = t->at[1];
	const char *close;
	size_t i;

	if (!c)
		return err_set(TT_INVALID, "the regular expression '%s' ends in a backslash",
			       t->pattern);
	if (t->in_class && (c == 'W' || c == 'H'))
		return translate_refuse(t, "\\W or \\H inside a class");
	for (i = 0; i < COUNT(escapes); i++)
		if (c == escapes[i].letter && (!t->in_class || escapes[i].inside))
			break;
	if (i < COUNT(escapes))
		buf_text(&t->out, t->in_class ? escapes[i].inside : escapes[i].outside);
	else
		buf_add(&t->out, t->at, 2);
	t->at += 2;
	close = strchr("pPx", c) && *t->at == '{' ? strchr(t->at, '}') : NULL;
	if (close) { /* \p{L} is no interval */
		buf_add(&t->out, t->at, (size_t)(close + 1 - t->at));
		t->at = close + 1;
	}
	return TT_OK;
}

/* One step inside [...]; the opening bracket is passed. */
static int translate_class(struct translation *t)
{
	const char c = *t->at;

	if (c == '&' && t->at[1] == '&')
		return translate_refuse(t, "&& inside a class");
	if (c == '[') {
		const char *end = t->at[1] == ':' ? strstr(t->at + 2, ":]") : NULL;
		if (!end)
			return translate_refuse(t, "a class inside a class");
		buf_add(&t->out, t->at, (size_t)(end + 2 - t->at));
		t->at = end + 2;
		return TT_OK;
	}
	if (c == ']')
		t->in_class = false;
	buf_char(&t->out, c);
	t->at++;
	return TT_OK;
}

/* (?imx-imx) and (?imx: ...): Ruby's m is PCRE2's s. */
static void translate_group(struct translation *t)
{
	buf_text(&t->out, "(?");
	t->at += 2;
	for (; *t->at && strchr("imx-", *t->at); t->at++)
		buf_char(&t->out, *t->at == 'm' ? 's' : *t->at);
}

/* {m,n}, and {m,n}+ as a repeat of the repeat. */
static int translate_interval(struct translation *t)
{
	const char *from = t->at, *end, *comma;
	unsigned long low, high;

	end = from + 1 + strspn(from + 1, "0123456789");
	comma = *end == ',' ? end : NULL;
	if (comma)
		end += 1 + strspn(end + 1, "0123456789");
	if (*end != '}' || end == from + 1 || (comma && end == from + 2)) {
		buf_text(&t->out, "\\{");
		t->at++;
		return TT_OK;
	}
	low = strtoul(from[1] == ',' ? "0" : from + 1, NULL, 10);
	high = !comma ? low : comma[1] == '}' ? 2 * low + 1 : strtoul(comma + 1, NULL, 10);
	t->at = end + 1;
	if (*t->at != '+') {
		buf_text(&t->out, from[1] == ',' ? "{0" : "{");
		buf_add(&t->out, from + 1, (size_t)(t->at - from - 1));
		return TT_OK;
	}
	t->at++;
	if (low > 65535 || high > 65535 || (low > 1 && high < 2 * low - 1) || !high)
		return translate_refuse(t, "a repeat of an interval that leaves gaps");
	buf_printf(&t->out, "{%lu,}", low);
	return TT_OK;
}

static int translate_step(struct translation *t)
{
	const char c = *t->at;

	if (c == '\\')
		return translate_escape(t);
	if (t->in_class)
		return translate_class(t);
	if (c == '(' && t->at[1] == '?') {
		if (t->at[2] == '~')
			return translate_refuse(t, "the absence operator (?~");
		translate_group(t);
		return TT_OK;
	}
	if (c == '{')
		return translate_interval(t);
	buf_char(&t->out, c);
	t->at++;
	if (c == '[') {
		t->in_class = true;
		if (*t->at == '^')
			buf_char(&t->out, *t->at++);
		if (*t->at == ']') {
			buf_text(&t->out, "\\]");
			t->at++;
		}
	}
	return TT_OK;
}

static int regex_compile(const char *pattern, const struct buf *translated, pcre2_code **ret)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	const uint32_t how = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
	int error;
	PCRE2_SIZE at;
	pcre2_code *code;

	if (!context)
		return err_set(TT_NOMEM, "there is no memory for a regular expression");
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	pcre2_set_parens_nest_limit(context, 100);
	code = pcre2_compile((PCRE2_SPTR)translated->data, translated->size, how, &error, &at,
			     context);
	pcre2_compile_context_free(context);
	if (!code) {
		PCRE2_UCHAR why[120] = "";
		pcre2_get_error_message(error, why, sizeof(why));
		return err_set(TT_INVALID, "the regular expression '%.200s' cannot be read: %s",
			       pattern, (const char *)why);
	}
	*ret = code;
	return TT_OK;
}

int regex_new(const char *pattern, struct regex **ret)
{
	struct translation t = { .pattern = pattern, .at = pattern };
	struct regex *r = NULL;
	pcre2_code *code = NULL;
	int result = TT_OK;

	buf_init(&t.out, PATTERN_MAX);
	buf_text(&t.out, "");
	while (*t.at && result == TT_OK)
		result = translate_step(&t);
	if (result == TT_OK)
		result = buf_check(&t.out, "a regular expression");
	if (result == TT_OK)
		result = regex_compile(pattern, &t.out, &code);
	if (result < 0)
		goto out;
	r = malloc(sizeof(*r));
	if (!r) {
		pcre2_code_free(code);
		result = err_set(TT_NOMEM, "there is no memory for a regular expression");
		goto out;
	}
	/* Without the just-in-time compiler it is slower, not wrong. */
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	r->code = code;
	*ret = r;
out:
	buf_done(&t.out);
	return result;
}

void regex_free(struct regex *r)
{
	if (r)
		pcre2_code_free(r->code);
	free(r);
}

int regex_walk_new(const struct regex *r, struct regex_walk **ret)
{
	struct regex_walk *w = calloc(1, sizeof(*w));

	if (w) {
		w->regex = r;
		w->match = pcre2_match_data_create_from_pattern(r->code, NULL);
		w->limits = pcre2_match_context_create(NULL);
	}
	if (!w || !w->match || !w->limits) {
		regex_walk_free(w);
		return err_set(TT_NOMEM, "there is no memory to match a regular expression");
	}
	pcre2_set_match_limit(w->limits, MATCH_STEPS);
	pcre2_set_heap_limit(w->limits, MATCH_KIB);
	*ret = w;
	return TT_OK;
}

void regex_walk_free(struct regex_walk *w)
{
	if (!w)
		return;
	pcre2_match_data_free(w->match);
	pcre2_match_context_free(w->limits);
	free(w);
}

void regex_walk_start(struct regex_walk *w, const char *s, size_t n)
{
	w->text = s;
	w->size = n;
	w->at = 0;
	w->any = false;
}

static int regex_find(struct regex_walk *w)
{
	const int n = pcre2_match(w->regex->code, (PCRE2_SPTR)w->text, w->size, w->at,
				  PCRE2_NO_UTF_CHECK, w->match, w->limits);
	PCRE2_UCHAR why[120] = "";

	if (n >= 0)
		return 1;
	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	pcre2_get_error_message(n, why, sizeof(why));
	return err_set(TT_INVALID, "a regular expression of the tokenizer gave up on a text: %s",
		       (const char *)why);
}

/* An empty match right behind the last one is not a match of its own. */
int regex_walk_next(struct regex_walk *w, size_t *ret_start, size_t *ret_end)
{
	while (w->at <= w->size) {
		const int r = regex_find(w);
		const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->match);

		if (r <= 0)
			return r;
		if (v[1] < v[0] || v[0] < w->at) /* \K tricks */
			return err_set(TT_INVALID, "a regular expression of the tokenizer "
						   "moves its match backwards");
		if (v[0] == v[1] && w->any && v[0] == w->last_end) {
			if (w->at >= w->size)
				return 0;
			do
				w->at++;
			while (w->at < w->size && (w->text[w->at] & 0xc0) == 0x80);
			continue;
		}
		w->any = true;
		w->at = w->last_end = v[1];
		*ret_start = v[0];
		*ret_end = v[1];
		return 1;
	}
	return 0;
}
