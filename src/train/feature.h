/*
 * Features: what the part of the model below everything that trains makes of
 * each example, computed once and kept.
 */
#ifndef TRAIN_FEATURE_H
#define TRAIN_FEATURE_H

#include "train/train.h"

struct features;

/* How it is worked; all zero but for tests. */
enum feature_mode {
	FEATURES_AUTO,  /* kept in memory, or in a file when they are large */
	FEATURES_FILE,  /* always in a file */
	FEATURES_AGAIN, /* computed each time they are asked for: same bits, no gain */
	FEATURES_OFF    /* none at all */
};

/*
 * For the examples of d, in training or in evaluation. *ret is NULL when the model
 * has no such part, and in training when no example comes twice. dir: where a file
 * would lie.
 */
int features_new(const struct trainer *t, const struct dataset *d, bool train, const char *dir,
		 struct features **ret);
void features_free(struct features *f); /* NULL is fine */
/*
 * Training: make sure that the rows of a step are there, on the pool, from
 * t->arena. What an example gets depends on the dataset alone: it is computed
 * with fixed neighbours, whichever of them is asked for first.
 */
int features_fill(struct features *f, struct trainer *t, const int64_t *row, size_t n);
/*
 * What model_upper takes for a batch, whose sequence s is row[s] of the dataset; the
 * rows must be there.
 */
struct tensor *features_read(const struct features *f, struct graph *g, const struct batch *b,
			     const int64_t *row);
/*
 * Evaluation: the same for a batch that is always the same: computed the first time.
 * From several threads, for different rows.
 */
struct tensor *features_make(struct features *f, struct model *m, struct graph *g,
			     const struct batch *b, const int64_t *row);
const struct model_cut *features_cut(const struct features *f);

/* Would features_new make any? In training they are of use when an example comes again. */
bool features_of_use(const struct trainer *t, const struct dataset *d, bool train,
		     struct model_cut *ret);
/* Bytes of memory that a run will hold for d; for estimates. */
int64_t features_bytes(const struct trainer *t, const struct dataset *d, bool train);

#endif
