/*
 * Linear layer with a step between two frozen matrices, of which two vectors
 * learn (VeRA):
 *
 *     y = x w^T + b + v (l B)^T        v = u d,  u = z A^T  [N,r], kept
 *
 *     gl = row sums of t B, t = G^T v        gv = G (l B)        gd = sum of gv u        gz += (gv d) A
 *
 * A [r,>=I] and B [>=O,r] are shared by layers of other sizes: their first
 * columns and rows count. l goes into B, so that it costs no pass over [N,O].
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"
#include "tensor/linear.h"

enum { X, Z, W, B, D, L, INPUTS }; /* Z is NULL where z is x */

struct step {
	const struct tensor *a, *b; /* the frozen matrices */
	float *u;
};

/* l B [O,r] in scratch; NULL without memory. */
static float *scaled_rows(struct node *n)
{
	const struct step *s = n->arg;
	const int64_t out = tensor_cols(n->out), rank = s->a->dim[0];
	float *lb = graph_scratch(n->graph, (size_t)(out * rank) * sizeof(*lb));

	for (int64_t o = 0; lb && o < out; o++)
		kernel_axpby(lb + o * rank, 0, n->in[L]->data[o], s->b->data + o * rank, rank);
	return lb;
}

/* v = u d in scratch. */
static float *scaled_columns(struct node *n)
{
	const struct step *s = n->arg;
	const int64_t rows = tensor_rows(n->out), rank = s->a->dim[0];
	float *v = graph_scratch(n->graph, (size_t)(rows * rank) * sizeof(*v));

	if (v)
		kernel_scale_rows(v, 0, n->in[D]->data, s->u, rows, rank);
	return v;
}

static void forward(struct node *n)
{
	const struct step *s = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const struct tensor *z = n->in[Z] ? n->in[Z] : n->in[X];
	const int64_t rows = tensor_rows(z), rank = s->a->dim[0], in = tensor_cols(z),
		      out = tensor_cols(n->out);
	const float *lb = scaled_rows(n), *v;

	linear_forward(gm, n->in[X], n->in[W], n->in[B], n->out);
	gemm_run(gm, false, true, rows, rank, in, 1, z->data, in, s->a->data, s->a->dim[1], 0, s->u,
		 rank);
	v = scaled_columns(n);
	if (v && lb)
		gemm_run(gm, false, true, rows, out, rank, 1, v, rank, lb, rank, 1, n->out->data,
			 out);
}

static void back_l(struct node *n)
{
	const struct step *s = n->arg;
	const int64_t rows = tensor_rows(n->out), out = tensor_cols(n->out), rank = s->a->dim[0];
	const float *v = scaled_columns(n);
	float *t = graph_scratch(n->graph, (size_t)(out * rank) * sizeof(*t));
	float beta, *to = graph_grad(n->graph, n->in[L], &beta);

	if (v && t && to) {
		gemm_run(graph_gemm(n->graph), true, false, out, rank, rows, 1, n->out->grad, out,
			 v, rank, 0, t, rank);
		for (int64_t o = 0; o < out; o++) {
			const float sum = kernel_dot(t + o * rank, s->b->data + o * rank, rank);

			to[o] = beta != 0 ? to[o] + sum : sum;
		}
	}
	graph_grad_done(n->graph, n->in[L]);
}

/* Through v to d and z. */
static void back_v(struct node *n, struct tensor *z)
{
	const struct step *s = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(z), rank = s->a->dim[0], in = tensor_cols(z),
		      out = tensor_cols(n->out);
	const float *lb = scaled_rows(n);
	float *gv = graph_scratch(n->graph, (size_t)(rows * rank) * sizeof(*gv));
	float beta, *to;

	if (!lb || !gv)
		return;
	gemm_run(gm, false, false, rows, rank, out, 1, n->out->grad, out, lb, rank, 0, gv, rank);
	if (graph_needs(n->in[D])) {
		to = graph_grad(n->graph, n->in[D], &beta);
		if (to)
			kernel_dot_columns(to, beta, gv, s->u, rows, rank);
		graph_grad_done(n->graph, n->in[D]);
	}
	if (graph_needs(z)) {
		to = graph_grad(n->graph, z, &beta);
		kernel_scale_rows(gv, 0, n->in[D]->data, gv, rows, rank);
		if (to)
			gemm_run(gm, false, false, rows, in, rank, 1, gv, rank, s->a->data,
				 s->a->dim[1], beta, to, in);
	}
}

static void backward(struct node *n)
{
	struct tensor *x = n->in[X], *z = n->in[Z] ? n->in[Z] : x;
	float beta, *to;

	if (graph_needs(n->in[L]))
		back_l(n);
	linear_back_weight(n->graph, n->out->grad, x, n->in[W], n->in[B]);
	if (graph_needs(x)) {
		to = graph_grad(n->graph, x, &beta);
		if (to)
			linear_back_x(graph_gemm(n->graph), n->out->grad, tensor_rows(x), n->in[W],
				      beta, to);
	}
	if (graph_needs(n->in[D]) || graph_needs(z))
		back_v(n, z);
	graph_grad_done(n->graph, x);
	graph_grad_done(n->graph, n->in[Z]);
}

static const struct op op = { "linear_vectors", forward, backward };

/* Only the gradient of w asks for x, and none for z: the matrices are frozen. */
static unsigned spared(struct tensor *const *in)
{
	return 1u << Z | (graph_needs(in[W]) ? 0 : 1u << X);
}

struct tensor *op_linear_vectors(struct graph *g, struct tensor *x, struct tensor *z,
				 struct tensor *w, struct tensor *b, const struct vector_step *step)
{
	struct tensor *const in[INPUTS] = {
		[X] = x, [Z] = z == x ? NULL : z, [W] = w, [B] = b, [D] = step->d, [L] = step->l,
	};
	struct tensor *out;
	struct step *s;

	if (!x || !z || !w || !step->a || !step->b || !step->d || !step->l)
		return NULL;
	assert(tensor_cols(x) == w->dim[1] && tensor_cols(z) == w->dim[1] &&
	       tensor_rows(x) == tensor_rows(z));
	assert(step->a->dim[1] >= w->dim[1] && step->b->dim[0] >= w->dim[0]);
	assert(step->a->dim[0] == step->b->dim[1] && !step->a->needs && !step->b->needs);
	assert(tensor_count(step->d) == step->a->dim[0] && tensor_count(step->l) == w->dim[0]);
	out = graph_tensor_like(g, x, w->dim[0], graph_needs_any(in, INPUTS));
	s = graph_alloc(g, sizeof(*s));
	if (!out || !s)
		return NULL;
	*s = (struct step){ step->a, step->b, NULL };
	s->u = graph_alloc(g, (size_t)(tensor_rows(x) * step->a->dim[0]) * sizeof(*s->u));
	return s->u ? graph_record_as(g, &op, out, in, INPUTS, s, spared(in)) : NULL;
}
