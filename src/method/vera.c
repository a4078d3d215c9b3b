/*
 * VeRA: two random matrices that all adapted layers share stay as they are, and
 * each layer learns two vectors around them:
 *
 *     y = x W^T + b + lb ((D(x) A^T) ld) B^T       ld [r], lb [out]
 *
 * A [r,most in] and B [most out,r] are drawn by torch's generator from a key, so
 * that PEFT draws the same; a layer takes the first columns of A and the first
 * rows of B. lb starts at zero.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/mersenne.h"
#include "method/adapter.h"
#include "method/panel.h"
#include "tensor/kernel.h"

enum { BIAS_NONE, BIAS_ALL, BIAS_ONLY };

static const char *const biases[] = { "none", "all", "vera_only" };

struct vera_settings {
	struct targeting targeting;
	int64_t r, projection_prng_key;
	double vera_dropout, d_initial;
	int bias;
	bool save_projection, init_weights, fan_in_fan_out;
};

#define AT(member) offsetof(struct vera_settings, member)

static const struct knob knobs[] = {
	{ "r", KNOB_INT, AT(r), 256, 1, 65536, 0, NULL, NULL,
	  "rank of the shared projections; it costs r numbers a layer, so take more than for "
	  "LoRA" },
	{ "projection_prng_key", KNOB_INT, AT(projection_prng_key), 0, 0, 4294967295.0, 0, NULL,
	  NULL, "what the projections are drawn from" },
	{ "save_projection", KNOB_BOOL, AT(save_projection), 1, 0, 1, 0, NULL, NULL,
	  "keep the projections in the adapter's file; without, they are drawn again" },
	{ "vera_dropout", KNOB_REAL, AT(vera_dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what enters the projections" },
	{ "d_initial", KNOB_REAL, AT(d_initial), 0.1, 0, 0, 0, NULL, NULL,
	  "first value of vera_lambda_d" },
	{ "target_modules", KNOB_SELECT, AT(targeting.target_modules), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL,
	  "ends of module names, a regular expression, or all-linear; absent: the model's usual "
	  "ones" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ "layers_to_transform", KNOB_INTS, AT(targeting.layers_to_transform), 0, 0, 0,
	  KNOB_OPTIONAL, NULL, NULL, "numbers of the layers to adapt; absent: all" },
	{ "layers_pattern", KNOB_SELECT, AT(targeting.layers_pattern), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL, "name of the list that the layer numbers count in" },
	{ "bias", KNOB_CHOICE, AT(bias), 0, 0, 2, 0, "none|all|vera_only", NULL,
	  "which biases of the base model train as well" },
	{ "init_weights", KNOB_BOOL, AT(init_weights), 1, 0, 1, 0, NULL, NULL,
	  "false: vera_lambda_b starts as 1 and vera_lambda_d at random" },
	{ "fan_in_fan_out", KNOB_BOOL, AT(fan_in_fan_out), 0, 0, 1, 0, NULL, NULL,
	  "accepted for PEFT's sake; the layer itself says how its weight lies" },
	{ 0 }
};

/* Of one site. */
struct vera {
	struct vector_step step;
	float dropout, *first; /* ld at first */
	double weight_norm;
};

/* Of a run. */
struct projections {
	struct tensor *a, *b;
};

enum { ALARM_STILL, STILL_STEPS = 50 };

/* ---- sites ---- */

static struct tensor *vera_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct vera *v = s->state;
	struct tensor *z = op_dropout(g, x, v->dropout);
	struct tensor *y = op_linear_vectors(g, x, z, s->weight, s->bias, &v->step);

	if (z != x)
		graph_done(g, z);
	return y;
}

static const struct hooks hooks = { .linear = vera_linear };

static int vera_begin(struct method *m)
{
	const struct vera_settings *set = m->settings;

	m->state = method_alloc(m, sizeof(struct projections));
	if (!m->state)
		return TT_NOMEM;
	return set->bias == BIAS_ALL ? method_train_biases(m) : TT_OK;
}

static void fill(struct tensor *t, double value)
{
	for (int64_t i = 0; i < tensor_count(t); i++)
		t->data[i] = (float)value;
}

static int vera_attach(struct method *m, struct site *s)
{
	const struct vera_settings *set = m->settings;
	const int64_t out = s->weight->dim[0];
	struct vera *v = method_alloc(m, sizeof(*v));

	if (!v)
		return TT_NOMEM;
	v->step.l = method_param(m, s->name, "vera_lambda_b", 1, &out, INIT_ZERO, 0);
	v->step.d = method_param(m, s->name, "vera_lambda_d", 1, &set->r,
				 set->init_weights ? INIT_ZERO : INIT_NORMAL, 1);
	v->first = method_alloc(m, (size_t)set->r * sizeof(*v->first));
	if (!v->step.l || !v->step.d || !v->first)
		return TT_NOMEM;
	if (set->init_weights)
		fill(v->step.d, set->d_initial);
	else
		fill(v->step.l, 1);
	memcpy(v->first, v->step.d->data, (size_t)set->r * sizeof(*v->first));
	v->dropout = (float)set->vera_dropout;
	v->weight_norm = sqrt(kernel_sum_squares(s->weight->data, tensor_count(s->weight)));
	if (set->bias == BIAS_ONLY && s->bias && method_train_base(m, s->bias))
		return TT_NOMEM;
	return site_plug(s, &hooks, v);
}

/* Kaiming's uniform numbers, as torch's generator draws them for PEFT. */
static void draw(struct mersenne *from, struct tensor *t)
{
	const float bound = (float)(sqrt(3.0) * (sqrt(2.0) / sqrt((double)t->dim[1])));

	for (int64_t i = 0; i < tensor_count(t); i++)
		t->data[i] = mersenne_uniform(from, -bound, bound);
}

/* A tensor of the adapter file, or one that is drawn again by whoever needs it. */
static struct tensor *projection(struct method *m, const char *name, int64_t rows, int64_t cols)
{
	const struct vera_settings *set = m->settings;
	const int64_t dim[] = { rows, cols };

	if (set->save_projection)
		return method_fixed(m, NULL, name, 2, dim, INIT_ZERO, 0, false);
	return model_new_tensor(m->model, name, 2, dim);
}

/* An adapter file has one pair of projections. */
static int check_alone(const struct method *m)
{
	for (size_t i = 0; m->whole && i < m->whole->nparts; i++) {
		const struct method *other = m->whole->part[i];

		if (other != m && other->ops == m->ops)
			return err_set(TT_INVALID,
				       "method 'vera' stands twice, and an adapter has one pair of "
				       "projections; name all modules in one target_modules");
	}
	return TT_OK;
}

static int vera_attached(struct method *m)
{
	const struct vera_settings *set = m->settings;
	struct projections *p = m->state;
	struct mersenne from;
	int64_t in = 0, out = 0;
	const int code = check_alone(m);

	if (code)
		return code;
	for (size_t i = 0; i < m->nsite; i++) {
		const struct tensor *w = m->site[i]->weight;

		out = w->dim[0] > out ? w->dim[0] : out;
		in = w->dim[1] > in ? w->dim[1] : in;
	}
	p->a = projection(m, "vera_A", set->r, in);
	p->b = projection(m, "vera_B", out, set->r);
	if (!p->a || !p->b)
		return TT_NOMEM;
	mersenne_init(&from, (uint64_t)set->projection_prng_key);
	draw(&from, p->a);
	draw(&from, p->b);
	for (size_t i = 0; i < m->nsite; i++) {
		struct vera *v = m->site[i]->state;

		v->step.a = p->a;
		v->step.b = p->b;
	}
	return TT_OK;
}

/* ---- folding in ---- */

/* ld A [r,in] and lb B [out,r]. */
static void factors(const struct vera *v, int64_t in, float *a, float *b)
{
	const struct vector_step *s = &v->step;
	const int64_t r = s->a->dim[0], out = tensor_count(s->l);

	for (int64_t k = 0; k < r; k++)
		kernel_axpby(a + k * in, 0, s->d->data[k], s->a->data + k * s->a->dim[1], in);
	for (int64_t o = 0; o < out; o++)
		kernel_axpby(b + o * r, 0, s->l->data[o], s->b->data + o * r, r);
}

static int vera_merge(struct method *m, struct site *s)
{
	const struct vera *v = s->state;
	const int64_t r = v->step.a->dim[0], out = s->weight->dim[0], in = s->weight->dim[1];
	const int code = method_own_weight(m, s);
	float *a, *b;

	if (code)
		return code;
	a = malloc((size_t)(r * (in + out)) * sizeof(*a));
	if (!a)
		return err_set(TT_NOMEM, "no memory to merge '%s'", s->name);
	b = a + r * in;
	factors(v, in, a, b);
	gemm_run(m->model->gemm, false, false, out, in, r, 1, b, r, a, in, 1, s->weight->data, in);
	free(a);
	return TT_OK;
}

/* ---- files ---- */

/* The projections lie at the top of PEFT's tree. */
static const char *vera_file_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	const struct projections *p = m->state;

	return t == p->a || t == p->b ? arena_printf(a, "base_model.%s", t->name) : NULL;
}

static int vera_config(const struct method *m, struct jsonw *w)
{
	const struct vera_settings *set = m->settings;

	jsonw_key(w, "bias");
	jsonw_text(w, biases[set->bias]);
	jsonw_key(w, "d_initial");
	adapter_write_float(w, set->d_initial);
	/* every layer of ours stores [out,in] */
	adapter_write_bool(w, "fan_in_fan_out", false);
	adapter_write_bool(w, "init_weights", set->init_weights);
	adapter_write_layers(w, &set->targeting);
	jsonw_key(w, "projection_prng_key");
	jsonw_int(w, set->projection_prng_key);
	jsonw_key(w, "r");
	jsonw_int(w, set->r);
	adapter_write_bool(w, "save_projection", set->save_projection);
	jsonw_key(w, "vera_dropout");
	adapter_write_float(w, set->vera_dropout);
	return adapter_write_set(m, w, "target_modules", &m->target_modules);
}

/* The projections of a file count; where it has none, both sides must draw the same. */
static int vera_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = {
		"bias",
		"d_initial",
		"fan_in_fan_out",
		"init_weights",
		"layers_pattern",
		"layers_to_transform",
		"modules_to_save",
		"projection_prng_key",
		"r",
		"save_projection",
		"target_modules",
		"vera_dropout",
	};
	const struct vera_settings *set = m->settings;
	const struct json *saves = json_get(config, "save_projection");
	const double r = adapter_number(config, "r", 256),
		     key = adapter_number(config, "projection_prng_key", 0);
	int code = adapter_refuse_others(config, known, COUNT(known));

	if (!code && fabs(r - (double)set->r) > 0)
		code = err_set(TT_INVALID, "r is %g, and the recipe says %lld", r,
			       (long long)set->r);
	if (!code && (!saves || json_bool(saves)) != set->save_projection)
		code = err_set(TT_INVALID, "save_projection is %s, and the recipe says otherwise",
			       set->save_projection ? "false" : "true");
	if (!code && !set->save_projection && fabs(key - (double)set->projection_prng_key) > 0)
		code = err_set(TT_INVALID,
			       "projection_prng_key is %.0f, and the recipe, which draws the "
			       "projections again, says %lld",
			       key, (long long)set->projection_prng_key);
	return code;
}

/* ---- the panel ---- */

static double norm(const struct tensor *t)
{
	return sqrt(kernel_sum_squares(t->data, tensor_count(t)));
}

/* |lb B ld A| by (ld A)(ld A)^T and (lb B)^T(lb B) [r,r]; negative: no memory. */
static double delta_norm(const struct method *m, const struct site *s)
{
	const struct vera *v = s->state;
	const struct gemm *gm = m->model->gemm;
	const int64_t r = v->step.a->dim[0], out = s->weight->dim[0], in = s->weight->dim[1];
	float *a = malloc((size_t)(r * (in + out + 2 * r)) * sizeof(*a));
	float *b, *aa, *bb;
	double sum = 0;

	if (!a)
		return -1;
	b = a + r * in;
	aa = b + out * r;
	bb = aa + r * r;
	factors(v, in, a, b);
	gemm_run(gm, false, true, r, r, in, 1, a, in, a, in, 0, aa, r);
	gemm_run(gm, true, false, r, r, out, 1, b, r, b, r, 0, bb, r);
	for (int64_t i = 0; i < r * r; i++)
		sum += (double)aa[i] * (double)bb[i];
	free(a);
	return sqrt(fmax(sum, 0));
}

/* The share of lb's numbers that do next to nothing. */
static double idle_share(const struct tensor *l)
{
	int64_t n = 0;

	for (int64_t i = 0; i < tensor_count(l); i++)
		n += fabsf(l->data[i]) < 1e-3f;
	return (double)n / (double)tensor_count(l);
}

static void alarm_if_still(struct method *m, const struct watch *out)
{
	for (size_t i = 0; out->step >= STILL_STEPS && i < m->nsite; i++) {
		const struct vera *v = m->site[i]->state;

		if (!memcmp(v->first, v->step.d->data,
			    (size_t)tensor_count(v->step.d) * sizeof(float)))
			panel_alarm(
				m, out, ALARM_STILL,
				"vera: '%s' has not moved in %lld steps: no gradient reaches it",
				v->step.d->name, (long long)out->step);
	}
}

/* What LoRA of the same rank would train, less what this does. */
static double bytes_saved(const struct method *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nsite; i++) {
		const struct vera *v = m->site[i]->state;
		const int64_t r = tensor_count(v->step.d), out = tensor_count(v->step.l);

		n += r * (m->site[i]->weight->dim[1] + out) - r - out;
	}
	return (double)n * sizeof(float);
}

static void vera_watch(struct method *m, const struct watch *out)
{
	const struct vera_settings *set = m->settings;
	const struct projections *p = m->state;
	struct panel l = { .out = out, .key = "method/vera/lambda_b_norm" };
	struct panel d = { .out = out, .key = "method/vera/lambda_d_norm", .brief = true };
	struct panel idle = { .out = out, .key = "method/vera/lambda_b_idle", .brief = true };
	struct panel delta = { .out = out, .key = "method/vera/delta_ratio", .brief = true };

	for (size_t i = 0; i < m->nsite; i++) {
		const struct site *s = m->site[i];
		const struct vera *v = s->state;
		const double moved = delta_norm(m, s);

		panel_add(&l, s->name, norm(v->step.l));
		panel_add(&d, s->name, norm(v->step.d));
		panel_add(&idle, s->name, idle_share(v->step.l));
		if (moved >= 0 && v->weight_norm > 0)
			panel_add(&delta, s->name, moved / v->weight_norm);
	}
	panel_end(&l);
	panel_end(&d);
	panel_end(&idle);
	panel_end(&delta);
	if (!m->nsite)
		return;
	out->metric(out->arg, "method/vera/projection_key", (double)set->projection_prng_key);
	out->metric(out->arg, "method/vera/projection_bytes",
		    (double)(tensor_count(p->a) + tensor_count(p->b)) * sizeof(float));
	out->metric(out->arg, "method/vera/bytes_saved", bytes_saved(m));
	alarm_if_still(m, out);
}

const struct method_ops method_vera = {
	.name = "vera",
	.title = "Vector-based random matrix adaptation",
	.cite = "Kopiczko et al. 2024",
	.peft_type = "VERA",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct vera_settings),
	.targeting_at = offsetof(struct vera_settings, targeting),
	.begin = vera_begin,
	.attach = vera_attach,
	.attached = vera_attached,
	.merge = vera_merge,
	.config = vera_config,
	.agrees = vera_agrees,
	.file_name = vera_file_name,
	.watch = vera_watch,
};
