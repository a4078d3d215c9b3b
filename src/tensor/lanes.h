#ifndef TENSOR_LANES_H
#define TENSOR_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/*
 * Several numbers at once, in the vector types that gcc and clang share: the file
 * that includes this says how wide they are (LANE_BYTES) and for which processor
 * (TARGET). A kernel runs whole vectors only, so an element meets the same
 * instructions wherever it stands.
 */
#define ALWAYS_INLINE inline __attribute__((always_inline)) TARGET

enum { LANES = LANE_BYTES / 4, LANES_MOST = 16 };

typedef float vf __attribute__((vector_size(LANE_BYTES)));
typedef int32_t vi __attribute__((vector_size(LANE_BYTES)));
typedef uint32_t vu __attribute__((vector_size(LANE_BYTES)));
typedef float vf_half __attribute__((vector_size(LANE_BYTES / 2)));
typedef double vd __attribute__((vector_size(LANE_BYTES)));

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

/* Where m is all ones a, where it is zero b. */
static ALWAYS_INLINE vf vf_pick(vi m, vf a, vf b)
{
	return (vf)((m & (vi)a) | (~m & (vi)b));
}

/*
 * The vector that begins at i of an array of n. The last one, when it is not whole,
 * is read from n - LANES on, with `fill` for what came before i; so its numbers
 * stand in the upper lanes. An array shorter than one vector is copied.
 */
static ALWAYS_INLINE int64_t lanes_from(int64_t i, int64_t n)
{
	return i + LANES <= n || !i ? i : n - LANES;
}

/* All ones in the lanes that a last vector from i on adds. */
static ALWAYS_INLINE vi lanes_new(int64_t i, int64_t n)
{
	static const int32_t number[LANES_MOST] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	vi at;

	memcpy(&at, number, sizeof(at));
	return at >= (int32_t)(i - (n - LANES));
}

static ALWAYS_INLINE vf vf_load_at(const float *x, int64_t i, int64_t n, float fill)
{
	float part[LANES];

	if (i + LANES <= n)
		return vf_load(x + i);
	if (i)
		return vf_pick(lanes_new(i, n), vf_load(x + n - LANES), vf_set(fill));
	for (int k = 0; k < LANES; k++)
		part[k] = k < n ? x[k] : fill;
	return vf_load(part);
}

static ALWAYS_INLINE void vf_store_at(float *y, int64_t i, int64_t n, vf v)
{
	float part[LANES];

	if (i + LANES <= n) {
		vf_store(y + i, v);
	} else if (i) {
		vf_store(y + n - LANES, vf_pick(lanes_new(i, n), v, vf_load(y + n - LANES)));
	} else {
		vf_store(part, v);
		memcpy(y, part, (size_t)n * sizeof(*y));
	}
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

/* Sums in double: all lanes in two vectors. */
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
