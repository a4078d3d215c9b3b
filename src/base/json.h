#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * JSON in: a checked tree over cJSON (the only place that includes it).
 * Text from outside is hostile: it must be UTF-8 without NUL, at most `max`
 * bytes, nested at most 64 deep, without duplicate keys in one object and
 * with nothing but white space behind the document.
 */
struct json; /* one value; the root owns the tree */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

/* Errors name line and column. */
int json_parse(const char *text, size_t size, struct json **ret);
int json_load(const char *path, size_t max, struct json **ret); /* errors name the path */
void json_free(struct json *root);                              /* NULL is fine */

enum json_type json_type(const struct json *j);
const char *json_type_name(enum json_type type); /* "a string", "an object", ... for sentences */
const struct json *json_get(const struct json *object,
			    const char *key); /* NULL: not there, or no object */
const struct json *json_first(
	const struct json *j); /* first child of an array or object; NULL when empty */
const struct json *json_next(const struct json *child); /* its sibling */
const char *json_key(const struct json *member);        /* the member's key */
size_t json_count(const struct json *j);
const char *json_text(const struct json *j);         /* NULL unless a string */
double json_number(const struct json *j);            /* NAN unless a number */
bool json_bool(const struct json *j);                /* false unless true */
bool json_int(const struct json *j, int64_t *ret);   /* a whole number within +-2^53 */
struct json *json_copy(const struct json *j);        /* deep; NULL without memory */
char *json_print(const struct json *j, bool pretty); /* malloc'ed; caller frees */

/* Editing, for --set PATH=VALUE: "train.learning_rate", "peft.0.r". value is JSON, or else taken as a string. */
int json_set(struct json *root, const char *path, const char *value);

/*
 * JSON out: a streaming writer on a buf. Commas are its business. Numbers print
 * with the fewest digits that read back to the same double; NaN and infinities
 * print null. Text is escaped; bytes that are not UTF-8 become U+FFFD.
 */
struct jsonw {
	struct buf *out;
	int depth, indent;        /* indent 0: one line; 1..8: that many spaces */
	bool some[64], after_key; /* has this level an element yet? */
};

void jsonw_init(struct jsonw *w, struct buf *out, int indent);
void jsonw_object(struct jsonw *w);          /* { */
void jsonw_array(struct jsonw *w);           /* [ */
void jsonw_end(struct jsonw *w, char close); /* '}' or ']' */
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_text(struct jsonw *w, const char *text); /* NULL prints null */
void jsonw_text_n(struct jsonw *w, const char *text, size_t n);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_real(struct jsonw *w, double v);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_json(struct jsonw *w, const struct json *j); /* a whole value */

#endif
