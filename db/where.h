#ifndef DB_WHERE_H
#define DB_WHERE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Which runs: the language of filters, for the screens and for `trimtab ls`.
 *
 *     lora running                 in name or id, letter case aside; a state
 *     method:lora* tag:keep        a pattern of * ? [], letter case aside
 *     peft.r=8 state!=failed       exactly this; another than this
 *     eval/accuracy>0.85 age<2d    > >= < <=
 *     not (a or b) and "or"        tests side by side must all hold
 *
 * A key is a column (name, state, step, ...), a path of the recipe (peft.r) or
 * a metric (eval/accuracy). What a run does not have fails every test, also !=.
 */
enum { WHERE_MAX = 1000, WHERE_TESTS = 64, WHERE_DEPTH = 32 };

struct where;

/*
 * free() it; NULL for a text of blanks. The sentence of a failure names the
 * column of the text, counted in characters from 1.
 */
int where_parse(const char *text, struct where **ret);

struct store;
/*
 * A metric that no run has, or a setting that no recent recipe has, where
 * another is spelt nearly so: a sentence for it, else "".
 */
int where_hint(struct store *st, const struct where *w, char *ret, size_t size);

#endif
