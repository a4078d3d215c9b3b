/*
 * Statistics against values computed apart: SciPy 1.17 (permutation_test over
 * all signs, binomtest, bootstrap), and where said by enumeration.
 */
#include "tests/check.h"

#include "base/array.h"
#include "base/stats.h"

static const struct {
	size_t n;
	double d[12], p;
} flips[] = {
	{ 1, { 0.5 }, 1 },
	{ 2, { 0.1, -0.1 }, 1 },
	{ 3, { 1, 2, 3 }, 0.25 },
	{ 3, { -1, -2, -3 }, 0.25 },
	{ 5, { 0.01, 0.02, -0.005, 0.013, 0.007 }, 0.125 },
	{ 5, { 0, 0, 0, 0, 0 }, 1 },
	{ 10, { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 }, 0.001953125 },
	/* many sums tie here but for rounding */
	{ 12, { 0.3, -0.2, 0.1, 0.4, -0.5, 0.6, 0.2, -0.1, 0.25, 0.35, -0.05, 0.15 }, 0.189453125 },
};

static void sign_flip(void)
{
	double d[STATS_PAIRS_MAX], p;

	for (size_t i = 0; i < COUNT(flips); i++)
		CHECK(!stats_sign_flip(flips[i].d, flips[i].n, &p) && p == flips[i].p);
	/* sums counted with whole numbers in Python */
	for (int i = 0; i < STATS_PAIRS_MAX; i++)
		d[i] = (i * 7919) % 23 - 9;
	CHECK(!stats_sign_flip(d, STATS_PAIRS_MAX, &p));
	CHECK(p == 0.16059498861432076);
	for (int i = 0; i < STATS_PAIRS_MAX; i++)
		d[i] = 1 + i;
	CHECK(!stats_sign_flip(d, STATS_PAIRS_MAX, &p));
	CHECK(p == stats_sign_flip_least(STATS_PAIRS_MAX));
	CHECK(stats_sign_flip_least(5) == 0.0625 && stats_sign_flip_least(1) == 1);
}

static const struct {
	int64_t b, c;
	double p;
} mcnemars[] = {
	{ 0, 0, 1 },
	{ 5, 5, 1 },
	{ 0, 1, 1 },
	{ 3, 0, 0.25 },
	{ 0, 6, 0.03125 },
	{ 1, 9, 0.021484375 },
	{ 10, 25, 0.016673847800120715 },
	{ 121, 59, 4.4344492637551645e-06 },
	{ 1500, 1700, 0.00043334035939974455 },
};

/* lgamma of a few thousand is good to 1e-15 of itself, 1e-11 of what its exponent gives. */
static void mcnemar(void)
{
	for (size_t i = 0; i < COUNT(mcnemars); i++)
		CHECK_NEAR(stats_mcnemar(mcnemars[i].b, mcnemars[i].c) / mcnemars[i].p, 1, 1e-10);
	CHECK(stats_mcnemar(0, 4000) >= 0);
}

static void bootstrap(void)
{
	static const double five[] = { 0.01, 0.02, -0.005, 0.013, 0.007 };
	static double many[1052];
	const struct stats_bootstrap how = { .resamples = 10000, .seed = 1, .level = 0.95 };
	const struct stats_bootstrap other = { .resamples = 10000, .seed = 2, .level = 0.95 };
	struct stats_interval a, b;

	/* All 5^5 resamples enumerated: 0.001 .. 0.0158; the limits are those of shares half a per cent off. */
	CHECK(!stats_bootstrap(five, COUNT(five), &how, &a));
	CHECK(a.lo >= 0.001 - 1e-12 && a.lo <= 0.0016 && a.hi >= 0.0154 && a.hi <= 0.016);
	CHECK(!stats_bootstrap(five, COUNT(five), &how, &b) && a.lo == b.lo && a.hi == b.hi);
	CHECK(!stats_bootstrap(flips[7].d, 12, &how, &a) &&
	      !stats_bootstrap(flips[7].d, 12, &other, &b));
	CHECK(a.lo != b.lo || a.hi != b.hi);
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = i < 121 ? 1 : i < 180 ? -1 : 0;
	/* SciPy with 200,000 resamples: 0.03422 .. 0.08365; a limit from 10,000 has an error of about 3e-4. */
	CHECK(!stats_bootstrap(many, COUNT(many), &how, &a));
	CHECK_NEAR(a.lo, 0.03422, 1.2e-3);
	CHECK_NEAR(a.hi, 0.08365, 1.2e-3);
}

/* By hand: the k-th smallest of n times n - k, no smaller than the one before. */
static void holm(void)
{
	const double p[] = { 0.01, 0.04, 0.03, 0.005 }, want[] = { 0.03, 0.06, 0.06, 0.02 };
	double some[] = { 0.5, NAN, 0.9, 0.02 }, got[4];

	CHECK(!stats_holm(p, COUNT(p), got));
	for (size_t i = 0; i < COUNT(p); i++)
		CHECK_NEAR(got[i], want[i], 1e-15);
	CHECK(!stats_holm(some, COUNT(some), some));
	CHECK_NEAR(some[0], 1, 0);
	CHECK(isnan(some[1]));
	CHECK_NEAR(some[2], 1, 0);
	CHECK_NEAR(some[3], 0.06, 1e-15);
	CHECK(!stats_holm(p, 0, got));
}

static void moments(void)
{
	const double x[] = { 0.01, 0.02, -0.005, 0.013, 0.007 };

	CHECK_NEAR(stats_mean(x, 5), 0.009, 1e-17);
	CHECK_NEAR(stats_stdev(x, 5), 0.009192388155425118, 1e-16);
	CHECK(isnan(stats_mean(x, 0)) && isnan(stats_stdev(x, 1)));
}

int main(void)
{
	sign_flip();
	mcnemar();
	bootstrap();
	holm();
	moments();
	return check_done();
}
