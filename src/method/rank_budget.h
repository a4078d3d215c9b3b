#ifndef METHOD_RANK_BUDGET_H
#define METHOD_RANK_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * AdaLoRA's budget of ranks, and which ones it is spent on (Zhang et al. 2023),
 * in the arithmetic of Hugging Face PEFT. t counts steps from 0.
 */
struct rank_plan {
	int64_t first, last; /* ranks of all modules together: at the start and at the end */
	int64_t tinit, tfinal, deltaT; /* names of PEFT's settings */
	int64_t total;                 /* total_step */
};

enum rank_phase { RANK_WARMUP, RANK_PRUNING, RANK_FINAL };

enum rank_phase rank_phase(const struct rank_plan *p, int64_t t);
/* b(t); *ret_due: are ranks to be moved at t? Not in the final phase, where they stay as they are. */
int64_t rank_budget(const struct rank_plan *p, int64_t t, bool *ret_due);
/* The first t at which ranks move; -1: there is none before `steps`. */
int64_t rank_first_move(const struct rank_plan *p, int64_t steps);

/*
 * One step of the averages that score a number of a factor, for n of them with
 * gradients g: sense = b1 sense + (1 - b1) |x g|, doubt = b2 doubt + (1 - b2) ||x g| - sense|.
 */
struct rank_decay {
	double beta1, beta2;
};
void rank_average(float *sense, float *doubt, const float *x, const float *g, int64_t n,
		  const struct rank_decay *d);
/* The k-th smallest of n, k = 1 .. n; sorts them. */
float rank_kth(float *score, size_t n, size_t k);

#endif
