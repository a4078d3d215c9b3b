/*
 * y = s x
 *
 *     gx = s G
 */
#include "tensor/op.h"

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	const float *s = n->arg;

	kernel_axpby(n->out->data, 0, *s, n->in[0]->data, tensor_count(n->out));
}

static void backward(struct node *n)
{
	const float *s = n->arg;
	float beta, *to = graph_grad(n->graph, n->in[0], &beta);

	if (to)
		kernel_axpby(to, beta, *s, n->out->grad, tensor_count(n->out));
	graph_grad_done(n->graph, n->in[0]);
}

static const struct op op = { "scale", forward, backward };

struct tensor *op_scale(struct graph *g, struct tensor *x, float s)
{
	struct tensor *out;
	float *arg;

	if (!x)
		return NULL;
	out = graph_tensor_like(g, x, tensor_cols(x), x->needs);
	arg = graph_alloc(g, sizeof(*arg));
	if (!arg)
		return NULL;
	*arg = s;
	return graph_record_as(g, &op, out, &x, 1, arg, 1);
}
