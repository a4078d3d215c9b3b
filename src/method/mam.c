/*
 * MAM adapters (mix and match, He et al. 2022): few keys and values before those
 * of every attention, and a wide adapter beside every feed-forward part.
 *
 *     attention(Q, [P_k; K], [P_v; V])        P = MLP(E), n rows
 *     LN(h + s (f(x d^T + b_d) u^T + b_u) + x)      d [k,H]  u [H,k], at first 0
 *
 * It is the array of methods prefix and adapter ("scaled_parallel" that begins as
 * nothing), but for the positions of the text, which stay as they are.
 */
#include "base/err.h"
#include "method/bottleneck.h"
#include "method/combined.h"
#include "method/kvprefix.h"

struct mam_settings {
	struct targeting targeting; /* modules_to_save alone */
	int64_t num_virtual_tokens, encoder_hidden_size, bottleneck_size;
	bool prefix_projection;
	int non_linearity;          /* as in bottleneck_settings */
	const struct json *scaling; /* the same */
	double dropout;
};

#define AT(member) offsetof(struct mam_settings, member)

static const struct knob knobs[] = {
	{ "num_virtual_tokens", KNOB_INT, AT(num_virtual_tokens), 30, 1, 65536, 0, NULL, NULL,
	  "how many keys and values stand before the text's" },
	{ "prefix_projection", KNOB_BOOL, AT(prefix_projection), 1, 0, 1, 0, NULL, NULL,
	  "make the prefix by an embedding and an MLP that train in its place" },
	{ "encoder_hidden_size", KNOB_INT, AT(encoder_hidden_size), 800, 1, 65536, 0, NULL, NULL,
	  "hidden size of that MLP" },
	{ "bottleneck_size", KNOB_INT, AT(bottleneck_size), 512, 1, 65536, 0, NULL, NULL,
	  "hidden size of the adapters" },
	{ "non_linearity", KNOB_CHOICE, AT(non_linearity), 0, 0, 5, 0,
	  "relu|gelu|gelu_new|swish|silu|tanh", NULL, "what is between the adapters' layers" },
	{ "scaling", KNOB_JSON, AT(scaling), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "factor of what adapters add: a number, learned, or channel (learned, one a column); "
	  "absent: 4" },
	{ "dropout", KNOB_REAL, AT(dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what adapters add" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ 0 }
};

static int add_prefix(struct method *m)
{
	const struct mam_settings *set = m->settings;
	struct prefix_settings *part = combined_settings(m, "prefix");

	if (!part)
		return TT_NOMEM;
	part->common.num_virtual_tokens = set->num_virtual_tokens;
	part->prefix_projection = set->prefix_projection;
	part->encoder_hidden_size = set->encoder_hidden_size;
	part->in_place = true;
	return combined_add(m, "prefix", part);
}

static int add_adapter(struct method *m)
{
	const struct mam_settings *set = m->settings;
	struct bottleneck_settings *part = combined_settings(m, "adapter");

	if (!part)
		return TT_NOMEM;
	part->placement = PLACE_SCALED_PARALLEL;
	part->init_weights = BOTTLENECK_MAM;
	part->bottleneck_size = set->bottleneck_size;
	part->non_linearity = set->non_linearity;
	part->scaling = set->scaling;
	part->dropout = set->dropout;
	return combined_add(m, "adapter", part);
}

/* The adapter first: its names of the head are the common ones. */
static int mam_begin(struct method *m)
{
	const int code = add_adapter(m);

	return code ? code : add_prefix(m);
}

const struct method_ops method_mam = {
	.name = "mam",
	.title = "MAM adapter",
	.cite = "He et al. 2022",
	.peft_type = "TRIMTAB_MAM",
	.takes_modules_to_save = true,
	.seated = true,
	.knobs = knobs,
	.settings_size = sizeof(struct mam_settings),
	.targeting_at = offsetof(struct mam_settings, targeting),
	.begin = mam_begin,
	.config = combined_config,
	.agrees = combined_agrees,
};
