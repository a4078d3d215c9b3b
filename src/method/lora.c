/*
 * LoRA: W stays frozen; a low-rank step is learned beside it.
 *
 *     y = W x + b + s B A D(x)        A [r,in]  B [out,r]  s = lora_alpha / r
 *
 * D is dropout in training. rsLoRA divides by sqrt(r) instead; LoRA+ (Hayou et
 * al. 2024) is LoRA with a higher learning rate for B and for all vectors. As a
 * part of UniPELT it has a gate of x in the place of s.
 */
#include "method/lowrank.h"

#include <stddef.h>

#include "base/err.h"
#include "method/gating.h"

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

/* The gate scales what A makes, which is small. */
static struct tensor *lora_gated(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	struct tensor *z = op_linear(g, op_dropout(g, x, l->dropout), l->step.a, NULL),
		      *gate = gating_rows(g, l->own, x), *h = site_base(g, s, x), *y;

	y = gate ? op_add_linear(g, h, z,
				 &(struct add_linear){
					 .w = l->step.b, .b = l->step.c, .gate = gate, .by = 1 })
		 : NULL;
	graph_done(g, h);
	return y;
}

static const struct hooks linear_hooks = { .linear = lowrank_linear };
static const struct hooks gated_hooks = { .linear = lora_gated };
static const struct hooks embed_hooks = { .embed = lora_embed };

static int lora_begin(struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	if (set->use_dora)
		return err_set(TT_INVALID, "peft.use_dora: DoRA is a method of its own here; write "
					   "\"method\": \"dora\"");
	return lowrank_begin(m);
}

static int attach_gated(struct method *m, struct site *s, struct lowrank *l)
{
	const char *module = arena_printf(m->model->arena, "%s.lora", s->name);
	struct gating *gate;
	int code;

	if (l->kind == LOWRANK_EMBED)
		return err_set(TT_INVALID,
			       "peft.target_modules picks '%s', a lookup layer, which has no input "
			       "to make a gate of",
			       s->name);
	code = module ? gating_new(m, module, s->weight->dim[1], &gate) : TT_NOMEM;
	if (code)
		return code;
	l->own = gate;
	return site_plug(s, &gated_hooks, l);
}

static int lora_attach(struct method *m, struct site *s)
{
	const struct lowrank_settings *set = m->settings;
	struct lowrank *l;
	const int code = lowrank_new(m, s, &l);

	if (code)
		return code;
	if (set->gated)
		return attach_gated(m, s, l);
	return site_plug(s, l->kind == LOWRANK_EMBED ? &embed_hooks : &linear_hooks, l);
}

static void watch_gates(struct method *m, const struct watch *out)
{
	struct gating_panel p;

	gating_panel_begin(&p, m, out);
	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;

		gating_panel_add(&p, l->own);
	}
	gating_panel_end(&p, LOWRANK_ALARMS);
}

static void lora_watch(struct method *m, const struct watch *out)
{
	const struct lowrank_settings *set = m->settings;
	struct panel p = { .out = out, .key = "method/lora/delta_ratio" };

	lowrank_watch(m, &p);
	if (set->gated)
		watch_gates(m, out);
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
