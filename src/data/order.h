/* In which order an epoch visits the examples. */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct order_options {
	size_t n; /* examples */
	uint64_t seed;
	int64_t epoch;
	bool shuffle; /* false: file order */
	bool group_by_length;
	const int32_t *length; /* [n]; needed for group_by_length */
	int64_t batch;         /* examples a batch; needed for group_by_length */
};

/*
 * ret[i] is the i-th example to visit; it lives in the arena. A function of
 * the options alone. group_by_length: the (shuffled) order is cut into pieces
 * of 50 batches, or of a quarter of the data when that is less, and each piece
 * is sorted by length, longest first, so that a batch holds like lengths.
 */
int order_epoch(struct arena *a, const struct order_options *how, int64_t **ret);

#endif
