/*
 * Head only: the backbone is frozen, and the task's classifier trains as a
 * linear probe of it. BERT's pooler belongs to the backbone, as in PEFT.
 *
 * The backbone runs as in evaluation: its dropouts are off, and only the
 * classifier's own stays. So an example always gives the same features, which
 * the trainer keeps. (transformers leaves the backbone's dropouts on.)
 *
 * Saved as a LoRA adapter that adapts nothing, which PEFT loads.
 */
#include "method/lowrank.h"

#include <math.h>

#include "base/err.h"

static const struct knob knobs[] = { { 0 } };

static void backbone_at_rest(struct hparams *h)
{
	if (isnan(h->classifier_dropout)) /* it follows the other one, which goes */
		h->classifier_dropout = h->hidden_dropout_prob;
	h->hidden_dropout_prob = h->attention_probs_dropout_prob = 0;
}

/* The head itself trains because every method trains it (modules_to_save). */
static int head_begin(struct method *m)
{
	if (!m->modules_to_save.n)
		return err_set(TT_INVALID,
			       "method 'head' needs a task with a classifier; task '%s' has none",
			       recipe_task_name(m->task));
	backbone_at_rest(&m->model->hp);
	return TT_OK;
}

static int head_config(const struct method *m, struct jsonw *w)
{
	return lowrank_dummy_config(m, w, "none");
}

static void head_watch(struct method *m, const struct watch *out)
{
	double size = 0, moved = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		for (int64_t k = 0; k < tensor_count(m->param[i]); k++) {
			const double x = (double)m->param[i]->data[k],
				     d = x - (double)m->before[i][k];

			size += x * x;
			moved += d * d;
		}
	}
	out->metric(out->arg, "method/head/norm", sqrt(size));
	out->metric(out->arg, "method/head/change", sqrt(moved));
}

const struct method_ops method_head = {
	.name = "head",
	.title = "Head only",
	.cite = "linear probe",
	.peft_type = "LORA",
	.starts_at_base = true,
	.knobs = knobs,
	.begin = head_begin,
	.config = head_config,
	.agrees = lowrank_dummy_agrees,
	.watch = head_watch,
};
