#ifndef TENSOR_LINEAR_H
#define TENSOR_LINEAR_H

#include "tensor/graph.h"

/* What the ops of linear layers share; b may be NULL everywhere. */

/* out->data [N,O] = x w^T + b */
void linear_forward(const struct gemm *gm, const struct tensor *x, const struct tensor *w,
		    const struct tensor *b, struct tensor *out);
/* gx [N,I] = beta gx + G w */
void linear_back_x(const struct gemm *gm, const float *grad, int64_t rows, const struct tensor *w,
		   float beta, float *gx);
/* Adds G^T x to the gradient of w, and the column sums of G to that of b, where they need one. */
void linear_back_weight(struct graph *g, const float *grad, const struct tensor *x,
			struct tensor *w, struct tensor *b);

/*
 * A low-rank step's way in, backward: gu [N,r] = s G b, A's gradient gu^T z, and gu a is added to that of z, where
 * they need one.
 */
struct low_rank_back {
	const float *grad, *b; /* G [N,O]; b [O,r] */
	float scale;
	struct tensor *a, *z;
	int64_t out;
};
void low_rank_back_in(struct graph *g, const struct low_rank_back *p);

#endif
