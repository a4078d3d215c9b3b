#ifndef METHOD_DECOMPOSE_H
#define METHOD_DECOMPOSE_H

#include <stdint.h>

#include "base/rng.h"

/*
 * Matrix factors for initial values, in double. w is row-major fp32
 * [rows,cols]; 1 <= r <= min(rows, cols). Errors: no memory, or numbers that
 * are not finite.
 */

/* The r largest singular triplets: w ~ u diag(s) vt; u [rows,r], s [r] falling, vt [r,cols]. */
int decompose_svd(const float *w, int64_t rows, int64_t cols, int64_t r, double *u, double *s,
		  double *vt);
/*
 * The same by a random start and `rounds` power iterations (Halko et al. 2011):
 * quick, and only near the best.
 */
int decompose_svd_random(const float *w, int64_t rows, int64_t cols, int64_t r, int rounds,
			 struct rng *rng, double *u, double *s, double *vt);
/*
 * The first r columns of Q [rows,r] and rows of R [r,cols] of w = QR, with the
 * signs of Householder's method.
 */
int decompose_qr(const float *w, int64_t rows, int64_t cols, int64_t r, double *q, double *upper);
/*
 * The singular values, rising, of a product X Y of inner size r: from the Gram
 * matrices [r,r] X^T X and Y Y^T, which are used up. To about half the digits.
 */
int decompose_product(double *left, double *right, int64_t r, double *s);
/* Eigenvalues (rising) and eigenvectors (afterwards the rows of a) of the symmetric a [n,n]. */
int decompose_symmetric(double *a, int64_t n, double *value);

#endif
