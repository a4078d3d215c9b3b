/* The queue between a trainer and its run log: what a run says is kept, and saying it takes no memory. */
#include "tests/check.h"

#include "base/array.h"
#include "db/metric.h"
#include "engine/engine.h"
#include "engine/runlog.h"
#include "tests/db/home.h"
#include "tests/memory.h"
#include "tests/train/world.h"

/* Nobody sends a signal here. */
int engine_told_to_stop(void) { return 0; }

static struct runlog *open_log(struct home *h, int n, int64_t *ret_row)
{
	struct runlog *l = NULL;
	int attempt = 0;

	*ret_row = home_run(h, n, "x", NULL);
	CHECK(run_start(h->st, *ret_row, NULL, &attempt) == TT_OK);
	if (!CHECK(runlog_open(h->db, *ret_row, attempt, &l) == TT_OK)) {
		printf("Bail out! %s\n", err_text());
		exit(99);
	}
	return l;
}

static size_t rows_of(struct home *h, int64_t row, const char *key)
{
	struct metric_point *p = NULL;
	size_t n = 0;

	CHECK(metric_read(h->st, row, key, &p, &n) == TT_OK);
	free(p);
	return n;
}

/* ---- a run ---- */

enum { STEPS = 15, FROM = 4 }; /* the second epoch's first step is the fourth */

static const struct sink *log_sink;

/* What the trainer's own thread asks for, its sink included; the writer has its transactions. */
static void step_done(void *arg, int64_t step, double epoch)
{
	log_sink->progress(arg, step, epoch);
	atomic_store(&memory_counting_here, step >= FROM && step < STEPS);
}

static void a_run_is_kept(void)
{
	static const char *const set[] = { "data.shuffle=false",    "train.num_train_epochs=5",
					   "train.eval_steps=1",    "train.save_steps=1000",
					   "train.logging_steps=1", NULL };
	char top[PATH_MAX], dir[PATH_MAX];
	enum train_end end = TRAIN_WAS_STOPPED;
	struct sink sink;
	struct home h;
	struct world w;
	struct runlog *l;
	int64_t row;

	home_open(&h);
	l = open_log(&h, 1, &row);
	log_sink = runlog_sink(l);
	sink = *log_sink;
	sink.progress = step_done;
	CHECK(toy_folder(top, sizeof(top)) != NULL && world_make(top) == TT_OK);
	CHECK(fs_join(dir, sizeof(dir), top, "run") == TT_OK);
	atomic_store(&memory_calls, 0);
	CHECK(world_open(&w, top, dir, set, 2, &sink) == TT_OK);
	CHECK(train_open(&w.trainer) == TT_OK && train_run(&w.trainer, false, &end) == TT_OK);
	CHECK(end == TRAIN_FINISHED && atomic_load(&memory_calls) == 0);
	CHECK(runlog_close(l, RUN_FINISHED, NULL) == TT_OK);
	CHECK(rows_of(&h, row, "train/loss") == STEPS);
	CHECK(rows_of(&h, row, "eval/accuracy") == STEPS);
	world_close(&w);
	CHECK(fs_remove_tree(top) == TT_OK);
	home_close(&h);
}

/* ---- more than a tick has ---- */

/* A quick run says much between two looks of the writer, and a key may come late. */
static void saying_takes_no_memory(void)
{
	const struct sink *s;
	struct train_command unused;
	char key[40];
	struct home h;
	struct runlog *l;
	int64_t row;

	home_open(&h);
	l = open_log(&h, 4, &row);
	s = runlog_sink(l);
	atomic_store(&memory_calls, 0);
	atomic_store(&memory_counting_here, true);
	for (int64_t i = 1; i <= 200; i++) {
		for (int k = 0; k < 10; k++) {
			snprintf(key, sizeof(key), "train/%d", k + (i > 100));
			s->metric(s->arg, key, i, (double)i);
		}
		s->best(s->arg, "train/0", i, (double)i);
		s->progress(s->arg, i, (double)i);
		if (s->command(s->arg, &unused, 0) || s->stop(s->arg))
			break;
	}
	atomic_store(&memory_counting_here, false);
	CHECK(atomic_load(&memory_calls) == 0);
	CHECK(runlog_close(l, RUN_FINISHED, NULL) == TT_OK);
	CHECK(rows_of(&h, row, "train/1") == 200 && rows_of(&h, row, "train/10") == 100);
	home_close(&h);
}

static void nothing_is_lost_in_a_rush(void)
{
	enum { RUSH = 30000 };
	const struct sink *s;
	struct home h;
	struct runlog *l;
	int64_t row;

	home_open(&h);
	l = open_log(&h, 2, &row);
	s = runlog_sink(l);
	for (int64_t i = 1; i <= RUSH; i++)
		s->metric(s->arg, i % 3 ? "train/loss" : "train/grad_norm", i, 1.0 / (double)i);
	CHECK(runlog_close(l, RUN_FINISHED, NULL) == TT_OK);
	CHECK(rows_of(&h, row, "train/loss") == RUSH / 3 * 2);
	CHECK(rows_of(&h, row, "train/grad_norm") == RUSH / 3);
	home_close(&h);
}

/* Each run may have keys of its own, but not without end. */
static void keys_come_to_an_end(void)
{
	const struct sink *s;
	char key[40], **found = NULL;
	struct home h;
	struct runlog *l;
	size_t n = 0;
	int64_t row;

	home_open(&h);
	l = open_log(&h, 3, &row);
	s = runlog_sink(l);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "method/a_rather_long_name_%d", i);
		s->metric(s->arg, key, 1, i);
	}
	CHECK(runlog_close(l, RUN_FINISHED, NULL) == TT_OK);
	CHECK(metric_keys(h.st, row, &found, &n) == TT_OK && n == 512);
	free(found);
	home_close(&h);
}

int main(void)
{
	memory_check();
	a_run_is_kept();
	saying_takes_no_memory();
	nothing_is_lost_in_a_rush();
	keys_come_to_an_end();
	return check_done();
}
