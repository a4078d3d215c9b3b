#ifndef TENSOR_GRADCHECK_H
#define TENSOR_GRADCHECK_H

#include <stddef.h>

#include "tensor/graph.h"

/*
 * Backward against central differences, for tests. build makes any result from
 * the n leaves (and from what else arg holds) the same way at every call; the
 * pass trains, so dropout is on, with one mask. Checked is the gradient of the
 * sum of the result's numbers times fixed random weights (times 1 when it is a
 * scalar), for every number of every leaf, moved by +-step.
 *
 * Returns the worst error over the leaves: the largest difference in a leaf
 * divided by the largest gradient in it (or by 1 % of the largest of all, where
 * that is more: a leaf without gradient shows rounding only). INFINITY when
 * something failed; err_text says what. Leaves need gradients and come back
 * as they were. gradcheck uses the reference products.
 */
double gradcheck(struct tensor *(*build)(struct graph *g, void *arg), void *arg,
		 struct tensor *const *leaf, size_t n, double step);
double gradcheck_gemm(const struct gemm *gm, struct tensor *(*build)(struct graph *g, void *arg),
		      void *arg, struct tensor *const *leaf, size_t n, double step);

#endif
