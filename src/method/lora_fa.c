/*
 * LoRA-FA: LoRA whose A stays at its first, random values. B's gradient becomes
 * what moves the weight s B A as near to the full gradient as it can, and a form
 * of AdamW of its own does the rest, for all that trains:
 *
 *     gB' = s^-2 gB (A A^T + 1e-8 I)^+         r x r numbers, the same at every step
 *
 * The step and the files are LoRA's. What enters A is not kept.
 */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "method/decompose.h"
#include "method/lowrank.h"
#include "tensor/kernel.h"

static const struct knob knobs[] = {
#include "method/lowrank_knobs.inc"
	{ "use_dora", KNOB_BOOL, LOWRANK_AT(use_dora), 0, 0, 1, 0, NULL, NULL,
	  "known from PEFT, where it turns LoRA into DoRA; only false is taken" },
	{ 0 }
};

/* Of one site. */
struct projected {
	float *inverse;   /* [r,r], NULL until it is asked for */
	double condition; /* of A A^T + 1e-8 I */
	double ratio;     /* |gB'| / |gB| at the last step; 0: there was none */
};

enum { ALARM_CONDITION = LOWRANK_ALARMS };

static const double ridge = 1e-8, worst_condition = 1e6;

/* ---- sites ---- */

static const struct hooks hooks = { .linear = lowrank_linear };

static int lora_fa_begin(struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	if (set->use_dora)
		return err_set(TT_INVALID, "peft.use_dora does not go with method 'lora_fa'");
	if (set->lora_bias)
		return err_set(TT_INVALID, "peft.lora_bias does not go with method 'lora_fa'");
	return lowrank_begin(m);
}

static int lora_fa_attach(struct method *m, struct site *s)
{
	struct lowrank *l;
	const int code = lowrank_new_frozen(m, s, &l);

	if (code)
		return code;
	l->own = method_alloc(m, sizeof(struct projected));
	return l->own ? site_plug(s, &hooks, l) : TT_NOMEM;
}

/* Room for the largest gradient of a B as it came. */
static int lora_fa_attached(struct method *m)
{
	int64_t most = 1;

	for (size_t i = 0; i < m->nsite; i++) {
		const int64_t n = tensor_count(((struct lowrank *)m->site[i]->state)->step.b);

		most = n > most ? n : most;
	}
	m->state = method_alloc(m, (size_t)most * sizeof(float));
	return m->state ? TT_OK : TT_NOMEM;
}

/* ---- the gradient of B ---- */

/* A A^T + ridge I in double. */
static void gram(const struct tensor *a, double *ret)
{
	const int64_t r = a->dim[0], in = a->dim[1];

	for (int64_t p = 0; p < r; p++) {
		for (int64_t q = 0; q < r; q++) {
			double sum = p == q ? ridge : 0;

			for (int64_t i = 0; i < in; i++)
				sum += (double)a->data[p * in + i] * (double)a->data[q * in + i];
			ret[p * r + q] = sum;
		}
	}
}

/*
 * The pseudo-inverse by eigenvalues, times s^-2. What is below torch's bound for
 * fp32 counts as zero, as in PEFT: with r above the layer's inputs there is such.
 */
static void invert(const struct lowrank *l, const double *vector, const double *value)
{
	struct projected *p = l->own;
	const int64_t r = l->r;
	const double least = (double)r * FLT_EPSILON * value[r - 1];

	p->condition = value[r - 1] / fmax(value[0], ridge);
	for (int64_t i = 0; i < r * r; i++) {
		double sum = 0;

		for (int64_t k = 0; k < r; k++) {
			if (value[k] > least)
				sum += vector[k * r + i / r] * vector[k * r + i % r] / value[k];
		}
		p->inverse[i] = (float)(sum / (l->scale * l->scale));
	}
}

/* Once, when A has its numbers: it may come from a file. */
static int make_inverse(struct method *m, const struct lowrank *l)
{
	struct projected *p = l->own;
	const size_t r = (size_t)l->r;
	double *vector;
	int code;

	if (p->inverse)
		return TT_OK;
	vector = malloc((r * r + r) * sizeof(*vector));
	if (!vector)
		return err_set(TT_NOMEM, "no memory to invert A A^T of '%s'", l->step.a->name);
	gram(l->step.a, vector);
	code = decompose_symmetric(vector, l->r, vector + r * r);
	if (!code)
		p->inverse = method_alloc(m, r * r * sizeof(*p->inverse));
	if (p->inverse)
		invert(l, vector, vector + r * r);
	free(vector);
	return code ? err_in("A A^T of '%s'", l->step.a->name) : p->inverse ? TT_OK : TT_NOMEM;
}

static int project(struct method *m, const struct lowrank *l)
{
	struct projected *p = l->own;
	struct tensor *b = l->step.b;
	const int64_t out = b->dim[0], r = l->r, n = out * r;
	const double before = kernel_sum_squares(b->grad, n);
	const int code = make_inverse(m, l);
	float *came = m->state;

	if (code)
		return code;
	memcpy(came, b->grad, (size_t)n * sizeof(*came));
	gemm_run(m->model->gemm, false, false, out, r, r, 1, came, r, p->inverse, r, 0, b->grad, r);
	p->ratio = before > 0 ? sqrt(kernel_sum_squares(b->grad, n) / before) : 0;
	return TT_OK;
}

static int lora_fa_update(struct method *m, int64_t step)
{
	int code = TT_OK;

	(void)step;
	for (size_t i = 0; !code && i < m->nsite; i++)
		code = project(m, m->site[i]->state);
	return code;
}

/* ---- the panel ---- */

static size_t parent_length(const struct site *s)
{
	const char *dot = strrchr(s->name, '.');

	return dot ? (size_t)(dot - s->name) : 0;
}

/* Do two sites read the same rows? Those of one module do: the query, key and value of an attention. */
static bool shares_input(const struct site *a, const struct site *b)
{
	const size_t n = parent_length(a);

	return n && n == parent_length(b) && !strncmp(a->name, b->name, n) &&
	       a->weight->dim[1] == b->weight->dim[1];
}

/* What LoRA would keep of each token for A's gradient: what each site drops for itself, else what it reads. */
static double bytes_saved(const struct method *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;
		bool counted = false;

		for (size_t k = 0; k < i && !(l->dropout > 0); k++)
			counted = counted || shares_input(m->site[i], m->site[k]);
		n += counted ? 0 : l->step.a->dim[1];
	}
	return (double)n * sizeof(float);
}

static void lora_fa_watch(struct method *m, const struct watch *out)
{
	struct panel delta = { .out = out, .key = "method/lora_fa/delta_ratio" };
	struct panel condition = { .out = out, .key = "method/lora_fa/condition", .brief = true };
	struct panel ratio = { .out = out, .key = "method/lora_fa/gradient_ratio", .brief = true };

	lowrank_watch(m, &delta);
	for (size_t i = 0; i < m->nsite; i++) {
		const struct site *s = m->site[i];
		const struct lowrank *l = s->state;
		const struct projected *p = l->own;

		if (make_inverse(m, l))
			return;
		panel_add(&condition, s->name, p->condition);
		if (p->ratio > 0)
			panel_add(&ratio, s->name, p->ratio);
		if (p->condition > worst_condition)
			panel_alarm(m, out, ALARM_CONDITION,
				    "lora_fa: A A^T of '%s' has condition %.3g, so gradients of B "
				    "blow up in some directions: a lower r helps",
				    s->name, p->condition);
	}
	panel_end(&condition);
	panel_end(&ratio);
	out->metric(out->arg, "method/lora_fa/activation_bytes_saved", bytes_saved(m));
}

const struct method_ops method_lora_fa = {
	.name = "lora_fa",
	.title = "Low-rank adaptation with a frozen A",
	.cite = "Zhang et al. 2023",
	.peft_type = "LORA",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.adamw = ADAMW_TRANSFORMERS,
	.knobs = knobs,
	.settings_size = sizeof(struct lowrank_settings),
	.targeting_at = offsetof(struct lowrank_settings, targeting),
	.begin = lora_fa_begin,
	.attach = lora_fa_attach,
	.attached = lora_fa_attached,
	.before_update = lora_fa_update,
	.merge = lowrank_merge,
	.config = lowrank_config,
	.agrees = lowrank_agrees,
	.pack = lowrank_pack,
	.unpack = lowrank_unpack,
	.watch = lora_fa_watch,
};
