/*
 * Linear layer with a low-rank step and a magnitude for each output (DoRA),
 * c = m / norm, norm a constant:
 *
 *     y = x w^T + b + (c - 1) k + s u (c b2)^T        k = z w^T, u = z a^T, both kept
 *
 *     gx = G w        gz = (G (c - 1)) w + gu a        gu = s G (c b2)        ga = gu^T z
 *     gb2 = s c t     gm = (sum of G k + s t.b2) / norm                       t = G^T u
 *
 * z is x after dropout: the layer itself sees x. Where z is x, k is y without b,
 * so there is one product with w, and both gradients are (G c) w.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"
#include "tensor/linear.h"
#include "tensor/magnitude.h"

enum { X, Z, W, B, STEP_A, STEP_B, M, INPUTS }; /* Z is NULL where z is x */

struct arg {
	struct stretch *stretch;
	float *u, *k; /* k: NULL where nobody asks for it later */
};

static void forward(struct node *n)
{
	const struct arg *arg = n->arg;
	const struct stretch *s = arg->stretch;
	const struct gemm *gm = graph_gemm(n->graph);
	const struct tensor *z = n->in[Z] ? n->in[Z] : n->in[X], *a = n->in[STEP_A];
	const int64_t rows = tensor_rows(z), rank = a->dim[0], in = a->dim[1],
		      out = tensor_cols(n->out);
	struct tensor own = { .data = arg->k };

	stretch_fill(arg->stretch);
	linear_forward(gm, n->in[X], n->in[W], n->in[B], n->out);
	if (n->in[Z]) {
		linear_forward(gm, z, n->in[W], NULL, &own);
		kernel_scale_rows(n->out->data, 1, s->less, own.data, rows, out);
	} else {
		kernel_stretch_rows(n->out->data, arg->k, s->less, n->in[B] ? n->in[B]->data : NULL,
				    rows, out);
	}
	gemm_run(gm, false, true, rows, rank, in, 1, z->data, in, a->data, in, 0, arg->u, rank);
	gemm_run(gm, false, true, rows, out, rank, s->scale, arg->u, rank, s->cb, rank, 1,
		 n->out->data, out);
}

/* Gradients of b2, m and the bias. */
static void back_out(struct node *n)
{
	const struct arg *arg = n->arg;
	const int64_t rows = tensor_rows(n->out), out = tensor_cols(n->out);
	float *sum = NULL;

	if (graph_needs(n->in[M])) {
		sum = graph_scratch(n->graph, (size_t)out * sizeof(*sum));
		if (!sum)
			return;
		kernel_dot_columns(sum, 0, n->out->grad, arg->k, rows, out);
	}
	stretch_back(n->graph, arg->stretch, n->out->grad, rows, arg->u, sum);
	linear_back_weight(n->graph, n->out->grad, n->in[X], n->in[W], n->in[B]);
}

/* The part of gz that goes through w, of G times one factor a column. */
static void back_own(struct node *n, const float *factor, struct tensor *t)
{
	const int64_t rows = tensor_rows(n->out), out = tensor_cols(n->out);
	float *grad = graph_scratch(n->graph, (size_t)(rows * out) * sizeof(*grad));
	float beta, *to = graph_grad(n->graph, t, &beta);

	if (!grad || !to)
		return;
	kernel_scale_rows(grad, 0, factor, n->out->grad, rows, out);
	linear_back_x(graph_gemm(n->graph), grad, rows, n->in[W], beta, to);
}

static void backward(struct node *n)
{
	const struct arg *arg = n->arg;
	const struct stretch *s = arg->stretch;
	struct tensor *x = n->in[X], *z = n->in[Z] ? n->in[Z] : x;
	const struct low_rank_back step = {
		.grad = n->out->grad,
		.b = s->cb,
		.scale = s->scale,
		.a = n->in[STEP_A],
		.z = z,
		.out = tensor_cols(n->out),
	};
	float beta, *to;

	back_out(n);
	if (n->in[Z] && graph_needs(x)) {
		to = graph_grad(n->graph, x, &beta);
		if (to)
			linear_back_x(graph_gemm(n->graph), n->out->grad, tensor_rows(x), n->in[W],
				      beta, to);
	}
	if (graph_needs(z))
		back_own(n, n->in[Z] ? s->less : s->c, z);
	low_rank_back_in(n->graph, &step);
	graph_grad_done(n->graph, x);
	graph_grad_done(n->graph, n->in[Z]);
}

static const struct op op = { "linear_magnitude", forward, backward };

/* z, or x in its place, is read for the gradient of a; w has none. */
static unsigned spared(struct tensor *const *in)
{
	const bool a = graph_needs(in[STEP_A]);

	return (a && !in[Z] ? 0 : 1u << X) | (a ? 0 : 1u << Z);
}

struct tensor *op_linear_magnitude(struct graph *g, struct tensor *x, struct tensor *z,
				   struct tensor *w, struct tensor *b, const struct low_rank *step,
				   const struct magnitude *how)
{
	struct tensor *const in[INPUTS] = {
		[X] = x,      [Z] = z == x ? NULL : z, [W] = w,
		[B] = b,      [STEP_A] = step->a,      [STEP_B] = step->b,
		[M] = how->m,
	};
	struct tensor *out;
	struct arg *arg;

	if (!x || !z || !w || !step->a || !step->b || !how->m)
		return NULL;
	assert(tensor_cols(x) == w->dim[1] && tensor_cols(z) == w->dim[1] &&
	       tensor_rows(x) == tensor_rows(z));
	assert(step->a->dim[1] == w->dim[1] && step->b->dim[0] == w->dim[0] && !step->c);
	assert(step->a->dim[0] == step->b->dim[1] && tensor_count(how->m) == w->dim[0]);
	assert(!w->needs); /* its norm is a constant */
	out = graph_tensor_like(g, x, w->dim[0], graph_needs_any(in, INPUTS));
	arg = graph_alloc(g, sizeof(*arg));
	if (!out || !arg)
		return NULL;
	*arg = (struct arg){
		.stretch = stretch_new(g, how, step->b, step->scale),
		.u = graph_alloc(g, (size_t)(tensor_rows(x) * step->a->dim[0]) * sizeof(*arg->u)),
	};
	if (in[Z] || (graph_pass(g)->train && graph_needs(how->m))) {
		arg->k = graph_alloc(g, (size_t)tensor_count(out) * sizeof(*arg->k));
		if (!arg->k)
			return NULL;
	}
	if (!arg->stretch || !arg->u)
		return NULL;
	return graph_record_as(g, &op, out, in, INPUTS, arg, spared(in));
}
