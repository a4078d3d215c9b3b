#ifndef TENSOR_GRAPH_H
#define TENSOR_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "tensor/gemm.h"
#include "tensor/leaves.h"
#include "tensor/tensor.h"

/*
 * The tape of one shard: forward runs at once, backward is recorded. All memory
 * is the graph's arena, rewound by graph_begin; after the first step nothing is
 * allocated. A graph belongs to one thread at a time.
 *
 * Builders (op_*) return the result, or NULL when an input was NULL or memory
 * ran out: a model checks once, at the end (err_text says why). What needs no
 * gradient is not recorded.
 */
struct graph;
struct node;

/* What is the same for all shards of a step. */
struct pass {
	bool train;     /* dropout on, backward recorded */
	uint64_t seed;  /* of the run */
	int64_t step;   /* optimizer step, for dropout's counter */
	bool recompute; /* segments are built again in backward instead of kept */
	bool dry;       /* nothing is computed: graph_reached tells what a pass would hold */
};

/* One op, one file: see op.h. */
struct op {
	const char *name;
	void (*forward)(struct node *n);
	void (*backward)(
		struct node *n); /* n->out has a gradient; adds to the inputs that need one */
};

enum { NODE_INPUTS = 8 };

struct node {
	const struct op *op;
	struct graph *graph;
	struct tensor *out, *in[NODE_INPUTS]; /* in: NULL where absent */
	void *arg;                            /* the op's own struct, in the arena */
	unsigned traits;                      /* see graph_record_as */
};

int graph_new(const struct gemm *gm, struct graph **ret);
void graph_free(struct graph *g);
/* Forget everything and start a shard. leaves may be NULL when nothing trains. */
void graph_begin(struct graph *g, const struct pass *pass, struct leaves *leaves, int shard);
/*
 * Backward from a scalar, and from every activation that was given a gradient
 * (data in t->grad, t->has_grad set) since it was made; loss may be NULL.
 * Afterwards every leaf's turn was passed on. Gradients of activations do not
 * outlive the call: their buffers are used again.
 */
int graph_backward(struct graph *g, struct tensor *loss);
/* End a shard whose backward was not run (evaluation needs no call; a failed shard does, so that no turn is held). */
void graph_end(struct graph *g);

/* For op builders. */
void *graph_alloc(struct graph *g, size_t size);
struct tensor *graph_tensor(struct graph *g, int64_t rows, int64_t cols, bool needs);
struct tensor *graph_tensor_like(struct graph *g, const struct tensor *x, int64_t cols,
				 bool needs); /* rows and origin of x */
/* Run forward and, when out->needs and the pass trains, keep the node. Returns out. */
struct tensor *graph_record(struct graph *g, const struct op *op, struct tensor *out,
			    struct tensor *const *in, int n, void *arg);
/*
 * The same for an op that spares memory. traits: a bit (1 << i) for each input whose
 * numbers backward does not read, and NODE_HANDS_ON when it calls graph_grad_reuse for
 * input 0.
 */
enum { NODE_HANDS_ON = 1 << NODE_INPUTS };
struct tensor *graph_record_as(struct graph *g, const struct op *op, struct tensor *out,
			       struct tensor *const *in, int n, void *arg, unsigned traits);
const struct gemm *graph_gemm(const struct graph *g);
const struct pass *graph_pass(const struct graph *g);
uint32_t graph_draw(
	struct graph *
		g); /* the next random site's number within this shard: same order in every shard */

/*
 * No op will be built any more that reads t, and nobody else does: unless a backward
 * reads its numbers, they are gone and another tensor may take their place. NULL, and
 * tensors that no op made, are fine.
 */
void graph_done(struct graph *g, struct tensor *t);

/*
 * For backward: where to add the gradient of t, and beta: 0 means the buffer
 * holds nothing yet and must be overwritten wholly, 1 means add. NULL without
 * memory (graph_backward then fails). Call graph_grad_done when this node has
 * added its part; it lets the next shard add to a shared leaf.
 */
float *graph_grad(struct graph *g, struct tensor *t, float *ret_beta);
void graph_grad_done(struct graph *g, struct tensor *t);
/*
 * As graph_grad, but when t is an activation that has none yet, the buffer of
 * from's gradient (the same count; from is n->out) becomes t's: then the result
 * is from->grad as it was, beta is 0, and the op changes it in place.
 */
float *graph_grad_reuse(struct graph *g, struct tensor *from, struct tensor *t, float *ret_beta);
struct arena *graph_arena(
	struct graph *g); /* scratch inside one op's forward or backward; rewound after it */
void *graph_scratch(struct graph *g,
		    size_t size); /* from graph_arena; NULL (and the graph fails) without memory */
size_t graph_bytes(const struct graph *g);   /* held from the system: arenas and tape */
size_t graph_reached(const struct graph *g); /* of the arenas what was ever handed out */
/*
 * Between passes: give all of them the room of the largest, in one piece each. So a
 * shard that one of them could run, or a smaller one, allocates nothing in any.
 * What they hold is gone. TT_NOMEM: some have less.
 */
int graph_share_room(struct graph *const *g, int n);

static inline bool graph_needs(const struct tensor *t) /* NULL: no */ { return t && t->needs; }

static inline bool graph_needs_any(struct tensor *const *t, int n)
{
	for (int i = 0; i < n; i++) {
		if (graph_needs(t[i]))
			return true;
	}
	return false;
}

/*
 * Keep only t (and its origin) of what was made since the mark, when nothing
 * since then needs a gradient; else does nothing. Returns t, moved: all other
 * tensors and memory of the graph since the mark are gone. A stack of frozen
 * layers takes one mark below the first and keeps each layer's result at it.
 */
struct arena_mark graph_mark(struct graph *g);
struct tensor *graph_keep(struct graph *g, struct arena_mark mark, struct tensor *t);

/*
 * Build a part of the model, a block say, from x: ret = build(g, x, arg). In a pass
 * that recomputes, only ret stays of it; backward builds the part again, with the
 * same draws and so with the same bits, and runs its tape. So build may run twice
 * and must do the same; it leaves x as it is, and takes its own marks, if any. arg
 * and x must live until backward.
 */
typedef struct tensor *graph_build(struct graph *g, struct tensor *x, void *arg);
struct tensor *graph_segment(struct graph *g, struct tensor *x, graph_build *build, void *arg);

#endif
