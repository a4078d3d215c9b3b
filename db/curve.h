#ifndef DB_CURVE_H
#define DB_CURVE_H

#include "db/metric.h"
#include "db/sql.h"

/* Inside the room only: the clean curve, as those see it that write its rows, read them and sum them up. */

enum { CURVE_CHUNK = 64 }; /* steps of a summary */

static const int64_t curve_step_max = (int64_t)1 << 46;

/* The steps of an attempt that count, both ends included. */
struct span {
	int64_t attempt, lo, hi;
};

struct spans {
	struct span *span; /* free() it */
	size_t n;
};

int curve_spans(struct store *st, int64_t run, struct spans *ret);   /* newest attempt first */
struct span curve_cut(const struct span *s, int64_t lo, int64_t hi); /* empty where lo > hi */
int curve_walk(struct store *st, int64_t run, int64_t key, const struct span *s,
	       metric_visit *visit, void *arg);

/* A bucket takes values in order of step. */
extern const struct metric_bucket bucket_empty;
void bucket_add(struct metric_bucket *b, int64_t step, double value);

#endif
