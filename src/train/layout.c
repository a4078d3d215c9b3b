/*
 * The shards, groups and passes that a run is made of, laid out dry: its tape is
 * built as in the run, memory and all, but nothing is written there, so the system
 * gives none. What a tape reaches then is what it will hold.
 *
 * One shard stands for all: the one with most tokens in an epoch in file order. The
 * method's own tape, which holds parameters and not examples, is left out.
 */
#include "train/layout.h"

#include <string.h>

#include "base/err.h"
#include "data/shard.h"
#include "tensor/graph.h"
#include "train/feature.h"
#include "train/step.h"

/* A piece of work: its examples, and how it is passed through. */
struct piece {
	const struct example *ex;
	size_t n;
	struct pass pass;
	const struct model_cut *cut; /* NULL: the whole model */
	bool lower;                  /* with a cut: the part below it, else the one above */
};

static struct tensor *pass_through(const struct trainer *t, struct graph *g, const struct piece *p,
				   const struct batch *b)
{
	struct tensor *x;

	if (!p->cut)
		return model_forward(t->model, g, b);
	if (p->lower)
		return model_lower(t->model, g, b, p->cut);
	x = graph_tensor(g, p->cut->picked ? b->rows : b->tokens, p->cut->cols, false);
	return model_upper(t->model, g, b, p->cut, x);
}

/* The most that the graph has reached with this piece and all before it. */
static int lay_out(const struct trainer *t, struct graph *g, struct arena *a, const struct piece *p)
{
	struct batch b;
	struct loss unused;
	struct tensor *y;
	int rc = shard_pack(t, a, p->ex, p->n, 0, &b);

	if (rc || !b.rows)
		return rc;
	graph_begin(g, &p->pass, NULL, 0);
	y = pass_through(t, g, p, &b);
	if (y && p->pass.train) {
		y = shard_loss(t, g, y, &b, 0, 1, &unused);
		if (y && graph_backward(g, y))
			return TT_NOMEM;
	}
	return y ? TT_OK : TT_INVALID;
}

/* ---- which examples ---- */

/* The largest shard of the step over n rows from `from` on, when it is larger than what ret holds. */
static int look_at_step(const struct dataset *d, size_t from, size_t n, struct arena *a,
			struct layout *ret, struct example *ex, size_t *ret_n)
{
	const int32_t *length = dataset_lengths(d) + from;
	struct shards s;
	const int rc = shard_deal(a, length, n, &s);

	if (rc)
		return rc;
	if ((int64_t)s.n > ret->shards)
		ret->shards = (int64_t)s.n;
	for (size_t i = 0, at = 0; i < s.n; at = s.end[i++]) {
		int64_t tokens = 0;

		for (size_t k = at; k < s.end[i]; k++)
			tokens += length[s.order[k]];
		if (tokens <= ret->tokens)
			continue;
		ret->tokens = tokens;
		*ret_n = s.end[i] - at;
		for (size_t k = at; k < s.end[i]; k++)
			ex[k - at] = dataset_example(d, from + s.order[k]);
	}
	return TT_OK;
}

/* Of all steps. ex has room for a step. */
static int largest_shard(const struct trainer *t, struct arena *a, struct layout *ret,
			 struct example *ex, size_t *ret_n)
{
	const size_t rows = dataset_count(t->train),
		     step = (size_t)train_plan(&t->recipe->train, (int64_t)rows).window;
	const struct arena_mark mark = arena_mark(a);
	int rc = TT_OK;

	for (size_t at = 0; !rc && at < rows; at += step) {
		rc = look_at_step(t->train, at, rows - at < step ? rows - at : step, a, ret, ex,
				  ret_n);
		arena_rewind(a, mark);
	}
	return rc;
}

/* Neighbours of at most so many tokens, but one at least: those that have most. ex has room for all rows. */
static void largest_group(const struct dataset *d, int64_t most, struct example *ex, size_t *ret_n)
{
	const int32_t *length = dataset_lengths(d);
	const size_t n = dataset_count(d);
	int64_t best = 0;

	for (size_t at = 0; at < n;) {
		const size_t from = at;
		int64_t tokens = 0;

		while (at < n && (at == from || tokens + length[at] <= most))
			tokens += length[at++];
		if (tokens <= best)
			continue;
		best = tokens;
		*ret_n = at - from;
		for (size_t i = from; i < at; i++)
			ex[i - from] = dataset_example(d, i);
	}
}

/* Without data: rows as long as may be. */
static int longest_rows(const struct trainer *t, struct arena *a, struct layout *ret,
			struct example **ret_ex, size_t *ret_n)
{
	const int64_t most = t->recipe->data.max_length,
		      room = t->model->hp.max_position_embeddings, n = most < room ? most : room;
	const size_t rows = (size_t)(n < SHARD_TOKENS ? SHARD_TOKENS / n : 1);
	struct example *ex = arena_zero(a, rows, sizeof(*ex));
	int32_t *id = arena_zero(a, (size_t)n, sizeof(*id));
	uint8_t *type = arena_zero(a, (size_t)n, sizeof(*type));

	if (!ex || !id || !type)
		return TT_NOMEM;
	for (int64_t i = 0; i < n; i++) /* a word, which may be masked */
		id[i] = (int32_t)(t->tokenizer ? tokenizer_size(t->tokenizer) : 1) - 1;
	for (size_t i = 0; i < rows; i++)
		ex[i] = (struct example){
			.id = id, .type = type, .n = (int32_t)n, .index = (int64_t)i
		};
	*ret = (struct layout){ .shards = SHARD_LEAST, .tokens = n * (int64_t)rows };
	*ret_ex = ex;
	*ret_n = rows;
	return TT_OK;
}

/* ---- all of a run ---- */

static struct example *room_for(struct arena *a, size_t n)
{
	return arena_alloc(a, n * sizeof(struct example));
}

/* What is trained: with kept features the two parts of the model apart. */
static int lay_out_training(const struct trainer *t, struct graph *g, struct arena *a,
			    struct layout *ret)
{
	struct piece p = { .pass = { .train = true,
				     .dry = true,
				     .recompute = t->recipe->train.gradient_checkpointing } };
	struct model_cut cut;
	struct example *ex = NULL;
	int rc;

	if (!t->train) {
		rc = longest_rows(t, a, ret, &ex, &p.n);
	} else {
		ex = room_for(a, dataset_count(t->train));
		rc = ex ? largest_shard(t, a, ret, ex, &p.n) : TT_NOMEM;
	}
	p.ex = ex;
	if (rc)
		return rc;
	if (t->train && features_of_use(t, t->train, true, &cut))
		p.cut = &cut;
	rc = lay_out(t, g, a, &p);
	if (rc || !p.cut)
		return rc;
	largest_group(t->train, SHARD_TOKENS, ex, &p.n);
	p.lower = true;
	p.pass.train = false;
	return lay_out(t, g, a, &p);
}

static int lay_out_evaluation(const struct trainer *t, struct graph *g, struct arena *a)
{
	struct piece p = { .pass = { .dry = true } };
	struct example *ex = room_for(a, dataset_count(t->validation));

	if (!ex)
		return TT_NOMEM;
	largest_group(t->validation, EVAL_TOKENS, ex, &p.n);
	p.ex = ex;
	return lay_out(t, g, a, &p);
}

int layout_make(const struct trainer *t, struct layout *ret)
{
	struct arena *a = arena_new();
	struct graph *g = NULL;
	int rc = a ? graph_new(t->gemm, &g) : err_set(TT_NOMEM, "not enough memory for a layout");

	*ret = (struct layout){ 0 };
	if (!rc)
		rc = lay_out_training(t, g, a, ret);
	if (!rc && t->validation)
		rc = lay_out_evaluation(t, g, a);
	if (!rc)
		ret->tape = (int64_t)graph_reached(g);
	graph_free(g);
	arena_free(a);
	return rc;
}
