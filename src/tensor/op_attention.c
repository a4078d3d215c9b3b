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
 * in the second-level cache; the cut depends on the number of keys alone. Of a
 * short sequence several heads make one piece: their softmax and dropout are one
 * call each. The mask, a bit a score, is drawn once for both of its uses.
 */
#include "tensor/op.h"

#include <assert.h>
#include <math.h>

#include "tensor/drop.h"
#include "tensor/kernel.h"

enum { Q, K, V, INPUTS };
enum {
	BLOCK = 1 << 16,
	BLOCK_ROWS = 8, /* scores in a block, and never fewer queries than this */
	BUNCH = 1 << 15 /* scores of several heads that are taken together */
};

struct call {
	struct attention how;
	struct kernel_drop drop;
	int64_t block; /* most scores of one piece here */
	float scale;
};

/* One block of queries of one head of one sequence, or all queries of several heads. */
struct piece {
	int64_t head, heads, query, rows; /* rows of q from `query` on */
	int64_t key, keys;
	bool first; /* of its sequence and heads */
};

/* The gradients to write; NULL where none is needed. */
struct grads {
	float *q, *k, *v, q_beta, k_beta, v_beta;
	float *p, *dp; /* scratch of one piece each */
	uint8_t *keep; /* which scores stay; NULL without dropout */
};

static int64_t block_rows(int64_t keys)
{
	const int64_t rows = BLOCK / (keys ? keys : 1);

	return rows < BLOCK_ROWS ? BLOCK_ROWS : rows;
}

/* How many heads of a sequence make one piece. */
static int64_t bunch_heads(int64_t heads, int64_t rows, int64_t keys)
{
	const int64_t scores = rows * keys, most = scores ? BUNCH / scores : 1;

	if (most < 1)
		return 1;
	return most < heads ? most : heads;
}

static int64_t at(const struct node *n, int64_t row, int64_t head)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out);

	return row * cols + head * (cols / c->how.heads);
}

/* a[rows, depth] b[keys, depth]^T for each head of a piece: a's rows are queries, b's are keys. */
static void score(struct node *n, const struct piece *p, const float *a, const float *b, float *ret)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), false, true, p->rows, p->keys, depth, 1,
			 a + at(n, p->query, p->head + h), cols, b + at(n, p->key, p->head + h),
			 cols, 0, ret + h * p->rows * p->keys, p->keys);
}

/* to's rows are queries: += s[rows, keys] x[keys, depth] for each head. */
static void to_queries(struct node *n, const struct piece *p, const float *s, const float *x,
		       float beta, float *to)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), false, false, p->rows, depth, p->keys, 1,
			 s + h * p->rows * p->keys, p->keys, x + at(n, p->key, p->head + h), cols,
			 beta, to + at(n, p->query, p->head + h), cols);
}

/* to's rows are keys: += s^T x[rows, depth] for each head. */
static void to_keys(struct node *n, const struct piece *p, const float *s, const float *x,
		    float beta, float *to)
{
	const struct call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), true, false, p->keys, depth, p->rows, 1,
			 s + h * p->rows * p->keys, p->keys, x + at(n, p->query, p->head + h), cols,
			 p->first ? beta : 1, to + at(n, p->key, p->head + h), cols);
}

static void probabilities(struct node *n, const struct piece *p, float *ret)
{
	const struct call *c = n->arg;

	score(n, p, n->in[Q]->data, n->in[K]->data, ret);
	kernel_softmax(ret, ret, c->scale, p->heads * p->rows, p->keys);
}

/*
 * Which scores stay. Queries that follow one another are one call; when they are
 * all of the sequence, each head's blocks follow those of the head before.
 */
static void draw(const struct node *n, const struct piece *p, uint8_t *keep)
{
	const struct call *c = n->arg;
	const uint32_t *example = n->in[Q]->origin->example + p->query,
		       *pos = n->in[Q]->origin->pos + p->query;
	const int64_t blocks = (p->keys + 7) / 8;

	for (int64_t i = 0, j; i < p->rows; i = j) {
		const int64_t first = (p->head * p->keys + pos[i]) * blocks;

		for (j = i + 1;
		     j < p->rows && example[j] == example[i] && pos[j] == pos[j - 1] + 1;)
			j++;
		if (j - i == p->keys && p->rows == p->keys && pos[i] == 0) {
			kernel_drop_blocks(keep, &c->drop, example[i], (uint32_t)first,
					   p->heads * p->rows * blocks);
			return;
		}
		for (int64_t h = 0; h < p->heads; h++)
			kernel_drop_blocks(keep + (h * p->rows + i) * blocks, &c->drop, example[i],
					   (uint32_t)(first + h * p->keys * blocks),
					   (j - i) * blocks);
	}
}

/* y = drop(x); y may be x. */
static void drop(const struct node *n, const struct piece *p, float *y, const float *x,
		 const uint8_t *keep)
{
	const struct call *c = n->arg;

	kernel_keep(y, 0, x, keep, kernel_drop_scale(&c->drop), p->heads * p->rows, p->keys);
}

static void forward_piece(struct node *n, const struct piece *p, void *arg)
{
	const struct grads *with = arg;

	probabilities(n, p, with->p);
	if (with->keep) {
		draw(n, p, with->keep);
		drop(n, p, with->p, with->p, with->keep);
	}
	to_queries(n, p, with->p, n->in[V]->data, 0, n->out->data);
}

static void backward_scores(struct node *n, const struct piece *p, const struct grads *to)
{
	const struct call *c = n->arg;
	const int64_t rows = p->heads * p->rows;

	score(n, p, n->out->grad, n->in[V]->data, to->dp);
	if (to->keep)
		drop(n, p, to->dp, to->dp, to->keep);
	kernel_softmax_back(to->dp, to->p, to->dp, c->scale, rows, p->keys);
	if (to->q)
		to_queries(n, p, to->dp, n->in[K]->data, to->q_beta, to->q);
	if (to->k)
		to_keys(n, p, to->dp, n->in[Q]->data, to->k_beta, to->k);
}

static void backward_piece(struct node *n, const struct piece *p, void *arg)
{
	const struct grads *to = arg;

	probabilities(n, p, to->p);
	if (to->keep)
		draw(n, p, to->keep);
	if (to->v) {
		if (to->keep)
			drop(n, p, to->dp, to->p, to->keep);
		to_keys(n, p, to->keep ? to->dp : to->p, n->out->grad, to->v_beta, to->v);
	}
	if (to->q || to->k)
		backward_scores(n, p, to);
}

/*
 * A sequence without queries still makes (empty) pieces, so that a new gradient of
 * its keys is overwritten with zeros.
 */
static void each_piece(struct node *n,
		       void (*run)(struct node *n, const struct piece *p, void *arg), void *arg)
{
	const struct call *c = n->arg;
	const struct attention *h = &c->how;

	for (int64_t i = 0; i < h->seqs; i++) {
		const int64_t keys = h->kstart[i + 1] - h->kstart[i], block = block_rows(keys);
		const int64_t heads = bunch_heads(h->heads, h->qstart[i + 1] - h->qstart[i], keys);

		for (int64_t head = 0; head < h->heads; head += heads) {
			const int64_t many = h->heads - head < heads ? h->heads - head : heads;
			int64_t query = h->qstart[i];

			do {
				const int64_t left = h->qstart[i + 1] - query,
					      rows = left < block ? left : block;
				const struct piece p = {
					head,
					many,
					query,
					rows,
					h->kstart[i],
					keys,
					query == h->qstart[i],
				};

				run(n, &p, arg);
				query += rows;
			} while (query < h->qstart[i + 1]);
		}
	}
}

/* Enough for the largest piece; a byte of the mask is for at least one score. False without memory. */
static bool take_scratch(struct node *n, bool back, struct grads *ret)
{
	const struct call *c = n->arg;
	const size_t scores = (size_t)c->block;
	const bool drops = c->drop.p > 0;

	ret->p = graph_scratch(n->graph, scores * sizeof(*ret->p));
	ret->dp = back ? graph_scratch(n->graph, scores * sizeof(*ret->dp)) : NULL;
	ret->keep = drops ? graph_scratch(n->graph, scores) : NULL;
	return ret->p && (ret->dp || !back) && (ret->keep || !drops);
}

static void forward(struct node *n)
{
	struct grads with = { 0 };

	if (take_scratch(n, false, &with))
		each_piece(n, forward_piece, &with);
}

static void backward(struct node *n)
{
	struct grads to = { 0 };
	const bool ready = take_scratch(n, true, &to);

	to.q = graph_needs(n->in[Q]) ? graph_grad(n->graph, n->in[Q], &to.q_beta) : NULL;
	to.k = graph_needs(n->in[K]) ? graph_grad(n->graph, n->in[K], &to.k_beta) : NULL;
	to.v = graph_needs(n->in[V]) ? graph_grad(n->graph, n->in[V], &to.v_beta) : NULL;
	if (ready)
		each_piece(n, backward_piece, &to);
	for (int i = 0; i < INPUTS; i++)
		graph_grad_done(n->graph, n->in[i]);
}

static const struct op op = { "attention", forward, backward };

static void check(const struct tensor *q, const struct tensor *k, const struct tensor *v,
		  const struct attention *how)
{
	assert(q != k && k != v && q != v); /* each has a gradient of its own to overwrite */
	assert(how->heads > 0 && tensor_cols(q) % how->heads == 0);
	assert(tensor_cols(k) == tensor_cols(q) && tensor_cols(v) == tensor_cols(q));
	assert(tensor_rows(k) == tensor_rows(v) && how->kstart[how->seqs] == tensor_rows(k));
	assert(how->qstart[how->seqs] == tensor_rows(q));
	assert(how->qstart[0] == 0 && how->kstart[0] == 0);
	assert(how->dropout >= 0 && how->dropout <= 1);
	(void)q, (void)k, (void)v, (void)how;
}

/* The most scores that any piece holds. */
static int64_t largest_piece(const struct attention *how)
{
	int64_t most = 0;

	for (int64_t i = 0; i < how->seqs; i++) {
		const int64_t keys = how->kstart[i + 1] - how->kstart[i],
			      rows = how->qstart[i + 1] - how->qstart[i];
		const int64_t block = block_rows(keys), heads = bunch_heads(how->heads, rows, keys);
		const int64_t size = heads * (rows < block ? rows : block) * keys;

		most = size > most ? size : most;
	}
	return most;
}

struct tensor *op_attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v,
			    const struct attention *how)
{
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
		.how = *how,
		.block = largest_piece(how),
		.scale = (float)(1 / sqrt((double)(tensor_cols(q) / how->heads))),
	};
	if (graph_pass(g)->train && how->dropout > 0) {
		assert(q->origin);
		c->drop = drop_site(g, how->dropout);
	}
	return graph_record(g, &op, out, (struct tensor *[]){ q, k, v }, INPUTS, c);
}
