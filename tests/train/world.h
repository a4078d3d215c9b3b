#ifndef TESTS_TRAIN_WORLD_H
#define TESTS_TRAIN_WORLD_H

/*
 * A toy experiment in a folder, and everything that a run of it needs: a small
 * BERT, rows of made-up words, a recipe with dropout on, and a sink that
 * remembers what was said and plays commands at given steps.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/rng.h"
#include "data/task.h"
#include "tests/model/toy.h"
#include "train/checkpoint.h"
#include "train/train.h"

enum { TOY_ROWS = 45, TOY_DEV = 21, HEARD_MAX = 4000, PLAYS_MAX = 8 };

/* ---- the folder ---- */

/* A row's label follows from how often it says "w60"; texts have 3 to 32 words. */
static inline void world_row(struct rng *rng, struct buf *out)
{
	const uint32_t words = 3 + rng_below(rng, 30);
	uint32_t hits = 0;

	buf_text(out, "{\"text_a\": \"");
	for (uint32_t i = 0; i < words; i++) {
		const uint32_t word = 57 + rng_below(rng, 6);

		hits += word == 60;
		buf_printf(out, "%sw%u", i ? " " : "", word);
	}
	buf_printf(out, "\", \"label\": %u, \"score\": %.1f}\n", hits * 5 > words,
		   (double)hits * 5 / (double)words);
}

static inline int world_rows(const char *top, const char *name, int rows, uint32_t stream)
{
	char path[PATH_MAX];
	struct rng rng;
	struct buf out;
	int rc = fs_join(path, sizeof(path), top, name);

	rng_init(&rng, 11, RNG_TEST, stream);
	buf_init(&out, 1 << 20);
	for (int i = 0; i < rows; i++)
		world_row(&rng, &out);
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

static inline int world_make(const char *top)
{
	char path[PATH_MAX];
	int rc = fs_join(path, sizeof(path), top, "model");

	if (!rc)
		rc = toy_bert(path, 2, 16, 2, 32, 64, 2, 5);
	if (!rc)
		rc = world_rows(top, "train.jsonl", TOY_ROWS, 1);
	if (!rc)
		rc = world_rows(top, "dev.jsonl", TOY_DEV, 2);
	if (!rc)
		rc = fs_join(path, sizeof(path), top, "recipe.json");
	if (!rc) {
		static const char text[] =
			"{\"base_model\": \"model\", \"task\": {\"type\": \"seq_cls\", \"labels\": "
			"[\"no\", \"yes\"]},\n"
			" \"data\": {\"train\": \"train.jsonl\", \"validation\": \"dev.jsonl\", "
			"\"max_length\": 32},\n"
			" \"peft\": {\"method\": \"lora\", \"r\": 2, \"lora_alpha\": 4, "
			"\"lora_dropout\": 0.1,"
			" \"target_modules\": [\"query\", \"value\"]},\n"
			" \"train\": {\"num_train_epochs\": 3, \"per_device_train_batch_size\": 16,"
			" \"learning_rate\": 0.01, \"dropout\": 0.1, \"eval_steps\": 2, "
			"\"save_steps\": 2, \"seed\": 3},\n"
			" \"compute\": {\"threads\": 1}}\n";

		rc = fs_write_atomic(path, text, sizeof(text) - 1);
	}
	return rc;
}

/* ---- the sink ---- */

struct heard {
	char key[40];
	int64_t step;
	double value;
};

/* After `step` steps this command arrives. */
struct play {
	int64_t step;
	struct train_command command;
	bool done;
};

struct ear {
	struct sink sink;
	struct heard heard[HEARD_MAX];
	int n;
	int64_t step;
	int64_t stop_after; /* the stop flag is up from this step on; -1: never */
	void (*at_step)(struct ear *e, int64_t step); /* NULL, or called when a step is done */
	struct play play[PLAYS_MAX];
	char events[2000], answers[2000];
	int64_t best_step;
	int pauses, waits;
	bool is_paused;
};

static inline void ear_metric(void *arg, const char *key, int64_t step, double value)
{
	struct ear *e = arg;

	if (e->n < HEARD_MAX) {
		snprintf(e->heard[e->n].key, sizeof(e->heard[0].key), "%s", key);
		e->heard[e->n].step = step;
		e->heard[e->n++].value = value;
	}
}

static inline void ear_progress(void *arg, int64_t step, double epoch)
{
	struct ear *e = arg;

	(void)epoch;
	e->step = step;
	if (e->at_step)
		e->at_step(e, step);
}

static inline void ear_event(void *arg, int64_t step, const char *kind, const char *text)
{
	struct ear *e = arg;
	const size_t n = strlen(e->events);

	snprintf(e->events + n, sizeof(e->events) - n, "%s@%lld(%s) ", kind, (long long)step, text);
}

static inline void ear_best(void *arg, const char *key, int64_t step, double value)
{
	(void)key;
	(void)value;
	((struct ear *)arg)->best_step = step;
}

static inline void ear_paused(void *arg, bool yes)
{
	struct ear *e = arg;

	e->pauses += yes;
	e->is_paused = yes;
}

/* While paused nothing else can come, so a wait that finds nothing counts as one look. */
static inline bool ear_command(void *arg, struct train_command *ret, int64_t timeout_us)
{
	struct ear *e = arg;

	e->waits += timeout_us > 0;
	for (int i = 0; i < PLAYS_MAX; i++) {
		struct play *p = &e->play[i];

		if (p->done || !p->command.id || e->step < p->step)
			continue;
		p->done = true;
		*ret = p->command;
		return true;
	}
	return false;
}

static inline void ear_answer(void *arg, const struct train_command *c, const char *text)
{
	struct ear *e = arg;
	const size_t n = strlen(e->answers);

	snprintf(e->answers + n, sizeof(e->answers) - n, "%lld:%s; ", (long long)c->id, text);
}

static inline bool ear_stop(void *arg)
{
	const struct ear *e = arg;

	return e->stop_after >= 0 && e->step >= e->stop_after;
}

static inline void ear_init(struct ear *e)
{
	memset(e, 0, sizeof(*e));
	e->stop_after = e->best_step = -1;
	e->sink = (struct sink){
		.arg = e,
		.metric = ear_metric,
		.progress = ear_progress,
		.event = ear_event,
		.best = ear_best,
		.paused = ear_paused,
		.command = ear_command,
		.answer = ear_answer,
		.stop = ear_stop,
	};
}

/* The value last heard of a key at a step; NAN: never. */
static inline double ear_value(const struct ear *e, const char *key, int64_t step)
{
	for (int i = e->n - 1; i >= 0; i--)
		if (e->heard[i].step == step && !strcmp(e->heard[i].key, key))
			return e->heard[i].value;
	return NAN;
}

static inline int ear_count(const struct ear *e, const char *key)
{
	int n = 0;

	for (int i = 0; i < e->n; i++)
		n += !strcmp(e->heard[i].key, key);
	return n;
}

/* ---- a trainer and all it stands on ---- */

struct world {
	struct recipe *recipe;
	struct gemm *gemm;
	struct pool *pool;
	struct tokenizer *tokenizer;
	struct labels *labels;
	struct dataset *train, *dev;
	struct model *model;
	struct method *method;
	struct trainer trainer;
};

static inline int world_data(struct world *w, const char *path, struct dataset **ret)
{
	const struct recipe *r = w->recipe;
	const struct dataset_options how = {
		.tokenizer = w->tokenizer,
		.path = path,
		.labels = w->labels,
		.task = r->task.type,
		.columns = { r->data.text_a, r->data.text_b, r->data.label },
		.max_length = r->data.max_length,
		.limit = r->data.limit,
	};

	return dataset_load(&how, ret);
}

static inline int world_model(struct world *w)
{
	const struct recipe *r = w->recipe;
	const struct model_options how = {
		.folder = r->base_model,
		.head = r->task.type == TASK_MLM          ? HEAD_MLM
			: r->task.type == TASK_REGRESSION ? HEAD_REGRESSION
							  : HEAD_SEQ_CLS,
		.n_labels = r->task.type == TASK_SEQ_CLS ? 2 : 1,
		.dropout = r->train.dropout,
		.seed = (uint64_t)r->train.seed,
		.gemm = w->gemm,
	};
	int rc = model_open(&how, &w->model);

	if (!rc)
		rc = method_open(&(struct method_options){ .peft = r->peft,
							   .n_peft = r->n_peft,
							   .model = w->model,
							   .task = r->task.type,
							   .seed = (uint64_t)r->train.seed,
							   .tokenizer = w->tokenizer,
							   .labels = r->task.labels },
				 &w->method);
	return rc ? rc : model_prepare(w->model, true);
}

/* The recipe in the folder that world_open takes. */
static const char *world_recipe = "recipe.json";

/* set: PATH=VALUE, ends with NULL, or NULL. train_open is left to the caller. */
static inline int world_open(struct world *w, const char *top, const char *dir,
			     const char *const *set, int threads, const struct sink *sink)
{
	char path[PATH_MAX];
	size_t n = 0;
	int rc = fs_join(path, sizeof(path), top, world_recipe);

	memset(w, 0, sizeof(*w));
	while (set && set[n])
		n++;
	if (!rc)
		rc = recipe_load(path, set, n, method_table(), &w->recipe);
	if (!rc)
		rc = w->recipe->compute.precision == PRECISION_BF16
			     ? gemm_open_bf16("ref", &w->gemm)
			     : gemm_open("ref", &w->gemm);
	if (!rc)
		rc = pool_new(threads, &w->pool);
	if (!rc)
		rc = tokenizer_open(w->recipe->base_model, &w->tokenizer);
	if (!rc && w->recipe->task.type == TASK_SEQ_CLS)
		rc = labels_load(&(struct labels_options){ .given = &w->recipe->task.labels },
				 &w->labels);
	if (!rc)
		rc = world_data(w, w->recipe->data.train, &w->train);
	if (!rc && w->recipe->data.validation)
		rc = world_data(w, w->recipe->data.validation, &w->dev);
	if (!rc)
		rc = world_model(w);
	w->trainer = (struct trainer){
		.recipe = w->recipe,
		.tokenizer = w->tokenizer,
		.model = w->model,
		.method = w->method,
		.gemm = w->gemm,
		.pool = w->pool,
		.train = w->train,
		.validation = w->dev,
		.sink = sink,
		.dir = dir,
	};
	return rc;
}

static inline void world_close(struct world *w)
{
	train_close(&w->trainer);
	model_close(w->model);
	dataset_free(w->train);
	dataset_free(w->dev);
	labels_free(w->labels);
	tokenizer_close(w->tokenizer);
	pool_free(w->pool);
	gemm_close(w->gemm);
	recipe_free(w->recipe);
}

/* All trained numbers as one. */
static inline uint64_t world_hash(const struct world *w)
{
	uint64_t h = HASH_START;

	for (size_t i = 0; i < w->method->nparam; i++)
		h = hash_bytes(h, w->method->param[i]->data,
			       (size_t)tensor_count(w->method->param[i]) * sizeof(float));
	return h;
}

#endif
