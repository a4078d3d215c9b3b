/*
 * LayerNorm of a sum: y = xhat gamma + beta, xhat = (drop(x) + r - mean) rstd per row, rstd = 1 / sqrt(var + eps).
 *
 *     g = G gamma        gr = rstd (g - mean(g) - xhat mean(g xhat))        gx = gr, dropped as x was
 *     ggamma = sum of G xhat over the rows        gbeta = sum of G over the rows
 *
 * xhat and rstd are kept, so x and r need not be.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/drop.h"

enum { X, R, GAMMA, BETA, INPUTS };

struct norm {
	float eps;
	float *xhat, *rstd; /* NULL when there is no backward */
	struct drop drop;   /* keep NULL: none */
};

static void forward(struct node *n)
{
	const struct norm *a = n->arg;
	const struct kernel_norm k = {
		.rows = tensor_rows(n->out),
		.cols = tensor_cols(n->out),
		.x = n->in[X]->data,
		.r = n->in[R] ? n->in[R]->data : NULL,
		.keep = a->drop.keep,
		.gain = a->drop.scale,
		.gamma = n->in[GAMMA]->data,
		.beta = n->in[BETA]->data,
		.eps = a->eps,
		.y = n->out->data,
		.xhat = a->xhat,
		.rstd = a->rstd,
	};

	kernel_layer_norm(&k);
}

static float *grad_of(struct node *n, int i, float *ret_beta)
{
	return graph_needs(n->in[i]) ? graph_grad(n->graph, n->in[i], ret_beta) : NULL;
}

/* The kernel always adds to these, so a new one starts at zero. */
static float *sum_of(struct node *n, int i)
{
	float beta, *to = grad_of(n, i, &beta);

	if (to && beta == 0)
		memset(to, 0, (size_t)tensor_count(n->in[i]) * sizeof(*to));
	return to;
}

static void backward(struct node *n)
{
	const struct norm *a = n->arg;
	struct kernel_norm_back k = {
		.rows = tensor_rows(n->out),
		.cols = tensor_cols(n->out),
		.dy = n->out->grad,
		.xhat = a->xhat,
		.rstd = a->rstd,
		.gamma = n->in[GAMMA]->data,
		.keep = a->drop.keep,
		.gain = a->drop.scale,
	};

	k.dx = grad_of(n, X, &k.dx_beta);
	k.dr = grad_of(n, R, &k.dr_beta);
	k.dgamma = sum_of(n, GAMMA);
	k.dbeta = sum_of(n, BETA);
	kernel_layer_norm_back(&k);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "layer_norm", forward, backward };

struct tensor *op_layer_norm_dropped(struct graph *g, struct tensor *x, float p, struct tensor *r,
				     struct tensor *gamma, struct tensor *beta, float eps)
{
	struct tensor *const in[INPUTS] = { [X] = x, [R] = r, [GAMMA] = gamma, [BETA] = beta };
	struct tensor *out;
	struct norm *a;

	if (!x || !gamma || !beta)
		return NULL;
	assert(x != r &&
	       (!r || (tensor_rows(r) == tensor_rows(x) && tensor_cols(r) == tensor_cols(x))));
	assert(tensor_count(gamma) == tensor_cols(x) && tensor_count(beta) == tensor_cols(x));
	out = graph_tensor_like(g, x, tensor_cols(x),
				x->needs || graph_needs(r) || gamma->needs || beta->needs);
	a = graph_alloc(g, sizeof(*a));
	if (!out || !a)
		return NULL;
	*a = (struct norm){ .eps = eps };
	if (out->needs) {
		a->xhat = graph_alloc(g, (size_t)tensor_count(out) * sizeof(*a->xhat));
		a->rstd = graph_alloc(g, (size_t)tensor_rows(out) * sizeof(*a->rstd));
		if (!a->xhat || !a->rstd)
			return NULL;
	}
	if (graph_pass(g)->train && p > 0 && !drop_rows(g, x, p, &a->drop))
		return NULL;
	return graph_record_as(g, &op, out, in, INPUTS, a, 1U << X | 1U << R);
}

struct tensor *op_layer_norm(struct graph *g, struct tensor *x, struct tensor *r,
			     struct tensor *gamma, struct tensor *beta, float eps)
{
	return op_layer_norm_dropped(g, x, 0, r, gamma, beta, eps);
}
