/* Events in order, and commands from the asking to the answer. */
#include "tests/check.h"

#include "db/event.h"
#include "tests/db/home.h"

static void events_keep_order(void)
{
	struct home h;
	struct event *e = NULL;
	size_t n = 0;
	int64_t run, other;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	other = home_run(&h, 2, "y", NULL);
	CHECK(event_add(h.st, run, 10, "checkpoint", "checkpoints/10") == TT_OK);
	CHECK(event_add(h.st, other, 11, "checkpoint", "") == TT_OK);
	CHECK(event_add(h.st, run, 12, "set", "learning_rate=1e-4") == TT_OK);
	CHECK(event_add(h.st, 99, 12, "set", "") == TT_NOTFOUND);
	CHECK(event_list(h.st, run, 0, &e, &n) == TT_OK && n == 2);
	CHECK(e[0].n == 1 && e[0].step == 10 && e[1].n == 2 && e[1].time_us >= e[0].time_us);
	CHECK_STR(e[0].kind, "checkpoint");
	CHECK_STR(e[0].text, "checkpoints/10");
	CHECK_STR(e[1].text, "learning_rate=1e-4");
	free(e);
	CHECK(event_list(h.st, run, 1, &e, &n) == TT_OK && n == 1 && e[0].step == 12);
	free(e);
	CHECK(event_list(h.st, run, 2, &e, &n) == TT_OK && n == 0);
	free(e);
	home_close(&h);
}

/* Asked on one connection, obeyed on another. */
static void command_goes_round(void)
{
	struct home h;
	struct store *engine = NULL;
	struct command_row c = { 0 };
	int64_t run, first = 0, second = 0;
	bool any = true;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(store_open(h.db, &engine) == TT_OK);
	CHECK(command_take(engine, run, &c, &any) == TT_OK && !any);
	CHECK(command_add(h.st, run, "set", "learning_rate=1e-4", &first) == TT_OK);
	CHECK(command_add(h.st, run, "stop", NULL, &second) == TT_OK && second > first);
	CHECK(command_add(h.st, 99, "stop", NULL, &second) == TT_NOTFOUND);
	CHECK(command_take(engine, run + 1, &c, &any) == TT_OK && !any);
	CHECK(command_take(engine, run, &c, &any) == TT_OK && any && c.id == first && c.taken);
	CHECK_STR(c.verb, "set");
	CHECK_STR(c.arg, "learning_rate=1e-4");
	command_row_done(&c);
	CHECK(command_get(h.st, first, &c) == TT_OK && c.taken && !c.done);
	command_row_done(&c);
	CHECK(command_done(engine, first, true, "from step 12 on") == TT_OK);
	CHECK(command_get(h.st, first, &c) == TT_OK && c.done && c.ok);
	CHECK_STR(c.answer, "from step 12 on");
	command_row_done(&c);
	CHECK(command_take(engine, run, &c, &any) == TT_OK && any);
	CHECK_STR(c.verb, "stop");
	CHECK_STR(c.arg, "");
	command_row_done(&c);
	CHECK(command_take(engine, run, &c, &any) == TT_OK &&
	      !any); /* nothing is handed out twice */
	CHECK(command_done(engine, 99, true, "") == TT_NOTFOUND);
	CHECK(command_get(engine, 99, &c) == TT_NOTFOUND);
	store_close(engine);
	home_close(&h);
}

static void command_is_cancelled(void)
{
	struct home h;
	struct command_row c = { 0 };
	int64_t run, id = 0;
	bool any = true, taken = true;

	home_open(&h);
	run = home_run(&h, 1, "x", NULL);
	CHECK(command_add(h.st, run, "pause", "", &id) == TT_OK);
	CHECK(command_cancel(h.st, id, &taken) == TT_OK && !taken);
	CHECK(command_take(h.st, run, &c, &any) == TT_OK && !any);
	CHECK(command_add(h.st, run, "pause", "", &id) == TT_OK);
	CHECK(command_take(h.st, run, &c, &any) == TT_OK && any);
	command_row_done(&c);
	CHECK(command_cancel(h.st, id, &taken) == TT_OK && taken);
	home_close(&h);
}

int main(void)
{
	events_keep_order();
	command_goes_round();
	command_is_cancelled();
	return check_done();
}
