#ifndef BASE_ARGS_H
#define BASE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* Options and arguments of one verb: parsed by a table, which also prints the help. */
struct arg {
	const char *name;  /* "--set"; a table ends with NULL */
	char letter;       /* 'k' for -k, 0: none */
	const char *value; /* what the help calls the value ("PATH=VALUE"), NULL: a switch */
	const char *help;
};

enum { ARGS_MAX = 256 };

struct args {
	const char *verb;
	const char *pos[ARGS_MAX]; /* arguments that are no options, in order */
	int npos;
	struct {
		const struct arg *arg;
		const char *value;
	} opt[ARGS_MAX];
	int nopt;
};

/* "--name VALUE", "--name=VALUE", "-k VALUE", "-kVALUE"; "--" ends the options. Wrong usage is TT_INVALID with a sentence. */
int args_parse(const struct arg *table, int argc, char **argv, struct args *ret);
bool args_has(const struct args *a, const char *name);
const char *args_value(const struct args *a, const char *name); /* the last one given; NULL: none */
size_t args_values(const struct args *a, const char *name, const char **ret,
		   size_t max); /* all, in order */
/* A whole number within lo .. hi, or def when the option was not given. */
int args_int(const struct args *a, const char *name, long long lo, long long hi, long long def,
	     long long *ret);

#endif
