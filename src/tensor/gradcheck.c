/*
 * Central differences: (f(x + h) - f(x - h)) / 2h against what backward says.
 *
 * f sums the result in double, so what is left of rounding is that of the
 * result's own numbers: about 1e-7 of them divided by h. The other error is
 * h^2 / 6 times the third derivative; h = 1e-2 balances the two in fp32.
 */
#include "tensor/gradcheck.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

static const struct pass pass = { .train = true, .seed = 77, .step = 5 };

struct check {
	struct graph *graph;
	struct arena *arena;
	struct tensor *(*build)(struct graph *g, void *arg);
	void *arg;
	struct tensor *const *leaf;
	size_t n;
	double step;
};

/* The fixed weights of the result's numbers. */
static float *weights(struct arena *a, int64_t count)
{
	float *w = arena_alloc(a, (size_t)count * sizeof(*w));
	struct rng r;

	if (!w)
		return NULL;
	rng_init(&r, 1, RNG_TEST, 0);
	for (int64_t i = 0; i < count; i++)
		w[i] = count == 1 ? 1 : 2 * rng_uniform(&r) - 1;
	return w;
}

/* f at the leaves as they are; NAN when the result could not be made. */
static double value(struct check *c)
{
	const struct arena_mark mark = arena_mark(c->arena);
	double sum = 0;
	struct tensor *out;
	float *w;

	graph_begin(c->graph, &pass, NULL, 0);
	out = c->build(c->graph, c->arg);
	w = out ? weights(c->arena, tensor_count(out)) : NULL;
	if (!w)
		return (double)NAN;
	for (int64_t i = 0; i < tensor_count(out); i++)
		sum += (double)w[i] * (double)out->data[i];
	arena_rewind(c->arena, mark);
	return sum;
}

static double difference(struct check *c, float *x)
{
	const float was = *x, high = (float)((double)was + c->step),
		    low = (float)((double)was - c->step);
	double up, down;

	*x = high;
	up = value(c);
	*x = low;
	down = value(c);
	*x = was;
	return (up - down) / ((double)high - (double)low);
}

/* Backward once; afterwards leaf->grad holds what is to be checked. */
static int backward(struct check *c)
{
	struct leaves *leaves;
	struct tensor *out;
	int code = leaves_new(c->arena, c->leaf, c->n, &leaves);

	if (code)
		return code;
	code = leaves_begin(leaves, 1);
	if (code)
		goto out;
	graph_begin(c->graph, &pass, leaves, 0);
	out = c->build(c->graph, c->arg);
	if (out && out->needs) {
		out->grad = weights(c->arena, tensor_count(out));
		out->has_grad = out->grad != NULL;
	}
	if (out)
		code = graph_backward(c->graph, NULL);
	else
		code = err_in("the result could not be made");
	graph_end(c->graph);
	leaves_finish(leaves);
out:
	leaves_free(leaves);
	return code;
}

/* The largest of a leaf's errors; *ret_most: its largest gradient, by either way. */
static double leaf_error(struct check *c, const struct tensor *leaf, double *ret_most)
{
	double worst = 0;

	*ret_most = 0;
	for (int64_t i = 0; i < tensor_count(leaf); i++) {
		const double want = difference(c, leaf->data + i), have = (double)leaf->grad[i];
		const double error = fabs(want - have);

		if (!isfinite(error))
			return INFINITY;
		worst = fmax(worst, error);
		*ret_most = fmax(*ret_most, fmax(fabs(want), fabs(have)));
	}
	return worst;
}

static double compare(struct check *c)
{
	double *error = arena_zero(c->arena, c->n, sizeof(*error)),
	       *most = arena_zero(c->arena, c->n, sizeof(*most));
	double all = 0, worst = 0;

	if (!error || !most)
		return INFINITY;
	for (size_t i = 0; i < c->n; i++) {
		error[i] = leaf_error(c, c->leaf[i], &most[i]);
		all = fmax(all, most[i]);
	}
	for (size_t i = 0; i < c->n; i++)
		if (error[i] > 0)
			worst = fmax(worst, error[i] / fmax(most[i], 0.01 * all));
	return worst;
}

/* What leaves_new writes into the tensors, kept and put back. */
static double check_restoring(struct check *c)
{
	struct tensor *was = arena_alloc(c->arena, (c->n ? c->n : 1) * sizeof(*was));
	double worst = INFINITY;

	if (!was)
		return INFINITY;
	for (size_t i = 0; i < c->n; i++) {
		assert(c->leaf[i]->needs);
		was[i] = *c->leaf[i];
	}
	if (backward(c) == TT_OK)
		worst = compare(c);
	for (size_t i = 0; i < c->n; i++) {
		c->leaf[i]->grad = was[i].grad;
		c->leaf[i]->slot = was[i].slot;
	}
	return worst;
}

double gradcheck_gemm(const struct gemm *gm, struct tensor *(*build)(struct graph *g, void *arg),
		      void *arg, struct tensor *const *leaf, size_t n, double step)
{
	struct check c = { .build = build, .arg = arg, .leaf = leaf, .n = n, .step = step };
	double worst = INFINITY;

	c.arena = arena_new();
	if (c.arena && graph_new(gm, &c.graph) == TT_OK)
		worst = check_restoring(&c);
	graph_free(c.graph);
	arena_free(c.arena);
	return worst;
}

double gradcheck(struct tensor *(*build)(struct graph *g, void *arg), void *arg,
		 struct tensor *const *leaf, size_t n, double step)
{
	struct gemm *gm;
	double worst;

	if (gemm_open("ref", &gm))
		return INFINITY;
	worst = gradcheck_gemm(gm, build, arg, leaf, n, step);
	gemm_close(gm);
	return worst;
}
