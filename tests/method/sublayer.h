#ifndef TESTS_METHOD_SUBLAYER_H
#define TESTS_METHOD_SUBLAYER_H

/* One sublayer of a bench's model by itself: made-up rows go in, and its norm in double. */
#include "tests/method/bench.h"

enum { SUBLAYER_HIDDEN = 8, SUBLAYER_ROWS = 3 };

static inline struct tensor *sublayer_rows(struct bench *b, double shift)
{
	struct tensor *t = graph_tensor(b->graph, SUBLAYER_ROWS, SUBLAYER_HIDDEN, false);

	for (int64_t i = 0; t && i < SUBLAYER_ROWS * SUBLAYER_HIDDEN; i++)
		t->data[i] = (float)sin(1.7 * (double)i + shift);
	return t;
}

/* On the graph of an evaluation that has begun. norm: the path of its norm. */
static inline struct sublayer sublayer_make(struct bench *b, const char *norm)
{
	return (struct sublayer){ .h = sublayer_rows(b, 0),
				  .u = sublayer_rows(b, 1),
				  .x = sublayer_rows(b, 2),
				  .norm = model_site(b->model, norm),
				  .eps = 1e-12f };
}

static inline void sublayer_norm(const struct sublayer *in, const double *x, double *y)
{
	double mean = 0, var = 0;

	for (int i = 0; i < SUBLAYER_HIDDEN; i++)
		mean += x[i] / SUBLAYER_HIDDEN;
	for (int i = 0; i < SUBLAYER_HIDDEN; i++)
		var += (x[i] - mean) * (x[i] - mean) / SUBLAYER_HIDDEN;
	for (int i = 0; i < SUBLAYER_HIDDEN; i++)
		y[i] = (x[i] - mean) / sqrt(var + (double)in->eps) *
			       (double)in->norm->weight->data[i] +
		       (double)in->norm->bias->data[i];
}

#endif
