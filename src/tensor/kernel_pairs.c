/*
 * Small products in bf16 and what attention puts between them, for processors with
 * AVX512_BF16: they round, multiply pairs and sum in fp32 by instruction.
 */
#include "tensor/kernel_pairs.h"

#include "tensor/kernel.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("arch=x86-64-v4,avx512bf16")))
#define LANE_BYTES 64
#include "tensor/lanes.inc"

bool kernel_pairs_ready(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bf16");
}

/* ---- rounding and packing ---- */

/* 32 numbers in order. */
static ALWAYS_INLINE vu round_along(vf low, vf high)
{
	return (vu)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

/* Word l is (low[l], high[l]). */
static ALWAYS_INLINE vu round_across(vf low, vf high)
{
	static const uint16_t place[32] = { 0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
					    21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
					    11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };

	return (vu)_mm512_permutexvar_epi16(_mm512_loadu_si512(place),
					    (__m512i)round_along(low, high));
}

static ALWAYS_INLINE void vu_store(uint32_t *to, vu v) { memcpy(to, &v, sizeof(v)); }

/* The vector at i of a row of n numbers, as far as there is one. */
static ALWAYS_INLINE vf load_row(const float *x, int64_t i, int64_t n)
{
	return i < n ? vf_load_at(x, i, n, 0) : vf_set(0);
}

static TARGET void round_all(uint16_t *to, const float *x, int64_t n)
{
	int64_t i = 0;
	vu v;

	for (; i + 2 * LANES <= n; i += 2 * LANES) {
		v = round_along(vf_load(x + i), vf_load(x + i + LANES));
		memcpy(to + i, &v, sizeof(v));
	}
	if (i < n) {
		v = round_along(load_row(x, i, n), load_row(x, i + LANES, n));
		memcpy(to + i, &v, (size_t)(n - i) * sizeof(*to));
	}
}

void kernel_pairs_round(uint16_t *to, const float *x, int64_t n)
{
	if (kernel_pairs_ready())
		round_all(to, x, n);
	else
		kernel_to_bf16(to, x, n);
}

TARGET void kernel_pairs_along(uint32_t *to, const float *x, int64_t ldx, int64_t rows,
			       int64_t cols)
{
	const int64_t words = pairs_padded(pairs_half(cols));

	for (int64_t r = 0; r < rows; r++, to += words, x += ldx)
		for (int64_t j = 0; j < words; j += LANES)
			vu_store(to + j, round_along(load_row(x, 2 * j, cols),
						     load_row(x, 2 * j + LANES, cols)));
}

TARGET void kernel_pairs_across(uint32_t *to, const float *x, int64_t ldx, int64_t rows,
				int64_t cols)
{
	const int64_t words = pairs_padded(cols);

	for (int64_t r = 0; r < rows; r += 2, to += words, x += 2 * ldx)
		for (int64_t c = 0; c < words; c += LANES)
			vu_store(to + c, round_across(load_row(x, c, cols),
						      r + 1 < rows ? load_row(x + ldx, c, cols)
								   : vf_set(0)));
}

/* Row i becomes column i. */
static ALWAYS_INLINE void turn(__m512i v[16])
{
	__m512i w[16];

	for (int i = 0; i < 16; i += 2) {
		w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
	for (int i = 0; i < 16; i += 4)
		for (int h = 0; h < 2; h++) {
			v[i + 2 * h] = _mm512_unpacklo_epi64(w[i + h], w[i + h + 2]);
			v[i + 2 * h + 1] = _mm512_unpackhi_epi64(w[i + h], w[i + h + 2]);
		}
	for (int i = 0; i < 4; i++)
		for (int h = 0; h < 16; h += 8) {
			w[h + i] = _mm512_shuffle_i32x4(v[h + i], v[h + i + 4], 0x88);
			w[h + i + 4] = _mm512_shuffle_i32x4(v[h + i], v[h + i + 4], 0xdd);
		}
	for (int i = 0; i < 8; i++) {
		v[i] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0x88);
		v[i + 8] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0xdd);
	}
}

TARGET void kernel_pairs_turned(uint32_t *to, const float *x, int64_t ldx, int64_t rows,
				int64_t cols)
{
	const int64_t words = pairs_padded(rows), deep = pairs_half(cols);
	__m512i v[LANES];

	for (int64_t r = 0; r < words; r += LANES)
		for (int64_t j = 0; j < deep; j += LANES) {
			for (int i = 0; i < LANES; i++) {
				const float *row = x + (r + i) * ldx;
				const bool there = r + i < rows;

				v[i] = there ? (__m512i)round_along(
						       load_row(row, 2 * j, cols),
						       load_row(row, 2 * j + LANES, cols))
					     : _mm512_setzero_si512();
			}
			turn(v);
			for (int i = 0; i < LANES && j + i < deep; i++)
				vu_store(to + (j + i) * words + r, (vu)v[i]);
		}
}

/* ---- products ---- */

enum { TALL = 6, BROAD = 2 }; /* rows and vectors whose sums stay in registers */

static ALWAYS_INLINE vf multiply_pairs(vf sum, uint32_t a, vu b)
{
	return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
}

/* rows and parts are constants in every call. */
static ALWAYS_INLINE void tile(const struct kernel_pairs *p, int64_t i, int64_t j, int rows,
			       int parts)
{
	const int64_t words = pairs_padded(p->cols);
	const uint32_t *a = p->a + i * p->row, *b = p->b + j;
	vf sum[TALL * BROAD] = { 0 };

	for (int64_t k = 0; k < p->deep; k++, a += p->col, b += words)
		for (int s = 0; s < rows * parts; s++) {
			vu v;

			memcpy(&v, b + s % parts * LANES, sizeof(v));
			sum[s] = multiply_pairs(sum[s], a[s / parts * p->row], v);
		}
	for (int s = 0; s < rows * parts; s++) {
		const int64_t col = j + s % parts * LANES;
		float *c = p->c + (i + s / parts) * p->ldc;
		vf v = p->factor ? sum[s] * p->factor[i + s / parts] : sum[s];

		if (p->beta != 0.0f)
			v += p->beta * vf_load_at(c, col, p->cols, 0);
		vf_store_at(c, col, p->cols, v);
	}
}

static ALWAYS_INLINE void tile_rows(const struct kernel_pairs *p, int64_t i, int64_t j, int rows)
{
	if (p->cols - j <= LANES)
		tile(p, i, j, rows, 1);
	else
		tile(p, i, j, rows, BROAD);
}

TARGET void kernel_pairs_product(const struct kernel_pairs *p)
{
	for (int64_t j = 0; j < p->cols; j += BROAD * LANES) {
		int64_t i = 0;

		for (; i + TALL <= p->rows; i += TALL)
			tile_rows(p, i, j, TALL);
		for (; i + TALL / 2 <= p->rows; i += TALL / 2)
			tile_rows(p, i, j, TALL / 2);
		for (; i < p->rows; i++)
			tile_rows(p, i, j, 1);
	}
}

/* ---- softmax ---- */

enum {
	TOGETHER = 8
}; /* rows: what one row's maximum and sum wait for is hidden by the work on the next */

static ALWAYS_INLINE float row_max(const float *x, int64_t n)
{
	vf top = vf_set(-INFINITY);

	for (int64_t i = 0; i < n; i += LANES)
		top = vf_larger(top, vf_load_at(x, i, n, -INFINITY));
	return vf_top(top);
}

/* s = exp(scale (s - from)), nothing past the end; returns the sum. */
static ALWAYS_INLINE float row_exp(float *s, float scale, float from, int64_t n)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < n; i += LANES) {
		const vf e = vf_only(vf_exp((vf_load_at(s, i, n, from) - from) * scale), i, n);

		vf_store(s + i, e);
		sum += e;
	}
	return vf_total(sum);
}

static ALWAYS_INLINE void exps(const struct kernel_pairs_softmax *k, int64_t row, int64_t rows,
			       float *ret_part)
{
	const int64_t ld = pairs_padded(k->cols);
	float from[TOGETHER];

	for (int64_t r = 0; r < rows; r++)
		from[r] = row_max(k->s + (row + r) * ld, k->cols);
	for (int64_t r = 0; r < rows; r++)
		ret_part[r] = 1.0f / row_exp(k->s + (row + r) * ld, k->scale, from[r], k->cols);
}

/* v where the mask of a row has a bit; v is the vector at i, maybe past the end. */
static ALWAYS_INLINE vf stay(const struct kernel_pairs_softmax *k, const uint8_t *keep, vf v,
			     int64_t i)
{
	return keep && i < k->cols ? vf_keep_at(v, keep, i, k->cols) : v;
}

TARGET void kernel_pairs_softmax(const struct kernel_pairs_softmax *k, uint32_t *along,
				 float *factor)
{
	const int64_t ld = pairs_padded(k->cols), words = pairs_padded(pairs_half(k->cols)),
		      blocks = (k->cols + 7) / 8;

	for (int64_t row = 0; row < k->rows; row += TOGETHER) {
		const int64_t rows = k->rows - row < TOGETHER ? k->rows - row : TOGETHER;

		exps(k, row, rows, factor + row);
		for (int64_t r = row; r < row + rows; r++) {
			const uint8_t *keep = k->keep ? k->keep + r * blocks : NULL;
			const float *s = k->s + r * ld;

			factor[r] *= k->gain;
			for (int64_t j = 0; j < words; j += LANES)
				vu_store(along + r * words + j,
					 round_along(stay(k, keep, load_row(s, 2 * j, ld), 2 * j),
						     stay(k, keep, load_row(s, 2 * j + LANES, ld),
							  2 * j + LANES)));
		}
	}
}

/* One query on the way back. */
struct query {
	const float *e, *dy;
	const uint8_t *keep;
	float part, mean; /* 1 / sum; rowsum(P drop(dy)) */
};

static ALWAYS_INLINE float query_mean(const struct kernel_pairs_softmax *k, const struct query *q)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < k->cols; i += LANES)
		sum = vf_fma(vf_load(q->e + i), stay(k, q->keep, vf_load(q->dy + i), i), sum);
	return vf_total(sum) * q->part * k->gain;
}

/* The vectors at i of P' and dx. Past the end e is zero, and so are they. */
static ALWAYS_INLINE vf query_grads(const struct kernel_pairs_softmax *k, const struct query *q,
				    int64_t i, vf *ret_dropped)
{
	const vf p = vf_load(q->e + i) * q->part;
	const vf dy = stay(k, q->keep, vf_load(q->dy + i), i) * k->gain;

	*ret_dropped = stay(k, q->keep, p, i) * k->gain;
	return p * (dy - q->mean) * k->scale;
}

/* Two queries; the second may be absent. */
static ALWAYS_INLINE void back_two(const struct kernel_pairs_softmax *k,
				   const struct kernel_pairs_grads *to, const struct query *q,
				   int64_t row, bool both)
{
	const int64_t ld = pairs_padded(k->cols), words = pairs_padded(pairs_half(k->cols));
	const vf none = vf_set(0);

	for (int64_t i = 0; i < 2 * words; i += 2 * LANES) {
		vf dx[2][2] = { { none, none }, { none, none } },
		   dropped[2][2] = { { none, none }, { none, none } };

		for (int h = 0; h < 2 && i + h * LANES < ld; h++) {
			const int64_t at = i + h * LANES, place = row / 2 * ld + at;

			dx[0][h] = query_grads(k, &q[0], at, &dropped[0][h]);
			if (both)
				dx[1][h] = query_grads(k, &q[1], at, &dropped[1][h]);
			vu_store(to->across + place, round_across(dx[0][h], dx[1][h]));
			vu_store(to->dropped + place, round_across(dropped[0][h], dropped[1][h]));
		}
		vu_store(to->along + row * words + i / 2, round_along(dx[0][0], dx[0][1]));
		if (both)
			vu_store(to->along + (row + 1) * words + i / 2,
				 round_along(dx[1][0], dx[1][1]));
	}
}

TARGET void kernel_pairs_softmax_back(const struct kernel_pairs_softmax *k,
				      const struct kernel_pairs_grads *to)
{
	const int64_t ld = pairs_padded(k->cols), blocks = (k->cols + 7) / 8;

	for (int64_t row = 0; row < k->rows; row += TOGETHER) {
		const int64_t rows = k->rows - row < TOGETHER ? k->rows - row : TOGETHER;
		struct query q[TOGETHER];
		float part[TOGETHER];

		exps(k, row, rows, part);
		for (int64_t r = 0; r < rows; r++) {
			q[r] = (struct query){ k->s + (row + r) * ld, to->dy + (row + r) * ld,
					       k->keep ? k->keep + (row + r) * blocks : NULL,
					       part[r], 0 };
			q[r].mean = query_mean(k, &q[r]);
		}
		for (int64_t r = 0; r < rows; r += 2)
			back_two(k, to, q + r, row + r, r + 1 < rows);
	}
}

#else

bool kernel_pairs_ready(void) { return false; }

void kernel_pairs_round(uint16_t *to, const float *x, int64_t n) { kernel_to_bf16(to, x, n); }

#endif
