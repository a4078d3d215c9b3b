/*
 * Mean squared error: this shard's part of (1 / total) sum (pred - value)^2.
 *
 *     gpred = G 2 (pred - value) / total        G the loss's own gradient
 */
#include "tensor/op.h"

#include <assert.h>

struct target {
	const float *value;
	double total;
	struct loss *ret;
};

static void forward(struct node *n)
{
	const struct target *t = n->arg;
	const int64_t rows = tensor_rows(n->in[0]);
	double sum = 0;

	for (int64_t i = 0; i < rows; i++) {
		const double d = (double)n->in[0]->data[i] - (double)t->value[i];

		sum += d * d;
	}
	n->out->data[0] = (float)(sum / t->total);
	if (t->ret)
		*t->ret = (struct loss){ sum, rows };
}

static void backward(struct node *n)
{
	const struct target *t = n->arg;
	struct tensor *pred = n->in[0];
	const double scale = 2 * (double)n->out->grad[0] / t->total;
	float beta, *to = graph_grad(n->graph, pred, &beta);

	for (int64_t i = 0; to && i < tensor_rows(pred); i++) {
		const float part = (float)(scale * ((double)pred->data[i] - (double)t->value[i]));

		to[i] = beta == 0 ? part : to[i] + part;
	}
	graph_grad_done(n->graph, pred);
}

static const struct op op = { "mse", forward, backward };

struct tensor *op_mse(struct graph *g, struct tensor *pred, const float *value, double total,
		      struct loss *ret)
{
	struct tensor *out;
	struct target *t;

	if (!pred)
		return NULL;
	assert(tensor_cols(pred) == 1 && total > 0);
	out = graph_tensor(g, 1, 1, pred->needs);
	t = graph_alloc(g, sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct target){ value, total, ret };
	return graph_record(g, &op, out, &pred, 1, t);
}
