/*
 * Statistics of paired differences.
 *
 * The sign-flip test counts all 2^n ways to choose signs without walking them:
 * the sums of either half are sorted, and for each of the left a pointer says
 * how many of the right reach far enough. 2^16 sums serve 32 pairs.
 */
#include "base/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/rng.h"

/* Sums that differ by rounding alone are the same: this share of all that could be summed. */
static const double same = 1e-12;

double stats_mean(const double *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	return n ? sum / (double)n : NAN;
}

double stats_stdev(const double *x, size_t n)
{
	const double mean = stats_mean(x, n);
	double squares = 0;

	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

static int rising(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* ---- sign flips ---- */

/* All 2^n signed sums of d, in order; malloc'ed. */
static double *signed_sums(const double *d, size_t n)
{
	double *sum = malloc(((size_t)1 << n) * sizeof(*sum));
	size_t made = 1;

	if (!sum)
		return NULL;
	sum[0] = 0;
	for (size_t i = 0; i < n; i++, made *= 2)
		for (size_t k = 0; k < made; k++) {
			sum[made + k] = sum[k] - d[i];
			sum[k] += d[i];
		}
	qsort(sum, made, sizeof(*sum), rising);
	return sum;
}

/* How many a + b of two rising lists reach `least`. */
static uint64_t count_from(const double *a, size_t na, const double *b, size_t nb, double least)
{
	uint64_t count = 0;
	size_t from = nb;

	for (size_t i = 0; i < na; i++) {
		while (from > 0 && a[i] + b[from - 1] >= least)
			from--;
		count += nb - from;
	}
	return count;
}

int stats_sign_flip(const double *d, size_t n, double *ret_p)
{
	const size_t half = n / 2;
	double *left, *right, sum = 0, all = 0;
	int code = TT_OK;

	assert(n > 0 && n <= STATS_PAIRS_MAX);
	for (size_t i = 0; i < n; i++) {
		sum += d[i];
		all += fabs(d[i]);
	}
	if (fabs(sum) <= same * all) { /* no choice lies nearer to zero */
		*ret_p = 1;
		return TT_OK;
	}
	left = signed_sums(d, half);
	right = signed_sums(d + half, n - half);
	if (left && right) /* the other tail holds as many */
		*ret_p = ldexp((double)count_from(left, (size_t)1 << half, right,
						  (size_t)1 << (n - half), fabs(sum) - same * all),
			       1 - (int)n);
	else
		code = err_set(TT_NOMEM, "not enough memory for a test of %zu pairs", n);
	free(left);
	free(right);
	return code;
}

double stats_sign_flip_least(size_t n) { return ldexp(1, 1 - (int)n); }

/* ---- McNemar ---- */

/* The logarithm of the probability of k heads in n throws. */
static double log_heads(int64_t k, int64_t n)
{
	return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
	       (double)n * log(2);
}

double stats_mcnemar(int64_t b, int64_t c)
{
	const int64_t n = b + c, less = b < c ? b : c;
	double tail = 0;

	if (b == c)
		return 1;
	/* from the largest term down, and no further than they count */
	for (int64_t k = less; k >= 0; k--) {
		const double part = exp(log_heads(k, n));

		tail += part;
		if (part < tail * 1e-17)
			break;
	}
	return fmin(1, 2 * tail);
}

/* ---- bootstrap ---- */

/* The value below which a share of a rising list lies, between neighbours in proportion. */
static double quantile(const double *x, size_t n, double share)
{
	const double at = share * (double)(n - 1);
	const size_t i = (size_t)at;

	return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

static double resample(const double *d, size_t n, struct rng *r)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += d[rng_below(r, (uint32_t)n)];
	return sum / (double)n;
}

int stats_bootstrap(const double *d, size_t n, const struct stats_bootstrap *how,
		    struct stats_interval *ret)
{
	double *mean;
	struct rng r;

	assert(n > 0 && n <= UINT32_MAX && how->resamples > 0);
	mean = malloc(how->resamples * sizeof(*mean));
	if (!mean)
		return err_set(TT_NOMEM, "not enough memory for %zu resamples", how->resamples);
	rng_init(&r, how->seed, RNG_BOOTSTRAP, 0);
	for (size_t i = 0; i < how->resamples; i++)
		mean[i] = resample(d, n, &r);
	qsort(mean, how->resamples, sizeof(*mean), rising);
	ret->lo = quantile(mean, how->resamples, (1 - how->level) / 2);
	ret->hi = quantile(mean, how->resamples, (1 + how->level) / 2);
	free(mean);
	return TT_OK;
}

/* ---- Holm ---- */

struct ranked {
	double p; /* in front, where sorting finds it */
	size_t i;
};

int stats_holm(const double *p, size_t n, double *ret)
{
	struct ranked *by = calloc(n + 1, sizeof(*by));
	double most = 0;
	size_t known = 0;

	if (!by)
		return err_set(TT_NOMEM, "not enough memory to correct %zu tests", n);
	for (size_t i = 0; i < n; i++)
		if (!isnan(p[i]))
			by[known++] = (struct ranked){ p[i], i };
		else
			ret[i] = NAN;
	qsort(by, known, sizeof(*by), rising);
	for (size_t k = 0; k < known; k++) {
		most = fmax(most, fmin(1, by[k].p * (double)(known - k)));
		ret[by[k].i] = most;
	}
	free(by);
	return TT_OK;
}
