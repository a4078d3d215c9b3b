/*
 * Low-rank step on an embedding (LoRA): y = e + s u b^T, u[i] = column id[i] of a  [N,r], kept.
 *
 *     ge = G        gb = s G^T u        gu = s G b        column id[i] of ga += gu[i], in the order of i
 *
 * With a magnitude (DoRA) c b takes b's place and (c - 1) table[id[i]] is added; see magnitude.h.
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"
#include "tensor/magnitude.h"

enum { E, A, B, M, INPUTS };

struct step {
	const int32_t *id;
	float scale;
	float *u;
	struct stretch *stretch; /* NULL: no magnitude */
	const float *table;
};

/* What u is multiplied by. */
static const float *factor(const struct node *n)
{
	const struct step *s = n->arg;

	return s->stretch ? s->stretch->cb : n->in[B]->data;
}

static void forward(struct node *n)
{
	const struct step *s = n->arg;
	const struct tensor *a = n->in[A];
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out), rank = a->dim[0];

	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < rank; j++)
			s->u[i * rank + j] = a->data[j * a->dim[1] + s->id[i]];
	kernel_axpby(n->out->data, 0, 1, n->in[E]->data, rows * cols);
	if (s->stretch)
		stretch_fill(s->stretch);
	for (int64_t i = 0; s->stretch && i < rows; i++)
		kernel_scale_rows(n->out->data + i * cols, 1, s->stretch->less,
				  s->table + s->id[i] * cols, 1, cols);
	gemm_run(graph_gemm(n->graph), false, true, rows, cols, rank, s->scale, s->u, rank,
		 factor(n), rank, 1, n->out->data, cols);
}

static void backward_a(struct node *n)
{
	const struct step *s = n->arg;
	struct tensor *a = n->in[A];
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out), rank = a->dim[0],
		      words = a->dim[1];
	float *gu = graph_scratch(n->graph, (size_t)(rows * rank) * sizeof(*gu));
	float beta, *to = graph_grad(n->graph, a, &beta);

	if (gu && to) {
		gemm_run(graph_gemm(n->graph), false, false, rows, rank, cols, s->scale,
			 n->out->grad, cols, factor(n), rank, 0, gu, rank);
		if (beta == 0)
			memset(to, 0, (size_t)tensor_count(a) * sizeof(*to));
		for (int64_t i = 0; i < rows; i++)
			for (int64_t j = 0; j < rank; j++)
				to[j * words + s->id[i]] += gu[i * rank + j];
	}
	graph_grad_done(n->graph, a);
}

static void backward_b(struct node *n)
{
	const struct step *s = n->arg;
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out),
		      rank = n->in[A]->dim[0];
	float beta, *to = graph_grad(n->graph, n->in[B], &beta);

	if (to)
		gemm_run(graph_gemm(n->graph), true, false, cols, rank, rows, s->scale,
			 n->out->grad, cols, s->u, rank, beta, to, rank);
	graph_grad_done(n->graph, n->in[B]);
}

/* Of b and the magnitude. */
static void backward_stretch(struct node *n)
{
	const struct step *s = n->arg;
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out);
	float *sum = graph_scratch(n->graph, (size_t)cols * sizeof(*sum));

	if (!sum)
		return;
	memset(sum, 0, (size_t)cols * sizeof(*sum));
	for (int64_t i = 0; i < rows; i++)
		kernel_dot_columns(sum, 1, n->out->grad + i * cols, s->table + s->id[i] * cols, 1,
				   cols);
	stretch_back(n->graph, s->stretch, n->out->grad, rows, s->u, sum);
}

static void backward(struct node *n)
{
	const struct step *s = n->arg;
	const float *grad = n->out->grad;
	float beta, *to;

	if (graph_needs(n->in[A]))
		backward_a(n);
	if (s->stretch)
		backward_stretch(n);
	else if (graph_needs(n->in[B]))
		backward_b(n);
	if (graph_needs(n->in[E])) {
		to = graph_grad_reuse(n->graph, n->out, n->in[E], &beta);
		if (to && to != grad)
			kernel_axpby(to, beta, 1, grad, tensor_count(n->in[E]));
		graph_grad_done(n->graph, n->in[E]);
	}
}

static const struct op op = { "embedding_low_rank", forward, backward };

/* how NULL: without magnitude. */
static struct tensor *build(struct graph *g, struct tensor *e, const struct low_rank *step,
			    const struct magnitude *how, const struct step *arg)
{
	struct tensor *const in[INPUTS] = { e, step->a, step->b, how ? how->m : NULL };
	struct tensor *out;
	struct step *s;

	if (!e || !step->a || !step->b)
		return NULL;
	assert(step->b->dim[0] == tensor_cols(e) && step->a->dim[0] == step->b->dim[1]);
	for (int64_t i = 0; i < tensor_rows(e); i++)
		assert(arg->id[i] >= 0 && arg->id[i] < step->a->dim[1]);
	out = graph_tensor_like(g, e, tensor_cols(e), graph_needs_any(in, INPUTS));
	s = graph_alloc(g, sizeof(*s));
	if (!out || !s)
		return NULL;
	*s = *arg;
	s->u = graph_alloc(g, (size_t)(tensor_rows(e) * step->a->dim[0]) * sizeof(*s->u));
	s->stretch = how ? stretch_new(g, how, step->b, step->scale) : NULL;
	return s->u && (s->stretch || !how)
		       ? graph_record_as(g, &op, out, in, INPUTS, s, 1U << E | NODE_HANDS_ON)
		       : NULL;
}

struct tensor *op_embedding_low_rank(struct graph *g, struct tensor *e, const int32_t *id,
				     const struct low_rank *step)
{
	const struct step arg = { .id = id, .scale = step->scale };

	return build(g, e, step, NULL, &arg);
}

struct tensor *op_embedding_magnitude(struct graph *g, struct tensor *e, const int32_t *id,
				      const struct tensor *table, const struct low_rank *step,
				      const struct magnitude *how)
{
	const struct step arg = { .id = id, .scale = step->scale, .table = table->data };

	assert(!table->needs && table->dim[1] == step->b->dim[0]);
	return build(g, e, step, how, &arg);
}
