/*
 * Inverted dropout: y = m x / (1 - p), m drawn by counter, see kernel.h.
 *
 *     gx = m G / (1 - p)        in G's own buffer where it can be
 *
 * The counter names the example and the position, not the place in the shard. m
 * is kept, a bit an element.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/drop.h"

static void forward(struct node *n)
{
	const struct drop *d = n->arg;
	const struct tensor *x = n->in[0];

	kernel_keep(n->out->data, 0, x->data, d->keep, d->scale, tensor_rows(x), tensor_cols(x));
}

static void backward(struct node *n)
{
	const struct drop *d = n->arg;
	struct tensor *x = n->in[0];
	const float *grad = n->out->grad;
	float beta, *to = graph_grad_reuse(n->graph, n->out, x, &beta);

	if (to)
		kernel_keep(to, beta, grad, d->keep, d->scale, tensor_rows(x), tensor_cols(x));
	graph_grad_done(n->graph, x);
}

static const struct op op = { "dropout", forward, backward };

struct tensor *op_dropout(struct graph *g, struct tensor *x, float p)
{
	struct tensor *out;
	struct drop *d;

	assert(p >= 0 && p <= 1);
	if (!x || !graph_pass(g)->train || !(p > 0))
		return x;
	out = graph_tensor_like(g, x, tensor_cols(x), x->needs);
	d = graph_alloc(g, sizeof(*d));
	if (!d || !drop_rows(g, x, p, d))
		return NULL;
	return graph_record_as(g, &op, out, &x, 1, d, 1 | NODE_HANDS_ON);
}
