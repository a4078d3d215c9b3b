#ifndef TENSOR_GEMM_H
#define TENSOR_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "tensor/tensor.h"

/*
 * The only door to BLAS and oneDNN. All matrices are row-major fp32. Every call
 * runs on the calling thread alone (the libraries' own threads are set to 1),
 * may be made from several threads at once, and gives the same bits for the
 * same arguments whatever else runs.
 *
 * In bf16 the products with linear weights have their factors rounded to bf16
 * (to the nearest, ties to even) and are summed in fp32; what goes in and what
 * comes out is fp32. All other products here stay in fp32; attention has its own
 * (kernel_pairs.h).
 */
struct gemm_ops {
	const char *name;   /* "ref", "openblas", "onednn" */
	int (*start)(void); /* once, from the first thread; NULL: nothing to do */
	const char *(*version)(void);
	/* c[m,n] = alpha op(a) op(b) + beta c; op(a) [m,k], op(b) [k,n]; ta, tb: stored transposed.
	 * beta 0 never reads c. Any of m, n, k may be 0. */
	void (*run)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		    int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
	/* Optional: a frozen matrix packed once into the kernel's own layout. */
	int (*prepare)(struct arena *a, const float *w, int64_t rows, int64_t cols, bool transposed,
		       void **ret);
	void (*run_prepared)(const void *packed, int64_t m, const float *x, int64_t ldx, float beta,
			     float *y, int64_t ldy);
};

struct gemm; /* a chosen backend */

/* name: "auto", "ref", "openblas", "onednn". A backend that this build lacks is an error that lists what it has. */
int gemm_open(const char *name, struct gemm **ret);
/* The same with linear layers in bf16. Refused where oneDNN or the processor's instructions for it are missing. */
int gemm_open_bf16(const char *name, struct gemm **ret);
bool gemm_is_bf16(const struct gemm *gm);
/* Another backend for what is not in bf16; before anything was prepared. */
int gemm_switch(struct gemm *gm, const char *name);
void gemm_close(struct gemm *gm); /* NULL is fine */
const char *gemm_name(const struct gemm *gm);
const struct gemm_ops *const *gemm_all(void); /* what this build has; ends with NULL */

void gemm_run(const struct gemm *gm, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
	      const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
	      int64_t ldc);

enum gemm_side {
	GEMM_FORWARD, /* y[m,out] = x[m,in] W^T    (W [out,in]) */
	GEMM_BACKWARD /* y[m,in]  = x[m,out] W */
};

/* A frozen weight made ready for one side; lives in the arena; w->data must outlive it unless prepared_is_copy. */
int gemm_prepare(const struct gemm *gm, struct arena *a, const struct tensor *w,
		 enum gemm_side side, const struct prepared **ret);
bool prepared_is_copy(const struct prepared *p);
int64_t prepared_bytes(const struct prepared *p); /* of the copy; 0: there is none; NULL is fine */
/* y = product + beta * y, for m rows of x. beta 0 or 1. */
void gemm_prepared(const struct gemm *gm, const struct prepared *p, int64_t m, const float *x,
		   int64_t ldx, float beta, float *y, int64_t ldy);
/* y = product + bias in every row; bias NULL: the product. */
void gemm_prepared_bias(const struct gemm *gm, const struct prepared *p, int64_t m, const float *x,
			int64_t ldx, const float *bias, float *y, int64_t ldy);

/* The products with a weight that trains, w [out,in]; all rows dense; beta 0 or 1. In bf16 a small w stays in fp32. */
struct gemm_weight {
	const float *w;
	int64_t out, in;
};
void gemm_weight_forward(const struct gemm *gm, const struct gemm_weight *w, int64_t m,
			 const float *x, float beta, float *y); /* y[m,out] = x w^T */
void gemm_weight_back(const struct gemm *gm, const struct gemm_weight *w, int64_t m, const float *g,
		      float beta, float *gx); /* gx[m,in] = g w */
/* gw[out,in] = g^T x + beta gw; of w the sizes alone are used. */
void gemm_weight_grad(const struct gemm *gm, const struct gemm_weight *w, int64_t m, const float *g,
		      const float *x, float beta, float *gw);

#endif
