/*
 * The scores of a few words of a vocabulary, without those of the others:
 *
 *     y[n,k] = x[n] . W[word[k]] + b[word[k]]
 *
 *     gW[word[k]] += sum_n G[n,k] x[n]      gb[word[k]] += sum_n G[n,k]      gx[n] = sum_k G[n,k] W[word[k]]
 *
 * W is the table of word embeddings, whose rows of these words are gathered first.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

enum { X, W, B, INPUTS };

struct words {
	const int32_t *word;
	int64_t n;
	float *row; /* [n,H] of W */
};

static void forward(struct node *node)
{
	const struct words *k = node->arg;
	const struct tensor *x = node->in[X], *w = node->in[W];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);

	for (int64_t i = 0; i < k->n; i++)
		memcpy(k->row + i * cols, w->data + k->word[i] * cols,
		       (size_t)cols * sizeof(float));
	gemm_run(graph_gemm(node->graph), false, true, rows, k->n, cols, 1, x->data, cols, k->row,
		 cols, 0, node->out->data, k->n);
	for (int64_t i = 0; node->in[B] && i < rows; i++)
		for (int64_t j = 0; j < k->n; j++)
			node->out->data[i * k->n + j] += node->in[B]->data[k->word[j]];
}

/* Where to add, with zeros where nothing was added yet. */
static float *filled(struct node *node, struct tensor *t)
{
	float beta, *to = graph_grad(node->graph, t, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(t) * sizeof(*to));
	return to;
}

static void back_weight(struct node *node)
{
	const struct words *k = node->arg;
	const struct tensor *x = node->in[X];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	float *sum = graph_scratch(node->graph, (size_t)(k->n * cols) * sizeof(*sum));
	float *to = filled(node, node->in[W]);

	if (sum && to) {
		gemm_run(graph_gemm(node->graph), true, false, k->n, cols, rows, 1, node->out->grad,
			 k->n, x->data, cols, 0, sum, cols);
		for (int64_t i = 0; i < k->n; i++)
			kernel_axpby(to + k->word[i] * cols, 1, 1, sum + i * cols, cols);
	}
	graph_grad_done(node->graph, node->in[W]);
}

static void back_bias(struct node *node)
{
	const struct words *k = node->arg;
	const int64_t rows = tensor_rows(node->out);
	float *to = filled(node, node->in[B]);

	for (int64_t i = 0; to && i < rows; i++)
		for (int64_t j = 0; j < k->n; j++)
			to[k->word[j]] += node->out->grad[i * k->n + j];
	graph_grad_done(node->graph, node->in[B]);
}

static void backward(struct node *node)
{
	const struct words *k = node->arg;
	struct tensor *x = node->in[X];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	float beta, *to;

	if (graph_needs(node->in[W]))
		back_weight(node);
	if (graph_needs(node->in[B]))
		back_bias(node);
	if (!graph_needs(x))
		return;
	to = graph_grad(node->graph, x, &beta);
	if (to)
		gemm_run(graph_gemm(node->graph), false, false, rows, cols, k->n, 1,
			 node->out->grad, k->n, k->row, cols, beta, to, cols);
	graph_grad_done(node->graph, x);
}

static const struct op op = { "word_scores", forward, backward };

struct tensor *op_word_scores(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b,
			      const int32_t *word, int64_t n)
{
	struct words *arg = graph_alloc(g, sizeof(*arg));
	struct tensor *out;

	if (!x || !w || !arg)
		return NULL;
	assert(tensor_cols(x) == tensor_cols(w) && n > 0);
	for (int64_t i = 0; i < n; i++)
		assert(word[i] >= 0 && word[i] < tensor_rows(w));
	out = graph_tensor_like(g, x, n, x->needs || w->needs || graph_needs(b));
	*arg = (struct words){ word, n,
			       graph_alloc(g, (size_t)(n * tensor_cols(w)) * sizeof(float)) };
	if (!out || !arg->row)
		return NULL;
	return graph_record(g, &op, out, (struct tensor *[]){ x, w, b }, INPUTS, arg);
}
