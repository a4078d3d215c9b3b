/* Training, evaluation and prediction of one model on one machine. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/recipe.h"
#include "data/dataset.h"
#include "data/tokenizer.h"
#include "method/method.h"
#include "method/mixed.h"
#include "tensor/pool.h"
#include "train/metrics.h"
#include "train/sink.h"

struct step_times;
struct packed;
struct groups;

/*
 * One run. A step's window is batch x accumulation examples; it is dealt
 * into shards (data/shard.h) by the lengths alone, so neither the micro-batch
 * nor the number of threads changes a bit.
 */
struct trainer {
	const struct recipe *recipe;
	const struct tokenizer *tokenizer;
	struct model *model;
	struct method *method; /* NULL: the base model as it is; not for training */
	const struct gemm *gemm;
	struct pool *pool;
	const struct dataset *train;      /* NULL: evaluation and prediction only */
	const struct dataset *validation; /* may be NULL */
	const struct sink *sink;          /* NULL: nobody listens */
	const char *dir; /* the run's folder: checkpoints/ lie in it; not needed without train */
	/* NULL, or told what the evaluation said with which the run ends, before its last checkpoint. */
	void (*ends_with)(void *arg, const struct scores *s);
	void *ends_with_arg;
	struct step_times *times; /* NULL: nobody asks, and no clock is read */
	/* What follows is made by train_open. */
	struct arena *arena;   /* of one step or one evaluation */
	struct packed *packed; /* windows of this step and the next one, step.c's own */
	struct leaves *leaves;
	struct graph **graph; /* one a thread, and one for the step's own tape */
	int threads;
	struct optim *optim;
	struct groups *groups; /* of the labels; NULL: they are one task's */
	/* While train_run runs: of train and of validation (feature.h); NULL: none. */
	struct features *train_features, *validation_features;
	int feature_mode; /* enum feature_mode; for tests */
};

/* How long the run is: steps per epoch, all steps, and the rows a full step takes. */
struct train_plan {
	int64_t steps_per_epoch, total_steps, warmup_steps, window;
};
struct train_plan train_plan(const struct train_settings *s, int64_t rows);

/*
 * Where the processor time of steps went, added up over steps: each thread's own
 * time, so that neither waiting nor other programs count.
 */
struct step_times {
	int64_t pack_us, forward_us, backward_us;
};

enum train_end { TRAIN_FINISHED, TRAIN_WAS_STOPPED };

/*
 * trainer: the caller fills everything down to dir, zeroes the rest. Refuses what
 * cannot be trained, with a sentence.
 */
int train_open(struct trainer *t);
/* What trains has changed: gradients and an optimizer anew. */
int train_relist(struct trainer *t);
void train_close(struct trainer *t); /* a zeroed one, and one that did not open, are fine */
/*
 * Train to the end or until told to stop (then a checkpoint is written). resume:
 * continue from the newest whole checkpoint in dir.
 */
int train_run(struct trainer *t, bool resume, enum train_end *ret);
/*
 * The metric that says which evaluation is best: the recipe's, or the task's default.
 * Without "eval/".
 */
const char *train_metric(const struct recipe *r);

/*
 * Loss and metrics over a dataset, without training (dropout off). The loss is
 * the mean over examples (masked tokens for mlm), without smoothing or penalty.
 * What ret points to lives until the next call with this trainer. TT_STOPPED:
 * the sink was told to stop meanwhile.
 */
int train_eval(struct trainer *t, const struct dataset *d, struct scores *ret);
/* The head's outputs: logits[dataset_rows of d, train_columns], for classification and regression. */
int train_predict(struct trainer *t, const struct dataset *d, float *ret_logits);
/*
 * The same with several methods over one model, mixed in one batch: answer i is of row
 * row[i] by part who[i] of mixed. t->model is their base and t->method NULL.
 * logits[rows of all answers, train_columns], in the order of the answers.
 */
struct wishes {
	struct mixed *mixed;
	const int64_t *row;
	const int32_t *who;
	size_t n;
};
int train_predict_mixed(struct trainer *t, const struct dataset *d, const struct wishes *wishes,
			float *ret_logits);
/* What train_eval says, of outputs that lie there already (and are changed): one answer a row of d. */
int train_score(struct trainer *t, const struct dataset *d, float *logits, struct scores *ret);
int64_t train_columns(const struct trainer *t); /* classes, or 1 for regression */

#endif
