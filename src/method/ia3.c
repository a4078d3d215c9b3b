/*
 * (IA)^3: learned factors inhibit and amplify what a frozen layer computes.
 *
 *     y = (W x + b) * l         l [out,1]
 *     y = W (x * l) + b         l [1,in], of feedforward_modules
 *
 * l starts as ones, so step 0 is the base model exactly. The T-Few recipe scales
 * keys, values and what goes into the second half of a feed-forward layer; PEFT's
 * ends of names for BERT pick the attention's output projection as well.
 */
#include "method/method.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"
#include "method/panel.h"
#include "method/target.h"
#include "tensor/op.h"

struct ia3_settings {
	struct targeting targeting;
	struct texts feedforward_modules;
	bool init_ia3_weights, fan_in_fan_out;
};

/* One layer. */
struct factors {
	struct tensor *l;
	bool in; /* on what goes in */
};

struct ia3 {
	struct texts feedforward; /* the recipe's, or the model's usual ones */
};

enum { ALARM_RANGE };

#define AT(member) offsetof(struct ia3_settings, member)

static const struct knob knobs[] = {
	{ "target_modules", KNOB_SELECT, AT(targeting.target_modules), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL,
	  "ends of module names, a regular expression, or all-linear; absent: the model's usual "
	  "ones" },
	{ "feedforward_modules", KNOB_SELECT, AT(feedforward_modules), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL,
	  "ends of module names, or an expression: of these the input is scaled, not the output; "
	  "absent: the model's usual ones" },
	{ "exclude_modules", KNOB_SELECT, AT(targeting.exclude_modules), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL, "modules to leave alone, written as target_modules are" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ "init_ia3_weights", KNOB_BOOL, AT(init_ia3_weights), 1, 0, 1, 0, NULL, NULL,
	  "begin with ones; false: with random numbers" },
	{ "fan_in_fan_out", KNOB_BOOL, AT(fan_in_fan_out), 0, 0, 1, 0, NULL, NULL,
	  "accepted for PEFT's sake; the layer itself says how its weight lies" },
	{ 0 }
};

/* PEFT's tables. mt5's wi_1 is no feedforward module: its output is scaled. */
static const struct target_default targets[] = {
	{ "bart", { "q_proj", "v_proj", "fc2" } },
	{ "bert", { "key", "value", "output.dense" } },
	{ "gemma", { "q_proj", "v_proj", "down_proj" } },
	{ "gemma2", { "q_proj", "v_proj", "down_proj" } },
	{ "gpt2", { "c_attn", "mlp.c_proj" } },
	{ "gpt_neox", { "query_key_value", "dense_4h_to_h" } },
	{ "llama", { "k_proj", "v_proj", "down_proj" } },
	{ "mistral", { "k_proj", "v_proj", "down_proj" } },
	{ "mt5", { "k", "v", "wi_1" } },
	{ "opt", { "q_proj", "k_proj", "fc2" } },
	{ "qwen2", { "q_proj", "v_proj", "down_proj" } },
	{ "qwen3", { "q_proj", "v_proj", "down_proj" } },
	{ "roberta", { "key", "value", "output.dense" } },
	{ "t5", { "k", "v", "wo" } },
	{ 0 },
};

static const struct target_default feedforwards[] = {
	{ "bart", { "fc2" } },
	{ "bert", { "output.dense" } },
	{ "gemma", { "down_proj" } },
	{ "gemma2", { "down_proj" } },
	{ "gpt2", { "mlp.c_proj" } },
	{ "gpt_neox", { "dense_4h_to_h" } },
	{ "llama", { "down_proj" } },
	{ "mistral", { "down_proj" } },
	{ "mt5", { NULL } },
	{ "opt", { "fc2" } },
	{ "qwen2", { "down_proj" } },
	{ "qwen3", { "down_proj" } },
	{ "roberta", { "output.dense" } },
	{ "t5", { "wo" } },
	{ 0 },
};

static struct tensor *scale_out(struct graph *g, struct site *s, struct tensor *x)
{
	const struct factors *f = s->state;

	return op_linear_scaled_out(g, x, s->weight, s->bias, f->l);
}

static struct tensor *scale_in(struct graph *g, struct site *s, struct tensor *x)
{
	const struct factors *f = s->state;

	return op_linear_scaled_in(g, x, s->weight, s->bias, f->l);
}

static const struct hooks out_hooks = { .linear = scale_out };
static const struct hooks in_hooks = { .linear = scale_in, .through = true };

static bool listed(const struct texts *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!strcmp(list->item[i], text))
			return true;
	}
	return false;
}

/* Two lists are compared word by word, as PEFT does; expressions cannot be. */
static int check_subset(const struct texts *feed, const struct texts *target)
{
	for (size_t i = 0; feed->is_list && target->is_list && i < feed->n; i++) {
		if (!listed(target, feed->item[i]))
			return err_set(TT_INVALID,
				       "peft.feedforward_modules names '%s', which is not among "
				       "peft.target_modules",
				       feed->item[i]);
	}
	return TT_OK;
}

static int ia3_begin(struct method *m)
{
	const struct ia3_settings *set = m->settings;
	struct ia3 *a = method_alloc(m, sizeof(*a));

	if (!a)
		return TT_NOMEM;
	m->state = a;
	a->feedforward = set->feedforward_modules;
	if (a->feedforward.item)
		return check_subset(&a->feedforward, &set->targeting.target_modules);
	return target_usual(feedforwards, m->model, "peft.feedforward_modules", &a->feedforward);
}

static int ia3_attach(struct method *m, struct site *s)
{
	const struct ia3_settings *set = m->settings;
	const struct ia3 *a = m->state;
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1];
	struct factors *f = method_alloc(m, sizeof(*f));
	const int code = f ? target_feeds(&a->feedforward, s->name, &f->in) : TT_NOMEM;

	if (code)
		return code;
	f->l = method_param(m, s->name, "ia3_l", 2,
			    f->in ? (int64_t[]){ 1, in } : (int64_t[]){ out, 1 },
			    set->init_ia3_weights ? INIT_ZERO : INIT_NORMAL, 1);
	if (!f->l)
		return TT_NOMEM;
	for (int64_t i = 0; set->init_ia3_weights && i < tensor_count(f->l); i++)
		f->l->data[i] = 1;
	return site_plug(s, f->in ? &in_hooks : &out_hooks, f);
}

static int ia3_merge(struct method *m, struct site *s)
{
	const struct factors *f = s->state;
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1];
	int code = method_own_weight(m, s);

	if (!code && s->bias && !f->in)
		code = model_own_param(m->model, s->bias);
	if (code)
		return code;
	for (int64_t o = 0; o < out; o++) {
		for (int64_t i = 0; i < in; i++)
			s->weight->data[o * in + i] *= f->l->data[f->in ? i : o];
	}
	for (int64_t o = 0; s->bias && !f->in && o < out; o++)
		s->bias->data[o] *= f->l->data[o];
	return TT_OK;
}

/* ---- adapter_config.json ---- */

static int ia3_config(const struct method *m, struct jsonw *w)
{
	const struct ia3_settings *set = m->settings;
	const struct ia3 *a = m->state;
	int code = adapter_write_set(m, w, "target_modules", &m->target_modules);

	if (!code)
		code = adapter_write_set(m, w, "feedforward_modules", &a->feedforward);
	if (!code)
		code = adapter_write_set(m, w, "exclude_modules", &set->targeting.exclude_modules);
	adapter_write_bool(w, "init_ia3_weights", set->init_ia3_weights);
	/* every layer of ours stores [out,in] */
	adapter_write_bool(w, "fan_in_fan_out", false);
	return code;
}

/* Which side of a layer is scaled follows from the shape of its factors, which loading checks. */
static int ia3_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "exclude_modules",     "fan_in_fan_out",
					     "feedforward_modules", "init_ia3_weights",
					     "modules_to_save",     "target_modules" };

	(void)m;
	return adapter_refuse_others(config, known, COUNT(known));
}

/* ---- the panel ---- */

/* How far from ones. */
struct drift {
	double sum, least, most;
	int64_t n, flipped, near;
};

static void drift_add(struct drift *d, const struct tensor *l)
{
	for (int64_t i = 0; i < tensor_count(l); i++) {
		const double x = (double)l->data[i];

		d->least = d->n ? fmin(d->least, x) : x;
		d->most = d->n ? fmax(d->most, x) : x;
		d->sum += fabs(x - 1);
		d->flipped += x < 0;
		d->near += fabs(x - 1) <= 1e-3;
		d->n++;
	}
}

static void say(const struct watch *out, const char *what, double value)
{
	char key[192];

	snprintf(key, sizeof(key), "method/ia3/%s", what);
	out->metric(out->arg, key, value);
}

/* The change of all sites that are what site i is in its layer; nothing if one before i said it. */
static void say_term(const struct method *m, size_t i, const struct watch *out)
{
	const char *term = method_term(m->site[i]->name);
	struct drift d = { .n = 0 };
	char what[160];

	for (size_t k = 0; k < m->nsite; k++) {
		const struct factors *f = m->site[k]->state;

		if (strcmp(method_term(m->site[k]->name), term) != 0)
			continue;
		if (k < i)
			return;
		drift_add(&d, f->l);
	}
	snprintf(what, sizeof(what), "change/%s", term);
	say(out, what, d.sum / (double)d.n);
}

static void ia3_watch(struct method *m, const struct watch *out)
{
	struct panel change = { .out = out, .key = "method/ia3/change" };
	struct drift all = { .n = 0 };

	for (size_t i = 0; i < m->nsite; i++) {
		const struct factors *f = m->site[i]->state;
		struct drift own = { .n = 0 };

		drift_add(&own, f->l);
		drift_add(&all, f->l);
		panel_add(&change, m->site[i]->name, own.sum / (double)own.n);
		say_term(m, i, out);
	}
	if (!all.n)
		return;
	if (all.most > 10 || all.least < -10)
		panel_alarm(m, out, ALARM_RANGE,
			    "ia3: factors are from %.3g to %.3g; lower train.learning_rate",
			    all.least, all.most);
	panel_end(&change);
	say(out, "least", all.least);
	say(out, "most", all.most);
	say(out, "flipped", (double)all.flipped / (double)all.n);
	say(out, "near_one", (double)all.near / (double)all.n);
}

const struct method_ops method_ia3 = {
	.name = "ia3",
	.title = "(IA)^3",
	.cite = "Liu et al. 2022",
	.peft_type = "IA3",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct ia3_settings),
	.targeting_at = offsetof(struct ia3_settings, targeting),
	.targets = targets,
	.begin = ia3_begin,
	.attach = ia3_attach,
	.merge = ia3_merge,
	.config = ia3_config,
	.agrees = ia3_agrees,
	.watch = ia3_watch,
};
