/*
 * Linear layer with a low-rank step beside it (LoRA):
 *
 *     y = x w^T + b + s (u b2^T + c)        u = z a^T  [N,r], kept
 *
 *     gb2 = s G^T u     gc = s sum of the rows of G     gu = s G b2
 *     ga = gu^T z       gx += G w                       gz += gu a
 *
 * The step is added in place by beta = 1, and s is the alpha of the products
 * with b2, so neither costs a pass over [N,O]. z may be x itself.
 *
 * With e (AdaLoRA) the rows of a are scaled, and a' = e o a takes its place:
 *
 *     ga' = gu^T z      ga[k] = e[k] ga'[k]             ge[k] = ga'[k] . a[k]
 *
 * so what e costs are passes over [r,I], none over the rows of the batch.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/kernel.h"
#include "tensor/linear.h"

enum { X, Z, W, B, STEP_A, STEP_B, STEP_C, STEP_E, INPUTS }; /* Z is NULL where z is x */

struct step {
	float scale;
	float *u;
};

/* a, or its rows scaled by e, in scratch; NULL without memory. */
static const float *scaled_a(const struct node *n)
{
	const struct tensor *a = n->in[STEP_A], *e = n->in[STEP_E];
	const int64_t in = a->dim[1];
	float *to;

	if (!e)
		return a->data;
	to = graph_scratch(n->graph, (size_t)tensor_count(a) * sizeof(*to));
	for (int64_t k = 0; to && k < a->dim[0]; k++)
		kernel_axpby(to + k * in, 0, e->data[k], a->data + k * in, in);
	return to;
}

static void forward(struct node *n)
{
	const struct step *s = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const struct tensor *z = n->in[Z] ? n->in[Z] : n->in[X], *a = n->in[STEP_A],
			    *b = n->in[STEP_B];
	const int64_t rows = tensor_rows(z), rank = a->dim[0], in = a->dim[1], out = b->dim[0];
	const float *rows_a = scaled_a(n);
	float *c;

	if (!rows_a)
		return;
	linear_forward(gm, n->in[X], n->in[W], n->in[B], n->out);
	gemm_run(gm, false, true, rows, rank, in, 1, z->data, in, rows_a, in, 0, s->u, rank);
	gemm_run(gm, false, true, rows, out, rank, s->scale, s->u, rank, b->data, rank, 1,
		 n->out->data, out);
	if (!n->in[STEP_C])
		return;
	c = graph_scratch(n->graph, (size_t)out * sizeof(*c));
	if (!c)
		return;
	kernel_axpby(c, 0, s->scale, n->in[STEP_C]->data, out);
	kernel_add_rows(n->out->data, c, rows, out);
}

/* gb2 = s G^T u and gc = s sum of G. */
static void back_out(struct node *n)
{
	const struct step *s = n->arg;
	struct tensor *b = n->in[STEP_B], *c = n->in[STEP_C];
	const int64_t rows = tensor_rows(n->out), out = b->dim[0], rank = b->dim[1];
	float beta, *to, *sum;

	if (graph_needs(b)) {
		to = graph_grad(n->graph, b, &beta);
		if (to)
			gemm_run(graph_gemm(n->graph), true, false, out, rank, rows, s->scale,
				 n->out->grad, out, s->u, rank, beta, to, rank);
		graph_grad_done(n->graph, b);
	}
	if (graph_needs(c)) {
		sum = graph_scratch(n->graph, (size_t)out * sizeof(*sum));
		to = graph_grad(n->graph, c, &beta);
		if (sum && to) {
			kernel_column_sums(sum, 0, n->out->grad, rows, out);
			kernel_axpby(to, beta, s->scale, sum, out);
		}
		graph_grad_done(n->graph, c);
	}
}

void low_rank_back_in(struct graph *g, const struct low_rank_back *p)
{
	const int64_t rows = tensor_rows(p->z), rank = p->a->dim[0], in = p->a->dim[1];
	float beta, *to, *gu;

	if (!graph_needs(p->a) && !graph_needs(p->z))
		return;
	gu = graph_scratch(g, (size_t)(rows * rank) * sizeof(*gu));
	if (!gu)
		return;
	gemm_run(graph_gemm(g), false, false, rows, rank, p->out, p->scale, p->grad, p->out, p->b,
		 rank, 0, gu, rank);
	if (graph_needs(p->a)) {
		to = graph_grad(g, p->a, &beta);
		if (to)
			gemm_run(graph_gemm(g), true, false, rank, in, rows, 1, gu, rank,
				 p->z->data, in, beta, to, in);
		graph_grad_done(g, p->a);
	}
	if (graph_needs(p->z)) {
		to = graph_grad(g, p->z, &beta);
		if (to)
			gemm_run(graph_gemm(g), false, false, rows, in, rank, 1, gu, rank,
				 p->a->data, in, beta, to, in);
	}
}

/* ga and ge from ga' = gu^T z. */
static void back_scaled(struct node *n, const struct tensor *z, const float *gu)
{
	struct tensor *a = n->in[STEP_A], *e = n->in[STEP_E];
	const int64_t rank = a->dim[0], in = a->dim[1];
	float *const both = graph_scratch(n->graph, (size_t)tensor_count(a) * sizeof(*both));
	float beta, *to;

	if (both)
		gemm_run(graph_gemm(n->graph), true, false, rank, in, tensor_rows(z), 1, gu, rank,
			 z->data, in, 0, both, in);
	if (graph_needs(a)) {
		to = graph_grad(n->graph, a, &beta);
		for (int64_t k = 0; to && both && k < rank; k++)
			kernel_axpby(to + k * in, beta, e->data[k], both + k * in, in);
		graph_grad_done(n->graph, a);
	}
	if (graph_needs(e)) {
		to = graph_grad(n->graph, e, &beta);
		for (int64_t k = 0; to && both && k < rank; k++) {
			const float dot = kernel_dot(both + k * in, a->data + k * in, in);

			to[k] = beta == 0 ? dot : to[k] + dot;
		}
		graph_grad_done(n->graph, e);
	}
}

/* With e: gu [N,r] = s G b2, then ga, ge and gz. */
static void back_in_scaled(struct node *n, struct tensor *z)
{
	const struct step *s = n->arg;
	struct tensor *a = n->in[STEP_A], *b = n->in[STEP_B], *e = n->in[STEP_E];
	const int64_t rows = tensor_rows(z), out = b->dim[0], rank = a->dim[0], in = a->dim[1];
	float beta, *to, *gu;

	if (!graph_needs(a) && !graph_needs(e) && !graph_needs(z))
		return;
	gu = graph_scratch(n->graph, (size_t)(rows * rank) * sizeof(*gu));
	if (!gu)
		return;
	gemm_run(graph_gemm(n->graph), false, false, rows, rank, out, s->scale, n->out->grad, out,
		 b->data, rank, 0, gu, rank);
	back_scaled(n, z, gu);
	if (graph_needs(z)) {
		const float *rows_a = scaled_a(n);

		to = graph_grad(n->graph, z, &beta);
		if (to && rows_a)
			gemm_run(graph_gemm(n->graph), false, false, rows, in, rank, 1, gu, rank,
				 rows_a, in, beta, to, in);
	}
}

static void backward(struct node *n)
{
	const struct step *s = n->arg;
	struct tensor *x = n->in[X], *b = n->in[STEP_B];
	const struct low_rank_back step = {
		.grad = n->out->grad,
		.b = b->data,
		.scale = s->scale,
		.a = n->in[STEP_A],
		.z = n->in[Z] ? n->in[Z] : x,
		.out = b->dim[0],
	};
	float beta, *to;

	back_out(n);
	linear_back_weight(n->graph, n->out->grad, x, n->in[W], n->in[B]);
	if (graph_needs(x)) {
		to = graph_grad(n->graph, x, &beta);
		if (to)
			linear_back_x(graph_gemm(n->graph), n->out->grad, tensor_rows(x), n->in[W],
				      beta, to);
	}
	if (n->in[STEP_E])
		back_in_scaled(n, step.z);
	else
		low_rank_back_in(n->graph, &step);
	graph_grad_done(n->graph, x);
	graph_grad_done(n->graph, n->in[Z]);
}

static const struct op op = { "linear_low_rank", forward, backward };

/* x is read for the gradient of w, and z, or x in its place, for that of a. */
static unsigned spared(struct tensor *const *in)
{
	const bool x = graph_needs(in[W]) || (!in[Z] && graph_needs(in[STEP_A]));

	return (x ? 0 : 1U << X) | (graph_needs(in[STEP_A]) ? 0 : 1U << Z);
}

struct tensor *op_linear_low_rank(struct graph *g, struct tensor *x, struct tensor *z,
				  struct tensor *w, struct tensor *b, const struct low_rank *step)
{
	struct tensor *const in[INPUTS] = {
		[X] = x,
		[Z] = z == x ? NULL : z,
		[W] = w,
		[B] = b,
		[STEP_A] = step->a,
		[STEP_B] = step->b,
		[STEP_C] = step->c,
		[STEP_E] = step->e,
	};
	struct tensor *out;
	struct step *s;

	if (!x || !z || !w || !step->a || !step->b)
		return NULL;
	assert(tensor_cols(x) == w->dim[1] && tensor_cols(z) == w->dim[1] &&
	       tensor_rows(x) == tensor_rows(z));
	assert(step->a->dim[1] == w->dim[1] && step->b->dim[0] == w->dim[0]);
	assert(step->a->dim[0] == step->b->dim[1]);
	assert(!step->e || tensor_count(step->e) == step->a->dim[0]);
	out = graph_tensor_like(g, x, w->dim[0], graph_needs_any(in, INPUTS));
	s = graph_alloc(g, sizeof(*s));
	if (!out || !s)
		return NULL;
	s->scale = step->scale;
	s->u = graph_alloc(g, (size_t)(tensor_rows(x) * step->a->dim[0]) * sizeof(*s->u));
	return s->u ? graph_record_as(g, &op, out, in, INPUTS, s, spared(in)) : NULL;
}
