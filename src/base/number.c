/*
 * Numbers as text.
 *
 * A double is m 2^e with whole m below 2^53. Times 10^k it is m 5^k 2^(e+k):
 * a whole number of at most 128 bits where k is small, and a shift. So digits
 * are cut off with the remainder in hand and rounded as printf rounds, ties to
 * even. What is too large or too small for that goes through printf.
 */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	DECIMALS = 4,
	UNITS = 10000,       /* 10^DECIMALS */
	FIVES = 625,         /* 5^DECIMALS */
	DIGITS_SURE = 15,    /* as many survive being read, in the normal range */
	DIGITS_MOST = 17,    /* as many tell every double from its neighbours */
	EXPONENT_LEAST = -10 /* of ten[] */
};

/* From 1e-10 on 5^26 is the largest power needed, which is below 2^61; below 1e15 a shift is left. */
static const double ten[] = { 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2,
			      1e-1,  1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
			      1e8,   1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

/* |v| = m 2^e, of a finite v. */
static uint64_t split(double v, int *ret_e)
{
	const uint64_t one = (uint64_t)1 << (DBL_MANT_DIG - 1);
	uint64_t bits;
	int x;

	memcpy(&bits, &v, sizeof(bits));
	x = (int)(bits / one) & 0x7ff;
	*ret_e = (x ? x : 1) + DBL_MIN_EXP - 1 - DBL_MANT_DIG;
	return bits % one + (x ? one : 0);
}

/* In decimal, with zeros in front up to so many digits. */
static size_t put_whole(uint64_t v, size_t least, char *ret)
{
	char text[24];
	size_t at = sizeof(text);

	for (; v || sizeof(text) - at < least; v /= 10)
		text[--at] = (char)('0' + v % 10);
	memcpy(ret, text + at, sizeof(text) - at);
	return sizeof(text) - at;
}

size_t number_int(int64_t v, char ret[NUMBER_SIZE])
{
	size_t n = 0;

	if (v < 0)
		ret[n++] = '-';
	n += put_whole(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 1, ret + n);
	ret[n] = 0;
	return n;
}

/* --- so many decimals -------------------------------------------------------------------- */

/* x / 2^s, rounded; x is below 2^63. */
static uint64_t shift_out(uint64_t x, int s)
{
	uint64_t whole, rest, half;

	if (s > 63)
		return 0;
	whole = x >> s;
	rest = x - (whole << s);
	half = (uint64_t)1 << (s - 1);
	return whole + (rest > half || (rest == half && whole % 2));
}

size_t number_fixed(double v, char ret[NUMBER_FIXED_SIZE])
{
	uint64_t units;
	size_t n = 0;
	int e;

	if (!(fabs(v) < 1e11)) /* above, nothing may be left to shift */
		return (size_t)snprintf(ret, NUMBER_FIXED_SIZE, "%.*f", DECIMALS, v);
	units = split(v, &e) * FIVES;
	units = shift_out(units, -(e + DECIMALS));
	if (signbit(v))
		ret[n++] = '-';
	n += put_whole(units / UNITS, 1, ret + n);
	ret[n++] = '.';
	n += put_whole(units % UNITS, DECIMALS, ret + n);
	ret[n] = 0;
	return n;
}

/* --- as few digits as say it ------------------------------------------------------------- */

static size_t real_printf(double v, char ret[NUMBER_SIZE])
{
	char text[NUMBER_SIZE];
	size_t n = 0;

	/* below the normal range fewer digits survive */
	for (int digits = fabs(v) < DBL_MIN ? 1 : DIGITS_SURE; digits <= DIGITS_MOST; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	/* whatever the locale writes for the decimal point, here it is a dot */
	for (const char *p = text; *p; p++) {
		if (strchr("0123456789+-e", *p))
			ret[n++] = *p;
		else if (!n || ret[n - 1] != '.')
			ret[n++] = '.';
	}
	ret[n] = 0;
	return n;
}

/* high 2^64 + low = a b */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *ret_low)
{
	const uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
	const uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), more = a0 * b1 + (uint32_t)mid;

	*ret_low = more << 32 | (uint32_t)low;
	return a1 * b1 + (mid >> 32) + (more >> 32);
}

/*
 * v = m 2^e, rounded to a whole number of 10^-point. Is that read as v again?
 * Scaled by 10^point / 2^(e+point), v is m 5^point, and its neighbours are
 * 5^point away; half of that below a power of two. That is odd: no ties.
 */
static bool round_to(uint64_t m, int e, int point, uint64_t fives, uint64_t *ret)
{
	const int s = -(e + point);
	const uint64_t unit = (uint64_t)1 << s;
	uint64_t low;
	const uint64_t high = multiply(m, fives, &low);
	const uint64_t whole = high << (64 - s) | low >> s, rest = low & (unit - 1);
	const bool up = rest > unit / 2 || (rest == unit / 2 && whole % 2);
	const bool near = !up && m == (uint64_t)1 << (DBL_MANT_DIG - 1);

	*ret = whole + up;
	return (up ? unit - rest : rest) * (near ? 4 : 2) < fives;
}

/* digits 10^-point as %g lays it out. */
static size_t lay_out(uint64_t digits, int point, char *ret)
{
	char text[24];
	const int n = (int)put_whole(digits, 1, text), x = n - 1 - point;
	const int before = x < -4 ? 1 : x < 0 ? 0 : x + 1; /* the decimal point */
	size_t at = 0;

	if (!before)
		ret[at++] = '0';
	for (int i = 0; i < before; i++)
		ret[at++] = i < n ? text[i] : '0';
	if (n > before)
		ret[at++] = '.';
	for (int i = x; !before && i < -1; i++)
		ret[at++] = '0';
	for (int i = before; i < n; i++)
		ret[at++] = text[i];
	if (x < -4) {
		ret[at++] = 'e';
		ret[at++] = '-';
		at += put_whole((uint64_t)-x, 2, ret + at);
	}
	ret[at] = 0;
	return at;
}

size_t number_real(double v, char ret[NUMBER_SIZE])
{
	const double size = fabs(v);
	uint64_t m, digits, fives = 1;
	int e, x = EXPONENT_LEAST, point;

	if (!(size < ten[COUNT(ten) - 1]) || (v == 0 && signbit(v)))
		return real_printf(v, ret);
	if (v == (double)(int64_t)v)
		return number_int((int64_t)v, ret);
	if (size < ten[0])
		return real_printf(v, ret);
	if (signbit(v))
		*ret++ = '-';
	m = split(v, &e);
	while (size >= ten[x + 1 - EXPONENT_LEAST])
		x++;
	point = DIGITS_SURE - 1 - x;
	for (int i = 0; i < point; i++)
		fives *= 5;
	while (!round_to(m, e, point, fives, &digits)) {
		fives *= 5;
		point++;
	}
	for (; digits % 10 == 0; digits /= 10)
		point--;
	return signbit(v) + lay_out(digits, point, ret);
}
