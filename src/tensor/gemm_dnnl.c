/*
 * Matrix products by oneDNN, one thread a call.
 *
 * Its sgemm is as quick as its matmul primitive with reordered weights, as long
 * as neither matrix is stored transposed (measured in fp32, see bench/gemm): so a
 * weight is prepared by transposing it once, and no primitive has to be kept for
 * every number of rows.
 */
#include "tensor/gemm.h"

#include <dnnl.h>
#include <stdio.h>

#include "base/err.h"

extern const struct gemm_ops gemm_ref;

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
/* Of OpenMP's own header, which not every compiler finds. It speaks of the calling thread only. */
void omp_set_num_threads(int n);
#endif

struct packed {
	int64_t in, out;
	const float *w; /* [in,out] */
};

static void alone(void)
{
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
	omp_set_num_threads(1);
#endif
}

static const char *dnnl_version_text(void)
{
	static _Thread_local char text[48];
	const dnnl_version_t *v = dnnl_version();

	snprintf(text, sizeof(text), "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
	return text;
}

/* A leading dimension that oneDNN accepts, also where a matrix has one row or none. */
static int64_t leading(int64_t ld, int64_t cols)
{
	const int64_t least = cols > 1 ? cols : 1;

	return ld > least ? ld : least;
}

/* Refusals (no memory for its own panels) and empty sums go to the reference, which needs nothing. */
static void multiply(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (k <= 0 ||
	    dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, leading(lda, ta ? m : k),
		       b, leading(ldb, tb ? k : n), beta, c, leading(ldc, n)) != dnnl_success)
		gemm_ref.run(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/*
 * It computes 24 columns at a time, however few there are: a rank, or some labels.
 * So up to THIN become rows, c^T = op(b)^T op(a)^T, by pieces that fit small buffers;
 * with 8 of them that takes half the time, with 16 it would take longer. It is quick
 * as long as op(b)^T is not itself stored transposed.
 */
enum { THIN = 12, THIN_ROWS = 512, THIN_DEPTH = 1024 };

/* turned[n,rows] = alpha op(b)^T op(a)^T, of as many rows of op(a). */
static void multiply_turned(bool ta, bool tb, int64_t rows, int64_t n, int64_t k, float alpha,
			    const float *a, int64_t lda, const float *b, int64_t ldb, float *turned)
{
	float part[THIN * THIN_DEPTH];

	for (int64_t p = 0; p < k; p += THIN_DEPTH) {
		const int64_t deep = k - p < THIN_DEPTH ? k - p : THIN_DEPTH;
		const float *few = b + p;

		for (int64_t i = 0; i < deep && !tb; i++)
			for (int64_t j = 0; j < n; j++)
				part[j * deep + i] = b[(p + i) * ldb + j];
		if (!tb)
			few = part;
		multiply(false, !ta, n, rows, deep, alpha, few, tb ? ldb : deep,
			 ta ? a + p * lda : a + p, lda, p ? 1 : 0, turned, rows);
	}
}

static void dnnl_run(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (m <= 0 || n <= 0)
		return;
	alone();
	if (n > THIN || m <= THIN || k <= 0) {
		multiply(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
		return;
	}
	for (int64_t at = 0; at < m; at += THIN_ROWS) {
		const int64_t rows = m - at < THIN_ROWS ? m - at : THIN_ROWS;
		float turned[THIN * THIN_ROWS];

		multiply_turned(ta, tb, rows, n, k, alpha, ta ? a + at : a + at * lda, lda, b, ldb,
				turned);
		for (int64_t i = 0; i < rows; i++)
			for (int64_t j = 0; j < n; j++) {
				float *to = c + (at + i) * ldc + j;

				*to = turned[j * rows + i] + (beta != 0.0f ? beta * *to : 0);
			}
	}
}

/* A copy in squares that stay in the cache. */
static void transpose(float *to, const float *from, int64_t rows, int64_t cols)
{
	enum { EDGE = 32 };

	for (int64_t i = 0; i < rows; i += EDGE)
		for (int64_t j = 0; j < cols; j += EDGE)
			for (int64_t p = i; p < rows && p < i + EDGE; p++)
				for (int64_t q = j; q < cols && q < j + EDGE; q++)
					to[q * rows + p] = from[p * cols + q];
}

static int dnnl_prepare(struct arena *a, const float *w, int64_t rows, int64_t cols,
			bool transposed, void **ret)
{
	struct packed *p = arena_zero(a, 1, sizeof(*p));
	float *copy;

	if (!p)
		return TT_NOMEM;
	*p = (struct packed){ rows, cols, w };
	if (transposed) {
		copy = arena_zero(a, (size_t)(rows * cols), sizeof(*copy));
		if (!copy)
			return TT_NOMEM;
		transpose(copy, w, rows, cols);
		*p = (struct packed){ cols, rows, copy };
	}
	*ret = p;
	return TT_OK;
}

static void dnnl_run_prepared(const void *packed, int64_t m, const float *x, int64_t ldx,
			      float beta, float *y, int64_t ldy)
{
	const struct packed *p = packed;

	dnnl_run(false, false, m, p->out, p->in, 1, x, ldx, p->w, p->out, beta, y, ldy);
}

const struct gemm_ops gemm_dnnl = {
	.name = "onednn",
	.version = dnnl_version_text,
	.run = dnnl_run,
	.prepare = dnnl_prepare,
	.run_prepared = dnnl_run_prepared,
};
