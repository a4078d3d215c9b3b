/*
 * The elementwise kernels. Each is one pass of whole vectors (tensor/lanes.h)
 * and is built once for each instruction set (tensor/clones.h).
 */
#include "tensor/kernel.h"

#include <math.h>

#include "base/rng.h"
#include "tensor/lanes.h"

/* ---- functions of one number ---- */

/*
 * A function cannot be passed to a clone without losing the clone's instructions,
 * so the loops around the activations are macros.
 */
#define MAP(name, f) \
	CLONES void name(float *y, const float *x, int64_t n) \
	{ \
		for (int64_t i = 0; i < n; i += LANES) { \
			const vf v = vf_load_up_to(x + i, n - i, 0); \
\
			vf_store_up_to(y + i, f(v), n - i); \
		} \
	}

/* f(x) is the derivative. */
#define MAP_BACK(name, f) \
	CLONES void name(float *dx, float beta, const float *x, const float *dy, int64_t n) \
	{ \
		for (int64_t i = 0; i < n; i += LANES) { \
			const vf v = vf_load_up_to(x + i, n - i, 0); \
			const vf g = vf_load_up_to(dy + i, n - i, 0) * f(v); \
\
			store_beta(dx + i, beta, g, n - i); \
		} \
	}

/* y = beta y + v, with beta 0 or 1. */
static ALWAYS_INLINE void store_beta(float *y, float beta, vf v, int64_t n)
{
	if (beta != 0.0f)
		v += vf_load_up_to(y, n, 0);
	vf_store_up_to(y, v, n);
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

MAP(kernel_exp, vf_exp)
MAP(kernel_tanh, vf_tanh)
MAP(kernel_erf, vf_erf)
MAP(kernel_gelu, gelu)
MAP(kernel_gelu_tanh, gelu_tanh)
MAP(kernel_silu, silu)
MAP(kernel_relu, relu)
MAP_BACK(kernel_gelu_back, gelu_slope)
MAP_BACK(kernel_gelu_tanh_back, gelu_tanh_slope)
MAP_BACK(kernel_silu_back, silu_slope)
MAP_BACK(kernel_relu_back, relu_slope)
MAP_BACK(kernel_tanh_back, tanh_slope)

/* ---- softmax ---- */

static ALWAYS_INLINE float row_max(const float *x, int64_t n)
{
	vf top = vf_set(-INFINITY);

	for (int64_t i = 0; i < n; i += LANES)
		top = vf_larger(top, vf_load_up_to(x + i, n - i, -INFINITY));
	return vf_top(top);
}

/* y = exp(scale (x - from) - shift). Lanes past the end hold exp(-infinity), which is 0. */
static ALWAYS_INLINE float row_exp(float *y, const float *x, float scale, float from, float shift, int64_t n)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < n; i += LANES) {
		const vf e = vf_exp((vf_load_up_to(x + i, n - i, -INFINITY) - from) * scale - shift);

		vf_store_up_to(y + i, e, n - i);
		sum += e;
	}
	return vf_total(sum);
}

CLONES void kernel_softmax(float *y, const float *x, float scale, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
		const float sum = row_exp(y, x, scale, row_max(x, cols), 0, cols), part = 1.0f / sum;

		for (int64_t i = 0; i < cols; i += LANES)
			vf_store_up_to(y + i, vf_load_up_to(y + i, cols - i, 0) * part, cols - i);
	}
}

static ALWAYS_INLINE float row_dot(const float *a, const float *b, int64_t n)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < n; i += LANES)
		sum += vf_load_up_to(a + i, n - i, 0) * vf_load_up_to(b + i, n - i, 0);
	return vf_total(sum);
}

CLONES void kernel_softmax_back(float *dx, const float *y, const float *dy, float scale, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, dx += cols, y += cols, dy += cols) {
		const float mean = row_dot(y, dy, cols);

		for (int64_t i = 0; i < cols; i += LANES) {
			const vf p = vf_load_up_to(y + i, cols - i, 0), g = vf_load_up_to(dy + i, cols - i, 0);

			vf_store_up_to(dx + i, scale * p * (g - mean), cols - i);
		}
	}
}

CLONES float kernel_exp_sum(float *y, const float *x, float scale, float shift, int64_t n)
{
	return row_exp(y, x, scale, 0, shift, n);
}

CLONES float kernel_max(const float *x, int64_t n)
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

CLONES static double exp_total(const float *x, float from, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES)
		wide_add(&s, vf_exp(vf_load_up_to(x + i, n - i, -INFINITY) - from));
	return wide_total(&s);
}

double kernel_log_sum_exp(const float *x, int64_t n)
{
	const float top = kernel_max(x, n);

	return (double)top + log(exp_total(x, top, n));
}

/* ---- layer norm ---- */

/* y = x + r; returns the mean. */
static ALWAYS_INLINE float norm_sum(const struct kernel_norm *k, float *y, const float *x, const float *r)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < k->cols; i += LANES) {
		const int64_t left = k->cols - i;
		vf v = vf_load_up_to(x + i, left, 0);

		if (r)
			v += vf_load_up_to(r + i, left, 0);
		vf_store_up_to(y + i, v, left);
		sum += v;
	}
	return vf_total(sum) / (float)k->cols;
}

static ALWAYS_INLINE float norm_rstd(const struct kernel_norm *k, const float *y, float mean)
{
	vf sum = vf_set(0);

	for (int64_t i = 0; i < k->cols; i += LANES) {
		const vf d = vf_load_up_to(y + i, k->cols - i, mean) - mean;

		sum += d * d;
	}
	return 1.0f / sqrtf(vf_total(sum) / (float)k->cols + k->eps);
}

CLONES void kernel_layer_norm(const struct kernel_norm *k)
{
	for (int64_t row = 0; row < k->rows; row++) {
		const int64_t at = row * k->cols;
		float *y = k->y + at;
		const float mean = norm_sum(k, y, k->x + at, k->r ? k->r + at : NULL);
		const float rstd = norm_rstd(k, y, mean);

		for (int64_t i = 0; i < k->cols; i += LANES) {
			const int64_t left = k->cols - i;
			const vf h = (vf_load_up_to(y + i, left, mean) - mean) * rstd;

			if (k->xhat)
				vf_store_up_to(k->xhat + at + i, h, left);
			vf_store_up_to(y + i, h * vf_load_up_to(k->gamma + i, left, 0) +
				       vf_load_up_to(k->beta + i, left, 0), left);
		}
		if (k->rstd)
			k->rstd[row] = rstd;
	}
}

static ALWAYS_INLINE void norm_back_params(const struct kernel_norm_back *k, const float *dy, const float *xhat)
{
	for (int64_t i = 0; i < k->cols; i += LANES) {
		const int64_t left = k->cols - i;
		const vf g = vf_load_up_to(dy + i, left, 0);

		if (k->dgamma)
			store_beta(k->dgamma + i, 1, g * vf_load_up_to(xhat + i, left, 0), left);
		if (k->dbeta)
			store_beta(k->dbeta + i, 1, g, left);
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
		const int64_t left = k->cols - i;
		const vf g = vf_load_up_to(dy + i, left, 0) * vf_load_up_to(k->gamma + i, left, 0);

		sum += g;
		dot += g * vf_load_up_to(xhat + i, left, 0);
	}
	mean = vf_total(sum) / (float)k->cols;
	along = vf_total(dot) / (float)k->cols;
	for (int64_t i = 0; i < k->cols; i += LANES) {
		const int64_t left = k->cols - i;
		const vf g = vf_load_up_to(dy + i, left, 0) * vf_load_up_to(k->gamma + i, left, 0);
		const vf d = rstd * (g - mean - vf_load_up_to(xhat + i, left, 0) * along);

		if (k->dx)
			store_beta(k->dx + at + i, k->dx_beta, d, left);
		if (k->dr)
			store_beta(k->dr + at + i, k->dr_beta, d, left);
	}
}

CLONES void kernel_layer_norm_back(const struct kernel_norm_back *k)
{
	for (int64_t row = 0; row < k->rows; row++) {
		if (k->dgamma || k->dbeta)
			norm_back_params(k, k->dy + row * k->cols, k->xhat + row * k->cols);
		if (k->dx || k->dr)
			norm_back_row(k, row);
	}
}

/* ---- sums and products ---- */

CLONES void kernel_axpby(float *y, float beta, float s, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES) {
		vf v = s * vf_load_up_to(x + i, n - i, 0);

		if (beta != 0.0f)
			v += beta * vf_load_up_to(y + i, n - i, 0);
		vf_store_up_to(y + i, v, n - i);
	}
}

CLONES void kernel_add(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
		vf_store_up_to(y + i, vf_load_up_to(a + i, n - i, 0) + vf_load_up_to(b + i, n - i, 0), n - i);
}

CLONES void kernel_mul(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
		vf_store_up_to(y + i, vf_load_up_to(a + i, n - i, 0) * vf_load_up_to(b + i, n - i, 0), n - i);
}

CLONES void kernel_add_rows(float *y, const float *b, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++, y += cols)
		for (int64_t i = 0; i < cols; i += LANES)
			store_beta(y + i, 1, vf_load_up_to(b + i, cols - i, 0), cols - i);
}

void kernel_set_rows(float *y, const float *b, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++)
		memcpy(y + r * cols, b, (size_t)cols * sizeof(*y));
}

CLONES void kernel_column_sums(float *y, float beta, const float *x, int64_t rows, int64_t cols)
{
	for (int64_t i = 0; i < cols; i += LANES) {
		vf sum = vf_set(0);

		for (int64_t r = 0; r < rows; r++)
			sum += vf_load_up_to(x + r * cols + i, cols - i, 0);
		store_beta(y + i, beta, sum, cols - i);
	}
}

CLONES float kernel_dot(const float *a, const float *b, int64_t n)
{
	return row_dot(a, b, n);
}

CLONES double kernel_sum(const float *x, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES)
		wide_add(&s, vf_load_up_to(x + i, n - i, 0));
	return wide_total(&s);
}

CLONES double kernel_sum_squares(const float *x, int64_t n)
{
	struct wide_sum s = { 0 };

	for (int64_t i = 0; i < n; i += LANES) {
		vd low, high;

		wide_split(vf_load_up_to(x + i, n - i, 0), &low, &high);
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
	uint16_t draw[BLOCKS * DRAWS];
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
	for (int i = 0; i < BLOCKS; i++)
		for (int w = 0; w < 4; w++) {
			d->draw[i * DRAWS + 2 * w] = (uint16_t)d->word[w][i];
			d->draw[i * DRAWS + 2 * w + 1] = (uint16_t)(d->word[w][i] >> 16);
		}
}

struct dropout {
	const struct kernel_drop *k;
	const uint32_t *example, *pos;	/* a row's, or NULL: then `one` and the blocks go on from c0 */
	uint32_t one, c0;
	int64_t rows, cols;
};

/* Counters of the next blocks from (row, block) on, BLOCKS at most; returns how many. */
static ALWAYS_INLINE int draws_plan(struct draws *d, const struct dropout *o, int64_t row, int64_t block)
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
		const int64_t left = n - i < LANES ? n - i : LANES;
		uint32_t wide[LANES] = { 0 };
		vu u;

		for (int64_t j = 0; j < left; j++)
			wide[j] = draw[i + j];
		memcpy(&u, wide, sizeof(u));
		store_beta(y + i, beta, vf_pick((vi)(u < below), vf_set(0), vf_load_up_to(x + i, left, 0) * scale),
			   left);
	}
}

CLONES static void dropout(float *y, float beta, const float *x, const struct dropout *o)
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

uint32_t kernel_drop_site(uint32_t site)
{
	return (uint32_t)RNG_DROPOUT << 24 | (site & 0xffffffu);
}

void kernel_dropout_rows(float *y, float beta, const float *x, const struct kernel_drop *d, const uint32_t *example,
			 const uint32_t *pos, int64_t rows, int64_t cols)
{
	const struct dropout o = { .k = d, .example = example, .pos = pos, .rows = rows, .cols = cols };

	dropout(y, beta, x, &o);
}

void kernel_dropout_block(float *y, float beta, const float *x, const struct kernel_drop *d, uint32_t example,
			  uint32_t c0, int64_t rows, int64_t cols)
{
	const struct dropout o = { .k = d, .one = example, .c0 = c0, .rows = rows, .cols = cols };

	dropout(y, beta, x, &o);
}

/* ---- conversion ---- */

CLONES void kernel_from_bf16(float *y, const uint16_t *x, int64_t n)
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
CLONES void kernel_from_f16(float *y, const uint16_t *x, int64_t n)
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

CLONES void kernel_adamw(float *p, float *m, float *v, const float *grad, const struct kernel_adamw *k, int64_t n)
{
	const double fix1 = 1 - pow(k->beta1, (double)k->step), fix2 = 1 - pow(k->beta2, (double)k->step);
	const float keep = (float)(1 - k->lr * k->decay), gain = (float)k->grad_scale;
	const float lerp = (float)(1 - k->beta1), beta2 = (float)k->beta2, rest2 = (float)(1 - k->beta2);
	const float stride = (float)(k->lr / fix1), root = (float)sqrt(fix2), eps = (float)k->eps;

	for (int64_t i = 0; i < n; i += LANES) {
		const int64_t left = n - i;
		const vf g = vf_load_up_to(grad + i, left, 0) * gain;
		vf a = vf_load_up_to(m + i, left, 0), b = vf_load_up_to(v + i, left, 0);
		vf w = vf_load_up_to(p + i, left, 0) * keep;

		a += lerp * (g - a);
		b = beta2 * b + rest2 * (g * g);
		w -= stride * (a / (vf_sqrt(b) / root + eps));
		vf_store_up_to(m + i, a, left);
		vf_store_up_to(v + i, b, left);
		vf_store_up_to(p + i, w, left);
	}
}

CLONES void kernel_sgd(float *p, float *velocity, const float *grad, const struct kernel_sgd *k, int64_t n)
{
	const float gain = (float)k->grad_scale, decay = (float)k->decay, momentum = (float)k->momentum;
	const float lr = (float)k->lr;
	const int moves = velocity && k->momentum != 0;

	for (int64_t i = 0; i < n; i += LANES) {
		const int64_t left = n - i;
		vf w = vf_load_up_to(p + i, left, 0), b;
		vf g = vf_load_up_to(grad + i, left, 0) * gain + decay * w;

		if (moves) {
			b = k->step > 1 ? momentum * vf_load_up_to(velocity + i, left, 0) + g : g;
			vf_store_up_to(velocity + i, b, left);
			g = k->nesterov ? g + momentum * b : b;
		}
		w -= lr * g;
		vf_store_up_to(p + i, w, left);
	}
}

const char *kernel_isa(void)
{
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12 && \
	!defined(CLONES_SANITIZED)
	if (__builtin_cpu_supports("x86-64-v4"))
		return "avx512";
	if (__builtin_cpu_supports("x86-64-v3"))
		return "avx2";
#endif
	return "baseline";
}
