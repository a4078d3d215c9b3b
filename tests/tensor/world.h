#ifndef TESTS_TENSOR_WORLD_H
#define TESTS_TENSOR_WORLD_H
/* Seeded tensors for the tests of this room. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/rng.h"
#include "tensor/tensor.h"

/* A matrix of normal numbers times `scale`; cols 0: a vector. It needs a gradient; it has no slot yet. */
static inline struct tensor *world_tensor(struct arena *a, struct rng *r, int64_t rows,
					  int64_t cols, double scale)
{
	struct tensor *t = arena_zero(a, 1, sizeof(*t));

	if (!t)
		abort();
	t->rank = cols ? 2 : 1;
	t->dim[0] = rows;
	t->dim[1] = cols;
	t->slot = -1;
	t->trainable = t->needs = true;
	t->data = arena_alloc(a, (size_t)tensor_count(t) * sizeof(float));
	if (!t->data)
		abort();
	for (int64_t i = 0; i < tensor_count(t); i++)
		t->data[i] = (float)(scale * (double)rng_normal(r));
	return t;
}

static inline struct tensor *world_frozen(struct arena *a, struct rng *r, int64_t rows,
					  int64_t cols, double scale)
{
	struct tensor *t = world_tensor(a, r, rows, cols, scale);

	t->trainable = t->needs = false;
	return t;
}

/* An allocation that must succeed for the test to mean anything. */
static inline void *world_alloc(struct arena *a, size_t n, size_t size)
{
	void *p = arena_zero(a, n, size);

	if (!p)
		abort();
	return p;
}
#endif
