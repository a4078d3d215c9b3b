#ifndef BASE_KNOB_H
#define BASE_KNOB_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

/*
 * A knob is one setting: its name as in the recipe, type, where its value lies
 * in the settings struct, range, default and one sentence. One table of knobs
 * drives parsing, defaults, checking, the form, the help and the manual.
 *
 * Where a value may be absent ("none" in the contract) the struct then holds
 * KNOB_NONE (int), NAN (real) or NULL (texts and json).
 */
enum knob_type {
	KNOB_INT,    /* int64_t */
	KNOB_REAL,   /* double */
	KNOB_BOOL,   /* bool */
	KNOB_CHOICE, /* int: index into choices */
	KNOB_TEXT,   /* const char * */
	KNOB_PATH,   /* const char *; relative to the recipe's folder, made absolute */
	KNOB_TEXTS,  /* struct texts: an array of strings */
	KNOB_PATHS,  /* the same of paths, each as KNOB_PATH has it */
	KNOB_SELECT, /* struct texts: a string (is_list false, one item) or an array of strings (is_list true) */
	KNOB_INTS, /* struct ints: one whole number or an array of them */
	KNOB_JSON  /* const struct json *: checked by its user (patterns, maps) */
};

#define KNOB_NONE INT64_MIN

struct texts {
	const char *const *item; /* NULL: not given */
	size_t n;
	bool is_list;
};

struct ints {
	const int64_t *item; /* NULL: not given */
	size_t n;
};

/* OPEN: the end itself is not allowed. BYTES: an int that the file may also give as "4GiB". */
enum {
	KNOB_REQUIRED = 1,
	KNOB_OPTIONAL = 2,
	KNOB_OPEN_MIN = 4,
	KNOB_OPEN_MAX = 8,
	KNOB_BYTES = 16
};

struct knob {
	const char *name;
	enum knob_type type;
	size_t at;            /* offsetof in the settings struct */
	double def, min, max; /* int, real, bool, choice (index); min >= max: any number */
	/*
	 * optional: null and absence are KNOB_NONE / NAN / NULL. A choice has no such value: it is
	 * then `def`, which may lie behind the last choice and is left out by knob_write.
	 */
	unsigned flags;
	const char *choices; /* choice: "adamw|sgd" */
	const char *text;    /* text: default, or NULL */
	const char *help;    /* one sentence for form, help and manual */
};

/* Fill the struct at `settings` with every knob's default. The table ends with a name of NULL. */
void knob_defaults(const struct knob *table, void *settings);
/*
 * Read a JSON object (NULL: an empty one) into the struct (defaults first). Errors name `where` (the
 * path inside the file, "peft"), what was found, what is allowed, and the
 * nearest known key on a typo: "peft.lora_alhpa is not a key; did you mean
 * lora_alpha?". "note" is allowed and ignored. Strings and arrays are copied
 * into the arena, but KNOB_JSON points into the object, which must live as
 * long as the settings. dir resolves paths. An unfinished struct is left on failure.
 */
int knob_parse(const struct knob *table, const struct json *object, const char *where,
	       const char *dir, struct arena *a, void *settings);
/* Write every knob as members of the object that is open in w, defaults included; absent optionals are left out. */
void knob_write(const struct knob *table, const void *settings, struct jsonw *w);
/* The nearest of the names to a misspelt one (edit distance <= 1/3 of its length + 1 and below its length), or NULL. */
const char *knob_nearest(const char *name, const char *const *names, size_t n);
/* What a knob takes, for sentences and help: "a whole number from 1 to 1024". */
void knob_allowed(const struct knob *k, char *ret, size_t size);
/* A text from outside as part of a sentence: quoted, on one line, cut after some 60 bytes. ret holds 80 or more. */
void knob_quote(const char *text, char *ret, size_t size);

#endif
