#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/args.h"

/*
 * One verb of trimtab or of trimtab-engine. The table of options drives
 * parsing, --help and the manual's check. run returns TT_OK, or an error code
 * with a sentence recorded; TT_USAGE says that the words were wrong, TT_SAID
 * that another program has said the sentence already.
 */
enum { TT_USAGE = -100, TT_SAID = -101 };

struct command {
	const char *name, *usage, *summary; /* usage: what follows the verb */
	const char *details;                /* more help, or NULL */
	const struct arg *options;          /* NULL: none but --help */
	int min_args, max_args;             /* arguments that are no options */
	int (*run)(const struct args *a);
};

/* Parse, answer --help, run, say errors on stderr. Returns the exit status: 0 done, 1 failed, 2 wrong usage. */
int command_execute(const char *program, const struct command *c, int argc, char **argv);
/* Find a verb by its name in an array that ends with NULL; NULL: none. */
const struct command *command_find(const struct command *const *all, const char *name);
/*
 * Say that there is no such verb, and which one is nearest, among `all` and n
 * other names. Returns the exit status, 2.
 */
int command_unknown(const char *program, const struct command *const *all, const char *const *other,
		    size_t n, const char *verb);
/* The overview: every verb with its summary. */
void command_overview(const char *program, const struct command *const *all);

#endif
