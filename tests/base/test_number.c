/* Numbers as text: byte for byte what printf writes, for all sorts of them. */
#include "tests/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/number.h"
#include "base/rng.h"

enum { EACH = 40000 };

static const double odd[] = { 0,       0.00005,   0.00015, 0.00025, 0.5,     0.99995,
			      1.5,     2.5,       0.03125, 0.15625, 0.09375, 9.99995,
			      99999.5, 1e10,      1e11,    1e14,    123.456, 1e15,
			      1e16,    1e17,      1e22,    1e23,    1e300,   1e-4,
			      1e-5,    9.9999e-5, 1e-10,   9.9e-11, 1e-11,   DBL_MAX,
			      DBL_MIN, 5e-324,    0.1,     0.2,     0.3,     4.35 };

static char wrong[700];

static void compare(const char *want, const char *got, size_t n)
{
	if (!wrong[0] && (strcmp(want, got) != 0 || strlen(want) != n))
		snprintf(wrong, sizeof(wrong), "%.320s and not %.320s", got, want);
}

static void fixed(double v)
{
	char want[NUMBER_FIXED_SIZE], got[NUMBER_FIXED_SIZE];
	size_t n;

	snprintf(want, sizeof(want), "%.4f", v);
	n = number_fixed(v, got);
	compare(want, got, n);
}

/* The fewest digits that strtod reads as the same number. */
static void real(double v)
{
	char want[NUMBER_SIZE], got[NUMBER_SIZE];
	size_t n;

	if (!isfinite(v))
		return;
	for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(want, sizeof(want), "%.*g", digits, v);
		if (strtod(want, NULL) == v)
			break;
	}
	n = number_real(v, got);
	compare(want, got, n);
}

/* The number, the two beside it, and their negatives. */
static void around(double v)
{
	const double beside[] = { v, nextafter(v, (double)INFINITY), nextafter(v, 0) };

	for (size_t i = 0; i < COUNT(beside); i++) {
		fixed(beside[i]);
		fixed(-beside[i]);
		real(beside[i]);
		real(-beside[i]);
	}
}

static void says(const char *what)
{
	CHECK_NAMED(!wrong[0], wrong[0] ? wrong : what);
	wrong[0] = 0;
}

static double bits(uint64_t b)
{
	double v;

	memcpy(&v, &b, sizeof(v));
	return v;
}

static void reals(void)
{
	for (size_t i = 0; i < COUNT(odd); i++)
		around(odd[i]);
	says("odd ones");
	for (int e = -1074; e < 1024; e++)
		around(ldexp(1, e));
	says("powers of two and their neighbours");
	for (int e = -330; e < 309; e++) {
		char text[16];

		snprintf(text, sizeof(text), "1e%d", e);
		around(strtod(text, NULL));
	}
	says("powers of ten and their neighbours");
	fixed((double)NAN);
	fixed(-(double)NAN);
	fixed((double)INFINITY);
	fixed(-(double)INFINITY);
	says("what is no number");
}

static void ties(void)
{
	/* k / 2^5 ends in 5 at the fifth decimal: half way for every second k */
	for (int k = 0; k < EACH; k++) {
		fixed(ldexp(k, -5));
		fixed(-ldexp(k, -5));
		fixed(ldexp(k, -6) + 12345);
		real(ldexp(k, -5));
	}
	says("half way between two");
}

static void random_reals(void)
{
	struct rng r;

	rng_init(&r, 11, RNG_TEST, 0);
	for (int i = 0; i < EACH; i++) {
		const uint64_t b = (uint64_t)rng_u32(&r) << 32 | rng_u32(&r);
		const double part = (double)(b >> 11) * 0x1p-53;

		fixed(bits(b));
		real(bits(b));
		fixed((double)rng_normal(&r) * pow(10, (double)(i % 20) - 8));
		real((double)rng_normal(&r)); /* 24 bits, as a loss has them */
		around(part * pow(10, (double)(i % 30) - 12));
		real((double)(int64_t)(b >> 10) * 1e-6); /* a time */
		real(floor(part * 1e6) / 1e4);
	}
	says("at random");
}

static void wholes(void)
{
	static const int64_t some[] = { 0, 1, -1, 9, 10, 100, 4096, INT64_MAX, INT64_MIN };
	char want[32], got[NUMBER_SIZE];

	for (size_t i = 0; i < COUNT(some); i++) {
		for (int64_t by = -3; by <= 3; by++) {
			const int64_t v = (int64_t)((uint64_t)some[i] * 999 + (uint64_t)by);

			snprintf(want, sizeof(want), "%lld", (long long)v);
			compare(want, got, number_int(v, got));
		}
		snprintf(want, sizeof(want), "%lld", (long long)some[i]);
		compare(want, got, number_int(some[i], got));
	}
	says("whole ones");
}

int main(void)
{
	wholes();
	reals();
	ties();
	random_reals();
	return check_done();
}
