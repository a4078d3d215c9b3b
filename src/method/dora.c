/*
 * DoRA: LoRA whose weight W + s B A is parted into lengths and directions. The
 * length of each output's row is learned by itself:
 *
 *     y = b + c (x W^T + s (x A^T) B^T)        c = m / n,  n = |W + s B A|, m [out]
 *
 * With dropout only what the method adds sees the dropped x. n is a constant to
 * the gradients, as PEFT has it. It is made once a step without B A:
 *
 *     n^2 = |W|^2 + 2 s (W A^T).B + s^2 (B A A^T).B        dots within each row
 *
 * of which |W|^2 stays. Of a lookup table the rows are the columns [V].
 */
#include <math.h>
#include <stddef.h>

#include "base/err.h"
#include "base/proc.h"
#include "method/lowrank.h"
#include "tensor/linear.h"

static const struct knob knobs[] = {
#include "method/lowrank_knobs.inc"
	{ "use_dora", KNOB_BOOL, LOWRANK_AT(use_dora), 1, 0, 1, 0, NULL, NULL,
	  "known from PEFT, where it turns LoRA into DoRA; only true is taken" },
#include "method/lowrank_plus.inc"
	{ 0 }
};

/* Of one site. */
struct dora {
	struct magnitude lengths; /* m and n */
	float *norm;              /* n, which lengths shows to the ops */
	double *first;            /* m at first */
	double *square;           /* |W|^2 */
	double *along;            /* W.(W + s B A), for the panel */
	float *wa, *aa;           /* [r,out] A W^T, [r,r] A A^T */
};

/* Of a run. */
struct spent {
	int64_t norm_us; /* on the last norms */
};

enum { ALARM_RANGE = LOWRANK_ALARMS };

/* ---- norms ---- */

/* How row o of the base weight lies: its numbers are w[o * step], w[o * step + stride], ... */
struct rows {
	const float *w;
	int64_t n, in, step, stride;
};

static struct rows rows_of(const struct site *s, const struct lowrank *l)
{
	const struct tensor *w = s->weight;

	if (l->kind == LOWRANK_EMBED)
		return (struct rows){ w->data, w->dim[1], w->dim[0], 1, w->dim[1] };
	return (struct rows){ w->data, w->dim[0], w->dim[1], w->dim[1], 1 };
}

/* Which row the number at this place in memory belongs to. */
static int64_t row_of(const struct rows *r, int64_t at)
{
	return r->stride == 1 ? at / r->in : at % r->n;
}

static void square_rows(const struct site *s, const struct lowrank *l)
{
	const struct dora *d = l->own;
	const struct rows r = rows_of(s, l);

	for (int64_t o = 0; o < r.n; o++)
		d->square[o] = 0;
	for (int64_t at = 0; at < r.n * r.in; at++)
		d->square[row_of(&r, at)] += (double)r.w[at] * (double)r.w[at];
}

/* A W^T and A A^T: neither depends on B, and W is read in the layout that products have. */
static void products(const struct gemm *gm, const struct site *s, const struct lowrank *l)
{
	const struct dora *d = l->own;
	const struct tensor *a = l->step.a, *w = s->weight;
	const int64_t r = a->dim[0], in = a->dim[1];
	struct tensor out = { .data = d->wa };

	if (l->kind == LOWRANK_EMBED)
		gemm_run(gm, false, false, r, w->dim[1], in, 1, a->data, in, w->data, w->dim[1], 0,
			 d->wa, w->dim[1]);
	else
		linear_forward(gm, a, w, NULL, &out);
	gemm_run(gm, false, true, r, r, in, 1, a->data, in, a->data, in, 0, d->aa, r);
}

/* |row o of W + s B A|^2, number by number. */
static double square_plainly(const struct rows *r, const struct lowrank *l, int64_t o)
{
	const float *a = l->step.a->data, *b = l->step.b->data + o * l->r;
	double sum = 0;

	for (int64_t i = 0; i < r->in; i++) {
		double step = 0, v;

		for (int64_t k = 0; k < l->r; k++)
			step += (double)b[k] * (double)a[k * r->in + i];
		v = (double)r->w[o * r->step + i * r->stride] + l->scale * step;
		sum += v * v;
	}
	return sum;
}

/*
 * The products are in fp32, which is enough unless the step takes most of W away;
 * such a row is computed number by number, where W is at hand (in bf16 it may
 * not be).
 */
static void norm_row(const struct rows *r, const struct lowrank *l, int64_t o)
{
	const struct dora *d = l->own;
	const float *b = l->step.b->data + o * l->r;
	double along = 0, step = 0, square;

	for (int64_t k = 0; k < l->r; k++) {
		double to = 0;

		for (int64_t j = 0; j < l->r; j++)
			to += (double)d->aa[k * l->r + j] * (double)b[j];
		along += (double)d->wa[k * r->n + o] * (double)b[k];
		step += to * (double)b[k];
	}
	along *= l->scale;
	step *= l->scale * l->scale;
	square = d->square[o] + 2 * along + step;
	if (square < 0.01 * (d->square[o] + step) && r->w)
		square = square_plainly(r, l, o);
	d->along[o] = d->square[o] + along;
	d->norm[o] = (float)sqrt(fmax(square, 1e-30));
}

static void norms(const struct method *m, const struct site *s)
{
	const struct lowrank *l = s->state;
	const struct rows r = rows_of(s, l);

	products(m->model->gemm, s, l);
	for (int64_t o = 0; o < r.n; o++)
		norm_row(&r, l, o);
}

static int dora_before(struct method *m, struct graph *step)
{
	struct spent *spent = m->state;
	const int64_t start = proc_clock_us();

	(void)step;
	for (size_t i = 0; i < m->nsite; i++)
		norms(m, m->site[i]);
	spent->norm_us = proc_clock_us() - start;
	return TT_OK;
}

/* Whatever else trains or makes weights. */
static int dora_settled(const struct method *m)
{
	for (size_t i = 0; i < m->nsite; i++) {
		if (m->site[i]->weight->needs)
			return err_set(
				TT_INVALID,
				"the weight of '%s' trains, so method 'dora' cannot take its "
				"norm as constant",
				m->site[i]->name);
	}
	return TT_OK;
}

/* ---- sites ---- */

static struct tensor *dora_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	const struct dora *d = l->own;

	return op_linear_magnitude(g, x, op_dropout(g, x, l->dropout), s->weight, s->bias, &l->step,
				   &d->lengths);
}

/* No dropout: PEFT has none on lookups either. */
static struct tensor *dora_embed(struct graph *g, struct site *s, const int32_t *id,
				 struct tensor *e)
{
	const struct lowrank *l = s->state;
	const struct dora *d = l->own;

	return op_embedding_magnitude(g, e, id, s->weight, &l->step, &d->lengths);
}

static const struct hooks linear_hooks = { .linear = dora_linear };
static const struct hooks embed_hooks = { .embed = dora_embed };

static int dora_begin(struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	if (!set->use_dora)
		return err_set(TT_INVALID,
			       "peft.use_dora is false: that is LoRA; write \"method\": "
			       "\"lora\"");
	if (set->lora_bias)
		return err_set(TT_INVALID, "peft.lora_bias does not go with method 'dora'");
	m->state = method_alloc(m, sizeof(struct spent));
	return m->state ? lowrank_begin(m) : TT_NOMEM;
}

static struct dora *dora_new(struct method *m, const struct site *s, const struct lowrank *l)
{
	const int64_t out = l->step.b->dim[0];
	const size_t n = (size_t)out, r = (size_t)l->r;
	struct dora *d = method_alloc(m, sizeof(*d));

	if (!d)
		return NULL;
	d->norm = method_alloc(m, n * sizeof(float));
	d->first = method_alloc(m, n * sizeof(double));
	d->square = method_alloc(m, n * sizeof(double));
	d->along = method_alloc(m, n * sizeof(double));
	d->wa = method_alloc(m, r * n * sizeof(float));
	d->aa = method_alloc(m, r * r * sizeof(float));
	d->lengths.norm = d->norm;
	d->lengths.m = method_param(m, s->name, "lora_magnitude_vector", 1, &out, INIT_ZERO, 0);
	return d->norm && d->first && d->square && d->along && d->wa && d->aa && d->lengths.m
		       ? d
		       : NULL;
}

/* m starts as the length, so that c is 1. */
static int dora_attach(struct method *m, struct site *s)
{
	struct lowrank *l;
	struct dora *d;
	int code = lowrank_new(m, s, &l);

	if (code)
		return code;
	d = dora_new(m, s, l);
	if (!d)
		return TT_NOMEM;
	l->own = d;
	code = site_plug(s, l->kind == LOWRANK_EMBED ? &embed_hooks : &linear_hooks, l);
	if (code)
		return code;
	square_rows(s, l);
	norms(m, s);
	for (int64_t o = 0; o < l->step.b->dim[0]; o++) {
		d->lengths.m->data[o] = d->norm[o];
		d->first[o] = (double)d->norm[o];
	}
	return TT_OK;
}

/* W + s B A, and every row of it brought to its length. */
static int dora_merge(struct method *m, struct site *s)
{
	const struct lowrank *l = s->state;
	const struct dora *d = l->own;
	const int code = lowrank_merge(m, s);
	struct rows r;

	if (code)
		return code;
	square_rows(s, l);
	r = rows_of(s, l);
	for (int64_t at = 0; at < r.n * r.in; at++) {
		const int64_t o = row_of(&r, at);
		const double c = (double)d->lengths.m->data[o] / sqrt(fmax(d->square[o], 1e-30));

		s->weight->data[at] = (float)(c * (double)s->weight->data[at]);
	}
	return TT_OK;
}

/* The file's first factors change the base weight, and so its norms. */
static int dora_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	const int code = lowrank_unpack(m, t, packed);

	for (size_t i = 0; !code && i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;

		if (l->step.a == t || l->step.b == t)
			square_rows(m->site[i], l);
	}
	return code;
}

/* ---- the panel ---- */

/* Over the outputs of a site: how far lengths and directions have come. */
struct drift {
	double length, direction; /* means of |m - m0| / m0 and of 1 - cos(W, W + s B A) */
};

struct range {
	double least, sum, most;
	int64_t n;
};

static void range_add(struct range *r, double value)
{
	r->least = r->n ? fmin(r->least, value) : value;
	r->most = r->n ? fmax(r->most, value) : value;
	r->sum += value;
	r->n++;
}

static struct drift look(const struct site *s, struct range *c)
{
	const struct lowrank *l = s->state;
	const struct dora *d = l->own;
	const int64_t out = l->step.b->dim[0];
	struct drift sum = { 0 };

	for (int64_t o = 0; o < out; o++) {
		const double m = (double)d->lengths.m->data[o], n = (double)d->norm[o];
		const double lengths = n * sqrt(d->square[o]);

		range_add(c, m / n);
		sum.length += d->first[o] > 0 ? fabs(m - d->first[o]) / d->first[o] : 0;
		sum.direction += lengths > 0 ? 1 - d->along[o] / lengths : 0;
	}
	return (struct drift){ sum.length / (double)out, fmax(0, sum.direction / (double)out) };
}

static void say(const struct watch *out, const char *key, double value)
{
	out->metric(out->arg, key, value);
}

static void dora_watch(struct method *m, const struct watch *out)
{
	struct panel length = { .out = out, .key = "method/dora/magnitude_drift" };
	struct panel direction = { .out = out,
				   .key = "method/dora/direction_drift",
				   .brief = true };
	struct panel step = { .out = out, .key = "method/dora/delta_ratio", .brief = true };
	struct spent *spent = m->state;
	struct range c = { 0 };

	for (size_t i = 0; i < m->nsite; i++) {
		const struct drift d = look(m->site[i], &c);

		panel_add(&length, m->site[i]->name, d.length);
		panel_add(&direction, m->site[i]->name, d.direction);
	}
	panel_end(&length);
	panel_end(&direction);
	lowrank_watch(m, &step);
	say(out, "method/dora/c_min", c.least);
	say(out, "method/dora/c_mean", c.sum / (double)c.n);
	say(out, "method/dora/c_max", c.most);
	say(out, "method/dora/norm_ms", (double)spent->norm_us / 1000);
	if (c.least < 0 || c.most > 10)
		panel_alarm(m, out, ALARM_RANGE,
			    "dora: m / |W + s B A| is from %.3g to %.3g; below 0 a direction has "
			    "turned over, above 10 the magnitudes run away: lower "
			    "train.learning_rate",
			    c.least, c.most);
}

const struct method_ops method_dora = {
	.name = "dora",
	.title = "Weight-decomposed low-rank adaptation",
	.cite = "Liu et al. 2024",
	.peft_type = "LORA",
	.wants = SITE_LINEAR | SITE_EMBED,
	.starts_at_base = true,
	.detached = true,
	.knobs = knobs,
	.settings_size = sizeof(struct lowrank_settings),
	.targeting_at = offsetof(struct lowrank_settings, targeting),
	.begin = dora_begin,
	.attach = dora_attach,
	.settled = dora_settled,
	.before_step = dora_before,
	.merge = dora_merge,
	.config = lowrank_config,
	.agrees = lowrank_agrees,
	.pack = lowrank_pack,
	.unpack = dora_unpack,
	.learning_rate = lowrank_learning_rate,
	.weight_decay = lowrank_weight_decay,
	.watch = dora_watch,
};
