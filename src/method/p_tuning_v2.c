/*
 * P-Tuning v2: deep prompts for language understanding. A prompt stands at every
 * layer, as keys and values before those of the text (kvprefix.h), and a new
 * classifier reads what it read before: the text keeps its length.
 *
 *     attention(Q, [D(P_k); K], [D(P_v); V])        P [n, 2 L H], or P = MLP(E)
 *
 * D is dropout in training, for every example anew; prefix tuning has none. The
 * prompt may go on from another task's (init_adapter): then the head, which is of
 * other labels, begins anew. Saved as PEFT's prefix tuning, which it is once it is
 * trained.
 */
#include "method/kvprefix.h"

#include <math.h>
#include <stdio.h>

#include "base/err.h"
#include "tensor/kernel.h"

struct p_tuning_v2_settings {
	struct softprompt_settings common;
	bool prefix_projection;
	int64_t prefix_hidden_size;
	double hidden_dropout_prob; /* NAN: the model's */
};

#define AT(member) offsetof(struct p_tuning_v2_settings, member)

static const struct knob knobs[] = {
#include "method/softprompt_knobs.inc"
	{ "prefix_projection", KNOB_BOOL, AT(prefix_projection), 0, 0, 1, 0, NULL, NULL,
	  "make the prompt by an embedding and an MLP that train in its place" },
	{ "prefix_hidden_size", KNOB_INT, AT(prefix_hidden_size), 512, 1, 65536, 0, NULL, NULL,
	  "hidden size of that MLP" },
	{ "hidden_dropout_prob", KNOB_REAL, AT(hidden_dropout_prob), 0, 0, 1,
	  KNOB_OPTIONAL | KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on the prompt; absent: as in the model's layers" },
	{ 0 }
};

static int p_tuning_v2_begin(struct method *m)
{
	const struct p_tuning_v2_settings *set = m->settings;
	const double own = set->hidden_dropout_prob;
	const struct kvprefix_how how = {
		.n = set->common.num_virtual_tokens,
		.hidden = set->prefix_projection ? set->prefix_hidden_size : 0,
		.dropout = (float)(isnan(own) ? m->model->hp.hidden_dropout_prob : own),
	};
	const int code = softprompt_check(m);

	return code ? code : kvprefix_begin(m, &how);
}

static int p_tuning_v2_loaded(struct method *m, bool encoder)
{
	return softprompt_loaded(m, kvprefix_table(m->state), encoder,
				 "with peft.prefix_projection false the prompt itself trains");
}

/* PEFT knows no dropout of a prefix; in its inference there is none. */
static int p_tuning_v2_config(const struct method *m, struct jsonw *w)
{
	const struct p_tuning_v2_settings *set = m->settings;

	return kvprefix_config(m, w, set->prefix_projection, set->prefix_hidden_size, false);
}

static void p_tuning_v2_watch(struct method *m, const struct watch *out)
{
	double sum = 0;
	char key[96];

	kvprefix_watch(m->state, m->ops->name, out);
	for (size_t i = 0; i < m->nparam; i++) {
		if (m->before[i])
			sum += kernel_sum_squares(m->param[i]->data, tensor_count(m->param[i]));
	}
	snprintf(key, sizeof(key), "method/%s/head_norm", m->ops->name);
	out->metric(out->arg, key, sqrt(sum));
}

const struct method_ops method_p_tuning_v2 = {
	.name = "p_tuning_v2",
	.title = "P-Tuning v2",
	.cite = "Liu et al. 2022",
	.peft_type = "PREFIX_TUNING",
	.lists_heads_twice = true,
	.leaves_heads = true,
	.knobs = knobs,
	.settings_size = sizeof(struct p_tuning_v2_settings),
	.takes_modules_to_save = true,
	.seated = true,
	.begin = p_tuning_v2_begin,
	.before_step = kvprefix_before_step,
	.after_step = kvprefix_after_step,
	.config = p_tuning_v2_config,
	.agrees = kvprefix_agrees,
	.file_name = softprompt_file_name,
	.encoder_name = softprompt_encoder_name,
	.loaded = p_tuning_v2_loaded,
	.watch = p_tuning_v2_watch,
};
