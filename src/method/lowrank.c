/*
 * A low-rank step beside a frozen weight: W + s B A.
 *
 * First values are PEFT's (peft-methods 3.4). Most leave B A = 0, so that the
 * step starts as nothing; PiSSA and OLoRA take s B A out of W instead, and keep
 * a copy of the first A and B to tell how far the step has come since.
 */
#include "method/lowrank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "method/decompose.h"
#include "method/target.h"
#include "tensor/kernel.h"

enum { IDLE_STEPS = 50 };

/* ---- settings ---- */

/* init_lora_weights: true, false or one of PEFT's words; rounds: of "pissa_niter_N". */
int lowrank_first_parse(const struct json *j, enum lowrank_first *ret, int *ret_rounds)
{
	static const struct {
		const char *word;
		enum lowrank_first init;
	} words[] = { { "gaussian", FIRST_GAUSSIAN },
		      { "orthogonal", FIRST_ORTHOGONAL },
		      { "pissa", FIRST_PISSA },
		      { "olora", FIRST_OLORA } };
	const char *text = j ? json_text(j) : NULL;
	char *end;
	long rounds;

	if (!j || json_type(j) == JSON_BOOL) {
		*ret = !j || json_bool(j) ? FIRST_TRUE : FIRST_FALSE;
		return TT_OK;
	}
	for (size_t i = 0; text && i < COUNT(words); i++) {
		if (!strcasecmp(text, words[i].word)) {
			*ret = words[i].init;
			return TT_OK;
		}
	}
	if (text && !strncmp(text, "pissa_niter_", 12)) {
		rounds = strtol(text + 12, &end, 10);
		if (end > text + 12 && !*end && rounds >= 0 && rounds <= 1000) {
			*ret = FIRST_PISSA_RANDOM;
			*ret_rounds = (int)rounds;
			return TT_OK;
		}
	}
	return err_set(TT_INVALID,
		       "peft.init_lora_weights is %s%s%s; it takes true, false, \"gaussian\", "
		       "\"orthogonal\", \"pissa\", "
		       "\"pissa_niter_N\" (N up to 1000) and \"olora\"",
		       text ? "\"" : "", text ? text : json_type_name(json_type(j)),
		       text ? "\"" : "");
}

/* A pattern object's values are numbers above zero; ranks are whole. */
static int pattern_check(const struct json *map, const char *what, bool whole)
{
	if (!map)
		return TT_OK;
	if (json_type(map) != JSON_OBJECT)
		return err_set(TT_INVALID, "%s is %s; it takes an object from patterns to numbers",
			       what, json_type_name(json_type(map)));
	for (const struct json *j = json_first(map); j; j = json_next(j)) {
		const double v = json_number(j);
		int64_t n = 1;

		if (!(v > 0 && v <= 1e6) || (whole && (!json_int(j, &n) || n > 65536)))
			return err_set(TT_INVALID, "%s: '%s' needs a %s above 0", what, json_key(j),
				       whole ? "whole number" : "number");
	}
	return TT_OK;
}

static int settings_check(const struct lowrank_settings *set)
{
	enum lowrank_first init;
	int rounds;
	int code = lowrank_first_parse(set->init_lora_weights, &init, &rounds);

	if (!code)
		code = pattern_check(set->rank_pattern, "peft.rank_pattern", true);
	if (!code)
		code = pattern_check(set->alpha_pattern, "peft.alpha_pattern", false);
	if (code)
		return code;
	if (set->lora_bias && init != FIRST_TRUE && init != FIRST_FALSE)
		return err_set(TT_INVALID,
			       "peft.lora_bias goes with init_lora_weights true or false only");
	return TT_OK;
}

int lowrank_begin(struct method *m)
{
	const struct lowrank_settings *set = m->settings;
	const int code = settings_check(set);

	return !code && set->bias == LOWRANK_BIAS_ALL ? method_train_biases(m) : code;
}

/* A number by pattern, else the common one. */
int lowrank_setting(const struct json *map, const char *what, const char *module, double common,
		    double *ret)
{
	const struct json *j = NULL;
	const int code = target_pattern(map, what, module, &j);

	if (!code)
		*ret = j ? json_number(j) : common;
	return code;
}

double lowrank_scale(double r, double alpha, bool rslora)
{
	return rslora ? alpha / sqrt(r) : alpha / r;
}

/* ---- first values ---- */

/* What scales row k of A. */
static double e_at(const struct lowrank *l, int64_t k)
{
	return l->step.e ? (double)l->step.e->data[k] : 1;
}

/* w += s b a (linear) or its transpose (lookup), as PEFT merges. */
static void add_step(float *w, const struct lowrank *l, double s, const float *a, const float *b)
{
	const int64_t in = l->step.a->dim[1], out = l->step.b->dim[0], r = l->r;

	for (int64_t o = 0; o < out; o++) {
		for (int64_t i = 0; i < in; i++) {
			double sum = 0;
			float *at = l->kind == LOWRANK_EMBED ? &w[i * out + o] : &w[o * in + i];

			for (int64_t k = 0; k < r; k++)
				sum += (double)b[o * r + k] * e_at(l, k) * (double)a[k * in + i];
			*at = (float)((double)*at + s * sum);
		}
	}
}

/* Take the step out of the base weight, and remember it. */
static int take_out(struct method *m, struct site *s, struct lowrank *l)
{
	const size_t na = (size_t)tensor_count(l->step.a) * sizeof(float);
	const size_t nb = (size_t)tensor_count(l->step.b) * sizeof(float);
	const float *w0 = s->weight->data;
	int code = model_own_param(m->model, s->weight);

	if (!code && w0 == s->weight->data) {
		/* it was a copy already, so keep one of our own */
		const size_t nw = (size_t)tensor_count(s->weight) * sizeof(float);
		float *copy = arena_alloc(m->model->arena, nw);

		if (!copy)
			return TT_NOMEM;
		memcpy(copy, w0, nw);
		w0 = copy;
	}
	if (code)
		return code;
	l->w0 = w0;
	l->a0 = arena_alloc(m->model->arena, na);
	l->b0 = arena_alloc(m->model->arena, nb);
	if (!l->a0 || !l->b0)
		return TT_NOMEM;
	memcpy(l->a0, l->step.a->data, na);
	memcpy(l->b0, l->step.b->data, nb);
	add_step(s->weight->data, l, -l->scale, l->a0, l->b0);
	return TT_OK;
}

static void narrow(float *to, const double *from, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		to[i] = (float)from[i];
}

struct factors {
	double *left, *s, *right; /* [out,r], [r], [r,in] */
};

static int factors_new(struct factors *f, int64_t out, int64_t in, int64_t r)
{
	f->left = calloc((size_t)(out * r), sizeof(double));
	f->s = calloc((size_t)r, sizeof(double));
	f->right = calloc((size_t)(r * in), sizeof(double));
	return f->left && f->s && f->right ? TT_OK
					   : err_set(TT_NOMEM, "no memory for first values");
}

static void factors_free(struct factors *f)
{
	free(f->left);
	free(f->s);
	free(f->right);
}

/*
 * PiSSA: A = sqrt(S / s) V^T, B = U sqrt(S / s), of the r largest singular
 * values; OLoRA: A = R, B = Q of W = QR.
 */
static int init_from_weight(struct method *m, struct site *s, struct lowrank *l,
			    enum lowrank_first init, int rounds)
{
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1], r = l->r;
	struct factors f = { 0 };
	struct rng rng;
	int code;

	if (r > out || r > in)
		return err_set(TT_INVALID, "peft.r %lld is more than '%s' [%lld,%lld] has",
			       (long long)r, s->name, (long long)out, (long long)in);
	code = factors_new(&f, out, in, r);
	method_rng(m, l->step.a->name, &rng);
	if (!code && init == FIRST_PISSA)
		code = decompose_svd(s->weight->data, out, in, r, f.left, f.s, f.right);
	else if (!code && init == FIRST_PISSA_RANDOM)
		code = decompose_svd_random(s->weight->data, out, in, r, rounds, &rng, f.left, f.s,
					    f.right);
	else if (!code)
		code = decompose_qr(s->weight->data, out, in, r, f.left, f.right);
	for (int64_t k = 0; !code && init != FIRST_OLORA && k < r; k++) {
		const double root = sqrt(f.s[k] / l->scale);

		for (int64_t i = 0; i < in; i++)
			f.right[k * in + i] *= root;
		for (int64_t o = 0; o < out; o++)
			f.left[o * r + k] *= root;
	}
	if (!code) {
		narrow(l->step.a->data, f.right, r * in);
		narrow(l->step.b->data, f.left, out * r);
		code = take_out(m, s, l);
	}
	factors_free(&f);
	return code ? err_in("%s", s->name) : TT_OK;
}

/*
 * A and B of random parts with A's rows in the span of half a random basis and
 * B's in the other half: B A = 0.
 */
static int init_orthogonal(struct method *m, const struct site *s, struct lowrank *l)
{
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1], r = l->r;
	struct factors f = { 0 };
	float *square = NULL;
	struct rng rng;
	int code;

	if (r % 2)
		return err_set(TT_INVALID,
			       "peft.init_lora_weights \"orthogonal\" needs an even r, and r is "
			       "%lld for '%s'",
			       (long long)r, s->name);
	method_rng(m, l->step.a->name, &rng);
	square = calloc((size_t)(r * r), sizeof(*square));
	code = square ? factors_new(&f, r, r, r) : err_set(TT_NOMEM, "no memory for first values");
	for (int64_t i = 0; !code && i < r * r; i++)
		square[i] = rng_normal(&rng);
	if (!code)
		code = decompose_qr(square, r, r, r, f.left, f.right);
	/* rows 0, 2, ... of Q make A^T, rows 1, 3, ... make B */
	for (int64_t i = 0; !code && i < in; i++) {
		for (int64_t h = 0; h < r; h += 2) {
			const double x = (double)rng_normal(&rng) / 10;

			for (int64_t k = 0; k < r; k++)
				l->step.a->data[k * in + i] += (float)(x * f.left[h * r + k]);
		}
	}
	for (int64_t o = 0; !code && o < out; o++) {
		for (int64_t h = 1; h < r; h += 2) {
			const double x = (double)rng_normal(&rng) / 10;

			for (int64_t k = 0; k < r; k++)
				l->step.b->data[o * r + k] += (float)(x * f.left[h * r + k]);
		}
	}
	free(square);
	factors_free(&f);
	return code;
}

/* ---- one site ---- */

static int new_linear(struct method *m, struct site *s, struct lowrank *l)
{
	const struct lowrank_settings *set = m->settings;
	const int64_t out = s->weight->dim[0], in = s->weight->dim[1];
	const int64_t a_dim[] = { l->r, in };
	const double a_bound = 1 / sqrt((double)in), b_bound = 1 / sqrt((double)l->r);
	enum method_init a_how = INIT_UNIFORM, b_how = INIT_ZERO;
	double a_size = a_bound;
	enum lowrank_first init;
	int rounds = 0, code = lowrank_first_parse(set->init_lora_weights, &init, &rounds);

	if (code)
		return code;
	if (init == FIRST_GAUSSIAN) {
		a_how = INIT_NORMAL;
		a_size = 1 / (double)l->r;
	} else if (init == FIRST_FALSE) {
		b_how = INIT_UNIFORM;
	} else if (init != FIRST_TRUE) {
		a_how = INIT_ZERO; /* filled in below */
	}
	l->step.a = l->frozen ? method_fixed(m, s->name, "lora_A.weight", 2, a_dim, a_how, a_size,
					     true)
			      : method_param(m, s->name, "lora_A.weight", 2, a_dim, a_how, a_size);
	l->step.b = method_param(m, s->name, "lora_B.weight", 2, (int64_t[]){ out, l->r }, b_how,
				 b_bound);
	if (set->lora_bias)
		l->step.c = method_param(m, s->name, "lora_B.bias", 1, (int64_t[]){ out }, b_how,
					 b_bound);
	if (!l->step.a || !l->step.b || (set->lora_bias && !l->step.c))
		return TT_NOMEM;
	if (init == FIRST_ORTHOGONAL)
		return init_orthogonal(m, s, l);
	if (init == FIRST_PISSA || init == FIRST_PISSA_RANDOM || init == FIRST_OLORA)
		return init_from_weight(m, s, l, init, rounds);
	return TT_OK;
}

/*
 * A lookup table's factors start as A = 0, B = N(0,1), whatever
 * init_lora_weights says; only false draws A too.
 */
static int new_embed(struct method *m, struct site *s, struct lowrank *l)
{
	const struct lowrank_settings *set = m->settings;
	const bool random = set->init_lora_weights &&
			    json_type(set->init_lora_weights) == JSON_BOOL &&
			    !json_bool(set->init_lora_weights);

	if (set->lora_bias)
		return err_set(TT_INVALID, "peft.lora_bias does not work on '%s', a lookup table",
			       s->name);
	l->step.a = method_param(m, s->name, "lora_embedding_A", 2,
				 (int64_t[]){ l->r, s->weight->dim[0] },
				 random ? INIT_NORMAL : INIT_ZERO, 1);
	l->step.b = method_param(m, s->name, "lora_embedding_B", 2,
				 (int64_t[]){ s->weight->dim[1], l->r }, INIT_NORMAL, 1);
	return l->step.a && l->step.b ? TT_OK : TT_NOMEM;
}

int lowrank_start(struct method *m, struct site *s, struct lowrank *l)
{
	const struct lowrank_settings *set = m->settings;

	l->kind = s->kind & SITE_EMBED ? LOWRANK_EMBED : LOWRANK_LINEAR;
	l->step.scale = (float)l->scale;
	l->dropout = (float)set->lora_dropout;
	l->weight_norm = sqrt(kernel_sum_squares(s->weight->data, tensor_count(s->weight)));
	return set->bias == LOWRANK_BIAS_ONLY && s->bias ? method_train_base(m, s->bias) : TT_OK;
}

static int make(struct method *m, struct site *s, bool frozen, struct lowrank **ret)
{
	const struct lowrank_settings *set = m->settings;
	struct lowrank *l = method_alloc(m, sizeof(*l));
	double r;
	int code;

	if (!l)
		return TT_NOMEM;
	code = lowrank_setting(set->rank_pattern, "peft.rank_pattern", s->name, (double)set->r, &r);
	if (!code)
		code = lowrank_setting(set->alpha_pattern, "peft.alpha_pattern", s->name,
				       set->lora_alpha, &l->alpha);
	if (code)
		return code;
	l->r = (int64_t)r;
	l->scale = lowrank_scale(r, l->alpha, set->use_rslora);
	l->frozen = frozen;
	code = lowrank_start(m, s, l);
	if (!code)
		code = l->kind == LOWRANK_EMBED ? new_embed(m, s, l) : new_linear(m, s, l);
	if (!code)
		*ret = l;
	return code;
}

int lowrank_new(struct method *m, struct site *s, struct lowrank **ret)
{
	return make(m, s, false, ret);
}

int lowrank_new_frozen(struct method *m, struct site *s, struct lowrank **ret)
{
	return make(m, s, true, ret);
}

struct tensor *lowrank_linear(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;
	struct tensor *z = op_dropout(g, x, l->dropout);
	struct tensor *y = op_linear_low_rank(g, x, z, s->weight, s->bias, &l->step);

	if (z != x)
		graph_done(g, z); /* where A is frozen, backward does not read it */
	return y;
}

int lowrank_merge(struct method *m, struct site *s) { return lowrank_fold(m, s, s->state); }

int lowrank_fold(struct method *m, struct site *s, const struct lowrank *l)
{
	int code;

	if (l->step.c && !s->bias)
		return err_set(TT_INVALID, "'%s' has no bias to merge lora_B.bias into", s->name);
	code = method_own_weight(m, s);
	if (!code && l->step.c)
		code = model_own_param(m->model, s->bias);
	if (code)
		return code;
	add_step(s->weight->data, l, l->scale, l->step.a->data, l->step.b->data);
	for (int64_t i = 0; l->step.c && i < l->step.c->dim[0]; i++)
		s->bias->data[i] += l->step.scale * l->step.c->data[i];
	return TT_OK;
}

/* ---- twice the rank, in files ---- */

bool lowrank_doubles(const struct method *m)
{
	const struct lowrank_settings *set = m->settings;
	enum lowrank_first init;
	int rounds;

	return !lowrank_first_parse(set->init_lora_weights, &init, &rounds) &&
	       init == FIRST_PISSA_RANDOM;
}

/* The site whose A or B this is. */
static struct site *site_of(const struct method *m, const struct tensor *t)
{
	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;

		if (l->step.a == t || l->step.b == t)
			return m->site[i];
	}
	return NULL;
}

const struct tensor *lowrank_pack(const struct method *m, struct tensor *t, struct arena *a)
{
	const struct site *s = lowrank_doubles(m) ? site_of(m, t) : NULL;
	const struct lowrank *l = s ? s->state : NULL;
	const size_t n = (size_t)tensor_count(t);
	struct tensor *both;

	if (!l)
		return t;
	both = arena_zero(a, 1, sizeof(*both));
	if (!both)
		return NULL;
	*both = *t;
	both->dim[t == l->step.a ? 0 : 1] *= 2;
	both->data = arena_zero(a, 2 * n, sizeof(float));
	if (!both->data)
		return NULL;
	if (t == l->step.a) {
		memcpy(both->data, t->data, n * sizeof(float));
		if (l->a0)
			memcpy(both->data + n, l->a0, n * sizeof(float));
		return both;
	}
	for (int64_t o = 0; o < t->dim[0]; o++) {
		for (int64_t k = 0; k < l->r; k++) {
			both->data[o * 2 * l->r + k] = t->data[o * l->r + k];
			both->data[o * 2 * l->r + l->r + k] = l->b0 ? -l->b0[o * l->r + k] : 0;
		}
	}
	return both;
}

/*
 * The file's first values take the place of ours, and so does what they leave of
 * the base weight.
 */
int lowrank_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	struct site *s = site_of(m, t);
	struct lowrank *l = s->state;
	const bool is_a = t == l->step.a;
	const int64_t rows = is_a ? 1 : t->dim[0], half = tensor_count(t) / rows;
	float *first = is_a ? l->a0 : l->b0;

	for (int64_t o = 0; o < rows; o++) {
		const float *now = packed->data + o * 2 * half, *was = now + half;

		memcpy(t->data + o * half, now, (size_t)half * sizeof(float));
		for (int64_t k = 0; k < half; k++) {
			if (first)
				first[o * half + k] = is_a ? was[k] : -was[k];
			else if (was[k] < 0 || was[k] > 0)
				return err_set(
					TT_INVALID,
					"'%s' has numbers where a pissa_niter run leaves none",
					t->name);
		}
	}
	if (!first)
		return TT_OK;
	memcpy(s->weight->data, l->w0, (size_t)tensor_count(s->weight) * sizeof(float));
	add_step(s->weight->data, l, -l->scale, l->a0, l->b0);
	s->weight->forward = s->weight->backward = NULL;
	return TT_OK;
}

/* ---- size ---- */

/* sum over i of x[i] y[i] for rows p of x and q of y. */
static double row_dot(const float *x, int64_t p, const float *y, int64_t q, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[p * n + i] * (double)y[q * n + i];
	return sum;
}

static double column_dot(const float *x, int64_t p, const float *y, int64_t q, int64_t n,
			 int64_t cols)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i * cols + p] * (double)y[i * cols + q];
	return sum;
}

/* <B A, B' A'> = tr((A A'^T) (B'^T B)^T): r * r numbers instead of out * in; with e both are scaled. */
static double inner(const struct lowrank *l, const float *a, const float *b, const float *a2,
		    const float *b2)
{
	const int64_t in = l->step.a->dim[1], out = l->step.b->dim[0], r = l->r;
	double sum = 0;

	for (int64_t p = 0; p < r; p++) {
		for (int64_t q = 0; q < r; q++)
			sum += e_at(l, p) * e_at(l, q) * row_dot(a, p, a2, q, in) *
			       column_dot(b, p, b2, q, out, r);
	}
	return sum;
}

double lowrank_delta_norm(const struct lowrank *l)
{
	const float *a = l->step.a->data, *b = l->step.b->data;
	double square = inner(l, a, b, a, b);

	if (l->a0)
		square += inner(l, l->a0, l->b0, l->a0, l->b0) - 2 * inner(l, a, b, l->a0, l->b0);
	return square > 0 ? l->scale * sqrt(square) : 0;
}

/* Row p of [A; A0], and what stands before column p of [B, -B0]: their Gram matrices. */
static void grams(const struct lowrank *l, int64_t n, double *left, double *right)
{
	const int64_t in = l->step.a->dim[1], out = l->step.b->dim[0], r = l->r;
	const float *const a[] = { l->step.a->data, l->a0 }, *const b[] = { l->step.b->data,
									    l->b0 };

	for (int64_t i = 0; i < n * n; i++) {
		const int64_t p = i / n, q = i % n;
		const double sign = p / r == q / r ? 1 : -1;

		left[i] = sign * column_dot(b[p / r], p % r, b[q / r], q % r, out, r);
		right[i] = e_at(l, p % r) * e_at(l, q % r) *
			   row_dot(a[p / r], p % r, a[q / r], q % r, in);
	}
}

double lowrank_delta_rank(const struct lowrank *l)
{
	const int64_t n = l->a0 ? 2 * l->r : l->r;
	double *left = calloc((size_t)(n * n), sizeof(*left)),
	       *right = calloc((size_t)(n * n), sizeof(*right)),
	       *value = calloc((size_t)n, sizeof(*value)), sum = 0, entropy = 0;
	bool fine = left && right && value;

	if (fine) {
		grams(l, n, left, right);
		fine = !decompose_product(left, right, n, value);
	}
	for (int64_t i = 0; fine && i < n; i++)
		sum += value[i];
	for (int64_t i = 0; fine && i < n; i++)
		entropy -= value[i] > 0 ? value[i] / sum * log(value[i] / sum) : 0;
	free(left);
	free(right);
	free(value);
	return sum > 0 ? exp(entropy) : 0;
}

/* What starts at zero and should not stay there. */
static const struct tensor *late(const struct lowrank *l)
{
	return l->kind == LOWRANK_EMBED ? l->step.a : l->step.b;
}

/* A factor that is exactly zero after some steps has never had a gradient. */
static void alarm_if_idle(struct method *m, const struct watch *out)
{
	for (size_t i = 0; out->step >= IDLE_STEPS && i < m->nsite; i++) {
		const struct tensor *t = late(m->site[i]->state);

		if (kernel_sum_squares(t->data, tensor_count(t)) > 0)
			continue;
		panel_alarm(m, out, LOWRANK_ALARM_IDLE,
			    "%s: '%s' is still exactly 0 after %lld steps: no gradient reaches it",
			    m->ops->name, t->name, (long long)out->step);
	}
}

void lowrank_watch(struct method *m, struct panel *p)
{
	alarm_if_idle(m, p->out);
	for (size_t i = 0; i < m->nsite; i++) {
		const struct lowrank *l = m->site[i]->state;

		panel_add(p, m->site[i]->name,
			  l->weight_norm > 0 ? lowrank_delta_norm(l) / l->weight_norm : 0);
	}
	panel_end(p);
}

/* ---- LoRA+ ---- */

static bool is_plus(const struct method *m)
{
	const struct lowrank_settings *set = m->settings;

	return !isnan(set->loraplus_lr_ratio);
}

double lowrank_learning_rate(const struct method *m, const struct tensor *t, double base)
{
	const struct lowrank_settings *set = m->settings;

	if (!is_plus(m))
		return base;
	if (strstr(t->name, ".lora_embedding_"))
		return set->loraplus_lr_embedding;
	return t->rank == 1 || strstr(t->name, "lora_B") ? base * set->loraplus_lr_ratio : base;
}

/*
 * Vectors of base and head are biases and norms, which never decay; everything
 * else, DoRA's magnitudes too, takes LoRA+'s own rate.
 */
double lowrank_weight_decay(const struct method *m, const struct tensor *t, double base)
{
	const struct lowrank_settings *set = m->settings;

	if (!is_plus(m))
		return base;
	return t->rank == 1 && !strstr(t->name, ".lora_magnitude_vector")
		       ? 0
		       : set->loraplus_weight_decay;
}
