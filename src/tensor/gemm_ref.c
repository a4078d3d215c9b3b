/*
 * Matrix products in plain C: the oracle of the other backends, and good enough
 * to train with.
 *
 * A panel of op(b), 16 columns wide and up to DEPTH deep, is copied so that it
 * lies in order and stays in the first cache; some rows of op(a) run over it with
 * their sums in registers (kernel_tile). An element's sum runs over k in ascending order
 * within a panel, then over panels, whatever its row and column: so a row's
 * result does not depend on the rows beside it.
 */
#include "tensor/gemm.h"

#include "tensor/kernel_table.h"

enum { WIDE = KERNEL_TILE_COLS, DEPTH = 512 };

/* op(x)[i,j] is x[i * row + j * col]. */
struct view {
	const float *x;
	int64_t row, col;
};

static struct view view_of(const float *x, int64_t ld, bool transposed)
{
	return transposed ? (struct view){ x, 1, ld } : (struct view){ x, ld, 1 };
}

static void pack(float *panel, struct view b, int64_t k, int64_t cols)
{
	for (int64_t p = 0; p < k; p++) {
		for (int64_t j = 0; j < cols; j++)
			panel[p * WIDE + j] = b.x[p * b.row + j * b.col];
		for (int64_t j = cols; j < WIDE; j++)
			panel[p * WIDE + j] = 0;
	}
}

static void scale(int64_t m, int64_t n, float beta, float *c, int64_t ldc)
{
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			c[i * ldc + j] = beta != 0.0f ? c[i * ldc + j] * beta : 0;
}

static void ref_run(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
		    int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	const struct view va = view_of(a, lda, ta), vb = view_of(b, ldb, tb);
	_Alignas(64) float panel[DEPTH * WIDE];

	if (k <= 0) {
		scale(m, n, beta, c, ldc);
		return;
	}
	for (int64_t p = 0; p < k; p += DEPTH) {
		const int64_t deep = k - p < DEPTH ? k - p : DEPTH;

		for (int64_t j = 0; j < n; j += WIDE) {
			const struct kernel_tile t = { .panel = panel,
						       .deep = deep,
						       .cols = n - j < WIDE ? n - j : WIDE,
						       .row = va.row,
						       .col = va.col,
						       .ldc = ldc,
						       .alpha = alpha,
						       .beta = p ? 1 : beta };

			pack(panel, (struct view){ vb.x + p * vb.row + j * vb.col, vb.row, vb.col },
			     deep, t.cols);
			kernel_tile(&t, m, va.x + p * va.col, c + j);
		}
	}
}

static const char *ref_version(void) { return PACKAGE_VERSION; }

const struct gemm_ops gemm_ref = {
	.name = "ref",
	.version = ref_version,
	.run = ref_run,
};
