/*
 * Embedding: e[i] = word[id[i]] + position[pos[i]] + type[types[i]]; a table that is NULL adds nothing.
 *
 *     gtable[number[i]] += G[i], in the order of i        rows of `pad` in word get nothing
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"
#include "tensor/sparse.h"

enum { WORD, POSITION, TYPE, TABLES };

struct lookup {
	const int32_t *number[TABLES];
	int32_t pad;
};

static void forward(struct node *n)
{
	const struct lookup *l = n->arg;
	const int64_t cols = tensor_cols(n->out);

	for (int64_t i = 0; i < tensor_rows(n->out); i++) {
		float beta = 0, *y = n->out->data + i * cols;

		for (int k = 0; k < TABLES; k++)
			if (n->in[k]) {
				kernel_axpby(y, beta, 1, n->in[k]->data + l->number[k][i] * cols,
					     cols);
				beta = 1;
			}
	}
}

static void backward_table(struct node *n, int k)
{
	const struct lookup *l = n->arg;
	const int64_t cols = tensor_cols(n->out);
	float beta, *to = graph_grad(n->graph, n->in[k], &beta);

	if (to && beta == 0)
		sparse_clear(to, tensor_count(n->in[k]));
	for (int64_t i = 0; to && i < tensor_rows(n->out); i++)
		if (k != WORD || l->number[k][i] != l->pad)
			kernel_axpby(to + l->number[k][i] * cols, 1, 1, n->out->grad + i * cols,
				     cols);
	graph_grad_done(n->graph, n->in[k]);
}

static void backward(struct node *n)
{
	for (int k = 0; k < TABLES; k++)
		if (graph_needs(n->in[k]))
			backward_table(n, k);
}

static const struct op op = { "embedding", forward, backward };

struct tensor *op_embedding(struct graph *g, struct tensor *word, struct tensor *position,
			    struct tensor *type, const int32_t *id, const int32_t *pos,
			    const int32_t *types, int64_t n, int32_t pad,
			    const struct origin *origin)
{
	struct tensor *const in[TABLES] = { word, position, type };
	const struct lookup look = { { id, pos, types }, pad };
	struct tensor *out, *any = word ? word : position ? position : type;
	struct lookup *arg;

	assert(any);
	for (int k = 0; k < TABLES; k++)
		for (int64_t i = 0; in[k] && i < n; i++)
			assert(look.number[k][i] >= 0 && look.number[k][i] < tensor_rows(in[k]));
	out = graph_tensor(g, n, tensor_cols(any),
			   graph_needs(word) || graph_needs(position) || graph_needs(type));
	arg = graph_alloc(g, sizeof(*arg));
	if (!out || !arg)
		return NULL;
	out->origin = origin;
	*arg = look;
	return graph_record(g, &op, out, in, TABLES, arg);
}
