/*
 * Two matrices of as many rows side by side: y = [a, b].
 *
 *     ga, gb = their columns of G
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

enum { A, B, INPUTS };

static void put(struct tensor *y, const struct tensor *x, int64_t at)
{
	const int64_t cols = tensor_cols(x);

	for (int64_t i = 0; i < tensor_rows(x); i++)
		memcpy(y->data + i * tensor_cols(y) + at, x->data + i * cols,
		       (size_t)cols * sizeof(float));
}

static void forward(struct node *n)
{
	put(n->out, n->in[A], 0);
	put(n->out, n->in[B], tensor_cols(n->in[A]));
}

static void back(struct node *n, struct tensor *x, int64_t at)
{
	const int64_t cols = tensor_cols(x);
	float beta, *to;

	if (!graph_needs(x))
		return;
	to = graph_grad(n->graph, x, &beta);
	for (int64_t i = 0; to && i < tensor_rows(x); i++)
		kernel_axpby(to + i * cols, beta, 1, n->out->grad + i * tensor_cols(n->out) + at,
			     cols);
	graph_grad_done(n->graph, x);
}

static void backward(struct node *n)
{
	back(n, n->in[A], 0);
	back(n, n->in[B], tensor_cols(n->in[A]));
}

static const struct op op = { "beside", forward, backward };

struct tensor *op_beside(struct graph *g, struct tensor *a, struct tensor *b)
{
	struct tensor *out;

	if (!a || !b)
		return NULL;
	assert(tensor_rows(a) == tensor_rows(b));
	out = graph_tensor_like(g, a, tensor_cols(a) + tensor_cols(b), a->needs || b->needs);
	if (out && !out->origin)
		out->origin = b->origin;
	return graph_record(g, &op, out, (struct tensor *[]){ a, b }, INPUTS, NULL);
}
