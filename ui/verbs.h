#ifndef UI_VERBS_H
#define UI_VERBS_H

#include "base/args.h"
#include "ui/app.h"

/* The command line of the workbench: `:` takes every verb of trimtab, and some words of its own. */

enum { WORDS_MAX = 64 };

/* Opens the line. */
unsigned verbs_ask(struct screen *s);
unsigned verbs_ask_with(struct screen *s, const char *line); /* ... with this in it */
unsigned verbs_run(struct screen *s, const char *line);      /* as if it were typed there */
/*
 * A line in words, as a shell would: blanks between, quotation marks and
 * backslashes keep them. The words lie in `line`, which is changed. A sentence
 * when a mark is open or there are too many.
 */
int verbs_split(char *line, char *word[WORDS_MAX + 1], size_t *ret_n);

#endif
