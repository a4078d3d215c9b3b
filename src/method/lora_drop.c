/*
 * LoRA-drop (Zhou et al. 2024): layers whose low-rank step does little share one.
 *
 * Before the run plain LoRA is trained on a sample of the data for a few epochs.
 * Then, for all matrices of one type (the queries of all layers),
 *
 *     g_i = sum over the sample's tokens of |s B_i A_i x_i|^2        I_i = g_i / sum of g
 *
 * on real hidden states without dropout; nothing is padded, so no padding counts.
 * In falling order of I the layers keep a step of their own until their shares
 * add up to `threshold`. All others of the type share one A and one B, whose
 * gradients come from all of them. Everything starts anew from its first values
 * then, the head too, and the run begins.
 *
 * |s B A x|^2 is u^T (B^T B) u with u = A x: no B A, no [N,out].
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "method/lora_drop.h"

#define AT(member) offsetof(struct drop_settings, member)

static const struct knob knobs[] = {
	{ "sample_ratio", KNOB_REAL, AT(sample_ratio), 0.1, 0, 1, KNOB_OPEN_MIN, NULL, NULL,
	  "share of the training rows that the importance of layers is found with" },
	{ "sample_epochs", KNOB_INT, AT(sample_epochs), 3, 1, 1000, 0, NULL, NULL,
	  "how often these are trained on before" },
	{ "threshold", KNOB_REAL, AT(threshold), 0.9, 0, 1, KNOB_OPEN_MIN, NULL, NULL,
	  "share of the importance whose layers keep a step of their own" },
#include "method/lowrank_knobs.inc"
	{ 0 }
};

/* ---- sites ---- */

static int drop_begin(struct method *m)
{
	const struct drop_settings *set = m->settings;
	enum lowrank_first first = FIRST_TRUE;
	int rounds, code = lowrank_begin(m);

	m->state = method_alloc(m, sizeof(struct look));
	if (!code && !m->state)
		code = TT_NOMEM;
	if (!code)
		code = lowrank_first_parse(set->low.init_lora_weights, &first, &rounds);
	if (!code && first >= FIRST_PISSA)
		return err_set(
			TT_INVALID,
			"peft.init_lora_weights takes true, false, \"gaussian\" and "
			"\"orthogonal\" with LoRA-drop: the others start from the layer's own "
			"weight, and layers share what they start with");
	return code;
}

/* Adds |s B A x|^2 over the rows of x. */
static bool measure(struct graph *g, const struct lowrank *l, struct drop *d,
		    const struct tensor *x)
{
	const struct tensor *a = l->step.a;
	const int64_t rows = tensor_rows(x), r = l->r, in = a->dim[1];
	float *u = graph_alloc(g, (size_t)(rows * r) * sizeof(*u));

	if (!u)
		return false;
	gemm_run(graph_gemm(g), false, true, rows, r, in, 1, x->data, in, a->data, in, 0, u, r);
	for (int64_t n = 0; n < rows; n++) {
		for (int64_t k = 0; k < r * r; k++)
			d->sum += d->gram[k] * (double)u[n * r + k / r] * (double)u[n * r + k % r];
	}
	return true;
}

static struct tensor *drop_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	struct drop *d = l->own;

	if (d->look->measures && x && !measure(g, l, d, x))
		return NULL;
	return lowrank_linear(g, s, x);
}

static const struct hooks hooks = { .linear = drop_linear };

static int drop_attach(struct method *m, struct site *s)
{
	struct drop *d = method_alloc(m, sizeof(*d));
	struct lowrank *l;
	const char *name = arena_printf(m->model->arena, "%s.lora_drop", s->name);
	int code = d && name ? lowrank_new(m, s, &l) : TT_NOMEM;

	if (code)
		return code;
	d->look = m->state;
	d->place = method_keep(m, name, 1, (int64_t[]){ PLACE_ENTRIES });
	d->gram = method_alloc(m, (size_t)(l->r * l->r) * sizeof(*d->gram));
	if (!d->place || !d->gram)
		return TT_NOMEM;
	d->factor[0] = l->step.a;
	d->factor[1] = l->step.b;
	d->factor[2] = l->step.c;
	l->own = d;
	return site_plug(s, &hooks, l);
}

/* ---- looking at the data ---- */

/* ceil(ratio n) of 0 .. n-1, drawn by the seed. */
static int draw_sample(const struct method *m, int64_t n, int64_t **ret, size_t *ret_n)
{
	const double ratio = ((const struct drop_settings *)m->settings)->sample_ratio;
	const int64_t want = (int64_t)ceil(ratio * (double)n);
	int64_t *row = malloc((size_t)n * sizeof(*row));
	struct rng r;

	if (!row)
		return err_set(TT_NOMEM, "no memory to draw a sample of %lld rows", (long long)n);
	for (int64_t i = 0; i < n; i++)
		row[i] = i;
	method_rng(m, "lora_drop.sample", &r);
	for (int64_t i = 0; i < want && i < n; i++) {
		const int64_t k = i + (int64_t)rng_below(&r, (uint32_t)(n - i)), was = row[i];

		row[i] = row[k];
		row[k] = was;
	}
	*ret = row;
	*ret_n = (size_t)(want < n ? want : n);
	return TT_OK;
}

/* Plain LoRA, the rows in another order every time. */
static int train_on(const struct method *m, const struct probe *p, int64_t *row, size_t n)
{
	const int64_t epochs = ((const struct drop_settings *)m->settings)->sample_epochs;
	struct rng r;
	int code = TT_OK;

	method_rng(m, "lora_drop.order", &r);
	for (int64_t e = 0; !code && e < epochs; e++) {
		for (size_t i = n - 1; i > 0; i--) {
			const size_t k = rng_below(&r, (uint32_t)i + 1);
			const int64_t was = row[i];

			row[i] = row[k];
			row[k] = was;
		}
		for (size_t from = 0; !code && from < n; from += (size_t)p->window) {
			const size_t left = n - from;

			code = p->step(p->arg, row + from,
				       left < (size_t)p->window ? left : (size_t)p->window,
				       p->rate);
		}
	}
	return code;
}

static void make_gram(const struct lowrank *l, double *gram)
{
	const float *b = l->step.b->data;
	const int64_t r = l->r, out = l->step.b->dim[0];

	for (int64_t k = 0; k < r * r; k++) {
		double sum = 0;

		for (int64_t o = 0; o < out; o++)
			sum += (double)b[o * r + k / r] * (double)b[o * r + k % r];
		gram[k] = l->scale * l->scale * sum;
	}
}

/* The last layer computes all of its rows, too, or its queries would count less than its keys. */
static int look_at(struct method *m, const struct probe *p, const int64_t *row, size_t n)
{
	struct look *look = m->state;
	const bool whole_rows = m->model->whole_rows;
	int code;

	for (size_t i = 0; i < m->nsite; i++) {
		drop_at(m, i)->sum = 0;
		make_gram(drop_lowrank(m, i), drop_at(m, i)->gram);
	}
	m->model->whole_rows = true;
	look->measures = true;
	code = p->visit(p->arg, row, n);
	look->measures = false;
	m->model->whole_rows = whole_rows;
	return code;
}

/* Every number that trains, of all parts of a combination. */
static size_t numbers_of(const struct method *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		n += (size_t)tensor_count(m->param[i]);
	return n;
}

static void take_numbers(const struct method *m, float *to)
{
	for (size_t i = 0; i < m->nparam; i++) {
		const size_t n = (size_t)tensor_count(m->param[i]);

		memcpy(to, m->param[i]->data, n * sizeof(*to));
		to += n;
	}
}

static void give_numbers(const struct method *m, const float *from)
{
	for (size_t i = 0; i < m->nparam; i++) {
		const size_t n = (size_t)tensor_count(m->param[i]);

		memcpy(m->param[i]->data, from, n * sizeof(*from));
		from += n;
	}
}

static int drop_prime(struct method *m, const struct probe *p)
{
	const struct method *all = m;
	float *first;
	int64_t *row = NULL;
	size_t n = 0;
	int code;

	if (!m->nsite || drop_is_known(m)) /* an adapter that the run starts from says who shares */
		return TT_OK;
	while (all->whole)
		all = all->whole;
	first = malloc(numbers_of(all) * sizeof(*first));
	if (!first)
		return err_set(TT_NOMEM, "no memory to keep first values");
	take_numbers(all, first);
	code = draw_sample(m, p->rows, &row, &n);
	if (!code)
		code = train_on(m, p, row, n);
	if (!code)
		code = look_at(m, p, row, n);
	give_numbers(all, first);
	free(first);
	free(row);
	return code ? code : drop_place(m);
}

const struct method_ops method_lora_drop = {
	.name = "lora_drop",
	.title = "LoRA with shared steps where they do little",
	.cite = "Zhou et al. 2024",
	.peft_type = "TRIMTAB_LORA_DROP",
	.wants = SITE_LINEAR,
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct drop_settings),
	.targeting_at = LOWRANK_AT(targeting),
	.begin = drop_begin,
	.attach = drop_attach,
	.prime = drop_prime,
	.retie = drop_tie,
	.merge = lowrank_merge,
	.config = lowrank_config,
	.agrees = lowrank_agrees,
	.side_name = "lora_drop",
	.side_write = drop_side_write,
	.side_read = drop_side_read,
	.pack = drop_pack,
	.unpack = drop_unpack,
	.watch = drop_watch,
};
