#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/recipe.h"
#include "data/dataset.h"
#include "data/tokenizer.h"
#include "method/method.h"
#include "tensor/pool.h"
#include "train/metrics.h"
#include "train/sink.h"

/*
 * One run. A step's window is batch x accumulation examples in order; it is cut
 * into shards (data/shard.h) by the lengths alone, so neither the micro-batch
 * nor the number of threads changes a bit.
 */
struct trainer {
	const struct recipe *recipe;
	const struct tokenizer *tokenizer;
	struct model *model;
	struct method *method;
	const struct gemm *gemm;
	struct pool *pool;
	const struct dataset *train, *validation;	/* validation may be NULL */
	const struct sink *sink;
	const char *dir;				/* the run's folder: checkpoints/ lie in it */
	struct leaves *leaves;
	struct graph **graph;				/* one a thread */
	struct optim *optim;
};

/* How long the run is: steps per epoch, all steps. */
struct train_plan {
	int64_t steps_per_epoch, total_steps, warmup_steps;
};
struct train_plan train_plan(const struct train_settings *s, int64_t rows);

enum train_end { TRAIN_FINISHED, TRAIN_WAS_STOPPED };

/* trainer: the caller fills everything down to dir; the rest is made here. */
int train_open(struct trainer *t);
void train_close(struct trainer *t);
/* Train to the end or until told to stop (then a checkpoint is written). resume: continue from the newest whole checkpoint in dir. */
int train_run(struct trainer *t, bool resume, enum train_end *ret);

/* Loss and metrics over a dataset, without training (dropout off). */
int train_eval(struct trainer *t, const struct dataset *d, struct scores *ret);
/* The head's outputs: logits[rows of d, columns], for classification and regression. */
int train_predict(struct trainer *t, const struct dataset *d, float *ret_logits);

#endif
