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
static void dnnl_run(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (m <= 0 || n <= 0)
		return;
	alone();
	if (k <= 0 ||
	    dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, leading(lda, ta ? m : k),
		       b, leading(ldb, tb ? k : n), beta, c, leading(ldc, n)) != dnnl_success)
		gemm_ref.run(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
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
