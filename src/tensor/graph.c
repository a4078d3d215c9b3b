/*
 * The tape: forward at once, backward in reverse.
 *
 * Memory. Tensors and their numbers lie in `arena` until graph_begin. What an
 * op needs only while it runs lies in `scratch`, which is rewound after every
 * forward and every backward. The gradient of an activation is dead as soon as
 * the op that made the activation has run backward, so its buffer goes to the
 * next activation that fits: a shard holds a handful of gradients, not one for
 * every node. They lie in `slopes`, since a segment that was built again is
 * gone from the arena before the gradient of its input is read. So do the numbers
 * of an activation that graph_done gave up and no backward reads, in the arena.
 *
 * Leaves. While recording, the uses of each leaf in this shard are counted; in
 * backward the last use passes the leaf's turn to the next shard. What is left
 * at the end (unused leaves, failed shards) is passed on by graph_end. A segment
 * that is not kept counts its uses when it is first built, and not again.
 */
#include "tensor/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Numbers that serve one tensor after another. */
struct buffer {
	float *data;
	size_t count;
	bool busy;
	struct arena_mark from; /* its arena before it was made */
};

/* Those before `first` belong to what goes on after a segment, and rest meanwhile. */
struct buffers {
	struct arena *arena;
	struct buffer *item;
	size_t n, room, first;
};

/* What becomes of an op that needs a gradient. */
enum tape {
	TAPE_KEEP,  /* it is recorded, and its uses of leaves are counted */
	TAPE_COUNT, /* counted only: inside a segment that will be built again */
	TAPE_AGAIN  /* recorded only: it is being built again */
};

struct graph {
	const struct gemm *gemm;
	struct arena *arena, *scratch, *slopes;
	struct pass pass;
	struct leaves *leaves; /* NULL: none, or the shard has ended */
	int shard;
	struct node *node;
	size_t nodes, node_room;
	int *uses; /* of each leaf in this shard; -1: its turn was passed on */
	int leaf_count;
	size_t leaf_room;
	struct buffers grads, activations;
	struct arena_mark pinned; /* what lies before must stay until backward */
	uint32_t draws;
	enum tape tape;
	bool failed; /* memory ran out */
};

static const struct arena_mark start = { 0, 0 };

int graph_new(const struct gemm *gm, struct graph **ret)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(TT_NOMEM, "not enough memory for a tape");
	g->gemm = gm;
	g->arena = arena_new();
	g->scratch = arena_new();
	g->slopes = arena_new();
	if (!g->arena || !g->scratch || !g->slopes) {
		graph_free(g);
		return err_set(TT_NOMEM, "not enough memory for a tape");
	}
	*ret = g;
	return TT_OK;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	arena_free(g->arena);
	arena_free(g->scratch);
	arena_free(g->slopes);
	free(g->node);
	free(g->uses);
	free(g->grads.item);
	free(g->activations.item);
	free(g);
}

size_t graph_bytes(const struct graph *g)
{
	return arena_bytes(g->arena) + arena_bytes(g->scratch) + arena_bytes(g->slopes) +
	       g->node_room * sizeof(*g->node) +
	       (g->grads.room + g->activations.room) * sizeof(struct buffer) +
	       g->leaf_room * sizeof(*g->uses);
}

size_t graph_reached(const struct graph *g)
{
	return arena_reached(g->arena) + arena_reached(g->scratch) + arena_reached(g->slopes);
}

/* The same array with room for so many; NULL without memory. */
static void *make_room(void *array, size_t want, size_t *room, size_t size)
{
	void *p = array;

	if (want > *room) {
		p = realloc(array, want * size);
		if (p)
			*room = want;
		else
			err_set(TT_NOMEM, "not enough memory for a tape of %zu ops", want);
	}
	return p;
}

/* Make room for one more element; the array keeps its room over the steps. */
static void *grow(struct graph *g, void *array, size_t n, size_t *room, size_t size)
{
	void *p = n < *room ? array : make_room(array, *room ? *room * 2 : 64, room, size);

	if (!p)
		g->failed = true;
	return p;
}

static void count_leaves(struct graph *g)
{
	const int n = leaves_count(g->leaves);
	int *uses = make_room(g->uses, (size_t)n, &g->leaf_room, sizeof(*uses));

	g->leaf_count = 0;
	if (n && !uses) {
		g->failed = true;
		return;
	}
	g->uses = uses;
	g->leaf_count = n;
	for (int i = 0; i < n; i++)
		g->uses[i] = 0;
}

/* ---- room for all threads alike ---- */

struct room {
	size_t nodes, grads, activations, leaves; /* elements */
	size_t arena, scratch, slopes;            /* bytes, as reached */
};

static size_t more(size_t a, size_t b) { return a > b ? a : b; }

static void room_widen(struct room *r, const struct graph *g)
{
	r->nodes = more(r->nodes, g->node_room);
	r->grads = more(r->grads, g->grads.room);
	r->activations = more(r->activations, g->activations.room);
	r->leaves = more(r->leaves, g->leaf_room);
	r->arena = more(r->arena, arena_reached(g->arena));
	r->scratch = more(r->scratch, arena_reached(g->scratch));
	r->slopes = more(r->slopes, arena_reached(g->slopes));
}

static bool buffers_take(struct buffers *b, size_t want)
{
	struct buffer *item = make_room(b->item, want, &b->room, sizeof(*item));

	b->item = item ? item : b->item;
	return b->room >= want;
}

static int room_take(const struct room *r, struct graph *g)
{
	struct node *node = make_room(g->node, r->nodes, &g->node_room, sizeof(*node));
	int *uses = make_room(g->uses, r->leaves, &g->leaf_room, sizeof(*uses)), rc;

	g->node = node ? node : g->node;
	g->uses = uses ? uses : g->uses;
	if (g->node_room < r->nodes || g->leaf_room < r->leaves ||
	    !buffers_take(&g->grads, r->grads) || !buffers_take(&g->activations, r->activations))
		return TT_NOMEM;
	rc = arena_reserve(g->arena, r->arena);
	if (!rc)
		rc = arena_reserve(g->scratch, r->scratch);
	return rc ? rc : arena_reserve(g->slopes, r->slopes);
}

int graph_share_room(struct graph *const *g, int n)
{
	struct room most = { 0 };
	int rc = TT_OK;

	for (int i = 0; i < n; i++)
		room_widen(&most, g[i]);
	for (int i = 0; i < n && !rc; i++)
		rc = room_take(&most, g[i]);
	return rc;
}

/* ---- a pass ---- */

void graph_begin(struct graph *g, const struct pass *pass, struct leaves *leaves, int shard)
{
	arena_rewind(g->arena, start);
	arena_rewind(g->scratch, start);
	arena_rewind(g->slopes, start);
	g->pass = *pass;
	g->leaves = pass->train ? leaves : NULL;
	g->shard = shard;
	g->nodes = 0;
	g->grads = (struct buffers){ g->slopes, g->grads.item, 0, g->grads.room, 0 };
	g->activations = (struct buffers){ g->arena, g->activations.item, 0, g->activations.room,
					   0 };
	g->pinned = start;
	g->draws = 0;
	g->tape = TAPE_KEEP;
	g->failed = false;
	g->leaf_count = 0;
	if (g->leaves)
		count_leaves(g);
}

void graph_end(struct graph *g)
{
	if (!g->leaves)
		return;
	/* all of them, also when the memory for the counts was missing: somebody waits */
	for (int i = 0, n = leaves_count(g->leaves); i < n; i++)
		if (i >= g->leaf_count || g->uses[i] >= 0)
			leaves_done(g->leaves, i, g->shard);
	g->leaves = NULL;
}

void *graph_alloc(struct graph *g, size_t size)
{
	void *p = arena_alloc(g->arena, size);

	if (!p)
		g->failed = true;
	return p;
}

/* ---- buffers ---- */

/* The smallest free buffer that fits and has at most `most` numbers, or a new one. */
static float *buffer_take(struct graph *g, struct buffers *b, size_t count, size_t most)
{
	struct buffer *best = NULL, *all;
	struct arena_mark from;
	float *data;

	for (size_t i = b->first; i < b->n; i++) {
		struct buffer *k = &b->item[i];

		if (!k->busy && k->count >= count && k->count <= most &&
		    (!best || k->count < best->count))
			best = k;
	}
	if (best) {
		best->busy = true;
		return best->data;
	}
	all = grow(g, b->item, b->n, &b->room, sizeof(*all));
	if (!all)
		return NULL;
	b->item = all;
	from = arena_mark(b->arena);
	data = arena_alloc(b->arena, count * sizeof(*data));
	if (data)
		b->item[b->n++] = (struct buffer){ data, count, true, from };
	else
		g->failed = true;
	return data;
}

/* Who holds these numbers; NULL when they are not of these buffers. */
static struct buffer *buffer_of(const struct buffers *b, const float *data)
{
	for (size_t i = 0; data && i < b->n; i++)
		if (b->item[i].data == data)
			return &b->item[i];
	return NULL;
}

static bool after(struct arena_mark a, struct arena_mark b)
{
	return a.block > b.block || (a.block == b.block && a.used > b.used);
}

/* The arena as it was: the buffers that were made since then are gone. */
static void rewind_arena(struct graph *g, struct arena_mark mark)
{
	struct buffers *b = &g->activations;

	while (b->n && !after(mark, b->item[b->n - 1].from))
		b->n--;
	arena_rewind(g->arena, mark);
}

/* ---- tensors ---- */

/*
 * A buffer much larger than what it is for would be missed soon, and what takes it
 * may stay until backward.
 */
static float *alloc_numbers(struct graph *g, int64_t rows, int64_t cols)
{
	const size_t count = (size_t)(rows * cols);

	assert(rows >= 0 && cols >= 0);
	if (cols && (uint64_t)rows > SIZE_MAX / sizeof(float) / (uint64_t)cols) {
		err_set(TT_NOMEM, "not enough memory for %lld x %lld numbers", (long long)rows,
			(long long)cols);
		g->failed = true;
		return NULL;
	}
	return buffer_take(g, &g->activations, count, count + count / 2);
}

struct tensor *graph_tensor(struct graph *g, int64_t rows, int64_t cols, bool needs)
{
	float *data = alloc_numbers(g, rows, cols);
	struct tensor *t = data ? graph_alloc(g, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	*t = (struct tensor){
		.rank = 2,
		.dim = { rows, cols },
		.data = data,
		.needs = needs && g->pass.train,
		.slot = -1,
	};
	if (t->needs)
		g->pinned = arena_mark(g->arena);
	return t;
}

struct tensor *graph_tensor_like(struct graph *g, const struct tensor *x, int64_t cols, bool needs)
{
	struct tensor *t = graph_tensor(g, tensor_rows(x), cols, needs);

	if (t)
		t->origin = x->origin;
	return t;
}

/* Does the shard count and release this tensor? */
static bool counted(const struct graph *g, const struct tensor *t)
{
	return g->leaves && graph_needs(t) && t->slot >= 0;
}

/* The numbers that backward will read stay. */
static void keep_inputs(const struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		if (n->in[i] && !(n->traits & 1U << i))
			n->in[i]->kept = true;
}

static void count_uses(struct graph *g, const struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		if (counted(g, n->in[i])) {
			assert(n->in[i]->slot < g->leaf_count);
			g->uses[n->in[i]->slot]++;
		}
}

static bool keep_node(struct graph *g, const struct node *n)
{
	if (g->tape != TAPE_COUNT) {
		struct node *all = grow(g, g->node, g->nodes, &g->node_room, sizeof(*all));

		if (!all)
			return false;
		g->node = all;
		g->node[g->nodes++] = *n;
		g->pinned = arena_mark(g->arena);
		keep_inputs(n);
	}
	if (g->tape != TAPE_AGAIN)
		count_uses(g, n);
	return true;
}

struct tensor *graph_record(struct graph *g, const struct op *op, struct tensor *out,
			    struct tensor *const *in, int n, void *arg)
{
	return graph_record_as(g, op, out, in, n, arg, 0);
}

struct tensor *graph_record_as(struct graph *g, const struct op *op, struct tensor *out,
			       struct tensor *const *in, int n, void *arg, unsigned traits)
{
	struct node node = { .op = op, .graph = g, .out = out, .arg = arg, .traits = traits };

	assert(n <= NODE_INPUTS);
	if (g->failed || !out)
		return NULL;
	for (int i = 0; i < n; i++)
		node.in[i] = in[i];
	out->name = op->name;
	if (!g->pass.dry)
		op->forward(&node);
	arena_rewind(g->scratch, start);
	if (g->failed)
		return NULL;
	if (g->pass.train && out->needs && !keep_node(g, &node))
		return NULL;
	return out;
}

void graph_done(struct graph *g, struct tensor *t)
{
	struct buffer *b = t && !t->kept ? buffer_of(&g->activations, t->data) : NULL;

	if (!b)
		return;
	b->busy = false;
	t->data = NULL;
}

const struct gemm *graph_gemm(const struct graph *g) { return g->gemm; }

const struct pass *graph_pass(const struct graph *g) { return &g->pass; }

uint32_t graph_draw(struct graph *g) { return g->draws++; }

struct arena *graph_arena(struct graph *g) { return g->scratch; }

void *graph_scratch(struct graph *g, size_t size)
{
	void *p = arena_alloc(g->scratch, size);

	if (!p)
		g->failed = true;
	return p;
}

/* ---- gradients ---- */

float *graph_grad(struct graph *g, struct tensor *t, float *ret_beta)
{
	float *grad;

	assert(t->needs);
	if (t->slot >= 0) {
		assert(g->leaves && g->uses[t->slot] > 0);
		grad = leaves_grad(g->leaves, t->slot, g->shard, ret_beta);
		if (!grad)
			g->failed = true;
		return grad;
	}
	assert(!t->trainable);
	if (t->has_grad) {
		*ret_beta = 1;
		return t->grad;
	}
	grad = buffer_take(g, &g->grads, (size_t)tensor_count(t), SIZE_MAX);
	if (!grad)
		return NULL;
	t->grad = grad;
	t->has_grad = true;
	*ret_beta = 0;
	return grad;
}

float *graph_grad_reuse(struct graph *g, struct tensor *from, struct tensor *t, float *ret_beta)
{
	assert(tensor_count(from) == tensor_count(t));
	if (t->slot >= 0 || t->has_grad || !buffer_of(&g->grads, from->grad))
		return graph_grad(g, t, ret_beta);
	t->grad = from->grad;
	t->has_grad = true;
	from->grad = NULL;
	from->has_grad = false;
	*ret_beta = 0;
	return t->grad;
}

void graph_grad_done(struct graph *g, struct tensor *t)
{
	if (!counted(g, t))
		return;
	assert(g->uses[t->slot] > 0);
	if (--g->uses[t->slot] == 0) {
		leaves_done(g->leaves, t->slot, g->shard);
		g->uses[t->slot] = -1;
	}
}

/* The gradients that backward would ask for. */
static void node_backward_dry(struct graph *g, struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++) {
		struct tensor *t = n->in[i];
		float beta;

		if (!graph_needs(t) || t->trainable || t->slot >= 0)
			continue;
		if (!i && n->traits & NODE_HANDS_ON)
			graph_grad_reuse(g, n->out, t, &beta);
		else
			graph_grad(g, t, &beta);
	}
}

static void node_backward(struct graph *g, struct node *n)
{
	struct buffer *b;

	if (!n->out->has_grad) {
		for (int i = 0; i < NODE_INPUTS; i++)
			graph_grad_done(g, n->in[i]);
		return;
	}
	if (g->pass.dry && n->op->forward) /* a segment, which has none, is built again */
		node_backward_dry(g, n);
	else
		n->op->backward(n);
	arena_rewind(g->scratch, start);
	b = buffer_of(&g->grads, n->out->grad);
	if (b) {
		b->busy = false;
		n->out->grad = NULL;
		n->out->has_grad = false;
	}
}

/* Backward of the nodes recorded since there were `nodes`. One may move the array, so each is a copy. */
static void nodes_backward(struct graph *g, size_t nodes)
{
	for (size_t i = g->nodes; i-- > nodes && !g->failed;) {
		struct node n = g->node[i];

		node_backward(g, &n);
	}
}

int graph_backward(struct graph *g, struct tensor *loss)
{
	assert(g->pass.train);
	if (!g->failed && loss && loss->needs && !loss->has_grad) {
		float beta, *grad = graph_grad(g, loss, &beta);

		assert(tensor_count(loss) == 1);
		if (grad)
			*grad = 1;
	}
	nodes_backward(g, 0);
	graph_end(g);
	return g->failed ? TT_NOMEM : TT_OK;
}

struct arena_mark graph_mark(struct graph *g) { return arena_mark(g->arena); }

/* A copy of the numbers; NULL without memory. */
static uint32_t *copy_numbers(struct arena *a, const uint32_t *from, int64_t n)
{
	uint32_t *p = arena_alloc(a, (size_t)n * sizeof(*p));

	return p ? memcpy(p, from, (size_t)n * sizeof(*p)) : NULL;
}

static struct origin *copy_origin(struct arena *a, const struct origin *from, int64_t rows)
{
	const uint32_t *example = copy_numbers(a, from->example, rows),
		       *pos = copy_numbers(a, from->pos, rows);
	struct origin *o = arena_alloc(a, sizeof(*o));

	if (!example || !pos || !o)
		return NULL;
	*o = (struct origin){ example, pos };
	return o;
}

/*
 * The numbers move within the arena, so they go first, with memmove: nothing
 * else is written before they are safe. The origin waits in the scratch.
 */
static struct tensor *move_to_mark(struct graph *g, struct arena_mark mark, const struct tensor *t)
{
	struct tensor copy = *t, *moved;
	const size_t size = (size_t)tensor_count(t) * sizeof(float);

	if (t->origin) {
		copy.origin = copy_origin(g->scratch, t->origin, tensor_rows(t));
		if (!copy.origin)
			return NULL;
	}
	rewind_arena(g, mark);
	copy.data = arena_alloc(g->arena, size);
	if (!copy.data)
		return NULL;
	if (!g->pass.dry)
		memmove(copy.data, t->data, size);
	if (copy.origin) {
		copy.origin = copy_origin(g->arena, copy.origin, tensor_rows(&copy));
		if (!copy.origin)
			return NULL;
	}
	moved = arena_alloc(g->arena, sizeof(*moved));
	if (moved)
		*moved = copy;
	return moved;
}

struct tensor *graph_keep(struct graph *g, struct arena_mark mark, struct tensor *t)
{
	struct tensor *moved;

	if (!t || g->failed || t->needs || after(g->pinned, mark))
		return t;
	moved = move_to_mark(g, mark, t);
	arena_rewind(g->scratch, start);
	if (!moved)
		g->failed = true;
	return moved;
}

/* ---- segments ---- */

struct segment {
	graph_build *build;
	void *arg;
	uint32_t draws; /* as they were when it was built */
};

/* The part is built; buffers from before it are left alone, since they will not be given back. */
static struct tensor *build_part(struct graph *g, struct tensor *x, const struct segment *s,
				 enum tape how)
{
	const size_t first = g->activations.first;
	struct tensor *y;

	g->activations.first = g->activations.n;
	g->tape = how;
	y = s->build(g, x, s->arg);
	g->tape = TAPE_KEEP;
	g->activations.first = first;
	return y;
}

/* Built again, in the memory behind everything that is kept, which is free afterwards. */
static void segment_backward(struct node *n)
{
	const struct segment *s = n->arg;
	struct graph *g = n->graph;
	const struct arena_mark mark = arena_mark(g->arena);
	const size_t nodes = g->nodes;
	struct tensor *y;

	g->draws = s->draws;
	y = build_part(g, n->in[0], s, TAPE_AGAIN);
	if (!y) { /* it could be built before, so memory has run out */
		g->failed = true;
		return;
	}
	y->grad = n->out->grad;
	y->has_grad = true;
	n->out->grad = NULL;
	n->out->has_grad = false;
	nodes_backward(g, nodes);
	g->nodes = nodes;
	rewind_arena(g, mark);
	graph_grad_done(g, n->in[0]);
}

static const struct op segment_op = { "segment", NULL, segment_backward };

struct tensor *graph_segment(struct graph *g, struct tensor *x, graph_build *build, void *arg)
{
	struct node node = { .op = &segment_op, .graph = g, .in = { x } };
	struct segment *s;
	struct arena_mark mark, pinned;

	if (!x || g->failed)
		return NULL;
	if (!g->pass.train || !g->pass.recompute || g->tape != TAPE_KEEP)
		return build(g, x, arg);
	s = graph_alloc(g, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct segment){ build, arg, g->draws };
	mark = arena_mark(g->arena);
	pinned = g->pinned;
	node.out = build_part(g, x, s, TAPE_COUNT);
	if (!node.out || !node.out->needs || node.out == x)
		return node.out;
	node.arg = s;
	g->pinned = pinned;
	node.out = move_to_mark(g, mark, node.out);
	arena_rewind(g->scratch, start);
	return node.out && keep_node(g, &node) ? node.out : NULL;
}
