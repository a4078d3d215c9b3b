/*
 * The same rows for every sequence, each time by a factor of its own:
 *
 *     y[s n + i] = f[s] p[i]
 *
 *     gp[i] += f[s] G[s n + i], in the order of s        gf[s] = sum_i <G[s n + i], p[i]>
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

enum { P, F, INPUTS };

static float factor(const struct node *node, int64_t s)
{
	return node->in[F] ? node->in[F]->data[s] : 1;
}

static void forward(struct node *node)
{
	const struct tensor *p = node->in[P];
	const int64_t *seqs = node->arg, size = tensor_count(p);

	for (int64_t s = 0; s < *seqs; s++)
		kernel_axpby(node->out->data + s * size, 0, factor(node, s), p->data, size);
}

static void back_rows(struct node *node)
{
	struct tensor *p = node->in[P];
	const int64_t *seqs = node->arg, size = tensor_count(p);
	float beta, *to = graph_grad(node->graph, p, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)size * sizeof(*to));
	for (int64_t s = 0; to && s < *seqs; s++)
		kernel_axpby(to, 1, factor(node, s), node->out->grad + s * size, size);
	graph_grad_done(node->graph, p);
}

static void back_factors(struct node *node)
{
	const struct tensor *p = node->in[P];
	const int64_t *seqs = node->arg, rows = tensor_rows(p), cols = tensor_cols(p);
	float beta, *to = graph_grad(node->graph, node->in[F], &beta);

	for (int64_t s = 0; to && s < *seqs; s++) {
		const float *grad = node->out->grad + s * rows * cols;
		double sum = beta == 0 ? 0 : (double)to[s];

		for (int64_t i = 0; i < rows; i++)
			sum += (double)kernel_dot(grad + i * cols, p->data + i * cols, cols);
		to[s] = (float)sum;
	}
	graph_grad_done(node->graph, node->in[F]);
}

static void backward(struct node *node)
{
	if (graph_needs(node->in[P]))
		back_rows(node);
	if (graph_needs(node->in[F]))
		back_factors(node);
}

static const struct op op = { "repeat", forward, backward };

struct tensor *op_repeat(struct graph *g, struct tensor *p, struct tensor *f, int64_t seqs,
			 const struct origin *origin)
{
	struct tensor *out;
	int64_t *arg;

	if (!p)
		return NULL;
	assert(!f || tensor_count(f) == seqs);
	out = graph_tensor(g, seqs * tensor_rows(p), tensor_cols(p), p->needs || graph_needs(f));
	arg = graph_alloc(g, sizeof(*arg));
	if (!out || !arg)
		return NULL;
	*arg = seqs;
	out->origin = origin;
	return graph_record(g, &op, out, (struct tensor *[]){ p, f }, INPUTS, arg);
}
