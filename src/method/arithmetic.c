/*
 * Weighted sums of LoRA steps: module by module, over the adapters that have the
 * module. An adapter without it adds nothing there.
 */
#include "method/arithmetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "method/decompose.h"
#include "method/lora_folder.h"

int arithmetic_parse(const char *name, struct arithmetic *ret)
{
	static const struct {
		const char *name;
		enum blend how;
		bool of_steps;
	} words[] = {
		{ "cat", BLEND_CAT, false },
		{ "svd", BLEND_SVD, false },
		{ "linear", BLEND_LINEAR, false },
		{ "ties", BLEND_TIES, false },
		{ "ties_svd", BLEND_TIES, true },
		{ "dare_linear", BLEND_DARE, false },
		{ "dare_linear_svd", BLEND_DARE, true },
		{ "dare_ties", BLEND_DARE_TIES, false },
		{ "dare_ties_svd", BLEND_DARE_TIES, true },
		{ "magnitude_prune", BLEND_PRUNE, false },
		{ "magnitude_prune_svd", BLEND_PRUNE, true },
	};

	for (size_t i = 0; i < COUNT(words); i++) {
		if (strcmp(words[i].name, name) != 0)
			continue;
		ret->how = words[i].how;
		ret->of_steps = words[i].of_steps;
		return TT_OK;
	}
	return err_set(
		TT_INVALID,
		"'%.40s' is no way to add adapters; cat, svd, linear, ties, ties_svd, "
		"dare_linear, dare_linear_svd, dare_ties, dare_ties_svd, magnitude_prune and "
		"magnitude_prune_svd are",
		name);
}

/* The steps of one module that are to be added. */
struct terms {
	const struct arithmetic *how;
	struct arena *arena, *scratch; /* of the result; of this module */
	const struct lora_pair **pair;
	double *weight; /* [n] as given */
	size_t n;
};

static double magnitude(const struct terms *t, size_t i)
{
	return t->weight[i] * t->pair[i]->scale;
}

/* ---- elementwise ways ---- */

/* What is blended: the same tensor of each adapter, [count], and a weight each. */
struct layers {
	float **x; /* [n][count]; changed */
	double *weight;
	size_t n;
	int64_t count;
};

struct sized {
	float size;
	int64_t at;
};

/* The largest first, and of equal ones the first. */
static int by_size(const void *a, const void *b)
{
	const struct sized *x = a, *y = b;

	if (x->size > y->size || x->size < y->size)
		return x->size > y->size ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Keep the largest int(density * count) numbers, as PEFT counts. */
static int prune_small(float *x, int64_t count, double density)
{
	struct sized *s = malloc((size_t)(count ? count : 1) * sizeof(*s));
	const int64_t keep = (int64_t)(density * (double)count);

	if (!s)
		return err_set(TT_NOMEM, "not enough memory to add adapters");
	for (int64_t i = 0; i < count; i++)
		s[i] = (struct sized){ fabsf(x[i]), i };
	qsort(s, (size_t)count, sizeof(*s), by_size);
	for (int64_t i = keep; i < count; i++)
		x[s[i].at] = 0;
	free(s);
	return TT_OK;
}

static void drop_random(float *x, int64_t count, double density, struct rng *r)
{
	for (int64_t i = 0; i < count; i++)
		x[i] = (double)rng_uniform(r) < density ? (float)((double)x[i] / density) : 0;
}

static int sign(double x) { return (x > 0) - (x < 0); }

/* The mean of those that agree with the majority's sign. */
static float agreed(const struct layers *l, int64_t i, bool by_frequency)
{
	double vote = 0, sum = 0;
	int64_t n = 0;

	for (size_t k = 0; k < l->n; k++)
		vote += by_frequency ? sign((double)l->x[k][i]) : (double)l->x[k][i];
	for (size_t k = 0; k < l->n; k++) {
		if (sign((double)l->x[k][i]) != sign(vote))
			continue;
		sum += l->weight[k] * (double)l->x[k][i];
		n++;
	}
	return (float)(sum / (double)(n ? n : 1));
}

static float plain_sum(const struct layers *l, int64_t i)
{
	double sum = 0;

	for (size_t k = 0; k < l->n; k++)
		sum += l->weight[k] * (double)l->x[k][i];
	return (float)sum;
}

static int blend(const struct arithmetic *how, const struct layers *l, struct rng *r, float *ret)
{
	const bool votes = how->how == BLEND_TIES || how->how == BLEND_DARE_TIES;
	int code = TT_OK;

	for (size_t k = 0; !code && k < l->n; k++) {
		if (how->how == BLEND_TIES || how->how == BLEND_PRUNE)
			code = prune_small(l->x[k], l->count, how->density);
		else if (how->how == BLEND_DARE || how->how == BLEND_DARE_TIES)
			drop_random(l->x[k], l->count, how->density, r);
	}
	for (int64_t i = 0; !code && i < l->count; i++)
		ret[i] = votes ? agreed(l, i, how->by_frequency) : plain_sum(l, i);
	return code;
}

static float *copy(struct arena *a, const float *x, int64_t count)
{
	float *y = arena_alloc(a, (size_t)(count ? count : 1) * sizeof(*y));

	if (y)
		memcpy(y, x, (size_t)count * sizeof(*y));
	return y;
}

/* One factor of all terms: weights sqrt|w s|, and the sign goes to A. */
static int blend_factor(const struct terms *t, bool is_a, struct rng *r, float *ret)
{
	const struct lora_pair *p = t->pair[0];
	struct layers l = { .n = t->n, .count = is_a ? p->r * p->in : p->out * p->r };

	l.x = arena_zero(t->scratch, t->n, sizeof(*l.x));
	l.weight = arena_zero(t->scratch, t->n, sizeof(*l.weight));
	if (!l.x || !l.weight)
		return TT_NOMEM;
	for (size_t i = 0; i < t->n; i++) {
		const double m = magnitude(t, i);

		l.x[i] = copy(t->scratch, is_a ? t->pair[i]->a : t->pair[i]->b, l.count);
		l.weight[i] = sqrt(fabs(m)) * (is_a && m < 0 ? -1 : 1);
		if (!l.x[i])
			return TT_NOMEM;
	}
	return blend(t->how, &l, r, ret);
}

static int sum_factors(const struct terms *t, struct rng *r, struct lora_pair *ret)
{
	int code;

	for (size_t i = 1; i < t->n; i++) {
		if (t->pair[i]->r != t->pair[0]->r)
			return err_set(TT_INVALID,
				       "'%s' has ranks %lld and %lld; this way needs one rank, cat "
				       "and svd do not",
				       ret->module, (long long)t->pair[0]->r,
				       (long long)t->pair[i]->r);
	}
	ret->r = t->pair[0]->r;
	ret->a = arena_zero(t->arena, (size_t)(ret->r * ret->in), sizeof(float));
	ret->b = arena_zero(t->arena, (size_t)(ret->r * ret->out), sizeof(float));
	if (!ret->a || !ret->b)
		return TT_NOMEM;
	code = blend_factor(t, true, r, ret->a);
	return code ? code : blend_factor(t, false, r, ret->b);
}

/* ---- exact ways ---- */

static int sum_cat(const struct terms *t, struct lora_pair *ret)
{
	int64_t at = 0;

	ret->r = 0;
	for (size_t i = 0; i < t->n; i++)
		ret->r += t->pair[i]->r;
	ret->a = arena_zero(t->arena, (size_t)(ret->r * ret->in), sizeof(float));
	ret->b = arena_zero(t->arena, (size_t)(ret->r * ret->out), sizeof(float));
	if (!ret->a || !ret->b)
		return TT_NOMEM;
	for (size_t i = 0; i < t->n; i++) {
		const struct lora_pair *p = t->pair[i];
		const double m = magnitude(t, i);

		for (int64_t k = 0; k < p->r * p->in; k++)
			ret->a[at * p->in + k] = (float)(m * (double)p->a[k]);
		for (int64_t o = 0; o < p->out; o++)
			memcpy(ret->b + o * ret->r + at, p->b + o * p->r,
			       (size_t)p->r * sizeof(float));
		at += p->r;
	}
	return TT_OK;
}

/* x += by B A, in double. */
static void add_step(const struct lora_pair *p, double by, double *x)
{
	for (int64_t o = 0; o < p->out; o++) {
		for (int64_t k = 0; k < p->r; k++) {
			const double b = by * (double)p->b[o * p->r + k];

			for (int64_t i = 0; i < p->in; i++)
				x[o * p->in + i] += b * (double)p->a[k * p->in + i];
		}
	}
}

/* B' = U S, A' = V^T, of the largest r singular values. */
static int cut(const struct terms *t, const float *step, struct lora_pair *ret)
{
	const int64_t least = ret->in < ret->out ? ret->in : ret->out;
	double *u, *s, *vt;
	int code;

	ret->r = t->how->r;
	for (size_t i = 0; i < t->n && !t->how->r; i++)
		ret->r = t->pair[i]->r > ret->r ? t->pair[i]->r : ret->r;
	ret->r = ret->r > least ? least : ret->r;
	u = arena_zero(t->scratch, (size_t)(ret->out * ret->r), sizeof(*u));
	s = arena_zero(t->scratch, (size_t)ret->r, sizeof(*s));
	vt = arena_zero(t->scratch, (size_t)(ret->r * ret->in), sizeof(*vt));
	ret->a = arena_zero(t->arena, (size_t)(ret->r * ret->in), sizeof(float));
	ret->b = arena_zero(t->arena, (size_t)(ret->r * ret->out), sizeof(float));
	if (!u || !s || !vt || !ret->a || !ret->b)
		return TT_NOMEM;
	code = decompose_svd(step, ret->out, ret->in, ret->r, u, s, vt);
	for (int64_t i = 0; !code && i < ret->r * ret->in; i++)
		ret->a[i] = (float)vt[i];
	for (int64_t i = 0; !code && i < ret->r * ret->out; i++)
		ret->b[i] = (float)(u[i] * s[i % ret->r]);
	return code;
}

static float *narrowed(struct arena *a, const double *x, int64_t count)
{
	float *y = arena_alloc(a, (size_t)count * sizeof(*y));

	for (int64_t i = 0; y && i < count; i++)
		y[i] = (float)x[i];
	return y;
}

static int sum_svd(const struct terms *t, struct lora_pair *ret)
{
	const int64_t count = ret->out * ret->in;
	double *sum = arena_zero(t->scratch, (size_t)count, sizeof(*sum));
	float *step;

	if (!sum)
		return TT_NOMEM;
	for (size_t i = 0; i < t->n; i++)
		add_step(t->pair[i], magnitude(t, i) * (t->how->peft_svd ? t->pair[i]->scale : 1),
			 sum);
	step = narrowed(t->scratch, sum, count);
	return step ? cut(t, step, ret) : TT_NOMEM;
}

/* The steps themselves, blended and cut. */
static int sum_steps(const struct terms *t, struct rng *r, struct lora_pair *ret)
{
	struct layers l = { .n = t->n, .count = ret->out * ret->in };
	float *step = arena_alloc(t->scratch, (size_t)l.count * sizeof(*step));
	int code;

	l.x = arena_zero(t->scratch, t->n, sizeof(*l.x));
	l.weight = t->weight;
	if (!l.x || !step)
		return TT_NOMEM;
	for (size_t i = 0; i < t->n; i++) {
		double *wide = arena_zero(t->scratch, (size_t)l.count, sizeof(*wide));

		if (!wide)
			return TT_NOMEM;
		add_step(t->pair[i], t->pair[i]->scale, wide);
		l.x[i] = narrowed(t->scratch, wide, l.count);
		if (!l.x[i])
			return TT_NOMEM;
	}
	code = blend(t->how, &l, r, step);
	return code ? code : cut(t, step, ret);
}

/* ---- one module ---- */

static int sum_biases(const struct terms *t, struct lora_pair *ret)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->pair[i]->c)
			continue;
		if (!ret->c)
			ret->c = arena_zero(t->arena, (size_t)ret->out, sizeof(float));
		if (!ret->c)
			return TT_NOMEM;
		for (int64_t o = 0; o < ret->out; o++)
			ret->c[o] += (float)(magnitude(t, i) * (double)t->pair[i]->c[o]);
	}
	return TT_OK;
}

static int sum_module(const struct terms *t, struct rng *r, struct lora_pair *ret)
{
	int code;

	for (size_t i = 1; i < t->n; i++) {
		const struct lora_pair *p = t->pair[i];

		if (p->in != ret->in || p->out != ret->out || p->embed != ret->embed)
			return err_set(TT_INVALID,
				       "'%s' is [%lld,%lld] in one adapter and [%lld,%lld] in "
				       "another: they are of different models",
				       ret->module, (long long)ret->out, (long long)ret->in,
				       (long long)p->out, (long long)p->in);
	}
	switch (t->how->how) {
	case BLEND_CAT: code = sum_cat(t, ret); break;
	case BLEND_SVD: code = sum_svd(t, ret); break;
	default: code = t->how->of_steps ? sum_steps(t, r, ret) : sum_factors(t, r, ret);
	}
	return code ? code : sum_biases(t, ret);
}

static const struct lora_pair *find_pair(const struct lora_folder *f, const char *module)
{
	for (size_t i = 0; i < f->npair; i++) {
		if (!strcmp(f->pair[i].module, module))
			return &f->pair[i];
	}
	return NULL;
}

/* ---- whole adapters ---- */

static int add_module(const struct arithmetic *how, struct lora_folder *const *f,
		      const double *weight, size_t n, const char *module, struct lora_folder *out)
{
	struct lora_pair *ret = &out->pair[out->npair++];
	struct terms t = { .how = how, .arena = out->arena, .scratch = arena_new() };
	struct rng r;
	int code;

	t.pair = arena_zero(out->arena, n, sizeof(*t.pair));
	t.weight = arena_zero(out->arena, n, sizeof(*t.weight));
	if (!t.pair || !t.weight || !t.scratch) {
		arena_free(t.scratch);
		return TT_NOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct lora_pair *p = find_pair(f[i], module);

		if (!p)
			continue;
		t.pair[t.n] = p;
		t.weight[t.n++] = weight[i];
	}
	*ret = (struct lora_pair){ .module = module,
				   .embed = t.pair[0]->embed,
				   .in = t.pair[0]->in,
				   .out = t.pair[0]->out,
				   .scale = 1 };
	rng_init(&r, how->seed, RNG_INIT, (uint32_t)out->npair);
	code = sum_module(&t, &r, ret);
	arena_free(t.scratch);
	return code;
}

static int add_modules(const struct arithmetic *how, struct lora_folder *const *f,
		       const double *weight, size_t n, struct lora_folder *out)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < n; i++) {
		for (size_t k = 0; !code && k < f[i]->npair; k++) {
			if (!find_pair(out, f[i]->pair[k].module))
				code = add_module(how, f, weight, n, f[i]->pair[k].module, out);
		}
	}
	return code;
}

static void add_others(struct lora_folder *const *f, size_t n, struct lora_folder *out)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < f[i]->nother; k++) {
			bool there = false;

			for (size_t j = 0; j < out->nother; j++)
				there = there || !strcmp(out->other[j].name, f[i]->other[k].name);
			if (!there)
				out->other[out->nother++] = f[i]->other[k];
		}
	}
}

static int sum_folders(const struct arithmetic *how, struct lora_folder *const *f,
		       const double *weight, size_t n, const char *dir)
{
	struct lora_folder out = { .arena = arena_new(), .config = f[0]->config };
	size_t pairs = 0, others = 0;
	int code;

	for (size_t i = 0; i < n; i++) {
		pairs += f[i]->npair;
		others += f[i]->nother;
	}
	if (out.arena) {
		out.pair = arena_zero(out.arena, pairs, sizeof(*out.pair));
		out.other = arena_zero(out.arena, others + 1, sizeof(*out.other));
	}
	if (!out.pair || !out.other) {
		arena_free(out.arena);
		return err_set(TT_NOMEM, "not enough memory to add adapters");
	}
	code = add_modules(how, f, weight, n, &out);
	add_others(f, n, &out);
	if (!code)
		code = lora_folder_write(&out, dir);
	arena_free(out.arena);
	return code;
}

int arithmetic_sum(const struct arithmetic *how, const char *const *dir, const double *weight,
		   size_t n, const char *out)
{
	struct lora_folder **f = calloc(n, sizeof(struct lora_folder *));
	int code = f ? TT_OK : err_set(TT_NOMEM, "not enough memory to add adapters");

	for (size_t i = 0; !code && i < n; i++)
		code = lora_folder_read(dir[i], &f[i]);
	if (!code)
		code = sum_folders(how, f, weight, n, out);
	for (size_t i = 0; f && i < n; i++)
		lora_folder_free(f[i]);
	free(f);
	return code;
}
