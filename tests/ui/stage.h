#ifndef TESTS_UI_STAGE_H
#define TESTS_UI_STAGE_H
/* A workbench without a terminal: curses on the null device, a run log in a folder of its own, a clock that stands still. */
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/err.h"
#include "base/fs.h"
#include "db/event.h"
#include "db/metric.h"
#include "db/run.h"
#include "ui/app.h"
#include "ui/keymap.h"
#include "ui/widget/text.h"

/* 2026-03-01 12:00:00 UTC */
#define STAGE_NOW INT64_C(1772366400000000)

struct stage {
	FILE *nul;
	SCREEN *term;
	WINDOW *w;
	char dir[256], db[300];
	struct app app;
};

static int64_t stage_now = STAGE_NOW;
static int stage_seed; /* r of a run that is one of several seeds; 0: it is none */

static inline int64_t stage_clock(void) { return stage_now; }

static inline void stage_must(int code)
{
	if (!code)
		return;
	printf("Bail out! %s\n", err_text());
	exit(99);
}

/* Curses in a locale; the terminal's kind decides on colours. */
static inline void stage_curses(struct stage *s, const char *locale, const char *term)
{
	s->nul = fopen("/dev/null", "r+");
	if (!setlocale(LC_ALL, locale) || !s->nul) {
		printf("Bail out! no locale %s\n", locale);
		exit(99);
	}
	(void)setlocale(LC_NUMERIC, "C");
	s->term = newterm(term, s->nul, s->nul);
	if (!s->term) {
		printf("Bail out! no terminal %s\n", term);
		exit(99);
	}
}

static inline void stage_folder(struct stage *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->dir, sizeof(s->dir), "%.200s/trimtab-ui-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(s->dir)) {
		printf("Bail out! no temporary folder: %s\n", s->dir);
		exit(99);
	}
	snprintf(s->db, sizeof(s->db), "%s/runs.db", s->dir);
}

static inline void stage_size(struct stage *s, int rows, int cols)
{
	if (s->w)
		(void)delwin(s->w);
	(void)resizeterm(rows, cols);
	s->w = newwin(rows, cols, 0, 0);
}

static inline void stage_open(struct stage *s, const char *locale, const char *term)
{
	*s = (struct stage){ .nul = NULL };
	stage_curses(s, locale, term);
	stage_folder(s);
	stage_size(s, 24, 80);
	stage_must(app_init(&s->app, s->db, stage_clock));
}

static inline void stage_close(struct stage *s)
{
	app_done(&s->app);
	(void)delwin(s->w);
	(void)endwin();
	delscreen(s->term);
	fclose(s->nul);
	(void)fs_remove_tree(s->dir);
}

/* One line of the window as UTF-8, without the blanks at its end. */
static inline void stage_line(const struct stage *s, int y, char *ret, size_t size)
{
	wchar_t wide[1024];
	size_t n;

	ret[0] = 0;
	if (mvwinnwstr(s->w, y, 0, wide, 1000) == ERR)
		return;
	for (size_t i = 0; wide[i]; i++)
		(void)text_append(ret, size, (int32_t)wide[i]);
	for (n = strlen(ret); n && ret[n - 1] == ' ';)
		ret[--n] = 0;
}

/* Does any line hold this? */
static inline bool stage_shows(const struct stage *s, const char *text)
{
	char line[4096];

	for (int y = 0; y < getmaxy(s->w); y++) {
		stage_line(s, y, line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static inline void stage_draw(struct stage *s) { app_draw(&s->app, s->w); }

static inline void stage_keys(struct stage *s, const char *keys)
{
	for (; *keys; keys++)
		(void)app_key(&s->app, *keys);
	stage_draw(s);
}

struct stage_run {
	const char *name, *method, *cause;
	enum run_state state;
	int64_t step, total, trainable, began_s, took_s; /* seconds ago; seconds */
	bool spike, nan;
};

static inline double stage_loss(const struct stage_run *r, int64_t step)
{
	if (r->spike && step == 77)
		return 5;
	if (r->nan && step == r->step)
		return NAN;
	return 0.2 + 0.6 * exp(-(double)step / 120) + 0.03 * sin((double)step * 1.7);
}

static inline void stage_metrics(struct store *st, int64_t row, const struct stage_run *r,
				 int64_t end)
{
	struct metric *m = calloc((size_t)r->step * 6 + 8, sizeof(*m));
	size_t n = 0;

	for (int64_t s = 1; s <= r->step; s++) {
		const int64_t at = end - (r->step - s) * 500000;

		m[n++] = (struct metric){ "train/loss", s, stage_loss(r, s), at };
		m[n++] = (struct metric){ "train/grad_norm", s, 0.5 + 2 * exp(-(double)s / 60),
					  at };
		m[n++] = (struct metric){ "train/learning_rate", s,
					  5e-4 * (1 - (double)s / (double)(r->total + 1)), at };
		if (s % 50)
			continue;
		m[n++] = (struct metric){ "eval/loss", s, 0.25 + 0.5 * exp(-(double)s / 120), at };
		m[n++] = (struct metric){ "eval/accuracy", s, 0.9 - 0.4 * exp(-(double)s / 100),
					  at };
	}
	m[n++] = (struct metric){ "train/tokens_per_second", r->step, 9312, end };
	m[n++] = (struct metric){ "system/rss_bytes", r->step, 310e6, end };
	stage_must(metric_batch_add(st, &(struct metric_batch){ .run = row,
								.attempt = 1,
								.metric = m,
								.n = n,
								.step = r->step,
								.epoch = (double)r->step / 360,
								.time_us = end }));
	free(m);
}

/* Run number n. A live one trains on another machine whose heart beats for ever. */
static inline void stage_add(struct store *st, int n, const struct stage_run *r, char *ret_id)
{
	const bool live = r->state == RUN_RUNNING || r->state == RUN_PAUSED;
	const int64_t began = STAGE_NOW - r->began_s * 1000000, end = began + r->took_s * 1000000;
	struct run_process who = {
		.pid = 4242, .pid_start = 7, .boot_id = "boot", .host = "trainbox"
	};
	char id[RUN_ID_SIZE], dir[PATH_MAX], recipe[256];
	struct run run = { .id = id,
			   .name = r->name,
			   .method = r->method,
			   .model = "mini-bert-en",
			   .task = "seq_cls",
			   .cause = r->cause,
			   .state = live ? RUN_QUEUED : r->state,
			   .created = began,
			   .dir = dir,
			   .started = r->state == RUN_QUEUED ? 0 : began,
			   .ended = live || r->state == RUN_QUEUED ? 0 : end,
			   .metric_key = "eval/accuracy",
			   .best_greater = true,
			   .total_steps = r->total,
			   .steps_per_epoch = 360,
			   .trainable_params = r->trainable,
			   .total_params = 11171074 };
	int64_t row = 0;
	int attempt;

	run_id_make(id, began, (uint32_t)n);
	snprintf(dir, sizeof(dir), "%.200s/runs/%s",
		 getenv("STAGE_DIR") ? getenv("STAGE_DIR") : "/nowhere", id);
	snprintf(recipe, sizeof(recipe),
		 "{\"name\": \"run %d\", \"peft\": {\"method\": \"lora\", \"r\": %d}, "
		 "\"train\": {\"seed\": %d, \"learning_rate\": 0.0005}}",
		 stage_seed ? stage_seed : n,
		 stage_seed ? stage_seed
		 : n < 3    ? 8
			    : 4,
		 n);
	stage_must(run_add(st, &run, recipe, &row));
	if (live)
		stage_must(run_start(st, row, &who, &attempt));
	if (r->step) {
		stage_metrics(st, row, r, live ? STAGE_NOW : end);
		if (r->step > 50)
			stage_must(run_update_best(st, row, 0.8647, r->step / 50 * 50));
		stage_must(event_add(st, row, r->step / 2, "checkpoint", "checkpoint"));
	}
	if (r->state == RUN_PAUSED)
		stage_must(run_update_state(st, row, RUN_PAUSED));
	if (live)
		stage_must(run_update_heartbeat(st, row, INT64_C(1) << 60));
	if (ret_id)
		memcpy(ret_id, id, sizeof(id));
}

static const struct stage_run stage_runs[] = {
	{ .name = "mr-head",
	  .method = "head",
	  .state = RUN_FINISHED,
	  .step = 300,
	  .total = 300,
	  .trainable = 514,
	  .began_s = 9000,
	  .took_s = 130 },
	{ .name = "mr-lora-r8",
	  .method = "lora",
	  .state = RUN_FINISHED,
	  .step = 400,
	  .total = 400,
	  .trainable = 148482,
	  .began_s = 8000,
	  .took_s = 200,
	  .spike = true },
	{ .name = "boolq-full",
	  .method = "full",
	  .cause = "train/loss is NaN at step 88; a lower train.learning_rate often helps",
	  .state = RUN_FAILED,
	  .step = 88,
	  .total = 1080,
	  .trainable = 11171074,
	  .began_s = 7000,
	  .took_s = 44,
	  .nan = true },
	{ .name = "mr-bitfit",
	  .method = "bitfit",
	  .state = RUN_STOPPED,
	  .step = 120,
	  .total = 1080,
	  .trainable = 20000,
	  .began_s = 6000,
	  .took_s = 60 },
	{ .name = "mr-long",
	  .method = "lora",
	  .state = RUN_PAUSED,
	  .step = 200,
	  .total = 1080,
	  .trainable = 148482,
	  .began_s = 400,
	  .took_s = 0 },
	{ .name = "sst2-lora-r8",
	  .method = "lora",
	  .state = RUN_RUNNING,
	  .step = 412,
	  .total = 1080,
	  .trainable = 37122,
	  .began_s = 252,
	  .took_s = 0 },
	{ .name = "sst2-next",
	  .method = "lora",
	  .state = RUN_QUEUED,
	  .step = 0,
	  .total = 1080,
	  .trainable = 37122,
	  .began_s = 10,
	  .took_s = 0 },
};

enum { STAGE_RUNS = sizeof(stage_runs) / sizeof(stage_runs[0]), STAGE_LIVE = 5 };

/* The runs above in the run log, and the workbench told; ret_id: of the running one. */
static inline void stage_fill(struct stage *s, char *ret_id)
{
	struct store *st;

	stage_must(store_open(s->db, &st));
	for (int i = 0; i < STAGE_RUNS; i++)
		stage_add(st, i, &stage_runs[i], i == STAGE_LIVE ? ret_id : NULL);
	store_close(st);
	(void)app_tick(&s->app);
}

/* Two experiments with seeds, one of them with a run that failed, besides the runs above. */
static inline void stage_seeds(struct stage *s)
{
	struct store *st;

	stage_must(store_open(s->db, &st));
	for (int i = 0; i < 5; i++) {
		struct stage_run r = stage_runs[1];
		char name[32];

		snprintf(name, sizeof(name), i < 3 ? "数据-seeds" : "other e\u0301-seeds");
		r.name = name;
		r.spike = false;
		r.state = i == 4 ? RUN_FAILED : RUN_FINISHED;
		r.step = 400 - 10 * i;
		r.began_s = 3000 - 300 * i;
		stage_seed = i < 3 ? 16 : 32;
		stage_add(st, 50 + i, &r, NULL);
	}
	stage_seed = 0;
	store_close(st);
	(void)app_tick(&s->app);
}

#endif
