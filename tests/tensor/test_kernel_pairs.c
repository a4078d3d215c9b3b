/*
 * Small products in bf16 and the softmax between them against plain loops in double,
 * and attention in bf16 against attention in fp32.
 */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "tensor/kernel.h"
#include "tensor/kernel_pairs.h"
#include "tensor/op.h"
#include "tests/tensor/world.h"

enum { MOST = 80, WIDE = 80, LD = 83 }; /* rows, columns, and where the next row of x begins */

static float x[MOST * LD], z[MOST * LD], c[MOST * LD], before[MOST * LD];
static uint32_t a[MOST * WIDE], b[MOST * WIDE];

static void fill(float *to, int n, uint32_t stream)
{
	struct rng r;

	rng_init(&r, 11, RNG_TEST, stream);
	for (int i = 0; i < n; i++)
		to[i] = rng_normal(&r);
}

/* To the nearest, ties to even. */
static uint32_t rounded(float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

static double half_of(uint32_t word, int64_t which)
{
	const uint32_t u = which ? word & 0xffff0000u : word << 16;
	float v;

	memcpy(&v, &u, sizeof(v));
	return (double)v;
}

static uint32_t rounded_at(const float *from, int64_t rows, int64_t cols, int64_t r, int64_t j)
{
	return r < rows && j < cols ? rounded(from[r * LD + j]) : 0;
}

/* ---- packing ---- */

static const struct {
	int64_t rows, cols;
} sizes[] = { { 1, 1 },   { 2, 3 },   { 5, 32 },  { 16, 33 }, { 17, 16 },
	      { 25, 31 }, { 31, 64 }, { 40, 80 }, { 77, 70 } };

static void packs(int64_t rows, int64_t cols)
{
	const int64_t along = pairs_padded(pairs_half(cols)), across = pairs_padded(cols),
		      turned = pairs_padded(rows);
	bool good = true;

	kernel_pairs_along(a, x, LD, rows, cols);
	for (int64_t r = 0; r < rows; r++)
		for (int64_t j = 0; j < along; j++)
			good &= a[r * along + j] == (rounded_at(x, rows, cols, r, 2 * j) |
						     rounded_at(x, rows, cols, r, 2 * j + 1) << 16);
	CHECK_NAMED(good, "along");
	kernel_pairs_across(a, x, LD, rows, cols);
	for (int64_t i = 0; i < pairs_half(rows); i++)
		for (int64_t j = 0; j < across; j++)
			good &= a[i * across + j] ==
				(rounded_at(x, rows, cols, 2 * i, j) |
				 rounded_at(x, rows, cols, 2 * i + 1, j) << 16);
	CHECK_NAMED(good, "across");
	kernel_pairs_turned(a, x, LD, rows, cols);
	for (int64_t j = 0; j < pairs_half(cols); j++)
		for (int64_t r = 0; r < turned; r++)
			good &= a[j * turned + r] ==
				(rounded_at(x, rows, cols, r, 2 * j) |
				 rounded_at(x, rows, cols, r, 2 * j + 1) << 16);
	CHECK_NAMED(good, "turned");
}

static void rounds(void)
{
	static uint16_t got[100], want[100];
	const float odd[] = { INFINITY, -INFINITY, NAN, 0, -0.0f, 3.4e38f, 0x1.01p0f, 0x1.03p0f };
	static float in[100];
	bool same = true;

	memcpy(in, x, sizeof(in));
	memcpy(in + 50, odd, sizeof(odd));
	for (int n = 0; n <= 100; n++) {
		got[n < 100 ? n : 0] = want[n < 100 ? n : 0] = 7;
		kernel_pairs_round(got, in, n);
		kernel_to_bf16(want, in, n);
		same &= !memcmp(got, want, sizeof(got));
	}
	CHECK(same);
}

/* ---- products ---- */

/* Products of two bf16 are exact in fp32, so only the sums round. */
static bool product_agrees(const struct kernel_pairs *p)
{
	const int64_t words = pairs_padded(p->cols);
	bool good = true;

	memcpy(c, before, sizeof(c));
	if (p->beta == 0.0f)
		for (int64_t i = 0; i < p->rows; i++)
			for (int64_t j = 0; j < p->cols; j++)
				c[i * LD + j] = NAN; /* beta 0 must not read */
	kernel_pairs_product(p);
	for (int64_t i = 0; i < p->rows; i++) {
		const double factor = p->factor ? (double)p->factor[i] : 1;

		for (int64_t j = 0; j < p->cols; j++) {
			const double old = p->beta * before[i * LD + j];
			double sum = 0, size = 0;

			for (int64_t k = 0; k < 2 * p->deep; k++) {
				const double u = half_of(p->a[i * p->row + k / 2 * p->col], k % 2) *
						 half_of(p->b[k / 2 * words + j], k % 2);

				sum += u;
				size += fabs(u);
			}
			good &= fabs(c[i * LD + j] - (factor * sum + old)) <=
				1e-6 * (fabs(factor) * size + fabs(old));
		}
		for (int64_t j = p->cols; j < LD; j++)
			good &= c[i * LD + j] == before[i * LD + j];
	}
	return good;
}

static void products(int64_t rows, int64_t deep, int64_t cols)
{
	struct kernel_pairs p = { .a = a,
				  .b = b,
				  .rows = rows,
				  .deep = pairs_half(deep),
				  .cols = cols,
				  .c = c,
				  .ldc = LD };
	bool good = true;

	kernel_pairs_across(b, z, LD, deep, cols);
	for (int beta = 0; beta < 2; beta++) {
		p.beta = (float)beta;
		kernel_pairs_along(a, x, LD, rows, deep);
		p.row = pairs_padded(pairs_half(deep));
		p.col = 1;
		p.factor = z;
		good &= product_agrees(&p);
		kernel_pairs_across(a, x, LD, deep, rows); /* x stored transposed */
		p.row = 1;
		p.col = pairs_padded(rows);
		p.factor = NULL;
		good &= product_agrees(&p);
	}
	CHECK_NAMED(good, "products");
}

/* ---- softmax ---- */

static bool kept(const struct kernel_pairs_softmax *k, int64_t r, int64_t j)
{
	return !k->keep || (k->keep[r * ((k->cols + 7) / 8) + j / 8] >> j % 8 & 1);
}

/* The softmax of row r. */
static void probabilities(const struct kernel_pairs_softmax *k, const float *s, int64_t r,
			  double *ret)
{
	const float *row = s + r * pairs_padded(k->cols);
	double top = row[0], sum = 0;

	for (int64_t j = 0; j < k->cols; j++)
		top = fmax(top, row[j]);
	for (int64_t j = 0; j < k->cols; j++)
		sum += ret[j] = exp(k->scale * (row[j] - top));
	for (int64_t j = 0; j < k->cols; j++)
		ret[j] /= sum;
}

/* bf16 has eight places: half of the last is 1/256 of a number at most. */
static bool near(double got, double exact)
{
	return fabs(got - exact) <= 0.004 * fabs(exact) + 1e-6;
}

/* The gradients of row r: of what was dropped, and of the scores. */
static void row_grads(const struct kernel_pairs_softmax *k, const double *p, const float *dy,
		      int64_t r, double *ret_dropped, double *ret_dx)
{
	double mean = 0;

	for (int64_t j = 0; j < k->cols; j++) {
		ret_dropped[j] = kept(k, r, j) ? k->gain * p[j] : 0;
		ret_dx[j] = kept(k, r, j) ? (double)(k->gain * dy[r * pairs_padded(k->cols) + j])
					  : 0;
		mean += p[j] * ret_dx[j];
	}
	for (int64_t j = 0; j < k->cols; j++)
		ret_dx[j] = k->scale * p[j] * (ret_dx[j] - mean);
}

static void softmax(int64_t rows, int64_t cols, bool drops)
{
	static float s[MOST * WIDE], dy[MOST * WIDE], factor[MOST];
	static uint32_t along[MOST * WIDE], across[MOST * WIDE], dropped[MOST * WIDE];
	static uint8_t keep[MOST * WIDE / 8];
	const struct kernel_drop how = { 5, kernel_drop_site(1), 2, 0.3f };
	const int64_t ld = pairs_padded(cols), words = pairs_padded(pairs_half(cols));
	const struct kernel_pairs_softmax k = { .s = s,
						.rows = rows,
						.cols = cols,
						.scale = 0.5f,
						.keep = drops ? keep : NULL,
						.gain = drops ? kernel_drop_scale(&how) : 1 };
	double p[WIDE], out[WIDE], dx[WIDE];
	bool forward = true, back = true, edge = true;

	kernel_drop_blocks(keep, &how, 3, 9, rows * ((cols + 7) / 8));
	memset(dy, 0, sizeof(dy));
	for (int64_t r = 0; r < rows; r++)
		for (int64_t j = 0; j < cols; j++)
			dy[r * ld + j] = z[r * LD + j];
	memcpy(s, x, sizeof(s));
	kernel_pairs_softmax(&k, along, factor);
	for (int64_t r = 0; r < rows; r++) {
		probabilities(&k, x, r, p);
		row_grads(&k, p, dy, r, out, dx);
		for (int64_t j = 0; j < cols; j++)
			forward &= near(half_of(along[r * words + j / 2], j % 2) *
						(double)factor[r],
					out[j]);
		for (int64_t j = cols; j < 2 * words; j++)
			edge &= half_of(along[r * words + j / 2], j % 2) == 0;
	}
	memcpy(s, x, sizeof(s));
	kernel_pairs_softmax_back(&k, &(struct kernel_pairs_grads){ dy, dropped, along, across });
	for (int64_t r = 0; r < rows; r++) {
		probabilities(&k, x, r, p);
		row_grads(&k, p, dy, r, out, dx);
		for (int64_t j = 0; j < cols; j++) {
			back &= near(half_of(along[r * words + j / 2], j % 2), dx[j]);
			back &= near(half_of(across[r / 2 * ld + j], r % 2), dx[j]);
			back &= near(half_of(dropped[r / 2 * ld + j], r % 2), out[j]);
		}
		for (int64_t j = cols; j < 2 * words; j++)
			edge &= half_of(along[r * words + j / 2], j % 2) == 0;
	}
	for (int64_t j = 0; rows % 2 && j < ld; j++)
		edge &= across[rows / 2 * ld + j] >> 16 == 0 &&
			dropped[rows / 2 * ld + j] >> 16 == 0;
	CHECK(forward);
	CHECK(back);
	CHECK_NAMED(edge, "nothing past the end");
}

/* ---- attention ---- */

enum { ROWS = 700 };

struct setting {
	const struct gemm *gm;
	int64_t heads, depth;
	const int64_t *qstart, *kstart;
	int64_t seqs;
	float dropout;
	struct tensor *in[3];
	const float *grad; /* of the result */
};

/* The result, then the gradients of q, k and v. */
static void attend(struct setting *s, float *ret)
{
	const struct attention how = { s->seqs, s->heads, s->qstart, s->kstart, s->dropout };
	const struct pass pass = { .train = true, .seed = 3, .step = 1 };
	struct arena *ar = arena_new();
	struct leaves *l = NULL;
	struct graph *g = NULL;
	struct tensor *y;

	if (!CHECK(leaves_new(ar, s->in, 3, &l) == TT_OK && graph_new(s->gm, &g) == TT_OK &&
		   leaves_begin(l, 1) == TT_OK))
		abort();
	graph_begin(g, &pass, l, 0);
	y = op_attention(g, s->in[0], s->in[1], s->in[2], &how);
	memcpy(ret, y->data, (size_t)tensor_count(y) * sizeof(*ret));
	ret += tensor_count(y);
	y->grad = graph_alloc(g, (size_t)tensor_count(y) * sizeof(float));
	memcpy(y->grad, s->grad, (size_t)tensor_count(y) * sizeof(float));
	y->has_grad = true;
	CHECK(graph_backward(g, NULL) == TT_OK);
	leaves_finish(l);
	for (int i = 0; i < 3; i++) {
		memcpy(ret, s->in[i]->grad, (size_t)tensor_count(s->in[i]) * sizeof(*ret));
		ret += tensor_count(s->in[i]);
	}
	graph_free(g);
	leaves_free(l);
	arena_free(ar);
}

/* Of all numbers of one kind: how large the differences are, by how large the numbers. */
static double distance(const float *got, const float *want, int64_t n)
{
	double off = 0, size = 0;

	for (int64_t i = 0; i < n; i++) {
		off += pow((double)got[i] - (double)want[i], 2);
		size += pow((double)want[i], 2);
	}
	return sqrt(off / size);
}

/*
 * Rounding to bf16 moves a factor by 1/600 of it as a rule. Up to three factors
 * round one after the other, and a difference of scores enters an exponent: 1/190
 * was seen at most, twice as much is allowed.
 */
static void attention_agrees(const struct gemm *narrow, const struct gemm *wide, int64_t depth,
			     float dropout)
{
	static const int64_t kstart[] = { 0, 1, 3, 28, 80, 355, 700 },
			     qstart[] = { 0, 1, 3, 28, 29, 304, 304 };
	static float got[4 * ROWS * 2 * 64], want[4 * ROWS * 2 * 64], grad[ROWS * 2 * 64];
	static const char *const names[] = { "result", "gradient of q", "gradient of k",
					     "gradient of v" };
	uint32_t example[304], pos[304];
	const struct origin origin = { example, pos };
	struct setting s = { .heads = 2,
			     .depth = depth,
			     .qstart = qstart,
			     .kstart = kstart,
			     .seqs = 6,
			     .dropout = dropout,
			     .grad = grad };
	struct arena *ar = arena_new();
	int64_t at = 0;
	struct rng r;

	rng_init(&r, 5, RNG_TEST, (uint32_t)depth);
	fill(grad, COUNT(grad), 4);
	for (uint32_t i = 0; i < 304; i++) {
		example[i] = i < 29 ? 0 : i;
		pos[i] = i < 29 ? i : 300 + i;
	}
	for (int i = 0; i < 3; i++)
		s.in[i] = world_tensor(ar, &r, i ? 700 : 304, 2 * depth, 1);
	s.in[0]->origin = &origin;
	s.gm = wide;
	attend(&s, want);
	s.gm = narrow;
	attend(&s, got);
	for (int i = 0; i < 4; i++) {
		const int64_t n = tensor_count(s.in[i ? i - 1 : 0]);
		const double far = distance(got + at, want + at, n);

		printf("# depth %d, %s: %.4f\n", (int)depth, names[i], far);
		CHECK_NAMED(far > 0 && far < 0.0105, names[i]);
		at += n;
	}
	arena_free(ar);
}

int main(void)
{
	struct gemm *narrow, *wide;

	if (!kernel_pairs_ready() || gemm_open_bf16("ref", &narrow)) {
		printf("1..0 # SKIP this processor or build has no products in bf16\n");
		return 77;
	}
	CHECK(gemm_open("ref", &wide) == TT_OK);
	fill(x, COUNT(x), 1);
	fill(z, COUNT(z), 2);
	fill(before, COUNT(before), 3);
	rounds();
	for (size_t i = 0; i < COUNT(sizes); i++) {
		packs(sizes[i].rows, sizes[i].cols);
		softmax(sizes[i].rows, sizes[i].cols, false);
		softmax(sizes[i].rows, sizes[i].cols, true);
		for (size_t k = 0; k < COUNT(sizes); k++)
			products(sizes[i].rows, sizes[k].rows, sizes[k].cols);
	}
	products(7, 0, 9);
	for (int64_t depth = 5; depth <= 64; depth = depth < 32 ? 32 : 2 * depth) {
		attention_agrees(narrow, wide, depth, 0);
		attention_agrees(narrow, wide, depth, 0.3f);
	}
	gemm_close(narrow);
	gemm_close(wide);
	return check_done();
}
