/*
 * AdapterFusion: adapters that were trained before, each for a task of its own,
 * are mixed by attention that is learned on a new one; they and the model stay.
 *
 *     h + sum_i p_i Wv u_i takes h's place, p by attention over the adapters (mixer.h)
 *
 * Wv begins as the identity and is held near it by 0.01 |I - Wv|^2, which is part
 * of the loss of the same step. "static" has no Wv.
 *
 * The adapters lie in the method's own folder as well, so that it needs no other.
 */
#include "method/mixer.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"
#include "method/panel.h"

enum fusion_preset { FUSION_DYNAMIC, FUSION_STATIC };

struct fusion_settings {
	struct targeting targeting; /* modules_to_save alone */
	struct texts adapters;
	int fusion; /* enum fusion_preset */
	bool regularization, temperature;
	double dropout_prob; /* NAN: the model's */
};

struct fusion_state {
	struct trained_list trained;
	struct mixer_how how;
	struct mixer **mixer;
	size_t n;
	struct tensor *temperature; /* [1]; NULL: 1 */
};

static const double weight_of_penalty = 0.01;
/* AdapterHub's; there a step is a pass, here it is a step of training. */
static const float warmest = 50, cooling = 0.05f;

#define AT(member) offsetof(struct fusion_settings, member)

static const struct knob knobs[] = {
	{ "adapters", KNOB_PATHS, AT(adapters), 0, 0, 0, KNOB_REQUIRED, NULL, NULL,
	  "folders that method adapter has written, all of one placement; their order stays" },
	{ "fusion", KNOB_CHOICE, AT(fusion), FUSION_DYNAMIC, 0, 1, 0, "dynamic|static", NULL,
	  "static: what the adapters make is mixed as it is, without a value matrix" },
	{ "regularization", KNOB_BOOL, AT(regularization), 1, 0, 1, 0, NULL, NULL,
	  "hold the value matrix near the identity" },
	{ "dropout_prob", KNOB_REAL, AT(dropout_prob), 0, 0, 1, KNOB_OPTIONAL | KNOB_OPEN_MAX, NULL,
	  NULL, "dropout on the scores; absent: as on the model's attention" },
	{ "temperature", KNOB_BOOL, AT(temperature), 0, 0, 1, 0, NULL, NULL,
	  "divide the scores by 50 at first, by 0.05 less every step, down to 1" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ 0 }
};

/* ---- beginning ---- */

static int new_temperature(struct method *m)
{
	const struct fusion_settings *set = m->settings;
	struct fusion_state *f = m->state;

	if (!set->temperature)
		return TT_OK;
	f->temperature = method_fixed(m, NULL, "adapter_fusion.temperature", 1, (int64_t[]){ 1 },
				      INIT_ZERO, 0, false);
	if (!f->temperature)
		return TT_NOMEM;
	f->temperature->data[0] = warmest;
	return method_keep_too(m, f->temperature);
}

static int new_mixers(struct method *m)
{
	struct fusion_state *f = m->state;
	const struct bottleneck_how all = { .place = f->trained.item[0].how.place };
	struct site *s = NULL;

	f->mixer = method_alloc(m, m->model->nsite * sizeof(struct mixer *));
	if (!f->mixer)
		return TT_NOMEM;
	while ((s = bottleneck_site(m->model, &all, s))) {
		const int code = mixer_new(m, &f->how, s, &f->mixer[f->n]);

		if (code)
			return code;
		f->n += f->mixer[f->n] != NULL;
	}
	return f->n ? TT_OK
		    : err_set(TT_INVALID, "peft.adapters: none of them has an adapter for a layer "
					  "of this model");
}

static int fusion_begin(struct method *m)
{
	const struct fusion_settings *set = m->settings;
	struct fusion_state *f = method_alloc(m, sizeof(*f));
	int code = f ? trained_open(m, &set->adapters, &f->trained) : TT_NOMEM;

	if (code)
		return code;
	m->state = f;
	code = new_temperature(m);
	f->how = (struct mixer_how){
		.trained = &f->trained,
		.has_value = set->fusion == FUSION_DYNAMIC,
		.dropout = (float)(isnan(set->dropout_prob)
					   ? m->model->hp.attention_probs_dropout_prob
					   : set->dropout_prob),
		.temperature = f->temperature,
	};
	if (!code)
		code = new_mixers(m);
	trained_close(&f->trained);
	return code;
}

/* ---- the course of a run ---- */

static struct tensor *fusion_penalty(struct method *m, struct graph *step)
{
	const struct fusion_settings *set = m->settings;
	const struct fusion_state *f = m->state;
	struct tensor *sum = NULL;

	for (size_t i = 0; set->regularization && i < f->n && f->mixer[i]->value; i++) {
		struct tensor *own = op_near_identity(step, f->mixer[i]->value,
						      (float)weight_of_penalty);

		sum = i ? op_add(step, sum, own) : own;
		if (!sum)
			return NULL;
	}
	if (sum)
		return sum;
	sum = graph_tensor(step, 1, 1, false);
	if (sum)
		sum->data[0] = 0;
	return sum;
}

static int fusion_after_step(struct method *m, int64_t step)
{
	const struct fusion_state *f = m->state;

	(void)step;
	if (f->temperature)
		f->temperature->data[0] = fmaxf(1, f->temperature->data[0] - cooling);
	return TT_OK;
}

static int fusion_loaded(struct method *m, bool encoder)
{
	const struct fusion_state *f = m->state;

	(void)encoder;
	for (size_t i = 0; i < f->n; i++)
		mixer_follow(f->mixer[i]);
	return TT_OK;
}

/* ---- adapter_config.json ---- */

static const char *const presets[] = { "dynamic", "static" };

static int fusion_config(const struct method *m, struct jsonw *w)
{
	const struct fusion_settings *set = m->settings;
	const struct fusion_state *f = m->state;

	jsonw_key(w, "adapters");
	jsonw_array(w);
	for (size_t i = 0; i < f->trained.n; i++) {
		jsonw_object(w);
		jsonw_key(w, "name");
		jsonw_text(w, f->trained.item[i].name);
		bottleneck_config(&f->trained.item[i].how, w);
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
	jsonw_key(w, "fusion");
	jsonw_text(w, presets[set->fusion]);
	jsonw_key(w, "dropout_prob");
	if (isnan(set->dropout_prob))
		jsonw_null(w);
	else
		adapter_write_float(w, set->dropout_prob);
	adapter_write_bool(w, "regularization", set->regularization);
	adapter_write_bool(w, "temperature", set->temperature);
	return TT_OK;
}

static int fusion_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "adapters",        "dropout_prob",   "fusion",
					     "modules_to_save", "regularization", "temperature" };
	const struct fusion_settings *set = m->settings;
	const struct fusion_state *f = m->state;
	const struct json *list = json_get(config, "adapters"),
			  *preset = json_get(config, "fusion"),
			  *one = list ? json_first(list) : NULL;
	int code = adapter_refuse_others(config, known, COUNT(known));

	if (code)
		return code;
	if (!preset || !json_text(preset) || strcmp(json_text(preset), presets[set->fusion]) != 0)
		return err_set(TT_INVALID, "fusion is not \"%s\", as the recipe says",
			       presets[set->fusion]);
	if (!list || json_count(list) != f->trained.n)
		return err_set(TT_INVALID, "it mixes %zu adapters, and the recipe %zu",
			       list ? json_count(list) : 0, f->trained.n);
	for (size_t i = 0; !code && i < f->trained.n; i++, one = json_next(one))
		code = bottleneck_agrees(&f->trained.item[i].how, one) ? err_in("adapters.%zu", i)
								       : TT_OK;
	return code;
}

/* ---- the panel ---- */

enum { CELLS = 18, ALARM_ALONE = 0 }; /* numbers of adapters and layers that there is room for */

static void say(const struct watch *out, const char *what, const char *layer, const char *of,
		double value)
{
	char key[224];

	snprintf(key, sizeof(key), "method/adapter_fusion/%s%s%s%s%s", what, *layer ? "/" : "",
		 layer, *of ? "/" : "", of);
	out->metric(out->arg, key, value);
}

/* "layer_3", and where a layer has two of them what it is in it. */
static const char *cell_of(const struct fusion_state *f, const char *site, char *ret, size_t size)
{
	char layer[64];

	method_part(site, layer, sizeof(layer));
	if (f->trained.item[0].how.place == PLACE_HOULSBY)
		snprintf(ret, size, "%s/%s", layer, method_term(site));
	else
		snprintf(ret, size, "%s", layer);
	return ret;
}

/* What one adapter gets in every sublayer that has it, and in all of them. */
static void watch_share(struct method *m, size_t adapter, const struct watch *out)
{
	const struct fusion_state *f = m->state;
	const char *name = f->trained.item[adapter].name;
	double sum = 0, least = 1;
	char cell[160];
	int n = 0;

	for (size_t i = 0; i < f->n; i++) {
		const double share = mixer_share(f->mixer[i], adapter);

		if (isnan(share))
			continue;
		if (f->n * f->trained.n <= CELLS)
			say(out, "attention", cell_of(f, f->mixer[i]->site, cell, sizeof(cell)),
			    name, share);
		least = fmin(least, share);
		sum += share;
		n++;
	}
	if (!n)
		return;
	say(out, "attention", "", name, sum / n);
	if (least > 0.99)
		panel_alarm(m, out, ALARM_ALONE,
			    "adapter_fusion: '%s' gets more than 0.99 of the attention "
			    "everywhere; the others could be left out",
			    name);
}

static void fusion_watch(struct method *m, const struct watch *out)
{
	const struct fusion_settings *set = m->settings;
	const struct fusion_state *f = m->state;
	struct panel entropy = { .out = out,
				 .key = "method/adapter_fusion/entropy",
				 .brief = true };
	struct panel drift = { .out = out,
			       .key = "method/adapter_fusion/value_drift",
			       .brief = true };
	double penalty = 0;

	for (size_t a = 0; a < f->trained.n; a++)
		watch_share(m, a, out);
	for (size_t i = 0; i < f->n; i++) {
		const double spread = mixer_entropy(f->mixer[i]), apart = mixer_drift(f->mixer[i]);

		if (!isnan(spread))
			panel_add(&entropy, f->mixer[i]->site, spread);
		if (f->mixer[i]->value)
			panel_add(&drift, f->mixer[i]->site, apart);
		penalty += weight_of_penalty * apart * apart;
	}
	panel_end(&entropy);
	panel_end(&drift);
	if (set->regularization && set->fusion == FUSION_DYNAMIC)
		say(out, "penalty", "", "", penalty);
	if (f->temperature)
		say(out, "temperature", "", "", (double)f->temperature->data[0]);
}

const struct method_ops method_adapter_fusion = {
	.name = "adapter_fusion",
	.title = "AdapterFusion",
	.cite = "Pfeiffer et al. 2021",
	.peft_type = "TRIMTAB_ADAPTER_FUSION",
	.takes_modules_to_save = true,
	.seated = true,
	.knobs = knobs,
	.settings_size = sizeof(struct fusion_settings),
	.targeting_at = offsetof(struct fusion_settings, targeting),
	.begin = fusion_begin,
	.penalty = fusion_penalty,
	.after_step = fusion_after_step,
	.config = fusion_config,
	.agrees = fusion_agrees,
	.loaded = fusion_loaded,
	.watch = fusion_watch,
};
