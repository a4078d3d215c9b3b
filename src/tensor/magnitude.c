/* A magnitude for each output of a layer with a low-rank step. */
#include "tensor/magnitude.h"

#include "tensor/kernel.h"

struct stretch *stretch_new(struct graph *g, const struct magnitude *how, struct tensor *b,
			    float scale)
{
	const int64_t out = b->dim[0], rank = b->dim[1];
	struct stretch *s = graph_alloc(g, sizeof(*s));
	float *numbers = graph_alloc(g, (size_t)(out * (2 + rank)) * sizeof(*numbers));

	if (!s || !numbers)
		return NULL;
	*s = (struct stretch){
		.norm = how->norm,
		.scale = scale,
		.c = numbers,
		.less = numbers + out,
		.cb = numbers + 2 * out,
		.m = how->m,
		.b = b,
	};
	return s;
}

void stretch_fill(struct stretch *s)
{
	const int64_t out = s->b->dim[0], rank = s->b->dim[1];

	for (int64_t o = 0; o < out; o++) {
		const double c = (double)s->m->data[o] / (double)s->norm[o];

		s->c[o] = (float)c;
		s->less[o] = (float)(c - 1);
		kernel_axpby(s->cb + o * rank, 0, s->c[o], s->b->data + o * rank, rank);
	}
}

void stretch_back(struct graph *g, const struct stretch *s, const float *grad, int64_t rows,
		  const float *u, const float *sum)
{
	const int64_t out = s->b->dim[0], rank = s->b->dim[1];
	float *t = graph_scratch(g, (size_t)(out * rank) * sizeof(*t));
	float beta, *to;

	if (t)
		gemm_run(graph_gemm(g), true, false, out, rank, rows, s->scale, grad, out, u, rank,
			 0, t, rank);
	if (graph_needs(s->b)) {
		to = graph_grad(g, s->b, &beta);
		for (int64_t o = 0; t && to && o < out; o++)
			kernel_axpby(to + o * rank, beta, s->c[o], t + o * rank, rank);
		graph_grad_done(g, s->b);
	}
	if (graph_needs(s->m)) {
		to = graph_grad(g, s->m, &beta);
		for (int64_t o = 0; t && to && o < out; o++) {
			const double dot = (double)kernel_dot(t + o * rank, s->b->data + o * rank,
							      rank);

			to[o] = (float)((beta != 0 ? (double)to[o] : 0) +
					((double)sum[o] + dot) / (double)s->norm[o]);
		}
		graph_grad_done(g, s->m);
	}
}
