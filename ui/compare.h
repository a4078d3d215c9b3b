#ifndef UI_COMPARE_H
#define UI_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/stats.h"
#include "db/metric.h"
#include "db/run.h"
#include "ui/answers.h"

/*
 * Runs side by side: what differs in their recipes, how their results differ,
 * and whether that could be chance. The first run is the baseline. The verb
 * and the screen share it, so that they say the same.
 */

enum { COMPARE_RUNS = 64, COMPARE_PATH = 256 };

struct compare_run {
	struct run run;
	struct json *recipe;
	struct metric_last *last;
	size_t last_n;
	struct answers answers;
};

struct compare_rows;

struct compare {
	struct compare_run run[COMPARE_RUNS];
	size_t n;
	char (*path)[COMPARE_PATH]; /* every leaf of any recipe, once */
	size_t path_n, path_room;
	char trouble[512]; /* answers that could not be read: why; "" */
	/* Tests of answers that were made, since they take long and answers do not change. */
	struct compare_rows *tested;
	size_t tested_n;
};

/* A zeroed one is empty. The run is taken over, also when this fails. TT_INVALID: there are COMPARE_RUNS already. */
int compare_add(struct compare *c, struct store *st, struct run *run);
void compare_done(struct compare *c); /* empty again */
/* Read again what can have changed; a run that is gone stays as it was. */
int compare_refresh(struct compare *c, struct store *st);

/* A setting's value, NULL where the recipe has none. */
const struct json *compare_setting(const struct compare *c, size_t run, const char *path);
bool compare_differs(const struct compare *c, const char *path); /* between any two */
bool compare_pair_differs(const struct compare *c, const char *path, size_t a, size_t b);
/* Metrics that any of them has: all eval/ ones and train/loss. One malloc'ed block: free() the array only. */
int compare_keys(const struct compare *c, const char ***ret, size_t *ret_n);
bool compare_has(const struct compare *c, const char *key);
double compare_last(const struct compare *c, size_t run, const char *key); /* NAN: none */
double compare_best(const struct compare *c, size_t run, const char *key);
bool compare_less_is_better(const struct compare *c, const char *key);

/*
 * Columns: each run, or, folded, all that differ in seed, name and words about
 * them only. Column i holds run[at[i]] up to run[at[i + 1]]. The baseline is in
 * the first.
 */
struct compare_columns {
	size_t n, at[COMPARE_RUNS + 1], run[COMPARE_RUNS];
};
void compare_columns(const struct compare *c, bool fold, struct compare_columns *ret);
/* Folded, unless that leaves one column of several runs: then there is nothing else to see. */
void compare_columns_best(const struct compare *c, struct compare_columns *ret);
size_t compare_column_size(const struct compare_columns *k, size_t i);
/* The runs of a column come first, so that they are the baseline; make the columns anew. */
void compare_pin(struct compare *c, const struct compare_columns *k, size_t i);

struct compare_spread {
	size_t n; /* runs that have a finite value */
	double mean, stdev;
};
typedef double compare_value(const struct compare *c, size_t run, const char *key);
struct compare_spread compare_spread(const struct compare *c, const struct compare_columns *k,
				     size_t i, compare_value *value, const char *key);

/*
 * How a column differs from the first one, over the seeds that both have: the
 * exact sign-flip test, the least p that so many pairs can have, Holm's
 * correction over all columns, a 95 % interval. One pair is no test, and p NAN.
 */
struct compare_seeds {
	size_t pairs;      /* 0: unpaired */
	double difference; /* mean over pairs; unpaired: between the means */
	double p, least, holm;
	struct stats_interval interval;
};
/* ret[k->n]; ret[0] is all NAN. */
int compare_seeds(const struct compare *c, const struct compare_columns *k, const char *key,
		  struct compare_seeds *ret);

/* How the answers of a column of one run differ from those of the first one's, row by row. */
struct compare_rows {
	int64_t first, run; /* rows of the run log */
	bool known;         /* both kept answers to the same rows */
	int64_t rows;
	int64_t better, worse;          /* rows that only this one gets right; only the first */
	double p, holm;                 /* McNemar, exact */
	struct stats_interval interval; /* 95 % of the difference in accuracy */
};
int compare_rows(struct compare *c, const struct compare_columns *k, struct compare_rows *ret);

#endif
