/*
 * Sum of two activations of one shape: y = a + b.
 *
 *     ga = gb = G
 *
 * b's part is copied first; then a may take G's buffer over as it is.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	kernel_add(n->out->data, n->in[0]->data, n->in[1]->data, tensor_count(n->out));
}

static void backward(struct node *n)
{
	struct tensor *a = n->in[0], *b = n->in[1];
	const float *grad = n->out->grad;
	const int64_t count = tensor_count(n->out);
	float beta, *to;

	if (graph_needs(b)) {
		to = graph_grad(n->graph, b, &beta);
		if (to)
			kernel_axpby(to, beta, 1, grad, count);
		graph_grad_done(n->graph, b);
	}
	if (graph_needs(a)) {
		to = graph_grad_reuse(n->graph, n->out, a, &beta);
		if (to && to != grad)
			kernel_axpby(to, beta, 1, grad, count);
		graph_grad_done(n->graph, a);
	}
}

static const struct op op = { "add", forward, backward };

struct tensor *op_add(struct graph *g, struct tensor *a, struct tensor *b)
{
	struct tensor *out;

	if (!a || !b)
		return NULL;
	assert(tensor_rows(a) == tensor_rows(b) && tensor_cols(a) == tensor_cols(b));
	out = graph_tensor_like(g, a, tensor_cols(a), a->needs || b->needs);
	if (out && !out->origin)
		out->origin = b->origin;
	return graph_record_as(g, &op, out, (struct tensor *[]){ a, b }, 2, NULL,
			       3 | NODE_HANDS_ON);
}
