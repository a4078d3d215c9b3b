/*
 * Evaluation and prediction: packed groups of rows in file order, about
 * EVAL_TOKENS tokens each, run on the pool. The groups depend on the lengths
 * alone and their sums are added in order, so the result has the same bits on
 * any number of threads. Work goes in rounds of a few groups a thread, between
 * which the run may be told to stop.
 */
#include "train/train.h"

#include <string.h>

#include "base/err.h"
#include "method/stages.h"
#include "tensor/graph.h"
#include "tensor/op.h"
#include "train/feature.h"
#include "train/groups.h"
#include "train/step.h"

enum { ROUND_GROUPS = 8 };

/* Masks of an evaluation are those of this epoch, always; training counts from 0. */
static const int64_t eval_epoch = -1;

struct work {
	struct trainer *t;
	const struct dataset *data;
	struct features *features; /* NULL: none are kept of this data */
	struct pass pass;
	int64_t cols;
	bool wants_loss;
	struct shard *shard;  /* of this round */
	float *logits;        /* of the whole dataset; NULL for mlm */
	const int64_t *first; /* [examples + 1] where an example's rows begin in it */
	struct fault *fault;
	/* so far */
	double loss;
	int64_t rows, right;
};

static void count_right(struct shard *s, const struct tensor *out)
{
	const int64_t cols = tensor_cols(out);

	for (int64_t i = 0; i < s->batch.rows; i++) {
		const float *x = out->data + i * cols;
		int64_t best = 0;

		for (int64_t j = 1; j < cols; j++)
			if (x[j] > x[best])
				best = j;
		s->right += best == s->batch.label[i];
	}
}

static struct tensor *group_forward(const struct work *w, struct graph *g, const struct shard *s)
{
	struct model *m = w->t->model;
	struct features *f = w->features;

	if (!f)
		return model_forward(m, g, &s->batch);
	return model_upper(m, g, &s->batch, features_cut(f),
			   features_make(f, m, g, &s->batch, s->row));
}

static void run_group(void *arg, int i, int thread)
{
	const struct work *w = arg;
	struct trainer *t = w->t;
	struct graph *g = t->graph[thread];
	struct shard *s = &w->shard[i];
	struct tensor *out;

	if (!s->batch.rows)
		return;
	graph_begin(g, &w->pass, NULL, i);
	out = group_forward(w, g, s);
	if (!out || (w->wants_loss &&
		     !shard_loss(t, g, out, &s->batch, 0, (double)s->batch.rows, &s->loss))) {
		fault_note(&w->fault[thread], i, TT_INVALID);
		return;
	}
	if (!w->logits) {
		count_right(s, out);
		return;
	}
	for (int64_t k = 0, at = 0; k < s->batch.rows; k++) {
		const int32_t seq = s->batch.row_seq[k];

		at = k && s->batch.row_seq[k - 1] == seq ? at + 1 : w->first[s->row[seq]];
		memcpy(w->logits + at * w->cols, out->data + k * w->cols,
		       (size_t)w->cols * sizeof(float));
	}
}

/* Pack one group from row `from` on; returns one past its last row. */
static int pack_group(struct work *w, size_t from, struct shard *ret, size_t *ret_end)
{
	const size_t n = dataset_count(w->data);
	const int32_t *length = dataset_lengths(w->data);
	struct arena *a = w->t->arena;
	struct example *ex;
	int64_t tokens = 0, *row;
	size_t end = from;

	while (end < n && (end == from || tokens + length[end] <= EVAL_TOKENS))
		tokens += length[end++];
	ex = arena_alloc(a, (end - from) * sizeof(*ex));
	row = arena_alloc(a, (end - from) * sizeof(*row));
	if (!ex || !row)
		return err_in("an evaluation");
	for (size_t i = from; i < end; i++) {
		ex[i - from] = dataset_example(w->data, i);
		row[i - from] = (int64_t)i;
	}
	ret->row = row;
	*ret_end = end;
	return shard_pack(w->t, a, ex, end - from, eval_epoch, &ret->batch);
}

/* A few groups a thread, starting with row *at. */
static int run_round(struct work *w, size_t *at)
{
	struct trainer *t = w->t;
	const struct arena_mark mark = arena_mark(t->arena);
	const int most = ROUND_GROUPS * t->threads;
	int n = 0, rc = TT_OK;

	w->shard = arena_zero(t->arena, (size_t)most, sizeof(*w->shard));
	w->fault = arena_zero(t->arena, (size_t)t->threads, sizeof(*w->fault));
	if (!w->shard || !w->fault)
		return err_in("an evaluation");
	for (; n < most && *at < dataset_count(w->data) && !rc; n++)
		rc = pack_group(w, *at, &w->shard[n], at);
	if (rc)
		return rc;
	rc = shard_run(t, n, run_group, w);
	if (!rc)
		rc = fault_first(w->fault, t->threads);
	for (int i = 0; i < n && !rc; i++) {
		w->loss += w->shard[i].loss.sum;
		w->rows += w->shard[i].batch.rows;
		w->right += w->shard[i].right;
	}
	arena_rewind(t->arena, mark);
	return rc;
}

static int run_all(struct work *w)
{
	const struct sink *sink = w->t->sink;
	size_t at = 0;

	if (w->t->method && stage_refresh(w->t->method))
		return err_in("an evaluation");

	while (at < dataset_count(w->data)) {
		const int rc = run_round(w, &at);

		if (rc)
			return rc;
		if (sink && sink->stop && at < dataset_count(w->data) && sink->stop(sink->arg))
			return err_set(TT_STOPPED, "the evaluation was interrupted");
	}
	return TT_OK;
}

static struct work work_new(struct trainer *t, const struct dataset *d, bool wants_loss)
{
	arena_rewind(t->arena, (struct arena_mark){ 0, 0 });
	return (struct work){
		.t = t,
		.data = d,
		.features = d == t->validation ? t->validation_features : NULL,
		.cols = train_columns(t),
		.wants_loss = wants_loss,
		.pass = { .train = false, .seed = (uint64_t)t->recipe->train.seed },
	};
}

/* Where each example's rows begin among those of all. */
static int index_rows(struct work *w)
{
	const size_t n = dataset_count(w->data);
	int64_t *first = arena_alloc(w->t->arena, (n + 1) * sizeof(*first));

	if (!first)
		return err_in("an evaluation of %zu rows", n);
	first[0] = 0;
	for (size_t i = 0; i < n; i++) {
		const struct example ex = dataset_example(w->data, i);

		first[i + 1] = first[i] + example_rows(&ex);
	}
	w->first = first;
	return TT_OK;
}

static int score(struct work *w, struct scores *ret)
{
	const size_t n = dataset_count(w->data);
	const int64_t rows = w->first[n];
	struct arena *a = w->t->arena;
	const double loss = w->rows ? w->loss / (double)w->rows : 0;
	int32_t *label = arena_alloc(a, (size_t)rows * sizeof(*label));
	float *value = arena_alloc(a, n * sizeof(*value));

	if (!label || !value)
		return err_in("an evaluation");
	for (size_t i = 0; i < n; i++) {
		const struct example ex = dataset_example(w->data, i);

		for (int64_t k = 0; k < example_rows(&ex); k++)
			label[w->first[i] + k] = ex.places ? ex.tag[k] : ex.label;
		value[i] = ex.value;
	}
	if (w->t->recipe->task.type == TASK_REGRESSION)
		return metrics_regression(a, w->logits, value, rows, loss, ret);
	groups_mask(w->t->groups, w->logits, label, rows, w->cols);
	if (metrics_classification(a, w->logits, label, rows, w->cols, loss, ret))
		return TT_INVALID;
	groups_score(w->t->groups, ret);
	return TT_OK;
}

int train_eval(struct trainer *t, const struct dataset *d, struct scores *ret)
{
	struct work w = work_new(t, d, true);
	int rc;

	if (t->recipe->task.type == TASK_MLM) {
		rc = run_all(&w);
		return rc ? rc
			  : metrics_mlm(w.right, w.rows, w.rows ? w.loss / (double)w.rows : 0, ret);
	}
	rc = index_rows(&w);
	if (rc)
		return rc;
	w.logits = arena_alloc(t->arena,
			       (size_t)(w.first[dataset_count(d)] * w.cols) * sizeof(float));
	if (!w.logits)
		return err_in("an evaluation of %zu rows", dataset_count(d));
	rc = run_all(&w);
	return rc ? rc : score(&w, ret);
}

int train_predict(struct trainer *t, const struct dataset *d, float *ret_logits)
{
	struct work w = work_new(t, d, false);
	const int rc = index_rows(&w);

	if (rc)
		return rc;
	if (t->recipe->task.type == TASK_MLM)
		return err_set(TT_INVALID,
			       "task mlm has no answer a row; fill predicts masked words");
	w.logits = ret_logits;
	return run_all(&w);
}

int64_t train_columns(const struct trainer *t)
{
	switch (t->recipe->task.type) {
	case TASK_REGRESSION: return 1;
	case TASK_MLM: return t->model->hp.vocab_size;
	default: return t->model->n_labels;
	}
}
