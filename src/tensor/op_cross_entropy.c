/*
 * Cross entropy with label smoothing eps over C classes: this shard's part of
 *
 *     (1 / total) sum_i ((1 - eps) (lse_i - x_i[label]) + eps (lse_i - mean(x_i)))
 *
 *     gx = G (softmax(x) - (1 - eps) [label] - eps / C) / total
 *
 * lse is the log of the sum of exponentials, in double.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"

struct target {
	const int32_t *label;
	double smoothing, total;
	struct loss *ret;
};

static void forward(struct node *n)
{
	const struct target *t = n->arg;
	const int64_t rows = tensor_rows(n->in[0]), classes = tensor_cols(n->in[0]);
	double sum = 0;

	for (int64_t i = 0; i < rows; i++) {
		const float *x = n->in[0]->data + i * classes;
		double wanted = (double)x[t->label[i]];

		if (t->smoothing > 0)
			wanted += t->smoothing *
				  (kernel_sum(x, classes) / (double)classes - wanted);
		sum += kernel_log_sum_exp(x, classes) - wanted;
	}
	n->out->data[0] = (float)(sum / t->total);
	if (t->ret)
		*t->ret = (struct loss){ sum, rows };
}

static void backward(struct node *n)
{
	const struct target *t = n->arg;
	struct tensor *x = n->in[0];
	const int64_t rows = tensor_rows(x), classes = tensor_cols(x);
	const float scale = (float)((double)n->out->grad[0] / t->total);
	const float hit = (float)(1 - t->smoothing), all = (float)(t->smoothing / (double)classes);
	float *p = graph_scratch(n->graph, (size_t)classes * sizeof(*p));
	float beta, *to = graph_grad(n->graph, x, &beta);

	for (int64_t i = 0; p && to && i < rows; i++) {
		kernel_softmax(p, x->data + i * classes, 1, 1, classes);
		for (int64_t j = 0; all > 0 && j < classes; j++)
			p[j] -= all;
		p[t->label[i]] -= hit;
		kernel_axpby(to + i * classes, beta, scale, p, classes);
	}
	graph_grad_done(n->graph, x);
}

static const struct op op = { "cross_entropy", forward, backward };

struct tensor *op_cross_entropy(struct graph *g, struct tensor *logits, const int32_t *label,
				double smoothing, double total, struct loss *ret)
{
	struct tensor *out;
	struct target *t;

	if (!logits)
		return NULL;
	assert(total > 0 && smoothing >= 0 && smoothing <= 1);
	for (int64_t i = 0; i < tensor_rows(logits); i++)
		assert(label[i] >= 0 && label[i] < tensor_cols(logits));
	out = graph_tensor(g, 1, 1, logits->needs);
	t = graph_alloc(g, sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct target){ label, smoothing, total, ret };
	return graph_record(g, &op, out, &logits, 1, t);
}
