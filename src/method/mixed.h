#ifndef METHOD_MIXED_H
#define METHOD_MIXED_H

#include "method/method.h"

/*
 * Several methods over one base model, each for rows of its own, in one pass: what no
 * method changes is computed for all rows together, and where one sits, or has another
 * weight, each row goes through that of its own method. For evaluation; nothing trains.
 */
struct mixed;

/* One of them: its model shares the base's parameters (model_share). */
struct mixed_part {
	const char *name; /* for sentences */
	struct model *model;
	struct method *method;
};

/*
 * The parts must outlive it; they were loaded, and base and models are prepared. Refuses
 * what changes numbers that a model reads past its sites (a table of words).
 */
int mixed_new(const struct model *base, const struct mixed_part *part, int n, struct mixed **ret);
void mixed_free(struct mixed *x); /* NULL is fine */
int mixed_count(const struct mixed *x);
/* Before a pass: what depends on parameters alone is made anew, for every part. */
int mixed_refresh(struct mixed *x);
/* Whose a row is: who[batch.example of its sequence] is the number of its part; must outlive the passes. */
void mixed_assign(struct mixed *x, const int32_t *who);
/*
 * The model that computes a part. Parts that move the text by as much share one, and their
 * sequences may be in one batch, those of a part together.
 */
struct model *mixed_host(const struct mixed *x, int part);

#endif
