/* A run log for a measurement: what it costs to be kept, five times a second, by a thread beside the steps. */
#include "bench/logged.h"

#include <limits.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"

/* The run log asks whether a signal came; nobody sends one to a benchmark. */
int engine_told_to_stop(void) { return 0; }

static int add_run(struct store *st, const char *dir, int64_t *ret_row, int *ret_attempt)
{
	char id[RUN_ID_SIZE];
	const struct run run = {
		.id = id,
		.name = "bench",
		.method = "lora",
		.model = "bench",
		.task = "seq_cls",
		.dir = dir,
		.state = RUN_QUEUED,
		.metric_key = "eval/accuracy",
		.total_steps = 1,
	};
	int code;

	run_id_new(id);
	code = run_add(st, &run, "{}", ret_row);
	return code ? code : run_start(st, *ret_row, NULL, ret_attempt);
}

int logged_open(const char *dir, struct runlog **ret)
{
	char path[PATH_MAX];
	struct store *st = NULL;
	int64_t row = 0;
	int attempt = 0;
	int code = fs_join(path, sizeof(path), dir, "runs.db");

	if (!code)
		code = store_open(path, &st);
	if (!code)
		code = add_run(st, dir, &row, &attempt);
	store_close(st);
	return code ? code : runlog_open(path, row, attempt, ret);
}
