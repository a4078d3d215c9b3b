#ifndef TENSOR_LEAVES_H
#define TENSOR_LEAVES_H

#include <stddef.h>

#include "base/arena.h"
#include "tensor/tensor.h"

/*
 * Leaves: the tensors whose gradients are summed over the shards of a step, in
 * shard order, so that the sum has the same bits on any number of threads.
 * Small ones have a buffer a shard; big ones (over LEAF_BIG numbers) have one
 * buffer, to which the shards add in turn.
 */
enum { LEAF_BIG = 1 << 16 };

struct leaves;

/* Gives every tensor its slot and a grad buffer in the arena. The array is kept by reference. */
int leaves_new(struct arena *a, struct tensor *const *leaf, size_t n, struct leaves **ret);
int leaves_count(const struct leaves *l); /* slots are 0 .. count - 1 */
void leaves_free(struct leaves *l);       /* the tensors stay */
int leaves_begin(struct leaves *l,
		 int shards); /* before the shards of a step; steady state allocates nothing */
void leaves_finish(
	struct leaves *l); /* after them: leaf->grad holds the sums (zero when never touched) */

/* leaf->grad holds the sum of what the shards so far have added to it (zero: nothing); none is adding now. */
void leaves_sum(struct leaves *l, int slot);

/* For graph.c: where shard adds its part of a leaf; *ret_beta 0: nothing there yet, overwrite it all. Waits for its turn. */
float *leaves_grad(struct leaves *l, int slot, int shard, float *ret_beta);
void leaves_done(struct leaves *l, int slot, int shard); /* this shard adds no more to it */

#endif
