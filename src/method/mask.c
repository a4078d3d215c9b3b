/*
 * Masking: of the base weights a few numbers train, all others stay.
 *
 *     W = W0 + scatter(index, value)        value [k] trains, index is fixed
 *
 * Which ones is decided before the first step, over all adapted weights together:
 *
 *     fisher      the largest mean square of the gradient of log p(y|x), over some
 *                 examples one at a time (Sung et al. 2021)
 *     magnitude   the largest |W0|
 *     pafi        the smallest |W0| (Liao et al. 2023)
 *     random      drawn from the seed
 *
 * or whole rows or attention heads by the mean of their numbers' scores, as many
 * as fit into the share. Of a weight's gradient only the rows are computed that hold
 * a number that trains, where these are fewer than half. The optimizer knows the k values alone, so what is
 * masked has no state, no decay and no drift.
 */
#include "method/method.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "method/adapter.h"
#include "method/topk.h"

enum selection { BY_FISHER, BY_MAGNITUDE, BY_PAFI, BY_CHANCE };
enum structure { OF_NUMBERS, OF_ROWS, OF_HEADS };

struct mask_settings {
	struct targeting targeting;
	double density;
	int selection, structure;
	int64_t examples;
};

/* The numbers of all adapted weights stand end to end, in the order of the model. */
struct mask {
	struct tensor **weight;   /* [n] */
	const struct site **site; /* [n] */
	int64_t *start;           /* [n + 1] */
	struct tensor_rows *rows; /* [n] of each weight, those with a number that trains */
	size_t n;
	struct tensor *value;  /* [k] */
	struct tensor *places; /* [k,2] kept: the bytes of k int64_t, -1: unused */
	float *was;            /* [k] W0 there */
	bool known;            /* places are those of `was` */
	int64_t k;
	double captured; /* share of all scores; NAN: not known (of a run that was resumed) */
};

static const struct knob knobs[] = {
	{ .name = "density",
	  .type = KNOB_REAL,
	  .at = offsetof(struct mask_settings, density),
	  .def = 0.005,
	  .max = 1,
	  .flags = KNOB_OPEN_MIN,
	  .help = "the share of the adapted weights' numbers that train" },
	{ .name = "selection",
	  .type = KNOB_CHOICE,
	  .at = offsetof(struct mask_settings, selection),
	  .max = 3,
	  .choices = "fisher|magnitude|pafi|random",
	  .help = "which: by the Fisher information of the training data, the largest, the "
		  "smallest, "
		  "or by chance" },
	{ .name = "structure",
	  .type = KNOB_CHOICE,
	  .at = offsetof(struct mask_settings, structure),
	  .max = 2,
	  .choices = "none|rows|heads",
	  .help = "single numbers, whole rows, or the rows of whole attention heads" },
	{ .name = "fisher_examples",
	  .type = KNOB_INT,
	  .at = offsetof(struct mask_settings, examples),
	  .def = 1024,
	  .min = 1,
	  .max = 1e9,
	  .help = "how many rows of the training data fisher looks at" },
	{ .name = "target_modules",
	  .type = KNOB_SELECT,
	  .at = offsetof(struct mask_settings, targeting.target_modules),
	  .flags = KNOB_OPTIONAL,
	  .help = "ends of module names, a regular expression, or all-linear; absent: all-linear" },
	{ .name = "exclude_modules",
	  .type = KNOB_SELECT,
	  .at = offsetof(struct mask_settings, targeting.exclude_modules),
	  .flags = KNOB_OPTIONAL,
	  .help = "modules to leave alone, written as target_modules are" },
	{ .name = "modules_to_save",
	  .type = KNOB_TEXTS,
	  .at = offsetof(struct mask_settings, targeting.modules_to_save),
	  .flags = KNOB_OPTIONAL,
	  .help = "modules that train wholly, beside the task's head" },
	{ 0 }
};

/* ---- places ---- */

static int64_t *places(const struct mask *k) { return (int64_t *)(void *)k->places->data; }

/* Which weight holds a place. */
static size_t weight_of(const struct mask *k, int64_t place)
{
	size_t low = 0, high = k->n;

	while (high - low > 1) {
		const size_t mid = low + (high - low) / 2;

		if (k->start[mid] <= place)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static float *number_at(const struct mask *k, int64_t place)
{
	const size_t w = weight_of(k, place);

	return k->weight[w]->data + (place - k->start[w]);
}

/* What the base holds at the places; they never change again. */
static void remember(struct mask *k)
{
	for (int64_t i = 0; !k->known && i < k->k; i++)
		k->was[i] = places(k)[i] < 0 ? 0 : *number_at(k, places(k)[i]);
	k->known = true;
}

/* Give the base its numbers back, before other places are taken. */
static void forget(struct mask *k)
{
	for (int64_t i = 0; k->known && i < k->k; i++)
		if (places(k)[i] >= 0)
			*number_at(k, places(k)[i]) = k->was[i];
	for (int64_t i = 0; i < k->k; i++)
		places(k)[i] = -1;
	k->known = false;
}

/* ---- rows ---- */

/* Rows of one weight that hold places from `from` on; *ret_next: the first place beyond it. */
static int64_t list_rows_of(const struct mask *k, size_t w, int64_t from, int64_t *row,
			    int64_t *ret_next)
{
	const int64_t cols = k->weight[w]->dim[1];
	int64_t n = 0, i = from;

	for (; i < k->k && places(k)[i] >= 0 && places(k)[i] < k->start[w + 1]; i++) {
		const int64_t at = (places(k)[i] - k->start[w]) / cols;

		if (!n || row[n - 1] != at)
			row[n++] = at;
	}
	*ret_next = i;
	return n;
}

/*
 * Tell the weights which rows of their gradients are read. Where these are most of
 * them the whole product is no dearer; a weight without any needs no gradient at all.
 */
static int want_rows(struct method *m)
{
	struct mask *k = m->state;
	int64_t at = 0;

	for (int64_t i = 1; i < k->k; i++) {
		if (places(k)[i] >= 0 && places(k)[i] <= places(k)[i - 1])
			return TT_OK; /* a folder of somebody's, in another order */
	}
	for (size_t w = 0; w < k->n; w++) {
		struct tensor *t = k->weight[w];
		int64_t *row = method_alloc(m, (size_t)t->dim[0] * sizeof(*row));

		if (!row)
			return TT_NOMEM;
		k->rows[w] = (struct tensor_rows){ row, list_rows_of(k, w, at, row, &at) };
		t->grad_rows = 2 * k->rows[w].n <= t->dim[0] ? &k->rows[w] : NULL;
		t->needs = k->rows[w].n > 0;
	}
	return TT_OK;
}

/* ---- attaching ---- */

static int mask_begin(struct method *m)
{
	static const char *const all[] = { "all-linear" };
	struct mask_settings *set = m->settings;
	const size_t room = m->model->nsite;
	struct mask *k = method_alloc(m, sizeof(*k));

	if (!set->targeting.target_modules.item)
		set->targeting.target_modules = (struct texts){ .item = all, .n = 1 };
	m->state = k;
	if (!k)
		return TT_NOMEM;
	k->captured = NAN;
	k->weight = method_alloc(m, room * sizeof(struct tensor *));
	k->site = method_alloc(m, room * sizeof(struct site *));
	k->start = method_alloc(m, (room + 1) * sizeof(*k->start));
	k->rows = method_alloc(m, room * sizeof(*k->rows));
	return k->weight && k->site && k->start && k->rows ? TT_OK : TT_NOMEM;
}

/* It sits in the site so that no other method changes the weight, and computes as the base does. */
static int mask_attach(struct method *m, struct site *s)
{
	static const struct hooks hooks = { 0 };
	struct mask *k = m->state;
	int code = site_plug(s, &hooks, k);

	if (!code)
		code = method_make_base(m, s->weight);
	if (code)
		return code;
	k->weight[k->n] = s->weight;
	k->site[k->n] = s;
	k->start[k->n + 1] = k->start[k->n] + tensor_count(s->weight);
	k->n++;
	return TT_OK;
}

/* All weights are known: room for the numbers that train. */
static int mask_attached(struct method *m)
{
	const struct mask_settings *set = m->settings;
	struct mask *k = m->state;

	k->k = (int64_t)(set->density * (double)k->start[k->n]);
	if (k->k < 1)
		return err_set(TT_INVALID,
			       "peft.density %g of %lld numbers is not one; make it larger",
			       set->density, (long long)k->start[k->n]);
	k->value = method_param(m, NULL, "mask.value", 1, &k->k, INIT_ZERO, 0);
	k->places = method_keep(m, "mask.index", 2, (int64_t[]){ k->k, 2 });
	k->was = method_alloc(m, (size_t)k->k * sizeof(float));
	if (!k->value || !k->places || !k->was)
		return TT_NOMEM;
	forget(k);
	return method_store(m, k->places);
}

/* ---- choosing: scores ---- */

/* A running sum of squared gradients, one example after the other. */
static int score_fisher(struct method *m, const struct probe *p, float *score)
{
	const struct mask_settings *set = m->settings;
	const struct mask *k = m->state;
	const int64_t n = set->examples < p->rows ? set->examples : p->rows;

	for (int64_t i = 0; i < n; i++) {
		/* spread over the data, which may be sorted */
		const int64_t row = (int64_t)((double)i * (double)p->rows / (double)n);
		const int code = p->gradients(p->arg, &row, 1, NULL);

		if (code)
			return code;
		for (size_t w = 0; w < k->n; w++) {
			const float *g = k->weight[w]->grad;
			float *to = score + k->start[w];

			for (int64_t j = 0; j < tensor_count(k->weight[w]); j++)
				to[j] += g[j] * g[j];
		}
	}
	return TT_OK;
}

static int score_all(struct method *m, const struct probe *p, float *score)
{
	const struct mask_settings *set = m->settings;
	const struct mask *k = m->state;
	struct rng r;

	if (set->selection == BY_FISHER)
		return score_fisher(m, p, score);
	method_rng(m, "mask.index", &r);
	for (size_t w = 0; w < k->n; w++) {
		for (int64_t j = 0; j < tensor_count(k->weight[w]); j++) {
			const float size = fabsf(k->weight[w]->data[j]);

			score[k->start[w] + j] = set->selection == BY_CHANCE ? rng_uniform(&r)
						 : set->selection == BY_MAGNITUDE
							 ? size
							 : 1 / (size + 1e-12F);
		}
	}
	return TT_OK;
}

/* The k largest; places in rising order. */
static void take_numbers(struct mask *k, const float *score)
{
	const int64_t n = k->start[k->n];
	struct topk top = topk_find(&score, &n, 1, k->k);
	int64_t at = 0;

	for (int64_t i = 0; i < n && at < k->k; i++) {
		if (topk_takes(&top, score[i]))
			places(k)[at++] = i;
	}
}

/* ---- choosing: groups ---- */

/* Rows from `row` on of one or more weights, which are taken or left together. */
struct group {
	double score; /* the mean of its numbers' */
	int64_t numbers;
	size_t weight, weights; /* of these weights, beginning with the first */
	int64_t row, rows;
};

static int by_score(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->score > y->score || x->score < y->score)
		return x->score > y->score ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight < y->weight ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

static void score_group(const struct mask *k, const float *score, struct group *g)
{
	double sum = 0;

	for (size_t w = g->weight; w < g->weight + g->weights; w++) {
		const int64_t cols = k->weight[w]->dim[1];
		const float *from = score + k->start[w] + g->row * cols;

		for (int64_t i = 0; i < g->rows * cols; i++)
			sum += (double)from[i];
		g->numbers += g->rows * cols;
	}
	g->score = sum / (double)g->numbers;
}

/* Query, key and value of one layer, as many as follow each other from weight w on; 0: none. */
static size_t projections(const struct method *m, size_t w)
{
	static const char *const ends[] = { ".query",  ".key",   ".value", ".q_proj", ".k_proj",
					    ".v_proj", ".q_lin", ".k_lin", ".v_lin" };
	const struct mask *k = m->state;
	size_t n = 0;

	for (; w + n < k->n && k->site[w + n]->layer == k->site[w]->layer; n++) {
		const char *name = k->site[w + n]->name;
		bool is = false;

		for (size_t i = 0; i < COUNT(ends); i++) {
			const size_t a = strlen(name), b = strlen(ends[i]);

			is = is || (a > b && !strcmp(name + a - b, ends[i]));
		}
		if (!is || k->weight[w + n]->dim[0] != m->model->hp.hidden_size)
			break;
	}
	return n;
}

static size_t list_heads(const struct method *m, struct group *ret)
{
	const struct mask *k = m->state;
	const int64_t heads = m->model->hp.num_attention_heads,
		      rows = m->model->hp.hidden_size / heads;
	size_t n = 0;

	for (size_t w = 0; w < k->n;) {
		const size_t many = projections(m, w);

		for (int64_t h = 0; many && h < heads; h++)
			ret[n++] = (struct group){
				.weight = w, .weights = many, .row = h * rows, .rows = rows
			};
		w += many ? many : 1;
	}
	return n;
}

static size_t list_rows(const struct mask *k, struct group *ret)
{
	size_t n = 0;

	for (size_t w = 0; w < k->n; w++)
		for (int64_t r = 0; r < k->weight[w]->dim[0]; r++)
			ret[n++] = (struct group){ .weight = w, .weights = 1, .row = r, .rows = 1 };
	return n;
}

static int by_place(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void take_group(struct mask *k, const struct group *g, int64_t *at)
{
	for (size_t w = g->weight; w < g->weight + g->weights; w++) {
		const int64_t cols = k->weight[w]->dim[1];

		for (int64_t i = 0; i < g->rows * cols; i++)
			places(k)[(*at)++] = k->start[w] + g->row * cols + i;
	}
}

/* The best groups first, as long as they fit. */
static int take_groups(struct method *m, const float *score)
{
	const struct mask_settings *set = m->settings;
	struct mask *k = m->state;
	size_t most = 0, n;
	struct group *g;
	int64_t at = 0;

	for (size_t w = 0; w < k->n; w++)
		most += (size_t)k->weight[w]->dim[0];
	g = calloc(most, sizeof(*g));
	if (!g)
		return err_set(TT_NOMEM, "not enough memory to choose a mask");
	n = set->structure == OF_HEADS ? list_heads(m, g) : list_rows(k, g);
	for (size_t i = 0; i < n; i++)
		score_group(k, score, &g[i]);
	if (n)
		qsort(g, n, sizeof(*g), by_score);
	for (size_t i = 0; i < n && at + g[i].numbers <= k->k; i++)
		take_group(k, &g[i], &at);
	free(g);
	qsort(places(k), (size_t)at, sizeof(int64_t), by_place);
	if (!at)
		return err_set(TT_INVALID,
			       "peft.density %g leaves %lld numbers, which is less than one %s of "
			       "the adapted weights; make it larger",
			       set->density, (long long)k->k,
			       set->structure == OF_HEADS ? "attention head" : "row");
	return TT_OK;
}

/* ---- the course of a run ---- */

static double share_captured(const struct mask *k, const float *score)
{
	double all = 0, taken = 0;

	for (int64_t i = 0; i < k->start[k->n]; i++)
		all += (double)score[i];
	for (int64_t i = 0; i < k->k; i++)
		taken += places(k)[i] < 0 ? 0 : (double)score[places(k)[i]];
	return all > 0 ? taken / all : 0;
}

/* An adapter that the run starts from has chosen already. */
static int mask_prime(struct method *m, const struct probe *p)
{
	const struct mask_settings *set = m->settings;
	struct mask *k = m->state;
	float *score;
	int code;

	if (places(k)[0] >= 0)
		return want_rows(m);
	score = calloc((size_t)k->start[k->n], sizeof(*score));
	if (!score)
		return err_set(TT_NOMEM, "not enough memory to choose a mask of %lld numbers",
			       (long long)k->start[k->n]);
	code = score_all(m, p, score);
	forget(k); /* looking at the data has remembered that nothing trains */
	if (!code && set->structure == OF_NUMBERS)
		take_numbers(k, score);
	else if (!code)
		code = take_groups(m, score);
	if (!code)
		k->captured = share_captured(k, score);
	free(score);
	return code ? code : want_rows(m);
}

/* The weights are what they were, but for the numbers that train. */
static int mask_before_step(struct method *m, struct graph *step)
{
	struct mask *k = m->state;

	(void)step;
	remember(k);
	for (int64_t i = 0; i < k->k; i++)
		if (places(k)[i] >= 0)
			*number_at(k, places(k)[i]) = k->was[i] + k->value->data[i];
	return TT_OK;
}

static int mask_gradients(struct method *m)
{
	const struct mask *k = m->state;

	for (int64_t i = 0; i < k->k; i++) {
		const int64_t place = places(k)[i];
		const size_t w = place < 0 ? 0 : weight_of(k, place);

		k->value->grad[i] = place < 0 ? 0 : k->weight[w]->grad[place - k->start[w]];
	}
	return TT_OK;
}

/* The weights hold the values already. */
static int mask_merge(struct method *m, struct site *s)
{
	(void)m;
	(void)s;
	return TT_OK;
}

/* ---- adapter folders ---- */

/* Which weights the places count through, and how they were chosen. */
static int mask_config(const struct method *m, struct jsonw *w)
{
	const struct mask_settings *set = m->settings;
	const struct mask *k = m->state;

	jsonw_key(w, "density");
	jsonw_real(w, set->density);
	jsonw_key(w, "selection");
	jsonw_text(w, set->selection == BY_FISHER      ? "fisher"
		      : set->selection == BY_MAGNITUDE ? "magnitude"
		      : set->selection == BY_PAFI      ? "pafi"
						       : "random");
	jsonw_key(w, "structure");
	jsonw_text(w, set->structure == OF_NUMBERS ? "none"
		      : set->structure == OF_ROWS  ? "rows"
						   : "heads");
	jsonw_key(w, "weights");
	jsonw_array(w);
	for (size_t i = 0; i < k->n; i++)
		jsonw_text(w, k->weight[i]->name);
	jsonw_end(w, ']');
	return TT_OK;
}

static int mask_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "density", "modules_to_save", "selection", "structure",
					     "weights" };
	const struct mask *k = m->state;
	const struct json *list = json_get(config, "weights");
	const struct json *name = list ? json_first(list) : NULL;

	for (size_t i = 0; i < k->n; i++, name = name ? json_next(name) : NULL) {
		if (!name || !json_text(name) || strcmp(json_text(name), k->weight[i]->name) != 0)
			return err_set(
				TT_INVALID,
				"weights does not list '%s' in its place: the adapter was made "
				"for other target_modules",
				k->weight[i]->name);
	}
	if (name)
		return err_set(TT_INVALID, "weights lists more than the recipe's target_modules");
	return adapter_refuse_others(config, known, COUNT(known));
}

static const char *mask_file_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	const struct mask *k = m->state;

	(void)a;
	return t == k->value ? "mask.value" : t == k->places ? "mask.index" : NULL;
}

/* In the file places are int64 themselves. */
static const struct tensor *mask_pack(const struct method *m, struct tensor *t, struct arena *a)
{
	const struct mask *k = m->state;
	struct tensor *packed;

	if (t != k->places)
		return t;
	packed = arena_zero(a, 1, sizeof(*packed));
	if (!packed)
		return NULL;
	*packed = (struct tensor){ .name = t->name, .rank = 1, .dim = { k->k } };
	packed->data = arena_alloc(a, (size_t)k->k * sizeof(int64_t));
	if (!packed->data)
		return NULL;
	memcpy(packed->data, places(k), (size_t)k->k * sizeof(int64_t));
	return packed;
}

static bool mask_holds_whole(const struct method *m, const struct tensor *t)
{
	return t == ((const struct mask *)m->state)->places;
}

static int mask_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	struct mask *k = m->state;
	const int64_t *place = (const int64_t *)(const void *)packed->data;

	(void)t;
	for (int64_t i = 0; i < k->k; i++) {
		if (place[i] < -1 || place[i] >= k->start[k->n])
			return err_set(TT_INVALID,
				       "mask.index holds %lld, and the weights have %lld numbers",
				       (long long)place[i], (long long)k->start[k->n]);
	}
	forget(k);
	memcpy(places(k), place, (size_t)k->k * sizeof(int64_t));
	return TT_OK;
}

/* ---- the panel ---- */

static void watch_layers(const struct mask *k, const struct watch *out)
{
	for (size_t w = 0, from = 0; w < k->n; w = from) {
		char part[64], other[64], key[128];
		int64_t taken = 0;

		method_part(k->weight[w]->name, part, sizeof(part));
		while (from < k->n &&
		       !strcmp(method_part(k->weight[from]->name, other, sizeof(other)), part))
			from++;
		for (int64_t i = 0; i < k->k; i++)
			taken += places(k)[i] >= k->start[w] && places(k)[i] < k->start[from];
		snprintf(key, sizeof(key), "method/mask/density/%s", part);
		out->metric(out->arg, key, (double)taken / (double)(k->start[from] - k->start[w]));
	}
}

static void mask_watch(struct method *m, const struct watch *out)
{
	const struct mask *k = m->state;
	double moved = 0;
	int64_t used = 0;

	for (int64_t i = 0; i < k->k; i++) {
		used += places(k)[i] >= 0;
		moved += (double)k->value->data[i] * (double)k->value->data[i];
	}
	out->metric(out->arg, "method/mask/density", (double)used / (double)k->start[k->n]);
	out->metric(out->arg, "method/mask/change", sqrt(moved));
	if (!isnan(k->captured))
		out->metric(out->arg, "method/mask/score_share", k->captured);
	watch_layers(k, out);
}

const struct method_ops method_mask = {
	.name = "mask",
	.title = "Sparse mask",
	.cite = "Sung et al. 2021",
	.peft_type = "TRIMTAB_MASK",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct mask_settings),
	.targeting_at = offsetof(struct mask_settings, targeting),
	.begin = mask_begin,
	.attach = mask_attach,
	.attached = mask_attached,
	.prime = mask_prime,
	.before_step = mask_before_step,
	.gradients = mask_gradients,
	.restored = want_rows,
	.merge = mask_merge,
	.config = mask_config,
	.agrees = mask_agrees,
	.file_name = mask_file_name,
	.pack = mask_pack,
	.unpack = mask_unpack,
	.holds_whole = mask_holds_whole,
	.watch = mask_watch,
};
