#ifndef TENSOR_KERNEL_PAIRS_H
#define TENSOR_KERNEL_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Small products of numbers in bf16, for attention: a word holds two factors that
 * are multiplied and added together, in fp32. Everything comes in and goes out as
 * fp32; rows of words are whole vectors (pairs_padded), filled up with zeros.
 *
 * For processors with AVX512_BF16; nothing else may be called where
 * kernel_pairs_ready says no. Numbers below the smallest normal one count as zero.
 */
bool kernel_pairs_ready(void);

enum { PAIRS_WIDE = 16 }; /* words of a vector */
static inline int64_t pairs_padded(int64_t n)
{
	return (n + PAIRS_WIDE - 1) / PAIRS_WIDE * PAIRS_WIDE;
}
static inline int64_t pairs_half(int64_t n) { return (n + 1) / 2; }

/* kernel_to_bf16, quicker; runs everywhere, and may take numbers below the smallest normal one for zero. */
void kernel_pairs_round(uint16_t *to, const float *x, int64_t n);

/* Neighbours in a row: to[r,j] = (x[r,2j], x[r,2j+1]); a row of `to` is pairs_padded(pairs_half(cols)) words. */
void kernel_pairs_along(uint32_t *to, const float *x, int64_t ldx, int64_t rows, int64_t cols);
/* Neighbours in a column: to[i,c] = (x[2i,c], x[2i+1,c]); a row of `to` is pairs_padded(cols) words. */
void kernel_pairs_across(uint32_t *to, const float *x, int64_t ldx, int64_t rows, int64_t cols);
/* As along, and turned: to[j,r] = (x[r,2j], x[r,2j+1]); a row of `to` is pairs_padded(rows) words. */
void kernel_pairs_turned(uint32_t *to, const float *x, int64_t ldx, int64_t rows, int64_t cols);

/* c[i,j] = factor[i] sum over k of a[i,k] . b[k,j] + beta c[i,j]; word k of row i of a is a[i * row + k * col]. */
struct kernel_pairs {
	const uint32_t *a, *b;
	int64_t row, col;         /* of a */
	int64_t rows, deep, cols; /* deep: words; a row of b is pairs_padded(cols) */
	const float *factor;      /* [rows]; NULL: 1 */
	float beta;               /* 0 does not read c */
	float *c;
	int64_t ldc;
};
void kernel_pairs_product(const struct kernel_pairs *p);

/*
 * Softmax of scores, dropped out: s[rows,pairs_padded(cols)]. Rows are queries,
 * columns keys. keep: kernel_drop_blocks' bytes of these rows; NULL: all stay.
 */
struct kernel_pairs_softmax {
	float *s; /* overwritten with exp(scale (s - max)) */
	int64_t rows, cols;
	float scale;
	const uint8_t *keep;
	float gain; /* of what stays */
};
/* along = what stays of exp(...); factor[i] = gain / sum of row i's exp(...): together drop(softmax). */
void kernel_pairs_softmax(const struct kernel_pairs_softmax *k, uint32_t *along, float *factor);
/*
 * The way back, with dy[rows,pairs_padded(cols)] = the gradient of drop(softmax) = P' :
 * dropped = P' across; dx = scale P (drop(dy) - rowsum(P drop(dy))), along and across.
 */
struct kernel_pairs_grads {
	const float *dy;
	uint32_t *dropped, *along, *across;
};
void kernel_pairs_softmax_back(const struct kernel_pairs_softmax *k,
			       const struct kernel_pairs_grads *to);

#endif
