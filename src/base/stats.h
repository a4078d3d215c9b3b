#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stddef.h>
#include <stdint.h>

/* What may be said of a difference between two ways of training. */

double stats_mean(const double *x, size_t n);  /* NAN of nothing */
double stats_stdev(const double *x, size_t n); /* of a sample, divided by n - 1; NAN below two */

/*
 * The exact paired sign-flip test, two-sided: if neither way were better, each
 * difference d could as well be -d. p is the share of the 2^n ways to choose
 * signs whose sum lies at least as far from zero as the one that was measured.
 * 0 < n <= STATS_PAIRS_MAX.
 */
enum { STATS_PAIRS_MAX = 32 };
int stats_sign_flip(const double *d, size_t n, double *ret_p);
double stats_sign_flip_least(size_t n); /* no n differences can have a smaller p: 2^(1-n) */

/*
 * McNemar's exact test, two-sided: of the examples that only one of two gets
 * right, is each side's share a half? b and c count them.
 */
double stats_mcnemar(int64_t b, int64_t c);

/*
 * A percentile interval of the mean of n differences, from so many resamples,
 * drawn with a seed. level is 0.95, say.
 */
struct stats_interval {
	double lo, hi;
};
struct stats_bootstrap {
	size_t resamples;
	uint64_t seed;
	double level;
};
int stats_bootstrap(const double *d, size_t n, const struct stats_bootstrap *how,
		    struct stats_interval *ret);
/*
 * Holm's step-down correction of n p-values that were looked at together; NAN
 * stays NAN and does not count. ret may be p.
 */
int stats_holm(const double *p, size_t n, double *ret);

#endif
