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
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct knob knobs[] = {
	LOWRANK_KNOBS,
	{ .name = "lora_bias",
	  .type = KNOB_BOOL,
	  .at = offsetof(struct lowrank_settings, lora_bias),
	  .help = "give B a bias" },
	{ .name = "use_dora",
	  .type = KNOB_BOOL,
	  .at = offsetof(struct lowrank_settings, use_dora),
	  .help = "known from PEFT, where it turns LoRA into DoRA; only false is taken" },
	{ .name = "loraplus_lr_ratio",
	  .type = KNOB_REAL,
	  .at = offsetof(struct lowrank_settings, loraplus_lr_ratio),
	  .min = 1,
	  .max = 1e6,
	  .flags = KNOB_OPTIONAL,
	  .help = "LoRA+: learning rate of B and of vectors, over that of A" },
	{ .name = "loraplus_weight_decay",
	  .type = KNOB_REAL,
	  .at = offsetof(struct lowrank_settings, loraplus_weight_decay),
	  .min = 0,
	  .max = 1,
	  .help = "LoRA+: weight decay, instead of train.weight_decay" },
	{ .name = "loraplus_lr_embedding",
	  .type = KNOB_REAL,
	  .at = offsetof(struct lowrank_settings, loraplus_lr_embedding),
	  .def = 1e-6,
	  .min = 0,
	  .max = 1,
	  .flags = KNOB_OPEN_MIN,
	  .help = "LoRA+: learning rate of the factors of lookup tables" },
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

/* Vectors of base and head are biases and norms, which never decay; everything else takes LoRA+'s own rate. */
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

/* How large the learned step is beside the base weight: over all sites, and the mean of each layer. */
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
