/*
 * Rows before every sequence: keys and values of a prefix, or a soft prompt.
 *
 *     y of sequence s = n rows of p, then x of sequence s
 *
 * p has n rows that all sequences share, or n for each of them. Of p the columns
 * from `at` on are taken, as many as x has: one tensor may hold the rows of many
 * layers side by side.
 *
 *     gx = its rows of G       gp[i] += G of row i, in the order of the sequences
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

enum { X, P, INPUTS };

/* Where row i of sequence s's prefix lies in p. */
static const float *prefix_row(const struct prepend *how, const struct tensor *p, int64_t s,
			       int64_t i)
{
	const int64_t row = tensor_rows(p) == how->n ? i : s * how->n + i;

	return p->data + row * tensor_cols(p) + how->at;
}

static void forward(struct node *node)
{
	const struct prepend *how = node->arg;
	const struct tensor *x = node->in[X], *p = node->in[P];
	const int64_t cols = tensor_cols(x);
	float *y = node->out->data;

	for (int64_t s = 0; s < how->seqs; s++) {
		const int64_t from = how->start[s], rows = how->start[s + 1] - from;

		for (int64_t i = 0; i < how->n; i++, y += cols)
			memcpy(y, prefix_row(how, p, s, i), (size_t)cols * sizeof(*y));
		memcpy(y, x->data + from * cols, (size_t)(rows * cols) * sizeof(*y));
		y += rows * cols;
	}
}

/* First row of sequence s in the result. */
static int64_t row_of(const struct prepend *how, int64_t s) { return how->start[s] + s * how->n; }

static void back_x(struct node *node)
{
	const struct prepend *how = node->arg;
	const int64_t cols = tensor_cols(node->out);
	float beta, *to = graph_grad(node->graph, node->in[X], &beta);

	for (int64_t s = 0; to && s < how->seqs; s++) {
		const int64_t from = how->start[s], rows = how->start[s + 1] - from;

		kernel_axpby(to + from * cols, beta, 1,
			     node->out->grad + (row_of(how, s) + how->n) * cols, rows * cols);
	}
	graph_grad_done(node->graph, node->in[X]);
}

static void back_p(struct node *node)
{
	const struct prepend *how = node->arg;
	struct tensor *p = node->in[P];
	const int64_t cols = tensor_cols(node->out), wide = tensor_cols(p);
	const bool shared = tensor_rows(p) == how->n;
	float beta, *to = graph_grad(node->graph, p, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(p) * sizeof(*to));
	for (int64_t s = 0; to && s < how->seqs; s++)
		for (int64_t i = 0; i < how->n; i++)
			kernel_axpby(to + ((shared ? 0 : s * how->n) + i) * wide + how->at, 1, 1,
				     node->out->grad + (row_of(how, s) + i) * cols, cols);
	graph_grad_done(node->graph, p);
}

static void backward(struct node *node)
{
	if (graph_needs(node->in[X]))
		back_x(node);
	if (graph_needs(node->in[P]))
		back_p(node);
}

static const struct op op = { "prepend", forward, backward };

int64_t *prepend_starts(struct graph *g, const struct prepend *how)
{
	int64_t *start = graph_alloc(g, (size_t)(how->seqs + 1) * sizeof(*start));

	for (int64_t s = 0; start && s <= how->seqs; s++)
		start[s] = row_of(how, s);
	return start;
}

struct tensor *op_prepend(struct graph *g, struct tensor *x, struct tensor *p,
			  const struct prepend *how)
{
	struct prepend *arg = graph_alloc(g, sizeof(*arg));
	struct tensor *out;

	if (!x || !p || !arg)
		return NULL;
	assert(how->n > 0 && how->start[0] == 0 && how->start[how->seqs] == tensor_rows(x));
	assert(tensor_rows(p) == how->n || tensor_rows(p) == how->n * how->seqs);
	assert(how->at >= 0 && how->at + tensor_cols(x) <= tensor_cols(p));
	out = graph_tensor(g, tensor_rows(x) + how->n * how->seqs, tensor_cols(x),
			   x->needs || p->needs);
	if (!out)
		return NULL;
	*arg = *how;
	out->origin = how->origin;
	return graph_record(g, &op, out, (struct tensor *[]){ x, p }, INPUTS, arg);
}
