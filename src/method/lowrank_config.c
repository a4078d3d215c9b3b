/*
 * A low-rank method's part of adapter_config.json: writing it as PEFT does, and
 * judging whether a file means what the recipe means. What counts is the rank
 * and the scale of every adapted site, not the words they were given in.
 */
#include "method/lowrank.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"

static void write_pattern(struct jsonw *w, const char *key, const struct json *map, double times)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (const struct json *j = map ? json_first(map) : NULL; j; j = json_next(j)) {
		jsonw_key(w, json_key(j));
		jsonw_real(w, json_number(j) * times);
	}
	jsonw_end(w, '}');
}

/* What PEFT has and we do not: each at the value that means "not used". */
static void write_unused(struct jsonw *w)
{
	static const char *const nulls[] = {
		"alora_invocation_tokens",
		"arrow_config",
		"corda_config",
		"eva_config",
		"kasa_config",
		"layer_replication",
		"lora_ga_config",
		"megatron_config",
		"monteclora_config",
		"target_parameters",
		"trainable_token_indices",
		"use_bdlora",
		"velora_config",
	};

	for (size_t i = 0; i < COUNT(nulls); i++) {
		jsonw_key(w, nulls[i]);
		jsonw_null(w);
	}
	adapter_write_bool(w, "ensure_weight_tying", false);
	adapter_write_bool(w, "use_qalora", false);
	write_pattern(w, "loftq_config", NULL, 1);
	jsonw_key(w, "megatron_core");
	jsonw_text(w, "megatron.core");
	jsonw_key(w, "qalora_group_size");
	jsonw_int(w, 16);
}

static int write_settings(const struct method *m, struct jsonw *w,
			  const struct lowrank_settings *set, const struct texts *target_modules,
			  const char *bias)
{
	/* in files of twice the rank alpha grows along, so that the scale stays */
	const int r_times = m->settings == set && lowrank_doubles(m) ? 2 : 1;
	const double alpha_times = set->use_rslora ? sqrt(r_times) : r_times;
	int code;

	jsonw_key(w, "r");
	jsonw_int(w, set->r * r_times);
	jsonw_key(w, "lora_alpha");
	jsonw_real(w, set->lora_alpha * alpha_times);
	jsonw_key(w, "lora_dropout");
	adapter_write_float(w, set->lora_dropout);
	jsonw_key(w, "bias");
	jsonw_text(w, bias);
	adapter_write_bool(w, "use_rslora", set->use_rslora);
	adapter_write_bool(w, "use_dora", set->use_dora);
	adapter_write_bool(w, "lora_bias", set->lora_bias);
	/* every layer of ours stores [out,in] */
	adapter_write_bool(w, "fan_in_fan_out", false);
	write_pattern(w, "alpha_pattern", set->alpha_pattern, alpha_times);
	jsonw_key(w, "init_lora_weights");
	if (set->init_lora_weights && r_times == 1)
		jsonw_json(w, set->init_lora_weights);
	else
		jsonw_bool(w, true);
	adapter_write_layers(w, &set->targeting);
	code = adapter_write_set(m, w, "target_modules", target_modules);
	if (!code)
		code = adapter_write_set(m, w, "exclude_modules", &set->targeting.exclude_modules);
	write_unused(w);
	return code;
}

int lowrank_write_config(const struct method *m, struct jsonw *w,
			 const struct lowrank_settings *set)
{
	static const char *const bias[] = { "none", "all", "lora_only" };

	return write_settings(m, w, set, &m->target_modules, bias[set->bias]);
}

int lowrank_config(const struct method *m, struct jsonw *w)
{
	const struct lowrank_settings *set = m->settings;

	write_pattern(w, "rank_pattern", set->rank_pattern, lowrank_doubles(m) ? 2 : 1);
	return lowrank_write_config(m, w, set);
}

int lowrank_dummy_config(const struct method *m, struct jsonw *w, const char *bias)
{
	static const char *const dummy[] = { "dummy-target-modules" };
	const struct lowrank_settings set = { .r = 8, .lora_alpha = 8 };
	const struct texts targets = { .item = dummy, .n = 1 };

	write_pattern(w, "rank_pattern", NULL, 1);
	return write_settings(m, w, &set, &targets, bias);
}

/* ---- does a file agree? ---- */

/*
 * Keys that are looked at below, that tensors' names and shapes speak for, or
 * that matter to training alone.
 */
static const char *const looked_at[] = {
	"alpha_pattern",
	"bias",
	"corda_config",
	"eva_config",
	"exclude_modules",
	"fan_in_fan_out",
	"init_lora_weights",
	"layers_pattern",
	"layers_to_transform",
	"loftq_config",
	"lora_alpha",
	"lora_bias",
	"lora_dropout",
	"lora_ga_config",
	"megatron_core",
	"modules_to_save",
	"qalora_group_size",
	"r",
	"rank_pattern",
	"target_modules",
	"use_dora",
	"use_rslora",
	"velora_config",
};

static const struct json *json_object_or_null(const struct json *config, const char *key)
{
	const struct json *j = json_get(config, key);

	return j && json_type(j) == JSON_OBJECT ? j : NULL;
}

/* Rank and scale of every site, as the file has them. */
static int sites_agree(const struct method *m, const struct json *config)
{
	const bool rslora = adapter_true(config, "use_rslora");
	const int64_t times = lowrank_doubles(m) ? 2 : 1;

	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;
		double r, alpha;
		int code = lowrank_setting(json_object_or_null(config, "rank_pattern"),
					   "rank_pattern", m->site[i]->name,
					   adapter_number(config, "r", 8), &r);

		if (!code)
			code = lowrank_setting(json_object_or_null(config, "alpha_pattern"),
					       "alpha_pattern", m->site[i]->name,
					       adapter_number(config, "lora_alpha", 8), &alpha);
		if (code)
			return code;
		if (!(fabs(r - (double)(l->r * times)) < 0.5))
			return err_set(TT_INVALID, "r is %g for '%s', and the recipe %s %lld", r,
				       m->site[i]->name,
				       times > 1 ? "(pissa_niter: twice its r) makes it" : "says",
				       (long long)(l->r * times));
		if (!(fabs(lowrank_scale(r, alpha, rslora) - l->scale) <= 1e-6 * l->scale))
			return err_set(TT_INVALID,
				       "lora_alpha %g%s scales the step of '%s' by %g, and the "
				       "recipe scales it by %g",
				       alpha, rslora ? " with use_rslora" : "", m->site[i]->name,
				       lowrank_scale(r, alpha, rslora), l->scale);
	}
	return TT_OK;
}

/*
 * PiSSA and OLoRA change the base, so both sides must mean the same one; the
 * others differ in first values only.
 */
static int init_agrees(const struct json *file, const struct json *ours)
{
	enum lowrank_first a, b;
	int rounds = 0;

	/* an init we do not know may change the base too, unless it is one of those that do not */
	if (file && json_text(file) &&
	    (!strcmp(json_text(file), "eva") || !strcmp(json_text(file), "mica")))
		file = NULL;
	if (lowrank_first_parse(file, &a, &rounds))
		return err_set(TT_INVALID, "init_lora_weights \"%s\" is not supported",
			       json_text(file) ? json_text(file) : json_type_name(json_type(file)));
	if (lowrank_first_parse(ours, &b, &rounds))
		return TT_INVALID;
	if (a == FIRST_PISSA_RANDOM)
		return err_set(TT_INVALID,
			       "init_lora_weights \"%s\" took random values out of the base that "
			       "the file does not tell; convert the adapter to plain LoRA",
			       json_text(file));
	/* a pissa_niter run of ours is written as plain LoRA */
	if (b == FIRST_PISSA_RANDOM)
		b = FIRST_TRUE;
	if ((a >= FIRST_PISSA || b >= FIRST_PISSA) && a != b)
		return err_set(TT_INVALID, "init_lora_weights is not what the recipe says, and it "
					   "changes the base weights");
	return TT_OK;
}

int lowrank_check_config(const struct method *m, const struct json *config, const char *const *more,
			 size_t n)
{
	const struct lowrank_settings *set = m->settings;
	const char *known[64];
	int code;

	assert(COUNT(looked_at) + n <= COUNT(known));
	memcpy(known, looked_at, sizeof(looked_at));
	memcpy(known + COUNT(looked_at), more, n * sizeof(*more));
	code = adapter_refuse_others(config, known, COUNT(looked_at) + n);
	if (!code && adapter_true(config, "use_dora") != set->use_dora)
		code = err_set(TT_INVALID, "use_dora is %s, and the recipe's method is '%s'",
			       set->use_dora ? "false" : "true", m->ops->name);
	return code;
}

int lowrank_agrees(const struct method *m, const struct json *config)
{
	return lowrank_agrees_with(m, config, looked_at, 0);
}

int lowrank_agrees_with(const struct method *m, const struct json *config, const char *const *more,
			size_t n)
{
	const struct lowrank_settings *set = m->settings;
	const bool embeds_only = !m->nsite;
	int code = lowrank_check_config(m, config, more, n);

	if (!code && adapter_true(config, "lora_bias") != set->lora_bias && !embeds_only)
		code = err_set(TT_INVALID, "lora_bias is %s, and the recipe says otherwise",
			       set->lora_bias ? "false" : "true");
	if (!code)
		code = init_agrees(json_get(config, "init_lora_weights"), set->init_lora_weights);
	return code ? code : sites_agree(m, config);
}

int lowrank_dummy_agrees(const struct method *m, const struct json *config)
{
	const struct json *targets = json_get(config, "target_modules");
	const char *text = targets ? json_text(targets) : NULL;

	if (!text || strcmp(text, "dummy-target-modules") != 0)
		return err_set(TT_INVALID,
			       "it adapts modules (target_modules), and method '%s' does not",
			       m->ops->name);
	return adapter_refuse_others(config, looked_at, COUNT(looked_at));
}
