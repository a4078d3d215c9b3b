/*
 * Linear layer with a learned factor for each of its numbers ((IA)^3):
 *
 *     what comes out:   y = (x w^T + b) * l     v = x w^T + b, kept
 *                       gl = sum of G * v over the rows     then as op_linear with G * l
 *
 *     what goes in:     y = (x * l) w^T + b
 *                       gz = G w     gl = sum of gz * x over the rows     gx = gz * l
 *
 * In each backward one pass makes both gradients that need the factor's product,
 * in a buffer that is there already where it can.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"
#include "tensor/linear.h"

enum { X, W, B, L, INPUTS };

/* Where the gradient of l is added up; NULL where none is wanted. The kernel always adds, so a new one starts at zero. */
static float *factor_grad(struct node *n)
{
	struct tensor *l = n->in[L];
	float beta, *to = graph_needs(l) ? graph_grad(n->graph, l, &beta) : NULL;

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(l) * sizeof(*to));
	return to;
}

static struct tensor *build(struct graph *g, const struct op *op, struct tensor *const *in,
			    void *arg)
{
	struct tensor *out = graph_tensor_like(g, in[X], in[W]->dim[0],
					       in[X]->needs || in[W]->needs || graph_needs(in[B]) ||
						       in[L]->needs);

	return graph_record(g, op, out, in, INPUTS, arg);
}

/* ---- what comes out ---- */

static void forward_out(struct node *n)
{
	struct tensor v = *n->out;
	float *const *kept = n->arg;

	if (*kept)
		v.data = *kept;
	linear_forward(graph_gemm(n->graph), n->in[X], n->in[W], n->in[B], &v);
	kernel_scale_rows(n->out->data, 0, n->in[L]->data, v.data, tensor_rows(&v),
			  tensor_cols(&v));
}

/* From here on the gradient of v stands where y's was. */
static void backward_out(struct node *n)
{
	struct tensor *x = n->in[X];
	float *grad = n->out->grad, beta, *to;
	float *const *kept = n->arg;
	const struct kernel_scale_back k = {
		.rows = tensor_rows(n->out),
		.cols = tensor_cols(n->out),
		.dy = grad,
		.x = *kept,
		.s = n->in[L]->data,
		.dx = grad,
		.ds = factor_grad(n),
	};

	kernel_scale_rows_back(&k);
	graph_grad_done(n->graph, n->in[L]);
	linear_back_weight(n->graph, grad, x, n->in[W], n->in[B]);
	if (!graph_needs(x))
		return;
	to = graph_grad(n->graph, x, &beta);
	if (to)
		linear_back_x(graph_gemm(n->graph), grad, k.rows, n->in[W], beta, to);
	graph_grad_done(n->graph, x);
}

static const struct op op_out = { "linear_scaled_out", forward_out, backward_out };

struct tensor *op_linear_scaled_out(struct graph *g, struct tensor *x, struct tensor *w,
				    struct tensor *b, struct tensor *l)
{
	struct tensor *const in[INPUTS] = { [X] = x, [W] = w, [B] = b, [L] = l };
	float **kept = graph_alloc(g, sizeof(*kept));

	if (!x || !w || !l || !kept)
		return NULL;
	assert(tensor_cols(x) == w->dim[1] && tensor_count(l) == w->dim[0]);
	*kept = NULL;
	if (l->needs && graph_pass(g)->train) {
		*kept = graph_alloc(g, (size_t)(tensor_rows(x) * w->dim[0]) * sizeof(**kept));
		if (!*kept)
			return NULL;
	}
	return build(g, &op_out, in, kept);
}

/* ---- what goes in ---- */

/* x * l in the scratch; data NULL without memory. */
static struct tensor scaled(struct node *n)
{
	const struct tensor *x = n->in[X];
	struct tensor z = *x;

	z.data = graph_scratch(n->graph, (size_t)tensor_count(x) * sizeof(*z.data));
	if (z.data)
		kernel_scale_rows(z.data, 0, n->in[L]->data, x->data, tensor_rows(x),
				  tensor_cols(x));
	return z;
}

static void forward_in(struct node *n)
{
	const struct tensor z = scaled(n);

	if (z.data)
		linear_forward(graph_gemm(n->graph), &z, n->in[W], n->in[B], n->out);
}

/* gz, then gx in its place: in x's own buffer when that is empty. */
static void back_in(struct node *n)
{
	struct tensor *x = n->in[X], *w = n->in[W];
	float beta = 1, *gx = graph_needs(x) ? graph_grad(n->graph, x, &beta) : NULL;
	float *gz = gx && beta == 0
			    ? gx
			    : graph_scratch(n->graph, (size_t)tensor_count(x) * sizeof(*gz));
	const struct kernel_scale_back k = {
		.rows = tensor_rows(x),
		.cols = tensor_cols(x),
		.dy = gz,
		.x = x->data,
		.s = n->in[L]->data,
		.dx = gx,
		.dx_beta = beta,
		.ds = factor_grad(n),
	};

	if (!gz)
		return;
	linear_back_x(graph_gemm(n->graph), n->out->grad, k.rows, w, 0, gz);
	kernel_scale_rows_back(&k);
}

static void backward_in(struct node *n)
{
	if (graph_needs(n->in[W]) || graph_needs(n->in[B])) {
		const struct tensor z = scaled(n);

		if (z.data)
			linear_back_weight(n->graph, n->out->grad, &z, n->in[W], n->in[B]);
	}
	if (graph_needs(n->in[X]) || graph_needs(n->in[L]))
		back_in(n);
	graph_grad_done(n->graph, n->in[X]);
	graph_grad_done(n->graph, n->in[L]);
}

static const struct op op_in = { "linear_scaled_in", forward_in, backward_in };

struct tensor *op_linear_scaled_in(struct graph *g, struct tensor *x, struct tensor *w,
				   struct tensor *b, struct tensor *l)
{
	struct tensor *const in[INPUTS] = { [X] = x, [W] = w, [B] = b, [L] = l };

	if (!x || !w || !l)
		return NULL;
	assert(tensor_cols(x) == w->dim[1] && tensor_count(l) == w->dim[1]);
	return build(g, &op_in, in, NULL);
}
