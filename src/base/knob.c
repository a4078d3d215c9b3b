/*
 * Settings by table. Every complaint has one shape, "WHERE.NAME is FOUND; it
 * must be ALLOWED", so that people learn to read them once.
 */
#include "base/knob.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

enum { NAME_MAX_LENGTH = 64, NAMES_MAX = 256 };

/* What the reading of one value needs. */
struct reading {
	const char *where, *dir;
	struct arena *arena;
};

static void *place(const struct knob *k, void *settings) { return (char *)settings + k->at; }

static const void *place_const(const struct knob *k, const void *settings)
{
	return (const char *)settings + k->at;
}

void knob_defaults(const struct knob *table, void *settings)
{
	for (const struct knob *k = table; k->name; k++) {
		const bool none = k->flags & KNOB_OPTIONAL;
		void *at = place(k, settings);

		switch (k->type) {
		case KNOB_INT: *(int64_t *)at = none ? KNOB_NONE : (int64_t)k->def; break;
		case KNOB_REAL: *(double *)at = none ? (double)NAN : k->def; break;
		case KNOB_BOOL: *(bool *)at = k->def != 0; break;
		case KNOB_CHOICE: *(int *)at = (int)k->def; break;
		case KNOB_TEXT: *(const char **)at = k->text; break;
		case KNOB_PATH: *(const char **)at = NULL; break;
		case KNOB_TEXTS:
		case KNOB_PATHS:
		case KNOB_SELECT: *(struct texts *)at = (struct texts){ NULL, 0, false }; break;
		case KNOB_INTS: *(struct ints *)at = (struct ints){ NULL, 0 }; break;
		case KNOB_JSON: *(const struct json **)at = NULL; break;
		}
	}
}

/* ---- sentences ---- */

void knob_quote(const char *text, char *ret, size_t size)
{
	enum { SHOWN = 60 };
	size_t n = 0, cut = strlen(text);

	if (cut > SHOWN)
		for (cut = SHOWN; cut && ((unsigned char)text[cut] & 0xC0) == 0x80; cut--)
			; /* not in the middle of a character */
	ret[n++] = '"';
	for (size_t i = 0; i < cut && n + 8 < size; i++)
		ret[n++] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i];
	snprintf(ret + n, size - n, "%s", text[cut] ? "...\"" : "\"");
}

static void found(const struct json *j, char *ret, size_t size)
{
	switch (json_type(j)) {
	case JSON_TEXT:
		if (*json_text(j))
			knob_quote(json_text(j), ret, size);
		else
			snprintf(ret, size, "an empty string");
		break;
	case JSON_NUMBER: snprintf(ret, size, "%.15g", json_number(j)); break;
	case JSON_BOOL: snprintf(ret, size, "%s", json_bool(j) ? "true" : "false"); break;
	default: snprintf(ret, size, "%s", json_type_name(json_type(j)));
	}
}

static bool has_range(const struct knob *k) { return k->min < k->max; }

static void range_text(const struct knob *k, const char *what, char *ret, size_t size)
{
	const bool open_min = k->flags & KNOB_OPEN_MIN, open_max = k->flags & KNOB_OPEN_MAX;

	if (!has_range(k) || (isinf(k->min) && isinf(k->max)))
		snprintf(ret, size, "%s", what);
	else if (isinf(k->max))
		snprintf(ret, size, "%s %s %.15g", what, open_min ? "above" : "of at least",
			 k->min);
	else if (isinf(k->min))
		snprintf(ret, size, "%s %s %.15g", what, open_max ? "below" : "of at most", k->max);
	else if (open_min || open_max)
		snprintf(ret, size, "%s %s %.15g and %s %.15g", what,
			 open_min ? "above" : "of at least", k->min, open_max ? "below" : "at most",
			 k->max);
	else
		snprintf(ret, size, "%s from %.15g to %.15g", what, k->min, k->max);
}

void knob_allowed(const struct knob *k, char *ret, size_t size)
{
	size_t n;

	switch (k->type) {
	case KNOB_INT:
		range_text(k, "a whole number", ret, size);
		if (k->flags & KNOB_BYTES) {
			n = strlen(ret);
			snprintf(ret + n, size - n, " of bytes, or a size like \"4GiB\"");
		}
		break;
	case KNOB_REAL: range_text(k, "a number", ret, size); break;
	case KNOB_BOOL: snprintf(ret, size, "true or false"); break;
	case KNOB_CHOICE:
		n = (size_t)snprintf(ret, size, "one of ");
		for (const char *p = k->choices; *p && n + 3 < size; p++) {
			ret[n++] = *p == '|' ? ',' : *p;
			if (*p == '|')
				ret[n++] = ' ';
			ret[n] = 0;
		}
		break;
	case KNOB_TEXT: snprintf(ret, size, "a string"); break;
	case KNOB_PATH: snprintf(ret, size, "a path"); break;
	case KNOB_TEXTS: snprintf(ret, size, "an array of strings"); break;
	case KNOB_PATHS: snprintf(ret, size, "an array of paths"); break;
	case KNOB_SELECT: snprintf(ret, size, "a string or an array of strings"); break;
	case KNOB_INTS:
		range_text(k, "a whole number", ret, size);
		n = strlen(ret);
		snprintf(ret + n, size - n, ", or an array of such");
		break;
	case KNOB_JSON: snprintf(ret, size, "a JSON value"); break;
	}
	if (k->flags & KNOB_OPTIONAL) {
		n = strlen(ret);
		snprintf(ret + n, size - n, "%s", k->type == KNOB_CHOICE ? "" : ", or null");
	}
}

static const char *dot(const char *where) { return *where ? "." : ""; }

static int refuse(const struct reading *r, const struct knob *k, const struct json *j)
{
	char is[96], allowed[320];

	found(j, is, sizeof(is));
	knob_allowed(k, allowed, sizeof(allowed));
	return err_set(TT_INVALID, "%s%s%s is %s; it must be %s", r->where, dot(r->where), k->name,
		       is, allowed);
}

/* The sentence for one element of an array. */
static int refuse_item(const struct reading *r, const struct knob *k, size_t i,
		       const struct json *j)
{
	struct knob one = *k;
	char is[96], allowed[128];

	one.type = k->type == KNOB_INTS ? KNOB_INT : k->type == KNOB_PATHS ? KNOB_PATH : KNOB_TEXT;
	one.flags &= ~(unsigned)KNOB_OPTIONAL;
	found(j, is, sizeof(is));
	knob_allowed(&one, allowed, sizeof(allowed));
	return err_set(TT_INVALID, "%s%s%s.%zu is %s; it must be %s", r->where, dot(r->where),
		       k->name, i, is, allowed);
}

/* ---- names that are nearly right ---- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/*
 * Edit distance where two swapped neighbours count once and the case of a
 * letter does not. Both at most NAME_MAX_LENGTH long.
 */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][NAME_MAX_LENGTH + 1];
	size_t *before = row[0], *last = row[1], *now = row[2];
	const size_t na = strlen(a), nb = strlen(b);

	for (size_t j = 0; j <= nb; j++) {
		before[j] = 0;
		last[j] = j;
	}
	for (size_t i = 1; i <= na; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

const char *knob_nearest(const char *name, const char *const *names, size_t n)
{
	const char *nearest = NULL;
	size_t least = SIZE_MAX;

	if (strlen(name) > NAME_MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t d;

		if (strlen(names[i]) > NAME_MAX_LENGTH)
			continue;
		d = distance(name, names[i]);
		if (d < least) {
			least = d;
			nearest = names[i];
		}
	}
	/* as many edits as letters would make any word of any other */
	return least <= strlen(name) / 3 + 1 && least < strlen(name) ? nearest : NULL;
}

/* The keys as "a, b, c", as many as fit. */
static void list_names(const char *const *names, size_t n, char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = 0;
	for (size_t i = 0; i < n; i++) {
		if (at + strlen(names[i]) + 6 >= size) {
			snprintf(ret + at, size - at, ", ...");
			return;
		}
		at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? ", " : "", names[i]);
	}
}

static int unknown_key(const struct reading *r, const struct knob *table, const char *key)
{
	const char *names[NAMES_MAX] = { NULL }, *near;
	char quoted[96], list[256];
	size_t n = 0;

	for (const struct knob *k = table; k->name && n < NAMES_MAX; k++)
		names[n++] = k->name;
	near = knob_nearest(key, names, n);
	if (near) {
		knob_quote(key, quoted, sizeof(quoted));
		quoted[strlen(quoted) - 1] = 0;
		return err_set(TT_INVALID, "%s%s%s is not a key; did you mean %s?", r->where,
			       dot(r->where), quoted + 1, near);
	}
	knob_quote(key, quoted, sizeof(quoted));
	list_names(names, n, list, sizeof(list));
	return err_set(TT_INVALID, "%s is not a key%s%s; the keys are %s", quoted,
		       *r->where ? " of " : "", r->where, list);
}

/* ---- values ---- */

static bool in_range(const struct knob *k, double v)
{
	if (!has_range(k))
		return true;
	if (k->flags & KNOB_OPEN_MIN ? v <= k->min : v < k->min)
		return false;
	return k->flags & KNOB_OPEN_MAX ? v < k->max : v <= k->max;
}

/* "4GiB", "1.5 GB", "100kB", "4096". */
static bool parse_size(const char *text, double *ret)
{
	static const struct {
		const char *name;
		double bytes;
	} unit[] = {
		{ "", 1 },         { "B", 1 },        { "kB", 1e3 },     { "KB", 1e3 },
		{ "MB", 1e6 },     { "GB", 1e9 },     { "TB", 1e12 },    { "KiB", 0x1p10 },
		{ "kiB", 0x1p10 }, { "MiB", 0x1p20 }, { "GiB", 0x1p30 }, { "TiB", 0x1p40 },
	};
	double v = 0, step = 1;
	const char *p = text;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) /* by hand: strtod would follow the locale */
		v = v * 10 + (*p - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			v += (*p - '0') * (step /= 10);
	p += *p == ' ';
	for (size_t i = 0; i < COUNT(unit); i++)
		if (!strcmp(p, unit[i].name)) {
			*ret = floor(v * unit[i].bytes);
			return *ret <= 0x1p53;
		}
	return false;
}

static int read_int(const struct reading *r, const struct knob *k, const struct json *j,
		    int64_t *ret)
{
	double v;

	if (k->flags & KNOB_BYTES && json_text(j)) {
		if (!parse_size(json_text(j), &v) || !in_range(k, v))
			return refuse(r, k, j);
		*ret = (int64_t)v;
		return TT_OK;
	}
	if (!json_int(j, ret) || !in_range(k, (double)*ret))
		return refuse(r, k, j);
	return TT_OK;
}

static int read_choice(const struct reading *r, const struct knob *k, const struct json *j,
		       int *ret)
{
	const char *text = json_text(j);
	int index = 0;

	for (const char *p = k->choices; text && *p; index++) {
		const size_t n = strcspn(p, "|");

		if (strlen(text) == n && !memcmp(p, text, n)) {
			*ret = index;
			return TT_OK;
		}
		p += n + (p[n] == '|');
	}
	return refuse(r, k, j);
}

/* A path that is made absolute. */
static int place_path(const struct reading *r, const struct knob *k, const char *text,
		      const char **ret)
{
	char joined[PATH_MAX], whole[PATH_MAX];
	int rc = fs_join(joined, sizeof(joined), r->dir ? r->dir : ".", text);

	if (!rc)
		rc = fs_absolute(whole, sizeof(whole), joined);
	if (rc)
		return err_in("%s%s%s", r->where, dot(r->where), k->name);
	*ret = arena_text(r->arena, whole);
	return *ret ? TT_OK : TT_NOMEM;
}

static int read_path(const struct reading *r, const struct knob *k, const struct json *j,
		     const char **ret)
{
	const char *text = json_text(j);

	return text && *text ? place_path(r, k, text, ret) : refuse(r, k, j);
}

/* One string of a list. */
static int read_item(const struct reading *r, const struct knob *k, size_t i, const struct json *j,
		     const char **ret)
{
	const char *text = json_text(j);

	if (!text || (k->type == KNOB_PATHS && !*text))
		return refuse_item(r, k, i, j);
	if (k->type == KNOB_PATHS)
		return place_path(r, k, text, ret);
	*ret = arena_text(r->arena, text);
	return *ret ? TT_OK : TT_NOMEM;
}

static int read_texts(const struct reading *r, const struct knob *k, const struct json *j,
		      struct texts *ret)
{
	const bool one = k->type == KNOB_SELECT && json_text(j);
	const size_t n = one ? 1 : json_count(j);
	const struct json *c = one ? j : json_first(j);
	const char **item;

	if (!one && json_type(j) != JSON_ARRAY)
		return refuse(r, k, j);
	item = arena_zero(r->arena, n ? n : 1, sizeof(char *));
	if (!item)
		return TT_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const int rc = read_item(r, k, i, c, &item[i]);

		if (rc)
			return rc;
		c = one ? NULL : json_next(c);
	}
	*ret = (struct texts){ item, n, !one };
	return TT_OK;
}

static int read_ints(const struct reading *r, const struct knob *k, const struct json *j,
		     struct ints *ret)
{
	const bool one = json_type(j) == JSON_NUMBER;
	const size_t n = one ? 1 : json_count(j);
	const struct json *c = one ? j : json_first(j);
	int64_t *item;

	if (!one && json_type(j) != JSON_ARRAY)
		return refuse(r, k, j);
	item = arena_zero(r->arena, n ? n : 1, sizeof(int64_t));
	if (!item)
		return TT_NOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!json_int(c, &item[i]) || !in_range(k, (double)item[i]))
			return one ? refuse(r, k, c) : refuse_item(r, k, i, c);
		c = one ? NULL : json_next(c);
	}
	*ret = (struct ints){ item, n };
	return TT_OK;
}

static int read_value(const struct reading *r, const struct knob *k, const struct json *j, void *at)
{
	const char *copy;

	switch (k->type) {
	case KNOB_INT: return read_int(r, k, j, at);
	case KNOB_REAL:
		if (json_type(j) != JSON_NUMBER || !in_range(k, json_number(j)))
			return refuse(r, k, j);
		*(double *)at = json_number(j);
		return TT_OK;
	case KNOB_BOOL:
		if (json_type(j) != JSON_BOOL)
			return refuse(r, k, j);
		*(bool *)at = json_bool(j);
		return TT_OK;
	case KNOB_CHOICE: return read_choice(r, k, j, at);
	case KNOB_TEXT:
		if (!json_text(j))
			return refuse(r, k, j);
		copy = arena_text(r->arena, json_text(j));
		if (!copy)
			return TT_NOMEM;
		*(const char **)at = copy;
		return TT_OK;
	case KNOB_PATH: return read_path(r, k, j, at);
	case KNOB_TEXTS:
	case KNOB_PATHS:
	case KNOB_SELECT: return read_texts(r, k, j, at);
	case KNOB_INTS: return read_ints(r, k, j, at);
	case KNOB_JSON: *(const struct json **)at = j; return TT_OK;
	}
	return err_set(TT_INVALID, "%s%s%s has an unknown type", r->where, dot(r->where), k->name);
}

static int check_keys(const struct reading *r, const struct knob *table, const struct json *object)
{
	for (const struct json *m = json_first(object); m; m = json_next(m)) {
		const struct knob *k = table;

		while (k->name && strcmp(k->name, json_key(m)))
			k++;
		if (k->name)
			continue;
		if (strcmp(json_key(m), "note"))
			return unknown_key(r, table, json_key(m));
		if (!json_text(m))
			return refuse(r, &(struct knob){ .name = "note", .type = KNOB_TEXT }, m);
	}
	return TT_OK;
}

int knob_parse(const struct knob *table, const struct json *object, const char *where,
	       const char *dir, struct arena *a, void *settings)
{
	const struct reading r = { .where = where, .dir = dir, .arena = a };
	int rc;

	knob_defaults(table, settings);
	if (object && json_type(object) != JSON_OBJECT)
		return err_set(TT_INVALID, "%s is %s; it must be an object",
			       *where ? where : "the document", json_type_name(json_type(object)));
	rc = check_keys(&r, table, object);
	for (const struct knob *k = table; !rc && k->name; k++) {
		const struct json *j = json_get(object, k->name);
		char allowed[320];

		if (j && !(k->flags & KNOB_OPTIONAL && json_type(j) == JSON_NULL)) {
			rc = read_value(&r, k, j, place(k, settings));
		} else if (k->flags & KNOB_REQUIRED) {
			knob_allowed(k, allowed, sizeof(allowed));
			rc = err_set(TT_INVALID, "%s%s%s is missing; it must be %s", where,
				     dot(where), k->name, allowed);
		}
	}
	return rc;
}

/* ---- out ---- */

/* The choice's word, or NULL when the index lies behind the last one. */
static const char *choice_name(const char *choices, int index, size_t *ret_n)
{
	const char *p = choices;

	for (; index > 0 && *p; index--) {
		p += strcspn(p, "|");
		p += *p == '|';
	}
	*ret_n = strcspn(p, "|");
	return index == 0 && *p ? p : NULL;
}

static void write_texts(const char *name, const struct texts *t, bool select, struct jsonw *w)
{
	if (!t->item)
		return;
	jsonw_key(w, name);
	if (select && !t->is_list && t->n == 1) {
		jsonw_text(w, t->item[0]);
		return;
	}
	jsonw_array(w);
	for (size_t i = 0; i < t->n; i++)
		jsonw_text(w, t->item[i]);
	jsonw_end(w, ']');
}

static void write_ints(const char *name, const struct ints *v, struct jsonw *w)
{
	if (!v->item)
		return;
	jsonw_key(w, name);
	if (v->n == 1) {
		jsonw_int(w, v->item[0]);
		return;
	}
	jsonw_array(w);
	for (size_t i = 0; i < v->n; i++)
		jsonw_int(w, v->item[i]);
	jsonw_end(w, ']');
}

static void write_int(const char *name, int64_t v, struct jsonw *w)
{
	if (v == KNOB_NONE)
		return;
	jsonw_key(w, name);
	jsonw_int(w, v);
}

static void write_choice(const struct knob *k, int index, struct jsonw *w)
{
	size_t n;
	const char *word = choice_name(k->choices, index, &n);

	if (!word)
		return;
	jsonw_key(w, k->name);
	jsonw_text_n(w, word, n);
}

static void write_text(const char *name, const char *text, struct jsonw *w)
{
	if (!text)
		return;
	jsonw_key(w, name);
	jsonw_text(w, text);
}

static void write_value(const struct knob *k, const void *at, struct jsonw *w)
{
	switch (k->type) {
	case KNOB_INT: write_int(k->name, *(const int64_t *)at, w); break;
	case KNOB_REAL:
		if (isnan(*(const double *)at))
			break;
		jsonw_key(w, k->name);
		jsonw_real(w, *(const double *)at);
		break;
	case KNOB_BOOL:
		jsonw_key(w, k->name);
		jsonw_bool(w, *(const bool *)at);
		break;
	case KNOB_CHOICE: write_choice(k, *(const int *)at, w); break;
	case KNOB_TEXT:
	case KNOB_PATH: write_text(k->name, *(const char *const *)at, w); break;
	case KNOB_TEXTS:
	case KNOB_PATHS:
	case KNOB_SELECT: write_texts(k->name, at, k->type == KNOB_SELECT, w); break;
	case KNOB_INTS: write_ints(k->name, at, w); break;
	case KNOB_JSON:
		if (!*(const struct json *const *)at)
			break;
		jsonw_key(w, k->name);
		jsonw_json(w, *(const struct json *const *)at);
		break;
	}
}

void knob_write(const struct knob *table, const void *settings, struct jsonw *w)
{
	for (const struct knob *k = table; k->name; k++)
		write_value(k, place_const(k, settings), w);
}
