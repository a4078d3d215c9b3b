/*
 * LoRA: W stays frozen; a low-rank step is learned beside it.
 *
 *     y = W x + b + s B A D(x)        A [r,in]  B [out,r]  s = lora_alpha / r
 *
 * D is dropout in training. rsLoRA divides by sqrt(r) instead; LoRA+ (Hayou et
 * al. 2024) is LoRA with a higher learning rate for B and for all vectors.
 */
#include "method/lowrank.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define AT(member) offsetof(struct lowrank_settings, member)

static const struct knob knobs[] = {
	{ "r", KNOB_INT, AT(r), 8, 1, 65536, 0, NULL, NULL, "rank of the learned step" },
	{ "lora_alpha", KNOB_REAL, AT(lora_alpha), 8, 0, 1e6, KNOB_OPEN_MIN, NULL, NULL,
	  "the step is scaled by lora_alpha / r" },
	{ "lora_dropout", KNOB_REAL, AT(lora_dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what enters the step" },
	{ "use_rslora", KNOB_BOOL, AT(use_rslora), 0, 0, 1, 0, NULL, NULL,
	  "scale by lora_alpha / sqrt(r) instead" },
	{ "target_modules", KNOB_SELECT, AT(targeting.target_modules), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL,
	  "ends of module names, a regular expression, or all-linear; absent: the model's usual "
	  "ones" },
	{ "exclude_modules", KNOB_SELECT, AT(targeting.exclude_modules), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL, "modules to leave alone, written as target_modules are" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ "layers_to_transform", KNOB_INTS, AT(targeting.layers_to_transform), 0, 0, 0,
	  KNOB_OPTIONAL, NULL, NULL, "numbers of the layers to adapt; absent: all" },
	{ "layers_pattern", KNOB_SELECT, AT(targeting.layers_pattern), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL, "name of the list that the layer numbers count in" },
	{ "rank_pattern", KNOB_JSON, AT(rank_pattern), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "object from a pattern of module names to their rank" },
	{ "alpha_pattern", KNOB_JSON, AT(alpha_pattern), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "object from a pattern of module names to their lora_alpha" },
	{ "bias", KNOB_CHOICE, AT(bias), 0, 0, 2, 0, "none|all|lora_only", NULL,
	  "which biases of the base model train as well" },
	{ "init_lora_weights", KNOB_JSON, AT(init_lora_weights), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "first values: true, false, gaussian, orthogonal, pissa, pissa_niter_N or olora" },
	{ "lora_bias", KNOB_BOOL, AT(lora_bias), 0, 0, 1, 0, NULL, NULL, "give B a bias" },
	{ "fan_in_fan_out", KNOB_BOOL, AT(fan_in_fan_out), 0, 0, 1, 0, NULL, NULL,
	  "accepted for PEFT's sake; the layer itself says how its weight lies" },
	{ "use_dora", KNOB_BOOL, AT(use_dora), 0, 0, 1, 0, NULL, NULL,
	  "known from PEFT, where it turns LoRA into DoRA; only false is taken" },
	{ "loraplus_lr_ratio", KNOB_REAL, AT(loraplus_lr_ratio), 0, 1, 1e6, KNOB_OPTIONAL, NULL,
	  NULL, "LoRA+: learning rate of B and of vectors, over that of A" },
	{ "loraplus_weight_decay", KNOB_REAL, AT(loraplus_weight_decay), 0, 0, 1, 0, NULL, NULL,
	  "LoRA+: weight decay, instead of train.weight_decay" },
	{ "loraplus_lr_embedding", KNOB_REAL, AT(loraplus_lr_embedding), 1e-6, 0, 1, KNOB_OPEN_MIN,
	  NULL, NULL, "LoRA+: learning rate of the factors of lookup tables" },
	{ 0 }
};

static struct tensor *lora_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	struct tensor *z = op_dropout(g, x, l->dropout);

	return op_linear_low_rank(g, x, z, s->weight, s->bias, &l->step);
}

/* No dropout: PEFT has none on lookups either. */
static struct tensor *lora_embed(struct graph *g, struct site *s, const int32_t *id,
				 struct tensor *e)
{
	const struct lowrank *l = s->state;

	return op_embedding_low_rank(g, e, id, &l->step);
}

static const struct hooks linear_hooks = { .linear = lora_linear };
static const struct hooks embed_hooks = { .embed = lora_embed };

static int lora_begin(struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	if (set->use_dora)
		return err_set(TT_INVALID, "peft.use_dora: DoRA is a method of its own here; write "
					   "\"method\": \"dora\"");
	return lowrank_begin(m);
}

static int lora_attach(struct method *m, struct site *s)
{
	struct lowrank *l;
	const int code = lowrank_new(m, s, &l);

	return code ? code
		    : site_plug(s, l->kind == LOWRANK_EMBED ? &embed_hooks : &linear_hooks, l);
}

/* ---- LoRA+ ---- */

static bool is_plus(const struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	return !isnan(set->loraplus_lr_ratio);
}

static double lora_learning_rate(const struct method *m, const struct tensor *t, double base)
{
	const struct lowrank_settings *set = m->settings;

	if (!is_plus(m))
		return base;
	if (strstr(t->name, ".lora_embedding_"))
		return set->loraplus_lr_embedding;
	return t->rank == 1 || strstr(t->name, "lora_B") ? base * set->loraplus_lr_ratio : base;
}

/*
 * Vectors of base and head are biases and norms, which never decay; everything
 * else takes LoRA+'s own rate.
 */
static double lora_weight_decay(const struct method *m, const struct tensor *t, double base)
{
	const struct lowrank_settings *set = m->settings;

	if (!is_plus(m))
		return base;
	return t->rank == 1 ? 0 : set->loraplus_weight_decay;
}

/* ---- the panel ---- */

struct tally {
	char part[64];
	double sum;
	int n;
};

/*
 * How large the learned step is beside the base weight: over all sites, and the
 * mean of each layer.
 */
static void lora_watch(struct method *m, const struct watch *out)
{
	struct tally all = { .part = "all" }, layer = { .part = "" };
	double most = 0;
	char key[128], part[64];

	for (size_t i = 0; i <= m->nsite; i++) {
		const struct lowrank *l = i < m->nsite ? m->site[i]->state : NULL;
		double ratio;

		/* sites come in the order of the layers, so one tally at a time is enough */
		if (layer.n && (!l || strcmp(method_part(m->site[i]->name, part, sizeof(part)),
					     layer.part) != 0)) {
			snprintf(key, sizeof(key), "method/lora/delta_ratio/%s", layer.part);
			out->metric(out->arg, key, layer.sum / layer.n);
			layer = (struct tally){ .part = "" };
		}
		if (!l)
			break;
		ratio = l->weight_norm > 0 ? lowrank_delta_norm(l) / l->weight_norm : 0;
		most = fmax(most, ratio);
		all.sum += ratio;
		all.n++;
		method_part(m->site[i]->name, layer.part, sizeof(layer.part));
		layer.sum += ratio;
		layer.n++;
	}
	if (!all.n)
		return;
	out->metric(out->arg, "method/lora/delta_ratio_mean", all.sum / all.n);
	out->metric(out->arg, "method/lora/delta_ratio_max", most);
}

const struct method_ops method_lora = {
	.name = "lora",
	.title = "Low-rank adaptation",
	.cite = "Hu et al. 2021",
	.peft_type = "LORA",
	.wants = SITE_LINEAR | SITE_EMBED,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct lowrank_settings),
	.targeting_at = offsetof(struct lowrank_settings, targeting),
	.begin = lora_begin,
	.attach = lora_attach,
	.merge = lowrank_merge,
	.config = lowrank_config,
	.agrees = lowrank_agrees,
	.pack = lowrank_pack,
	.unpack = lowrank_unpack,
	.learning_rate = lora_learning_rate,
	.weight_decay = lora_weight_decay,
	.watch = lora_watch,
};
