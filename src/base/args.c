/* Options and arguments of one verb. */
#include "base/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/knob.h"

static const struct arg *by_name(const struct arg *table, const char *name, size_t n)
{
	for (const struct arg *a = table; a && a->name; a++)
		if (strlen(a->name) == n && !strncmp(a->name, name, n))
			return a;
	return NULL;
}

static const struct arg *by_letter(const struct arg *table, char letter)
{
	for (const struct arg *a = table; a && a->name; a++)
		if (a->letter == letter)
			return a;
	return NULL;
}

static int unknown(const struct arg *table, const char *word)
{
	const char *names[64];
	const char *near;
	size_t n = 0;

	for (const struct arg *a = table; a && a->name && n < 64; a++)
		names[n++] = a->name;
	near = knob_nearest(word, names, n);
	if (near)
		return err_set(TT_INVALID, "unknown option %s; did you mean %s?", word, near);
	return err_set(TT_INVALID, "unknown option %s", word);
}

static int add(struct args *r, const struct arg *arg, const char *value)
{
	if (r->nopt == ARGS_MAX)
		return err_set(TT_INVALID, "more than %d options", ARGS_MAX);
	r->opt[r->nopt].arg = arg;
	r->opt[r->nopt++].value = value;
	return TT_OK;
}

/* One option at argv[*i]; moves *i over a value that is a word of its own. */
static int option(const struct arg *table, int argc, char **argv, int *i, struct args *r)
{
	const char *word = argv[*i], *value = NULL;
	const struct arg *arg;

	if (word[1] == '-') {
		const char *equals = strchr(word, '=');

		arg = by_name(table, word, equals ? (size_t)(equals - word) : strlen(word));
		value = equals ? equals + 1 : NULL;
	} else {
		arg = by_letter(table, word[1]);
		value = word[2] ? word + 2 : NULL;
	}
	if (!arg)
		return unknown(table, word);
	if (!arg->value && value)
		return err_set(TT_INVALID, "%s takes no value", arg->name);
	if (arg->value && !value) {
		if (*i + 1 == argc)
			return err_set(TT_INVALID, "%s needs a value: %s %s", arg->name, arg->name,
				       arg->value);
		value = argv[++*i];
	}
	return add(r, arg, value);
}

int args_parse(const struct arg *table, int argc, char **argv, struct args *ret)
{
	bool options = true;
	int code;

	memset(ret, 0, sizeof(*ret));
	ret->verb = argc > 0 ? argv[0] : "";
	for (int i = 1; i < argc; i++) {
		if (options && !strcmp(argv[i], "--")) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			code = option(table, argc, argv, &i, ret);
			if (code)
				return code;
		} else if (ret->npos == ARGS_MAX) {
			return err_set(TT_INVALID, "more than %d arguments", ARGS_MAX);
		} else {
			ret->pos[ret->npos++] = argv[i];
		}
	}
	return TT_OK;
}

bool args_has(const struct args *a, const char *name)
{
	for (int i = 0; i < a->nopt; i++)
		if (!strcmp(a->opt[i].arg->name, name))
			return true;
	return false;
}

const char *args_value(const struct args *a, const char *name)
{
	for (int i = a->nopt - 1; i >= 0; i--)
		if (!strcmp(a->opt[i].arg->name, name))
			return a->opt[i].value;
	return NULL;
}

size_t args_values(const struct args *a, const char *name, const char **ret, size_t max)
{
	size_t n = 0;

	for (int i = 0; i < a->nopt && n < max; i++)
		if (!strcmp(a->opt[i].arg->name, name))
			ret[n++] = a->opt[i].value;
	return n;
}

int args_int(const struct args *a, const char *name, long long lo, long long hi, long long def,
	     long long *ret)
{
	const char *text = args_value(a, name);
	char *end;
	long long v;

	if (!text) {
		*ret = def;
		return TT_OK;
	}
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < lo || v > hi)
		return err_set(TT_INVALID, "%s is '%s'; it takes a whole number from %lld to %lld",
			       name, text, lo, hi);
	*ret = v;
	return TT_OK;
}
