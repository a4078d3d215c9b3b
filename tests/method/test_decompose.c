/* Singular values and QR against what defines them: products, orthogonality, order. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "method/decompose.h"

static float *random_matrix(int64_t rows, int64_t cols, uint32_t stream)
{
	float *w = malloc((size_t)(rows * cols) * sizeof(*w));
	struct rng r;

	rng_init(&r, 1, RNG_TEST, stream);
	for (int64_t i = 0; i < rows * cols; i++)
		w[i] = rng_normal(&r);
	return w;
}

/* Largest |x^T x - 1| over the r columns of x [n,r], or of its rows. */
static double off_orthogonal(const double *x, int64_t n, int64_t r, bool by_rows)
{
	double worst = 0;

	for (int64_t p = 0; p < r; p++) {
		for (int64_t q = 0; q < r; q++) {
			double sum = 0;

			for (int64_t i = 0; i < n; i++)
				sum += by_rows ? x[p * n + i] * x[q * n + i]
					       : x[i * r + p] * x[i * r + q];
			worst = fmax(worst, fabs(sum - (p == q)));
		}
	}
	return worst;
}

/* Largest |w - left diag(s) right|; s NULL: without. */
static double residual(const float *w, int64_t rows, int64_t cols, int64_t r, const double *left,
		       const double *s, const double *right)
{
	double worst = 0;

	for (int64_t i = 0; i < rows; i++) {
		for (int64_t j = 0; j < cols; j++) {
			double x = (double)w[i * cols + j];

			for (int64_t k = 0; k < r; k++)
				x -= left[i * r + k] * (s ? s[k] : 1) * right[k * cols + j];
			worst = fmax(worst, fabs(x));
		}
	}
	return worst;
}

static const struct {
	int64_t rows, cols;
} shapes[] = { { 1, 1 }, { 1, 5 }, { 5, 1 },   { 2, 2 },   { 3, 3 },
	       { 7, 5 }, { 5, 7 }, { 24, 24 }, { 40, 16 }, { 16, 48 } };

/*
 * All triplets give the matrix back. Gram squares the numbers: 1e-10 of a matrix
 * of size 1 is what is left.
 */
static void all_triplets_make_the_matrix(void)
{
	for (size_t i = 0; i < COUNT(shapes); i++) {
		const int64_t m = shapes[i].rows, n = shapes[i].cols, r = m < n ? m : n;
		float *w = random_matrix(m, n, (uint32_t)i);
		double *u = calloc((size_t)(m * r), sizeof(*u)), *s = calloc((size_t)r, sizeof(*s));
		double *vt = calloc((size_t)(r * n), sizeof(*vt));

		CHECK(decompose_svd(w, m, n, r, u, s, vt) == TT_OK);
		CHECK(residual(w, m, n, r, u, s, vt) < 1e-10);
		CHECK(off_orthogonal(u, m, r, false) < 1e-9 &&
		      off_orthogonal(vt, n, r, true) < 1e-9);
		for (int64_t k = 1; k < r; k++) {
			if (!(s[k] <= s[k - 1] && s[k] >= 0))
				CHECK_NAMED(false, "singular values fall");
		}
		free(w);
		free(u);
		free(s);
		free(vt);
	}
}

/* A matrix of rank 2 with known singular values 5 and 3, and a multiple value. */
static void known_values(void)
{
	static const float diagonal[12] = { 0, 3, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0 };
	static const float twice[9] = { 2, 0, 0, 0, -2, 0, 0, 0, 2 };
	double u[12], s[3], vt[12], x;

	CHECK(decompose_svd(diagonal, 3, 4, 3, u, s, vt) == TT_OK);
	CHECK_NEAR(s[0], 5, 1e-12);
	CHECK_NEAR(s[1], 3, 1e-12);
	CHECK_NEAR(s[2], 0, 1e-7);
	x = residual(diagonal, 3, 4, 3, u, s, vt);
	CHECK(x < 1e-12);
	CHECK(decompose_svd(twice, 3, 3, 3, u, s, vt) == TT_OK);
	CHECK_NEAR(s[2], 2, 1e-12);
	CHECK(residual(twice, 3, 3, 3, u, s, vt) < 1e-12);
}

/*
 * The residual of the r largest triplets has exactly the other singular values
 * in it (Eckart and Young).
 */
static void top_triplets_are_the_largest(void)
{
	enum { N = 30, R = 4 };
	float *w = random_matrix(N, N, 50);
	double u[N * N], s[N], vt[N * N], u4[N * R], s4[R], vt4[R * N], rest = 0, left = 0;

	CHECK(decompose_svd(w, N, N, N, u, s, vt) == TT_OK);
	CHECK(decompose_svd(w, N, N, R, u4, s4, vt4) == TT_OK);
	for (int k = R; k < N; k++)
		rest += s[k] * s[k];
	for (int i = 0; i < N * N; i++) {
		double x = (double)w[i];

		for (int k = 0; k < R; k++)
			x -= u4[i / N * R + k] * s4[k] * vt4[k * N + i % N];
		left += x * x;
	}
	CHECK_NEAR(left, rest, 1e-9 * rest);
	free(w);
}

/*
 * Enough power iterations find the same triplets when the values fall quickly; a
 * seed gives the same bits.
 */
static void random_start_finds_them_too(void)
{
	enum { M = 40, N = 24, R = 3 };
	static float w[M * N];
	double u[M * R], s[R], vt[R * N], u2[M * R], s2[R], vt2[R * N], exact_u[M * R], exact_s[R],
		exact_vt[R * N];
	struct rng r;

	for (int i = 0; i < M; i++) {
		for (int j = 0; j < N; j++)
			w[i * N + j] = (float)(8 * sin(i) * cos(j) +
					       2 * sin(2 * i + 1) * cos(3 * j) +
					       sin(5 * i) * cos(7 * j + 1) + 0.01 * sin(i * j));
	}
	CHECK(decompose_svd(w, M, N, R, exact_u, exact_s, exact_vt) == TT_OK);
	rng_init(&r, 1, RNG_INIT, 0);
	CHECK(decompose_svd_random(w, M, N, R, 16, &r, u, s, vt) == TT_OK);
	rng_init(&r, 1, RNG_INIT, 0);
	CHECK(decompose_svd_random(w, M, N, R, 16, &r, u2, s2, vt2) == TT_OK);
	for (int k = 0; k < R; k++)
		CHECK_NEAR(s[k], exact_s[k], 1e-9 * exact_s[0]);
	CHECK(fabs(residual(w, M, N, R, u, s, vt) -
		   residual(w, M, N, R, exact_u, exact_s, exact_vt)) < 1e-9);
	CHECK(off_orthogonal(u, M, R, false) < 1e-9 && off_orthogonal(vt, N, R, true) < 1e-9);
	CHECK(!memcmp(u, u2, sizeof(u)) && !memcmp(s, s2, sizeof(s)) &&
	      !memcmp(vt, vt2, sizeof(vt)));
}

static void qr_makes_the_matrix(void)
{
	for (size_t i = 0; i < COUNT(shapes); i++) {
		const int64_t m = shapes[i].rows, n = shapes[i].cols, r = m < n ? m : n;
		float *w = random_matrix(m, n, 100 + (uint32_t)i);
		double *q = calloc((size_t)(m * r), sizeof(*q)),
		       *upper = calloc((size_t)(r * n), sizeof(*upper));
		double below = 0;

		CHECK(decompose_qr(w, m, n, r, q, upper) == TT_OK);
		CHECK(residual(w, m, n, r, q, NULL, upper) < 1e-12);
		CHECK(off_orthogonal(q, m, r, false) < 1e-12);
		for (int64_t k = 0; k < r; k++) {
			for (int64_t j = 0; j < k; j++)
				below = fmax(below, fabs(upper[k * n + j]));
		}
		CHECK(below <= 0);
		free(w);
		free(q);
		free(upper);
	}
}

/*
 * LAPACK's geqrf on this matrix: R[0][0] = -5, R[0][1] = -4.4, R[1][1] = 0.8;
 * the signs follow Householder.
 */
static void qr_signs(void)
{
	static const float w[4] = { 3, 2, 4, 4 };
	double q[4], upper[4];

	CHECK(decompose_qr(w, 2, 2, 2, q, upper) == TT_OK);
	CHECK_NEAR(upper[0], -5, 1e-12);
	CHECK_NEAR(upper[1], -4.4, 1e-12);
	CHECK_NEAR(fabs(upper[3]), 0.8, 1e-12);
	CHECK_NEAR(q[0], -0.6, 1e-12);
}

static void numbers_that_are_not(void)
{
	const float w[4] = { 1, 2, INFINITY, 4 };
	double u[4], s[2], vt[4];

	CHECK(decompose_svd(w, 2, 2, 2, u, s, vt) == TT_INVALID);
	CHECK_STR(err_text(), "a weight holds numbers that are not finite");
	CHECK(decompose_qr(w, 2, 2, 2, u, vt) == TT_INVALID);
}

/* Of a matrix of rank 3 all but three values are rounding, and still found. */
static void of_little_rank(void)
{
	enum { N = 384, RANK = 8, ASKED = 10 };
	static float w[N * N], a[RANK * N], b[N * RANK];
	static double u[N * ASKED], s[ASKED], vt[ASKED * N];
	double worst = 0;
	struct rng r;

	rng_init(&r, 8, RNG_TEST, 0);
	for (int i = 0; i < RANK * N; i++) {
		a[i] = 0.06F * rng_normal(&r);
		b[i] = rng_below(&r, 2) ? 1e-3F : -1e-3F;
	}
	for (int o = 0; o < N; o++)
		for (int i = 0; i < N; i++)
			for (int k = 0; k < RANK; k++)
				w[o * N + i] += b[o * RANK + k] * a[k * N + i];
	CHECK(decompose_svd(w, N, N, ASKED, u, s, vt) == TT_OK);
	for (int o = 0; o < N; o++) {
		for (int i = 0; i < N; i++) {
			double sum = 0;

			for (int k = 0; k < ASKED; k++)
				sum += u[o * ASKED + k] * s[k] * vt[k * N + i];
			worst = fmax(worst, fabs(sum - (double)w[o * N + i]));
		}
	}
	CHECK(worst < 1e-5 * s[0] && s[RANK] < 1e-5 * s[0]);
	memset(w, 0, sizeof(w));
	CHECK(decompose_svd(w, N, N, ASKED, u, s, vt) == TT_OK && s[0] <= 0);
}

/* Squared twice over, half the digits are left. */
static void products_without_multiplying(void)
{
	enum { M = 12, N = 9, R = 4 };
	float *x = random_matrix(M, R, 60), *y = random_matrix(R, N, 61), w[M * N];
	double left[R * R] = { 0 }, right[R * R] = { 0 }, u[M * R], s[R], vt[R * N], value[R];

	for (int i = 0; i < M * N; i++) {
		double sum = 0;

		for (int k = 0; k < R; k++)
			sum += (double)x[i / N * R + k] * (double)y[k * N + i % N];
		w[i] = (float)sum;
	}
	for (int p = 0; p < R * R; p++) {
		for (int i = 0; i < M; i++)
			left[p] += (double)x[i * R + p / R] * (double)x[i * R + p % R];
		for (int i = 0; i < N; i++)
			right[p] += (double)y[p / R * N + i] * (double)y[p % R * N + i];
	}
	CHECK(decompose_svd(w, M, N, R, u, s, vt) == TT_OK);
	CHECK(decompose_product(left, right, R, value) == TT_OK);
	for (int k = 0; k < R; k++)
		CHECK_NEAR(value[k], s[R - 1 - k], 1e-5);
	free(x);
	free(y);
}

int main(void)
{
	of_little_rank();
	all_triplets_make_the_matrix();
	known_values();
	top_triplets_are_the_largest();
	random_start_finds_them_too();
	qr_makes_the_matrix();
	qr_signs();
	products_without_multiplying();
	numbers_that_are_not();
	return check_done();
}
