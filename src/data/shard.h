/* How a step's examples are dealt into shards, the units of parallel work. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum {
	SHARD_TOKENS = 512, /* aimed at */
	SHARD_SMALL = 256,  /* a step of at least that many tokens ... */
	SHARD_LEAST = 4     /* ... has at least so many shards, if it has as many sequences */
};

struct shards {
	size_t n;
	size_t *order; /* [sequences] which ones: those of shard i are order[end[i - 1] .. end[i]) */
	size_t *end;   /* [n] */
};

/*
 * Deal n sequences into shards of nearly equal numbers of tokens: about
 * SHARD_TOKENS each, never one without a sequence; 0 only when n is 0. The
 * result is a function of the lengths and of nothing else, so any number of
 * threads computes the same. It lives in the arena.
 */
int shard_deal(struct arena *a, const int32_t *length, size_t n, struct shards *ret);

#endif
