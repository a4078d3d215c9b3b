/* eval-now: let a live run evaluate now. */
#include "cmd/cmd.h"

static int ask(struct store *st, const struct run *r, const struct args *a)
{
	return cmd_ask(st, r, a, "eval", "");
}

static int eval_now(const struct args *a) { return cmd_with_run(a, true, ask); }

const struct command command_eval_now = {
	.name = "eval-now",
	.usage = "RUN [--json]",
	.summary = "Let a live run evaluate now.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 1,
	.run = eval_now,
};
