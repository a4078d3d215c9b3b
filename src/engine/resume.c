/* resume: go on with a run from its newest checkpoint, or from the start when it has none. */
#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/launch.h"
#include "train/checkpoint.h"

/* Where to go on from: the newest checkpoint, or step 0 when there is none yet. */
static int newest(const struct session *s, int64_t *ret)
{
	char dir[PATH_MAX];
	int code = fs_join(dir, sizeof(dir), s->run.dir, "checkpoints");

	if (!code)
		code = checkpoint_newest(dir, ret);
	if (code == TT_NOTFOUND) {
		*ret = 0;
		code = TT_OK;
	}
	return code;
}

static int resume_row(struct session *s, int64_t step, int *ret_attempt)
{
	char path[PATH_MAX];
	struct store *store;
	int code = home_path("runs.db", path, sizeof(path));

	if (!code)
		code = store_open(path, &store);
	if (code)
		return code;
	code = run_resume(store, s->run.row, step, NULL, ret_attempt);
	store_close(store);
	return code;
}

static int resume_run(const struct args *a)
{
	struct launch how = { 0 };
	struct trainer t = { 0 };
	struct session s;
	int64_t step;
	int code;

	engine_catch_signals();
	code = session_open_run(a->pos[0], &s);
	if (code)
		return code;
	if (s.run.state == RUN_FINISHED)
		code = err_set(TT_INVALID, "run %s is finished; there is nothing left to do",
			       s.run.id);
	if (!code)
		code = launch_load(&s, &t);
	if (!code)
		code = newest(&s, &step);
	if (!code)
		code = resume_row(&s, step, &how.attempt);
	if (!code)
		code = launch_report(a, s.run.id, s.run.dir);
	if (!code) {
		how.row = s.run.row;
		how.dir = s.run.dir;
		how.resume = step > 0;
		code = launch_train(&s, &t, &how);
	}
	train_close(&t);
	session_close(&s);
	return code;
}

static const struct arg resume_options[] = {
	{ "--report", 0, NULL, "write the run's id to file descriptor 3 once the run log has it" },
	{ 0 }
};

const struct command verb_resume = {
	.name = "resume",
	.usage = "RUN",
	.summary = "Go on with a stopped, failed or lost run from its newest checkpoint.",
	.options = resume_options,
	.min_args = 1,
	.max_args = 1,
	.run = resume_run,
};
