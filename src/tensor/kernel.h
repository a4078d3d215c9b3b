#ifndef TENSOR_KERNEL_H
#define TENSOR_KERNEL_H

#include <stdint.h>

/*
 * The passes over memory that ops are made of: plain fp32 arrays, one thread,
 * no allocation, no errors. An element's result does not depend on its place in
 * the array; sums run in a fixed order that depends on the length alone. So the
 * same call gives the same bits on the same machine; machines with other vector
 * instructions may differ in the last place.
 *
 * beta: 0 overwrites the result without reading it, 1 adds to it.
 * Arrays must not overlap, except that a result may be the very array it is
 * made from where that is said.
 */

/* Largest errors, tested: exp 1.5e-7 relative (2 ulp), tanh and erf 3e-7 absolute. y may be x. */
void kernel_exp(float *y, const float *x, int64_t n);
void kernel_tanh(float *y, const float *x, int64_t n);
void kernel_erf(float *y, const float *x, int64_t n);

/* Activations: y = f(x), y may be x; _back: dx = beta dx + f'(x) dy, dx may be dy when beta is 0. */
void kernel_gelu(float *y, const float *x, int64_t n);
void kernel_gelu_back(float *dx, float beta, const float *x, const float *dy, int64_t n);
/* Both at once: y = f(x), slope = f'(x); slope may be x. The numbers are those of the two others. */
void kernel_gelu_slope(float *y, float *slope, const float *x, int64_t n);
void kernel_gelu_tanh(float *y, const float *x, int64_t n);
void kernel_gelu_tanh_back(float *dx, float beta, const float *x, const float *dy, int64_t n);
void kernel_silu(float *y, const float *x, int64_t n);
void kernel_silu_back(float *dx, float beta, const float *x, const float *dy, int64_t n);
void kernel_relu(float *y, const float *x, int64_t n);
void kernel_relu_back(float *dx, float beta, const float *x, const float *dy, int64_t n);
void kernel_tanh_back(float *dx, float beta, const float *x, const float *dy,
		      int64_t n); /* x: as the others, not y */

/* y[rows,cols] = softmax(scale x) along each row; y may be x. scale > 0. */
void kernel_softmax(float *y, const float *x, float scale, int64_t rows, int64_t cols);
/* dx = scale y (dy - sum(y dy)) along each row; dx may be dy. */
void kernel_softmax_back(float *dx, const float *y, const float *dy, float scale, int64_t rows,
			 int64_t cols);
/* For a softmax in pieces: y = exp(scale x - shift), y may be x; returns the sum. */
float kernel_exp_sum(float *y, const float *x, float scale, float shift, int64_t n);
float kernel_max(const float *x, int64_t n); /* -INFINITY when n is 0; NaN is passed over */
double kernel_log_sum_exp(const float *x, int64_t n); /* log(sum(exp(x))), safe for large x */

/* y = xhat gamma + beta, xhat = (drop(x) + r - mean) rstd, per row; variance biased, two passes. y may be x. */
struct kernel_norm {
	int64_t rows, cols;
	const float *x, *r;  /* r: NULL for none */
	const uint8_t *keep; /* of x, see kernel_keep; NULL: drop(x) is x */
	float gain;
	const float *gamma, *beta;
	float eps;
	float *y;
	float *xhat, *rstd; /* [rows,cols], [rows]: kept for backward, or both NULL */
};
void kernel_layer_norm(const struct kernel_norm *k);

struct kernel_norm_back {
	int64_t rows, cols;
	const float *dy, *xhat, *rstd, *gamma;
	const uint8_t *keep;
	float gain;
	float *dx,
		*dr; /* gradients of x and r (without dropout the same numbers); each may be NULL */
	float dx_beta, dr_beta;
	float *dgamma, *dbeta; /* [cols], added to row by row; each may be NULL */
};
void kernel_layer_norm_back(const struct kernel_norm_back *k);

void kernel_axpby(float *y, float beta, float s, const float *x,
		  int64_t n); /* y = beta y + s x; any beta, 0 does not read */
void kernel_add(float *y, const float *a, const float *b,
		int64_t n); /* y = a + b; y may be a or b */
void kernel_mul(float *y, const float *a, const float *b, int64_t n); /* y = a b; y may be a or b */
void kernel_add_rows(float *y, const float *b, int64_t rows, int64_t cols); /* y[i] += b: a bias */
void kernel_set_rows(float *y, const float *b, int64_t rows,
		     int64_t cols); /* y[i] = b: a bias before beta = 1 */
/* y[i] = beta y[i] + s x[i], s [cols] one factor a column; y may be x when beta is 0. */
void kernel_scale_rows(float *y, float beta, const float *s, const float *x, int64_t rows,
		       int64_t cols);
/* y += s (y - b), and y - b as it was goes to x; s, b [cols]; x NULL: nowhere, b NULL: 0. */
void kernel_stretch_rows(float *y, float *x, const float *s, const float *b, int64_t rows,
			 int64_t cols);
/* y[cols] = beta y + sum of the rows of a b, added row after row. */
void kernel_dot_columns(float *y, float beta, const float *a, const float *b, int64_t rows,
			int64_t cols);
/* Back from y = s x. */
struct kernel_scale_back {
	int64_t rows, cols;
	const float *dy, *x, *s;
	float *dx; /* dx_beta dx + dy s; may be dy when dx_beta is 0; NULL: not wanted */
	float dx_beta;
	float *ds; /* [cols], dy x added to it row by row; NULL: not wanted */
};
void kernel_scale_rows_back(const struct kernel_scale_back *k);
/* y[cols] = beta y + sum of the rows of x, added row after row: the gradient of a bias. */
void kernel_column_sums(float *y, float beta, const float *x, int64_t rows, int64_t cols);
float kernel_dot(const float *a, const float *b, int64_t n);
double kernel_sum(const float *x, int64_t n);         /* in double */
double kernel_sum_squares(const float *x, int64_t n); /* in double */

/*
 * Dropout by counter (base/rng.h). A row of cols elements owns ceil(cols / 8)
 * blocks; block c0 = first + col / 8 gives eight 16-bit draws, the low half of
 * word 0 first. An element goes when its draw < p * 65536 (rounded), else it is
 * multiplied by 1 / (1 - p).
 *
 * What stays is a bit an element, a byte a block: bit col % 8 of byte col / 8 of
 * its row. Bits past the end of a row may be anything.
 */
struct kernel_drop {
	uint64_t key;    /* pass seed */
	uint32_t c3, c2; /* kernel_drop_site(site), step */
	float p;         /* 0 <= p <= 1; 1 drops all */
};
uint32_t kernel_drop_site(uint32_t site); /* RNG_DROPOUT << 24 | site */
float kernel_drop_scale(const struct kernel_drop *d);
/* keep[blocks] of one example's blocks from c0 on: attention probabilities, row after row. */
void kernel_drop_blocks(uint8_t *keep, const struct kernel_drop *d, uint32_t example, uint32_t c0,
			int64_t blocks);
/* keep[rows,ceil(cols / 8)]: row i has c1 = example[i] and its first block is pos[i] * ceil(cols / 8). */
void kernel_drop_rows(uint8_t *keep, const struct kernel_drop *d, const uint32_t *example,
		      const uint32_t *pos, int64_t rows, int64_t cols);
/* y = beta y + scale x where a bit is set, beta y elsewhere; y may be x when beta is 0. */
void kernel_keep(float *y, float beta, const float *x, const uint8_t *keep, float scale,
		 int64_t rows, int64_t cols);

void kernel_from_bf16(float *y, const uint16_t *x, int64_t n);
void kernel_to_bf16(uint16_t *y, const float *x,
		    int64_t n); /* to the nearest, ties to even; NaN stays NaN */
void kernel_from_f16(float *y, const uint16_t *x, int64_t n);

/*
 * AdamW as torch computes it, step t = 1, 2, ...; grad is multiplied by grad_scale first (clipping). late: as
 * transformers did, eps is added before the bias of v is corrected, and decay follows the step.
 */
struct kernel_adamw {
	double lr, beta1, beta2, eps, decay;
	double grad_scale;
	int64_t step;
	int late;
};
void kernel_adamw(float *p, float *m, float *v, const float *grad, const struct kernel_adamw *k,
		  int64_t n);
/* SGD: g += decay p; velocity = momentum velocity + g (g at the first step); p -= lr velocity, or with nesterov
 * lr (g + momentum velocity). velocity may be NULL when momentum is 0. */
struct kernel_sgd {
	double lr, momentum, decay;
	double grad_scale;
	int64_t step;
	int nesterov;
};
void kernel_sgd(float *p, float *velocity, const float *grad, const struct kernel_sgd *k,
		int64_t n);

/* Which clone of the kernels this machine runs: "avx512", "avx2" or "baseline". */
const char *kernel_isa(void);

#endif
