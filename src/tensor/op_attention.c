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
 * in the second-level cache; the cut depends on the number of keys alone. Beyond
 * 1024 keys a block outgrows that cache rather than have too few rows for a
 * product, and stays a constant number of rows: so a softmax is always that of
 * whole rows, and no log-sum-exp need be carried from block to block. Of a short
 * sequence several heads make one piece: their softmax and dropout are one call
 * each. The mask, a bit a score, is drawn once for both of its uses. In bf16
 * attention_pairs.c computes the pieces.
 */
#include "tensor/attention.h"

#include <assert.h>
#include <math.h>

#include "tensor/drop.h"

enum { Q, K, V, INPUTS };
enum {
	BLOCK = 1 << 16,
	BLOCK_ROWS = 64, /* scores in a block, and never fewer queries than this */
	BUNCH = 1 << 15  /* scores of several heads that are taken together */
};

/* Scratch of one piece each. */
struct space {
	float *p, *dp; /* dp: backward only */
	uint8_t *keep; /* which scores stay; NULL without dropout */
};

/* What a piece's backward works with. */
struct back {
	struct space space;
	struct attention_grads to;
};

static int64_t block_rows(int64_t keys, bool narrow)
{
	const int64_t rows = (narrow ? ATTENTION_PAIRS : BLOCK) / (keys ? keys : 1);

	return rows < BLOCK_ROWS ? BLOCK_ROWS : rows;
}

/* How many heads of a sequence make one piece. */
static int64_t bunch_heads(int64_t heads, int64_t rows, int64_t keys, bool narrow)
{
	const int64_t scores = rows * keys, most = scores ? BUNCH / scores : 1;

	if (most < 1 || narrow)
		return 1;
	return most < heads ? most : heads;
}

int64_t attention_at(const struct node *n, int64_t row, int64_t head)
{
	const struct attention_call *c = n->arg;
	const int64_t cols = tensor_cols(n->out);

	return row * cols + head * (cols / c->how.heads);
}

/* a[rows, depth] b[keys, depth]^T for each head of a piece: a's rows are queries, b's are keys. */
static void score(struct node *n, const struct attention_piece *p, const float *a, const float *b,
		  float *ret)
{
	const struct attention_call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), false, true, p->rows, p->keys, depth, 1,
			 a + attention_at(n, p->query, p->head + h), cols,
			 b + attention_at(n, p->key, p->head + h), cols, 0,
			 ret + h * p->rows * p->keys, p->keys);
}

/* to's rows are queries: += s[rows, keys] x[keys, depth] for each head. */
static void to_queries(struct node *n, const struct attention_piece *p, const float *s,
		       const float *x, float beta, float *to)
{
	const struct attention_call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), false, false, p->rows, depth, p->keys, 1,
			 s + h * p->rows * p->keys, p->keys,
			 x + attention_at(n, p->key, p->head + h), cols, beta,
			 to + attention_at(n, p->query, p->head + h), cols);
}

/* to's rows are keys: += s^T x[rows, depth] for each head. */
static void to_keys(struct node *n, const struct attention_piece *p, const float *s, const float *x,
		    float beta, float *to)
{
	const struct attention_call *c = n->arg;
	const int64_t cols = tensor_cols(n->out), depth = cols / c->how.heads;

	for (int64_t h = 0; h < p->heads; h++)
		gemm_run(graph_gemm(n->graph), true, false, p->keys, depth, p->rows, 1,
			 s + h * p->rows * p->keys, p->keys,
			 x + attention_at(n, p->query, p->head + h), cols, p->first ? beta : 1,
			 to + attention_at(n, p->key, p->head + h), cols);
}

static void probabilities(struct node *n, const struct attention_piece *p, float *ret)
{
	const struct attention_call *c = n->arg;

	score(n, p, n->in[Q]->data, n->in[K]->data, ret);
	kernel_softmax(ret, ret, c->scale, p->heads * p->rows, p->keys);
}

/*
 * Which scores stay. Queries that follow one another are one call; when they are
 * all of the sequence, each head's blocks follow those of the head before.
 */
void attention_draw(const struct node *n, const struct attention_piece *p, uint8_t *keep)
{
	const struct attention_call *c = n->arg;
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
static void drop(const struct node *n, const struct attention_piece *p, float *y, const float *x,
		 const uint8_t *keep)
{
	const struct attention_call *c = n->arg;

	kernel_keep(y, 0, x, keep, kernel_drop_scale(&c->drop), p->heads * p->rows, p->keys);
}

static void forward_piece(struct node *n, const struct attention_piece *p, void *arg)
{
	const struct space *s = arg;

	probabilities(n, p, s->p);
	if (s->keep) {
		attention_draw(n, p, s->keep);
		drop(n, p, s->p, s->p, s->keep);
	}
	to_queries(n, p, s->p, n->in[V]->data, 0, n->out->data);
}

static void backward_scores(struct node *n, const struct attention_piece *p, const struct back *b)
{
	const struct attention_call *c = n->arg;
	const struct attention_grads *to = &b->to;
	const struct space *s = &b->space;

	score(n, p, n->out->grad, n->in[V]->data, s->dp);
	if (s->keep)
		drop(n, p, s->dp, s->dp, s->keep);
	kernel_softmax_back(s->dp, s->p, s->dp, c->scale, p->heads * p->rows, p->keys);
	if (to->q)
		to_queries(n, p, s->dp, n->in[K]->data, to->q_beta, to->q);
	if (to->k)
		to_keys(n, p, s->dp, n->in[Q]->data, to->k_beta, to->k);
}

static void backward_piece(struct node *n, const struct attention_piece *p, void *arg)
{
	const struct back *b = arg;
	const struct space *s = &b->space;

	probabilities(n, p, s->p);
	if (s->keep)
		attention_draw(n, p, s->keep);
	if (b->to.v) {
		if (s->keep)
			drop(n, p, s->dp, s->p, s->keep);
		to_keys(n, p, s->keep ? s->dp : s->p, n->out->grad, b->to.v_beta, b->to.v);
	}
	if (b->to.q || b->to.k)
		backward_scores(n, p, b);
}

/*
 * A sequence without queries still makes (empty) pieces, so that a new gradient of
 * its keys is overwritten with zeros.
 */
void attention_each(struct node *n,
		    void (*run)(struct node *n, const struct attention_piece *p, void *arg),
		    void *arg)
{
	const struct attention_call *c = n->arg;
	const struct attention *h = &c->how;

	for (int64_t i = 0; i < h->seqs; i++) {
		const int64_t keys = h->kstart[i + 1] - h->kstart[i];
		const int64_t block = block_rows(keys, c->narrow);
		const int64_t heads = bunch_heads(h->heads, h->qstart[i + 1] - h->qstart[i], keys,
						  c->narrow);

		for (int64_t head = 0; head < h->heads; head += heads) {
			const int64_t many = h->heads - head < heads ? h->heads - head : heads;
			int64_t query = h->qstart[i];

			do {
				const int64_t left = h->qstart[i + 1] - query,
					      rows = left < block ? left : block;
				const struct attention_piece p = {
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
static bool take_space(struct node *n, bool back, struct space *ret)
{
	const struct attention_call *c = n->arg;
	const size_t scores = (size_t)c->block;
	const bool drops = c->drop.p > 0;

	ret->p = graph_scratch(n->graph, scores * sizeof(*ret->p));
	ret->dp = back ? graph_scratch(n->graph, scores * sizeof(*ret->dp)) : NULL;
	ret->keep = drops ? graph_scratch(n->graph, scores) : NULL;
	return ret->p && (ret->dp || !back) && (ret->keep || !drops);
}

static void forward(struct node *n)
{
	const struct attention_call *c = n->arg;
	struct space s;

	if (c->narrow)
		attention_pairs_forward(n);
	else if (take_space(n, false, &s))
		attention_each(n, forward_piece, &s);
}

static void backward(struct node *n)
{
	const struct attention_call *c = n->arg;
	struct back b = { .to = { 0 } };
	struct attention_grads *to = &b.to;

	to->q = graph_needs(n->in[Q]) ? graph_grad(n->graph, n->in[Q], &to->q_beta) : NULL;
	to->k = graph_needs(n->in[K]) ? graph_grad(n->graph, n->in[K], &to->k_beta) : NULL;
	to->v = graph_needs(n->in[V]) ? graph_grad(n->graph, n->in[V], &to->v_beta) : NULL;
	if (c->narrow)
		attention_pairs_backward(n, to);
	else if (take_space(n, true, &b.space))
		attention_each(n, backward_piece, &b);
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
static int64_t largest_piece(const struct attention *how, bool narrow)
{
	int64_t most = 0;

	for (int64_t i = 0; i < how->seqs; i++) {
		const int64_t keys = how->kstart[i + 1] - how->kstart[i],
			      rows = how->qstart[i + 1] - how->qstart[i];
		const int64_t block = block_rows(keys, narrow);
		const int64_t heads = bunch_heads(how->heads, rows, keys, narrow);
		const int64_t size = heads * (rows < block ? rows : block) * keys;

		most = size > most ? size : most;
	}
	return most;
}

struct tensor *op_attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v,
			    const struct attention *how)
{
	struct tensor *out;
	struct attention_call *c;

	if (!q || !k || !v)
		return NULL;
	check(q, k, v, how);
	out = graph_tensor_like(g, q, tensor_cols(q), q->needs || k->needs || v->needs);
	c = graph_alloc(g, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct attention_call){
		.how = *how,
		.narrow = attention_pairs_fit(graph_gemm(g)),
		.scale = (float)(1 / sqrt((double)(tensor_cols(q) / how->heads))),
	};
	c->block = largest_piece(how, c->narrow);
	if (graph_pass(g)->train && how->dropout > 0) {
		assert(q->origin);
		c->drop = drop_site(g, how->dropout);
	}
	return graph_record(g, &op, out, (struct tensor *[]){ q, k, v }, INPUTS, c);
}
