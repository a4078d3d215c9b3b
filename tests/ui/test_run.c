/* The Run screen of a run that goes on: what is read in parts is what would be read whole. */
#include "tests/check.h"

#include "db/metric.h"
#include "tests/ui/stage.h"

enum { FIRST = 5000, PART = 40, PARTS = 40 };

/* More steps, with a spike soon after the beginning: it mostly falls into a bucket that was read before. */
static void go_on(struct store *st, int64_t row, int attempt, int64_t from, int64_t steps)
{
	static struct metric m[FIRST * 3];
	size_t n = 0;

	for (int64_t s = from; s < from + steps; s++) {
		const double loss = 0.5 + 1.0 / (double)s + 0.1 * sin((double)s / 90) +
				    (s == from + 3 ? 4 + (double)s / 1e3 : 0);

		m[n++] = (struct metric){ "train/loss", s, loss, STAGE_NOW };
		m[n++] = (struct metric){ "train/grad_norm", s, 1 + sin((double)s / 300),
					  STAGE_NOW };
		if (s % 500 == 0)
			m[n++] = (struct metric){ "eval/loss", s, 0.6 + 100.0 / (double)s,
						  STAGE_NOW };
	}
	stage_must(metric_batch_add(st, &(struct metric_batch){ .run = row,
								.attempt = attempt,
								.metric = m,
								.n = n,
								.step = from + steps - 1,
								.epoch = 1,
								.time_us = INT64_C(1) << 60 }));
}

static void picture(struct stage *s, char *ret, size_t size)
{
	char line[4096];
	size_t n = 0;

	stage_draw(s);
	for (int y = 0; y < getmaxy(s->w); y++) {
		stage_line(s, y, line, sizeof(line));
		n += (size_t)snprintf(ret + n, size - n, "%s\n", line);
	}
}

/* Close the screen, open it anew, and see the same. */
static void same_when_opened(struct stage *s, const char *id, const char *what)
{
	static char before[65536], after[65536];

	(void)app_tick(&s->app);
	picture(s, before, sizeof(before));
	(void)app_key(&s->app, KEY_ESCAPE);
	stage_must(app_open(&s->app, "run", id));
	picture(s, after, sizeof(after));
	CHECK_NAMED(!strcmp(before, after), what);
}

static void grows(struct stage *s, struct store *st, int64_t row, const char *id)
{
	go_on(st, row, 1, 1, FIRST);
	stage_must(app_open(&s->app, "run", id));
	for (int i = 0; i < PARTS; i++) {
		go_on(st, row, 1, FIRST + 1 + i * PART, PART);
		(void)app_tick(
			&s->app); /* several in a row without closing: known buckets are kept */
		if (i % 4 == 3)
			same_when_opened(s, id, "a run that goes on");
	}
}

/* A later attempt cuts the curve off: nothing of the old one may stay. */
static void resumed(struct stage *s, struct store *st, int64_t row, const char *id)
{
	struct run_process who = {
		.pid = 4242, .pid_start = 7, .boot_id = "boot", .host = "trainbox"
	};
	int attempt;

	stage_must(run_end(st, row, RUN_STOPPED, ""));
	stage_must(run_resume(st, row, 3000, &who, &attempt));
	stage_must(run_update_heartbeat(st, row, INT64_C(1) << 60));
	same_when_opened(s, id, "a run that was resumed");
	go_on(st, row, attempt, 3001, PART);
	same_when_opened(s, id, "a resumed run that goes on");
	CHECK(!stage_shows(s, "6,6"));
}

static void gone(struct stage *s, struct store *st, int64_t row)
{
	stage_must(run_end(st, row, RUN_STOPPED, ""));
	stage_must(run_trash(st, row));
	stage_must(run_purge(st, row));
	(void)app_tick(&s->app);
	stage_draw(s);
	CHECK(stage_shows(s, "there is no run"));
	stage_keys(s, "\033");
	CHECK(!strcmp(app_top(&s->app)->ops->name, "runs"));
}

/* `run --watch`: the workbench stays while the run lives and closes when it is over. */
static void watched(struct stage *s, struct store *st, int64_t row, const char *id)
{
	snprintf(s->app.watched, sizeof(s->app.watched), "%s", id);
	(void)app_tick(&s->app);
	CHECK(!s->app.quit);
	stage_must(run_end(st, row, RUN_FINISHED, NULL));
	(void)app_tick(&s->app);
	CHECK(s->app.quit);
	s->app.quit = false;
	s->app.watched[0] = 0;
	(void)app_tick(&s->app);
	CHECK(!s->app.quit);
}

int main(void)
{
	const struct stage_run r = {
		.name = "long", .method = "lora", .cause = "", .state = RUN_RUNNING, .total = 9000
	};
	struct stage s;
	struct store *st;
	struct run run;
	char id[RUN_ID_SIZE];

	(void)setenv("TZ", "UTC", 1);
	stage_open(&s, "C.UTF-8", "xterm");
	stage_must(store_open(s.db, &st));
	stage_add(st, 1, &r, id);
	stage_must(run_get(st, id, &run));
	(void)app_tick(&s.app);
	stage_draw(&s);
	grows(&s, st, run.row, id);
	resumed(&s, st, run.row, id);
	watched(&s, st, run.row, id);
	gone(&s, st, run.row);
	run_done(&run);
	store_close(st);
	stage_close(&s);
	return check_done();
}
