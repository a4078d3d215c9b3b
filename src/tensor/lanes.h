#ifndef TENSOR_LANES_H
#define TENSOR_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/clones.h"

/*
 * Sixteen numbers at once, in the vector types that gcc and clang share. A
 * kernel runs whole vectors only: the end of an array is copied into one that
 * is filled up, so an element meets the same instructions wherever it stands.
 */
enum { LANES = 16 };

typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef float vf_half __attribute__((vector_size(32)));
typedef double vd __attribute__((vector_size(64)));

static ALWAYS_INLINE vf vf_set(float s)
{
	return s - (vf){ 0 };
}

static ALWAYS_INLINE vf vf_load(const float *x)
{
	vf v;

	memcpy(&v, x, sizeof(v));
	return v;
}

static ALWAYS_INLINE void vf_store(float *y, vf v)
{
	memcpy(y, &v, sizeof(v));
}

/* The first n < LANES numbers, the rest `fill`. */
static ALWAYS_INLINE vf vf_load_part(const float *x, int64_t n, float fill)
{
	float part[LANES];

	for (int i = 0; i < LANES; i++)
		part[i] = fill;
	memcpy(part, x, (size_t)n * sizeof(*x));
	return vf_load(part);
}

static ALWAYS_INLINE void vf_store_part(float *y, vf v, int64_t n)
{
	float part[LANES];

	vf_store(part, v);
	memcpy(y, part, (size_t)n * sizeof(*y));
}

/* n >= LANES: all of them. */
static ALWAYS_INLINE vf vf_load_up_to(const float *x, int64_t n, float fill)
{
	return n >= LANES ? vf_load(x) : vf_load_part(x, n, fill);
}

static ALWAYS_INLINE void vf_store_up_to(float *y, vf v, int64_t n)
{
	if (n >= LANES)
		vf_store(y, v);
	else
		vf_store_part(y, v, n);
}

/* Where m is all ones a, where it is zero b. */
static ALWAYS_INLINE vf vf_pick(vi m, vf a, vf b)
{
	return (vf)((m & (vi)a) | (~m & (vi)b));
}

/* NaN stays NaN. */
static ALWAYS_INLINE vf vf_clamp(vf x, float low, float high)
{
	x = vf_pick(x < vf_set(low), vf_set(low), x);
	return vf_pick(x > vf_set(high), vf_set(high), x);
}

static ALWAYS_INLINE vf vf_abs(vf x)
{
	return (vf)((vu)x & 0x7fffffffu);
}

static ALWAYS_INLINE vf vf_sign_of(vf magnitude, vf sign)
{
	return (vf)((vu)magnitude | ((vu)sign & 0x80000000u));
}

static ALWAYS_INLINE vf vf_sqrt(vf x)
{
	float v[LANES];

	vf_store(v, x);
	for (int i = 0; i < LANES; i++)
		v[i] = sqrtf(v[i]);
	return vf_load(v);
}

/* The sum and the maximum of the lanes, halves upon halves: always the same tree. */
static ALWAYS_INLINE float vf_total(vf x)
{
	float v[LANES];

	vf_store(v, x);
	for (int half = LANES / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			v[i] += v[i + half];
	return v[0];
}

static ALWAYS_INLINE vf vf_larger(vf a, vf b)
{
	return vf_pick(b > a, b, a);
}

static ALWAYS_INLINE float vf_top(vf x)
{
	float v[LANES];

	vf_store(v, x);
	for (int half = LANES / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			v[i] = v[i + half] > v[i] ? v[i + half] : v[i];
	return v[0];
}

/* Sums in double: 16 lanes in two vectors. */
struct wide_sum {
	vd low, high;
};

static ALWAYS_INLINE void wide_split(vf x, vd *ret_low, vd *ret_high)
{
	vf_half half[2];

	memcpy(half, &x, sizeof(half));
	*ret_low = __builtin_convertvector(half[0], vd);
	*ret_high = __builtin_convertvector(half[1], vd);
}

static ALWAYS_INLINE double wide_total(const struct wide_sum *s)
{
	const vd both = s->low + s->high;
	double v[LANES / 2];

	memcpy(v, &both, sizeof(v));
	for (int half = LANES / 4; half; half /= 2)
		for (int i = 0; i < half; i++)
			v[i] += v[i + half];
	return v[0];
}

/*
 * exp: x = n ln2 + r with |r| <= ln2 / 2, a polynomial of degree 6 for e^r, and
 * 2^n in two factors, so that results below the smallest normal number and above
 * the largest come out as they should.
 */
static ALWAYS_INLINE vf vf_exp(vf x)
{
	const float round = 0x1.8p23f;		/* adding it leaves the integer in the low bits */
	const vf at = vf_clamp(x, -104.0f, 89.0f);
	const vf t = at * 0x1.715476p0f + round;
	const vf n = t - round;
	const vf r = (at - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
	const vi k = (vi)((vu)t - 0x4b400000u);
	const vi half = k >> 1;
	vf p = vf_set(0x1.6a2318p-10f);

	p = p * r + 0x1.123a8ep-7f;
	p = p * r + 0x1.5558f6p-5f;
	p = p * r + 0x1.555490p-3f;
	p = p * r + 0x1.fffffcp-2f;
	p = (p * r) * r + r + 1.0f;
	return p * (vf)(((vu)half + 127u) << 23) * (vf)(((vu)k - (vu)half + 127u) << 23);
}

/* exp(-z^2) g(z), g a polynomial in 1 / (1 + 0.32 z): the complementary error function of z >= 0. */
static ALWAYS_INLINE vf vf_erfc_from(vf z, vf exp_of_minus_z2)
{
	const vf t = 1.0f / (1.0f + 0x1.47ae14p-2f * z);
	vf p = vf_set(-0x1.65d8bap-3f);

	p = p * t + 0x1.6261b6p-1f;
	p = p * t + -0x1.7a5a2cp-1f;
	p = p * t + 0x1.855ee2p-1f;
	p = p * t + -0x1.24353ap-3f;
	p = p * t + 0x1.0521d0p-2f;
	p = p * t + 0x1.56998ep-3f;
	p = p * t + 0x1.73971ep-3f;
	return p * t * exp_of_minus_z2;
}

/* Near zero an odd polynomial keeps the relative error small; elsewhere 1 - erfc. */
static ALWAYS_INLINE vf vf_erf(vf x)
{
	const vf z = vf_clamp(vf_abs(x), 0, 10.0f), s = z * z;
	const vf far = vf_sign_of(1.0f - vf_erfc_from(z, vf_exp(-s)), x);
	vf p = vf_set(-0x1.6cbccap-11f);

	p = p * s + 0x1.50cb24p-8f;
	p = p * s + -0x1.b7d372p-6f;
	p = p * s + 0x1.ce2c92p-4f;
	p = p * s + -0x1.812740p-2f;
	p = p * s + 0x1.20dd76p0f;
	return vf_pick(z < vf_set(0.7f), p * x, far);
}

/* Near zero an odd polynomial; elsewhere 1 - 2 / (exp(2 |x|) + 1). */
static ALWAYS_INLINE vf vf_tanh(vf x)
{
	const vf a = vf_clamp(vf_abs(x), 0, 20.0f), s = a * a;
	const vf far = 1.0f - 2.0f / (vf_exp(a + a) + 1.0f);
	vf p = vf_set(-0x1.82585ap-8f);

	p = p * s + 0x1.54b8a2p-6f;
	p = p * s + -0x1.b898dep-5f;
	p = p * s + 0x1.1109aep-3f;
	p = p * s + -0x1.55553ep-2f;
	return vf_sign_of(vf_pick(a < vf_set(0.6f), p * s * a + a, far), x);
}

static ALWAYS_INLINE vf vf_sigmoid(vf x)
{
	return 1.0f / (1.0f + vf_exp(-x));
}

#endif
