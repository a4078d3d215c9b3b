/* Asking a live run: a row in the run log's commands, and patience until the trainer has answered. */
#include <poll.h>
#include <stdio.h>

#include "base/err.h"
#include "base/proc.h"
#include "cmd/cmd.h"
#include "db/event.h"

enum { TICK_MS = 20 };
static const int64_t patience_us = 30000000; /* a long step or an evaluation may lie between */

static bool is_live(struct store *st, int64_t row)
{
	struct run now = { 0 };
	const bool live = !run_get_row(st, row, &now) &&
			  (now.state == RUN_RUNNING || now.state == RUN_PAUSED);

	run_done(&now);
	return live;
}

/* Nobody answered: take the command back, so that no later attempt obeys it. */
static int give_up(struct store *st, const struct run *r, int64_t id, const char *why)
{
	bool was;

	(void)command_cancel(st, id, &was);
	return was ? err_set(TT_IO, "run %s %s; nothing was changed", r->id, why)
		   : err_set(TT_IO, "run %s %s before it said what came of the command", r->id,
			     why);
}

/* The answer as a sentence, malloc'ed with the row. */
static int wait_answer(struct store *st, const struct run *r, int64_t id, struct command_row *ret)
{
	const int64_t end = proc_clock_us() + patience_us;

	for (;;) {
		const bool live = is_live(st, r->row);
		int code = command_get(st, id, ret);

		if (code)
			return code;
		if (ret->done && ret->ok)
			return TT_OK;
		if (ret->done)
			code = err_set(TT_INVALID, "run %s: %s", r->id, ret->answer);
		else if (!live)
			code = give_up(st, r, id, "ended");
		else if (proc_clock_us() > end)
			code = give_up(st, r, id, "did not answer");
		command_row_done(ret);
		if (code)
			return code;
		(void)poll(NULL, 0, TICK_MS);
	}
}

int cmd_ask(struct store *st, const struct run *r, const struct args *a, const char *verb,
	    const char *arg)
{
	struct command_row answer;
	int64_t id;
	int code;

	if (r->state != RUN_RUNNING && r->state != RUN_PAUSED)
		return err_set(TT_INVALID, "run %s is %s; only a live run can do that", r->id,
			       run_state_name((int)r->state));
	code = command_add(st, r->row, verb, arg, &id);
	if (!code)
		code = wait_answer(st, r, id, &answer);
	if (!code) {
		code = cmd_say(a, r, "answer", answer.answer);
		command_row_done(&answer);
	}
	return code;
}
