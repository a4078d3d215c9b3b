/* Asking a live run: a row in the run log's commands, and patience until the trainer has answered. */
#include <poll.h>
#include <stdio.h>

#include "base/err.h"
#include "base/proc.h"
#include "cmd/cmd.h"
#include "db/event.h"

enum { TICK_MS = 20 };
static const int64_t patience_us = 30000000; /* a long step or an evaluation may lie between */

static int wait_answer(struct store *st, const struct run *r, int64_t id)
{
	const int64_t end = proc_clock_us() + patience_us;

	for (;;) {
		struct command_row c;
		bool was;
		int code = command_get(st, id, &c);

		if (code)
			return code;
		if (c.done) {
			if (!c.ok)
				code = err_set(TT_INVALID, "run %s: %s", r->id, c.answer);
			else
				fprintf(stderr, "run %s: %s\n", r->id, c.answer);
			command_row_done(&c);
			return code;
		}
		command_row_done(&c);
		if (proc_clock_us() > end) {
			(void)command_cancel(st, id, &was);
			return was ? err_set(TT_IO,
					     "run %s did not answer within %d s; nothing was "
					     "changed",
					     r->id, (int)(patience_us / 1000000))
				   : err_set(TT_IO,
					     "run %s took the command but has not carried it out "
					     "yet",
					     r->id);
		}
		(void)poll(NULL, 0, TICK_MS);
	}
}

int cmd_ask(const struct run *r, const char *verb, const char *arg)
{
	struct store *st;
	int64_t id;
	int code;

	if (r->state != RUN_RUNNING && r->state != RUN_PAUSED)
		return err_set(TT_INVALID, "run %s is %s; only a live run can do that", r->id,
			       run_state_name((int)r->state));
	code = cmd_open(&st);
	if (code)
		return code;
	code = command_add(st, r->row, verb, arg, &id);
	if (!code)
		code = wait_answer(st, r, id);
	store_close(st);
	return code;
}

int cmd_ask_named(const char *what, const char *verb, const char *arg)
{
	struct run r = { 0 };
	struct store *st;
	int code = cmd_open_read(&st);

	if (code)
		return code;
	code = cmd_find(st, what, &r);
	store_close(st);
	if (!code)
		code = cmd_ask(&r, verb, arg);
	run_done(&r);
	return code;
}
