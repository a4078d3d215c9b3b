/* pause: let a live run wait in memory; `trimtab resume` wakes it. */
#include "cmd/cmd.h"

static int ask(struct store *st, const struct run *r, const struct args *a)
{
	return cmd_ask(st, r, a, "pause", "");
}

static int pause_run(const struct args *a) { return cmd_with_run(a, true, ask); }

const struct command command_pause = {
	.name = "pause",
	.usage = "RUN [--json]",
	.summary = "Let a live run wait in memory; `trimtab resume` wakes it.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 1,
	.run = pause_run,
};
