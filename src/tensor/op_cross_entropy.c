/*
 * Cross entropy with label smoothing eps over C classes: this shard's part of
 *
 *     (1 / total) sum_i ((1 - eps) (lse_i - x_i[label]) + eps (lse_i - mean(x_i)))
 *
 *     gx = G (softmax(x) - (1 - eps) [label] - eps / C) / total
 *
 * lse is the log of the sum of exponentials, in double. The C classes of a row are
 * all columns, or those among which its label is; other columns get no gradient.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

struct target {
	const int32_t *label;
	const struct span *among; /* NULL: all columns */
	double smoothing, total;
	struct loss *ret;
};

static struct span span_of(const struct target *t, int64_t row, int64_t cols)
{
	return t->among ? t->among[t->label[row]] : (struct span){ 0, (int32_t)cols };
}

static void forward(struct node *n)
{
	const struct target *t = n->arg;
	const int64_t rows = tensor_rows(n->in[0]), cols = tensor_cols(n->in[0]);
	double sum = 0;

	for (int64_t i = 0; i < rows; i++) {
		const struct span at = span_of(t, i, cols);
		const int64_t classes = at.end - at.first;
		const float *x = n->in[0]->data + i * cols + at.first;
		double wanted = (double)x[t->label[i] - at.first];

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
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	const float scale = (float)((double)n->out->grad[0] / t->total);
	const float hit = (float)(1 - t->smoothing);
	float *p = graph_scratch(n->graph, (size_t)cols * sizeof(*p));
	float beta, *to = graph_grad(n->graph, x, &beta);

	for (int64_t i = 0; p && to && i < rows; i++) {
		const struct span at = span_of(t, i, cols);
		const int64_t classes = at.end - at.first;
		const float all = (float)(t->smoothing / (double)classes);

		if (classes < cols)
			memset(p, 0, (size_t)cols * sizeof(*p));
		kernel_softmax(p + at.first, x->data + i * cols + at.first, 1, 1, classes);
		for (int64_t j = at.first; all > 0 && j < at.end; j++)
			p[j] -= all;
		p[t->label[i]] -= hit;
		kernel_axpby(to + i * cols, beta, scale, p, cols);
	}
	graph_grad_done(n->graph, x);
}

static const struct op op = { "cross_entropy", forward, backward };

struct tensor *op_cross_entropy_among(struct graph *g, struct tensor *logits, const int32_t *label,
				      const struct span *among, double smoothing, double total,
				      struct loss *ret)
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
	*t = (struct target){ label, among, smoothing, total, ret };
	return graph_record(g, &op, out, &logits, 1, t);
}

struct tensor *op_cross_entropy(struct graph *g, struct tensor *logits, const int32_t *label,
				double smoothing, double total, struct loss *ret)
{
	return op_cross_entropy_among(g, logits, label, NULL, smoothing, total, ret);
}
