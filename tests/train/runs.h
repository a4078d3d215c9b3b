#ifndef TESTS_TRAIN_RUNS_H
#define TESTS_TRAIN_RUNS_H

/*
 * Whole runs of the toy experiment (world.h), each in a folder of its own: from
 * start to end, the rest of one, or up to where it is killed; and how two of
 * them are held against each other.
 */
#include "tests/check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/train/world.h"
#include "train/feature.h"

enum { STEPS = 9 }; /* 3 epochs of 3 steps: 45 rows, 16 a step */

static char top[PATH_MAX]; /* the experiment's folder; tests make and remove it */

static enum feature_mode features; /* of the next runs */

/* A fresh folder for one run. */
static inline const char *run_dir(char *ret)
{
	static int count;
	char name[32];

	snprintf(name, sizeof(name), "run-%d", ++count);
	CHECK(fs_join(ret, PATH_MAX, top, name) == TT_OK && fs_mkdirs(ret) == TT_OK);
	return ret;
}

struct outcome {
	int rc;
	enum train_end end;
	uint64_t first, hash;   /* of what trains: before and after */
	struct checkpoint last; /* what the newest checkpoint says */
	uint64_t file;          /* ... and a hash of the whole file */
};

static inline uint64_t file_hash(const char *dir, int64_t step)
{
	char name[80], path[PATH_MAX];
	uint64_t h = 0;
	struct buf file;

	snprintf(name, sizeof(name), "checkpoints/step-%08lld.safetensors", (long long)step);
	if (fs_join(path, sizeof(path), dir, name) || fs_read(path, 1 << 26, &file))
		return 0;
	h = hash_bytes(HASH_START, file.data, file.size);
	buf_done(&file);
	return h;
}

/* One run, or the rest of one. set: as world_open has it. */
static inline struct outcome go(const char *dir, const char *const *set, int threads, struct ear *e,
				bool resume)
{
	struct outcome o = { .end = TRAIN_FINISHED };
	struct checkpoint_parts parts = { 0 };
	char path[PATH_MAX];
	struct world w;

	o.rc = world_open(&w, top, dir, set, threads, &e->sink);
	w.trainer.feature_mode = features;
	if (!o.rc) {
		o.first = world_hash(&w);
		o.rc = train_open(&w.trainer);
	}
	if (!o.rc)
		o.rc = train_run(&w.trainer, resume, &o.end);
	if (!o.rc) {
		o.hash = world_hash(&w);
		if (!fs_join(path, sizeof(path), dir, "checkpoints") &&
		    !checkpoint_read(path, CHECKPOINT_LAST, &parts, &o.last))
			o.file = file_hash(dir, o.last.step);
	}
	world_close(&w);
	return o;
}

/* From start to end, undisturbed. */
static inline struct outcome fresh(const char *const *set, int threads, struct ear *e)
{
	char dir[PATH_MAX];

	ear_init(e);
	return go(run_dir(dir), set, threads, e, false);
}

static int64_t kill_step;

static inline void kill_here(struct ear *e, int64_t step)
{
	(void)e;
	if (step == kill_step)
		kill(getpid(), SIGKILL);
}

/* A run in a child, on one thread, that ends with kill -9 when that step is done. Was it so? */
static inline bool killed(const char *dir, const char *const *set, int64_t step)
{
	static struct ear ear;
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		kill_step = step;
		ear_init(&ear);
		ear.at_step = kill_here;
		go(dir, set, 1, &ear, false);
		_exit(9);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

static inline bool same_curve(const struct ear *a, const struct ear *b, const char *key,
			      int64_t from, int64_t to)
{
	for (int64_t i = from; i <= to; i++) {
		const double x = ear_value(a, key, i), y = ear_value(b, key, i);

		if (memcmp(&x, &y, sizeof(x)) && !(isnan(x) && isnan(y)))
			return false;
	}
	return true;
}

#endif
