/*
 * Scores of words to scores of labels; a label has the words start[l] .. start[l+1] - 1:
 *
 *     mean      y = mean of x         gx = G / words
 *     log-sum   y = log sum exp x     gx = G exp(x - y)
 *     largest   y = max x             gx = G for the first word that has it
 *
 * A softmax over labels of the log-sums adds the words' probabilities.
 */
#include "tensor/op.h"

#include <assert.h>
#include <math.h>
#include <string.h>

struct pooling {
	enum pool_scores kind;
	const int64_t *start;
	int64_t labels;
};

static int64_t largest(const float *x, int64_t n)
{
	int64_t best = 0;

	for (int64_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

static float pool(enum pool_scores kind, const float *x, int64_t n)
{
	const double top = (double)x[largest(x, n)];
	double sum = 0;

	if (kind == POOL_MAX)
		return (float)top;
	for (int64_t i = 0; i < n; i++)
		sum += kind == POOL_MEAN ? (double)x[i] : exp((double)x[i] - top);
	return (float)(kind == POOL_MEAN ? sum / (double)n : top + log(sum));
}

static void forward(struct node *node)
{
	const struct pooling *p = node->arg;
	const int64_t cols = tensor_cols(node->in[0]);

	for (int64_t i = 0; i < tensor_rows(node->out); i++)
		for (int64_t l = 0; l < p->labels; l++)
			node->out->data[i * p->labels + l] = pool(
				p->kind, node->in[0]->data + i * cols + p->start[l],
				p->start[l + 1] - p->start[l]);
}

/* d y / d x[k] of one label's words. */
static double share(enum pool_scores kind, const float *x, int64_t n, int64_t k, float y)
{
	switch (kind) {
	case POOL_MEAN: return 1.0 / (double)n;
	case POOL_LOG_SUM: return exp((double)x[k] - (double)y);
	default: return k == largest(x, n);
	}
}

static void backward(struct node *node)
{
	const struct pooling *p = node->arg;
	struct tensor *x = node->in[0];
	const int64_t cols = tensor_cols(x);
	float beta, *to = graph_grad(node->graph, x, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(x) * sizeof(*to));
	for (int64_t i = 0; to && i < tensor_rows(node->out); i++) {
		for (int64_t l = 0; l < p->labels; l++) {
			const int64_t from = p->start[l], n = p->start[l + 1] - from;
			const float *word = x->data + i * cols + from;
			const float y = node->out->data[i * p->labels + l],
				    g = node->out->grad[i * p->labels + l];

			for (int64_t k = 0; k < n; k++)
				to[i * cols + from + k] += (float)((double)g *
								   share(p->kind, word, n, k, y));
		}
	}
	graph_grad_done(node->graph, x);
}

static const struct op op = { "pool_scores", forward, backward };

struct tensor *op_pool_scores(struct graph *g, struct tensor *x, const int64_t *start,
			      int64_t labels, enum pool_scores kind)
{
	struct pooling *arg = graph_alloc(g, sizeof(*arg));
	struct tensor *out;

	if (!x || !arg)
		return NULL;
	assert(labels > 0 && start[0] == 0 && start[labels] == tensor_cols(x));
	out = graph_tensor_like(g, x, labels, x->needs);
	*arg = (struct pooling){ kind, start, labels };
	return graph_record(g, &op, out, &x, 1, arg);
}
