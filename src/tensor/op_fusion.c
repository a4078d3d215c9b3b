/*
 * AdapterFusion (Pfeiffer et al. 2021): every row mixes what m frozen bottleneck
 * adapters make of it, by attention over them:
 *
 *     u_i = up_i(f_i(down_i(z)))     score_i = q . (u_i K^T + b)     p = softmax(drop(score) / T)
 *     y = sum_i p_i u_i
 *
 * Neither u_i nor the keys are ever made. All first halves lie in one matrix D
 * [C,H], all second halves in one U [H,C], each adapter's bias as a last column of
 * its own; t [N,C] are the adapters' inner numbers, 1 for that column. Then
 *
 *     e = (q K) U        score_i = sum of (e * t) over adapter i's columns + q . b
 *     y = (p t) U^T      where p stands for each column of its adapter
 *
 *     w = G U            gp_i = sum of w * t      gs: back through softmax and dropout
 *     gt = p w + gs e    gr = (gs t) U^T          gq = gr K^T + (sum_i gs_i) b
 *     gK = q^T gr        gb = (sum_i gs_i)^T q    gz = (gt f'(a)) D
 *
 * So there are six narrow products whatever m is, and two by K.
 */
#include "tensor/op.h"

#include <assert.h>

#include "tensor/activation.h"
#include "tensor/drop.h"
#include "tensor/kernel.h"

enum { Z, Q, KEY, KEY_BIAS, INPUTS };

struct mixed {
	struct fusion how;
	struct drop *drop; /* of scores; NULL: none */
	float *a, *t, *e;  /* [N,C]: before and after f, and (q K) U */
	float *p;          /* [N,m] */
};

static float *scratch(struct node *n, int64_t count)
{
	return graph_scratch(n->graph, (size_t)(count ? count : 1) * sizeof(float));
}

static struct gemm_weight weight(const struct tensor *w)
{
	return (struct gemm_weight){ w->data, w->dim[0], w->dim[1] };
}

static int64_t width(const struct mixed *x) { return tensor_rows(x->how.down); }

/* to_i = sum of x * y over the columns of adapter i, for every row. */
static void dot_parts(const struct mixed *m, const float *x, const float *y, float *to,
		      int64_t rows)
{
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t i = 0; i < m->how.n; i++) {
			const int64_t k = m->how.part[i].size + 1;

			*to++ = kernel_dot(x, y, k);
			x += k;
			y += k;
		}
	}
}

/* y = beta y + s_i x over the columns of adapter i, for every row; s [N,m]. */
static void scale_parts(const struct mixed *m, const float *s, const float *x, float beta, float *y,
			int64_t rows)
{
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t i = 0; i < m->how.n; i++, s++) {
			const int64_t k = m->how.part[i].size + 1;

			kernel_axpby(y, beta, *s, x, k);
			x += k;
			y += k;
		}
	}
}

/* ---- forward ---- */

/* The adapters' inner numbers; what stands for a bias is 1. */
static void inner(struct node *n)
{
	const struct mixed *m = n->arg;
	const struct tensor *z = n->in[Z];
	const struct gemm_weight down = weight(m->how.down);
	const int64_t rows = tensor_rows(z);
	const float *a = m->a;
	float *t = m->t;

	kernel_set_rows(m->a, m->how.down_bias->data, rows, down.out);
	gemm_weight_forward(graph_gemm(n->graph), &down, rows, z->data, 1, m->a);
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t i = 0; i < m->how.n; i++) {
			const int64_t k = m->how.part[i].size;

			activation_run(m->how.part[i].kind, t, a, k);
			t[k] = 1;
			a += k + 1;
			t += k + 1;
		}
	}
}

/* p from q; false without memory. */
static bool attend(struct node *n)
{
	const struct mixed *m = n->arg;
	const struct tensor *q = n->in[Q], *b = n->in[KEY_BIAS];
	const struct gemm_weight key = weight(n->in[KEY]), up = weight(m->how.up);
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(q), hidden = tensor_cols(q);
	float *r = scratch(n, rows * key.in);

	if (!r)
		return false;
	gemm_weight_back(gm, &key, rows, q->data, 0, r);
	gemm_weight_back(gm, &up, rows, r, 0, m->e);
	dot_parts(m, m->e, m->t, m->p, rows);
	for (int64_t i = 0; i < rows; i++) {
		const float common = kernel_dot(q->data + i * hidden, b->data, hidden);

		for (int64_t k = 0; k < m->how.n; k++)
			m->p[i * m->how.n + k] += common;
	}
	if (m->drop)
		kernel_keep(m->p, 0, m->p, m->drop->keep, m->drop->scale, rows, m->how.n);
	kernel_softmax(m->p, m->p, 1 / m->how.temperature, rows, m->how.n);
	return true;
}

static void forward(struct node *n)
{
	const struct mixed *m = n->arg;
	const struct gemm_weight up = weight(m->how.up);
	const int64_t rows = tensor_rows(n->out);
	float *mixed = scratch(n, rows * up.in);

	inner(n);
	if (!mixed || !attend(n))
		return;
	scale_parts(m, m->p, m->t, 0, mixed, rows);
	gemm_weight_forward(graph_gemm(n->graph), &up, rows, mixed, 0, n->out->data);
}

/* ---- backward ---- */

/* gs [N,m] from w; NULL without memory. */
static float *back_scores(struct node *n, const float *w)
{
	const struct mixed *m = n->arg;
	const int64_t rows = tensor_rows(n->out);
	float *gs = scratch(n, rows * m->how.n);

	if (!gs)
		return NULL;
	dot_parts(m, w, m->t, gs, rows);
	kernel_softmax_back(gs, m->p, gs, 1 / m->how.temperature, rows, m->how.n);
	if (m->drop)
		kernel_keep(gs, 0, gs, m->drop->keep, m->drop->scale, rows, m->how.n);
	return gs;
}

/* gq; gr [N,H] came through q K, sum [N] through q . b. */
static void back_q(struct node *n, const float *gr, const float *sum)
{
	const struct gemm_weight key = weight(n->in[KEY]);
	const int64_t rows = tensor_rows(n->out);
	float beta, *to = graph_grad(n->graph, n->in[Q], &beta);

	if (to)
		gemm_weight_forward(graph_gemm(n->graph), &key, rows, gr, beta, to);
	for (int64_t i = 0; to && i < rows; i++)
		kernel_axpby(to + i * key.out, 1, sum[i], n->in[KEY_BIAS]->data, key.out);
}

static void back_key(struct node *n, const float *gr, const float *sum)
{
	const struct tensor *q = n->in[Q];
	struct tensor *key = n->in[KEY], *b = n->in[KEY_BIAS];
	const struct gemm_weight own = weight(key);
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t rows = tensor_rows(q);
	float beta, *to = graph_needs(key) ? graph_grad(n->graph, key, &beta) : NULL;

	if (to)
		gemm_weight_grad(gm, &own, rows, q->data, gr, beta, to);
	to = graph_needs(b) ? graph_grad(n->graph, b, &beta) : NULL;
	if (to)
		gemm_run(gm, false, false, 1, own.out, rows, 1, sum, rows, q->data, own.out, beta,
			 to, own.out);
}

/* What goes through the scores. */
static void back_attention(struct node *n, const float *gs)
{
	const struct mixed *m = n->arg;
	const struct gemm_weight up = weight(m->how.up);
	const int64_t rows = tensor_rows(n->out);
	float *part = scratch(n, rows * up.in), *gr = scratch(n, rows * up.out),
	      *sum = scratch(n, rows);

	if (!part || !gr || !sum)
		return;
	scale_parts(m, gs, m->t, 0, part, rows);
	gemm_weight_forward(graph_gemm(n->graph), &up, rows, part, 0, gr);
	for (int64_t i = 0; i < rows; i++) {
		sum[i] = 0;
		for (int64_t k = 0; k < m->how.n; k++)
			sum[i] += gs[i * m->how.n + k];
	}
	if (graph_needs(n->in[Q]))
		back_q(n, gr, sum);
	back_key(n, gr, sum);
}

/* What goes through the adapters; w becomes gt, then ga. */
static void back_z(struct node *n, const float *gs, float *w)
{
	const struct mixed *m = n->arg;
	const struct gemm_weight down = weight(m->how.down);
	const int64_t rows = tensor_rows(n->out);
	const float *a = m->a;
	float beta, *to = graph_grad(n->graph, n->in[Z], &beta), *at = w;

	scale_parts(m, m->p, w, 0, w, rows);
	scale_parts(m, gs, m->e, 1, w, rows);
	for (int64_t r = 0; r < rows; r++) {
		for (int64_t i = 0; i < m->how.n; i++) {
			const int64_t k = m->how.part[i].size;

			activation_back(m->how.part[i].kind, at, 0, a, at, k);
			at[k] = 0;
			a += k + 1;
			at += k + 1;
		}
	}
	if (to)
		gemm_weight_back(graph_gemm(n->graph), &down, rows, w, beta, to);
}

static void backward(struct node *n)
{
	const struct mixed *m = n->arg;
	const struct gemm_weight up = weight(m->how.up);
	const int64_t rows = tensor_rows(n->out);
	float *w = scratch(n, rows * up.in), *gs;

	if (!w)
		return;
	gemm_weight_back(graph_gemm(n->graph), &up, rows, n->out->grad, 0, w);
	gs = back_scores(n, w);
	if (!gs)
		return;
	if (graph_needs(n->in[Q]) || graph_needs(n->in[KEY]) || graph_needs(n->in[KEY_BIAS]))
		back_attention(n, gs);
	if (graph_needs(n->in[Z]))
		back_z(n, gs, w);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "fusion", forward, backward };

/* Masks for the scores of x's rows; true when none are needed. */
static bool set_dropout(struct graph *g, struct mixed *m, const struct tensor *x)
{
	const struct tensor scores = { .rank = 2,
				       .dim = { tensor_rows(x), m->how.n },
				       .origin = x->origin };

	if (!graph_pass(g)->train || !(m->how.dropout > 0))
		return true;
	m->drop = graph_alloc(g, sizeof(*m->drop));
	return m->drop && drop_rows(g, &scores, m->how.dropout, m->drop);
}

static struct mixed *mixed_new(struct graph *g, const struct fusion *how, const struct tensor *x)
{
	struct mixed *m = graph_alloc(g, sizeof(*m));
	const int64_t rows = tensor_rows(x);
	size_t size;

	if (!m)
		return NULL;
	*m = (struct mixed){ .how = *how };
	size = (size_t)(rows * width(m)) * sizeof(float);
	m->a = graph_alloc(g, size);
	m->t = graph_alloc(g, size);
	m->e = graph_alloc(g, size);
	m->p = graph_alloc(g, (size_t)(rows * how->n) * sizeof(float));
	return set_dropout(g, m, x) && m->a && m->t && m->e && m->p ? m : NULL;
}

struct tensor *op_fusion(struct graph *g, struct tensor *z, struct tensor *q,
			 const struct fusion *how, const float **ret_p)
{
	struct tensor *const in[INPUTS] = {
		[Z] = z, [Q] = q, [KEY] = how->key, [KEY_BIAS] = how->key_bias
	};
	struct tensor *out;
	struct mixed *m;

	if (!z || !q)
		return NULL;
	assert(tensor_rows(z) == tensor_rows(q) && tensor_cols(z) == how->down->dim[1]);
	assert(how->up->dim[1] == tensor_rows(how->down) && how->key->dim[1] == how->up->dim[0]);
	out = graph_tensor_like(g, z, how->up->dim[0],
				z->needs || q->needs || how->key->needs || how->key_bias->needs);
	m = mixed_new(g, how, q);
	if (!m)
		return NULL;
	*ret_p = m->p;
	return graph_record_as(g, &op, out, in, INPUTS, m, 1U << Z);
}
