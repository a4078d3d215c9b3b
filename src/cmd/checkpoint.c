/* checkpoint: let a live run write a checkpoint now. */
#include "cmd/cmd.h"

static int ask(struct store *st, const struct run *r, const struct args *a)
{
	return cmd_ask(st, r, a, "checkpoint", "");
}

static int checkpoint(const struct args *a) { return cmd_with_run(a, true, ask); }

const struct command command_checkpoint = {
	.name = "checkpoint",
	.usage = "RUN [--json]",
	.summary = "Let a live run write a checkpoint now.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 1,
	.run = checkpoint,
};
