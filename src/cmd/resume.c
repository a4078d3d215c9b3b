/* resume: a paused run goes on; a stopped, failed or lost one starts again from its newest checkpoint. */
#include "base/err.h"
#include "cmd/cmd.h"

static int restart(const struct run *r, const struct args *a)
{
	const char *const words[] = { "resume", r->id, NULL };
	struct started s;
	int code = cmd_start(words, &s);

	return code ? code : cmd_finish(&s, a);
}

static int go_on(struct store *st, const struct run *r, const struct args *a)
{
	if (r->state == RUN_PAUSED)
		return cmd_ask(st, r, a, "resume", "");
	if (r->state == RUN_RUNNING)
		return err_set(TT_INVALID, "run %s is running", r->id);
	return restart(r, a);
}

static int resume(const struct args *a) { return cmd_with_run(a, true, go_on); }

static const struct arg options[] = {
	{ "--detach", 0, NULL, "return at once" },
	{ "--wait", 0, NULL, "follow the run to its end (the default)" },
	{ "--watch", 0, NULL, "open the run's screen, which closes when the run is over" },
	{ "--json", 0, NULL, "one JSON document: id, name, state, dir, last metrics" },
	{ 0 }
};

const struct command command_resume = {
	.name = "resume",
	.usage = "RUN [--detach] [--json]",
	.summary = "Go on with a run: wake a paused one, or restart from the newest checkpoint.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = resume,
};
