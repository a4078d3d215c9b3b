#ifndef TENSOR_GEMM_NARROW_H
#define TENSOR_GEMM_NARROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/*
 * Products of numbers rounded to bf16, summed in fp32: y is fp32, and so is what
 * goes in. Behind gemm.h, and with the same promises: each call runs on the
 * calling thread alone, may be made from several at once, and gives the same
 * bits for the same arguments. When memory runs out inside a product its result
 * is NaN, which stops a run at its loss.
 */
struct narrow;
struct narrow_weight;

/* An error in a sentence where this build or this processor cannot. */
int narrow_open(struct narrow **ret);
void narrow_close(struct narrow *n); /* NULL is fine */

/*
 * A frozen w [rows,cols], rounded and put into the layout of its products: x op(w)
 * with op(w) = w^T when transposed. Lives in the arena; w itself is not needed
 * afterwards. From one thread at a time.
 */
int narrow_prepare(struct narrow *n, struct arena *a, const float *w, int64_t rows, int64_t cols,
		   bool transposed, struct narrow_weight **ret);

struct narrow_call {
	int64_t m;
	const float *x; /* [m,in] */
	int64_t ldx;
	const float *bias; /* [out], with beta 0; or NULL */
	float beta;        /* 0 or 1 */
	float *y;          /* [m,out] */
	int64_t ldy;
};
void narrow_prepared(struct narrow *n, const struct narrow_weight *w, const struct narrow_call *c);

/* c[m,n] = op(a) op(b) + beta c, all rows dense: for weights that train. beta 0 or 1. */
struct narrow_product {
	bool ta, tb;
	int64_t m, n, k;
	const float *a, *b;
	float beta;
	float *c;
};
void narrow_run(struct narrow *n, const struct narrow_product *p);

#endif
