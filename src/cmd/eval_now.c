/* eval-now: let a live run evaluate now. */
#include "cmd/cmd.h"

static int eval_now(const struct args *a) { return cmd_ask_named(a->pos[0], "eval", ""); }

const struct command command_eval_now = {
	.name = "eval-now",
	.usage = "RUN",
	.summary = "Let a live run evaluate now.",
	.min_args = 1,
	.max_args = 1,
	.run = eval_now,
};
