/* One step's gradients: a window of examples, cut into shards, forward and backward. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "train/train.h"

struct window {
	const int64_t *row; /* which examples of t->train */
	size_t n;
	int64_t step, epoch; /* step from 1, epoch from 0 */
};

struct gradients {
	double loss;  /* mean over the rows, with the method's penalty */
	int64_t rows; /* that had a loss: examples, or masked tokens; 0: loss means nothing */
	int64_t tokens;
};

/*
 * Afterwards param->grad holds the gradient of the loss. next: the window of the step
 * after it, which is packed meanwhile; NULL: none.
 */
int step_gradients(struct trainer *t, const struct window *w, const struct window *next,
		   struct gradients *ret);
int step_open(struct trainer *t); /* room for two packed windows */
void step_close(struct trainer *t);
void step_forget(struct trainer *t); /* what was packed ahead: another run begins */

/* What step.c and eval.c share. */

enum { EVAL_TOKENS = 2048 }; /* of a group of rows that evaluation takes together */

/* A packed piece of work and what came of it. */
struct shard {
	struct batch batch;
	const int64_t *row; /* [seqs] where its sequences are in the dataset */
	struct loss loss;
	int64_t right; /* evaluation of mlm: rows whose largest logit is the label */
	int64_t forward_us, backward_us; /* when the trainer's times are asked for */
};

/* Pack ex[n] as the task wants it. epoch: for the masks. */
int shard_pack(const struct trainer *t, struct arena *a, const struct example *ex, size_t n,
	       int64_t epoch, struct batch *ret);
/* The task's loss of the head's output; err_set when a label is not one. */
struct tensor *shard_loss(const struct trainer *t, struct graph *g, struct tensor *out,
			  const struct batch *b, double smoothing, double total, struct loss *ret);

/*
 * Tasks on the pool, each with the graph of its thread. Afterwards no graph holds
 * anything, and all have the room that any of them needed: so the run comes to a
 * state in which it allocates nothing, whichever thread runs what.
 */
int shard_run(struct trainer *t, int n, void (*task)(void *arg, int i, int thread), void *arg);

/* The first failure among tasks of a pool: one record a thread, so that nobody waits. */
struct fault {
	int shard, code;
	char text[512];
};
void fault_note(struct fault *f, int shard,
		int code); /* keeps the thread's first; the sentence is err_text's */
int fault_first(const struct fault *f, int threads); /* TT_OK, or err_set again in this thread */

#endif
