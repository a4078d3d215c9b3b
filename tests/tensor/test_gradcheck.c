/* The gradient check finds wrong gradients, passes right ones, and leaves the leaves as they were. */
#include "tests/check.h"

#include "tensor/gradcheck.h"
#include "tests/tensor/world.h"

/* y = x^3, whose backward is off by the factor that the test chooses. */
static void cube_forward(struct node *n)
{
	for (int64_t i = 0; i < tensor_count(n->out); i++) {
		const float x = n->in[0]->data[i];

		n->out->data[i] = x * x * x;
	}
}

static void cube_backward(struct node *n)
{
	const float *factor = n->arg;
	float beta, *to = graph_grad(n->graph, n->in[0], &beta);

	for (int64_t i = 0; to && i < tensor_count(n->out); i++) {
		const float x = n->in[0]->data[i];

		to[i] = (beta > 0 ? to[i] : 0) + *factor * 3 * x * x * n->out->grad[i];
	}
	graph_grad_done(n->graph, n->in[0]);
}

static const struct op cube = { "cube", cube_forward, cube_backward };

struct arg {
	struct tensor *x;
	float factor;
	bool twice, scalar;
};

static struct tensor *build(struct graph *g, void *p)
{
	struct arg *a = p;
	struct tensor *x = a->x, *y;

	if (a->scalar && tensor_count(x) != 1)
		return NULL;
	y = graph_record(g, &cube, graph_tensor_like(g, x, tensor_cols(x), x->needs), &x, 1,
			 &a->factor);
	if (!a->twice)
		return y;
	return graph_record(g, &cube, y ? graph_tensor_like(g, y, tensor_cols(y), y->needs) : NULL,
			    &y, 1, &a->factor);
}

static double error_of(struct arena *a, int64_t rows, float factor, bool twice, bool scalar)
{
	struct rng r;
	struct arg arg = { .factor = factor, .twice = twice, .scalar = scalar };

	rng_init(&r, 3, RNG_TEST, 0);
	arg.x = world_tensor(a, &r, rows, scalar ? 1 : 4, 0.7);
	return gradcheck(build, &arg, &arg.x, 1, 1e-2);
}

static void the_leaves_come_back(struct arena *a)
{
	struct rng r;
	struct arg arg = { .factor = 1 };
	float here = 4, was[8];

	rng_init(&r, 3, RNG_TEST, 0);
	arg.x = world_tensor(a, &r, 2, 4, 1);
	arg.x->slot = 42;
	arg.x->grad = &here;
	memcpy(was, arg.x->data, sizeof(was));
	CHECK(gradcheck(build, &arg, &arg.x, 1, 1e-2) < 1e-2);
	CHECK(arg.x->slot == 42 && arg.x->grad == &here);
	CHECK(!memcmp(was, arg.x->data, sizeof(was)));
}

int main(void)
{
	struct arena *a = arena_new();

	/* the third derivative leaves h^2 = 1e-4 absolute, rounding less */
	CHECK(error_of(a, 3, 1, false, false) < 2e-3);
	CHECK(error_of(a, 3, 1, true, false) < 2e-2);
	CHECK(error_of(a, 1, 1, false, true) < 2e-3);
	CHECK(error_of(a, 3, 1.1F, false, false) > 0.05);
	CHECK(error_of(a, 3, 0.9F, true, false) > 0.05);
	CHECK(error_of(a, 3, -1, false, false) > 1);
	CHECK(isinf(error_of(a, 2, 1, false, true)));
	the_leaves_come_back(a);
	arena_free(a);
	return check_done();
}
