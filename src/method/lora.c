/*
 * LoRA: W stays frozen; a low-rank step is learned beside it.
 *
 *     y = W x + b + s B A D(x)        A [r,in]  B [out,r]  s = lora_alpha / r
 *
 * D is dropout in training. rsLoRA divides by sqrt(r) instead; LoRA+ (Hayou et
 * al. 2024) is LoRA with a higher learning rate for B and for all vectors.
 */
#include "method/lowrank.h"

#include <stddef.h>

#include "base/err.h"

static const struct knob knobs[] = {
#include "method/lowrank_knobs.inc"
	{ "use_dora", KNOB_BOOL, LOWRANK_AT(use_dora), 0, 0, 1, 0, NULL, NULL,
	  "known from PEFT, where it turns LoRA into DoRA; only false is taken" },
#include "method/lowrank_plus.inc"
	{ 0 }
};

/* No dropout: PEFT has none on lookups either. */
static struct tensor *lora_embed(struct graph *g, struct site *s, const int32_t *id,
				 struct tensor *e)
{
	const struct lowrank *l = s->state;

	return op_embedding_low_rank(g, e, id, &l->step);
}

static const struct hooks linear_hooks = { .linear = lowrank_linear };
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

static void lora_watch(struct method *m, const struct watch *out)
{
	struct panel p = { .out = out, .key = "method/lora/delta_ratio" };

	lowrank_watch(m, &p);
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
	.learning_rate = lowrank_learning_rate,
	.weight_decay = lowrank_weight_decay,
	.watch = lora_watch,
};
