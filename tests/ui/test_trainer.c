/* What a screen asks of a run, and the answers that come later; the trash; starting a trainer that ends at once. */
#include "tests/check.h"

#include <poll.h>

#include "base/proc.h"
#include "db/event.h"
#include "tests/ui/stage.h"
#include "ui/trainer.h"

/* A second connection, as the trainer has one. */
static struct store *open_store(const struct stage *s)
{
	struct store *st;

	stage_must(store_open(s->db, &st));
	return st;
}

/* Put the cursor of the list on a run by its name. */
static void go_to(struct stage *s, const char *name)
{
	stage_keys(s, "g/");
	stage_keys(s, name);
	stage_keys(s, "\r");
}

static void answer(struct stage *s, const char *id, const char *verb, bool ok, const char *text)
{
	struct store *st = open_store(s);
	struct command_row c;
	struct run run;
	bool any;

	stage_must(run_get(st, id, &run));
	stage_must(command_take(st, run.row, &c, &any));
	CHECK(any && !strcmp(c.verb, verb));
	if (any)
		stage_must(command_done(st, c.id, ok, text));
	command_row_done(&c);
	run_done(&run);
	store_close(st);
}

static void asks_and_hears(struct stage *s, const char *id)
{
	go_to(s, "sst2-lora");
	stage_keys(s, ".");
	CHECK(stage_shows(s, "asked to stop"));
	CHECK(!app_tick(&s->app) || !strstr(s->app.message, "stopping"));
	answer(s, id, "stop", true, "stopping after step 412");
	CHECK(app_tick(&s->app));
	stage_draw(s);
	CHECK(stage_shows(s, "stopping after step 412") && !s->app.message_bad);
	stage_keys(s, "p");
	answer(s, id, "pause", false, "the trainer does not know this command");
	CHECK(app_tick(&s->app) && s->app.message_bad);
	stage_draw(s);
	CHECK(stage_shows(s, "does not know this command"));
}

static void nobody_answers(struct stage *s)
{
	struct store *st;
	struct command_row c;

	stage_keys(s, ".");
	CHECK(s->app.asked[0].id != 0);
	stage_now += 31000000;
	(void)app_tick(&s->app);
	stage_draw(s);
	CHECK(stage_shows(s, "did not answer; nothing was changed"));
	st = open_store(s);
	stage_must(command_get(st, 3, &c)); /* closed, so that no later attempt obeys it */
	CHECK(c.done && !c.ok);
	command_row_done(&c);
	store_close(st);
}

static void sets_rate(struct stage *s, const char *id)
{
	stage_keys(s, "\r=");
	CHECK(s->app.prompt.kind == PROMPT_LINE);
	stage_keys(s, "fast\r");
	CHECK(stage_shows(s, "a learning rate is a number"));
	stage_keys(s, "=1e-4\r");
	CHECK(stage_shows(s, "asked to set"));
	answer(s, id, "set", true, "the base learning rate is 0.0001 from step 413 on");
	CHECK(app_tick(&s->app) && strstr(s->app.message, "0.0001"));
	stage_keys(s, "\033");
}

static void keys_that_do_not_apply(struct stage *s)
{
	go_to(s, "mr-head");
	stage_keys(s, ".");
	CHECK(stage_shows(s, ". (stop): only a live run can be stopped"));
	stage_keys(s, "r");
	CHECK(stage_shows(s, "there is nothing left to do"));
	stage_keys(s, "u");
	CHECK(stage_shows(s, "the trash is empty"));
	go_to(s, "sst2-lora");
	stage_keys(s, "d");
	CHECK(stage_shows(s, "stop it first") && !s->app.prompt.kind);
	stage_keys(s, "Z");
	CHECK(stage_shows(s, "Z does nothing here"));
}

static void trash_and_undo(struct stage *s)
{
	go_to(s, "mr-head");
	stage_keys(s, "d");
	CHECK(stage_shows(s, "Move") && stage_shows(s, "[y/N]"));
	stage_keys(s, "\r"); /* No is the default */
	CHECK(stage_shows(s, "mr-head") && stage_shows(s, "2 finished"));
	stage_keys(s, "dn");
	CHECK(stage_shows(s, "mr-head"));
	stage_keys(s, "dy");
	CHECK(stage_shows(s, "is in the trash") && stage_shows(s, "1 finished"));
	stage_keys(s, "u");
	CHECK(stage_shows(s, "is back") && stage_shows(s, "2 finished"));
}

/* The trainer's own end is noticed without waiting for it; the deadline is for a machine that is very busy. */
static bool says_within(struct stage *s, const char *what)
{
	const int64_t end = proc_clock_us() + 20000000;

	while (proc_clock_us() < end) {
		(void)app_tick(&s->app);
		if (strstr(s->app.message, what))
			return true;
		(void)poll(NULL, 0, 5);
	}
	return false;
}

static void resumes(struct stage *s, const char *folder)
{
	go_to(s, "mr-bitfit");
	(void)setenv("TRIMTAB_ENGINE", "/nowhere/engine", 1);
	stage_keys(s, "r");
	CHECK(stage_shows(s, "TRIMTAB_ENGINE") && s->app.message_bad);
	(void)setenv("TRIMTAB_ENGINE", "/bin/false", 1);
	stage_keys(s, "r");
	CHECK(stage_shows(s, "folder of run") && s->app.message_bad);
	stage_must(fs_mkdirs(folder));
	stage_keys(s, "r");
	CHECK(stage_shows(s, "starts from the newest checkpoint"));
	CHECK(says_within(s, "could not go on"));
	go_to(s, "mr-long"); /* paused: asked, not started */
	stage_keys(s, "r");
	CHECK(stage_shows(s, "asked to resume"));
}

static void time_left(struct stage *s)
{
	struct store *st = open_store(s);
	struct run run;

	stage_must(run_find(st, "sst2-lora-r8", &run));
	CHECK(trainer_left(st, &run) == (1080 - 412) * INT64_C(500000)); /* half a second a step */
	run_done(&run);
	stage_must(run_find(st, "mr-long", &run));
	CHECK(trainer_left(st, &run) == -1);
	run_done(&run);
	store_close(st);
}

int main(void)
{
	char id[RUN_ID_SIZE], stopped[RUN_ID_SIZE], folder[PATH_MAX];
	struct stage s;

	stage_open(&s, "C.UTF-8", "xterm");
	(void)setenv("STAGE_DIR", s.dir, 1);
	stage_fill(&s, id);
	run_id_make(stopped, STAGE_NOW - stage_runs[3].began_s * 1000000, 3);
	snprintf(folder, sizeof(folder), "%s/runs/%s", s.dir, stopped);
	stage_draw(&s);
	time_left(&s);
	asks_and_hears(&s, id);
	nobody_answers(&s);
	sets_rate(&s, id);
	keys_that_do_not_apply(&s);
	trash_and_undo(&s);
	resumes(&s, folder);
	stage_close(&s);
	return check_done();
}
