/*
 * Some columns of a matrix: y = x[:, at .. at + cols - 1].
 *
 *     gx's columns += G, the others 0
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	const struct tensor *x = n->in[0];
	const int64_t *at = n->arg, cols = tensor_cols(n->out);

	for (int64_t i = 0; i < tensor_rows(x); i++)
		memcpy(n->out->data + i * cols, x->data + i * tensor_cols(x) + *at,
		       (size_t)cols * sizeof(float));
}

static void backward(struct node *n)
{
	struct tensor *x = n->in[0];
	const int64_t *at = n->arg, cols = tensor_cols(n->out);
	float beta, *to = graph_grad(n->graph, x, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(x) * sizeof(*to));
	for (int64_t i = 0; to && i < tensor_rows(x); i++)
		kernel_axpby(to + i * tensor_cols(x) + *at, 1, 1, n->out->grad + i * cols, cols);
	graph_grad_done(n->graph, x);
}

static const struct op op = { "columns", forward, backward };

struct tensor *op_columns(struct graph *g, struct tensor *x, int64_t at, int64_t cols)
{
	struct tensor *out;
	int64_t *arg;

	if (!x)
		return NULL;
	assert(at >= 0 && cols > 0 && at + cols <= tensor_cols(x));
	out = graph_tensor_like(g, x, cols, x->needs);
	arg = graph_alloc(g, sizeof(*arg));
	if (!arg)
		return NULL;
	*arg = at;
	return graph_record(g, &op, out, &x, 1, arg);
}
