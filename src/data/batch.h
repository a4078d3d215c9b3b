/* Packed batches: all tokens of all sequences end to end, no padding. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* One tokenised row of a dataset. */
struct example {
	const int32_t *id;
	const uint8_t *type;
	int32_t n;
	int32_t places; /* tokens that the head reads; 0: the first alone, which has `label` */
	const int32_t *place,
		*tag;  /* [places] where they stand, ascending, and their classes (-1: none) */
	int32_t label; /* class; -1: none */
	float value;   /* regression; NAN: none */
	int64_t index; /* which row of its file, from 0; the counter for dropout and masking */
};

/* Lives in the arena it was packed in; the examples' own arrays are not referred to. */
struct batch {
	int64_t seqs, tokens;
	const int64_t *start; /* [seqs+1] where each sequence begins in the packed arrays */
	const int32_t *id, *type, *pos; /* [tokens]; pos: place in its own sequence, from 0 */
	const int64_t *example;         /* [seqs] example.index */
	int64_t rows;
	const int32_t *row;     /* [rows] packed places of the tokens the head reads, ascending */
	const int32_t *row_seq; /* [rows] which sequence */
	const int32_t *label;   /* [rows] class or token id, -1: none; NULL when no row has one */
	const float *value;     /* [rows] regression, NAN: none; NULL when no row has one */
};

/* How many rows of an example the head reads. */
static inline int64_t example_rows(const struct example *ex) { return ex->places ? ex->places : 1; }

/*
 * The head reads the first token of a sequence, which has the sequence's class or
 * number, or the places that the example names, each with a class of its own.
 */
int batch_pack(struct arena *a, const struct example *ex, size_t n, struct batch *ret);

struct mlm_options {
	double probability;     /* of a token to be chosen; 0.15 */
	int32_t mask_id, vocab; /* vocab: random ids are 0 .. vocab-1 */
	uint64_t seed;
	int64_t epoch;
	const uint8_t *special; /* [vocab] tokens that are never chosen; tokenizer_specials() */
};

/*
 * Masked language modelling with dynamic masking (Liu et al. 2019): each token
 * that is not special is chosen with `probability`; a chosen one becomes the
 * mask in 80 % of cases, a random id in 10 %, and stays itself in 10 %. The
 * rows are the chosen places, their labels the original ids. What is drawn
 * depends on (seed, epoch, example.index, pos) alone, so that shards, threads
 * and micro-batches do not matter. A sequence in which nothing was chosen has
 * no row; a batch may have rows == 0, and then has no loss.
 */
int batch_pack_mlm(struct arena *a, const struct example *ex, size_t n,
		   const struct mlm_options *how, struct batch *ret);

#endif
