/* Every backend against plain sums in double, alone and several at once; and how one is chosen. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "tensor/pool.h"

static const struct {
	int64_t m, n, k;
} sizes[] = {
	{ 1, 1, 1 },    { 1, 7, 3 },    { 5, 1, 9 },     { 6, 16, 8 },
	{ 7, 17, 33 },  { 25, 25, 64 }, { 13, 40, 700 }, { 64, 48, 96 },
	{ 33, 8, 130 }, { 50, 130, 8 }, { 0, 4, 4 },     { 4, 0, 4 },
	{ 4, 5, 0 },    { 130, 2, 40 }, { 700, 8, 12 },  { 14, 12, 1100 },
};

static const float alphas[] = { 1, 0.5f }, betas[] = { 0, 1, -0.25f };

enum { PAD = 3, LARGEST = 720 * 160 }; /* columns more than a matrix has; the largest array */

static float a[LARGEST], b[LARGEST], c[LARGEST], before[LARGEST];

static void fill(float *to, int n, uint32_t stream)
{
	struct rng r;

	rng_init(&r, 7, RNG_TEST, stream);
	for (int i = 0; i < n; i++)
		to[i] = rng_normal(&r);
}

struct product {
	bool ta, tb;
	int64_t m, n, k, lda, ldb, ldc;
	float alpha, beta;
};

static struct product product(size_t size, int flags, float alpha, float beta)
{
	struct product p = { flags & 1,     flags & 2,      sizes[size].m, sizes[size].n,
			     sizes[size].k, .alpha = alpha, .beta = beta };

	p.lda = (p.ta ? p.m : p.k) + PAD;
	p.ldb = (p.tb ? p.k : p.n) + PAD;
	p.ldc = p.n + PAD;
	return p;
}

static void product_run(const struct gemm *gm, const struct product *p, float *to)
{
	gemm_run(gm, p->ta, p->tb, p->m, p->n, p->k, p->alpha, a, p->lda, b, p->ldb, p->beta, to,
		 p->ldc);
}

/*
 * One row of the result: the rounding of k products is at most about k times half a
 * unit, but it walks at random; 1e-6 times the sum of sizes covers what was seen twice.
 * Columns past the row's end must be as before.
 */
static bool row_agrees(const struct product *p, int64_t i)
{
	bool good = true;

	for (int64_t j = 0; j < p->n; j++) {
		const float old = before[i * p->ldc + j];
		double sum = 0, size = 0;

		for (int64_t k = 0; k < p->k; k++) {
			const double u = (double)a[p->ta ? k * p->lda + i : i * p->lda + k] *
					 b[p->tb ? j * p->ldb + k : k * p->ldb + j];

			sum += u;
			size += fabs(u);
		}
		sum *= p->alpha;
		if (p->beta != 0.0f) {
			sum += (double)p->beta * old;
			size += fabs((double)old);
		}
		good &= fabs(c[i * p->ldc + j] - sum) <= 1e-6 * size;
	}
	for (int64_t j = p->n; j < p->ldc; j++)
		good &= c[i * p->ldc + j] == before[i * p->ldc + j];
	return good;
}

static bool agrees(const struct gemm *gm, const struct product *p)
{
	bool good = true;

	memcpy(c, before, sizeof(c));
	if (p->beta == 0.0f)
		for (int64_t i = 0; i < p->m; i++)
			for (int64_t j = 0; j < p->n; j++)
				c[i * p->ldc + j] = NAN; /* beta 0 must not read */
	product_run(gm, p, c);
	for (int64_t i = 0; i < p->m; i++)
		good &= row_agrees(p, i);
	return good;
}

static void products_agree(const struct gemm *gm)
{
	for (size_t s = 0; s < COUNT(sizes); s++) {
		bool good = true;

		for (int flags = 0; flags < 4; flags++)
			for (size_t x = 0; x < COUNT(alphas) * COUNT(betas); x++) {
				const struct product p = product(s, flags, alphas[x % 2],
								 betas[x / 2]);

				good &= agrees(gm, &p);
			}
		CHECK_NAMED(good, gemm_name(gm));
	}
}

static void prepared_agrees(const struct gemm *gm)
{
	enum { OUT = 37, IN = 53, ROWS = 11 };
	struct tensor w = { .name = "w", .rank = 2, .dim = { OUT, IN }, .data = b };
	const struct prepared *forward, *backward;
	struct arena *ar = arena_new();
	static float y[ROWS * (IN + PAD)];
	bool good = true;

	CHECK(gemm_prepare(gm, ar, &w, GEMM_FORWARD, &forward) == TT_OK);
	CHECK(gemm_prepare(gm, ar, &w, GEMM_BACKWARD, &backward) == TT_OK);
	for (int beta = 0; beta < 2; beta++) {
		const struct product f = { false,    true, ROWS,      OUT, IN,
					   IN + PAD, IN,   OUT + PAD, 1,   (float)beta };
		const struct product g = { false,     false, ROWS,     IN, OUT,
					   OUT + PAD, IN,    IN + PAD, 1,  (float)beta };

		memcpy(c, before, sizeof(c));
		gemm_prepared(gm, forward, ROWS, a, f.lda, f.beta, c, f.ldc);
		for (int64_t i = 0; i < ROWS; i++)
			good &= row_agrees(&f, i);
		memcpy(c, before, sizeof(c));
		gemm_prepared(gm, backward, ROWS, a, g.lda, g.beta, c, g.ldc);
		for (int64_t i = 0; i < ROWS; i++)
			good &= row_agrees(&g, i);
	}
	gemm_prepared(gm, forward, 0, a, IN, 0, y, OUT);
	CHECK_NAMED(good, gemm_name(gm));
	w.rank = 1;
	CHECK(gemm_prepare(gm, ar, &w, GEMM_FORWARD, &forward) == TT_INVALID);
	CHECK_STR(err_text(), "weight w has 1 dimensions; a linear layer takes 2");
	arena_free(ar);
}

enum { TASKS = 24, SIDE = 60 };

struct crowd {
	const struct gemm *gm;
	float out[TASKS][SIDE * SIDE];
};

static void crowd_task(void *arg, int i, int thread)
{
	struct crowd *w = arg;

	(void)thread;
	gemm_run(w->gm, i & 1, i & 2, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0, w->out[i], SIDE);
}

/* The bits do not depend on what runs beside it. */
static void threads_agree(const struct gemm *gm)
{
	static struct crowd alone, together;
	struct pool *p;

	CHECK(pool_new(3, &p) == TT_OK);
	alone.gm = together.gm = gm;
	for (int i = 0; i < TASKS; i++)
		crowd_task(&alone, i, 0);
	pool_run(p, TASKS, crowd_task, &together);
	CHECK_NAMED(!memcmp(alone.out, together.out, sizeof(alone.out)), gemm_name(gm));
	pool_free(p);
}

/* The reference promises more: a row does not depend on the rows beside it. */
static void reference_rows_stand_alone(void)
{
	enum { ROWS = 13, COLS = 21, DEEP = 600 };
	static float one[ROWS * COLS];
	struct gemm *gm;

	CHECK(gemm_open("ref", &gm) == TT_OK);
	gemm_run(gm, false, true, ROWS, COLS, DEEP, 1, a, DEEP, b, DEEP, 0, c, COLS);
	for (int64_t i = 0; i < ROWS; i++)
		gemm_run(gm, false, true, 1, COLS, DEEP, 1, a + i * DEEP, DEEP, b, DEEP, 0,
			 one + i * COLS, COLS);
	CHECK(!memcmp(one, c, sizeof(one)));
	gemm_close(gm);
}

static void choice(void)
{
	struct gemm *gm;

	CHECK(gemm_open("abacus", &gm) == TT_INVALID);
	CHECK(!strncmp(err_text(),
		       "this build has no backend 'abacus' for matrix products; it has auto, ",
		       69));
	CHECK(strstr(err_text(), "ref"));
	CHECK(gemm_open("auto", &gm) == TT_OK);
	CHECK_STR(gemm_name(gm), gemm_all()[0]->name);
	gemm_close(gm);
	gemm_close(NULL);
}

/* ---- bf16 ---- */

static const struct {
	int64_t m, out, in;
} narrow_sizes[] = {
	{ 1, 32, 32 },   { 31, 96, 160 },  { 32, 37, 53 },   { 33, 160, 33 },
	{ 128, 64, 96 }, { 130, 200, 64 }, { 300, 33, 200 },
};

static float rounded(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	u += 0x7fff + (u >> 16 & 1);
	u &= 0xffff0000u;
	memcpy(&x, &u, sizeof(x));
	return x;
}

/* One entry of op(a) op(b), both rounded: its sum in double, and the sum of sizes. */
static double narrow_entry(const struct product *p, int64_t i, int64_t j, double *ret_size)
{
	double sum = 0;

	*ret_size = 0;
	for (int64_t k = 0; k < p->k; k++) {
		const double u = (double)rounded(a[p->ta ? k * p->lda + i : i * p->lda + k]) *
				 (double)rounded(b[p->tb ? j * p->ldb + k : k * p->ldb + j]);

		sum += u;
		*ret_size += fabs(u);
	}
	return sum;
}

/* Products of two bf16 are exact in fp32, so only the sums round: the tolerance is that of fp32. */
static bool narrow_agrees(const struct product *p, const float *bias)
{
	bool good = true;

	for (int64_t i = 0; i < p->m; i++) {
		for (int64_t j = 0; j < p->n; j++) {
			const double old = bias ? (double)bias[j]
						: (double)p->beta * before[i * p->ldc + j];
			double size;
			const double sum = narrow_entry(p, i, j, &size) + old;

			good &= fabs(c[i * p->ldc + j] - sum) <= 1e-6 * (size + fabs(old));
		}
		for (int64_t j = p->n; j < p->ldc; j++)
			good &= c[i * p->ldc + j] == before[i * p->ldc + j];
	}
	return good;
}

static void narrow_prepared_side(const struct gemm *gm, const struct prepared *w, struct product p)
{
	bool good = true;

	for (int pad = 0; pad < 2; pad++) {
		p.lda = p.k + pad * PAD;
		p.ldc = p.n + pad * PAD;
		for (int beta = 0; beta < 2; beta++) {
			p.beta = (float)beta;
			memcpy(c, before, sizeof(c));
			gemm_prepared(gm, w, p.m, a, p.lda, p.beta, c, p.ldc);
			good &= narrow_agrees(&p, NULL);
		}
		p.beta = 0;
		memcpy(c, before, sizeof(c));
		gemm_prepared_bias(gm, w, p.m, a, p.lda, b + 7, c, p.ldc);
		good &= narrow_agrees(&p, b + 7);
	}
	CHECK_NAMED(good, "bf16, prepared");
}

/* The three products of a weight that trains. */
static void narrow_trained(const struct gemm *gm, int64_t m, int64_t out, int64_t in)
{
	const struct gemm_weight w = { b, out, in };
	struct product f = { false, true, m, out, in, in, in, out, 1, 0 };
	struct product g = { false, false, m, in, out, out, in, in, 1, 0 };
	struct product t = { true, false, out, in, m, out, in, in, 1, 0 };
	bool good = true;

	for (int beta = 0; beta < 2; beta++) {
		f.beta = g.beta = t.beta = (float)beta;
		memcpy(c, before, sizeof(c));
		gemm_weight_forward(gm, &w, m, a, f.beta, c);
		good &= narrow_agrees(&f, NULL);
		memcpy(c, before, sizeof(c));
		gemm_weight_back(gm, &w, m, a, g.beta, c);
		good &= narrow_agrees(&g, NULL);
		memcpy(c, before, sizeof(c));
		gemm_weight_grad(gm, &w, m, a, b, t.beta, c);
		good &= narrow_agrees(&t, NULL);
	}
	CHECK_NAMED(good, "bf16, weights that train");
}

static void narrow_products(const struct gemm *gm)
{
	for (size_t i = 0; i < COUNT(narrow_sizes); i++) {
		const int64_t m = narrow_sizes[i].m, out = narrow_sizes[i].out,
			      in = narrow_sizes[i].in;
		struct tensor w = { .name = "w", .rank = 2, .dim = { out, in }, .data = b };
		const struct prepared *forward, *backward;
		struct arena *ar = arena_new();

		if (!CHECK(gemm_prepare(gm, ar, &w, GEMM_FORWARD, &forward) == TT_OK) ||
		    !CHECK(gemm_prepare(gm, ar, &w, GEMM_BACKWARD, &backward) == TT_OK))
			return;
		CHECK(prepared_is_copy(forward) && prepared_is_copy(backward));
		narrow_prepared_side(gm, forward,
				     (struct product){ false, true, m, out, in, 0, in, 0, 1, 0 });
		narrow_prepared_side(gm, backward,
				     (struct product){ false, false, m, in, out, 0, in, 0, 1, 0 });
		narrow_trained(gm, m, out, in);
		arena_free(ar);
	}
}

/* A head of two labels keeps all its digits. */
static void small_weights_stay_fp32(const struct gemm *gm)
{
	enum { LABELS = 2, IN = 64, ROWS = 5 };
	const struct gemm_weight w = { b, LABELS, IN };
	const struct product p = { false, true, ROWS, LABELS, IN, IN, IN, LABELS, 1, 0 };
	bool good = true;

	memcpy(c, before, sizeof(c));
	gemm_weight_forward(gm, &w, ROWS, a, 0, c);
	for (int64_t i = 0; i < ROWS; i++)
		good &= row_agrees(&p, i);
	CHECK(good);
}

struct narrow_crowd {
	const struct gemm *gm;
	const struct prepared *w;
	float out[TASKS][SIDE * SIDE], trained[TASKS][SIDE * SIDE];
};

static void narrow_task(void *arg, int i, int thread)
{
	struct narrow_crowd *w = arg;
	const struct gemm_weight own = { b, SIDE, SIDE };

	(void)thread;
	gemm_prepared(w->gm, w->w, 1 + 2 * i, a + i, SIDE, 0, w->out[i], SIDE);
	gemm_weight_grad(w->gm, &own, 1 + 2 * i, a + i, b, 0, w->trained[i]);
}

/* The same bits whatever runs beside it, also when the first calls meet while primitives are made. */
static void narrow_threads_agree(void)
{
	static struct narrow_crowd alone, together;
	struct tensor w = { .name = "w", .rank = 2, .dim = { SIDE, SIDE }, .data = b };
	struct arena *ar = arena_new();
	struct gemm *one, *many;
	struct pool *p;

	if (!CHECK(gemm_open_bf16("auto", &one) == TT_OK &&
		   gemm_open_bf16("auto", &many) == TT_OK) ||
	    !CHECK(gemm_prepare(one, ar, &w, GEMM_FORWARD, &alone.w) == TT_OK) ||
	    !CHECK(gemm_prepare(many, ar, &w, GEMM_FORWARD, &together.w) == TT_OK))
		return;
	CHECK(pool_new(3, &p) == TT_OK);
	alone.gm = one;
	together.gm = many;
	for (int i = 0; i < TASKS; i++)
		narrow_task(&alone, i, 0);
	pool_run(p, TASKS, narrow_task, &together);
	CHECK(!memcmp(alone.out, together.out, sizeof(alone.out)));
	CHECK(!memcmp(alone.trained, together.trained, sizeof(alone.trained)));
	pool_free(p);
	gemm_close(one);
	gemm_close(many);
	arena_free(ar);
}

static void bf16(void)
{
	struct gemm *gm;

	if (gemm_open_bf16("auto", &gm)) {
		CHECK(!strncmp(err_text(), "compute.precision bf16 needs ", 29));
		printf("# no bf16: %s\n", err_text());
		return;
	}
	CHECK(gemm_is_bf16(gm));
	narrow_products(gm);
	small_weights_stay_fp32(gm);
	products_agree(gm); /* what is no linear weight stays as it was */
	gemm_close(gm);
	narrow_threads_agree();
}

int main(void)
{
	fill(a, LARGEST, 1);
	fill(b, LARGEST, 2);
	fill(before, LARGEST, 3);
	for (int i = 0; gemm_all()[i]; i++) {
		struct gemm *gm;

		CHECK_NAMED(gemm_open(gemm_all()[i]->name, &gm) == TT_OK, gemm_all()[i]->name);
		printf("# %s: %s\n", gemm_name(gm), gemm_all()[i]->version());
		products_agree(gm);
		prepared_agrees(gm);
		threads_agree(gm);
		gemm_close(gm);
	}
	reference_rows_stand_alone();
	choice();
	bf16();
	return check_done();
}
