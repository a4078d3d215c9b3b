/*
 * A linear layer added to what is there already: the second half of a bottleneck
 * adapter (Houlsby et al. 2019), and of what mixes several of them.
 *
 *     y = h + drop(r (x w^T + b) * s)        r = by * gate, one a row
 *
 * s is absent, one number, or one a column. Nothing of the product's size is made
 * but y: a number s goes into r, r into x, and columns of s into w and b, which
 * are small. (With dropout the product needs a place of its own.)
 *
 *     G' = drop(G)      u = G' w [N,I]      v = G' b [N]
 *     gw = G'^T (r x)   gb = r^T G'         gx = r u      gr[n] = u[n] . x[n] + v[n]      gh = G
 *     s a number: by gate . gr              s of a column o: (w[o] . gw[o] + b[o] gb[o]) without s
 */
#include "tensor/op.h"

#include <assert.h>
#include <string.h>

#include "tensor/drop.h"
#include "tensor/kernel.h"
#include "tensor/linear.h"

enum { H, X, W, B, SCALE, GATE, INPUTS };

struct added {
	float by;
	const struct drop *drop; /* NULL: none */
};

/* What a row or a column is multiplied by; each NULL where there is nothing to multiply. */
struct factors {
	float *row;         /* [N] */
	const float *col;   /* [O] */
	struct tensor w, b; /* with the columns' in them; b.data may be NULL */
	bool bad;           /* no memory */
};

static float *scratch(struct node *n, int64_t count)
{
	return graph_scratch(n->graph, (size_t)(count ? count : 1) * sizeof(float));
}

static void scale_columns(struct node *n, struct factors *f)
{
	const struct tensor *w = n->in[W], *b = n->in[B];
	const int64_t out = w->dim[0], in = w->dim[1];

	f->w.data = scratch(n, out * in);
	for (int64_t o = 0; f->w.data && o < out; o++)
		kernel_axpby(f->w.data + o * in, 0, f->col[o], w->data + o * in, in);
	f->w.forward = f->w.backward = NULL;
	f->b.data = b ? scratch(n, out) : NULL;
	if (f->b.data)
		kernel_mul(f->b.data, b->data, f->col, out);
	f->bad = f->bad || !f->w.data || (b && !f->b.data);
}

static struct factors factors(struct node *n)
{
	const struct added *a = n->arg;
	const struct tensor *s = n->in[SCALE], *gate = n->in[GATE];
	const bool whole = s && tensor_count(s) == 1;
	const float by = whole ? a->by * s->data[0] : a->by;
	const int64_t rows = tensor_rows(n->out);
	struct factors f = { .col = s && !whole ? s->data : NULL, .w = *n->in[W] };

	if (n->in[B])
		f.b = *n->in[B];
	if (gate || by < 1 || by > 1) {
		f.row = scratch(n, rows);
		f.bad = !f.row;
	}
	for (int64_t i = 0; f.row && i < rows; i++)
		f.row[i] = gate ? by * gate->data[i] : by;
	if (f.col)
		scale_columns(n, &f);
	return f;
}

/* r x, or x itself. */
static struct tensor scaled_rows(struct node *n, struct factors *f)
{
	struct tensor x = *n->in[X];
	const int64_t cols = tensor_cols(&x);
	const float *from = x.data;

	if (!f->row)
		return x;
	x.data = scratch(n, tensor_count(&x));
	for (int64_t i = 0; x.data && i < tensor_rows(&x); i++)
		kernel_axpby(x.data + i * cols, 0, f->row[i], from + i * cols, cols);
	f->bad = f->bad || !x.data;
	return x;
}

/* y = h and the bias; h NULL: the bias, or 0. */
static void set_rows(float *y, const float *h, const struct factors *f, int64_t rows, int64_t cols)
{
	for (int64_t i = 0; i < rows; i++, y += cols) {
		if (h)
			memcpy(y, h + i * cols, (size_t)cols * sizeof(*y));
		if (f->b.data)
			kernel_axpby(y, h ? 1 : 0, f->row ? f->row[i] : 1, f->b.data, cols);
		else if (!h)
			memset(y, 0, (size_t)cols * sizeof(*y));
	}
}

/* y += x w^T */
static void add_product(const struct gemm *gm, const struct tensor *x, const struct tensor *w,
			float *y)
{
	const struct gemm_weight own = { w->data, w->dim[0], w->dim[1] };

	if (w->forward)
		gemm_prepared(gm, w->forward, tensor_rows(x), x->data, own.in, 1, y, own.out);
	else
		gemm_weight_forward(gm, &own, tensor_rows(x), x->data, 1, y);
}

static void forward(struct node *n)
{
	const struct added *a = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out);
	const float *h = n->in[H]->data;
	struct factors f = factors(n);
	const struct tensor x = scaled_rows(n, &f);
	float *y = a->drop ? scratch(n, rows * cols) : n->out->data;

	if (f.bad || !y)
		return;
	set_rows(y, a->drop ? NULL : h, &f, rows, cols);
	add_product(gm, &x, &f.w, y);
	if (!a->drop)
		return;
	memcpy(n->out->data, h, (size_t)(rows * cols) * sizeof(*y));
	kernel_keep(n->out->data, 1, y, a->drop->keep, a->drop->scale, rows, cols);
}

/* to = beta to + part * col, row by row of part [O,k]; col NULL: 1. */
static void add_scaled(float *to, float beta, const float *part, const float *col, int64_t out,
		       int64_t k)
{
	for (int64_t o = 0; o < out; o++)
		kernel_axpby(to + o * k, beta, col ? col[o] : 1, part + o * k, k);
}

/* gb without s, [O]: r^T G'. NULL without memory. */
static float *bias_part(struct node *n, const struct factors *f, const float *grad)
{
	const int64_t rows = tensor_rows(n->out), out = tensor_cols(n->out);
	float *part = scratch(n, out);

	if (part && f->row)
		gemm_run(graph_gemm(n->graph), false, false, 1, out, rows, 1, f->row, rows, grad,
			 out, 0, part, out);
	else if (part)
		kernel_column_sums(part, 0, grad, rows, out);
	return part;
}

/* gs of a column: what w and b have to do with their own gradients without it. */
static void back_columns(struct node *n, const float *part, const float *bias)
{
	const struct tensor *w = n->in[W], *b = n->in[B];
	const int64_t in = w->dim[1];
	float beta, *to = graph_grad(n->graph, n->in[SCALE], &beta);

	for (int64_t o = 0; to && o < w->dim[0]; o++) {
		const float dot = kernel_dot(w->data + o * in, part + o * in, in) +
				  (bias ? b->data[o] * bias[o] : 0);

		to[o] = beta == 0 ? dot : to[o] + dot;
	}
}

/* gw; with columns' factors from part, its own without them. */
static void back_weight(struct node *n, const struct factors *f, const float *grad,
			const struct tensor *x, const float *part)
{
	struct tensor *w = n->in[W];
	const struct gemm_weight own = { w->data, w->dim[0], w->dim[1] };
	float beta, *to = graph_grad(n->graph, w, &beta);

	if (to && f->col)
		add_scaled(to, beta, part, f->col, own.out, own.in);
	else if (to)
		gemm_weight_grad(graph_gemm(n->graph), &own, tensor_rows(x), grad, x->data, beta,
				 to);
}

/* gw, gb and, where there is one for each column, gs. */
static void back_weights(struct node *n, struct factors *f, const float *grad)
{
	struct tensor *w = n->in[W], *b = n->in[B], *s = f->col ? n->in[SCALE] : NULL;
	const bool product = graph_needs(w) || graph_needs(s);
	const struct tensor x = product ? scaled_rows(n, f) : *n->in[X];
	const struct gemm_weight own = { w->data, w->dim[0], w->dim[1] };
	float *part = product && f->col ? scratch(n, own.out * own.in) : NULL, *bias = NULL;
	float beta, *to;

	if (graph_needs(b) || (b && graph_needs(s)))
		bias = bias_part(n, f, grad);
	if (f->bad || (product && f->col && !part))
		return;
	if (part)
		gemm_weight_grad(graph_gemm(n->graph), &own, tensor_rows(&x), grad, x.data, 0,
				 part);
	if (graph_needs(w))
		back_weight(n, f, grad, &x, part);
	if (graph_needs(s))
		back_columns(n, part, bias);
	if (graph_needs(b)) {
		to = graph_grad(n->graph, b, &beta);
		if (to && bias)
			add_scaled(to, beta, bias, f->col, own.out, 1);
	}
}

/* Of the gate of each row, and of a scale that is a number: u [N,I], v [N] or NULL. */
static void back_factors(struct node *n, const float *u, const float *v)
{
	const struct added *a = n->arg;
	const struct tensor *x = n->in[X];
	struct tensor *gate = n->in[GATE], *s = n->in[SCALE];
	const bool whole = s && tensor_count(s) == 1;
	const float by = whole ? a->by * s->data[0] : a->by;
	const int64_t cols = tensor_cols(x);
	float gate_beta = 0,
	      *to = graph_needs(gate) ? graph_grad(n->graph, gate, &gate_beta) : NULL;
	float beta = 0, *one = whole && s->needs ? graph_grad(n->graph, s, &beta) : NULL;
	double sum = 0;

	for (int64_t i = 0; i < tensor_rows(x); i++) {
		const float own = kernel_dot(u + i * cols, x->data + i * cols, cols) +
				  (v ? v[i] : 0);

		if (to)
			to[i] = by * own + (gate_beta == 0 ? 0 : to[i]);
		sum += (double)(gate ? gate->data[i] * own : own);
	}
	if (one)
		*one = (float)((double)a->by * sum) + (beta == 0 ? 0 : *one);
}

/* gx = beta gx + r u. */
static void back_x(struct node *n, const struct factors *f, const float *u)
{
	struct tensor *x = n->in[X];
	const int64_t cols = tensor_cols(x);
	float beta, *to = graph_grad(n->graph, x, &beta);

	for (int64_t i = 0; to && i < tensor_rows(x); i++)
		kernel_axpby(to + i * cols, beta, f->row ? f->row[i] : 1, u + i * cols, cols);
}

/* What goes through the product. */
static void back_rows(struct node *n, const struct factors *f, const float *grad)
{
	struct tensor *x = n->in[X], *s = n->in[SCALE];
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(x), out = tensor_cols(n->out);
	const bool inner = graph_needs(n->in[GATE]) || (!f->col && graph_needs(s));
	float beta, *u, *v = NULL;

	if (!inner && !graph_needs(x))
		return;
	if (!inner && !f->row) {
		u = graph_grad(n->graph, x, &beta);
		if (u)
			linear_back_x(gm, grad, rows, &f->w, beta, u);
		return;
	}
	u = scratch(n, tensor_count(x));
	if (inner && f->b.data) {
		v = scratch(n, rows);
		if (v)
			gemm_run(gm, false, true, rows, 1, out, 1, grad, out, f->b.data, out, 0, v,
				 1);
	}
	if (!u || (inner && f->b.data && !v))
		return;
	linear_back_x(gm, grad, rows, &f->w, 0, u);
	if (inner)
		back_factors(n, u, v);
	if (graph_needs(x))
		back_x(n, f, u);
}

/* The last one, since G's own buffer may become h's. */
static void back_h(struct node *n)
{
	const float *grad = n->out->grad;
	float beta, *to = graph_grad_reuse(n->graph, n->out, n->in[H], &beta);

	if (to && to != grad)
		kernel_axpby(to, beta, 1, grad, tensor_count(n->out));
}

static void backward(struct node *n)
{
	const struct added *a = n->arg;
	const int64_t rows = tensor_rows(n->out), cols = tensor_cols(n->out);
	struct factors f = factors(n);
	float *dropped = a->drop ? scratch(n, rows * cols) : NULL;
	const float *grad = a->drop ? dropped : n->out->grad;

	if (f.bad || !grad)
		return;
	if (dropped)
		kernel_keep(dropped, 0, n->out->grad, a->drop->keep, a->drop->scale, rows, cols);
	back_weights(n, &f, grad);
	back_rows(n, &f, grad);
	if (graph_needs(n->in[H]))
		back_h(n);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "add_linear", forward, backward };

static bool any_needs(struct tensor *const *in)
{
	for (int i = 0; i < INPUTS; i++)
		if (graph_needs(in[i]))
			return true;
	return false;
}

struct tensor *op_add_linear(struct graph *g, struct tensor *h, struct tensor *x,
			     const struct add_linear *how)
{
	struct tensor *const in[INPUTS] = {
		[H] = h,
		[X] = x,
		[W] = how->w,
		[B] = how->b,
		[SCALE] = how->scale,
		[GATE] = how->gate,
	};
	struct tensor *out;
	struct added *a = graph_alloc(g, sizeof(*a));

	if (!h || !x || !how->w || !a)
		return NULL;
	assert(tensor_rows(h) == tensor_rows(x) && tensor_cols(h) == how->w->dim[0]);
	assert(tensor_cols(x) == how->w->dim[1]);
	assert(!how->b || tensor_count(how->b) == how->w->dim[0]);
	assert(!how->gate || tensor_count(how->gate) == tensor_rows(x));
	assert(!how->scale || tensor_count(how->scale) == 1 ||
	       tensor_count(how->scale) == how->w->dim[0]);
	out = graph_tensor_like(g, h, tensor_cols(h), any_needs(in));
	*a = (struct added){ .by = how->by };
	if (graph_pass(g)->train && how->dropout > 0) {
		struct drop *d = graph_alloc(g, sizeof(*d));

		if (!d || !drop_rows(g, h, how->dropout, d))
			return NULL;
		a->drop = d;
	}
	return graph_record_as(g, &op, out, in, INPUTS, a, 1U << H | NODE_HANDS_ON);
}
