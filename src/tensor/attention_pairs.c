/*
 * Attention with products in bf16: see op_attention.c for the formulas. A piece is
 * one head of one sequence, or some queries of it:
 *
 *     E = exp(scale (Q K^T - max))        Y = (keep E) V, each row divided by its sum of E
 *
 *     gK = dS^T Q        gV = P'^T G        gQ = dS K        P' = drop(P)
 *
 * Scores, softmax and sums are fp32; what is multiplied is rounded: Q, K, V, G and,
 * as they leave the softmax, E, P' and dS.
 */
#include "tensor/attention.h"

#include "tensor/kernel_pairs.h"

#if defined(__x86_64__)

enum { Q, K, V };

/* The factors of a head, packed; those of keys serve all of its pieces. G: the gradient of Y. */
struct parts {
	uint32_t *k_turned, *v_turned, *k_across, *v_across;
	uint32_t *q_along, *g_along, *q_across, *g_across;
	uint32_t *along, *across, *dropped; /* what leaves the softmax */
	float *s, *dy, *factor;
	uint8_t *keep;
};

/* Forward takes some of them, backward nearly all; whatever stays unused costs address space only. */
struct work {
	struct parts part;
	const struct attention_grads *to; /* NULL: forward */
};

static int64_t depth_of(const struct node *n)
{
	const struct attention_call *c = n->arg;

	return tensor_cols(n->out) / c->how.heads;
}

/* ---- memory ---- */

/* The largest piece of this call, and the most keys of a sequence. */
struct extent {
	int64_t rows, keys, scores, words;
};

static void measure(struct node *n, const struct attention_piece *p, void *arg)
{
	struct extent *e = arg;
	const int64_t wide = pairs_padded(p->keys);

	(void)n;
	e->rows = p->rows > e->rows ? p->rows : e->rows;
	e->keys = p->keys > e->keys ? p->keys : e->keys;
	e->scores = p->rows * wide > e->scores ? p->rows * wide : e->scores;
	e->words = (p->rows + 1) * wide > e->words ? (p->rows + 1) * wide : e->words;
}

static uint32_t *words(struct graph *g, int64_t n)
{
	return graph_scratch(g, (size_t)n * sizeof(uint32_t));
}

static float *numbers(struct graph *g, int64_t n)
{
	return graph_scratch(g, (size_t)n * sizeof(float));
}

static bool take_keys(struct node *n, const struct extent *e, struct parts *ret)
{
	const int64_t depth = depth_of(n);
	const int64_t turned = pairs_half(depth) * pairs_padded(e->keys),
		      across = pairs_half(e->keys) * pairs_padded(depth);

	ret->k_turned = words(n->graph, turned);
	ret->v_turned = words(n->graph, turned);
	ret->k_across = words(n->graph, across);
	ret->v_across = words(n->graph, across);
	return ret->k_turned && ret->v_turned && ret->k_across && ret->v_across;
}

static bool take_queries(struct node *n, const struct extent *e, struct parts *ret)
{
	const int64_t depth = depth_of(n);
	const int64_t along = e->rows * pairs_padded(pairs_half(depth)),
		      across = pairs_half(e->rows) * pairs_padded(depth);

	ret->q_along = words(n->graph, along);
	ret->g_along = words(n->graph, along);
	ret->q_across = words(n->graph, across);
	ret->g_across = words(n->graph, across);
	return ret->q_along && ret->g_along && ret->q_across && ret->g_across;
}

static bool take_scores(struct node *n, const struct extent *e, struct parts *ret)
{
	const struct attention_call *c = n->arg;

	ret->s = numbers(n->graph, e->scores);
	ret->dy = numbers(n->graph, e->scores);
	ret->factor = numbers(n->graph, e->rows);
	ret->along = words(n->graph, e->words);
	ret->across = words(n->graph, e->words);
	ret->dropped = words(n->graph, e->words);
	ret->keep = c->drop.p > 0 ? graph_scratch(n->graph, (size_t)e->scores) : NULL;
	return ret->s && ret->dy && ret->factor && ret->along && ret->across && ret->dropped &&
	       (ret->keep || !(c->drop.p > 0));
}

static bool take(struct node *n, struct parts *ret)
{
	struct extent e = { 0 };

	attention_each(n, measure, &e);
	return take_keys(n, &e, ret) && take_queries(n, &e, ret) && take_scores(n, &e, ret);
}

/* ---- pieces ---- */

/* s = a's queries times b's keys, whole vectors. */
static void score(const struct node *n, const struct attention_piece *p, const uint32_t *along,
		  const uint32_t *turned, float *s)
{
	const int64_t deep = pairs_half(depth_of(n)), wide = pairs_padded(p->keys);

	kernel_pairs_product(&(struct kernel_pairs){ .a = along,
						     .b = turned,
						     .row = pairs_padded(deep),
						     .col = 1,
						     .rows = p->rows,
						     .deep = deep,
						     .cols = wide,
						     .c = s,
						     .ldc = wide });
}

/* Rows of queries: to = beta to + along x, each row times its factor. */
static void to_queries(const struct node *n, const struct attention_piece *p,
		       const struct parts *part, const uint32_t *x_across, const float *factor,
		       float beta, float *to)
{
	const int64_t deep = pairs_half(p->keys);

	kernel_pairs_product(&(struct kernel_pairs){ .a = part->along,
						     .b = x_across,
						     .row = pairs_padded(deep),
						     .col = 1,
						     .rows = p->rows,
						     .deep = deep,
						     .cols = depth_of(n),
						     .factor = factor,
						     .beta = beta,
						     .c = to + attention_at(n, p->query, p->head),
						     .ldc = tensor_cols(n->out) });
}

/* Rows of keys: to = beta to + across^T x. */
static void to_keys(const struct node *n, const struct attention_piece *p, const uint32_t *across,
		    const uint32_t *x_across, float beta, float *to)
{
	kernel_pairs_product(&(struct kernel_pairs){ .a = across,
						     .b = x_across,
						     .row = 1,
						     .col = pairs_padded(p->keys),
						     .rows = p->keys,
						     .deep = pairs_half(p->rows),
						     .cols = depth_of(n),
						     .beta = p->first ? beta : 1,
						     .c = to + attention_at(n, p->key, p->head),
						     .ldc = tensor_cols(n->out) });
}

/* One of the packings, of this piece's rows of queries or keys. */
typedef void packing(uint32_t *to, const float *x, int64_t ldx, int64_t rows, int64_t cols);

static void pack_queries(const struct node *n, const struct attention_piece *p, packing *pack,
			 const float *x, uint32_t *to)
{
	pack(to, x + attention_at(n, p->query, p->head), tensor_cols(n->out), p->rows, depth_of(n));
}

static void pack_keys(const struct node *n, const struct attention_piece *p, packing *pack,
		      const float *x, uint32_t *to)
{
	pack(to, x + attention_at(n, p->key, p->head), tensor_cols(n->out), p->keys, depth_of(n));
}

/* The scores of a piece, and what is dropped of them. */
static struct kernel_pairs_softmax scores(struct node *n, const struct attention_piece *p,
					  const struct parts *part)
{
	const struct attention_call *c = n->arg;

	if (p->first)
		pack_keys(n, p, kernel_pairs_turned, n->in[K]->data, part->k_turned);
	pack_queries(n, p, kernel_pairs_along, n->in[Q]->data, part->q_along);
	score(n, p, part->q_along, part->k_turned, part->s);
	if (part->keep)
		attention_draw(n, p, part->keep);
	return (struct kernel_pairs_softmax){
		.s = part->s,
		.rows = p->rows,
		.cols = p->keys,
		.scale = c->scale,
		.keep = part->keep,
		.gain = part->keep ? kernel_drop_scale(&c->drop) : 1,
	};
}

static void forward_piece(struct node *n, const struct attention_piece *p, void *arg)
{
	const struct work *w = arg;
	const struct parts *part = &w->part;
	const struct kernel_pairs_softmax k = scores(n, p, part);

	kernel_pairs_softmax(&k, part->along, part->factor);
	if (p->first)
		pack_keys(n, p, kernel_pairs_across, n->in[V]->data, part->v_across);
	to_queries(n, p, part, part->v_across, p->keys ? part->factor : NULL, 0, n->out->data);
}

static void backward_piece(struct node *n, const struct attention_piece *p, void *arg)
{
	const struct work *w = arg;
	const struct attention_grads *to = w->to;
	const struct parts *part = &w->part;
	const float *grad = n->out->grad;
	const struct kernel_pairs_softmax k = scores(n, p, part);

	if (p->first)
		pack_keys(n, p, kernel_pairs_turned, n->in[V]->data, part->v_turned);
	pack_queries(n, p, kernel_pairs_along, grad, part->g_along);
	score(n, p, part->g_along, part->v_turned, part->dy);
	kernel_pairs_softmax_back(&k, &(struct kernel_pairs_grads){ part->dy, part->dropped,
								    part->along, part->across });
	if (to->q && p->first)
		pack_keys(n, p, kernel_pairs_across, n->in[K]->data, part->k_across);
	if (to->q)
		to_queries(n, p, part, part->k_across, NULL, to->q_beta, to->q);
	if (to->k) {
		pack_queries(n, p, kernel_pairs_across, n->in[Q]->data, part->q_across);
		to_keys(n, p, part->across, part->q_across, to->k_beta, to->k);
	}
	if (to->v) {
		pack_queries(n, p, kernel_pairs_across, grad, part->g_across);
		to_keys(n, p, part->dropped, part->g_across, to->v_beta, to->v);
	}
}

bool attention_pairs_fit(const struct gemm *gm) { return gemm_is_bf16(gm) && kernel_pairs_ready(); }

void attention_pairs_forward(struct node *n)
{
	struct work w = { .to = NULL };

	if (take(n, &w.part))
		attention_each(n, forward_piece, &w);
}

void attention_pairs_backward(struct node *n, const struct attention_grads *to)
{
	struct work w = { .to = to };

	if (take(n, &w.part))
		attention_each(n, backward_piece, &w);
}

#else

bool attention_pairs_fit(const struct gemm *gm)
{
	(void)gm;
	return false;
}

/* Never called: nothing fits. */
void attention_pairs_forward(struct node *n) { (void)n; }

void attention_pairs_backward(struct node *n, const struct attention_grads *to)
{
	(void)n, (void)to;
}

#endif
