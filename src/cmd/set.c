/* set: change the learning rate of a live run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"

/* Only what a live run can change; everything else is a new run or a fork. */
static int check(const char *what)
{
	static const char name[] = "learning_rate=";
	const char *value = what + sizeof(name) - 1;
	double rate;
	char *end;

	if (strncmp(what, name, sizeof(name) - 1) != 0)
		return err_set(TT_USAGE,
			       "'%s' is not learning_rate=VALUE, all that a live run can change",
			       what);
	rate = strtod(value, &end);
	if (end == value || *end || !isfinite(rate) || rate < 0)
		return err_set(TT_USAGE, "learning_rate is '%s'; it takes a number from 0", value);
	return TT_OK;
}

static int ask(struct store *st, const struct run *r, const struct args *a)
{
	return cmd_ask(st, r, a, "set", a->pos[1]);
}

static int set(const struct args *a)
{
	int code = check(a->pos[1]);

	return code ? code : cmd_with_run(a, true, ask);
}

const struct command command_set = {
	.name = "set",
	.usage = "RUN learning_rate=VALUE [--json]",
	.summary = "Change the base learning rate of a live run; the change is logged as an event.",
	.options = cmd_json_option,
	.min_args = 2,
	.max_args = 2,
	.run = set,
};
