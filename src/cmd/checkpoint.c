/* checkpoint: let a live run write a checkpoint now. */
#include "cmd/cmd.h"

static int checkpoint(const struct args *a) { return cmd_ask_named(a->pos[0], "checkpoint", ""); }

const struct command command_checkpoint = {
	.name = "checkpoint",
	.usage = "RUN",
	.summary = "Let a live run write a checkpoint now.",
	.min_args = 1,
	.max_args = 1,
	.run = checkpoint,
};
