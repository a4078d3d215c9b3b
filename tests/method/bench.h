#ifndef TESTS_METHOD_BENCH_H
#define TESTS_METHOD_BENCH_H

/* A toy BERT with a method attached, eight rows of random tokens, and what tests do with them. */
#include <stdlib.h>

#include "data/batch.h"
#include "method/adapter.h"
#include "method/method.h"
#include "method/stages.h"
#include "tensor/gemm.h"
#include "tests/check.h"
#include "tests/model/toy.h"

enum { BENCH_ROWS = 8, BENCH_LENGTH = 6, BENCH_LABELS = 2, BENCH_VOCAB = 40, BENCH_PARTS = 4 };

struct bench {
	char dir[PATH_MAX];
	struct arena *arena;
	struct gemm *gemm;
	struct tokenizer *tokenizer;
	struct model *model;
	struct json *doc;
	struct recipe_peft peft[BENCH_PARTS];
	struct method *method; /* NULL: the base alone */
	struct batch batch;
	struct graph *graph, *tape; /* tape: the step's own */
	struct leaves *leaves;
	int64_t step;
	bool recompute; /* blocks are built again in backward */
	double penalty; /* of the last step; its loss holds it */
	float *m, *v;   /* Adam's */
};

static inline int bench_batch(struct bench *b, int task)
{
	static int32_t id[BENCH_ROWS][BENCH_LENGTH];
	static uint8_t type[BENCH_ROWS][BENCH_LENGTH];
	struct example ex[BENCH_ROWS];
	struct rng r;

	rng_init(&r, 77, RNG_TEST, 0);
	for (int i = 0; i < BENCH_ROWS; i++) {
		ex[i] = (struct example){ .id = id[i],
					  .type = type[i],
					  .n = BENCH_LENGTH - i % 3,
					  .label = i * 5 % 8 / 4,
					  .value = (float)i,
					  .index = i };
		for (int k = 0; k < BENCH_LENGTH; k++) {
			id[i][k] = k ? 5 + (int32_t)rng_below(&r, BENCH_VOCAB - 5) : 2;
			type[i][k] = k > 3;
		}
	}
	if (task == TASK_MLM) {
		const struct mlm_options how = { .probability = 0.5,
						 .mask_id = 4,
						 .vocab = BENCH_VOCAB,
						 .seed = 3,
						 .special = calloc(BENCH_VOCAB, 1) };
		const int code = batch_pack_mlm(b->arena, ex, BENCH_ROWS, &how, &b->batch);

		free((void *)(uintptr_t)how.special);
		return code;
	}
	return batch_pack(b->arena, ex, BENCH_ROWS, &b->batch);
}

/* One model folder for all tests of a program; it serves every head. */
static char bench_base[PATH_MAX];

static inline int bench_folder(void)
{
	if (*bench_base)
		return TT_OK;
	if (!toy_folder(bench_base, sizeof(bench_base)))
		return err_set(TT_IO, "no temporary folder");
	return toy_bert(bench_base, 2, 8, 2, 12, BENCH_VOCAB, BENCH_LABELS, 11);
}

/* Instead of check_done. */
static inline int bench_done(void)
{
	if (*bench_base)
		fs_remove_tree(bench_base);
	return check_done();
}

/* A model with the head of a task, and a temporary folder for its adapter. */
static inline int bench_model(struct bench *b, int task)
{
	struct model_options how = {
		.folder = bench_base, .n_labels = BENCH_LABELS, .dropout = 0, .seed = 5
	};
	int code;

	*b = (struct bench){ .arena = arena_new() };
	if (!b->arena || !toy_folder(b->dir, sizeof(b->dir)))
		return err_set(TT_IO, "no temporary folder");
	how.head = task == TASK_MLM          ? HEAD_MLM
		   : task == TASK_REGRESSION ? HEAD_REGRESSION
					     : HEAD_SEQ_CLS;
	code = bench_folder();
	if (!code)
		code = gemm_open("ref", &b->gemm);
	if (!code)
		code = tokenizer_open(bench_base, &b->tokenizer);
	how.gemm = b->gemm;
	if (!code)
		code = model_open(&how, &b->model);
	if (!code)
		code = graph_new(b->gemm, &b->graph);
	return code ? code : bench_batch(b, task);
}

static inline double bench_loss(struct bench *b);
static inline double bench_train(struct bench *b, double rate);
static inline float *bench_logits(struct bench *b, int64_t *ret_n);

/* What a method sees before its first step: all eight rows, whichever it asks for. */
static inline int bench_probe_gradients(void *arg, const int64_t *row, size_t n, double *ret_loss)
{
	const double loss = bench_loss(arg);

	(void)row;
	(void)n;
	if (ret_loss)
		*ret_loss = loss;
	return isnan(loss) ? TT_INVALID : TT_OK;
}

static inline int bench_probe_step(void *arg, const int64_t *row, size_t n, double rate)
{
	(void)row;
	(void)n;
	return isnan(bench_train(arg, rate)) ? TT_INVALID : TT_OK;
}

static inline int bench_probe_visit(void *arg, const int64_t *row, size_t n)
{
	int64_t count;
	float *logits = bench_logits(arg, &count);

	(void)row;
	(void)n;
	free(logits);
	return logits ? TT_OK : TT_INVALID;
}

/* Gradients of what trains now, and an optimizer that has not moved yet. */
static inline int bench_relist(struct bench *b)
{
	leaves_free(b->leaves);
	b->leaves = NULL;
	free(b->m);
	free(b->v);
	b->m = b->v = NULL;
	b->step = 0;
	return leaves_new(b->arena, b->method->leaves.item, b->method->leaves.n, &b->leaves);
}

/* As a trainer does before its first step. */
static inline int bench_prime(struct bench *b)
{
	const struct probe probe = { .rows = BENCH_ROWS,
				     .window = BENCH_ROWS / 2,
				     .rate = 0.01,
				     .gradients = bench_probe_gradients,
				     .step = bench_probe_step,
				     .visit = bench_probe_visit,
				     .arg = b };

	const int code = stage_prime(b->method, &probe);

	return code ? code : bench_relist(b);
}

/* Leaves and products for what was attached. */
static inline int bench_ready(struct bench *b)
{
	int code = model_prepare(b->model, true);

	if (!code)
		code = bench_relist(b);
	return code ? code : graph_new(b->gemm, &b->tape);
}

/*
 * A method that has not seen the rows. Settings from JSON, as in a recipe but
 * without "method". An array is a combination, whatever name says:
 * ["lora", {...}, "head", {...}]. Paths are relative to the model's folder.
 */
static inline int bench_plug(struct bench *b, const char *name, const char *json, int task,
			     uint64_t seed)
{
	static const char *const labels[BENCH_LABELS] = { "a", "bc" };
	struct method_options how = {
		.peft = b->peft,
		.n_peft = 1,
		.model = b->model,
		.task = task,
		.seed = seed,
		.tokenizer = b->tokenizer,
		.labels = { labels, task == TASK_SEQ_CLS ? BENCH_LABELS : 0, true },
	};
	const struct json *at;
	int code = json_parse(json, strlen(json), &b->doc);
	const bool many = !code && json_type(b->doc) == JSON_ARRAY;

	if (code)
		return code;
	at = many ? json_first(b->doc) : b->doc;
	how.n_peft = many ? json_count(b->doc) / 2 : 1;
	for (size_t i = 0; !code && i < how.n_peft && i < BENCH_PARTS; i++) {
		const struct method_ops *ops = method_find(many ? json_text(at) : name);
		const struct json *settings = many ? json_next(at) : at;

		b->peft[i] = (struct recipe_peft){ .name = ops->name,
						   .settings = arena_zero(b->arena, 1,
									  ops->settings_size + 1) };
		code = knob_parse(ops->knobs, settings, "peft", bench_base, b->arena,
				  b->peft[i].settings);
		at = many ? json_next(settings) : NULL;
	}
	if (!code)
		code = method_open(&how, &b->method);
	return code ? code : bench_ready(b);
}

static inline int bench_attach(struct bench *b, const char *name, const char *json, int task,
			       uint64_t seed)
{
	const int code = bench_plug(b, name, json, task, seed);

	return code ? code : bench_prime(b);
}

static inline int bench_open(struct bench *b, const char *name, const char *json, int task)
{
	const int code = bench_model(b, task);

	return code ? code : bench_attach(b, name, json, task, 42);
}

static inline void bench_close(struct bench *b)
{
	leaves_free(b->leaves);
	graph_free(b->graph);
	graph_free(b->tape);
	model_close(b->model);
	gemm_close(b->gemm);
	tokenizer_close(b->tokenizer);
	json_free(b->doc);
	arena_free(b->arena);
	free(b->m);
	free(b->v);
	if (*b->dir)
		fs_remove_tree(b->dir);
}

/* The head's output, copied; caller frees. NULL: err_text. */
static inline float *bench_logits(struct bench *b, int64_t *ret_n)
{
	const struct pass pass = { .seed = 1 };
	struct tensor *y;
	float *copy = NULL;

	if (b->method && stage_refresh(b->method))
		return NULL;
	graph_begin(b->graph, &pass, NULL, 0);
	y = model_forward(b->model, b->graph, &b->batch);
	if (y) {
		const size_t n = (size_t)tensor_count(y);

		*ret_n = (int64_t)n;
		copy = malloc(n * sizeof(*copy) + 1);
		if (copy)
			memcpy(copy, y->data, n * sizeof(*copy));
	}
	graph_end(b->graph);
	return copy;
}

/* What the rows' loss is of: fixed random weights of the head's numbers, or the task's own. */
enum bench_loss { BENCH_WEIGHTED, BENCH_TASK };

/* The sum of weighted numbers; their gradient is the weights. */
static inline double bench_weigh(struct bench *b, struct tensor *y)
{
	double sum = 0;
	struct rng r;

	y->grad = graph_alloc(b->graph, (size_t)tensor_count(y) * sizeof(float));
	y->has_grad = y->grad != NULL;
	rng_init(&r, 1, RNG_TEST, 0);
	for (int64_t i = 0; y->grad && i < tensor_count(y); i++) {
		y->grad[i] = 2 * rng_uniform(&r) - 1;
		sum += (double)y->grad[i] * (double)y->data[i];
	}
	return sum;
}

/* Forward and backward of the one shard; the value, or NAN. */
static inline double bench_shard(struct bench *b, const struct pass *pass, enum bench_loss which)
{
	struct tensor *y, *sum = NULL;
	struct loss loss = { 0 };
	double value = 0;
	int code;

	graph_begin(b->graph, pass, b->leaves, 0);
	y = model_forward(b->model, b->graph, &b->batch);
	if (y && which == BENCH_WEIGHTED)
		value = bench_weigh(b, y);
	else if (b->model->head == HEAD_REGRESSION)
		sum = op_mse(b->graph, y, b->batch.value, (double)b->batch.rows, &loss);
	else
		sum = op_cross_entropy(b->graph, y, b->batch.label, 0, (double)b->batch.rows,
				       &loss);
	code = y && (sum || which == BENCH_WEIGHTED) ? graph_backward(b->graph, sum) : TT_INVALID;
	if (code)
		graph_end(b->graph);
	if (sum)
		value = loss.sum / (double)loss.rows;
	return code ? (double)NAN : value;
}

/*
 * The whole course of a step but its update. made: what the step's tape makes is
 * made anew, else it stays as it is. Afterwards param->grad is that of the value.
 */
static inline double bench_step(struct bench *b, enum bench_loss which, bool made)
{
	const struct pass pass = {
		.train = true, .seed = 1, .step = b->step, .recompute = b->recompute
	};
	const bool tape = made && stage_has_tape(b->method);
	double value;
	int code;

	b->penalty = 0;
	if (leaves_begin(b->leaves, 2))
		return (double)NAN;
	if (tape)
		graph_begin(b->tape, &pass, b->leaves, 1);
	code = tape ? stage_before(b->method, b->tape) : TT_OK;
	value = code ? (double)NAN : bench_shard(b, &pass, which);
	if (tape && !code)
		code = stage_after(b->method, b->tape, b->leaves, &b->penalty);
	leaves_finish(b->leaves);
	if (!code)
		code = stage_gradients(b->method);
	return code ? (double)NAN : value + b->penalty;
}

/* Loss of the eight rows and, in param->grad, its gradients; NAN: err_text. */
static inline double bench_loss(struct bench *b) { return bench_step(b, BENCH_TASK, true); }

/*
 * Backward against central differences of the weighted output, as gradcheck.h has
 * it, with the method's own tape around the shard. A method that takes what it
 * made as constant (ops->detached) has it constant here. Where gradients jump
 * (ops->kinked) the slope of either side will do.
 */
static inline double bench_slope_error(const struct bench *b, const double value[3], double step,
				       double grad)
{
	const double error = fabs((value[2] - value[0]) / (2 * step) - grad);

	if (!b->method->ops->kinked)
		return error;
	return fmin(error, fmin(fabs((value[1] - value[0]) / step - grad),
				fabs((value[2] - value[1]) / step - grad)));
}

static inline double bench_gradcheck(struct bench *b, double step)
{
	const size_t n = b->method->nparam;
	float **grad = arena_zero(b->arena, n, sizeof(*grad));
	double *error = arena_zero(b->arena, n, sizeof(*error)),
	       *most = arena_zero(b->arena, n, sizeof(*most)), all = 0, worst = 0;
	const double here = bench_step(b, BENCH_WEIGHTED, true);

	if (!grad || !error || !most || isnan(here))
		return INFINITY;
	for (size_t i = 0; i < n; i++) {
		const size_t size = (size_t)tensor_count(b->method->param[i]) * sizeof(float);

		grad[i] = arena_alloc(b->arena, size);
		memcpy(grad[i], b->method->param[i]->grad, size);
	}
	for (size_t i = 0; i < n; i++) {
		struct tensor *t = b->method->param[i];

		for (int64_t k = 0; k < tensor_count(t); k++) {
			const float was = t->data[k], high = (float)((double)was + step),
				    low = (float)((double)was - step);
			const double half = ((double)high - (double)low) / 2;
			double value[3] = { 0, here, 0 }, want;

			t->data[k] = high;
			value[2] = bench_step(b, BENCH_WEIGHTED, !b->method->ops->detached);
			t->data[k] = low;
			value[0] = bench_step(b, BENCH_WEIGHTED, !b->method->ops->detached);
			t->data[k] = was;
			want = (value[2] - value[0]) / (2 * half);
			error[i] = fmax(error[i],
					bench_slope_error(b, value, half, (double)grad[i][k]));
			most[i] = fmax(most[i], fmax(fabs(want), fabs((double)grad[i][k])));
			if (!isfinite(want))
				return INFINITY;
		}
		all = fmax(all, most[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (error[i] > 0)
			worst = fmax(worst, error[i] / fmax(most[i], 0.01 * all));
	return worst;
}

/* One Adam step on everything that trains. Returns the loss before it. */
static inline double bench_train(struct bench *b, double rate)
{
	const size_t n = (size_t)method_param_count(b->method);
	const double loss = bench_loss(b);
	const double t = (double)++b->step;
	size_t at = 0;

	if (!b->m) {
		b->m = calloc(n, sizeof(float));
		b->v = calloc(n, sizeof(float));
	}
	for (size_t i = 0; i < b->method->nparam; i++) {
		struct tensor *p = b->method->param[i];

		for (int64_t k = 0; k < tensor_count(p); k++, at++) {
			const float g = p->grad[k];

			b->m[at] = 0.9f * b->m[at] + 0.1f * g;
			b->v[at] = 0.999f * b->v[at] + 0.001f * g * g;
			p->data[k] -= (float)(rate * ((double)b->m[at] / (1 - pow(0.9, t))) /
					      (sqrt((double)b->v[at] / (1 - pow(0.999, t))) +
					       1e-8));
		}
	}
	return loss;
}

/* Move everything that trains by a little noise, so that no factor is zero. */
static inline void bench_shake(struct bench *b, float size)
{
	struct rng r;

	rng_init(&r, 9, RNG_TEST, 1);
	for (size_t i = 0; i < b->method->nparam; i++) {
		for (int64_t k = 0; k < tensor_count(b->method->param[i]); k++)
			b->method->param[i]->data[k] += size * rng_normal(&r);
	}
}

static inline bool bench_same(const float *a, const float *b, int64_t n, double slack)
{
	for (int64_t i = 0; i < n; i++) {
		if (!(fabs((double)a[i] - (double)b[i]) <= slack))
			return false;
	}
	return true;
}

#endif
