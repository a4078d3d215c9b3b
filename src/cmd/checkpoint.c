/* checkpoint: let a live run write a checkpoint now. */
#include "cmd/cmd.h"

static int checkpoint(const struct args *a) { return cmd_ask_named(a, "checkpoint", ""); }

const struct command command_checkpoint = {
	.name = "checkpoint",
	.usage = "RUN [--json]",
	.summary = "Let a live run write a checkpoint now.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 1,
	.run = checkpoint,
};
