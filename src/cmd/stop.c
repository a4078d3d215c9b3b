/* stop: stop a live run after its step, with a checkpoint; `trimtab resume` goes on. */
#include "cmd/cmd.h"

static int stop(const struct args *a) { return cmd_ask_named(a->pos[0], "stop", ""); }

const struct command command_stop = {
	.name = "stop",
	.usage = "RUN",
	.summary = "Stop a live run after its step, with a checkpoint; `trimtab resume` goes on.",
	.min_args = 1,
	.max_args = 1,
	.run = stop,
};
