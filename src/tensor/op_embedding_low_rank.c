/*
 * Low-rank step on an embedding (LoRA): y = e + s u b^T, u[i] = column id[i] of a  [N,r], kept.
 *
 *     ge = G        gb = s G^T u        gu = s G b        column id[i] of ga += gu[i], in the order of i
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/kernel.h"

enum { E, A, B, INPUTS };

struct step {
	const int32_t *id;
	float scale;
	float *u;
};

static void forward(struct node *n)
{
	const struct step *s = n->arg;
	const struct tensor *a = n->in[A], *b = n->in[B];
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out), rank = a->dim[0];

	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < rank; j++)
			s->u[i * rank + j] = a->data[j * a->dim[1] + s->id[i]];
	kernel_axpby(n->out->data, 0, 1, n->in[E]->data, rows * cols);
	gemm_run(graph_gemm(n->graph), false, true, rows, cols, rank, s->scale, s->u, rank, b->data,
		 rank, 1, n->out->data, cols);
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
			 n->out->grad, cols, n->in[B]->data, rank, 0, gu, rank);
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

static void backward(struct node *n)
{
	const float *grad = n->out->grad;
	float beta, *to;

	if (graph_needs(n->in[A]))
		backward_a(n);
	if (graph_needs(n->in[B]))
		backward_b(n);
	if (graph_needs(n->in[E])) {
		to = graph_grad_reuse(n->graph, n->out, n->in[E], &beta);
		if (to && to != grad)
			kernel_axpby(to, beta, 1, grad, tensor_count(n->in[E]));
		graph_grad_done(n->graph, n->in[E]);
	}
}

static const struct op op = { "embedding_low_rank", forward, backward };

struct tensor *op_embedding_low_rank(struct graph *g, struct tensor *e, const int32_t *id,
				     const struct low_rank *step)
{
	struct tensor *out;
	struct step *s;

	if (!e || !step->a || !step->b)
		return NULL;
	assert(step->b->dim[0] == tensor_cols(e) && step->a->dim[0] == step->b->dim[1]);
	for (int64_t i = 0; i < tensor_rows(e); i++)
		assert(id[i] >= 0 && id[i] < step->a->dim[1]);
	out = graph_tensor_like(g, e, tensor_cols(e), e->needs || step->a->needs || step->b->needs);
	s = graph_alloc(g, sizeof(*s));
	if (!out || !s)
		return NULL;
	*s = (struct step){ .id = id, .scale = step->scale };
	s->u = graph_alloc(g, (size_t)(tensor_rows(e) * step->a->dim[0]) * sizeof(*s->u));
	return s->u ? graph_record(g, &op, out, (struct tensor *[]){ e, step->a, step->b }, INPUTS,
				   s)
		    : NULL;
}
