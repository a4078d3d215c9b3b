#ifndef METHOD_ARITHMETIC_H
#define METHOD_ARITHMETIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Arithmetic on LoRA adapters as folders hold them, without the model: a sum of
 * steps, each with a weight (peft-methods 2.5; PEFT's add_weighted_adapter). The
 * result is a plain LoRA adapter whose lora_alpha is its r, so its scale is 1.
 *
 *     cat      A' = rows of w s A, B' = columns of B: exact, the ranks add up
 *     svd      the sum of w s B A, cut to the largest r singular values
 *     linear   A' = sum of sign(w) sqrt|w s| A, B' = sum of sqrt|w s| B, as PEFT: with
 *              cross terms, so not the sum of the steps; one rank for all
 *     ties     (Yadav et al. 2023) of each factor the largest `density`, then by
 *              element the mean of those whose sign is the majority's
 *     dare     (Yu et al. 2023) of each factor a random `density`, divided by it,
 *              then linear; dare_ties: then by majority
 *     prune    of each factor the largest `density`, then linear
 *
 * An _svd after the last four takes the steps themselves instead of their factors
 * and cuts the result as svd does.
 */
enum blend {
	BLEND_CAT,
	BLEND_SVD,
	BLEND_LINEAR,
	BLEND_TIES,
	BLEND_DARE,
	BLEND_DARE_TIES,
	BLEND_PRUNE
};

struct arithmetic {
	enum blend how;
	bool of_steps;     /* the _svd forms */
	bool peft_svd;     /* svd: every scale counts twice, as PEFT had it before 0.21 */
	bool by_frequency; /* majority: of signs, not of the values' sum */
	int64_t r;         /* svd: of the result; 0: the largest of the adapters' */
	double density;    /* ties, dare, prune: above 0 to 1 */
	uint64_t seed;     /* dare */
};

/* "cat", "svd", "linear", "ties", "ties_svd", "dare_linear", ... PEFT's names (magnitude_prune is prune). */
int arithmetic_parse(const char *name, struct arithmetic *ret);
/*
 * Write into `out` the weighted sum of the adapters in dir[n]. Other tensors (the
 * heads of tasks) are those of the first folder that has them. Refused, by name:
 * other types than LoRA, DoRA's magnitudes, starts that changed the base, biases
 * of the base model, tensors that do not fit each other.
 */
int arithmetic_sum(const struct arithmetic *how, const char *const *dir, const double *weight,
		   size_t n, const char *out);

#endif
