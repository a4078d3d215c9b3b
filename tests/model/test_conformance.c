/*
 * What every architecture owes, at toy size and for each of its heads. A new
 * one adds the maker of its toy to the table; without it this test fails.
 */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "model/model.h"
#include "tensor/gradcheck.h"
#include "tensor/leaves.h"
#include "tests/model/pack.h"
#include "tests/model/toy.h"

enum { VOCAB = 40, LABELS = 3, HIDDEN = 8 };

static int make_bert(const char *dir) { return toy_bert(dir, 2, HIDDEN, 2, 12, VOCAB, LABELS, 21); }

static const struct {
	const char *name;
	int (*make)(const char *dir);
} toys[] = {
	{ "bert", make_bert },
};

static const char *const head_name[HEADS] = {
	[HEAD_SEQ_CLS] = "classification",
	[HEAD_REGRESSION] = "regression",
	[HEAD_TOKEN_CLS] = "token classification",
	[HEAD_MLM] = "masked language modelling",
	[HEAD_CLOZE] = "cloze",
};

/* Label l has the words l + 1 and, but for the last one, l + 9. */
static const struct verbalizer *label_words(void)
{
	static int32_t word[2 * LABELS];
	static int64_t start[LABELS + 1];
	static struct verbalizer v = { LABELS, 0, word, start, AGGREGATE_SUM_PROB };

	if (v.words)
		return &v;
	for (int l = 0; l < LABELS; l++) {
		word[v.words++] = l + 1;
		if (l + 1 < LABELS)
			word[v.words++] = l + 9;
		start[l + 1] = v.words;
	}
	return &v;
}

/* One model on trial. */
struct trial {
	const char *dir;
	struct model *model;
	struct graph *graph;
	const struct gemm *gm;
	enum head head;
	const char *who;
};

static struct model *open_toy(const char *dir, enum head head, double dropout,
			      const struct gemm *gm)
{
	const struct model_options how = {
		.folder = dir,
		.head = head,
		.n_labels = LABELS,
		.verbalizer = label_words(),
		.dropout = dropout,
		.gemm = gm,
	};
	struct model *m = NULL;

	if (!CHECK(model_open(&how, &m) == TT_OK))
		printf("# %s\n", err_text());
	return m;
}

/* Sequence number s, the same whatever it is packed with; all_rows: the head reads each token. */
static void add_sequence(struct pack *p, enum head head, int s, bool all_rows)
{
	const int n = 1 + (s * 7 + 4) % 11;
	int32_t id[16], type[16];
	struct rng rng;

	rng_init(&rng, 77, RNG_TEST, (uint32_t)s);
	for (int i = 0; i < n; i++) {
		id[i] = 1 + (int32_t)rng_below(&rng, VOCAB - 1);
		type[i] = i > n / 2;
	}
	pack_add(p, id, type, n, s);
	if (head_pools(head))
		pack_row(p, 0, head == HEAD_REGRESSION ? 0 : s % LABELS);
	else
		for (int i = 0; i < n; i++)
			if (all_rows || (i + s) % 3 == 0)
				pack_row(p, i, (5 * i + s) % (head == HEAD_MLM ? VOCAB : LABELS));
}

static void add_sequences(struct pack *p, enum head head, int n, bool all_rows)
{
	pack_begin(p);
	for (int s = 0; s < n; s++)
		add_sequence(p, head, s, all_rows);
}

static struct tensor *forward(const struct trial *t, const struct batch *b)
{
	const struct pass pass = { .train = false };

	graph_begin(t->graph, &pass, NULL, 0);
	return model_forward(t->model, t->graph, b);
}

static void shapes(const struct trial *t)
{
	static struct pack p;
	const struct tensor *y;
	const int64_t cols = t->head == HEAD_MLM ? VOCAB : t->head == HEAD_REGRESSION ? 1 : LABELS;

	add_sequences(&p, t->head, 4, false);
	y = forward(t, &p.batch);
	CHECK_NAMED(y && tensor_rows(y) == p.batch.rows && tensor_cols(y) == cols, t->who);
	CHECK_NAMED(!head_pools(t->head) || p.batch.rows == p.batch.seqs, t->who);
}

/* A sequence's answers are the same alone and among others, and read alone and among other rows. */
static void packing_does_not_matter(const struct trial *t)
{
	static struct pack all, one;
	const struct tensor *y;
	static float whole[PACK_TOKENS * VOCAB];
	double worst = 0;
	int64_t at = 0;

	add_sequences(&all, t->head, 6, true);
	y = forward(t, &all.batch);
	if (!CHECK(y != NULL))
		return;
	memcpy(whole, y->data, (size_t)tensor_count(y) * sizeof(float));
	for (int s = 0; s < 6; s++) {
		const int64_t cols = tensor_cols(y),
			      all_rows = head_pools(t->head) ? 1 : all.start[s + 1] - all.start[s];

		pack_begin(&one);
		add_sequence(&one, t->head, s, false);
		y = forward(t, &one.batch);
		for (int64_t r = 0; y && r < one.batch.rows; r++)
			for (int64_t c = 0; c < cols; c++)
				worst = fmax(worst,
					     fabs((double)y->data[r * cols + c] -
						  (double)whole[(at + one.row[r]) * cols + c]));
		if (!y)
			worst = INFINITY;
		at += all_rows;
	}
	CHECK_NAMED(worst <= 1e-6, t->who);
}

/* ---- gradients ---- */

/* For the cut below every site: both parts together are the whole, to the bit. */
static void parts_make_the_whole(const struct trial *t)
{
	static struct pack p;
	static float whole[PACK_TOKENS * VOCAB];
	int64_t highest = 0;

	add_sequences(&p, t->head, 5, false);
	for (size_t i = 0; i <= t->model->nsite; i++) {
		struct tensor *w = i < t->model->nsite ? t->model->site[i].weight : NULL;
		const struct tensor *y = forward(t, &p.batch);
		struct tensor *x, copy;
		struct model_cut cut;
		size_t size;

		if (i < t->model->nsite && !w) /* a group */
			continue;
		if (!CHECK(y != NULL))
			return;
		size = (size_t)tensor_count(y) * sizeof(float);
		memcpy(whole, y->data, size);
		if (w)
			w->needs = true;
		if (model_cut(t->model, false, &cut)) {
			CHECK_NAMED(cut.stage >= highest, t->who);
			highest = cut.stage;
			graph_begin(t->graph, &(struct pass){ .train = false }, NULL, 0);
			x = model_lower(t->model, t->graph, &p.batch, &cut);
			CHECK(x && tensor_cols(x) == cut.cols &&
			      tensor_rows(x) == (cut.picked ? p.batch.rows : p.batch.tokens));
			copy = *x; /* as it comes from memory: without knowing who its rows are */
			copy.origin = NULL;
			y = model_upper(t->model, t->graph, &p.batch, &cut, &copy);
			CHECK_NAMED(y && !memcmp(whole, y->data, size), t->who);
		}
		if (w)
			w->needs = false;
	}
	CHECK_NAMED((highest > 0) == (t->head != HEAD_MLM), t->who);
}

static struct tensor *loss_of(struct graph *g, void *arg)
{
	const struct trial *t = arg;
	static struct pack p;
	static struct loss sum;
	static const float value[] = { 0.5f, -1, 2, 0 };
	struct tensor *y;

	add_sequences(&p, t->head, 3, false);
	y = model_forward(t->model, g, &p.batch);
	if (t->head == HEAD_REGRESSION)
		return op_mse(g, y, value, 3, &sum);
	return op_cross_entropy(g, y, p.label, 0.1, (double)p.batch.rows, &sum);
}

/*
 * Through the whole model, dropout on, one parameter training at a time, so that
 * the frozen layers below it give their memory back meanwhile: its gradient is
 * the slope of the loss. In fp32 a difference over the whole model knows about
 * two digits, enough to see a missing or doubled path.
 */
static void gradients(const char *dir, enum head head, const struct gemm *gm, const char *who)
{
	struct trial t = { .dir = dir,
			   .gm = gm,
			   .head = head,
			   .who = who,
			   .model = open_toy(dir, head, 0.2, gm) };
	const struct model *m = t.model;
	double worst = 0;

	if (!m)
		return;
	for (size_t i = 0; i < m->nparam; i++) {
		struct tensor *leaf = m->param[i];
		double one;

		if (strstr(leaf->name, "key.bias") || tensor_count(leaf) > 200)
			continue; /* a key bias has none; large ones are sampled by the others */
		CHECK(model_train_param(t.model, leaf) == TT_OK);
		one = gradcheck_gemm(gm, loss_of, &t, &leaf, 1, 1e-2);
		leaf->trainable = leaf->needs = false;
		if (one > 0.02)
			printf("# %s: %g\n", leaf->name, one);
		worst = fmax(worst, one);
	}
	CHECK_NAMED(worst <= 0.02, who);
	model_close(t.model);
}

static void every_parameter_has_a_gradient(const char *dir, enum head head, const struct gemm *gm,
					   const char *who)
{
	const struct pass pass = { .train = true };
	struct trial t = {
		.dir = dir, .gm = gm, .head = head, .who = who, .model = open_toy(dir, head, 0, gm)
	};
	struct model *m = t.model;
	struct leaves *l = NULL;
	size_t with = 0;

	if (!m)
		return;
	for (size_t i = 0; i < m->nparam; i++)
		CHECK(model_train_param(m, m->param[i]) == TT_OK);
	if (CHECK(!leaves_new(m->arena, m->param, m->nparam, &l) && !graph_new(gm, &t.graph) &&
		  !leaves_begin(l, 1))) {
		graph_begin(t.graph, &pass, l, 0);
		CHECK(graph_backward(t.graph, loss_of(t.graph, &t)) == TT_OK);
		leaves_finish(l);
		for (size_t i = 0; i < m->nparam; i++) {
			const struct tensor *p = m->param[i];
			bool some = false;

			for (int64_t k = 0; k < tensor_count(p); k++)
				some = some || p->grad[k] != 0;
			if (!some)
				printf("# %s has no gradient\n", p->name);
			with += some;
		}
		CHECK_NAMED(with == m->nparam, who);
	}
	graph_free(t.graph);
	leaves_free(l);
	model_close(m);
}

/* ---- sites ---- */

struct count {
	int calls;
	bool fits;
};

static struct tensor *count_linear(struct graph *g, struct site *s, struct tensor *x)
{
	struct count *c = s->state;

	c->calls++;
	c->fits = c->fits && x && tensor_cols(x) == s->weight->dim[1] && x->origin;
	return site_base(g, s, x);
}

static struct tensor *count_embed(struct graph *g, struct site *s, const int32_t *id,
				  struct tensor *e)
{
	struct count *c = s->state;

	(void)g;
	c->calls++;
	c->fits = c->fits && e && id && tensor_cols(e) == s->weight->dim[1] && e->origin;
	for (int64_t i = 0; e && i < tensor_rows(e); i++)
		c->fits = c->fits && id[i] >= 0 && id[i] < s->weight->dim[0];
	return e;
}

static bool count_attend(struct graph *g, struct site *s, struct attended *at)
{
	struct count *c = s->state;

	(void)g;
	c->calls++;
	c->fits = c->fits && tensor_rows(at->k) == at->start[at->seqs] &&
		  tensor_rows(at->v) == tensor_rows(at->x);
	return true;
}

static struct tensor *count_output(struct graph *g, struct site *s, const struct sublayer *in)
{
	struct count *c = s->state;

	(void)g;
	c->calls++;
	c->fits = c->fits && tensor_rows(in->h) == tensor_rows(in->u) && in->h->origin &&
		  in->norm->kind == SITE_NORM;
	return in->h;
}

static const struct hooks counting = {
	.linear = count_linear, .embed = count_embed, .attend = count_attend, .output = count_output
};

/* Is its hook called in every pass? A cloze head reads some rows of the output layer, whoever sits there. */
static bool is_called(const struct trial *t, const struct site *s)
{
	return !(s->kind & (SITE_NORM | SITE_INPUT)) &&
	       !(t->head == HEAD_CLOZE && s->kind & SITE_HEAD);
}

/* Every socket is used once a pass, with rows that know whose they are; without a method's change, nothing changes. */
static void sites_are_used(const struct trial *t)
{
	static struct pack p;
	static float before[PACK_TOKENS * VOCAB];
	struct model *m = t->model;
	struct count *count = calloc(m->nsite, sizeof(*count));
	const struct tensor *y;
	bool once = true;

	add_sequences(&p, t->head, 4, false);
	y = forward(t, &p.batch);
	if (!CHECK(count && y))
		return;
	memcpy(before, y->data, (size_t)tensor_count(y) * sizeof(float));
	for (size_t i = 0; i < m->nsite; i++) {
		count[i].fits = true;
		CHECK(site_plug(&m->site[i], &counting, &count[i]) == TT_OK);
	}
	y = forward(t, &p.batch);
	CHECK_NAMED(y && !memcmp(before, y->data, (size_t)tensor_count(y) * sizeof(float)), t->who);
	for (size_t i = 0; i < m->nsite; i++) {
		const bool ok = count[i].fits && count[i].calls == is_called(t, &m->site[i]);

		if (!ok)
			printf("# %s: %d calls, fits %d\n", m->site[i].name, count[i].calls,
			       count[i].fits);
		once = once && ok;
		site_unplug(&m->site[i]);
	}
	CHECK_NAMED(once, t->who);
	free(count);
}

/* A pass forward and backward, everything training. Its gradients, copied; the caller frees. */
static float *gradients_of(const struct trial *t, struct leaves *l, bool recompute)
{
	const struct pass pass = { .train = true, .seed = 3, .step = 2, .recompute = recompute };
	const struct model *m = t->model;
	float *all = malloc((size_t)model_param_count(m) * sizeof(*all));
	int64_t at = 0;

	CHECK(all && leaves_begin(l, 1) == TT_OK);
	graph_begin(t->graph, &pass, l, 0);
	CHECK(graph_backward(t->graph, loss_of(t->graph, (void *)(uintptr_t)t)) == TT_OK);
	leaves_finish(l);
	for (size_t i = 0; all && i < m->nparam; i++) {
		const size_t n = (size_t)tensor_count(m->param[i]);

		memcpy(all + at, m->param[i]->grad, n * sizeof(*all));
		at += (int64_t)n;
	}
	return all;
}

/* A pass that recomputes builds every block once more, and nothing else, with dropout on; its gradients have the same bits. */
static void blocks_are_built_again(const char *dir, enum head head, const struct gemm *gm,
				   const char *who)
{
	struct trial t = { .dir = dir,
			   .gm = gm,
			   .head = head,
			   .who = who,
			   .model = open_toy(dir, head, 0.2, gm) };
	struct model *m = t.model;
	struct count *count = m ? calloc(m->nsite, sizeof(*count)) : NULL;
	struct leaves *l = NULL;
	float *kept, *built;
	bool right = true;

	for (size_t i = 0; m && i < m->nparam; i++)
		CHECK(model_train_param(m, m->param[i]) == TT_OK);
	if (!CHECK(count && !leaves_new(m->arena, m->param, m->nparam, &l) &&
		   !graph_new(gm, &t.graph)))
		return;
	kept = gradients_of(&t, l, false);
	for (size_t i = 0; i < m->nsite; i++)
		CHECK(site_plug(&m->site[i], &counting, &count[i]) == TT_OK);
	built = gradients_of(&t, l, true);
	for (size_t i = 0; i < m->nsite; i++)
		right = right && (!is_called(&t, &m->site[i]) ||
				  count[i].calls == 1 + (m->site[i].layer >= 0));
	CHECK_NAMED(right, who);
	CHECK_NAMED(kept && built &&
			    !memcmp(kept, built, (size_t)model_param_count(m) * sizeof(*kept)),
		    who);
	free(kept);
	free(built);
	free(count);
	graph_free(t.graph);
	leaves_free(l);
	model_close(m);
}

/* Names are unique, each parameter belongs to a site, and there is an output layer. */
static void declarations(const struct trial *t)
{
	const struct model *m = t->model;
	size_t homeless = 0, doubles = 0, outputs = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		bool home = false;

		for (size_t k = 0; k < m->nsite; k++)
			home = home || m->site[k].weight == m->param[i] ||
			       m->site[k].bias == m->param[i];
		homeless += !home;
		doubles += model_param(m, m->param[i]->name) != m->param[i];
	}
	for (size_t k = 0; k < m->nsite; k++) {
		doubles += m->site[k].kind & SITE_MODULES &&
			   model_site(m, m->site[k].name) != &m->site[k];
		outputs += (m->site[k].kind & SITE_HEAD) != 0;
	}
	CHECK_NAMED(!homeless && !doubles && outputs == 1, t->who);
	CHECK_NAMED(m->ops->title && m->ops->architectures[t->head] &&
			    !strcmp(m->ops->name, m->hp.model_type),
		    t->who);
}

/* Written out and read again, the model gives the same bits. */
static void save_and_load(const struct trial *t)
{
	static struct pack p;
	static float before[PACK_TOKENS * VOCAB];
	char dir[PATH_MAX];
	struct trial again = *t;
	const struct tensor *y;

	snprintf(dir, sizeof(dir), "%.3000s.saved%d", t->dir, (int)t->head);
	add_sequences(&p, t->head, 4, false);
	y = forward(t, &p.batch);
	if (!CHECK(y && model_save(t->model, dir) == TT_OK))
		return;
	memcpy(before, y->data, (size_t)tensor_count(y) * sizeof(float));
	again.model = open_toy(dir, t->head, 0, t->gm);
	y = again.model ? forward(&again, &p.batch) : NULL;
	CHECK_NAMED(y && !memcmp(before, y->data, (size_t)tensor_count(y) * sizeof(float)), t->who);
	CHECK_NAMED(again.model && st_count(again.model->file) == again.model->nparam, t->who);
	model_close(again.model);
}

/* Every weight of a pre-trained file is a parameter with one head or another. */
static void stored_weights_are_claimed(const char *dir, const struct gemm *gm)
{
	struct model *m[HEADS] = { NULL };
	size_t lost = 0;

	for (int h = 0; h < HEADS; h++)
		m[h] = open_toy(dir, (enum head)h, 0, gm);
	for (size_t i = 0; m[0] && i < st_count(m[0]->file); i++) {
		bool found = false;

		for (int h = 0; h < HEADS; h++)
			found = found || (m[h] && model_param(m[h], st_at(m[0]->file, i)->name));
		if (!found)
			printf("# nobody takes %s\n", st_at(m[0]->file, i)->name);
		lost += !found;
	}
	CHECK(m[0] && !lost);
	for (int h = 0; h < HEADS; h++)
		model_close(m[h]);
}

static void try_head(const char *dir, enum head head, const struct gemm *gm)
{
	struct trial t = { .dir = dir, .head = head, .gm = gm, .who = head_name[head] };

	t.model = open_toy(dir, head, 0, gm);
	if (!t.model || !CHECK(graph_new(gm, &t.graph) == TT_OK))
		return;
	declarations(&t);
	shapes(&t);
	packing_does_not_matter(&t);
	parts_make_the_whole(&t);
	sites_are_used(&t);
	CHECK(model_prepare(t.model, false) == TT_OK);
	packing_does_not_matter(&t);
	save_and_load(&t);
	graph_free(t.graph);
	model_close(t.model);
	gradients(dir, head, gm, t.who);
	every_parameter_has_a_gradient(dir, head, gm, t.who);
	blocks_are_built_again(dir, head, gm, t.who);
}

int main(void)
{
	char base[PATH_MAX], dir[PATH_MAX];
	struct gemm *gm = NULL;

	if (!CHECK(toy_folder(base, sizeof(base)) != NULL) ||
	    !CHECK(gemm_open("ref", &gm) == TT_OK))
		return check_done();
	for (const struct model_ops *const *ops = model_all(); *ops; ops++) {
		size_t i = 0;

		while (i < COUNT(toys) && strcmp(toys[i].name, (*ops)->name))
			i++;
		fs_join(dir, sizeof(dir), base, (*ops)->name);
		CHECK_NAMED(i < COUNT(toys) && toys[i].make(dir) == TT_OK, (*ops)->name);
		stored_weights_are_claimed(dir, gm);
		for (int h = 0; h < HEADS; h++)
			try_head(dir, (enum head)h, gm);
	}
	gemm_close(gm);
	fs_remove_tree(base);
	return check_done();
}
