/*
 * One step's gradients.
 *
 * A window is packed by one thread, since the loss of a masked language model is a
 * mean over masked tokens that must be counted before the first backward: by the
 * thread that has nothing left to do in the step before. Shards then run on the
 * pool, each with the whole step's total, so
 * the sum over shards is the mean over the window. The method's own tape, when
 * it has one, counts as the shard after the last.
 */
#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "data/shard.h"
#include "method/stages.h"
#include "tensor/graph.h"
#include "tensor/op.h"
#include "train/feature.h"
#include "train/groups.h"

static const double mlm_probability = 0.15;

/* ---- faults ---- */

void fault_note(struct fault *f, int shard, int code)
{
	if (f->code)
		return;
	f->shard = shard;
	f->code = code;
	strncpy(f->text, err_text(), sizeof(f->text) - 1);
	f->text[sizeof(f->text) - 1] = 0;
}

int fault_first(const struct fault *f, int threads)
{
	const struct fault *first = NULL;

	for (int i = 0; i < threads; i++)
		if (f[i].code && (!first || f[i].shard < first->shard))
			first = &f[i];
	return first ? err_set(first->code, "%s", first->text) : TT_OK;
}

int shard_run(struct trainer *t, int n, void (*task)(void *arg, int i, int thread), void *arg)
{
	pool_run(t->pool, n, task, arg);
	return graph_share_room(t->graph, t->threads);
}

/* ---- times ---- */

/* This thread's processor time; 0 when nobody asks. */
static int64_t time_now(const struct trainer *t)
{
	struct timespec at;

	if (!t->times || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at))
		return 0;
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* ---- packing and loss ---- */

int shard_pack(const struct trainer *t, struct arena *a, const struct example *ex, size_t n,
	       int64_t epoch, struct batch *ret)
{
	const struct mlm_options how = {
		.probability = mlm_probability,
		.mask_id = t->tokenizer ? tokenizer_roles(t->tokenizer)->mask : -1,
		.vocab = t->tokenizer ? tokenizer_size(t->tokenizer) : 0,
		.seed = (uint64_t)t->recipe->train.seed,
		.epoch = epoch,
		.special = t->tokenizer ? tokenizer_specials(t->tokenizer) : NULL,
	};

	if (t->recipe->task.type == TASK_MLM)
		return batch_pack_mlm(a, ex, n, &how, ret);
	return batch_pack(a, ex, n, ret);
}

static int check_labels(const struct batch *b, int64_t classes, bool numbers)
{
	for (int64_t i = 0; i < b->rows; i++) {
		const bool fine = numbers ? b->value && !isnan(b->value[i])
					  : b->label && b->label[i] >= 0 && b->label[i] < classes;

		if (!fine)
			return err_set(TT_INVALID, "row %lld of the data has no label",
				       (long long)b->example[b->row_seq[i]] + 1);
	}
	return TT_OK;
}

struct tensor *shard_loss(const struct trainer *t, struct graph *g, struct tensor *out,
			  const struct batch *b, double smoothing, double total, struct loss *ret)
{
	const bool numbers = t->recipe->task.type == TASK_REGRESSION;

	if (!out || check_labels(b, tensor_cols(out), numbers))
		return NULL;
	if (numbers)
		return op_mse(g, out, b->value, total, ret);
	return op_cross_entropy_among(g, out, b->label, groups_spans(t->groups), smoothing, total,
				      ret);
}

/* ---- the work of a step ---- */

/* A window, dealt into shards and packed, in an arena of its own. */
struct packed {
	struct arena *arena;
	bool ahead;   /* it waits for its step */
	int64_t step; /* whose window it is */
	struct shard *shard;
	int shards;
	int64_t rows, tokens;
	int64_t us; /* what packing ahead took */
};

struct work {
	struct trainer *t;
	struct pass pass;
	struct packed *now;
	const struct window *next; /* to be packed as well; NULL: none */
	double total;
	struct fault *fault;
};

static struct tensor *shard_forward(const struct trainer *t, struct graph *g, const struct shard *s)
{
	const struct features *f = t->train_features;

	if (!f)
		return model_forward(t->model, g, &s->batch);
	return model_upper(t->model, g, &s->batch, features_cut(f),
			   features_read(f, g, &s->batch, s->row));
}

static void run_shard(const struct work *w, int i, int thread)
{
	struct trainer *t = w->t;
	struct graph *g = t->graph[thread];
	struct shard *s = &w->now->shard[i];
	const int64_t start = time_now(t);
	struct tensor *loss;

	graph_begin(g, &w->pass, t->leaves, i);
	if (!s->batch.rows) { /* nothing was masked in it */
		graph_end(g);
		return;
	}
	loss = shard_loss(t, g, shard_forward(t, g, s), &s->batch,
			  t->recipe->train.label_smoothing_factor, w->total, &s->loss);
	s->forward_us = time_now(t) - start;
	if (!loss) {
		fault_note(&w->fault[thread], i, TT_INVALID);
		graph_end(g);
	} else if (graph_backward(g, loss)) {
		fault_note(&w->fault[thread], i, TT_NOMEM);
	}
	s->backward_us = time_now(t) - start - s->forward_us;
}

/* The examples of a window in the order of its shards. */
struct hand {
	struct example *ex;
	int64_t *row;
	struct shards shards;
};

static int deal(const struct trainer *t, struct arena *a, const struct window *win,
		struct hand *ret)
{
	int32_t *length = arena_alloc(a, win->n * sizeof(*length));
	int rc;

	ret->ex = arena_alloc(a, win->n * sizeof(*ret->ex));
	ret->row = arena_alloc(a, win->n * sizeof(*ret->row));
	if (!length || !ret->ex || !ret->row)
		return TT_NOMEM;
	for (size_t i = 0; i < win->n; i++)
		length[i] = dataset_lengths(t->train)[win->row[i]];
	rc = shard_deal(a, length, win->n, &ret->shards);
	for (size_t i = 0; i < win->n && !rc; i++) {
		ret->row[i] = win->row[ret->shards.order[i]];
		ret->ex[i] = dataset_example(t->train, (size_t)ret->row[i]);
	}
	return rc;
}

static int pack_shards(const struct trainer *t, const struct window *win, struct packed *to)
{
	struct arena *a = to->arena;
	struct hand h;
	size_t from = 0;

	if (deal(t, a, win, &h))
		return err_in("a step of %zu rows", win->n);
	to->shards = (int)h.shards.n;
	to->shard = arena_zero(a, h.shards.n, sizeof(*to->shard));
	if (!to->shard)
		return err_in("a step of %zu rows", win->n);
	for (size_t i = 0; i < h.shards.n; i++) {
		struct shard *s = &to->shard[i];
		const int rc = shard_pack(t, a, h.ex + from, h.shards.end[i] - from, win->epoch,
					  &s->batch);

		if (rc)
			return rc;
		s->row = h.row + from;
		to->rows += s->batch.rows;
		to->tokens += s->batch.tokens;
		from = h.shards.end[i];
	}
	return TT_OK;
}

/* Deal and pack a window, in the place of the one before the last. */
static int pack(const struct trainer *t, const struct window *win)
{
	struct packed *to = &t->packed[win->step & 1];
	const int64_t start = time_now(t);
	int rc;

	*to = (struct packed){ .arena = to->arena, .step = win->step };
	rc = arena_reserve(to->arena, arena_reached(t->packed[~win->step & 1].arena));
	if (!rc)
		rc = pack_shards(t, win, to);
	to->us = time_now(t) - start;
	to->ahead = !rc;
	return rc;
}

/* Was it packed while the step before it ran? When that failed it fails again, where it can be said. */
static int take_packed(const struct trainer *t, const struct window *win, struct packed **ret)
{
	struct packed *p = &t->packed[win->step & 1];
	int rc = TT_OK;

	if (!p->ahead || p->step != win->step) {
		rc = pack(t, win);
		p->us = 0;
	}
	p->ahead = false;
	*ret = p;
	return rc;
}

int step_open(struct trainer *t)
{
	t->packed = calloc(2, sizeof(*t->packed));
	for (int i = 0; t->packed && i < 2; i++) {
		t->packed[i].arena = arena_new();
		if (!t->packed[i].arena)
			return err_set(TT_NOMEM, "not enough memory for a trainer");
	}
	return t->packed ? TT_OK : err_set(TT_NOMEM, "not enough memory for a trainer");
}

void step_close(struct trainer *t)
{
	for (int i = 0; t->packed && i < 2; i++)
		arena_free(t->packed[i].arena);
	free(t->packed);
	t->packed = NULL;
}

void step_forget(struct trainer *t)
{
	for (int i = 0; i < 2; i++)
		t->packed[i].ahead = false;
}

/* The pool takes tasks in order, so the next window is packed by the first thread that is idle. */
static void run_task(void *arg, int i, int thread)
{
	const struct work *w = arg;

	if (i < w->now->shards)
		run_shard(w, i, thread);
	else
		(void)pack(w->t, w->next);
}

/* The method's tape, before the shards. */
static int step_tape_begin(struct work *w)
{
	struct method *m = w->t->method;
	struct graph *g = w->t->graph[w->t->threads];
	int rc;

	if (!stage_has_tape(m))
		return TT_OK;
	graph_begin(g, &w->pass, w->t->leaves, w->now->shards);
	rc = stage_before(m, g);
	if (rc)
		graph_end(g);
	return rc;
}

/* ... and after them. */
static int step_tape_end(struct work *w, double *ret_penalty)
{
	struct method *m = w->t->method;

	*ret_penalty = 0;
	if (!stage_has_tape(m))
		return TT_OK;
	return stage_after(m, w->t->graph[w->t->threads], w->t->leaves, ret_penalty);
}

static void add_times(const struct work *w, int64_t pack_us)
{
	struct step_times *to = w->t->times;

	if (!to)
		return;
	to->pack_us += pack_us + w->now->us;
	for (int i = 0; i < w->now->shards; i++) {
		to->forward_us += w->now->shard[i].forward_us;
		to->backward_us += w->now->shard[i].backward_us;
	}
}

/* What must be there before the shards. */
static int prepare(struct work *w, const struct window *win)
{
	struct trainer *t = w->t;
	int rc = take_packed(t, win, &w->now);

	if (rc)
		return rc;
	w->total = (double)w->now->rows;
	w->fault = arena_zero(t->arena, (size_t)t->threads, sizeof(*w->fault));
	if (!w->fault)
		return err_in("a step of %zu rows", win->n);
	if (t->train_features)
		rc = features_fill(t->train_features, t, win->row, win->n);
	if (!rc)
		rc = leaves_begin(t->leaves, w->now->shards + 1);
	return rc ? rc : step_tape_begin(w);
}

int step_gradients(struct trainer *t, const struct window *win, const struct window *next,
		   struct gradients *ret)
{
	struct work w = {
		.t = t,
		.pass = { .train = true,
			  .seed = (uint64_t)t->recipe->train.seed,
			  .step = win->step,
			  .recompute = t->recipe->train.gradient_checkpointing },
		.next = next,
	};
	const int64_t start = time_now(t);
	struct gradients result;
	int64_t packed;
	double penalty = 0;
	int rc;

	arena_rewind(t->arena, (struct arena_mark){ 0, 0 });
	rc = prepare(&w, win);
	if (rc)
		return rc;
	result = (struct gradients){ .rows = w.now->rows, .tokens = w.now->tokens };
	packed = time_now(t) - start;
	rc = shard_run(t, w.now->shards + (next != NULL), run_task, &w);
	if (!rc)
		rc = fault_first(w.fault, t->threads);
	if (!rc)
		rc = step_tape_end(&w, &penalty);
	leaves_finish(t->leaves);
	if (!rc)
		rc = stage_gradients(t->method);
	if (rc)
		return rc;
	add_times(&w, packed);
	for (int i = 0; i < w.now->shards; i++)
		result.loss += w.now->shard[i].loss.sum;
	result.loss = (result.rows ? result.loss / w.total : 0) + penalty;
	*ret = result;
	return TT_OK;
}
