/*
 * Features of frozen lower layers, kept by the row of the dataset.
 *
 * The numbers of a matrix product may depend in their last bits on how many rows
 * it has. So that a run gives the same bits whether an example's features were
 * just computed, kept, or lost by an interruption, examples are computed in
 * groups: neighbours in the dataset, cut by their lengths alone. A step computes
 * the groups that it lacks; after an epoch nothing is left to compute.
 *
 * Evaluation runs the same batches each time, which are groups already.
 */
#include "train/feature.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "data/shard.h"
#include "tensor/graph.h"
#include "train/step.h"

enum { MEMORY_PART = 4 }; /* in memory: up to the machine's memory by this */

struct features {
	const struct dataset *data;
	struct model_cut cut;
	enum feature_mode mode;
	struct fs_room room;
	int64_t *first;      /* [rows + 1] where an example's part begins, in rows of `cols` */
	unsigned char *done; /* [rows] it is there */
	size_t *group;       /* [groups + 1] the first row of each group */
	size_t groups;
	size_t *todo; /* [groups] of a step */
};

static int64_t stored_rows(const struct model_cut *cut, const struct dataset *d)
{
	return cut->picked ? dataset_rows(d) : dataset_tokens(d);
}

static size_t stored_bytes(const struct model_cut *cut, const struct dataset *d)
{
	return (size_t)(stored_rows(cut, d) * cut->cols) * sizeof(float);
}

static bool fits_memory(size_t size)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages <= 0 || page <= 0 || size <= (size_t)pages / MEMORY_PART * (size_t)page;
}

bool features_of_use(const struct trainer *t, const struct dataset *d, bool train,
		     struct model_cut *ret)
{
	const int64_t rows = (int64_t)dataset_count(d);
	const struct train_plan plan = train_plan(&t->recipe->train, rows);

	if (t->feature_mode == FEATURES_OFF || (train && plan.total_steps <= plan.steps_per_epoch))
		return false;
	return model_cut(t->model, train, ret);
}

static void cut_groups(struct features *f)
{
	const int32_t *length = dataset_lengths(f->data);
	const size_t n = dataset_count(f->data);
	size_t at = 0;

	while (at < n) {
		const size_t from = at;
		int64_t tokens = 0;

		f->group[f->groups++] = from;
		while (at < n && (at == from || tokens + length[at] <= SHARD_TOKENS))
			tokens += length[at++];
	}
	f->group[f->groups] = n;
}

static int make_tables(struct features *f)
{
	const int32_t *length = dataset_lengths(f->data);
	const size_t n = dataset_count(f->data);

	f->first = calloc(n + 1, sizeof(*f->first));
	f->done = calloc(n, 1);
	f->group = calloc(n + 1, sizeof(*f->group));
	f->todo = calloc(n, sizeof(*f->todo));
	if (!f->first || !f->done || !f->group || !f->todo)
		return err_set(TT_NOMEM, "not enough memory for the features of %zu rows", n);
	for (size_t i = 0; i < n; i++) {
		const struct example ex = dataset_example(f->data, i);

		f->first[i + 1] = f->first[i] + (f->cut.picked ? example_rows(&ex) : length[i]);
	}
	cut_groups(f);
	return TT_OK;
}

int features_new(const struct trainer *t, const struct dataset *d, bool train, const char *dir,
		 struct features **ret)
{
	struct model_cut cut;
	struct features *f;
	size_t size;
	bool file;
	int rc;

	*ret = NULL;
	if (!features_of_use(t, d, train, &cut))
		return TT_OK;
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(TT_NOMEM, "not enough memory for features");
	*f = (struct features){ .data = d, .cut = cut, .mode = t->feature_mode };
	size = stored_bytes(&cut, d);
	file = dir && (t->feature_mode == FEATURES_FILE || !fits_memory(size));
	rc = make_tables(f);
	if (!rc)
		rc = fs_room_open(file ? dir : NULL, size, &f->room);
	if (rc) {
		features_free(f);
		return err_in("keeping what the frozen layers make of %zu rows", dataset_count(d));
	}
	if (file)
		log_line("features of the frozen layers: %zu MiB in a file", size >> 20);
	*ret = f;
	return TT_OK;
}

void features_free(struct features *f)
{
	if (!f)
		return;
	fs_room_close(&f->room);
	free(f->first);
	free(f->done);
	free(f->group);
	free(f->todo);
	free(f);
}

const struct model_cut *features_cut(const struct features *f) { return &f->cut; }

int64_t features_bytes(const struct trainer *t, const struct dataset *d, bool train)
{
	struct model_cut cut;
	size_t size;

	if (!features_of_use(t, d, train, &cut))
		return 0;
	size = stored_bytes(&cut, d);
	return fits_memory(size) ? (int64_t)size : 0;
}

/* ---- in and out ---- */

static float *place(const struct features *f, int64_t row)
{
	return (float *)f->room.data + f->first[row] * f->cut.cols;
}

static size_t part_size(const struct features *f, int64_t row)
{
	return (size_t)((f->first[row + 1] - f->first[row]) * f->cut.cols) * sizeof(float);
}

static void keep(struct features *f, const struct batch *b, const int64_t *row,
		 const struct tensor *x)
{
	const float *from = x->data;

	for (int64_t s = 0; s < b->seqs; s++) {
		memcpy(place(f, row[s]), from, part_size(f, row[s]));
		from += part_size(f, row[s]) / sizeof(*from);
		f->done[row[s]] = 1;
	}
}

struct tensor *features_read(const struct features *f, struct graph *g, const struct batch *b,
			     const int64_t *row)
{
	struct tensor *x = graph_tensor(g, f->cut.picked ? b->rows : b->tokens, f->cut.cols, false);
	float *to = x ? x->data : NULL;

	for (int64_t s = 0; x && s < b->seqs; s++) {
		memcpy(to, place(f, row[s]), part_size(f, row[s]));
		to += part_size(f, row[s]) / sizeof(*to);
	}
	return x;
}

struct tensor *features_make(struct features *f, struct model *m, struct graph *g,
			     const struct batch *b, const int64_t *row)
{
	struct tensor *x;

	if (f->done[row[0]] && f->mode != FEATURES_AGAIN)
		return features_read(f, g, b, row);
	x = model_lower(m, g, b, &f->cut);
	if (x)
		keep(f, b, row, x);
	return x;
}

/* ---- the groups that a step lacks ---- */

struct fill {
	struct features *f;
	struct trainer *t;
	struct batch *batch;
	int64_t **row;
	struct fault *fault;
};

static void run_group(void *arg, int i, int thread)
{
	const struct fill *l = arg;
	const struct pass pass = { .train = false };
	struct graph *g = l->t->graph[thread];
	const struct tensor *x;

	graph_begin(g, &pass, NULL, i);
	x = model_lower(l->t->model, g, &l->batch[i], &l->f->cut);
	if (x)
		keep(l->f, &l->batch[i], l->row[i], x);
	else
		fault_note(&l->fault[thread], i, TT_INVALID);
}

static size_t group_of(const struct features *f, int64_t row)
{
	size_t low = 0, high = f->groups;

	while (high - low > 1) {
		const size_t mid = low + (high - low) / 2;

		if (f->group[mid] <= (size_t)row)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* Each missing group once, marked as done: it will be, or the run ends. */
static size_t list_groups(struct features *f, const int64_t *row, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t k = group_of(f, row[i]);

		if (f->done[row[i]])
			continue;
		memset(f->done + f->group[k], 1, f->group[k + 1] - f->group[k]);
		f->todo[count++] = k;
	}
	return count;
}

static int pack_group(struct fill *l, size_t i)
{
	const struct features *f = l->f;
	const size_t from = f->group[f->todo[i]], n = f->group[f->todo[i] + 1] - from;
	struct arena *a = l->t->arena;
	struct example *ex = arena_alloc(a, n * sizeof(*ex));

	l->row[i] = arena_alloc(a, n * sizeof(**l->row));
	if (!ex || !l->row[i])
		return err_in("features of %zu rows", n);
	for (size_t s = 0; s < n; s++) {
		ex[s] = dataset_example(f->data, from + s);
		l->row[i][s] = (int64_t)(from + s);
	}
	return shard_pack(l->t, a, ex, n, 0, &l->batch[i]);
}

static int fill_groups(struct fill *l, size_t groups)
{
	struct arena *a = l->t->arena;
	int rc = TT_OK;

	l->batch = arena_zero(a, groups, sizeof(*l->batch));
	l->row = arena_zero(a, groups, sizeof(*l->row));
	l->fault = arena_zero(a, (size_t)l->t->threads, sizeof(*l->fault));
	if (!l->batch || !l->row || !l->fault)
		return err_in("the features of a step");
	for (size_t i = 0; i < groups && !rc; i++)
		rc = pack_group(l, i);
	if (rc)
		return rc;
	rc = shard_run(l->t, (int)groups, run_group, l);
	return rc ? rc : fault_first(l->fault, l->t->threads);
}

int features_fill(struct features *f, struct trainer *t, const int64_t *row, size_t n)
{
	const struct arena_mark mark = arena_mark(t->arena);
	struct fill l = { .f = f, .t = t };
	size_t groups;
	int rc = TT_OK;

	if (f->mode == FEATURES_AGAIN)
		memset(f->done, 0, dataset_count(f->data));
	groups = list_groups(f, row, n);
	if (groups)
		rc = fill_groups(&l, groups);
	arena_rewind(t->arena, mark);
	return rc;
}
