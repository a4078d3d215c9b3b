/*
 * AdaLoRA (Zhang et al. 2023): LoRA's step in the form of an SVD, with one
 * budget of ranks for all modules that falls while it trains.
 *
 *     y = W x + b + s B (E o A) D(x)        A [r,in]  E [r,1]  B [out,r]
 *
 * s = lora_alpha / (init_r + 1e-5). Row k of A, E[k] and column k of B are a
 * triplet, and E starts at zero. The loss grows by orth_reg_weight times the
 * mean of |A A^T - I| and |B^T B - I| over all modules, so that A and B stay
 * near what an SVD has.
 *
 * After each optimizer step a triplet's score is the sum of what its numbers
 * matter: I o U of E, and the means of I o U along A's row and B's column,
 * where I averages |p g| over the steps and U how far that swings. When ranks
 * move, E becomes zero for every triplet whose score is not above the one that
 * the budget ends at (rank_budget.h). Nothing else is touched, so a triplet
 * grows again until the next time and may come back. In the final phase the
 * pattern stays. What PEFT calls ranknum, the r in s, is init_r for ever.
 */
#include "method/adalora.h"

#include <stddef.h>

#include "base/err.h"

#define AT(member) offsetof(struct adalora_settings, member)

static const struct knob knobs[] = {
	{ "init_r", KNOB_INT, AT(init_r), 12, 1, 65536, 0, NULL, NULL,
	  "rank of every module at the start" },
	{ "target_r", KNOB_INT, AT(target_r), 8, 1, 65536, 0, NULL, NULL,
	  "rank of a module at the end, on average; as init_r: ranks never move" },
	{ "tinit", KNOB_INT, AT(tinit), 0, 0, ADALORA_STEPS_MAX, 0, NULL, NULL,
	  "steps before ranks begin to move" },
	{ "tfinal", KNOB_INT, AT(tfinal), 0, 0, ADALORA_STEPS_MAX, 0, NULL, NULL,
	  "steps at the end in which ranks stay as they are" },
	{ "deltaT", KNOB_INT, AT(deltaT), 1, 1, ADALORA_STEPS_MAX, 0, NULL, NULL,
	  "ranks move at every step that is a multiple of this" },
	{ "total_step", KNOB_INT, AT(total_step), 0, 1, ADALORA_STEPS_MAX, KNOB_OPTIONAL, NULL,
	  NULL, "optimizer steps that the budget is planned for; absent: those of the run" },
	{ "beta1", KNOB_REAL, AT(beta1), 0.85, 0, 1, KNOB_OPEN_MIN | KNOB_OPEN_MAX, NULL, NULL,
	  "how much the average of the importance keeps at a step" },
	{ "beta2", KNOB_REAL, AT(beta2), 0.85, 0, 1, KNOB_OPEN_MIN | KNOB_OPEN_MAX, NULL, NULL,
	  "the same for the average of its swings" },
	{ "orth_reg_weight", KNOB_REAL, AT(orth_reg_weight), 0.5, 0, 1e6, 0, NULL, NULL,
	  "weight of the penalty that keeps A and B near orthonormal" },
	{ "r", KNOB_INT, LOWRANK_AT(r), 8, 1, 65536, 0, NULL, NULL,
	  "known from PEFT, which does not use it here; init_r and target_r say the rank" },
	{ "lora_alpha", KNOB_REAL, LOWRANK_AT(lora_alpha), 8, -1e6, 1e6, 0, NULL, NULL,
	  "the step is scaled by lora_alpha / init_r; 0 or less: by 1" },
#include "method/lowrank_common.inc"
	{ "init_lora_weights", KNOB_JSON, LOWRANK_AT(init_lora_weights), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "first values: true, or false for a step that is not zero, to look for errors" },
	{ 0 }
};

/* ---- settings ---- */

static int adalora_begin(struct method *m)
{
	const struct adalora_settings *set = m->settings;
	const struct json *init = set->low.init_lora_weights;
	struct adalora *ada = method_alloc(m, sizeof(*ada));

	if (!ada)
		return TT_NOMEM;
	ada->steps = -1;
	m->state = ada;
	if (set->low.r != 8)
		return err_set(TT_INVALID,
			       "peft.r is not used by AdaLoRA, here or in PEFT; write init_r and "
			       "target_r");
	if (set->target_r > set->init_r)
		return err_set(TT_INVALID,
			       "peft.target_r is %lld, more than peft.init_r, %lld; ranks can "
			       "only become fewer",
			       (long long)set->target_r, (long long)set->init_r);
	if (init && json_type(init) != JSON_BOOL)
		return err_set(TT_INVALID,
			       "peft.init_lora_weights takes true or false with AdaLoRA");
	if (set->total_step != KNOB_NONE && adalora_schedule(set, set->total_step, "total_step's"))
		return TT_INVALID;
	return lowrank_begin(m);
}

/* ---- one site ---- */

/* A number beside each of t's, kept with the run. */
static struct tensor *keep_beside(struct method *m, const struct tensor *t, const char *what)
{
	const char *name = arena_printf(m->model->arena, "%s.%s", t->name, what);

	return name ? method_keep(m, name, t->rank, t->dim) : NULL;
}

static int keep_averages(struct method *m, struct adalora_site *a)
{
	for (int i = 0; i < ADALORA_FACTORS; i++) {
		a->sense[i] = keep_beside(m, a->factor[i], "sensitivity");
		a->doubt[i] = keep_beside(m, a->factor[i], "uncertainty");
		if (!a->sense[i] || !a->doubt[i])
			return TT_NOMEM;
	}
	a->masked = keep_beside(m, a->factor[ADALORA_E], "masked");
	return a->masked ? TT_OK : TT_NOMEM;
}

static int new_factors(struct method *m, const struct site *s, struct adalora_site *a)
{
	const struct json *init =
		((const struct adalora_settings *)m->settings)->low.init_lora_weights;
	const bool random = init && !json_bool(init);
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1], r = a->low.r;
	struct low_rank *step = &a->low.step;

	step->a = method_param(m, s->name, "lora_A", 2, (int64_t[]){ r, in }, INIT_NORMAL,
			       random ? 1 : 0.02);
	step->e = method_param(m, s->name, "lora_E", 2, (int64_t[]){ r, 1 },
			       random ? INIT_NORMAL : INIT_ZERO, 1);
	step->b = method_param(m, s->name, "lora_B", 2, (int64_t[]){ out, r }, INIT_NORMAL,
			       random ? 1 : 0.02);
	if (!step->a || !step->e || !step->b)
		return TT_NOMEM;
	a->factor[ADALORA_A] = step->a;
	a->factor[ADALORA_E] = step->e;
	a->factor[ADALORA_B] = step->b;
	return TT_OK;
}

static const struct hooks hooks = { .linear = lowrank_linear };

static int adalora_attach(struct method *m, struct site *s)
{
	const struct adalora_settings *set = m->settings;
	struct adalora_site *a = method_alloc(m, sizeof(*a));
	int code;

	if (!a)
		return TT_NOMEM;
	a->low.r = set->init_r;
	a->low.alpha = set->low.lora_alpha > 0 ? set->low.lora_alpha : (double)set->init_r;
	a->low.scale = a->low.alpha / ((double)set->init_r + 1e-5);
	code = lowrank_start(m, s, &a->low);
	if (!code)
		code = new_factors(m, s, a);
	if (!code)
		code = keep_averages(m, a);
	return code ? code : site_plug(s, &hooks, a);
}

/* Named after the first site: a combination may hold the method twice. */
static int adalora_attached(struct method *m)
{
	struct adalora *ada = m->state;
	const char *name = arena_printf(m->model->arena, "%s.lora_E.ledger", m->site[0]->name);

	if (name)
		ada->ledger = method_keep(m, name, 1, (int64_t[]){ LEDGER_ENTRIES });
	return ada->ledger ? TT_OK : TT_NOMEM;
}

bool adalora_lives(const struct adalora_site *a, int64_t k)
{
	const float e = a->factor[ADALORA_E]->data[k];

	return !(a->masked->data[k] > 0) || e < 0 || e > 0;
}

/* ---- the penalty ---- */

static struct tensor *adalora_penalty(struct method *m, struct graph *step)
{
	const struct adalora_settings *set = m->settings;
	const float weight = (float)(set->orth_reg_weight / (2.0 * (double)m->nsite));
	struct tensor *sum = NULL;

	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;
		struct tensor *rows = op_orthogonality(step, a->factor[ADALORA_A], true, weight);
		struct tensor *cols = op_orthogonality(step, a->factor[ADALORA_B], false, weight);

		rows = op_add(step, rows, cols);
		sum = i ? op_add(step, sum, rows) : rows;
	}
	return m->nsite ? sum : graph_tensor(step, 1, 1, false);
}

const struct method_ops method_adalora = {
	.name = "adalora",
	.title = "Adaptive budget of ranks",
	.cite = "Zhang et al. 2023",
	.peft_type = "ADALORA",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct adalora_settings),
	.targeting_at = LOWRANK_AT(targeting),
	.begin = adalora_begin,
	.attach = adalora_attach,
	.attached = adalora_attached,
	.plan = adalora_plan,
	.penalty = adalora_penalty,
	.after_step = adalora_after_step,
	.merge = lowrank_merge,
	.config = adalora_config,
	.agrees = adalora_agrees,
	.adopt = adalora_adopt,
	.pack = adalora_pack,
	.unpack = adalora_unpack,
	.watch = adalora_watch,
};
