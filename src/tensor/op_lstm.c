/*
 * One layer of an LSTM (Hochreiter and Schmidhuber 1997) in one direction, as
 * torch has it, over the rows of x from the first to the last or back, from a
 * state of zeros:
 *
 *     [i, f, g, o] = x w_ih^T + b_ih + h' w_hh^T + b_hh
 *     c = s(f) c' + s(i) tanh(g)        y = h = s(o) tanh(c)        s: 1 / (1 + exp(-x))
 *
 * h' and c' are those of the row before. Backward goes the other way, with D
 * the gradient of the gates before s and tanh, A what they become:
 *
 *     dh = G + D'' w_hh        dc = dh A_o (1 - tanh(c)^2) + dc'' A''_f        '': of the row after
 *     gx = D w_ih    gw_ih = D^T x    gw_hh = D^T h'    gb_ih = gb_hh = sum of the rows of D
 *
 * An encoder of a prompt runs once a step over some dozens of rows, so the loops
 * are plain, and its products stay in fp32 when those of the model do not.
 */
#include "tensor/op.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/kernel.h"

enum { X, W_IH, W_HH, B_IH, B_HH, INPUTS };
enum { I, F, G, O, GATES };

struct call {
	bool reverse;
	float *gate; /* [T, 4 h]: A */
	float *cell; /* [T, h] */
};

/* The row that comes at place k, and the one before it (-1: none). */
static int64_t row_at(const struct node *n, int64_t k)
{
	const struct call *c = n->arg;

	return c->reverse ? tensor_rows(n->out) - 1 - k : k;
}

static int64_t row_before(const struct node *n, int64_t k) { return k ? row_at(n, k - 1) : -1; }

static float sigmoid(float x) { return (float)(1 / (1 + exp(-(double)x))); }

/* From the gates' sums to h and c of one row; before is the cell before, NULL: zeros. */
static void step(float *gate, const float *before, int64_t h, float *cell, float *y)
{
	for (int64_t j = 0; j < h; j++) {
		const float i = sigmoid(gate[I * h + j]), f = sigmoid(gate[F * h + j]);
		const float g = tanhf(gate[G * h + j]), o = sigmoid(gate[O * h + j]);

		cell[j] = (before ? f * before[j] : 0) + i * g;
		y[j] = o * tanhf(cell[j]);
		gate[I * h + j] = i;
		gate[F * h + j] = f;
		gate[G * h + j] = g;
		gate[O * h + j] = o;
	}
}

static void forward(struct node *n)
{
	const struct call *c = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(n->out), h = tensor_cols(n->out),
		      in = tensor_cols(n->in[X]);
	float *y = n->out->data;

	kernel_set_rows(c->gate, n->in[B_IH]->data, rows, GATES * h);
	kernel_add_rows(c->gate, n->in[B_HH]->data, rows, GATES * h);
	gemm_run(gm, false, true, rows, GATES * h, in, 1, n->in[X]->data, in, n->in[W_IH]->data, in,
		 1, c->gate, GATES * h);
	for (int64_t k = 0; k < rows; k++) {
		const int64_t row = row_at(n, k), last = row_before(n, k);

		if (k)
			gemm_run(gm, false, true, 1, GATES * h, h, 1, y + last * h, h,
				 n->in[W_HH]->data, h, 1, c->gate + row * GATES * h, GATES * h);
		step(c->gate + row * GATES * h, k ? c->cell + last * h : NULL, h, c->cell + row * h,
		     y + row * h);
	}
}

/* D of one row out of dh; dc goes to the row before. before: the cell before, NULL: zeros. */
static void step_back(const float *gate, const float *cell, const float *before, const float *dh,
		      int64_t h, float *dc, float *d)
{
	for (int64_t j = 0; j < h; j++) {
		const float i = gate[I * h + j], f = gate[F * h + j];
		const float g = gate[G * h + j], o = gate[O * h + j], t = tanhf(cell[j]);
		const float to_cell = dh[j] * o * (1 - t * t) + dc[j];

		d[I * h + j] = to_cell * g * i * (1 - i);
		d[F * h + j] = before ? to_cell * before[j] * f * (1 - f) : 0;
		d[G * h + j] = to_cell * i * (1 - g * g);
		d[O * h + j] = dh[j] * t * o * (1 - o);
		dc[j] = to_cell * f;
	}
}

/* D of all rows, [T, 4 h]; NULL without memory. */
static float *gates_back(struct node *n)
{
	const struct call *c = n->arg;
	const int64_t rows = tensor_rows(n->out), h = tensor_cols(n->out);
	float *d = graph_scratch(n->graph, (size_t)(rows * GATES * h) * sizeof(*d));
	float *dh = graph_scratch(n->graph, (size_t)h * sizeof(*dh)),
	      *dc = graph_scratch(n->graph, (size_t)h * sizeof(*dc));

	if (!d || !dh || !dc)
		return NULL;
	memset(dc, 0, (size_t)h * sizeof(*dc));
	for (int64_t k = rows; k-- > 0;) {
		const int64_t row = row_at(n, k), last = row_before(n, k);

		memcpy(dh, n->out->grad + row * h, (size_t)h * sizeof(*dh));
		if (k + 1 < rows)
			gemm_run(graph_gemm(n->graph), false, false, 1, h, GATES * h, 1,
				 d + row_at(n, k + 1) * GATES * h, GATES * h, n->in[W_HH]->data, h,
				 1, dh, h);
		step_back(c->gate + row * GATES * h, c->cell + row * h,
			  k ? c->cell + last * h : NULL, dh, h, dc, d + row * GATES * h);
	}
	return d;
}

static void back_x(struct node *n, const float *d)
{
	const int64_t rows = tensor_rows(n->out), in = tensor_cols(n->in[X]);
	const int64_t wide = GATES * tensor_cols(n->out);
	float beta, *to = graph_grad(n->graph, n->in[X], &beta);

	if (to && d)
		gemm_run(graph_gemm(n->graph), false, false, rows, in, wide, 1, d, wide,
			 n->in[W_IH]->data, in, beta, to, in);
	graph_grad_done(n->graph, n->in[X]);
}

/* gw += D^T of `rows` rows times those of x. */
static void back_weight(struct node *n, struct tensor *w, int64_t rows, const float *d,
			const float *x)
{
	const int64_t wide = w->dim[0], in = w->dim[1];
	float beta, *to = graph_grad(n->graph, w, &beta);

	if (to && d)
		gemm_run(graph_gemm(n->graph), true, false, wide, in, rows, 1, d, wide, x, in, beta,
			 to, in);
	graph_grad_done(n->graph, w);
}

static void back_bias(struct node *n, struct tensor *b, const float *d)
{
	float beta, *to = graph_grad(n->graph, b, &beta);

	if (to && d)
		kernel_column_sums(to, beta, d, tensor_rows(n->out), tensor_count(b));
	graph_grad_done(n->graph, b);
}

static void backward(struct node *n)
{
	const struct call *c = n->arg;
	const int64_t rows = tensor_rows(n->out), h = tensor_cols(n->out);
	const float *d = gates_back(n);
	/* every row but the first has one before it: the next in memory, or the one after */
	const int64_t later = c->reverse ? 0 : GATES * h, before = c->reverse ? h : 0;

	if (graph_needs(n->in[X]))
		back_x(n, d);
	if (graph_needs(n->in[W_IH]))
		back_weight(n, n->in[W_IH], rows, d, n->in[X]->data);
	if (graph_needs(n->in[W_HH]))
		back_weight(n, n->in[W_HH], rows - 1, d ? d + later : NULL, n->out->data + before);
	for (int i = B_IH; i <= B_HH; i++) {
		if (graph_needs(n->in[i]))
			back_bias(n, n->in[i], d);
	}
}

static const struct op op = { "lstm", forward, backward };

struct tensor *op_lstm(struct graph *g, struct tensor *x, const struct lstm *l, bool reverse)
{
	struct tensor *out;
	struct call *c;
	int64_t h;

	if (!x)
		return NULL;
	h = l->w_hh->dim[1];
	assert(l->w_ih->dim[0] == GATES * h && l->w_ih->dim[1] == tensor_cols(x));
	assert(l->w_hh->dim[0] == GATES * h && tensor_count(l->b_ih) == GATES * h &&
	       tensor_count(l->b_hh) == GATES * h);
	out = graph_tensor_like(g, x, h,
				x->needs || l->w_ih->needs || l->w_hh->needs || l->b_ih->needs ||
					l->b_hh->needs);
	c = graph_alloc(g, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct call){
		.reverse = reverse,
		.gate = graph_alloc(g, (size_t)(tensor_rows(x) * GATES * h) * sizeof(float)),
		.cell = graph_alloc(g, (size_t)(tensor_rows(x) * h) * sizeof(float)),
	};
	if (!c->gate || !c->cell)
		return NULL;
	return graph_record(g, &op, out,
			    (struct tensor *[]){ x, l->w_ih, l->w_hh, l->b_ih, l->b_hh }, INPUTS,
			    c);
}
