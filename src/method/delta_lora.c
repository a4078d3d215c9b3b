/*
 * Delta-LoRA (Zi et al. 2023): LoRA whose weight W moves along. After step K
 * every optimizer step that takes A, B to A+, B+ also does
 *
 *     W += lambda s (B+ A+ - B A)        s = lora_alpha / r, lambda = update_ratio, K = start_steps
 *
 * without a gradient of W. There is no dropout before A, since the gradient of
 * B A, which stands in for that of W, would not be that of W behind it.
 *
 * lambda and s do not change, so the moves add up to the last B A less the one
 * from which W began to move, whatever the optimizer did in between:
 *
 *     W = W0 + lambda s (B A - Bk Ak)
 *     y = W0 x + b + s B' A' x        A' = [A; Ak]  B' = [(1 + lambda) B, -lambda Bk]
 *
 * So W0 stays as it is, prepared and in the file, and what is computed is LoRA
 * of rank 2 r: no writable copy of W, no pass over it at each step, no rounding
 * of small moves into large weights, and a checkpoint of four thin matrices.
 * A' and B' are made once a step. W is a constant to the gradients:
 *
 *     gA = s B^T G^T x = the upper half of gA' / (1 + lambda)        gB = s G^T x A^T = the left half of gB'
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/log.h"
#include "method/adapter.h"
#include "method/lowrank.h"

struct delta_settings {
	struct lowrank_settings low; /* first, for lowrank.h */
	double update_ratio;
	int64_t start_steps;
};

/* Of one site. */
struct delta {
	struct tensor *start_a, *start_b; /* Ak and Bk: in checkpoints and files */
	struct lowrank wide;              /* A' and B' */
	float *last_a, *last_b;           /* A and B before the last step, for the panel */
	const struct tensor *moves;       /* of the method: as its state has it */
};

/* Of a run. */
struct course {
	struct tensor *moves; /* [1], kept: has W begun to move? */
	bool stepped;         /* last_a and last_b are there */
};

#define AT(member) offsetof(struct delta_settings, member)

static const struct knob knobs[] = {
	{ "update_ratio", KNOB_REAL, AT(update_ratio), 2, 0, 1e4, KNOB_OPEN_MIN, NULL, NULL,
	  "how far the weight moves at a step, over the move of the low-rank product" },
	{ "start_steps", KNOB_INT, AT(start_steps), 500, 0, 1 << 30, 0, NULL, NULL,
	  "optimizer steps before the weight begins to move" },
#include "method/lowrank_knobs.inc"
	{ 0 }
};

static bool is_moving(const struct tensor *moves) { return moves->data[0] > 0; }

static double ratio_of(const struct method *m)
{
	return ((const struct delta_settings *)m->settings)->update_ratio;
}

/* ---- settings and sites ---- */

static int delta_begin(struct method *m)
{
	const struct delta_settings *set = m->settings;
	enum lowrank_first first = FIRST_TRUE;
	int rounds, code;

	if (set->low.lora_dropout > 0)
		return err_set(TT_INVALID,
			       "peft.lora_dropout is %g; Delta-LoRA takes none: with dropout the "
			       "gradient of B A is not that of W",
			       set->low.lora_dropout);
	m->state = method_alloc(m, sizeof(struct course));
	code = m->state ? lowrank_begin(m) : TT_NOMEM;
	if (!code)
		code = lowrank_first_parse(set->low.init_lora_weights, &first, &rounds);
	if (!code && first >= FIRST_PISSA)
		return err_set(TT_INVALID,
			       "peft.init_lora_weights takes true, false, \"gaussian\" and "
			       "\"orthogonal\" with Delta-LoRA: the others take the step out of W");
	return code;
}

static struct tensor *delta_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	const struct delta *d = l->own;
	const struct low_rank *step = is_moving(d->moves) ? &d->wide.step : &l->step;

	return op_linear_low_rank(g, x, x, s->weight, s->bias, step);
}

static const struct hooks hooks = { .linear = delta_linear };

/* A tensor of what W began to move from. */
static struct tensor *new_start(struct method *m, const struct site *s, const char *leaf,
				const struct tensor *like)
{
	struct tensor *t = method_fixed(m, s->name, leaf, 2, like->dim, INIT_ZERO, 0, false);

	return t && !method_keep_too(m, t) ? t : NULL;
}

static struct tensor *new_wide(struct method *m, const struct tensor *of, int64_t d0, int64_t d1)
{
	const char *name = arena_printf(m->model->arena, "%s.wide", of->name);

	return name ? method_new_made(m, name, 2, (int64_t[]){ d0, d1 }) : NULL;
}

static int new_factors(struct method *m, const struct site *s, const struct lowrank *l,
		       struct delta *d)
{
	const struct tensor *a = l->step.a, *b = l->step.b;

	d->start_a = new_start(m, s, "lora_start_A.weight", a);
	d->start_b = new_start(m, s, "lora_start_B.weight", b);
	d->wide = *l;
	d->wide.r = 2 * l->r;
	d->wide.step.a = new_wide(m, a, 2 * l->r, a->dim[1]);
	d->wide.step.b = new_wide(m, b, b->dim[0], 2 * l->r);
	d->last_a = method_alloc(m, (size_t)tensor_count(a) * sizeof(float));
	d->last_b = method_alloc(m, (size_t)tensor_count(b) * sizeof(float));
	return d->start_a && d->start_b && d->wide.step.a && d->wide.step.b && d->last_a &&
			       d->last_b
		       ? TT_OK
		       : TT_NOMEM;
}

static int delta_attach(struct method *m, struct site *s)
{
	struct delta *d = method_alloc(m, sizeof(*d));
	struct lowrank *l;
	int code = d ? lowrank_new(m, s, &l) : TT_NOMEM;

	if (!code)
		code = new_factors(m, s, l, d);
	if (code)
		return code;
	l->own = d;
	return site_plug(s, &hooks, l);
}

/* The flag has the name of the first site: a combination may hold the method twice. */
static int delta_attached(struct method *m)
{
	struct course *c = m->state;
	const char *name = arena_printf(m->model->arena, "%s.moves", m->site[0]->name);

	if (name)
		c->moves = method_keep(m, name, 1, (int64_t[]){ 1 });
	if (!c->moves)
		return TT_NOMEM;
	for (size_t i = 0; i < m->nsite; i++)
		((struct delta *)((struct lowrank *)m->site[i]->state)->own)->moves = c->moves;
	return TT_OK;
}

/* ---- the course of a run ---- */

static int delta_plan(struct method *m, int64_t steps)
{
	const struct delta_settings *set = m->settings;

	if (steps && set->start_steps >= steps)
		log_line("Delta-LoRA: the run has %lld steps and start_steps is %lld, so no weight "
			 "will move: it is LoRA",
			 (long long)steps, (long long)set->start_steps);
	return TT_OK;
}

static void widen(const struct lowrank *l, const struct delta *d, float ratio)
{
	const int64_t r = l->r, n = tensor_count(l->step.a), out = l->step.b->dim[0];
	float *a = d->wide.step.a->data, *b = d->wide.step.b->data;

	memcpy(a, l->step.a->data, (size_t)n * sizeof(*a));
	memcpy(a + n, d->start_a->data, (size_t)n * sizeof(*a));
	for (int64_t o = 0; o < out; o++) {
		for (int64_t k = 0; k < r; k++) {
			b[o * 2 * r + k] = (1 + ratio) * l->step.b->data[o * r + k];
			b[o * 2 * r + r + k] = -ratio * d->start_b->data[o * r + k];
		}
	}
}

static int delta_before(struct method *m, struct graph *step)
{
	const struct course *c = m->state;

	(void)step;
	for (size_t i = 0; m->nsite && is_moving(c->moves) && i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;

		widen(l, l->own, (float)ratio_of(m));
	}
	return TT_OK;
}

/* Of A' and B' only the halves of A and B train. */
static int delta_gradients(struct method *m)
{
	const struct course *c = m->state;
	const float by = (float)(1 / (1 + ratio_of(m)));

	for (size_t i = 0; m->nsite && is_moving(c->moves) && i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;
		const struct delta *d = l->own;
		const int64_t r = l->r;

		for (int64_t k = 0; k < tensor_count(l->step.a); k++)
			l->step.a->grad[k] = by * d->wide.step.a->grad[k];
		for (int64_t o = 0; o < l->step.b->dim[0]; o++)
			memcpy(l->step.b->grad + o * r, d->wide.step.b->grad + o * 2 * r,
			       (size_t)r * sizeof(float));
	}
	return TT_OK;
}

static void copy(float *to, const struct tensor *from)
{
	memcpy(to, from->data, (size_t)tensor_count(from) * sizeof(*to));
}

/* What this step starts from; the first step after start_steps is where W starts from. */
static int delta_before_update(struct method *m, int64_t step)
{
	const struct delta_settings *set = m->settings;
	struct course *c = m->state;
	const bool starts = m->nsite && step > set->start_steps && !is_moving(c->moves);

	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;
		const struct delta *d = l->own;

		copy(d->last_a, l->step.a);
		copy(d->last_b, l->step.b);
		if (starts) {
			copy(d->start_a->data, l->step.a);
			copy(d->start_b->data, l->step.b);
		}
	}
	c->stepped = true;
	if (starts)
		c->moves->data[0] = 1;
	return TT_OK;
}

static int delta_merge(struct method *m, struct site *s)
{
	const struct lowrank *l = s->state;
	const struct delta *d = l->own;

	if (!is_moving(d->moves))
		return lowrank_fold(m, s, l);
	widen(l, d, (float)ratio_of(m));
	return lowrank_fold(m, s, &d->wide);
}

/* ---- adapter_config.json ---- */

static int delta_config(const struct method *m, struct jsonw *w)
{
	const struct delta_settings *set = m->settings;
	const struct course *c = m->state;

	jsonw_key(w, "update_ratio");
	adapter_write_float(w, set->update_ratio);
	jsonw_key(w, "start_steps");
	jsonw_int(w, set->start_steps);
	adapter_write_bool(w, "weights_move", m->nsite && is_moving(c->moves));
	return lowrank_config(m, w);
}

static int delta_agrees(const struct method *m, const struct json *config)
{
	static const char *const own[] = { "start_steps", "update_ratio", "weights_move" };
	const double ratio = adapter_number(config, "update_ratio", 2);

	if (adapter_true(config, "weights_move") &&
	    !(fabs(ratio - ratio_of(m)) <= 1e-6 * ratio_of(m)))
		return err_set(TT_INVALID, "update_ratio is %g, and the recipe says %g", ratio,
			       ratio_of(m));
	return lowrank_agrees_with(m, config, own, COUNT(own));
}

/* A file whose weights have begun to move goes on moving them. */
static int delta_adopt(struct method *m, const struct json *config)
{
	struct course *c = m->state;

	if (m->nsite)
		c->moves->data[0] = adapter_true(config, "weights_move");
	return TT_OK;
}

/* ---- the panel ---- */

/* lambda s (B A - b0 a0) as lowrank.h sizes it. */
static struct lowrank move_since(const struct method *m, const struct lowrank *l, float *a0,
				 float *b0)
{
	struct lowrank since = *l;

	since.scale = ratio_of(m) * l->scale;
	since.a0 = a0;
	since.b0 = b0;
	return since;
}

static void delta_watch(struct method *m, const struct watch *out)
{
	const struct course *c = m->state;
	struct panel step = { .out = out, .key = "method/delta_lora/delta_ratio", .brief = true };
	struct panel drift = { .out = out, .key = "method/delta_lora/drift" };
	struct panel move = { .out = out, .key = "method/delta_lora/move", .brief = true };
	struct panel rank = { .out = out, .key = "method/delta_lora/rank", .brief = true };
	const bool moving = m->nsite && is_moving(c->moves);

	if (m->nsite)
		out->metric(out->arg, "method/delta_lora/moving", moving);
	lowrank_watch(m, &step);
	for (size_t i = 0; moving && i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;
		const struct delta *d = l->own;
		const struct lowrank all = move_since(m, l, d->start_a->data, d->start_b->data);
		const struct lowrank last = move_since(m, l, d->last_a, d->last_b);
		const char *name = m->site[i]->name;

		panel_add(&drift, name,
			  l->weight_norm > 0 ? lowrank_delta_norm(&all) / l->weight_norm : 0);
		if (c->stepped)
			panel_add(&move, name, lowrank_delta_norm(&last));
		panel_add(&rank, name, lowrank_delta_rank(&all));
	}
	panel_end(&drift);
	panel_end(&move);
	panel_end(&rank);
}

const struct method_ops method_delta_lora = {
	.name = "delta_lora",
	.title = "LoRA whose weights move along",
	.cite = "Zi et al. 2023",
	.peft_type = "TRIMTAB_DELTA_LORA",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct delta_settings),
	.targeting_at = LOWRANK_AT(targeting),
	.begin = delta_begin,
	.attach = delta_attach,
	.attached = delta_attached,
	.plan = delta_plan,
	.before_step = delta_before,
	.gradients = delta_gradients,
	.before_update = delta_before_update,
	.merge = delta_merge,
	.config = delta_config,
	.agrees = delta_agrees,
	.adopt = delta_adopt,
	.watch = delta_watch,
};
