/* From a checked recipe to a finished run. */
#include "engine/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "db/note.h"
#include "engine/answers.h"
#include "engine/estimate.h"
#include "engine/reader.h"
#include "engine/runlog.h"
#include "method/adapter.h"

enum { REPORT_FD = 3 };

static const char *judged_by(const struct recipe *r)
{
	return r->task.metric == METRIC_DEFAULT ? metric_default(r->task.type)
						: recipe_metric_name(r->task.metric);
}

static int check_data(const struct recipe *r)
{
	if (!r->data.train)
		return err_set(TT_INVALID, "%s: data.train is missing; training needs it", r->path);
	if (!fs_exists(r->data.train))
		return err_set(TT_NOTFOUND, "%s: data.train: there is no file %s", r->path,
			       r->data.train);
	if (r->data.validation && !fs_exists(r->data.validation))
		return err_set(TT_NOTFOUND, "%s: data.validation: there is no file %s", r->path,
			       r->data.validation);
	return TT_OK;
}

static int check_memory(struct session *s)
{
	struct estimate e;
	int code;

	if (s->recipe->compute.memory_limit == KNOB_NONE)
		return TT_OK;
	code = estimate_make(s, &e);
	if (code)
		return code;
	if (e.total > s->recipe->compute.memory_limit)
		return err_set(TT_NOMEM,
			       "%s: this run needs about %lld MiB, and compute.memory_limit allows "
			       "%lld MiB",
			       s->recipe->path, (long long)(e.total >> 20),
			       (long long)(s->recipe->compute.memory_limit >> 20));
	return TT_OK;
}

/* A trainer over it all; the sink and the run's folder come later. */
static int open_trainer(struct session *s, struct trainer *t)
{
	*t = (struct trainer){
		.recipe = s->recipe,
		.tokenizer = s->tokenizer,
		.model = s->model,
		.method = s->method,
		.gemm = s->gemm,
		.pool = s->pool,
		.train = s->train,
		.validation = s->other,
	};
	return train_open(t) ? err_in("%s", s->recipe->path) : TT_OK;
}

int launch_load(struct session *s, struct trainer *ret)
{
	struct reader *reader = NULL;
	int code = check_data(s->recipe);

	if (!code)
		code = session_load_texts(s);
	if (!code)
		code = reader_start(s, &reader);
	if (!code)
		code = session_load_model(s, true);
	code = reader_finish(reader, code);
	if (!code)
		code = check_memory(s);
	return code ? code : open_trainer(s, ret);
}

/* The folder's name is the run's id. */
static int run_folder(const char *id, char *ret, size_t size)
{
	char path[32 + RUN_ID_SIZE];

	snprintf(path, sizeof(path), "runs/%s", id);
	return home_path(path, ret, size);
}

/* runs/ID with the recipe as it will run. */
static int write_recipe(const struct session *s, const char *dir)
{
	char path[PATH_MAX];
	struct buf text;
	int code = fs_mkdirs(dir);

	if (!code)
		code = fs_join(path, sizeof(path), dir, "recipe.json");
	if (code)
		return code;
	buf_init(&text, (size_t)16 << 20);
	code = recipe_write(s->recipe, &text);
	if (!code)
		code = fs_write_atomic(path, text.data, text.size);
	buf_done(&text);
	return code;
}

/* The run's row, tags and first attempt, all or nothing. */
static int add_row(struct store *store, const struct session *s, const struct run *run,
		   const char *recipe, int64_t *ret_row, int *ret_attempt)
{
	int code = store_begin(store);

	if (!code)
		code = run_add(store, run, recipe, ret_row);
	for (size_t i = 0; !code && i < s->recipe->tags.n; i++)
		code = tag_add(store, *ret_row, s->recipe->tags.item[i]);
	if (!code)
		code = run_start(store, *ret_row, NULL, ret_attempt);
	if (!code)
		code = store_commit(store);
	if (code)
		store_rollback(store);
	return code;
}

/* "lora", or "prefix+lora" of a combination. */
static void method_names(const struct recipe *r, char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = 0;
	for (size_t i = 0; i < r->n_peft && n + 1 < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? "+" : "", r->peft[i].name);
}

static int add_run(struct session *s, const char *id, const char *dir, const char *parent,
		   int64_t *ret_row, int *ret_attempt)
{
	const struct recipe *r = s->recipe;
	const struct train_plan plan = train_plan(&r->train, (int64_t)dataset_count(s->train));
	char path[PATH_MAX], key[64], method[128];
	const struct run run = {
		.id = id,
		.name = r->name,
		.state = RUN_QUEUED,
		.method = method,
		.model = fs_basename(s->model_dir),
		.task = recipe_task_name(r->task.type),
		.dir = dir,
		.parent = parent,
		.metric_key = key,
		.best_greater = metric_greater_is_better(judged_by(r)),
		.total_steps = plan.total_steps,
		.steps_per_epoch = plan.steps_per_epoch,
		.trainable_params = method_param_count(s->method),
		.total_params = model_param_count(s->model) + method_extra_count(s->method),
	};
	struct store *store = NULL;
	struct buf text;
	int code;

	method_names(r, method, sizeof(method));
	snprintf(key, sizeof(key), "eval/%s", judged_by(r));
	buf_init(&text, (size_t)16 << 20);
	code = home_path("runs.db", path, sizeof(path));
	if (!code)
		code = recipe_write(r, &text);
	if (!code)
		code = store_open(path, &store);
	if (!code)
		code = add_row(store, s, &run, text.data, ret_row, ret_attempt);
	store_close(store);
	buf_done(&text);
	return code;
}

int launch_enter(struct session *s, const char *id, const char *parent, char *dir, int64_t *ret_row,
		 int *ret_attempt)
{
	int code = run_folder(id, dir, PATH_MAX);

	if (code)
		return code;
	code = write_recipe(s, dir);
	if (!code)
		code = add_run(s, id, dir, parent, ret_row, ret_attempt);
	if (code)
		(void)fs_remove_tree(dir);
	else
		session_keep_times(s);
	return code;
}

int launch_report(const struct args *a, const char *id, const char *dir)
{
	char path[PATH_MAX];
	int fd, code = fs_join(path, sizeof(path), dir, "log.txt");

	if (code)
		return code;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return err_set(TT_IO, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	if (args_has(a, "--report")) {
		char line[32];
		const int n = snprintf(line, sizeof(line), "%s\n", id);

		if (write(REPORT_FD, line, (size_t)n) != n)
			log_line("the starter went away");
		close(REPORT_FD);
	}
	return TT_OK;
}

static int save_adapter(const struct session *s, const char *dir)
{
	char path[PATH_MAX];
	int code;

	if (s->method->ops->saves_model)
		return TT_OK;
	code = fs_join(path, sizeof(path), dir, "adapter");
	return code ? code : adapter_save(s->method, path, s->recipe->base_model);
}

/* The run itself; a is heard at its end. */
static int train(struct session *s, struct trainer *t, const struct launch *how, struct answers *a,
		 enum train_end *ret)
{
	int code;

	t->ends_with = answers_keep;
	t->ends_with_arg = a;
	t->dir = how->dir;
	code = train_run(t, how->resume, ret);
	t->ends_with = NULL;
	t->ends_with_arg = NULL;
	return code ? code : save_adapter(s, how->dir);
}

int launch_train(struct session *s, struct trainer *t, const struct launch *how)
{
	char path[PATH_MAX], cause[512];
	struct runlog *log;
	struct answers answers = { s, how->dir };
	enum train_end end = TRAIN_FINISHED;
	int code, closed;

	code = home_path("runs.db", path, sizeof(path));
	if (!code)
		code = runlog_open(path, how->row, how->attempt, &log);
	if (code)
		return code;
	log_line("trimtab-engine %s, %s, %s, %d threads: %s", PACKAGE_VERSION, gemm_name(s->gemm),
		 gemm_is_bf16(s->gemm) ? "bf16" : "fp32", pool_threads(s->pool), s->recipe->path);
	if (s->model->unused)
		log_line("%s", s->model->unused);
	if (s->model->fresh)
		log_line("%s", s->model->fresh);
	session_say_notes(s);
	t->sink = runlog_sink(log);
	code = train(s, t, how, &answers, &end);
	if (code == TT_STOPPED) {
		code = TT_OK;
		end = TRAIN_WAS_STOPPED;
	}
	snprintf(cause, sizeof(cause), "%s", code ? err_text() : "");
	if (code)
		log_line("failed: %s", cause);
	closed = runlog_close(log,
			      code                    ? RUN_FAILED
			      : end == TRAIN_FINISHED ? RUN_FINISHED
						      : RUN_STOPPED,
			      cause);
	if (closed) {
		log_line("%s", err_text());
		return closed;
	}
	return code ? err_set(code, "%s", cause) : TT_OK;
}
