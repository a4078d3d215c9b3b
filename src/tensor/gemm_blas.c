/* Matrix products by OpenBLAS, one thread a call. */
#include "tensor/gemm.h"

#include <cblas.h>

#include "base/err.h"

/*
 * Our shards are the threads. With its own threads off, OpenBLAS runs each call
 * on the caller, from any number of callers at once.
 */
static int blas_start(void)
{
	openblas_set_num_threads(1);
	return TT_OK;
}

static const char *blas_version(void) { return openblas_get_config(); }

/* A leading dimension that BLAS accepts, also where a matrix has one row or none. */
static blasint leading(int64_t ld, int64_t cols)
{
	const int64_t least = cols > 1 ? cols : 1;

	return (blasint)(ld > least ? ld : least);
}

static void blas_run(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (m <= 0 || n <= 0)
		return;
	cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
		    (blasint)m, (blasint)n, (blasint)k, alpha, a, leading(lda, ta ? m : k), b,
		    leading(ldb, tb ? k : n), beta, c, leading(ldc, n));
}

const struct gemm_ops gemm_blas = {
	.name = "openblas",
	.start = blas_start,
	.version = blas_version,
	.run = blas_run,
};
