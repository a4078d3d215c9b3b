/*
 * UniPELT (Mao et al. 2022): LoRA, a prefix and adapters in every layer, and for
 * each a gate that learns how much of it every sequence takes.
 *
 *     y = W x + b + g B A x                            on query and value, a gate each
 *     attention(Q, [g P_k; K], [g P_v; V])             P = MLP(E), n rows
 *     LN(h + g (f(z d^T + b_d) u^T + b_u) + x)         z = LN(h + x)
 *
 *     g = mean of sigmoid(r w^T + b) over the sequence's rows r of what is read (gating.h)
 *
 * LoRA's gate stands in the place of lora_alpha / r. It is the array of methods
 * lora, prefix and adapter, but for the gates and for the positions of the text,
 * which stay as they are. The mean is over the text's tokens; there is no padding.
 */
#include "base/err.h"
#include "method/bottleneck.h"
#include "method/combined.h"
#include "method/kvprefix.h"
#include "method/lowrank.h"

struct unipelt_settings {
	struct targeting targeting; /* of LoRA; modules_to_save of all */
	int64_t r, num_virtual_tokens, encoder_hidden_size;
	double lora_dropout;
	bool prefix_projection;
	double reduction_factor; /* the rest as in bottleneck_settings */
	int64_t bottleneck_size;
	int non_linearity;
	double dropout;
};

#define AT(member) offsetof(struct unipelt_settings, member)

static const struct knob knobs[] = {
	{ "r", KNOB_INT, AT(r), 8, 1, 65536, 0, NULL, NULL, "rank of LoRA's step" },
	{ "lora_dropout", KNOB_REAL, AT(lora_dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what enters LoRA's step" },
	{ "target_modules", KNOB_SELECT, AT(targeting.target_modules), 0, 0, 0, KNOB_OPTIONAL, NULL,
	  NULL,
	  "where LoRA sits: ends of module names, a regular expression, or all-linear; absent: the "
	  "model's usual ones" },
	{ "num_virtual_tokens", KNOB_INT, AT(num_virtual_tokens), 10, 1, 65536, 0, NULL, NULL,
	  "how many keys and values stand before the text's" },
	{ "prefix_projection", KNOB_BOOL, AT(prefix_projection), 1, 0, 1, 0, NULL, NULL,
	  "make the prefix by an embedding and an MLP that train in its place" },
	{ "encoder_hidden_size", KNOB_INT, AT(encoder_hidden_size), 512, 1, 65536, 0, NULL, NULL,
	  "hidden size of that MLP" },
	{ "reduction_factor", KNOB_REAL, AT(reduction_factor), 0, 0, 65536,
	  KNOB_OPTIONAL | KNOB_OPEN_MIN, NULL, NULL,
	  "the model's hidden size over the adapters'; absent: 16" },
	{ "bottleneck_size", KNOB_INT, AT(bottleneck_size), 0, 1, 65536, KNOB_OPTIONAL, NULL, NULL,
	  "the adapters' hidden size, instead of reduction_factor" },
	{ "non_linearity", KNOB_CHOICE, AT(non_linearity), 0, 0, 5, 0,
	  "relu|gelu|gelu_new|swish|silu|tanh", NULL, "what is between the adapters' layers" },
	{ "dropout", KNOB_REAL, AT(dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what adapters add" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ 0 }
};

/* LoRA keeps away from modules that train wholly. */
static int add_lora(struct method *m)
{
	const struct unipelt_settings *set = m->settings;
	struct lowrank_settings *part = combined_settings(m, "lora");

	if (!part)
		return TT_NOMEM;
	part->targeting.target_modules = set->targeting.target_modules;
	part->targeting.modules_to_save = set->targeting.modules_to_save;
	part->r = set->r;
	part->lora_alpha = (double)set->r; /* a scale of 1 */
	part->lora_dropout = set->lora_dropout;
	part->gated = true;
	return combined_add(m, "lora", part);
}

static int add_prefix(struct method *m)
{
	const struct unipelt_settings *set = m->settings;
	struct prefix_settings *part = combined_settings(m, "prefix");

	if (!part)
		return TT_NOMEM;
	part->common.num_virtual_tokens = set->num_virtual_tokens;
	part->prefix_projection = set->prefix_projection;
	part->encoder_hidden_size = set->encoder_hidden_size;
	part->in_place = part->gated = true;
	return combined_add(m, "prefix", part);
}

static int add_adapter(struct method *m)
{
	const struct unipelt_settings *set = m->settings;
	struct bottleneck_settings *part = combined_settings(m, "adapter");

	if (!part)
		return TT_NOMEM;
	part->reduction_factor = set->reduction_factor;
	part->bottleneck_size = set->bottleneck_size;
	part->non_linearity = set->non_linearity;
	part->dropout = set->dropout;
	part->gated = true;
	return combined_add(m, "adapter", part);
}

static int unipelt_begin(struct method *m)
{
	int code = add_lora(m);

	if (!code)
		code = add_prefix(m);
	return code ? code : add_adapter(m);
}

const struct method_ops method_unipelt = {
	.name = "unipelt",
	.title = "UniPELT",
	.cite = "Mao et al. 2022",
	.peft_type = "TRIMTAB_UNIPELT",
	.takes_modules_to_save = true,
	.seated = true,
	.knobs = knobs,
	.settings_size = sizeof(struct unipelt_settings),
	.targeting_at = offsetof(struct unipelt_settings, targeting),
	.begin = unipelt_begin,
	.config = combined_config,
	.agrees = combined_agrees,
};
