/*
 * How far the rows of x, or its columns, are from orthonormal:
 *
 *     y = weight |D|        D = x x^T - I, or x^T x - I, kept; |.| the Frobenius norm
 *
 *     gx = 2 G weight D x / |D|, or of columns x D; 0 where D is 0
 */
#include "tensor/op.h"

#include <math.h>

#include "tensor/kernel.h"

struct apart {
	bool rows;
	float weight;
	int64_t n; /* rows or columns that are compared */
	float *d;  /* [n,n] */
	double norm;
};

static void forward(struct node *n)
{
	struct apart *p = n->arg;
	const struct tensor *x = n->in[0];
	const int64_t cols = tensor_cols(x), length = p->rows ? cols : tensor_rows(x);

	gemm_run(graph_gemm(n->graph), !p->rows, p->rows, p->n, p->n, length, 1, x->data, cols,
		 x->data, cols, 0, p->d, p->n);
	for (int64_t i = 0; i < p->n; i++)
		p->d[i * p->n + i] -= 1;
	p->norm = sqrt(kernel_sum_squares(p->d, p->n * p->n));
	n->out->data[0] = (float)((double)p->weight * p->norm);
}

static void backward(struct node *n)
{
	const struct apart *p = n->arg;
	struct tensor *x = n->in[0];
	const int64_t rows = tensor_rows(x), cols = tensor_cols(x);
	const float by = p->norm > 0 ? (float)(2.0 * (double)p->weight * (double)n->out->grad[0] /
					       p->norm)
				     : 0;
	float beta, *to = graph_grad(n->graph, x, &beta);

	if (to && p->rows)
		gemm_run(graph_gemm(n->graph), false, false, rows, cols, p->n, by, p->d, p->n,
			 x->data, cols, beta, to, cols);
	else if (to)
		gemm_run(graph_gemm(n->graph), false, false, rows, cols, p->n, by, x->data, cols,
			 p->d, p->n, beta, to, cols);
	graph_grad_done(n->graph, x);
}

static const struct op op = { "orthogonality", forward, backward };

struct tensor *op_orthogonality(struct graph *g, struct tensor *x, bool rows, float weight)
{
	struct tensor *out;
	struct apart *p;

	if (!x)
		return NULL;
	out = graph_tensor(g, 1, 1, x->needs);
	p = graph_alloc(g, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct apart){ .rows = rows, .weight = weight };
	p->n = rows ? tensor_rows(x) : tensor_cols(x);
	p->d = graph_alloc(g, (size_t)(p->n * p->n) * sizeof(*p->d));
	return p->d ? graph_record(g, &op, out, &x, 1, p) : NULL;
}
