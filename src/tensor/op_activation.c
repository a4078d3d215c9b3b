/*
 * Activations, element by element: y = f(x).
 *
 *     gx = f'(x) G        computed in G's own buffer where x has no gradient yet
 *
 * Over an x that nobody else reads, gelu leaves f'(x) in its place: they share
 * most of their work, and backward is a product.
 *
 * gelu is x Phi(x) with erf; gelu_tanh its approximation by tanh; silu is x / (1 + exp(-x)).
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "tensor/activation.h"
#include "tensor/kernel.h"

static const struct {
	void (*run)(float *y, const float *x, int64_t n);
	void (*back)(float *dx, float beta, const float *x, const float *dy, int64_t n);
} kernels[] = {
	[ACT_GELU] = { kernel_gelu, kernel_gelu_back },
	[ACT_GELU_TANH] = { kernel_gelu_tanh, kernel_gelu_tanh_back },
	[ACT_RELU] = { kernel_relu, kernel_relu_back },
	[ACT_SILU] = { kernel_silu, kernel_silu_back },
	[ACT_TANH] = { kernel_tanh, kernel_tanh_back },
};

/* gelu_fast writes the constant sqrt(2/pi) with ten digits: the same function in fp32. */
static const struct {
	const char *name;
	enum activation kind;
} names[] = {
	{ "gelu", ACT_GELU },           { "gelu_python", ACT_GELU },
	{ "gelu_new", ACT_GELU_TANH },  { "gelu_pytorch_tanh", ACT_GELU_TANH },
	{ "gelu_fast", ACT_GELU_TANH }, { "relu", ACT_RELU },
	{ "silu", ACT_SILU },           { "swish", ACT_SILU },
	{ "tanh", ACT_TANH },
};

int activation_parse(const char *name, enum activation *ret)
{
	for (size_t i = 0; i < COUNT(names); i++)
		if (!strcmp(names[i].name, name)) {
			*ret = names[i].kind;
			return TT_OK;
		}
	return err_set(TT_INVALID,
		       "activation '%.40s' is not supported; supported are gelu, gelu_new, "
		       "gelu_pytorch_tanh, gelu_fast, "
		       "relu, silu, swish and tanh",
		       name);
}

void activation_run(enum activation kind, float *y, const float *x, int64_t n)
{
	kernels[kind].run(y, x, n);
}

void activation_back(enum activation kind, float *dx, float beta, const float *x, const float *dy,
		     int64_t n)
{
	kernels[kind].back(dx, beta, x, dy, n);
}

static void forward(struct node *n)
{
	const enum activation *kind = n->arg;

	kernels[*kind].run(n->out->data, n->in[0]->data, tensor_count(n->out));
}

static void backward(struct node *n)
{
	const enum activation *kind = n->arg;
	const float *grad = n->out->grad;
	float beta, *to = graph_grad_reuse(n->graph, n->out, n->in[0], &beta);

	if (to)
		kernels[*kind].back(to, beta, n->in[0]->data, grad, tensor_count(n->out));
	graph_grad_done(n->graph, n->in[0]);
}

static const struct op op = { "activation", forward, backward };

struct tensor *op_activation(struct graph *g, struct tensor *x, enum activation kind)
{
	struct tensor *out;
	enum activation *arg;

	if (!x)
		return NULL;
	assert((size_t)kind < COUNT(kernels));
	out = graph_tensor_like(g, x, tensor_cols(x), x->needs);
	arg = graph_alloc(g, sizeof(*arg));
	if (!arg)
		return NULL;
	*arg = kind;
	return graph_record_as(g, &op, out, &x, 1, arg, NODE_HANDS_ON);
}

/* ---- gelu, its derivative kept where x was ---- */

static void forward_over(struct node *n)
{
	kernel_gelu_slope(n->out->data, n->in[0]->data, n->in[0]->data, tensor_count(n->out));
}

static void backward_over(struct node *n)
{
	struct tensor *x = n->in[0];
	const int64_t count = tensor_count(n->out);
	const float *grad = n->out->grad;
	float beta, *to = graph_grad_reuse(n->graph, n->out, x, &beta), *part = to;

	if (beta != 0)
		part = graph_scratch(n->graph, (size_t)count * sizeof(*part));
	if (to && part)
		kernel_mul(part, grad, x->data, count);
	if (to && part && part != to)
		kernel_add(to, to, part, count);
	graph_grad_done(n->graph, x);
}

static const struct op op_over = { "activation_over", forward_over, backward_over };

struct tensor *op_activation_over(struct graph *g, struct tensor *x, enum activation kind)
{
	if (!x || kind != ACT_GELU || !x->needs || !graph_pass(g)->train)
		return op_activation(g, x, kind);
	assert(x->slot < 0 && !x->trainable);
	return graph_record_as(g, &op_over, graph_tensor_like(g, x, tensor_cols(x), true), &x, 1,
			       NULL, NODE_HANDS_ON);
}
