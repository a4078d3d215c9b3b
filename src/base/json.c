/*
 * JSON in and out. cJSON builds the tree and is lenient, so a strict scanner
 * goes over the text first: it refuses what is not JSON with line and column,
 * and what cJSON would read silently wrong (NUL, endless numbers, deep nests).
 * After it has passed, cJSON can only fail for want of memory.
 */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/number.h"

enum { DEPTH_MAX = 64, NUMBER_MAX = 63 }; /* cJSON cuts numbers at 63 bytes */

struct scan {
	const unsigned char *start, *at, *end;
	int depth;
	size_t keys, want_key;      /* keys passed; the one looked for, or SIZE_MAX */
	const unsigned char *found; /* where it starts */
};

static const cJSON *node(const struct json *j) { return (const cJSON *)(const void *)j; }

static struct json *wrap(cJSON *item) { return (struct json *)(void *)item; }

/* Length of the UTF-8 sequence at p, or 0: overlong, surrogate, too big, cut off. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
	const size_t left = (size_t)(end - p);
	size_t n;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (p[0] < 0xC2 || p[0] > 0xF4 || left < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
	    (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return n;
}

static int fail_at(const struct scan *s, const unsigned char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Columns count characters, not bytes, as editors do. */
static int fail_at(const struct scan *s, const unsigned char *where, const char *fmt, ...)
{
	size_t line = 1, column = 1;
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const unsigned char *p = s->start; p < where; p++) {
		if (*p == '\n') {
			line++;
			column = 1;
		} else if ((*p & 0xC0) != 0x80) {
			column++;
		}
	}
	return err_set(TT_INVALID, "line %zu, column %zu: %s", line, column, text);
}

/* "expected X, found Y" at the present place. */
static int fail_expected(const struct scan *s, const char *what)
{
	if (s->at == s->end)
		return fail_at(s, s->at, "expected %s, but the text ends here", what);
	if (*s->at == '/' && s->end - s->at > 1 && (s->at[1] == '/' || s->at[1] == '*'))
		return fail_at(s, s->at, "comments are not allowed in JSON; use a \"note\" string");
	if (*s->at < 0x20 || *s->at == 0x7F)
		return fail_at(s, s->at, "expected %s, found byte 0x%02x", what, *s->at);
	return fail_at(s, s->at, "expected %s, found '%.*s'", what, (int)utf8_length(s->at, s->end),
		       (const char *)s->at);
}

/* The whole text at once, so that a file that is no text at all is called that. */
static int scan_encoding(const struct scan *s)
{
	for (const unsigned char *p = s->at; p < s->end;) {
		const size_t n = utf8_length(p, s->end);

		if (!*p)
			return fail_at(s, p, "a NUL byte; this is not JSON text");
		if (!n)
			return fail_at(s, p, "byte 0x%02x is not UTF-8", *p);
		p += n;
	}
	return TT_OK;
}

static void scan_space(struct scan *s)
{
	while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
		s->at++;
}

/* Four hex digits, or -1. */
static long scan_hex(const struct scan *s, const unsigned char *p)
{
	long value = 0;

	if (s->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const unsigned char c = p[i], low = c | 0x20;

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (low >= 'a' && low <= 'f')
			value = value * 16 + (low - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* At a backslash. */
static int scan_escape(struct scan *s)
{
	long code;

	if (s->end - s->at < 2)
		return fail_at(s, s->at, "the text ends inside a string");
	if (s->at[1] != 'u') {
		if (!memchr("\"\\/bfnrt", s->at[1], 8))
			return fail_at(s, s->at, "no such escape in a JSON string");
		s->at += 2;
		return TT_OK;
	}
	code = scan_hex(s, s->at + 2);
	if (code < 0)
		return fail_at(s, s->at, "\\u needs four hexadecimal digits");
	if (!code)
		return fail_at(s, s->at, "a NUL character in a string is not supported");
	if (code >= 0xDC00 && code <= 0xDFFF)
		return fail_at(s, s->at, "half of a surrogate pair without its first half");
	if (code >= 0xD800 && code <= 0xDBFF) {
		const unsigned char *p = s->at + 6;
		const long low = s->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? scan_hex(s, p + 2)
										: -1;

		if (low < 0xDC00 || low > 0xDFFF)
			return fail_at(s, s->at,
				       "half of a surrogate pair without its second half");
		s->at += 6;
	}
	s->at += 6;
	return TT_OK;
}

/* At the opening quote. */
static int scan_string(struct scan *s)
{
	const unsigned char *open = s->at++;

	while (s->at < s->end && *s->at != '"') {
		if (*s->at < 0x20)
			return fail_at(s, s->at,
				       "byte 0x%02x inside a string must be written as an escape "
				       "(is the closing quote missing?)",
				       *s->at);
		if (*s->at == '\\') {
			const int rc = scan_escape(s);

			if (rc)
				return rc;
		} else {
			s->at++;
		}
	}
	if (s->at == s->end)
		return fail_at(s, open, "this string has no closing quote");
	s->at++;
	return TT_OK;
}

static size_t scan_digits(struct scan *s)
{
	const unsigned char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static int scan_number(struct scan *s)
{
	const unsigned char *from = s->at;
	char text[NUMBER_MAX + 1], *point;
	size_t n;

	if (*s->at == '-')
		s->at++;
	from = s->at;
	n = scan_digits(s);
	if (!n)
		return fail_expected(s, "a digit");
	if (n > 1 && *from == '0')
		return fail_at(s, from, "a number must not start with 0");
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!scan_digits(s))
			return fail_expected(s, "a digit after the decimal point");
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (!scan_digits(s))
			return fail_expected(s, "a digit in the exponent");
	}
	n = (size_t)(s->at - from);
	if (n >= NUMBER_MAX)
		return fail_at(s, from, "a number of %zu characters is longer than %d", n,
			       NUMBER_MAX - 1);
	memcpy(text, from, n);
	text[n] = 0;
	point = memchr(text, '.', n);
	if (point) /* strtod reads the locale's own, as cJSON will */
		*point = localeconv()->decimal_point[0];
	if (!isfinite(strtod(text, NULL)))
		return fail_at(s, from, "this number is too large");
	return TT_OK;
}

static int scan_value(struct scan *s);

/* Behind an element: the comma before the next one, or the end. ret_more says which. */
static int scan_separator(struct scan *s, unsigned char close, bool *ret_more)
{
	scan_space(s);
	if (s->at < s->end && (*s->at == ',' || *s->at == close)) {
		const unsigned char c = *s->at++;

		scan_space(s);
		if (c == ',' && s->at < s->end && *s->at == close)
			return fail_at(s, s->at - 1, "a comma before the closing '%c'", close);
		*ret_more = c == ',';
		return TT_OK;
	}
	return fail_expected(s, close == '}' ? "',' or '}'" : "',' or ']'");
}

static int scan_member(struct scan *s)
{
	int rc;

	if (s->at == s->end || *s->at != '"')
		return fail_expected(s, "a key in double quotes");
	if (s->keys++ == s->want_key)
		s->found = s->at;
	rc = scan_string(s);
	if (rc)
		return rc;
	scan_space(s);
	if (s->at == s->end || *s->at != ':')
		return fail_expected(s, "':' behind the key");
	s->at++;
	return scan_value(s);
}

/* At the opening bracket. */
static int scan_container(struct scan *s)
{
	const bool object = *s->at == '{';
	const unsigned char close = object ? '}' : ']';
	bool more = true;

	if (++s->depth > DEPTH_MAX)
		return fail_at(s, s->at, "nested deeper than %d levels", DEPTH_MAX);
	s->at++;
	scan_space(s);
	if (s->at < s->end && *s->at == close) {
		s->at++;
		more = false;
	}
	while (more) {
		int rc = object ? scan_member(s) : scan_value(s);

		if (!rc)
			rc = scan_separator(s, close, &more);
		if (rc)
			return rc;
	}
	s->depth--;
	return TT_OK;
}

static int scan_value(struct scan *s)
{
	static const char *const word[] = { "true", "false", "null" };

	scan_space(s);
	if (s->at == s->end)
		return fail_expected(s, "a value");
	if (*s->at == '{' || *s->at == '[')
		return scan_container(s);
	if (*s->at == '"')
		return scan_string(s);
	if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
		return scan_number(s);
	for (size_t i = 0; i < COUNT(word); i++) {
		const size_t n = strlen(word[i]);

		if ((size_t)(s->end - s->at) >= n && !memcmp(s->at, word[i], n)) {
			s->at += n;
			return TT_OK;
		}
	}
	return fail_expected(s, "a value");
}

static int scan_document(struct scan *s)
{
	int rc = scan_encoding(s);

	if (rc)
		return rc;
	scan_space(s);
	if (s->at == s->end)
		return fail_at(s, s->at, "the text is empty");
	rc = scan_value(s);
	if (rc)
		return rc;
	scan_space(s);
	if (s->at < s->end)
		return fail_at(s, s->at, "something follows the end of the document");
	return TT_OK;
}

static int item_compare(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;

	return strcmp((*x)->string, (*y)->string);
}

/* A member of the object whose key another one has; sorted, since vocabularies have 10^5 members. */
static int duplicate_in(const cJSON *object, const cJSON **ret)
{
	const cJSON **item, *c;
	size_t n = 0, i = 0;

	*ret = NULL;
	for (c = object->child; c; c = c->next)
		n++;
	if (n < 2)
		return TT_OK;
	item = malloc(n * sizeof(const cJSON *));
	if (!item)
		return err_set(TT_NOMEM, "not enough memory for an object of %zu keys", n);
	for (c = object->child; c; c = c->next)
		item[i++] = c;
	qsort(item, n, sizeof(const cJSON *), item_compare);
	for (i = 1; i < n && !*ret; i++)
		if (!strcmp(item[i - 1]->string, item[i]->string))
			*ret = item[i];
	free(item);
	if (*ret) /* sorting is not stable: the last of its kind in the file is the one to blame */
		for (c = object->child; c; c = c->next)
			if (!strcmp(c->string, (*ret)->string))
				*ret = c;
	return TT_OK;
}

static int duplicate_find(const cJSON *item, const cJSON **ret)
{
	*ret = NULL;
	if (cJSON_IsObject(item)) {
		const int rc = duplicate_in(item, ret);

		if (rc || *ret)
			return rc;
	}
	for (const cJSON *c = item->child; c; c = c->next)
		if (c->child) {
			const int rc = duplicate_find(c, ret);

			if (rc || *ret)
				return rc;
		}
	return TT_OK;
}

/* How many keys come before this member in the text. */
static bool key_number(const cJSON *item, const cJSON *member, size_t *count)
{
	for (const cJSON *c = item->child; c; c = c->next) {
		if (c == member)
			return true;
		if (c->string)
			(*count)++;
		if (c->child && key_number(c, member, count))
			return true;
	}
	return false;
}

static int check_duplicates(const struct scan *first, const cJSON *root)
{
	const cJSON *bad;
	struct scan s = *first;
	size_t number = 0;
	int rc = duplicate_find(root, &bad);

	if (rc || !bad)
		return rc;
	key_number(root, bad, &number);
	s.want_key = number;
	rc = scan_document(&s);
	if (rc)
		return rc;
	return fail_at(&s, s.found ? s.found : s.start,
		       "the key \"%.100s\" is in this object twice", bad->string);
}

int json_parse(const char *text, size_t size, struct json **ret)
{
	static const unsigned char none[1];
	const unsigned char *start = size ? (const unsigned char *)text : none;
	struct scan first, s;
	cJSON *root;
	int rc;

	if (size >= 3 && !memcmp(start, "\xEF\xBB\xBF", 3)) { /* a byte order mark is no content */
		start += 3;
		size -= 3;
	}
	first = (struct scan){
		.start = start, .at = start, .end = start + size, .want_key = SIZE_MAX
	};
	s = first;
	rc = scan_document(&s);
	if (rc)
		return rc;
	root = cJSON_ParseWithLengthOpts((const char *)start, size, NULL, 0);
	if (!root)
		return err_set(TT_NOMEM, "not enough memory for a JSON text of %zu bytes", size);
	rc = check_duplicates(&first, root);
	if (rc) {
		cJSON_Delete(root);
		return rc;
	}
	*ret = wrap(root);
	return TT_OK;
}

int json_load(const char *path, size_t max, struct json **ret)
{
	struct buf text;
	int rc = fs_read(path, max, &text);

	if (rc)
		return rc;
	rc = json_parse(text.data, text.size, ret);
	buf_done(&text);
	return rc ? err_in("%s", path) : TT_OK;
}

void json_free(struct json *root) { cJSON_Delete((cJSON *)(void *)root); }

enum json_type json_type(const struct json *j)
{
	switch (node(j)->type & 0xFF) {
	case cJSON_True:
	case cJSON_False: return JSON_BOOL;
	case cJSON_Number: return JSON_NUMBER;
	case cJSON_String: return JSON_TEXT;
	case cJSON_Array: return JSON_ARRAY;
	case cJSON_Object: return JSON_OBJECT;
	default: return JSON_NULL;
	}
}

const char *json_type_name(enum json_type type)
{
	static const char *const name[] = {
		[JSON_NULL] = "null",     [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_TEXT] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};

	return name[type];
}

const struct json *json_get(const struct json *object, const char *key)
{
	if (!object || json_type(object) != JSON_OBJECT)
		return NULL;
	return wrap(cJSON_GetObjectItemCaseSensitive(node(object), key));
}

const struct json *json_first(const struct json *j) { return j ? wrap(node(j)->child) : NULL; }

const struct json *json_next(const struct json *child) { return wrap(node(child)->next); }

const char *json_key(const struct json *member) { return node(member)->string; }

size_t json_count(const struct json *j)
{
	size_t n = 0;

	for (const struct json *c = json_first(j); c; c = json_next(c))
		n++;
	return n;
}

const char *json_text(const struct json *j)
{
	return j && json_type(j) == JSON_TEXT ? node(j)->valuestring : NULL;
}

double json_number(const struct json *j)
{
	return j && json_type(j) == JSON_NUMBER ? node(j)->valuedouble : (double)NAN;
}

bool json_bool(const struct json *j) { return j && cJSON_IsTrue(node(j)); }

bool json_int(const struct json *j, int64_t *ret)
{
	const double v = json_number(j);

	if (!(v >= -9007199254740992.0 && v <= 9007199254740992.0) || v != floor(v))
		return false;
	*ret = (int64_t)v;
	return true;
}

struct json *json_copy(const struct json *j) { return wrap(cJSON_Duplicate(node(j), 1)); }

char *json_print(const struct json *j, bool pretty)
{
	struct buf out;
	struct jsonw w;

	buf_init(&out, SIZE_MAX / 4);
	jsonw_init(&w, &out, pretty ? 2 : 0);
	jsonw_json(&w, j);
	if (out.bad)
		buf_done(&out);
	return out.data;
}

/* ---- editing ---- */

static int depth_of(const cJSON *item)
{
	int most = 0;

	for (const cJSON *c = item->child; c; c = c->next) {
		const int d = depth_of(c);

		most = d > most ? d : most;
	}
	return cJSON_IsArray(item) || cJSON_IsObject(item) ? most + 1 : 0;
}

/* The value of --set: JSON when it reads as that, else a string. */
static int value_read(const char *path, const char *value, cJSON **ret)
{
	const unsigned char *at = (const unsigned char *)value, *end = at + strlen(value);
	struct json *parsed = NULL;

	for (const unsigned char *p = at; p < end;) {
		const size_t n = utf8_length(p, end);

		if (!n)
			return err_set(TT_INVALID, "%s: the new value is not UTF-8", path);
		p += n;
	}
	if (json_parse(value, strlen(value), &parsed) == TT_OK)
		*ret = (cJSON *)(void *)parsed;
	else
		*ret = cJSON_CreateString(value);
	return *ret ? TT_OK : err_set(TT_NOMEM, "not enough memory to set %s", path);
}

/* The child that `part` (n bytes) names; NULL in an object without it. */
static int step_into(cJSON *at, const char *path, const char *part, size_t n, cJSON **ret)
{
	char name[128], *rest;
	unsigned long index;

	if (!n || n >= sizeof(name))
		return err_set(TT_INVALID,
			       "%.200s is not a path; write for example train.learning_rate", path);
	memcpy(name, part, n);
	name[n] = 0;
	if (cJSON_IsObject(at)) {
		*ret = cJSON_GetObjectItemCaseSensitive(at, name);
		return TT_OK;
	}
	if (!cJSON_IsArray(at))
		return err_set(TT_INVALID, "%.200s: what is before '%s' is %s and has no members",
			       path, name, json_type_name(json_type(wrap(at))));
	errno = 0;
	index = strtoul(name, &rest, 10);
	if (name[0] < '0' || name[0] > '9' || *rest || errno ||
	    index >= (unsigned long)cJSON_GetArraySize(at))
		return err_set(TT_INVALID,
			       "%.200s: '%s' is not an index of an array of %d (counted from 0)",
			       path, name, cJSON_GetArraySize(at));
	*ret = cJSON_GetArrayItem(at, (int)index);
	return TT_OK;
}

/* Put value at the end of path below `at`, an object that lacks even the first part; owns value. */
static int grow_path(cJSON *at, const char *path, const char *part, cJSON *value)
{
	for (;;) {
		const size_t n = strcspn(part, ".");
		char name[128];
		cJSON *next = part[n] ? cJSON_CreateObject() : value;

		if (!n || n >= sizeof(name)) {
			cJSON_Delete(value);
			if (next != value)
				cJSON_Delete(next);
			return err_set(
				TT_INVALID,
				"%.200s is not a path; write for example train.learning_rate",
				path);
		}
		memcpy(name, part, n);
		name[n] = 0;
		if (!next || !cJSON_AddItemToObject(at, name, next)) {
			cJSON_Delete(next == value ? NULL : next);
			cJSON_Delete(value);
			return err_set(TT_NOMEM, "not enough memory to set %.200s", path);
		}
		if (next == value)
			return TT_OK;
		at = next;
		part += n + 1;
	}
}

int json_set(struct json *root, const char *path, const char *value)
{
	cJSON *at = (cJSON *)(void *)root, *child = NULL, *item = NULL;
	const char *part = path;
	int rc, depth = 1;

	for (const char *p = path; *p; p++) {
		depth += *p == '.';
		if (p[0] == '.' && (p == path || p[1] == '.' || !p[1]))
			return err_set(
				TT_INVALID,
				"%.200s is not a path; write for example train.learning_rate",
				path);
	}
	rc = value_read(path, value, &item);
	if (rc)
		return rc;
	if (depth + depth_of(item) > DEPTH_MAX)
		rc = err_set(TT_INVALID, "%.200s would nest deeper than %d levels", path,
			     DEPTH_MAX);
	while (!rc) {
		const size_t n = strcspn(part, ".");

		rc = step_into(at, path, part, n, &child);
		if (rc)
			break;
		if (!child)
			return grow_path(at, path, part, item);
		if (!part[n]) {
			char *key = NULL;

			if (cJSON_IsArray(at)) {
				cJSON_ReplaceItemViaPointer(at, child, item);
				return TT_OK;
			}
			key = strdup(child->string);
			if (!key || !cJSON_ReplaceItemInObjectCaseSensitive(at, key, item))
				rc = err_set(TT_NOMEM, "not enough memory to set %.200s", path);
			free(key);
			if (!rc)
				return TT_OK;
			break;
		}
		at = child;
		part += n + 1;
	}
	cJSON_Delete(item);
	return rc;
}

/* ---- out ---- */

void jsonw_init(struct jsonw *w, struct buf *out, int indent)
{
	*w = (struct jsonw){ .out = out, .indent = indent };
}

static void new_line(struct jsonw *w)
{
	if (!w->indent)
		return;
	buf_char(w->out, '\n');
	for (int i = 0; i < w->depth * w->indent; i++)
		buf_char(w->out, ' ');
}

/* What stands before a value or a key: nothing, or a comma and a new line. */
static void element(struct jsonw *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (!w->depth)
		return;
	if (w->some[w->depth - 1])
		buf_text(w->out, w->indent ? "," : ", ");
	w->some[w->depth - 1] = true;
	new_line(w);
}

static void open_level(struct jsonw *w, char c)
{
	element(w);
	if (w->depth == (int)COUNT(w->some)) {
		w->out->bad = true;
		return;
	}
	buf_char(w->out, c);
	w->some[w->depth++] = false;
}

void jsonw_object(struct jsonw *w) { open_level(w, '{'); }

void jsonw_array(struct jsonw *w) { open_level(w, '['); }

void jsonw_end(struct jsonw *w, char close)
{
	if (!w->depth) {
		w->out->bad = true;
		return;
	}
	if (w->some[--w->depth])
		new_line(w);
	buf_char(w->out, close);
}

static bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

/* One character that does not stand for itself, or of several bytes; returns how many. */
static size_t quote(struct buf *out, const unsigned char *p, const unsigned char *end)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *at = *p ? strchr(plain, *p) : NULL;
	const size_t size = utf8_length(p, end);

	if (at) {
		buf_char(out, '\\');
		buf_char(out, letter[at - plain]);
	} else if (*p < 0x20 || *p == 0x7F) {
		buf_printf(out, "\\u%04x", *p);
	} else if (size) {
		buf_add(out, p, size);
	} else {
		buf_text(out, "\xEF\xBF\xBD");
	}
	return size ? size : 1;
}

static void quoted(struct jsonw *w, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;

	buf_char(w->out, '"');
	while (p < end) {
		const unsigned char *from = p;

		while (p < end && is_plain(*p))
			p++;
		buf_add(w->out, from, (size_t)(p - from));
		if (p < end)
			p += quote(w->out, p, end);
	}
	buf_char(w->out, '"');
}

void jsonw_key(struct jsonw *w, const char *key)
{
	element(w);
	quoted(w, key, strlen(key));
	buf_text(w->out, ": ");
	w->after_key = true;
}

void jsonw_text(struct jsonw *w, const char *text)
{
	if (text)
		jsonw_text_n(w, text, strlen(text));
	else
		jsonw_null(w);
}

void jsonw_text_n(struct jsonw *w, const char *text, size_t n)
{
	element(w);
	quoted(w, text, n);
}

void jsonw_int(struct jsonw *w, int64_t v)
{
	char text[NUMBER_SIZE];

	element(w);
	buf_add(w->out, text, number_int(v, text));
}

void jsonw_real(struct jsonw *w, double v)
{
	char text[NUMBER_SIZE];

	if (!isfinite(v)) {
		jsonw_null(w);
		return;
	}
	element(w);
	buf_add(w->out, text, number_real(v, text));
}

void jsonw_bool(struct jsonw *w, bool v)
{
	element(w);
	buf_text(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
	element(w);
	buf_text(w->out, "null");
}

void jsonw_json(struct jsonw *w, const struct json *j)
{
	const enum json_type type = json_type(j);
	int64_t whole;

	switch (type) {
	case JSON_NULL: jsonw_null(w); break;
	case JSON_BOOL: jsonw_bool(w, json_bool(j)); break;
	case JSON_NUMBER:
		if (json_int(j, &whole) && !(whole == 0 && signbit(json_number(j))))
			jsonw_int(w, whole);
		else
			jsonw_real(w, json_number(j));
		break;
	case JSON_TEXT: jsonw_text(w, json_text(j)); break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		open_level(w, type == JSON_ARRAY ? '[' : '{');
		for (const struct json *c = json_first(j); c && !w->out->bad; c = json_next(c)) {
			if (type == JSON_OBJECT)
				jsonw_key(w, json_key(c));
			jsonw_json(w, c);
		}
		jsonw_end(w, type == JSON_ARRAY ? ']' : '}');
		break;
	}
}
