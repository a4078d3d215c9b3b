/* run: a new run from a recipe. */
#include "base/err.h"
#include "engine/engine.h"
#include "engine/launch.h"

static int new_run(const struct args *a)
{
	const char *set[ARGS_MAX];
	const size_t n = args_values(a, "--set", set, ARGS_MAX);
	char id[RUN_ID_SIZE], dir[PATH_MAX];
	struct launch how = { .dir = dir };
	struct trainer t = { 0 };
	struct session s;
	int code;

	engine_catch_signals();
	code = session_open_recipe(a->pos[0], set, n, &s);
	if (code)
		return code;
	if (args_value(a, "--name"))
		s.recipe->name = args_value(a, "--name");
	code = launch_load(&s, &t);
	run_id_new(id);
	if (!code)
		code = launch_enter(&s, id, args_value(a, "--parent"), dir, &how.row, &how.attempt);
	if (!code)
		code = launch_report(a, id, dir);
	if (!code)
		code = launch_train(&s, &t, &how);
	train_close(&t);
	session_close(&s);
	return code;
}

static const struct arg options[] = {
	{ "--set", 0, "PATH=VALUE", "change a setting of the recipe; may be repeated" },
	{ "--name", 0, "NAME", "the run's name" },
	{ "--parent", 0, "ID", "the run this one was forked from" },
	{ "--report", 0, NULL, "write the run's id to file descriptor 3 once the run log has it" },
	{ 0 }
};

const struct command verb_run = {
	.name = "run",
	.usage = "RECIPE [--set PATH=VALUE]... [--name NAME]",
	.summary =
		"Train what the recipe says, in the foreground; `trimtab run` starts it for you.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = new_run,
};
