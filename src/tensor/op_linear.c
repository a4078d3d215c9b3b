/*
 * Linear layer: y = x w^T + b.
 *
 *     gx = G w        gw = G^T x        gb = sum of the rows of G
 *
 * Where only some rows of gw are wanted, it is a product with these columns of G alone.
 *
 * A frozen w comes prepared: the forward and the backward copy are then used
 * instead of w->data, which may be absent.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"
#include "tensor/linear.h"

static struct gemm_weight weight(const struct tensor *w)
{
	return (struct gemm_weight){ w->data, w->dim[0], w->dim[1] };
}

void linear_forward(const struct gemm *gm, const struct tensor *x, const struct tensor *w,
		    const struct tensor *b, struct tensor *out)
{
	const int64_t n = tensor_rows(x), in = w->dim[1], rows = w->dim[0];
	const struct gemm_weight own = weight(w);

	if (w->forward) {
		gemm_prepared_bias(gm, w->forward, n, x->data, in, b ? b->data : NULL, out->data,
				   rows);
		return;
	}
	if (b)
		kernel_set_rows(out->data, b->data, n, rows);
	gemm_weight_forward(gm, &own, n, x->data, b ? 1 : 0, out->data);
}

void linear_back_x(const struct gemm *gm, const float *grad, int64_t rows, const struct tensor *w,
		   float beta, float *gx)
{
	const int64_t out = w->dim[0], in = w->dim[1];
	const struct gemm_weight own = weight(w);

	if (w->backward)
		gemm_prepared(gm, w->backward, rows, grad, out, beta, gx, in);
	else
		gemm_weight_back(gm, &own, rows, grad, beta, gx);
}

/* The same numbers as all of gw would hold there, but for the order in which a library adds. */
static void back_rows(struct graph *g, const float *grad, const struct tensor *x,
		      const struct tensor *w, float beta, float *to)
{
	const int64_t n = tensor_rows(x), out = w->dim[0], in = w->dim[1];
	const int64_t *row = w->grad_rows->row, k = w->grad_rows->n;
	const struct gemm_weight own = { NULL, k, in };
	float *columns = graph_alloc(g, (size_t)(n * k) * sizeof(float));
	float *sum = graph_alloc(g, (size_t)(k * in) * sizeof(float));

	if (!columns || !sum)
		return;
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < k; j++)
			columns[i * k + j] = grad[i * out + row[j]];
	for (int64_t j = 0; beta > 0 && j < k; j++)
		memcpy(sum + j * in, to + row[j] * in, (size_t)in * sizeof(float));
	gemm_weight_grad(graph_gemm(g), &own, n, columns, x->data, beta, sum);
	for (int64_t j = 0; j < k; j++)
		memcpy(to + row[j] * in, sum + j * in, (size_t)in * sizeof(float));
}

void linear_back_weight(struct graph *g, const float *grad, const struct tensor *x,
			struct tensor *w, struct tensor *b)
{
	const int64_t n = tensor_rows(x), out = w->dim[0];
	const struct gemm_weight own = weight(w);
	float beta, *to;

	if (graph_needs(w)) {
		to = graph_grad(g, w, &beta);
		if (to && w->grad_rows)
			back_rows(g, grad, x, w, beta, to);
		else if (to)
			gemm_weight_grad(graph_gemm(g), &own, n, grad, x->data, beta, to);
		graph_grad_done(g, w);
	}
	if (graph_needs(b)) {
		to = graph_grad(g, b, &beta);
		if (to)
			kernel_column_sums(to, beta, grad, n, out);
		graph_grad_done(g, b);
	}
}

static void forward(struct node *n)
{
	linear_forward(graph_gemm(n->graph), n->in[0], n->in[1], n->in[2], n->out);
}

static void backward(struct node *n)
{
	struct tensor *x = n->in[0], *w = n->in[1];
	const float *grad = n->out->grad;
	float beta, *gx;

	linear_back_weight(n->graph, grad, x, w, n->in[2]);
	if (!graph_needs(x))
		return;
	gx = graph_grad(n->graph, x, &beta);
	if (gx)
		linear_back_x(graph_gemm(n->graph), grad, tensor_rows(x), w, beta, gx);
	graph_grad_done(n->graph, x);
}

static const struct op op = { "linear", forward, backward };

struct tensor *op_linear(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b)
{
	struct tensor *out;

	if (!x || !w)
		return NULL;
	assert(w->rank == 2 && tensor_cols(x) == w->dim[1]);
	assert(!b || tensor_count(b) == w->dim[0]);
	out = graph_tensor_like(g, x, w->dim[0], x->needs || w->needs || graph_needs(b));
	return graph_record_as(g, &op, out, (struct tensor *[]){ x, w, b }, 3, NULL, !w->needs);
}
