/*
 * Singular values and QR, for the initial values of PiSSA, OLoRA and kin.
 *
 * Only the largest singular triplets of a weight are wanted, so they come from
 * the eigenvectors of the smaller Gram matrix G = W^T W (or W W^T): squaring
 * costs accuracy in the smallest singular values, which nobody asks for. G is
 * brought to tridiagonal form T = P G P^T by Householder reflections, and T to
 * diagonal form by the implicit QL method with Wilkinson's shift (Golub and Van
 * Loan, Matrix Computations, 8.3). Rotations act on rows of P, which lie
 * together in memory.
 */
#include "method/decompose.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static double *doubles(int64_t n)
{
	double *x = calloc((size_t)(n > 0 ? n : 1), sizeof(*x));

	if (!x)
		err_set(TT_NOMEM, "no memory to take a weight apart (%lld numbers)", (long long)n);
	return x;
}

static double dot(const double *x, const double *y, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

static void add_scaled(double *y, double s, const double *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += s * x[i];
}

static double norm(const double *x, int64_t n) { return sqrt(dot(x, x, n)); }

/*
 * The reflection H = I - beta v v^T that takes x to (alpha, 0, 0, ...): v over
 * x, v[0] = 1. Returns beta (0: x is that already); alpha has the other sign
 * than x[0], as in LAPACK.
 */
static double reflection(double *x, int64_t n, double *ret_alpha)
{
	const double length = norm(x, n), first = x[0];
	double alpha, beta;

	*ret_alpha = first;
	if (n < 2 || norm(x + 1, n - 1) <= 0)
		return 0;
	alpha = first >= 0 ? -length : length;
	beta = (alpha - first) / alpha;
	for (int64_t i = 1; i < n; i++)
		x[i] /= first - alpha;
	x[0] = 1;
	*ret_alpha = alpha;
	return beta;
}

/* ---- symmetric eigenproblem ---- */

/*
 * a <- H a H for the reflection (v, beta) that acts on indices from..n-1 of the
 * symmetric a. p, n numbers of scratch.
 */
static void reflect_both(double *a, int64_t n, int64_t from, const double *v, double beta,
			 double *p)
{
	const int64_t k = n - from;

	for (int64_t i = 0; i < k; i++)
		p[i] = beta * dot(a + (from + i) * n + from, v, k);
	add_scaled(p, -0.5 * beta * dot(p, v, k), v, k);
	for (int64_t i = 0; i < k; i++) {
		double *row = a + (from + i) * n + from;

		add_scaled(row, -v[i], p, k);
		add_scaled(row, -p[i], v, k);
	}
}

/*
 * Diagonal d, off-diagonal e (e[i] between i and i+1), and a <- P with P A P^T
 * tridiagonal; rows of P are the basis.
 */
static void tridiagonal(double *a, int64_t n, double *d, double *e, double *v, double *p)
{
	double *beta = p + n;

	for (int64_t j = 0; j + 2 < n; j++) {
		double *x = v + j * n;

		for (int64_t i = j + 1; i < n; i++)
			x[i] = a[i * n + j];
		beta[j] = reflection(x + j + 1, n - j - 1, &e[j]);
		if (beta[j] > 0)
			reflect_both(a, n, j + 1, x + j + 1, beta[j], p);
	}
	if (n > 1)
		e[n - 2] = a[(n - 1) * n + n - 2];
	for (int64_t i = 0; i < n; i++)
		d[i] = a[i * n + i];
	/*
	 * P = H_{n-3} ... H_1 H_0, from the last reflection back, so that each
	 * touches a small block only
	 */
	memset(a, 0, (size_t)(n * n) * sizeof(*a));
	for (int64_t i = 0; i < n; i++)
		a[i * n + i] = 1;
	for (int64_t j = n - 3; j >= 0; j--) {
		const double *x = v + j * n;

		for (int64_t i = j + 1; i < n && beta[j] > 0; i++) {
			double *row = a + i * n;

			add_scaled(row + j + 1, -beta[j] * dot(row + j + 1, x + j + 1, n - j - 1),
				   x + j + 1, n - j - 1);
		}
	}
}

/* Rows i and i+1 of p by the rotation (c, s). */
static void rotate(double *p, int64_t n, int64_t i, double c, double s)
{
	double *x = p + i * n, *y = x + n;

	for (int64_t k = 0; k < n; k++) {
		const double f = y[k], g = x[k];

		y[k] = s * g + c * f;
		x[k] = c * g - s * f;
	}
}

/* One implicit QL sweep on the unreduced block low..high. */
static void ql_sweep(double *p, int64_t n, double *d, double *e, int64_t low, int64_t high)
{
	double g = (d[low + 1] - d[low]) / (2 * e[low]);
	double r = hypot(g, 1), c = 1, s = 1, shift = 0;
	int64_t i;

	g = d[high] - d[low] + e[low] / (g + (g >= 0 ? r : -r));
	for (i = high - 1; i >= low; i--) {
		const double f = s * e[i], b = c * e[i];

		r = hypot(f, g);
		e[i + 1] = r;
		if (r <= 0) {
			/* the block fell apart by itself */
			d[i + 1] -= shift;
			e[high] = 0;
			return;
		}
		s = f / r;
		c = g / r;
		g = d[i + 1] - shift;
		r = (d[i] - g) * s + 2 * c * b;
		shift = s * r;
		d[i + 1] = g + shift;
		g = c * r - b;
		rotate(p, n, i, c, s);
	}
	d[low] -= shift;
	e[low] = g;
	e[high] = 0;
}

/*
 * Of a matrix of little rank most of T is rounding of its large numbers, which a
 * sweep makes anew. So what is small beside T's size counts as zero, not only what
 * is small beside its neighbours.
 */
static double nothing(const double *d, const double *e, int64_t n)
{
	double size = 0;

	for (int64_t i = 0; i < n; i++)
		size = fmax(size, fabs(d[i]) + fabs(e[i]));
	return DBL_EPSILON * size;
}

static int diagonal(double *p, int64_t n, double *d, double *e)
{
	const double zero = nothing(d, e, n);

	for (int64_t low = 0; low < n; low++) {
		for (int tries = 0;; tries++) {
			int64_t high = low;

			while (high < n - 1 && fabs(e[high]) > zero)
				high++;
			if (high == low)
				break;
			if (tries == 60)
				return err_set(TT_INVALID,
					       "the singular values of a weight cannot be found");
			ql_sweep(p, n, d, e, low, high);
		}
	}
	return TT_OK;
}

static void sort_rising(double *p, int64_t n, double *d, double *row)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t least = i;

		for (int64_t k = i + 1; k < n; k++)
			least = d[k] < d[least] ? k : least;
		if (least == i)
			continue;
		row[0] = d[i];
		d[i] = d[least];
		d[least] = row[0];
		memcpy(row, p + i * n, (size_t)n * sizeof(*row));
		memcpy(p + i * n, p + least * n, (size_t)n * sizeof(*row));
		memcpy(p + least * n, row, (size_t)n * sizeof(*row));
	}
}

int decompose_symmetric(double *a, int64_t n, double *value)
{
	double *v = doubles(n * n), *e = doubles(n), *p = doubles(2 * n);
	int code = v && e && p ? TT_OK : TT_NOMEM;

	for (int64_t i = 0; !code && i < n * n; i++) {
		if (!isfinite(a[i]))
			code = err_set(TT_INVALID, "a weight holds numbers that are not finite");
	}
	if (!code) {
		tridiagonal(a, n, value, e, v, p);
		code = diagonal(a, n, value, e);
	}
	if (!code)
		sort_rising(a, n, value, p);
	free(v);
	free(e);
	free(p);
	return code;
}

/* ---- singular values ---- */

/* The Gram matrix of the rows (by_rows: w w^T, else w^T w). */
static void gram(const double *w, int64_t rows, int64_t cols, bool by_rows, double *g)
{
	const int64_t n = by_rows ? rows : cols;

	memset(g, 0, (size_t)(n * n) * sizeof(*g));
	if (by_rows) {
		for (int64_t i = 0; i < n; i++) {
			for (int64_t k = 0; k <= i; k++)
				g[i * n + k] = g[k * n + i] = dot(w + i * cols, w + k * cols, cols);
		}
		return;
	}
	for (int64_t x = 0; x < rows; x++) {
		const double *row = w + x * cols;

		for (int64_t i = 0; i < n; i++)
			add_scaled(g + i * n, row[i], row, i + 1);
	}
	for (int64_t i = 0; i < n; i++) {
		for (int64_t k = 0; k < i; k++)
			g[k * n + i] = g[i * n + k];
	}
}

/* The other side of a triplet; a vanishing singular value has none, and zeros do there. */
static void other_side(double *x, int64_t n, double s, double largest)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = s > largest * DBL_EPSILON * 64 ? x[i] / s : 0;
}

static void triplets(const double *w, int64_t rows, int64_t cols, int64_t r, const double *basis,
		     const double *value, double *u, double *s, double *vt)
{
	const bool by_rows = rows < cols;
	const int64_t n = by_rows ? rows : cols;

	for (int64_t k = 0; k < r; k++) {
		const double *x = basis + (n - 1 - k) * n;

		s[k] = value[n - 1 - k] > 0 ? sqrt(value[n - 1 - k]) : 0;
		if (by_rows) {
			double *right = vt + k * cols;

			memset(right, 0, (size_t)cols * sizeof(*right));
			for (int64_t i = 0; i < rows; i++) {
				u[i * r + k] = x[i];
				add_scaled(right, x[i], w + i * cols, cols);
			}
			other_side(right, cols, s[k], s[0]);
			continue;
		}
		memcpy(vt + k * cols, x, (size_t)cols * sizeof(*x));
		for (int64_t i = 0; i < rows; i++) {
			double left = dot(w + i * cols, x, cols);

			other_side(&left, 1, s[k], s[0]);
			u[i * r + k] = left;
		}
	}
}

static int svd_double(const double *w, int64_t rows, int64_t cols, int64_t r, double *u, double *s,
		      double *vt)
{
	const int64_t n = rows < cols ? rows : cols;
	double *g = doubles(n * n), *value = doubles(n);
	int code = g && value ? TT_OK : TT_NOMEM;

	if (!code) {
		gram(w, rows, cols, rows < cols, g);
		code = decompose_symmetric(g, n, value);
	}
	if (!code)
		triplets(w, rows, cols, r, g, value, u, s, vt);
	free(g);
	free(value);
	return code;
}

static double *widened(const float *w, int64_t n)
{
	double *x = doubles(n);

	for (int64_t i = 0; x && i < n; i++)
		x[i] = (double)w[i];
	return x;
}

int decompose_svd(const float *w, int64_t rows, int64_t cols, int64_t r, double *u, double *s,
		  double *vt)
{
	double *x = widened(w, rows * cols);
	int code = x ? svd_double(x, rows, cols, r, u, s, vt) : TT_NOMEM;

	free(x);
	return code;
}

/* The rows of x [r,n] made orthonormal, twice over for accuracy; a row that vanishes stays zero. */
static void orthonormal(double *x, int64_t r, int64_t n)
{
	for (int64_t i = 0; i < r; i++) {
		double *row = x + i * n;
		const double before = norm(row, n);
		double length;

		for (int twice = 0; twice < 2; twice++) {
			for (int64_t k = 0; k < i; k++)
				add_scaled(row, -dot(row, x + k * n, n), x + k * n, n);
		}
		length = norm(row, n);
		for (int64_t k = 0; k < n; k++)
			row[k] = length > before * DBL_EPSILON * 64 ? row[k] / length : 0;
	}
}

/* y [r,rows] = x [r,cols] w^T, and back. */
static void times_transposed(const double *w, int64_t rows, int64_t cols, int64_t r,
			     const double *x, double *y)
{
	for (int64_t k = 0; k < r; k++) {
		for (int64_t i = 0; i < rows; i++)
			y[k * rows + i] = dot(w + i * cols, x + k * cols, cols);
	}
}

static void times(const double *w, int64_t rows, int64_t cols, int64_t r, const double *y,
		  double *x)
{
	memset(x, 0, (size_t)(r * cols) * sizeof(*x));
	for (int64_t k = 0; k < r; k++) {
		for (int64_t i = 0; i < rows; i++)
			add_scaled(x + k * cols, y[k * rows + i], w + i * cols, cols);
	}
}

/* x [r,cols] starts random; y [r,rows] ends as an orthonormal basis Q^T near the range of w. */
static void find_range(const double *w, int64_t rows, int64_t cols, int64_t r, int rounds,
		       struct rng *rng, double *x, double *y)
{
	for (int64_t i = 0; i < r * cols; i++)
		x[i] = (double)rng_normal(rng);
	times_transposed(w, rows, cols, r, x, y);
	orthonormal(y, r, rows);
	for (int i = 0; i < rounds; i++) {
		times(w, rows, cols, r, y, x);
		orthonormal(x, r, cols);
		times_transposed(w, rows, cols, r, x, y);
		orthonormal(y, r, rows);
	}
}

int decompose_svd_random(const float *w, int64_t rows, int64_t cols, int64_t r, int rounds,
			 struct rng *rng, double *u, double *s, double *vt)
{
	double *wide = widened(w, rows * cols), *x = doubles(r * cols), *y = doubles(r * rows),
	       *small = doubles(r * r);
	int code = wide && x && y && small ? TT_OK : TT_NOMEM;

	if (!code) {
		find_range(wide, rows, cols, r, rounds, rng, x, y);
		times(wide, rows, cols, r, y,
		      x); /* Q^T w, small: its triplets are near those of w */
		code = svd_double(x, r, cols, r, small, s, vt);
	}
	for (int64_t i = 0; !code && i < rows; i++) {
		for (int64_t k = 0; k < r; k++) {
			double sum = 0;

			for (int64_t j = 0; j < r; j++)
				sum += y[j * rows + i] * small[j * r + k];
			u[i * r + k] = sum;
		}
	}
	free(wide);
	free(x);
	free(y);
	free(small);
	return code;
}

/* ---- QR ---- */

/* R over x [rows,cols] in its first r rows; the reflections in v [r,rows] and beta. */
static void reflect_columns(double *x, int64_t rows, int64_t cols, int64_t r, double *v,
			    double *beta, double *p)
{
	for (int64_t j = 0; j < r; j++) {
		double *h = v + j * rows, alpha;

		for (int64_t i = j; i < rows; i++)
			h[i] = x[i * cols + j];
		beta[j] = reflection(h + j, rows - j, &alpha);
		if (beta[j] <= 0)
			continue;
		memset(p, 0, (size_t)cols * sizeof(*p));
		for (int64_t i = j; i < rows; i++)
			add_scaled(p + j, h[i], x + i * cols + j, cols - j);
		for (int64_t i = j; i < rows; i++)
			add_scaled(x + i * cols + j, -beta[j] * h[i], p + j, cols - j);
		x[j * cols + j] = alpha;
		for (int64_t i = j + 1; i < rows; i++)
			x[i * cols + j] = 0;
	}
}

static void first_columns(double *q, int64_t rows, int64_t r, const double *v, const double *beta)
{
	memset(q, 0, (size_t)(rows * r) * sizeof(*q));
	for (int64_t k = 0; k < r; k++)
		q[k * r + k] = 1;
	for (int64_t j = r - 1; j >= 0; j--) {
		const double *h = v + j * rows;

		for (int64_t k = j; k < r && beta[j] > 0; k++) {
			double sum = 0;

			for (int64_t i = j; i < rows; i++)
				sum += h[i] * q[i * r + k];
			for (int64_t i = j; i < rows; i++)
				q[i * r + k] -= beta[j] * sum * h[i];
		}
	}
}

int decompose_qr(const float *w, int64_t rows, int64_t cols, int64_t r, double *q, double *upper)
{
	double *x = widened(w, rows * cols), *v = doubles(r * rows), *beta = doubles(r),
	       *p = doubles(cols);
	int code = x && v && beta && p ? TT_OK : TT_NOMEM;

	for (int64_t i = 0; !code && i < rows * cols; i++) {
		if (!isfinite(x[i]))
			code = err_set(TT_INVALID, "a weight holds numbers that are not finite");
	}
	if (!code) {
		reflect_columns(x, rows, cols, r, v, beta, p);
		first_columns(q, rows, r, v, beta);
		memcpy(upper, x, (size_t)(r * cols) * sizeof(*x));
	}
	free(x);
	free(v);
	free(beta);
	free(p);
	return code;
}

/* ---- products ---- */

/* root = V sqrt(D) of left = V D V^T, by its columns; the rows of v are the eigenvectors. */
static void square_root(const double *v, const double *value, int64_t r, double *root)
{
	for (int64_t i = 0; i < r * r; i++)
		root[i] = v[i % r * r + i / r] * sqrt(fmax(value[i % r], 0));
}

/* |X Y z|^2 = |root^T Y z|^2, so the squares are the eigenvalues of root^T right root. */
int decompose_product(double *left, double *right, int64_t r, double *s)
{
	double *root = doubles(r * r), *half = doubles(r * r);
	int code = root && half ? decompose_symmetric(left, r, s) : TT_NOMEM;

	if (!code) {
		square_root(left, s, r, root);
		for (int64_t i = 0; i < r * r; i++) {
			for (int64_t k = 0; k < r; k++)
				half[i] += right[i / r * r + k] * root[k * r + i % r];
		}
		memset(right, 0, (size_t)(r * r) * sizeof(*right));
		for (int64_t i = 0; i < r * r; i++) {
			for (int64_t k = 0; k < r; k++)
				right[i] += root[k * r + i / r] * half[k * r + i % r];
		}
		code = decompose_symmetric(right, r, s);
	}
	for (int64_t i = 0; !code && i < r; i++)
		s[i] = sqrt(fmax(s[i], 0));
	free(root);
	free(half);
	return code;
}
