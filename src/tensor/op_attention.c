/*
 * Attention of packed sequences, per sequence and head:
 *
 *     P = softmax(Q K^T / sqrt(D))        Y = drop(P) V
 *
 *     gV = drop(P)^T G        dP = drop(G V^T), the same mask        dS = P (dP - rowsum(dP P)) / sqrt(D)
 *     gQ = dS K               gK = dS^T Q
 *
 * Nothing is kept: backward computes P again by the same calls, so it has the
 * same bits, and memory is O(T). Queries are taken by blocks whose scores stay
 * in the second-level cache; the cut depends on the number of keys alone.
 */
#include "tensor/op.h"

#include <assert.h>
#include <math.h>

#include "tensor/kernel.h"

enum { Q, K, V, INPUTS };
enum { BLOCK = 1 << 16, BLOCK_ROWS = 8 };	/* scores in a block, and never fewer queries than this */

struct call {
	struct attention how;
	struct kernel_drop drop;
	int64_t block;			/* most scores of one block here */
	float scale;
};

/* One block of queries of one head of one sequence. */
struct piece {
	int64_t head, query, rows;	/* rows of q from `query` on */
	int64_t key, keys;
	bool first;			/* of its sequence and head */
};

/* The gradients to write; NULL where none is needed. */
struct grads {
	float *q, *k, *v, q_beta, k_beta, v_beta;
	float *p, *dp, *dropped;	/* scratch of one block each */
};

static int64_t block_rows(int64_t keys)
{
	const int64_t rows = BLOCK / (keys ? keys : 1);

	return rows < BLOCK_ROWS ? BLOCK_ROWS : rows;
}

static int64_t at(const struct node *n, int64_t row, int64_t head)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out);

	return row * cols + head * (cols / c->how.heads);
}

static void probabilities(struct node *n, const struct piece *p, float *ret)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	gemm_run(graph_gemm(n->graph), false, true, p->rows, p->keys, depth, 1,
		 n->in[Q]->data + at(n, p->query, p->head), cols, n->in[K]->data + at(n, p->key, p->head), cols, 0, ret,
		 p->keys);
	kernel_softmax(ret, ret, c->scale, p->rows, p->keys);
}

/* y = drop(x); a run of queries that follow one another is one call. */
static void drop(const struct node *n, const struct piece *p, float *y, const float *x)
{
	const struct call *c = n->arg;
	const uint32_t *example = n->in[Q]->origin->example + p->query, *pos = n->in[Q]->origin->pos + p->query;
	const int64_t blocks = (p->keys + 7) / 8;

	for (int64_t i = 0, j; i < p->rows; i = j) {
		const int64_t first = (p->head * p->keys + pos[i]) * blocks;

		for (j = i + 1; j < p->rows && example[j] == example[i] && pos[j] == pos[j - 1] + 1;)
			j++;
		kernel_dropout_block(y + i * p->keys, 0, x + i * p->keys, &c->drop, example[i], (uint32_t)first, j - i,
				     p->keys);
	}
}

static void forward_piece(struct node *n, const struct piece *p, void *arg)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;
	float *s = arg;

	probabilities(n, p, s);
	if (c->drop.p > 0)
		drop(n, p, s, s);
	gemm_run(graph_gemm(n->graph), false, false, p->rows, depth, p->keys, 1, s, p->keys,
		 n->in[V]->data + at(n, p->key, p->head), cols, 0, n->out->data + at(n, p->query, p->head), cols);
}

static void backward_scores(struct node *n, const struct piece *p, const struct grads *to)
{
	const struct call *c = n->arg;
	const struct gemm *gm = graph_gemm(n->graph);
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;
	const int64_t query = at(n, p->query, p->head), key = at(n, p->key, p->head);

	gemm_run(gm, false, true, p->rows, p->keys, depth, 1, n->out->grad + query, cols, n->in[V]->data + key, cols, 0,
		 to->dp, p->keys);
	if (c->drop.p > 0)
		drop(n, p, to->dp, to->dp);
	kernel_softmax_back(to->dp, to->p, to->dp, c->scale, p->rows, p->keys);
	if (to->q)
		gemm_run(gm, false, false, p->rows, depth, p->keys, 1, to->dp, p->keys, n->in[K]->data + key, cols,
			 to->q_beta, to->q + query, cols);
	if (to->k)
		gemm_run(gm, true, false, p->keys, depth, p->rows, 1, to->dp, p->keys, n->in[Q]->data + query, cols,
			 p->first ? to->k_beta : 1, to->k + key, cols);
}

static void backward_piece(struct node *n, const struct piece *p, void *arg)
{
	const struct call *c = n->arg;
	const struct grads *to = arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;
	const float *dropped = to->p;

	probabilities(n, p, to->p);
	if (to->v) {
		if (c->drop.p > 0) {
			drop(n, p, to->dropped, to->p);
			dropped = to->dropped;
		}
		gemm_run(graph_gemm(n->graph), true, false, p->keys, depth, p->rows, 1, dropped, p->keys,
			 n->out->grad + at(n, p->query, p->head), cols, p->first ? to->v_beta : 1,
			 to->v + at(n, p->key, p->head), cols);
	}
	if (to->q || to->k)
		backward_scores(n, p, to);
}

/*
 * A sequence without queries still makes one (empty) piece, so that a new
 * gradient of its keys is overwritten with zeros.
 */
static void each_piece(struct node *n, void (*run)(struct node *n, const struct piece *p, void *arg), void *arg)
{
	const struct call *c = n->arg;
	const struct attention *h = &c->how;

	for (int64_t i = 0; i < h->seqs; i++) {
		const int64_t keys = h->kstart[i + 1] - h->kstart[i], block = block_rows(keys);

		for (int64_t head = 0; head < h->heads; head++) {
			int64_t query = h->qstart[i];

			do {
				const int64_t left = h->qstart[i + 1] - query, rows = left < block ? left : block;
				const struct piece p = {
					head, query, rows, h->kstart[i], keys, query == h->qstart[i],
				};

				run(n, &p, arg);
				query += rows;
			} while (query < h->qstart[i + 1]);
		}
	}
}

static void forward(struct node *n)
{
	const struct call *c = n->arg;
	float *s = graph_scratch(n->graph, (size_t)c->block * sizeof(*s));

	if (s)
		each_piece(n, forward_piece, s);
}

static void backward(struct node *n)
{
	const struct call *c = n->arg;
	const size_t size = (size_t)c->block * sizeof(float);
	struct grads to = { 0 };

	to.p = graph_scratch(n->graph, size);
	to.dp = graph_scratch(n->graph, size);
	to.dropped = c->drop.p > 0 ? graph_scratch(n->graph, size) : to.p;
	to.q = graph_needs(n->in[Q]) ? graph_grad(n->graph, n->in[Q], &to.q_beta) : NULL;
	to.k = graph_needs(n->in[K]) ? graph_grad(n->graph, n->in[K], &to.k_beta) : NULL;
	to.v = graph_needs(n->in[V]) ? graph_grad(n->graph, n->in[V], &to.v_beta) : NULL;
	if (to.p && to.dp && to.dropped)
		each_piece(n, backward_piece, &to);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "attention", forward, backward };

static void check(const struct tensor *q, const struct tensor *k, const struct tensor *v, const struct attention *how)
{
	assert(q != k && k != v && q != v);	/* each has a gradient of its own to overwrite */
	assert(how->heads > 0 && tensor_cols(q) % how->heads == 0);
	assert(tensor_cols(k) == tensor_cols(q) && tensor_cols(v) == tensor_cols(q));
	assert(tensor_rows(k) == tensor_rows(v) && how->kstart[how->seqs] == tensor_rows(k));
	assert(how->qstart[how->seqs] == tensor_rows(q));
	assert(how->qstart[0] == 0 && how->kstart[0] == 0);
	assert(how->dropout >= 0 && how->dropout <= 1);
	(void)q, (void)k, (void)v, (void)how;
}

/* The most scores that any block holds. */
static int64_t largest_block(const struct attention *how)
{
	int64_t most = 0;

	for (int64_t i = 0; i < how->seqs; i++) {
		const int64_t keys = how->kstart[i + 1] - how->kstart[i], rows = how->qstart[i + 1] - how->qstart[i];
		const int64_t block = block_rows(keys), size = (rows < block ? rows : block) * keys;

		most = size > most ? size : most;
	}
	return most;
}

struct tensor *op_attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v,
			    const struct attention *how)
{
	const struct pass *pass = graph_pass(g);
	struct tensor *out;
	struct call *c;

	if (!q || !k || !v)
		return NULL;
	check(q, k, v, how);
	out = graph_tensor_like(g, q, tensor_cols(q), q->needs || k->needs || v->needs);
	c = graph_alloc(g, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct call){
		.how = *how, .block = largest_block(how),
		.scale = (float)(1 / sqrt((double)(tensor_cols(q) / how->heads))),
	};
	if (pass->train && how->dropout > 0) {
		assert(q->origin);
		c->drop = (struct kernel_drop){
			.key = pass->seed, .c3 = kernel_drop_site(graph_draw(g)), .c2 = (uint32_t)pass->step,
			.p = how->dropout,
		};
	}
	return graph_record(g, &op, out, (struct tensor *[]){ q, k, v }, INPUTS, c);
}
