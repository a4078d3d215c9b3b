/*
 * Inverted dropout: y = m x / (1 - p), m drawn by counter, see kernel.h.
 *
 *     gx = m G / (1 - p)        m is drawn again, in G's own buffer where it can be
 *
 * The counter names the example and the position, not the place in the shard.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	const struct tensor *x = n->in[0];

	kernel_dropout_rows(n->out->data, 0, x->data, n->arg, x->origin->example, x->origin->pos,
			    tensor_rows(x), tensor_cols(x));
}

static void backward(struct node *n)
{
	struct tensor *x = n->in[0];
	const float *grad = n->out->grad;
	float beta, *to = graph_grad_reuse(n->graph, n->out, x, &beta);

	if (to)
		kernel_dropout_rows(to, beta, grad, n->arg, x->origin->example, x->origin->pos,
				    tensor_rows(x), tensor_cols(x));
	graph_grad_done(n->graph, x);
}

static const struct op op = { "dropout", forward, backward };

struct tensor *op_dropout(struct graph *g, struct tensor *x, float p)
{
	const struct pass *pass = graph_pass(g);
	struct tensor *out;
	struct kernel_drop *d;

	assert(p >= 0 && p <= 1);
	if (!x || !pass->train || !(p > 0))
		return x;
	assert(x->origin);
	out = graph_tensor_like(g, x, tensor_cols(x), x->needs);
	d = graph_alloc(g, sizeof(*d));
	if (!d)
		return NULL;
	*d = (struct kernel_drop){
		.key = pass->seed,
		.c3 = kernel_drop_site(graph_draw(g)),
		.c2 = (uint32_t)pass->step,
		.p = p,
	};
	return graph_record(g, &op, out, &x, 1, d);
}
