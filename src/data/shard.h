/* How a step's examples are cut into shards, the units of parallel work. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H

#include <stddef.h>
#include <stdint.h>

enum {
	SHARD_TOKENS = 512, /* aimed at */
	SHARD_SMALL = 256,  /* a step of at least that many tokens ... */
	SHARD_LEAST = 4     /* ... has at least so many shards, if it has as many sequences */
};

/*
 * Cut n sequences, in order, into runs of whole sequences with nearly equal
 * numbers of tokens: about SHARD_TOKENS each. The cut is a function of the
 * lengths and of nothing else, so any number of threads computes the same.
 * ret_end[i] is one past the last sequence of shard i; at most `max` shards
 * are made. Returns how many: 0 only when n or max is 0, and never an empty shard.
 */
size_t shard_cut(const int32_t *length, size_t n, size_t max, size_t *ret_end);

#endif
