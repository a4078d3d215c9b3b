/* stop: stop a live run after its step, with a checkpoint; `trimtab resume` goes on. */
#include "cmd/cmd.h"

static int ask(struct store *st, const struct run *r, const struct args *a)
{
	return cmd_ask(st, r, a, "stop", "");
}

static int stop(const struct args *a) { return cmd_with_run(a, true, ask); }

const struct command command_stop = {
	.name = "stop",
	.usage = "RUN [--json]",
	.summary = "Stop a live run after its step, with a checkpoint; `trimtab resume` goes on.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 1,
	.run = stop,
};
