/* Draws the masks of dropout by example and position, so that a shard's cut leaves no trace in them. */
#include "tensor/drop.h"

#include <assert.h>

struct kernel_drop drop_site(struct graph *g, float p)
{
	const struct pass *pass = graph_pass(g);

	assert(pass->train && p > 0 && p <= 1);
	return (struct kernel_drop){
		.key = pass->seed,
		.c3 = kernel_drop_site(graph_draw(g)),
		.c2 = (uint32_t)pass->step,
		.p = p,
	};
}

bool drop_rows(struct graph *g, const struct tensor *x, float p, struct drop *ret)
{
	const struct kernel_drop how = drop_site(g, p);
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);

	assert(x->origin);
	ret->scale = kernel_drop_scale(&how);
	ret->keep = graph_alloc(g, (size_t)(rows * ((cols + 7) / 8)));
	if (ret->keep)
		kernel_drop_rows(ret->keep, &how, x->origin->example, x->origin->pos, rows, cols);
	return ret->keep;
}
