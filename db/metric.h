#ifndef DB_METRIC_H
#define DB_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/store.h"

/*
 * What a run measured: one narrow row a value, clustered so that one curve is
 * read in order. A second value for the same run, attempt, key and step
 * replaces the first. NaN and infinities are kept as such.
 */

enum {
	METRIC_KEY_MAX = 200 /* bytes of a key, without spaces and control characters */
};

struct metric {
	const char *key;
	int64_t step; /* 0 .. 2^46 */
	double value;
	int64_t time_us; /* 0: now */
};

/* What the writer thread commits at once: rows, where the run is, and that it lives. n may be 0. */
struct metric_batch {
	int64_t run;
	int attempt;
	const struct metric *metric;
	size_t n;
	int64_t step; /* < 0: leave step and epoch as they are */
	double epoch;
	int64_t time_us; /* the heartbeat; 0: now */
};

/*
 * One transaction. TT_NOTFOUND when the run was purged, or taken over by a newer
 * attempt. On failure nothing of the batch is stored: keep it and try again.
 */
int metric_batch_add(struct store *st, const struct metric_batch *b);
int metric_add(struct store *st, int64_t run, int attempt, const struct metric *m, size_t n);

/* Keys, sorted. One malloc'ed block: free() the array only. run 0: of all runs. */
int metric_keys(struct store *st, int64_t run, char ***ret, size_t *ret_n);

struct metric_point {
	int64_t step, time_us;
	double value;
	int attempt;
};

/*
 * One curve in step order, as if the run had never been interrupted: where an
 * attempt resumed from step S, what older attempts wrote after S is left out.
 * An unknown key is an empty curve. free() the array.
 */
int metric_read(struct store *st, int64_t run, const char *key, struct metric_point **ret,
		size_t *ret_n);
/* Every row ever written, by attempt, then step. */
int metric_read_attempts(struct store *st, int64_t run, const char *key, struct metric_point **ret,
			 size_t *ret_n);
/*
 * The same clean curve, row by row, from step_lo on; a visitor that returns
 * other than 0 ends the walk, and that is returned.
 */
typedef int metric_visit(void *arg, const struct metric_point *p);
int metric_walk(struct store *st, int64_t run, const char *key, int64_t step_lo,
		metric_visit *visit, void *arg);

/* The latest value of every key of one run, sorted by key. free() the array only. */
struct metric_last {
	const char *key;
	int64_t step, time_us;
	double value;
	double min, max; /* of the finite values so far; NAN when there are none */
};
int metric_last(struct store *st, int64_t run, struct metric_last **ret, size_t *ret_n);

/*
 * The clean curve cut into n equal spans of steps, for charts: every row falls
 * into one bucket, so no spike is lost. Reads summaries of 64 steps where a
 * bucket holds them whole, so a million rows cost thousands.
 */
struct metric_bucket {
	int64_t count;      /* rows; 0: the rest is NAN */
	int64_t nans, infs; /* of these, not a number and infinite */
	double min, max;    /* of the finite ones; NAN when there are none */
	double first, last; /* values of the lowest and highest step */
	int64_t first_step, last_step;
};
int metric_buckets(struct store *st, int64_t run, const char *key, int64_t step_lo, int64_t step_hi,
		   size_t n, struct metric_bucket *ret); /* both ends included; n <= 65536 */
/* Lowest and highest step of the clean curve; TT_NOTFOUND when it is empty. */
int metric_span(struct store *st, int64_t run, const char *key, int64_t *ret_lo, int64_t *ret_hi);
/* A sparkline: the whole clean curve in up to n buckets; ret_n 0 when it is empty. */
int metric_spark(struct store *st, int64_t run, const char *key, size_t n,
		 struct metric_bucket *ret, size_t *ret_n);

#endif
