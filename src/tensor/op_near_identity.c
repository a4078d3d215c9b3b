/*
 * How far a square matrix is from the identity: y = weight |w - I|^2, Frobenius.
 *
 *     gw = 2 weight G (w - I)
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	const struct tensor *w = n->in[0];
	const float *weight = n->arg;
	double sum = kernel_sum_squares(w->data, tensor_count(w));

	for (int64_t i = 0; i < w->dim[0]; i++)
		sum += 1 - 2 * (double)w->data[i * w->dim[1] + i];
	n->out->data[0] = (float)((double)*weight * sum);
}

static void backward(struct node *n)
{
	struct tensor *w = n->in[0];
	const float *weight = n->arg, by = 2 * *weight * n->out->grad[0];
	float beta, *to = graph_grad(n->graph, w, &beta);

	if (to)
		kernel_axpby(to, beta, by, w->data, tensor_count(w));
	for (int64_t i = 0; to && i < w->dim[0]; i++)
		to[i * w->dim[1] + i] -= by;
	graph_grad_done(n->graph, w);
}

static const struct op op = { "near_identity", forward, backward };

struct tensor *op_near_identity(struct graph *g, struct tensor *w, float weight)
{
	float *arg = graph_alloc(g, sizeof(*arg));
	struct tensor *out;

	if (!w || !arg)
		return NULL;
	assert(w->rank == 2 && w->dim[0] == w->dim[1]);
	out = graph_tensor(g, 1, 1, w->needs);
	*arg = weight;
	return graph_record(g, &op, out, &w, 1, arg);
}
