/* resume: a paused run goes on; a stopped, failed or lost one starts again from its newest checkpoint. */
#include "base/err.h"
#include "cmd/cmd.h"

static int resume(const struct args *a)
{
	struct run r = { 0 };
	struct started s;
	struct store *st;
	int code = cmd_open_read(&st);

	if (code)
		return code;
	code = cmd_find(st, a->pos[0], &r);
	store_close(st);
	if (code)
		return code;
	if (r.state == RUN_PAUSED) {
		code = cmd_ask(a, &r, "resume", "");
	} else if (r.state == RUN_RUNNING) {
		code = err_set(TT_INVALID, "run %s is running", r.id);
	} else {
		const char *const words[] = { "resume", r.id, NULL };

		code = cmd_start(words, &s);
		if (!code)
			code = cmd_finish(&s, a);
	}
	run_done(&r);
	return code;
}

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
