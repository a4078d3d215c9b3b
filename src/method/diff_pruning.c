/*
 * Diff pruning (Guo et al. 2021): a difference to every base parameter, most of
 * which is pruned away.
 *
 *     theta = theta0 + z_g z w        z = hard concrete gates, one a number; z_g one a tensor
 *
 *     s = sigmoid(ln u - ln(1 - u) + alpha)     z = min(1, max(0, s (r - l) + l))     l = -1.5, r = 1.5
 *     penalty = lambda sum P(z > 0),  P(z > 0) = sigmoid(alpha - ln(-l / r)) = sigmoid(alpha)
 *
 * u is drawn anew for every step, in (1e-4, 1 - 1e-4); evaluations take u = 1/2. In
 * the last part of the run only the largest differences are left (magnitude
 * projection), and train on with their places fixed. The gates then say so by
 * themselves: alpha is FIXED or -FIXED, where z is 1 or 0 whatever u is and has no
 * slope. The reference code adds the gates of tensors to the penalty, as here.
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
#include "method/target.h"
#include "method/topk.h"

static const float stretch_low = -1.5F, stretch_high = 1.5F, u_least = 1e-4F, fixed = 1e9F;

struct diff_settings {
	struct targeting targeting; /* modules_to_save alone */
	double target_sparsity, lambda, alpha_init, alpha_rate, fixed_ratio;
	bool structured;
};

/* One base parameter. */
struct diff {
	struct tensor *base;
	const float *before;
	struct tensor *w, *alpha, *group; /* group NULL: not structured */
	int64_t stored;                   /* numbers in the file that is being read; -1: none is */
};

struct diffs {
	struct diff *item;
	size_t n;
	int64_t numbers, fix_at; /* the step after which places are fixed */
	struct pass pass;        /* of the step whose gates are drawn */
};

static const struct knob knobs[] = {
	{ .name = "target_sparsity",
	  .type = KNOB_REAL,
	  .at = offsetof(struct diff_settings, target_sparsity),
	  .def = 0.005,
	  .max = 1,
	  .flags = KNOB_OPEN_MIN,
	  .help = "the share of numbers that differ from the base in the end" },
	{ .name = "sparsity_penalty",
	  .type = KNOB_REAL,
	  .at = offsetof(struct diff_settings, lambda),
	  .def = 1.25e-7,
	  .max = 1,
	  .help = "weight of the expected number of differences in the loss" },
	{ .name = "alpha_init",
	  .type = KNOB_REAL,
	  .at = offsetof(struct diff_settings, alpha_init),
	  .def = 5,
	  .min = -100,
	  .max = 100,
	  .help = "first value of the gates; 5 opens nearly all" },
	{ .name = "alpha_learning_rate",
	  .type = KNOB_REAL,
	  .at = offsetof(struct diff_settings, alpha_rate),
	  .def = 0.1,
	  .max = 100,
	  .help = "learning rate of the gates; it follows the schedule" },
	{ .name = "structured",
	  .type = KNOB_BOOL,
	  .at = offsetof(struct diff_settings, structured),
	  .def = 1,
	  .help = "one more gate for every tensor as a whole" },
	{ .name = "fixed_mask_ratio",
	  .type = KNOB_REAL,
	  .at = offsetof(struct diff_settings, fixed_ratio),
	  .def = 0.5,
	  .max = 1,
	  .help = "the last part of the run, in which the places are fixed and only their "
		  "differences train" },
	{ .name = "modules_to_save",
	  .type = KNOB_TEXTS,
	  .at = offsetof(struct diff_settings, targeting.modules_to_save),
	  .flags = KNOB_OPTIONAL,
	  .help = "modules that train wholly, beside the task's head" },
	{ 0 }
};

/* ---- attaching ---- */

/* Does the parameter lie in a module that trains wholly? */
static bool is_saved(const struct method *m, const char *name)
{
	char path[512];

	for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
		snprintf(path, sizeof(path), "%.*s", (int)(dot - name), name);
		if (target_saves(&m->modules_to_save, path))
			return true;
	}
	return false;
}

/* The base's numbers, which stay readable where they are or are copied. */
static const float *keep_base(struct method *m, struct tensor *t)
{
	const float *before = t->data;
	const size_t size = (size_t)tensor_count(t) * sizeof(float);
	float *copy;

	if (method_make_base(m, t))
		return NULL;
	if (before && before != t->data)
		return before;
	copy = method_alloc(m, size);
	return copy ? memcpy(copy, t->data, size) : NULL;
}

static int add_diff(struct method *m, struct tensor *t)
{
	const struct diff_settings *set = m->settings;
	struct diffs *all = m->state;
	struct diff *d = &all->item[all->n];

	*d = (struct diff){ .base = t, .stored = -1 };
	d->before = keep_base(m, t);
	if (!d->before)
		return TT_NOMEM;
	d->w = method_param(m, t->name, "diff", t->rank, t->dim, INIT_ZERO, 0);
	d->alpha = method_param(m, t->name, "alpha", t->rank, t->dim, INIT_ZERO, 0);
	if (set->structured)
		d->group = method_param(m, t->name, "alpha_group", 1, (int64_t[]){ 1 }, INIT_ZERO,
					0);
	if (!d->w || !d->alpha || (set->structured && !d->group))
		return TT_NOMEM;
	for (int64_t i = 0; i < tensor_count(t); i++)
		d->alpha->data[i] = (float)set->alpha_init;
	if (d->group)
		d->group->data[0] = (float)set->alpha_init;
	all->numbers += tensor_count(t);
	all->n++;
	return TT_OK;
}

static int diff_begin(struct method *m)
{
	struct diffs *all = method_alloc(m, sizeof(*all));
	int code = TT_OK;

	m->state = all;
	if (!all)
		return TT_NOMEM;
	all->fix_at = -1;
	all->item = method_alloc(m, m->model->nparam * sizeof(*all->item));
	if (!all->item)
		return TT_NOMEM;
	for (size_t i = 0; !code && i < m->model->nparam; i++) {
		if (!is_saved(m, m->model->param[i]->name))
			code = add_diff(m, m->model->param[i]);
	}
	return code;
}

static int diff_plan(struct method *m, int64_t steps)
{
	const struct diff_settings *set = m->settings;
	struct diffs *all = m->state;

	all->fix_at = steps - (int64_t)(set->fixed_ratio * (double)steps);
	return TT_OK;
}

/* ---- gates ---- */

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* A gate, and its slope by alpha. */
struct gate {
	float z, slope;
};

/* sigmoid(ln u - ln(1 - u) + alpha), with one exp. */
static struct gate gate_at(float alpha, float u)
{
	const float s = 1 / (1 + (1 / u - 1) * expf(-alpha));
	const float t = s * (stretch_high - stretch_low) + stretch_low;
	struct gate g = { .z = t < 0 ? 0 : t > 1 ? 1 : t };

	if (t > 0 && t < 1)
		g.slope = (stretch_high - stretch_low) * s * (1 - s);
	return g;
}

/* The draws of one tensor for this step, four at a time. */
struct draws {
	const struct diffs *all;
	uint64_t key;
	uint32_t tensor;
	int64_t block;
	uint32_t word[4];
};

static float draw(struct draws *d, int64_t i)
{
	float u;

	if (!d->all->pass.train)
		return 0.5F;
	if (d->block != i / 4) {
		d->block = i / 4;
		rng_block(d->key, (uint32_t)RNG_GATE << 24 | (d->tensor & 0xffffff),
			  (uint32_t)d->all->pass.step, (uint32_t)(d->block >> 32),
			  (uint32_t)d->block, d->word);
	}
	u = (float)(d->word[i % 4] >> 8) * 0x1p-24F;
	return u < u_least ? u_least : u > 1 - u_least ? 1 - u_least : u;
}

static struct draws draws_of(const struct method *m, size_t tensor)
{
	const struct diffs *all = m->state;

	return (struct draws){
		.all = all, .key = all->pass.seed, .tensor = (uint32_t)tensor, .block = -1
	};
}

/* The gate of the whole tensor, drawn behind those of its numbers. */
static struct gate group_gate(const struct diff *d, struct draws *r)
{
	if (!d->group)
		return (struct gate){ 1, 0 };
	return gate_at(d->group->data[0], draw(r, tensor_count(d->base)));
}

/* ---- the course of a run ---- */

static void make(const struct method *m, size_t at)
{
	const struct diff *d = &((const struct diffs *)m->state)->item[at];
	struct draws r = draws_of(m, at);
	const struct gate whole = group_gate(d, &r);

	for (int64_t i = 0; i < tensor_count(d->base); i++) {
		const struct gate g = gate_at(d->alpha->data[i], draw(&r, i));

		d->base->data[i] = d->before[i] + whole.z * g.z * d->w->data[i];
	}
}

static int diff_before_step(struct method *m, struct graph *step)
{
	struct diffs *all = m->state;

	all->pass = *graph_pass(step);
	for (size_t i = 0; i < all->n; i++) {
		all->item[i].stored = -1; /* whatever was read is read */
		make(m, i);
	}
	return TT_OK;
}

static double expected_numbers(const struct diffs *all)
{
	double sum = 0;

	for (size_t k = 0; k < all->n; k++) {
		const struct diff *d = &all->item[k];

		for (int64_t i = 0; i < tensor_count(d->alpha); i++)
			sum += (double)sigmoid(d->alpha->data[i]);
		if (d->group)
			sum += (double)sigmoid(d->group->data[0]);
	}
	return sum;
}

/* Its value; its gradient is added with the others'. */
static struct tensor *diff_penalty(struct method *m, struct graph *step)
{
	const struct diff_settings *set = m->settings;
	struct tensor *t = graph_tensor(step, 1, 1, false);

	if (t)
		t->data[0] = (float)(set->lambda * expected_numbers(m->state));
	return t;
}

static float penalty_slope(const struct diff_settings *set, float alpha)
{
	const float p = sigmoid(alpha);

	return (float)set->lambda * p * (1 - p);
}

static void spread(const struct method *m, size_t at)
{
	const struct diff_settings *set = m->settings;
	const struct diff *d = &((const struct diffs *)m->state)->item[at];
	struct draws r = draws_of(m, at);
	const struct gate whole = group_gate(d, &r);
	double sum = 0;

	for (int64_t i = 0; i < tensor_count(d->base); i++) {
		const float grad = d->base->grad[i], w = d->w->data[i];
		const struct gate g = gate_at(d->alpha->data[i], draw(&r, i));

		d->w->grad[i] = grad * whole.z * g.z;
		d->alpha->grad[i] = grad * w * whole.z * g.slope +
				    penalty_slope(set, d->alpha->data[i]);
		sum += (double)(grad * g.z * w);
	}
	if (d->group)
		d->group->grad[0] = (float)sum * whole.slope +
				    penalty_slope(set, d->group->data[0]);
}

/* The gates' gradients are clipped apart, to a norm of 1, before all are. */
static void clip_gates(const struct diffs *all)
{
	double squares = 0;

	for (size_t k = 0; k < all->n; k++) {
		const struct diff *d = &all->item[k];

		for (int64_t i = 0; i < tensor_count(d->alpha); i++)
			squares += (double)d->alpha->grad[i] * (double)d->alpha->grad[i];
		if (d->group)
			squares += (double)d->group->grad[0] * (double)d->group->grad[0];
	}
	for (size_t k = 0; squares > 1 && k < all->n; k++) {
		const struct diff *d = &all->item[k];
		const float by = (float)(1 / sqrt(squares));

		for (int64_t i = 0; i < tensor_count(d->alpha); i++)
			d->alpha->grad[i] *= by;
		if (d->group)
			d->group->grad[0] *= by;
	}
}

static int diff_gradients(struct method *m)
{
	const struct diffs *all = m->state;

	for (size_t i = 0; i < all->n; i++)
		spread(m, i);
	return TT_OK;
}

static int diff_before_update(struct method *m, int64_t step)
{
	(void)step;
	clip_gates(m->state);
	return TT_OK;
}

/* ---- projection ---- */

static bool is_fixed(const struct diffs *all)
{
	return all->n && fabsf(all->item[0].alpha->data[0]) > fixed / 2;
}

/* The difference as evaluations have it. */
static float difference(const struct diff *d, int64_t i)
{
	const float whole = d->group ? gate_at(d->group->data[0], 0.5F).z : 1;

	return whole * gate_at(d->alpha->data[i], 0.5F).z * d->w->data[i];
}

static void fix_number(struct diff *d, int64_t i, float value, bool keep)
{
	d->w->data[i] = keep ? value : 0;
	d->alpha->data[i] = keep ? fixed : -fixed;
}

/* sizes: scratch for all |differences|. */
static void project(struct diffs *all, int64_t keep, float *const *piece, const int64_t *size)
{
	struct topk top;

	for (size_t k = 0; k < all->n; k++)
		for (int64_t i = 0; i < size[k]; i++)
			piece[k][i] = fabsf(difference(&all->item[k], i));
	top = topk_find((const float *const *)piece, size, (int64_t)all->n, keep);
	for (size_t k = 0; k < all->n; k++) {
		struct diff *d = &all->item[k];

		for (int64_t i = 0; i < size[k]; i++) {
			const bool taken = topk_takes(&top, piece[k][i]) && piece[k][i] > 0;

			fix_number(d, i, difference(d, i), taken);
		}
		if (d->group)
			d->group->data[0] = fixed;
	}
}

static int diff_after_step(struct method *m, int64_t step)
{
	const struct diff_settings *set = m->settings;
	struct diffs *all = m->state;
	const int64_t keep = (int64_t)(set->target_sparsity * (double)all->numbers);
	float **piece, *block;
	int64_t *size, at = 0;

	if (step != all->fix_at || keep < 1 || is_fixed(all))
		return TT_OK;
	piece = calloc(all->n, sizeof(float *));
	size = calloc(all->n, sizeof(*size));
	block = malloc((size_t)all->numbers * sizeof(*block));
	for (size_t k = 0; piece && size && k < all->n; k++) {
		size[k] = tensor_count(all->item[k].base);
		piece[k] = block ? block + at : NULL;
		at += size[k];
	}
	if (piece && size && block)
		project(all, keep, piece, size);
	free(piece);
	free(size);
	if (!block)
		return err_set(TT_NOMEM, "not enough memory to prune %lld differences",
			       (long long)all->numbers);
	free(block);
	log_line("step %lld: %lld of %lld differences stay", (long long)step, (long long)keep,
		 (long long)all->numbers);
	return TT_OK;
}

/* ---- what the optimizer uses ---- */

static bool is_gate(const struct tensor *t) { return strstr(t->name, ".alpha") != NULL; }

static double diff_learning_rate(const struct method *m, const struct tensor *t, double base)
{
	const struct diff_settings *set = m->settings;

	return is_gate(t) ? set->alpha_rate : base;
}

static double diff_weight_decay(const struct method *m, const struct tensor *t, double base)
{
	(void)m;
	return is_gate(t) ? 0 : base;
}

/* ---- adapter folders ---- */

/*
 * A file holds, for every tensor that differs, where and by how much; and the
 * config how many numbers those are.
 */
static int64_t differing(const struct diff *d)
{
	int64_t n = 0;

	for (int64_t i = 0; i < tensor_count(d->base); i++)
		n += difference(d, i) < 0 || difference(d, i) > 0;
	return n;
}

static int64_t stored_count(const struct diff *d)
{
	return d->stored >= 0 ? d->stored : differing(d);
}

static int diff_config(const struct method *m, struct jsonw *w)
{
	const struct diff_settings *set = m->settings;
	const struct diffs *all = m->state;

	jsonw_key(w, "target_sparsity");
	jsonw_real(w, set->target_sparsity);
	jsonw_key(w, "structured");
	jsonw_bool(w, set->structured);
	jsonw_key(w, "differing");
	jsonw_object(w);
	for (size_t i = 0; i < all->n; i++) {
		const int64_t n = differing(&all->item[i]);

		if (!n)
			continue;
		jsonw_key(w, all->item[i].base->name);
		jsonw_int(w, n);
	}
	jsonw_end(w, '}');
	return TT_OK;
}

static int diff_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "differing", "modules_to_save", "structured",
					     "target_sparsity" };
	const struct json *map = json_get(config, "differing");

	if (!map || json_type(map) != JSON_OBJECT)
		return err_set(TT_INVALID,
			       "differing is missing: how many numbers of which tensor");
	for (const struct json *j = json_first(map); j; j = json_next(j)) {
		const struct tensor *t = model_param(m->model, json_key(j));
		char shown[80];
		int64_t n;

		if (!t)
			return err_set(TT_INVALID,
				       "differing names %s, which the model does not have",
				       st_printable(json_key(j), shown, sizeof(shown)));
		if (!json_int(j, &n) || n < 1 || n > tensor_count(t))
			return err_set(TT_INVALID, "differing has no count of numbers for %s",
				       t->name);
	}
	return adapter_refuse_others(config, known, COUNT(known));
}

static int diff_adopt(struct method *m, const struct json *config)
{
	const struct json *map = json_get(config, "differing");
	const struct diffs *all = m->state;

	for (size_t i = 0; i < all->n; i++) {
		const struct json *j = json_get(map, all->item[i].base->name);

		all->item[i].stored = 0;
		if (j && json_int(j, &all->item[i].stored))
			continue;
		for (int64_t k = 0; k < tensor_count(all->item[i].base); k++)
			fix_number(&all->item[i], k, 0, false);
		if (all->item[i].group)
			all->item[i].group->data[0] = fixed;
	}
	return TT_OK;
}

/* Whose difference (w) or places (alpha) a tensor of the method's is. */
static struct diff *diff_of(const struct method *m, const struct tensor *t)
{
	const struct diffs *all = m->state;

	for (size_t i = 0; i < all->n; i++) {
		struct diff *d = &all->item[i];

		if (d->w == t || d->alpha == t || d->group == t)
			return d;
	}
	return NULL;
}

static const char *diff_file_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	const struct diff *d = diff_of(m, t);

	if (!d)
		return NULL;
	if (t == d->group || !stored_count(d))
		return "";
	return arena_printf(a, "base_model.model.%s.%s", d->base->name, t == d->w ? "val" : "idx");
}

static bool diff_holds_whole(const struct method *m, const struct tensor *t)
{
	const struct diff *d = diff_of(m, t);

	return d && t == d->alpha;
}

static const struct tensor *diff_pack(const struct method *m, struct tensor *t, struct arena *a)
{
	const struct diff *d = diff_of(m, t);
	const int64_t n = d ? stored_count(d) : 0;
	struct tensor *packed = arena_zero(a, 1, sizeof(*packed));
	int64_t *place, at = 0;

	if (!d)
		return t;
	if (!packed)
		return NULL;
	*packed = (struct tensor){ .name = t->name, .rank = 1, .dim = { n } };
	packed->data = arena_zero(a, (size_t)(n ? n : 1), sizeof(int64_t));
	if (!packed->data)
		return NULL;
	place = (int64_t *)(void *)packed->data;
	for (int64_t i = 0; d->stored < 0 && i < tensor_count(d->base); i++) {
		const float x = difference(d, i);

		if (!(x < 0 || x > 0))
			continue;
		if (t == d->alpha)
			place[at++] = i;
		else
			packed->data[at++] = x;
	}
	return packed;
}

/* Places come before differences, by name. */
static int diff_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	struct diff *d = diff_of(m, t);
	const int64_t *place = (const int64_t *)(const void *)packed->data;
	const int64_t n = packed->dim[0], numbers = tensor_count(d->base);
	int64_t at = 0;

	if (t == d->alpha) {
		for (int64_t i = 0; i < numbers; i++)
			fix_number(d, i, 0, false);
		if (d->group)
			d->group->data[0] = fixed;
		for (int64_t i = 0; i < n; i++) {
			if (place[i] < 0 || place[i] >= numbers || (i && place[i] <= place[i - 1]))
				return err_set(TT_INVALID,
					       "'%s.idx' is not a rising list of places in it",
					       d->base->name);
			t->data[place[i]] = fixed;
		}
		return TT_OK;
	}
	for (int64_t i = 0; i < numbers && at < n; i++)
		if (d->alpha->data[i] > 0)
			t->data[i] = packed->data[at++];
	return TT_OK;
}

/* ---- the panel ---- */

/* The share of numbers that differ, layer by layer; and over all. */
static void watch_density(const struct method *m, const struct watch *out)
{
	const struct diffs *all = m->state;
	double differ = 0, squares = 0, open = 0;

	for (size_t from = 0, to = 0; from < all->n; from = to) {
		char part[64], other[64], key[128];
		int64_t n = 0, numbers = 0;

		method_part(all->item[from].base->name, part, sizeof(part));
		for (; to < all->n &&
		       !strcmp(method_part(all->item[to].base->name, other, sizeof(other)), part);
		     to++) {
			n += differing(&all->item[to]);
			numbers += tensor_count(all->item[to].base);
		}
		snprintf(key, sizeof(key), "method/diff_pruning/density/%s", part);
		out->metric(out->arg, key, (double)n / (double)numbers);
		differ += (double)n;
	}
	for (size_t k = 0; k < all->n; k++) {
		const struct diff *d = &all->item[k];

		for (int64_t i = 0; i < tensor_count(d->base); i++) {
			squares += (double)difference(d, i) * (double)difference(d, i);
			open += d->alpha->data[i] > 0;
		}
	}
	out->metric(out->arg, "method/diff_pruning/density", differ / (double)all->numbers);
	out->metric(out->arg, "method/diff_pruning/change", sqrt(squares));
	out->metric(out->arg, "method/diff_pruning/open_gates", open / (double)all->numbers);
	out->metric(out->arg, "method/diff_pruning/expected_l0",
		    expected_numbers(all) / (double)all->numbers);
}

static void diff_watch(struct method *m, const struct watch *out)
{
	const struct diffs *all = m->state;

	watch_density(m, out);
	out->metric(out->arg, "method/diff_pruning/places_fixed", is_fixed(all));
}

const struct method_ops method_diff_pruning = {
	.name = "diff_pruning",
	.title = "Diff pruning",
	.cite = "Guo et al. 2021",
	.peft_type = "TRIMTAB_DIFF_PRUNING",
	.starts_at_base = true,
	.kinked = true,
	.knobs = knobs,
	.settings_size = sizeof(struct diff_settings),
	.targeting_at = offsetof(struct diff_settings, targeting),
	.takes_modules_to_save = true,
	.begin = diff_begin,
	.plan = diff_plan,
	.before_step = diff_before_step,
	.penalty = diff_penalty,
	.gradients = diff_gradients,
	.before_update = diff_before_update,
	.after_step = diff_after_step,
	.config = diff_config,
	.agrees = diff_agrees,
	.adopt = diff_adopt,
	.pack = diff_pack,
	.unpack = diff_unpack,
	.file_name = diff_file_name,
	.holds_whole = diff_holds_whole,
	.stores_result = true,
	.learning_rate = diff_learning_rate,
	.weight_decay = diff_weight_decay,
	.watch = diff_watch,
};
