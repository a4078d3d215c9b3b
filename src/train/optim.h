/* Optimizers: from a step's gradients to new parameters. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/recipe.h"
#include "method/method.h"
#include "tensor/pool.h"
#include "tensor/tensor.h"

/* What is particular to one parameter. */
struct optim_rule {
	double scale; /* its learning rate is this times the step's */
	double decay;
	enum adamw_form form; /* of optim adamw; others have one form */
};

/*
 * Holds the optimizer's state, one or more arrays beside every parameter. The
 * work is cut into fixed pieces, so no result depends on the number of threads.
 */
struct optim;

/* Numbers of state that the optimizer keeps for a parameter; for estimates. */
int64_t optim_numbers(const struct train_settings *how, const struct tensor *t);

/* rule[n] is copied, param[n] kept by reference. adamw_8bit is refused with a sentence. */
int optim_new(const struct train_settings *how, struct tensor *const *param,
	      const struct optim_rule *rule, size_t n, struct optim **ret);
void optim_free(struct optim *o); /* NULL is fine */

/* The norm of all gradients together, squares summed in double. */
double optim_norm(struct optim *o, struct pool *pool);
/* Clipping: multiply every gradient. */
void optim_scale(struct optim *o, struct pool *pool, double by);
/* As new: its state is zero. */
void optim_reset(struct optim *o);
/* One update with learning rate lr; step counts from 1. */
void optim_step(struct optim *o, struct pool *pool, double lr, int64_t step);

/*
 * The state, for checkpoints: array i of optim_state_count, "NAME.kind" (".m", ".v",
 * ...), n numbers.
 */
struct optim_state {
	const struct tensor *param;
	const char *kind;
	float *data;
	int64_t n;
};
size_t optim_state_count(const struct optim *o);
struct optim_state optim_state(const struct optim *o, size_t i);

/* transformers' rule: no decay for biases and norms, told by the parameter's full name. */
bool optim_decays(const char *name);

#endif
