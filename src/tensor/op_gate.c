/*
 * A gate for every sequence (UniPELT): the mean over its rows of what a sigmoid
 * makes of each.
 *
 *     v[n] = sigmoid(x[n] . w + b)      y[s] = mean of v over the rows of sequence s
 *
 *     gl[n] = G[s] v (1 - v) / rows of s        gw = gl^T x      gb = sum of gl      gx = gl w
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"

enum { X, W, B, INPUTS };

struct gate {
	float *v; /* [N] */
};

static int64_t count_runs(const struct tensor *x)
{
	const int64_t rows = tensor_rows(x);
	int64_t n = 0;

	for (int64_t from = 0; from < rows; from = origin_run_end(x->origin, from, rows))
		n++;
	return n;
}

static void forward(struct node *n)
{
	const struct gate *a = n->arg;
	const struct tensor *x = n->in[X];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	float *y = n->out->data;

	for (int64_t i = 0; i < rows; i++)
		a->v[i] = -kernel_dot(x->data + i * cols, n->in[W]->data, cols) - n->in[B]->data[0];
	kernel_exp(a->v, a->v, rows);
	for (int64_t from = 0, to; from < rows; from = to) {
		double sum = 0;

		to = origin_run_end(x->origin, from, rows);
		for (int64_t i = from; i < to; i++) {
			a->v[i] = 1 / (1 + a->v[i]);
			sum += (double)a->v[i];
		}
		*y++ = (float)(sum / (double)(to - from));
	}
}

/* gl [N]; NULL without memory. */
static float *back_rows(struct node *n)
{
	const struct gate *a = n->arg;
	const struct tensor *x = n->in[X];
	const int64_t rows = tensor_rows(x);
	float *gl = graph_scratch(n->graph, (size_t)(rows ? rows : 1) * sizeof(*gl));
	const float *grad = n->out->grad;

	for (int64_t from = 0, to; gl && from < rows; from = to, grad++) {
		to = origin_run_end(x->origin, from, rows);
		for (int64_t i = from; i < to; i++)
			gl[i] = *grad * a->v[i] * (1 - a->v[i]) / (float)(to - from);
	}
	return gl;
}

static void backward(struct node *n)
{
	struct tensor *x = n->in[X], *w = n->in[W], *b = n->in[B];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	const float *gl = back_rows(n);
	float beta, *to;

	if (!gl)
		return;
	to = graph_needs(w) ? graph_grad(n->graph, w, &beta) : NULL;
	if (to)
		gemm_run(graph_gemm(n->graph), false, false, 1, cols, rows, 1, gl, rows, x->data,
			 cols, beta, to, cols);
	to = graph_needs(b) ? graph_grad(n->graph, b, &beta) : NULL;
	if (to)
		*to = (float)kernel_sum(gl, rows) + (beta == 0 ? 0 : *to);
	to = graph_needs(x) ? graph_grad(n->graph, x, &beta) : NULL;
	for (int64_t i = 0; to && i < rows; i++)
		kernel_axpby(to + i * cols, beta, gl[i], w->data, cols);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "gate", forward, backward };

struct tensor *op_gate(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b)
{
	struct tensor *out;
	struct gate *a;

	if (!x || !w || !b)
		return NULL;
	assert(x->origin && tensor_count(w) == tensor_cols(x) && tensor_count(b) == 1);
	out = graph_tensor(g, count_runs(x), 1, x->needs || w->needs || b->needs);
	a = graph_alloc(g, sizeof(*a));
	if (!out || !a)
		return NULL;
	a->v = graph_alloc(g, (size_t)(tensor_rows(x) ? tensor_rows(x) : 1) * sizeof(*a->v));
	return a->v ? graph_record_as(g, &op, out, (struct tensor *[]){ x, w, b }, INPUTS, a,
				      graph_needs(w) ? 0 : 1U << X)
		    : NULL;
}

struct tensor *op_gate_rows(struct graph *g, struct tensor *gate, const struct tensor *x)
{
	const int64_t rows = tensor_rows(x);
	int32_t *which = graph_alloc(g, (size_t)(rows ? rows : 1) * sizeof(*which)), s = 0;

	if (!gate || !which)
		return NULL;
	for (int64_t from = 0, to; from < rows; from = to, s++) {
		to = origin_run_end(x->origin, from, rows);
		for (int64_t i = from; i < to; i++)
			which[i] = s;
	}
	return op_gather(g, gate, which, rows);
}
