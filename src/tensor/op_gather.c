/*
 * Rows picked by number, which may repeat: y[i] = x[row[i]].
 *
 *     gx[row[i]] += G[i], in the order of i
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

static void forward(struct node *n)
{
	const int32_t *const *row = n->arg;
	const int64_t cols = tensor_cols(n->out);

	for (int64_t i = 0; i < tensor_rows(n->out); i++)
		memcpy(n->out->data + i * cols, n->in[0]->data + (*row)[i] * cols,
		       (size_t)cols * sizeof(float));
}

static void backward(struct node *n)
{
	const int32_t *const *row = n->arg;
	struct tensor *x = n->in[0];
	const int64_t cols = tensor_cols(x);
	float beta, *to = graph_grad(n->graph, x, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(x) * sizeof(*to));
	for (int64_t i = 0; to && i < tensor_rows(n->out); i++)
		kernel_axpby(to + (*row)[i] * cols, 1, 1, n->out->grad + i * cols, cols);
	graph_grad_done(n->graph, x);
}

static const struct op op = { "gather", forward, backward };

/* Who the picked rows are; NULL without memory. */
static const struct origin *pick(struct graph *g, const struct origin *from, const int32_t *row,
				 int64_t n)
{
	uint32_t *example = graph_alloc(g, (size_t)n * sizeof(*example));
	uint32_t *pos = graph_alloc(g, (size_t)n * sizeof(*pos));
	struct origin *o = graph_alloc(g, sizeof(*o));

	if (!example || !pos || !o)
		return NULL;
	for (int64_t i = 0; i < n; i++) {
		example[i] = from->example[row[i]];
		pos[i] = from->pos[row[i]];
	}
	*o = (struct origin){ example, pos };
	return o;
}

struct tensor *op_gather(struct graph *g, struct tensor *x, const int32_t *row, int64_t n)
{
	struct tensor *out;
	const int32_t **arg;

	if (!x)
		return NULL;
	for (int64_t i = 0; i < n; i++)
		assert(row[i] >= 0 && row[i] < tensor_rows(x));
	out = graph_tensor(g, n, tensor_cols(x), x->needs);
	arg = graph_alloc(g, sizeof(*arg));
	if (!out || !arg)
		return NULL;
	*arg = row;
	if (x->origin) {
		out->origin = pick(g, x->origin, row, n);
		if (!out->origin)
			return NULL;
	}
	return graph_record_as(g, &op, out, &x, 1, arg, 1);
}
