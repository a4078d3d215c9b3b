/* Running one verb: parsing, help, exit status. */
#include "base/command.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/knob.h"

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static void help(const char *program, const struct command *c)
{
	printf("Usage: %s %s%s%s\n\n%s\n", program, c->name, *c->usage ? " " : "", c->usage,
	       c->summary);
	if (c->details)
		printf("\n%s\n", c->details);
	if (c->options && c->options->name)
		printf("\nOptions:\n");
	for (const struct arg *a = c->options; a && a->name; a++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", a->name, a->value ? " " : "",
			 a->value ? a->value : "");
		if (a->letter && a->name[1] == '-')
			printf("  -%c, %-24s %s\n", a->letter, left, a->help);
		else
			printf("  %-28s %s\n", left, a->help);
	}
}

static int wrong_usage(const char *program, const struct command *c)
{
	fprintf(stderr, "%s %s: %s (usage: %s %s%s%s)\n", program, c->name, err_text(), program,
		c->name, *c->usage ? " " : "", c->usage);
	return 2;
}

int command_execute(const char *program, const struct command *c, int argc, char **argv)
{
	struct args a;
	int code;

	if (wants_help(argc, argv)) {
		help(program, c);
		return 0;
	}
	if (args_parse(c->options, argc, argv, &a))
		return wrong_usage(program, c);
	if (a.npos < c->min_args) {
		err_set(TT_USAGE, "something is missing");
		return wrong_usage(program, c);
	}
	if (a.npos > c->max_args) {
		err_set(TT_USAGE, "'%s' is one argument too many", a.pos[c->max_args]);
		return wrong_usage(program, c);
	}
	code = c->run(&a);
	if (code == TT_USAGE)
		return wrong_usage(program, c);
	if (code && code != TT_SAID)
		fprintf(stderr, "%s %s: %s\n", program, c->name, err_text());
	return code ? 1 : 0;
}

const struct command *command_find(const struct command *const *all, const char *name)
{
	for (; *all; all++)
		if (!strcmp((*all)->name, name))
			return *all;
	return NULL;
}

int command_unknown(const char *program, const struct command *const *all, const char *const *other,
		    size_t n, const char *verb)
{
	const char *names[128], *near;
	size_t count = 0;

	for (; *all && count < COUNT(names); all++)
		names[count++] = (*all)->name;
	for (size_t i = 0; i < n && count < COUNT(names); i++)
		names[count++] = other[i];
	near = knob_nearest(verb, names, count);
	if (near)
		fprintf(stderr, "%s: there is no verb '%s'; did you mean %s?\n", program, verb,
			near);
	else
		fprintf(stderr, "%s: there is no verb '%s'; %s --help lists them\n", program, verb,
			program);
	return 2;
}

void command_overview(const char *program, const struct command *const *all)
{
	for (; *all; all++)
		printf("  %s %-12s %s\n", program, (*all)->name, (*all)->summary);
}
