#ifndef TENSOR_DROP_H
#define TENSOR_DROP_H

#include "tensor/graph.h"
#include "tensor/kernel.h"

/* What the ops with dropout share: each takes the next random site of its shard. */
struct kernel_drop drop_site(struct graph *g, float p);

/* Which elements of x's rows stay. */
struct drop {
	float scale;
	uint8_t *keep; /* see kernel.h; in the graph's arena */
};
/* False without memory. */
bool drop_rows(struct graph *g, const struct tensor *x, float p, struct drop *ret);

#endif
