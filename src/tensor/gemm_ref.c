/*
 * Matrix products in plain C: the oracle of the other backends, and good enough
 * to train with.
 *
 * A panel of op(b), 16 columns wide and up to DEPTH deep, is copied so that it
 * lies in order and stays in the first cache; six rows of op(a) run over it with
 * their sums in registers. An element's sum runs over k in ascending order
 * within a panel, then over panels, whatever its row and column: so a row's
 * result does not depend on the rows beside it.
 */
#include "tensor/gemm.h"

#include <string.h>

#include "tensor/clones.h"

enum { WIDE = 16, TALL = 6, DEPTH = 512 };

typedef float lanes __attribute__((vector_size(WIDE * sizeof(float))));

/* op(x)[i,j] is x[i * row + j * col]. */
struct view {
	const float *x;
	int64_t row, col;
};

struct tile {
	const float *panel;	/* [k,WIDE] */
	int64_t k, cols;	/* cols <= WIDE */
	float alpha, beta;
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

static ALWAYS_INLINE void store(float *c, const lanes *sum, const struct tile *t)
{
	float out[WIDE], old[WIDE] = { 0 };
	lanes o, s = *sum * t->alpha;
	const size_t size = (size_t)t->cols * sizeof(*c);

	if (t->beta != 0.0f) {
		memcpy(old, c, size);
		memcpy(&o, old, sizeof(o));
		s += o * t->beta;
	}
	memcpy(out, &s, sizeof(out));
	memcpy(c, out, size);
}

/* `rows` is a constant in every call, so that the sums live in registers. */
static ALWAYS_INLINE void tile_rows(const struct tile *t, int rows, struct view a, float *c, int64_t ldc)
{
	lanes sum[TALL] = { 0 };

	for (int64_t p = 0; p < t->k; p++) {
		lanes b;

		memcpy(&b, t->panel + p * WIDE, sizeof(b));
		for (int i = 0; i < rows; i++)
			sum[i] += b * a.x[i * a.row + p * a.col];
	}
	for (int i = 0; i < rows; i++)
		store(c + i * ldc, sum + i, t);
}

CLONES static void tile_run(const struct tile *t, int64_t m, struct view a, float *c, int64_t ldc)
{
	int64_t i = 0;

	for (; i + TALL <= m; i += TALL) {
		tile_rows(t, TALL, a, c, ldc);
		a.x += TALL * a.row;
		c += TALL * ldc;
	}
	for (; i < m; i++) {
		tile_rows(t, 1, a, c, ldc);
		a.x += a.row;
		c += ldc;
	}
}

static void scale(int64_t m, int64_t n, float beta, float *c, int64_t ldc)
{
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			c[i * ldc + j] = beta != 0.0f ? c[i * ldc + j] * beta : 0;
}

static void ref_run(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
		    const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
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
			const struct tile t = { panel, deep, n - j < WIDE ? n - j : WIDE, alpha, p ? 1 : beta };

			pack(panel, (struct view){ vb.x + p * vb.row + j * vb.col, vb.row, vb.col }, deep, t.cols);
			tile_run(&t, m, (struct view){ va.x + p * va.col, va.row, va.col }, c + j, ldc);
		}
	}
}

static const char *ref_version(void)
{
	return PACKAGE_VERSION;
}

const struct gemm_ops gemm_ref = {
	.name = "ref",
	.version = ref_version,
	.run = ref_run,
};
