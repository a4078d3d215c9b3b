/*
 * Prefix tuning: keys and values before those of the text in every attention
 * are learned; the model stays as it is.
 *
 *     attention(Q, [P_k; K], [P_v; V])        P [n, 2 L H], or P = MLP(E)
 *
 * They have no positions; those of the text begin at n, as when a model goes on
 * from a cache of n keys. init_weights "zero" does not make it begin as the
 * base model: a key of zeros still takes its share of the softmax.
 */
#include "method/kvprefix.h"

#include "base/err.h"

enum { INIT_WEIGHTS_ZERO, INIT_WEIGHTS_RANDOM };

#define AT(member) offsetof(struct prefix_settings, member)

static const struct knob knobs[] = {
#include "method/softprompt_knobs.inc"
	{ "prefix_projection", KNOB_BOOL, AT(prefix_projection), 0, 0, 1, 0, NULL, NULL,
	  "make the prefix by an embedding and an MLP that train in its place" },
	{ "encoder_hidden_size", KNOB_INT, AT(encoder_hidden_size), 0, 1, 65536, KNOB_OPTIONAL,
	  NULL, NULL, "hidden size of that MLP; absent: the model's" },
	{ "init_weights", KNOB_CHOICE, AT(init_weights), INIT_WEIGHTS_RANDOM, 0, INIT_WEIGHTS_ZERO,
	  KNOB_OPTIONAL, "zero", NULL,
	  "zero: begin with keys and values of zeros; absent: random ones" },
	{ 0 }
};

static int64_t hidden_size(const struct method *m)
{
	const struct prefix_settings *set = m->settings;

	return set->encoder_hidden_size == KNOB_NONE ? m->model->hp.hidden_size
						     : set->encoder_hidden_size;
}

static int prefix_begin(struct method *m)
{
	const struct prefix_settings *set = m->settings;
	const struct kvprefix_how how = {
		.n = set->common.num_virtual_tokens,
		.hidden = set->prefix_projection ? hidden_size(m) : 0,
		.zero = set->init_weights == INIT_WEIGHTS_ZERO,
		.in_place = set->in_place,
		.gated = set->gated,
	};
	const int code = softprompt_check(m);

	return code ? code : kvprefix_begin(m, &how);
}

static int prefix_loaded(struct method *m, bool encoder)
{
	return softprompt_loaded(m, kvprefix_table(m->state), encoder,
				 "with peft.prefix_projection false the prefix itself trains");
}

static int prefix_config(const struct method *m, struct jsonw *w)
{
	const struct prefix_settings *set = m->settings;

	return kvprefix_config(m, w, set->prefix_projection, hidden_size(m),
			       set->init_weights == INIT_WEIGHTS_ZERO);
}

static void prefix_watch(struct method *m, const struct watch *out)
{
	kvprefix_watch(m->state, m->ops->name, out);
	kvprefix_watch_gates(m, m->state, out);
}

const struct method_ops method_prefix = {
	.name = "prefix",
	.title = "Prefix tuning",
	.cite = "Li and Liang 2021",
	.peft_type = "PREFIX_TUNING",
	.lists_heads_twice = true,
	.knobs = knobs,
	.settings_size = sizeof(struct prefix_settings),
	.takes_modules_to_save = true,
	.seated = true,
	.begin = prefix_begin,
	.before_step = kvprefix_before_step,
	.after_step = kvprefix_after_step,
	.config = prefix_config,
	.agrees = kvprefix_agrees,
	.file_name = softprompt_file_name,
	.encoder_name = softprompt_encoder_name,
	.loaded = prefix_loaded,
	.watch = prefix_watch,
};
