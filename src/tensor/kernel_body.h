/*
 * The kernels' code. Each of kernel_v4.c, kernel_v3.c and kernel_base.c compiles it
 * for one set of vector instructions: TARGET and LANE_BYTES say which, TABLE and
 * TABLE_ISA name the result. No guard: it belongs into these three files only.
 */
#include <math.h>

#include "tensor/kernel_table.h"
#include "tensor/lanes.h"

/* ---- functions of one number ---- */

/*
 * A call through a pointer would not become part of the loop, so the loops around
 * the activations are macros.
 */
#define MAP(name, f) \
	static TARGET void name(float *y, const float *x, int64_t n) \
	{ \
		for (int64_t i = 0; i < n; i += LANES) { \
			const vf v = vf_load_at(x, i, n, 0); \
\
			vf_store_at(y, i, n, f(v)); \
		} \
	}

/* f(x) is the derivative. */
#define MAP_BACK(name, f) \
	static TARGET void name(float *dx, float beta, const float *x, const float *dy, int64_t n) \
	{ \
		for (int64_t i = 0; i < n; i += LANES) { \
			const vf v = vf_load_at(x, i, n, 0); \
			const vf g = vf_load_at(dy, i, n, 0) * f(v); \
\
			store_beta(dx, i, n, beta, g); \
		} \
	}

/* y = beta y + v, with beta 0 or 1. */
static ALWAYS_INLINE void store_beta(float *y, int64_t i, int64_t n, float beta, vf v)
{
	if (beta != 0.0f)
		v += vf_load_at(y, i, n, 0);
	vf_store_at(y, i, n, v);
}

/*
 * GELU is x Phi(x). For x < 0, Phi is half the complementary error function
 * itself, not 1 minus something near 1, so the left tail keeps its precision.
 */
static ALWAYS_INLINE vf normal_cdf(vf x, vf exp_of_minus_half_x2)
{
	const vf z = vf_clamp(vf_abs(x), 0, 14.0f) * 0x1.6a09e6p-1f;
	const vf h = 0.5f * vf_erfc_from(z, exp_of_minus_half_x2);

	return vf_pick(x > vf_set(0), 1.0f - h, h);
}

static ALWAYS_INLINE vf bell(vf x)
{
	return vf_exp(-0.5f * x * x);
}

static ALWAYS_INLINE vf gelu(vf x)
{
	return x * normal_cdf(x, bell(x));
}

static ALWAYS_INLINE vf gelu_slope(vf x)
{
	const vf e = bell(x), c = vf_clamp(x, -20.0f, 20.0f);

	return normal_cdf(x, e) + c * e * 0x1.988454p-2f;	/* 1 / sqrt(2 pi) */
}

/* ½ (1 + tanh u) is the logistic function of 2u. */
static ALWAYS_INLINE vf tanh_arg(vf x, vf x2)
{
	return 0x1.988454p0f * x * (1.0f + 0.044715f * x2);	/* 2 sqrt(2 / pi) */
}

static ALWAYS_INLINE vf gelu_tanh(vf x)
{
	return x * vf_sigmoid(tanh_arg(x, x * x));
}

/*
 * With s = 1 / (1 + e), 1 - s is e s: the difference itself would lose all its
 * places where s is near 1. The clamps keep e finite; the slope there is nothing.
 */
static ALWAYS_INLINE vf gelu_tanh_slope(vf x)
{
	const vf c = vf_clamp(x, -8.0f, 100.0f), x2 = c * c;
	const vf e = vf_exp(-tanh_arg(c, x2)), s = 1.0f / (1.0f + e);

	return s + c * s * (e * s) * 0x1.988454p0f * (1.0f + 0.134145f * x2);
}

static ALWAYS_INLINE vf silu(vf x)
{
	return x * vf_sigmoid(x);
}

static ALWAYS_INLINE vf silu_slope(vf x)
{
	const vf c = vf_clamp(x, -80.0f, 120.0f), e = vf_exp(-c), s = 1.0f / (1.0f + e);

	return s * (1.0f + c * (e * s));
}

static ALWAYS_INLINE vf relu(vf x)
{
	return vf_pick(x < vf_set(0), vf_set(0), x);
}

static ALWAYS_INLINE vf relu_slope(vf x)
{
	return vf_pick(x > vf_set(0), vf_set(1), vf_set(0));
}

static ALWAYS_INLINE vf tanh_slope(vf x)
{
	const vf t = vf_tanh(x);

	return 1.0f - t * t;
}

MAP(k_exp, vf_exp)
MAP(k_tanh, vf_tanh)
MAP(k_erf, vf_erf)
MAP(k_gelu, gelu)
MAP(k_gelu_tanh, gelu_tanh)
MAP(k_silu, silu)
MAP(k_relu, relu)
MAP_BACK(k_gelu_back, gelu_slope)
MAP_BACK(k_gelu_tanh_back, gelu_tanh_slope)
MAP_BACK(k_silu_back, silu_slope)
MAP_BACK(k_relu_back, relu_slope)
MAP_BACK(k_tanh_back, tanh_slope)

/* ---- softmax ---- */

static ALWAYS_INLINE float row_max(const float *x, int64_t n)
{
	vf top = vf_set(-INFINITY);

	for (int64_t i = 0; i < n; i += LANES)
		top = vf_larger(top, vf_load_at(x, i, n, -INFINITY));
	return vf_top(top);
}

/* y = exp(scale (x - from) - shift). Lanes past the end hold exp(-infinity), which is 0. */
static ALWAYS_INLINE float row_exp(float *y, const float *x, float scale, float from, float shift, int64_t n)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < n; i += LANES) {
		const vf e = vf_exp((vf_load_at(x, i, n, -INFINITY) - from) * scale - shift);

		vf_store_at(y, i, n, e);
		sum += e;
	}
	return vf_total(sum);
}

static TARGET void k_softmax(float *y, const float *x, float scale, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
		const float sum = row_exp(y, x, scale, row_max(x, cols), 0, cols), part = 1.0f / sum;

		for (int64_t i = 0; i < cols; i += LANES)
			vf_store_at(y, i, cols, vf_load_at(y, i, cols, 0) * part);
	}
}

static ALWAYS_INLINE float row_dot(const float *a, const float *b, int64_t n)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < n; i += LANES)
		sum += vf_load_at(a, i, n, 0) * vf_load_at(b, i, n, 0);
	return vf_total(sum);
}

static TARGET void k_softmax_back(float *dx, const float *y, const float *dy, float scale, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, dx += cols, y += cols, dy += cols) {
		const float mean = row_dot(y, dy, cols);

		for (int64_t i = 0; i < cols; i += LANES) {
			const vf p = vf_load_at(y, i, cols, 0), g = vf_load_at(dy, i, cols, 0);

			vf_store_at(dx, i, cols, scale * p * (g - mean));
		}
	}
}

static TARGET float k_exp_sum(float *y, const float *x, float scale, float shift, int64_t n)
{
	return row_exp(y, x, scale, 0, shift, n);
}

static TARGET float k_max(const float *x, int64_t n)
{
	return row_max(x, n);
}

static ALWAYS_INLINE void wide_add(struct wide_sum *s, vf x)
{
	vd low, high;

	wide_split(x, &low, &high);
	s->low += low;
	s->high += high;
}

static TARGET double k_exp_total(const float *x, float from, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES)
		wide_add(&s, vf_exp(vf_load_at(x, i, n, -INFINITY) - from));
	return wide_total(&s);
}

/* ---- layer norm ---- */

/* y = x + r; returns the mean. */
static ALWAYS_INLINE float norm_sum(const struct kernel_norm *k, float *y, const float *x, const float *r)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < k->cols; i += LANES) {
		vf v = vf_load_at(x, i, k->cols, 0);

		if (r)
			v += vf_load_at(r, i, k->cols, 0);
		vf_store_at(y, i, k->cols, v);
		sum += v;
	}
	return vf_total(sum) / (float)k->cols;
}

static ALWAYS_INLINE float norm_rstd(const struct kernel_norm *k, const float *y, float mean)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < k->cols; i += LANES) {
		const vf d = vf_load_at(y, i, k->cols, mean) - mean;

		sum += d * d;
	}
	return 1.0f / sqrtf(vf_total(sum) / (float)k->cols + k->eps);
}

static TARGET void k_layer_norm(const struct kernel_norm *k)
{
	for (int64_t row = 0; row < k->rows; row++) {
		const int64_t at = row * k->cols;
		float *y = k->y + at;
		const float mean = norm_sum(k, y, k->x + at, k->r ? k->r + at : NULL);
		const float rstd = norm_rstd(k, y, mean);

		for (int64_t i = 0; i < k->cols; i += LANES) {
			const vf h = (vf_load_at(y, i, k->cols, mean) - mean) * rstd;

			if (k->xhat)
				vf_store_at(k->xhat + at, i, k->cols, h);
			vf_store_at(y, i, k->cols, h * vf_load_at(k->gamma, i, k->cols, 0) +
						   vf_load_at(k->beta, i, k->cols, 0));
		}
		if (k->rstd)
			k->rstd[row] = rstd;
	}
}

static ALWAYS_INLINE void norm_back_params(const struct kernel_norm_back *k, const float *dy, const float *xhat)
{
	for (int64_t i = 0; i < k->cols; i += LANES) {
		const vf g = vf_load_at(dy, i, k->cols, 0);

		if (k->dgamma)
			store_beta(k->dgamma, i, k->cols, 1, g * vf_load_at(xhat, i, k->cols, 0));
		if (k->dbeta)
			store_beta(k->dbeta, i, k->cols, 1, g);
	}
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma. */
static ALWAYS_INLINE void norm_back_row(const struct kernel_norm_back *k, int64_t row)
{
	const int64_t at = row * k->cols;
	const float *dy = k->dy + at, *xhat = k->xhat + at;
	const float rstd = k->rstd[row];
	vf sum = vf_set(0), dot = vf_set(0);
	float mean, along;

	for (int64_t i = 0; i < k->cols; i += LANES) {
		const vf g = vf_load_at(dy, i, k->cols, 0) * vf_load_at(k->gamma, i, k->cols, 0);

		sum += g;
		dot += g * vf_load_at(xhat, i, k->cols, 0);
	}
	mean = vf_total(sum) / (float)k->cols;
	along = vf_total(dot) / (float)k->cols;
	for (int64_t i = 0; i < k->cols; i += LANES) {
		const vf g = vf_load_at(dy, i, k->cols, 0) * vf_load_at(k->gamma, i, k->cols, 0);
		const vf d = rstd * (g - mean - vf_load_at(xhat, i, k->cols, 0) * along);

		if (k->dx)
			store_beta(k->dx + at, i, k->cols, k->dx_beta, d);
		if (k->dr)
			store_beta(k->dr + at, i, k->cols, k->dr_beta, d);
	}
}

static TARGET void k_layer_norm_back(const struct kernel_norm_back *k)
{
	for (int64_t row = 0; row < k->rows; row++) {
		if (k->dgamma || k->dbeta)
			norm_back_params(k, k->dy + row * k->cols, k->xhat + row * k->cols);
		if (k->dx || k->dr)
			norm_back_row(k, row);
	}
}

/* ---- sums and products ---- */

static TARGET void k_axpby(float *y, float beta, float s, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES) {
		vf v = s * vf_load_at(x, i, n, 0);

		if (beta != 0.0f)
			v += beta * vf_load_at(y, i, n, 0);
		vf_store_at(y, i, n, v);
	}
}

static TARGET void k_add(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
		vf_store_at(y, i, n, vf_load_at(a, i, n, 0) + vf_load_at(b, i, n, 0));
}

static TARGET void k_mul(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
		vf_store_at(y, i, n, vf_load_at(a, i, n, 0) * vf_load_at(b, i, n, 0));
}

static TARGET void k_add_rows(float *y, const float *b, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, y += cols)
		for (int64_t i = 0; i < cols; i += LANES)
			store_beta(y, i, cols, 1, vf_load_at(b, i, cols, 0));
}

static TARGET void k_column_sums(float *y, float beta, const float *x, int64_t rows, int64_t cols)
{
	for (int64_t i = 0; i < cols; i += LANES) {
		vf sum = vf_set(0);

		for (int64_t r = 0; r < rows; r++)
			sum += vf_load_at(x + r * cols, i, cols, 0);
		store_beta(y, i, cols, beta, sum);
	}
}

static TARGET float k_dot(const float *a, const float *b, int64_t n)
{
	return row_dot(a, b, n);
}

static TARGET double k_sum(const float *x, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES)
		wide_add(&s, vf_load_at(x, i, n, 0));
	return wide_total(&s);
}

static TARGET double k_sum_squares(const float *x, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES) {
		vd low, high;

		wide_split(vf_load_at(x, i, n, 0), &low, &high);
		s.low += low * low;
		s.high += high * high;
	}
	return wide_total(&s);
}

/* ---- dropout ---- */

enum { BLOCKS = 64, DRAWS = 8 };	/* blocks at a time; draws in a block */

/* Blocks of several rows, drawn together. */
struct draws {
	uint32_t c0[BLOCKS], c1[BLOCKS];
	uint32_t word[4][BLOCKS];
	uint16_t draw[BLOCKS * DRAWS + LANES];	/* a short run reads a whole vector */
};

/* The function of base/rng.h, for BLOCKS counters at once; a test holds it to that one. */
static ALWAYS_INLINE void draws_fill(struct draws *d, const struct kernel_drop *k)
{
	for (int i = 0; i < BLOCKS; i++) {
		uint32_t k0 = (uint32_t)k->key, k1 = (uint32_t)(k->key >> 32);
		uint32_t x0 = d->c0[i], x1 = d->c1[i], x2 = k->c2, x3 = k->c3;

		for (int round = 0; round < 10; round++) {
			const uint64_t p0 = (uint64_t)0xD2511F53u * x0, p1 = (uint64_t)0xCD9E8D57u * x2;

			x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
			x1 = (uint32_t)p1;
			x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
			x3 = (uint32_t)p0;
			k0 += 0x9E3779B9u;
			k1 += 0xBB67AE85u;
		}
		d->word[0][i] = x0;
		d->word[1][i] = x1;
		d->word[2][i] = x2;
		d->word[3][i] = x3;
	}
	memset(d->draw + BLOCKS * DRAWS, 0, LANES * sizeof(*d->draw));
	for (int i = 0; i < BLOCKS; i++)
		for (int w = 0; w < 4; w++) {
			d->draw[i * DRAWS + 2 * w] = (uint16_t)d->word[w][i];
			d->draw[i * DRAWS + 2 * w + 1] = (uint16_t)(d->word[w][i] >> 16);
		}
}

/* Counters of the next blocks from (row, block) on, BLOCKS at most; returns how many. */
static ALWAYS_INLINE int draws_plan(struct draws *d, const struct kernel_drop_run *o, int64_t row, int64_t block)
{
	const int64_t each = (o->cols + DRAWS - 1) / DRAWS;
	int n = 0;

	for (; row < o->rows && n < BLOCKS; row++, block = 0) {
		const uint32_t first = o->pos ? o->pos[row] * (uint32_t)each : o->c0 + (uint32_t)(row * each);

		for (; block < each && n < BLOCKS; block++, n++) {
			d->c0[n] = first + (uint32_t)block;
			d->c1[n] = o->example ? o->example[row] : o->one;
		}
	}
	for (int i = n; i < BLOCKS; i++)
		d->c0[i] = d->c1[i] = 0;
	return n;
}

/* n elements of one row. */
static ALWAYS_INLINE void drop_run(float *y, float beta, const float *x, const uint16_t *draw, uint32_t below,
				   float scale, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES) {
		const int64_t from = lanes_from(i, n);
		uint32_t wide[LANES];
		vu u;

		for (int64_t j = 0; j < LANES; j++)
			wide[j] = draw[from + j];
		memcpy(&u, wide, sizeof(u));
		store_beta(y, i, n, beta, vf_pick((vi)(u < below), vf_set(0), vf_load_at(x, i, n, 0) * scale));
	}
}

static TARGET void k_dropout(float *y, float beta, const float *x, const struct kernel_drop_run *o)
{
	const int64_t each = (o->cols + DRAWS - 1) / DRAWS;
	const uint32_t below = (uint32_t)lrintf(o->k->p * 65536.0f);
	const float scale = o->k->p < 1 ? 1.0f / (1.0f - o->k->p) : 0;
	int64_t row = 0, block = 0;
	struct draws d;

	while (row < o->rows && each) {
		const int n = draws_plan(&d, o, row, block);

		draws_fill(&d, o->k);
		for (int at = 0; at < n; ) {
			const int64_t run = each - block < n - at ? each - block : n - at;
			const int64_t col = block * DRAWS, end = (block + run) * DRAWS;
			const int64_t from = row * o->cols + col;

			drop_run(y + from, beta, x + from, d.draw + at * DRAWS, below, scale,
				 (end < o->cols ? end : o->cols) - col);
			at += (int)run;
			block += run;
			if (block == each) {
				block = 0;
				row++;
			}
		}
	}
}

/* ---- conversion ---- */

static TARGET void k_from_bf16(float *y, const uint16_t *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const uint32_t u = (uint32_t)x[i] << 16;

		memcpy(y + i, &u, sizeof(u));
	}
}

/*
 * The half's exponent and fraction, moved to where a float has them, are a float
 * that is 2^112 times too small; multiplying is exact and makes small halves
 * normal too. Infinity and NaN keep their exponent of ones instead.
 */
static TARGET void k_from_f16(float *y, const uint16_t *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const uint32_t h = x[i], sign = (h & 0x8000u) << 16, bits = (h & 0x7fffu) << 13;
		uint32_t u;
		float f;

		memcpy(&f, &bits, sizeof(f));
		f *= 0x1p112f;
		memcpy(&u, &f, sizeof(u));
		u = bits >= 0x0f800000u ? bits | 0x7f800000u : u;
		u |= sign;
		memcpy(y + i, &u, sizeof(u));
	}
}

/* ---- optimizers ---- */

static TARGET void k_adamw(float *p, float *m, float *v, const float *grad, const struct kernel_adamw *k, int64_t n)
{
	const double fix1 = 1 - pow(k->beta1, (double)k->step), fix2 = 1 - pow(k->beta2, (double)k->step);
	const float keep = (float)(1 - k->lr * k->decay), gain = (float)k->grad_scale;
	const float lerp = (float)(1 - k->beta1), beta2 = (float)k->beta2, rest2 = (float)(1 - k->beta2);
	const float stride = (float)(k->lr / fix1), root = (float)sqrt(fix2), eps = (float)k->eps;

	for (int64_t i = 0; i < n; i += LANES) {
		const vf g = vf_load_at(grad, i, n, 0) * gain;
		vf a = vf_load_at(m, i, n, 0), b = vf_load_at(v, i, n, 0);
		vf w = vf_load_at(p, i, n, 0) * keep;

		a += lerp * (g - a);
		b = beta2 * b + rest2 * (g * g);
		w -= stride * (a / (vf_sqrt(b) / root + eps));
		vf_store_at(m, i, n, a);
		vf_store_at(v, i, n, b);
		vf_store_at(p, i, n, w);
	}
}

static TARGET void k_sgd(float *p, float *velocity, const float *grad, const struct kernel_sgd *k, int64_t n)
{
	const float gain = (float)k->grad_scale, decay = (float)k->decay, momentum = (float)k->momentum;
	const float lr = (float)k->lr;
	const int moves = velocity && k->momentum != 0;

	for (int64_t i = 0; i < n; i += LANES) {
		vf w = vf_load_at(p, i, n, 0), b;
		vf g = vf_load_at(grad, i, n, 0) * gain + decay * w;

		if (moves) {
			b = k->step > 1 ? momentum * vf_load_at(velocity, i, n, 0) + g : g;
			vf_store_at(velocity, i, n, b);
			g = k->nesterov ? g + momentum * b : b;
		}
		w -= lr * g;
		vf_store_at(p, i, n, w);
	}
}

/* ---- matrix products: a tile of gemm_ref.c ---- */

enum {
	PARTS = KERNEL_TILE_COLS / LANES,	/* vectors that make up a row of the panel */
	TALL = LANES == 4 ? 3 : 6		/* rows at once: what fits the registers */
};

/* c = row + beta c, for one row of a tile; row is KERNEL_TILE_COLS long. */
static ALWAYS_INLINE void tile_store(float *c, float *row, const struct kernel_tile *t)
{
	const size_t size = (size_t)t->cols * sizeof(*c);

	if (t->beta != 0.0f) {
		float old[KERNEL_TILE_COLS] = { 0 };

		memcpy(old, c, size);
		for (int i = 0; i < KERNEL_TILE_COLS; i += LANES)
			vf_store(row + i, vf_load(row + i) + vf_load(old + i) * t->beta);
	}
	memcpy(c, row, size);
}

/*
 * `rows` is a constant in every call, and each loop over the sums has one level, so
 * that the compiler unrolls it and keeps them in registers: sum[i * PARTS + p].
 */
static ALWAYS_INLINE void tile_rows(const struct kernel_tile *t, int rows, const float *a, float *c)
{
	float out[TALL * KERNEL_TILE_COLS];
	vf sum[TALL * PARTS] = { 0 };

	for (int64_t k = 0; k < t->deep; k++) {
		const float *b = t->panel + k * KERNEL_TILE_COLS, *at = a + k * t->col;

		for (int s = 0; s < rows * PARTS; s++) {
			const vf old = sum[s];	/* here: a sanitizer's check must not part product and sum */

			sum[s] = old + vf_load(b + s % PARTS * LANES) * at[s / PARTS * t->row];
		}
	}
	for (int s = 0; s < rows * PARTS; s++)
		vf_store(out + s * LANES, sum[s] * t->alpha);
	for (int i = 0; i < rows; i++)
		tile_store(c + i * t->ldc, out + i * KERNEL_TILE_COLS, t);
}

static TARGET void k_tile(const struct kernel_tile *t, int64_t rows, const float *a, float *c)
{
	int64_t i = 0;

	for (; i + TALL <= rows; i += TALL)
		tile_rows(t, TALL, a + i * t->row, c + i * t->ldc);
	for (; i < rows; i++)
		tile_rows(t, 1, a + i * t->row, c + i * t->ldc);
}

/* ---- the table ---- */

#define KERNEL(name, params, args) .name = k_##name,
#define KERNEL_VALUE(type, name, params, args) .name = k_##name,
const struct kernel_table TABLE = {
	.isa = TABLE_ISA,
#include "tensor/kernel_list.h"
};
