/*
 * Evaluation and prediction: packed groups of rows in file order, about
 * EVAL_TOKENS tokens each, run on the pool. The groups depend on the lengths
 * alone and their sums are added in order, so the result has the same bits on
 * any number of threads. Work goes in rounds of a few groups a thread, between
 * which the run may be told to stop.
 */
#include "train/train.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "method/mixed.h"
#include "method/stages.h"
#include "tensor/graph.h"
#include "tensor/kernel.h"
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
	const struct wishes *wishes; /* NULL: one answer a row, by the trainer's model */
	size_t *order;               /* [answers] with wishes: those of one model together */
	struct features *features;   /* NULL: none are kept of this data */
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

/* ---- what is asked ---- */

static size_t answers(const struct work *w)
{
	return w->wishes ? w->wishes->n : dataset_count(w->data);
}

/* The answer that is computed as the i-th one. */
static size_t answer_at(const struct work *w, size_t i) { return w->order ? w->order[i] : i; }

static size_t row_of(const struct work *w, size_t answer)
{
	return w->wishes ? (size_t)w->wishes->row[answer] : answer;
}

static struct model *model_of(const struct work *w, size_t answer)
{
	return w->wishes ? mixed_host(w->wishes->mixed, w->wishes->who[answer]) : w->t->model;
}

static struct example example_of(const struct work *w, size_t answer)
{
	struct example ex = dataset_example(w->data, row_of(w, answer));

	if (w->wishes)
		ex.index = (int64_t)answer; /* by which mixed.h knows whose it is */
	return ex;
}

/* Answers of one model stay in their order. Models are few. */
static int put_in_order(struct work *w)
{
	const size_t n = answers(w);
	size_t at = 0;

	w->order = arena_alloc(w->t->arena, (n + 1) * sizeof(*w->order));
	if (!w->order)
		return err_in("an evaluation of %zu rows", n);
	for (int k = 0; k < mixed_count(w->wishes->mixed); k++) {
		const struct model *m = mixed_host(w->wishes->mixed, k);
		bool first = true;

		for (int j = 0; j < k; j++)
			first = first && mixed_host(w->wishes->mixed, j) != m;
		for (size_t i = 0; first && i < n; i++)
			if (model_of(w, i) == m)
				w->order[at++] = i;
	}
	return TT_OK;
}

/* Within a group those of a part stand together. */
static void put_together(const struct work *w, int64_t *answer, size_t n)
{
	const int32_t *who = w->wishes ? w->wishes->who : NULL;

	for (size_t i = 1; who && i < n; i++) {
		const int64_t x = answer[i];
		size_t at = i;

		for (; at && who[answer[at - 1]] > who[x]; at--)
			answer[at] = answer[at - 1];
		answer[at] = x;
	}
}

/* ---- the work ---- */

static struct tensor *group_forward(const struct work *w, struct graph *g, const struct shard *s)
{
	struct model *m = model_of(w, (size_t)s->row[0]);
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

/* Pack one group from answer `from` on; returns one past its last answer. */
static int pack_group(struct work *w, size_t from, struct shard *ret, size_t *ret_end)
{
	const struct model *m = model_of(w, answer_at(w, from));
	const size_t n = answers(w);
	const int32_t *length = dataset_lengths(w->data);
	struct arena *a = w->t->arena;
	struct example *ex;
	int64_t tokens = 0, *answer;
	size_t end = from;

	for (; end < n && model_of(w, answer_at(w, end)) == m; end++) {
		const int32_t more = length[row_of(w, answer_at(w, end))];

		if (end > from && tokens + more > EVAL_TOKENS)
			break;
		tokens += more;
	}
	ex = arena_alloc(a, (end - from) * sizeof(*ex));
	answer = arena_alloc(a, (end - from) * sizeof(*answer));
	if (!ex || !answer)
		return err_in("an evaluation");
	for (size_t i = from; i < end; i++)
		answer[i - from] = (int64_t)answer_at(w, i);
	put_together(w, answer, end - from);
	for (size_t i = 0; i < end - from; i++)
		ex[i] = example_of(w, (size_t)answer[i]);
	ret->row = answer;
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
	for (; n < most && *at < answers(w) && !rc; n++)
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

	while (at < answers(w)) {
		const int rc = run_round(w, &at);

		if (rc)
			return rc;
		if (sink && sink->stop && at < answers(w) && sink->stop(sink->arg))
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

/* Where each answer's rows begin among those of all. */
static int index_rows(struct work *w)
{
	const size_t n = answers(w);
	int64_t *first = arena_alloc(w->t->arena, (n + 1) * sizeof(*first));

	if (!first)
		return err_in("an evaluation of %zu rows", n);
	first[0] = 0;
	for (size_t i = 0; i < n; i++) {
		const struct example ex = example_of(w, i);

		first[i + 1] = first[i] + example_rows(&ex);
	}
	w->first = first;
	return TT_OK;
}

/* The mean loss of answers, in double. */
static double mean_loss(const struct work *w, const float *value, const int32_t *label,
			int64_t rows)
{
	const struct span all = { 0, (int32_t)w->cols }, *spans = groups_spans(w->t->groups);
	double sum = 0;

	for (int64_t i = 0; i < rows; i++) {
		const float *x = w->logits + i * w->cols;

		if (w->t->recipe->task.type == TASK_REGRESSION) {
			sum += pow((double)x[0] - (double)value[i], 2);
		} else if (label[i] >= 0) {
			const struct span at = spans ? spans[label[i]] : all;

			sum += kernel_log_sum_exp(x + at.first, at.end - at.first) -
			       (double)x[label[i]];
		}
	}
	return rows ? sum / (double)rows : 0;
}

static int score(struct work *w, struct scores *ret)
{
	const size_t n = dataset_count(w->data);
	const int64_t rows = w->first[n];
	struct arena *a = w->t->arena;
	int32_t *label = arena_alloc(a, (size_t)rows * sizeof(*label));
	float *value = arena_alloc(a, n * sizeof(*value));
	double loss;

	if (!label || !value)
		return err_in("an evaluation");
	for (size_t i = 0; i < n; i++) {
		const struct example ex = dataset_example(w->data, i);

		for (int64_t k = 0; k < example_rows(&ex); k++)
			label[w->first[i] + k] = ex.places ? ex.tag[k] : ex.label;
		value[i] = ex.value;
	}
	loss = w->rows ? w->loss / (double)w->rows : mean_loss(w, value, label, rows);
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

int train_predict_mixed(struct trainer *t, const struct dataset *d, const struct wishes *wishes,
			float *ret_logits)
{
	struct work w = work_new(t, d, false);
	int rc;

	w.wishes = wishes;
	w.logits = ret_logits;
	mixed_assign(wishes->mixed, wishes->who);
	rc = mixed_refresh(wishes->mixed);
	if (!rc)
		rc = index_rows(&w);
	if (!rc)
		rc = put_in_order(&w);
	return rc ? rc : run_all(&w);
}

int train_score(struct trainer *t, const struct dataset *d, float *logits, struct scores *ret)
{
	struct work w = work_new(t, d, false);
	const int rc = index_rows(&w);

	w.logits = logits;
	return rc ? rc : score(&w, ret);
}

int64_t train_columns(const struct trainer *t)
{
	switch (t->recipe->task.type) {
	case TASK_REGRESSION: return 1;
	case TASK_MLM: return t->model->hp.vocab_size;
	default: return t->model->n_labels;
	}
}
