/* The regular expressions of tokenizer files, on PCRE2. */
#ifndef DATA_REGEX_H
#define DATA_REGEX_H

#include <stddef.h>

/*
 * The files mean Oniguruma's Ruby syntax: ^ and $ hold at every line, \h is a
 * hex digit, (?m) lets the dot match a newline, {1,3}+ repeats the interval.
 * These are translated; what has no translation is refused by name.
 */
struct regex;

int regex_new(const char *pattern, struct regex **ret);
void regex_free(struct regex *r); /* NULL is fine */

/* Goes over the non-overlapping matches of one text; one walk a thread. */
struct regex_walk;

int regex_walk_new(const struct regex *r, struct regex_walk **ret);
void regex_walk_free(struct regex_walk *w);                           /* NULL is fine */
void regex_walk_start(struct regex_walk *w, const char *s, size_t n); /* checked UTF-8 */
/* 1: a match, perhaps empty; 0: no more; negative: it took too long. */
int regex_walk_next(struct regex_walk *w, size_t *ret_start, size_t *ret_end);

#endif
