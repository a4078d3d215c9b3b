/*
 * AdaLoRA's adapter files, as PEFT writes them. Once ranks have moved they hold
 * the triplets that live alone, and rank_pattern in the config says which of
 * init_r these are; there may be none of a module.
 *
 * PEFT's pattern is what the last move left, which drops triplets that have
 * grown again before the next one, so that its file computes something else than
 * the model did. Ours keeps them. In the final phase the two are the same.
 */
#include "method/adalora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"

static bool has_moved(const struct method *m)
{
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;

		for (int64_t k = 0; k < a->low.r; k++) {
			if (a->masked->data[k] > 0)
				return true;
		}
	}
	return false;
}

/* ---- adapter_config.json ---- */

static int by_name(const void *a, const void *b)
{
	const struct site *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int write_pattern(const struct method *m, struct jsonw *w)
{
	struct site **site = arena_alloc(m->model->arena, (m->nsite + 1) * sizeof(*site));

	if (!site)
		return TT_NOMEM;
	memcpy(site, m->site, m->nsite * sizeof(*site));
	qsort(site, m->nsite, sizeof(*site), by_name);
	jsonw_object(w);
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = site[i]->state;

		jsonw_key(w, a->factor[ADALORA_E]->name);
		jsonw_array(w);
		for (int64_t k = 0; k < a->low.r; k++)
			jsonw_bool(w, adalora_lives(a, k));
		jsonw_end(w, ']');
	}
	jsonw_end(w, '}');
	return TT_OK;
}

/* PEFT needs some total_step to load a file at all, also where no run has planned one. */
static int64_t total_or_least(const struct method *m)
{
	const struct adalora_settings *set = m->settings;
	const int64_t total = adalora_total(m);

	return total ? total : set->tinit + set->tfinal + 1;
}

static void write_int(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_int(w, v);
}

static void write_float(struct jsonw *w, const char *key, double v)
{
	jsonw_key(w, key);
	adapter_write_float(w, v);
}

int adalora_config(const struct method *m, struct jsonw *w)
{
	const struct adalora_settings *set = m->settings;
	struct lowrank_settings low = set->low;
	int code;

	/* written out: of a pruned file PEFT would take another number for an alpha of 0 */
	low.lora_alpha = low.lora_alpha > 0 ? low.lora_alpha : (double)set->init_r;
	code = lowrank_write_config(m, w, &low);
	if (code)
		return code;
	write_int(w, "init_r", set->init_r);
	write_int(w, "target_r", set->target_r);
	write_int(w, "tinit", set->tinit);
	write_int(w, "tfinal", set->tfinal);
	write_int(w, "deltaT", set->deltaT);
	write_int(w, "total_step", total_or_least(m));
	write_float(w, "beta1", set->beta1);
	write_float(w, "beta2", set->beta2);
	write_float(w, "orth_reg_weight", set->orth_reg_weight);
	jsonw_key(w, "rank_pattern");
	if (has_moved(m))
		return write_pattern(m, w);
	jsonw_null(w);
	return TT_OK;
}

/* ---- does a file agree? ---- */

static const struct json *pattern_of(const struct json *config)
{
	const struct json *j = json_get(config, "rank_pattern");

	return j && json_type(j) != JSON_NULL ? j : NULL;
}

/* Every member names a module's E and holds init_r booleans. */
static int pattern_agrees(const struct method *m, const struct json *pattern)
{
	size_t n = 0;

	if (json_type(pattern) != JSON_OBJECT)
		return err_set(TT_INVALID, "rank_pattern is %s, not an object",
			       json_type_name(json_type(pattern)));
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;
		const struct json *list = json_get(pattern, a->factor[ADALORA_E]->name);

		if (!list)
			continue;
		n++;
		if (json_type(list) != JSON_ARRAY || json_count(list) != (size_t)a->low.r)
			return err_set(TT_INVALID, "rank_pattern has no list of init_r for '%s'",
				       m->site[i]->name);
		for (const struct json *j = json_first(list); j; j = json_next(j)) {
			if (json_type(j) != JSON_BOOL)
				return err_set(TT_INVALID,
					       "rank_pattern of '%s' holds something else than "
					       "true and false",
					       m->site[i]->name);
		}
	}
	if (n != json_count(pattern))
		return err_set(TT_INVALID, "rank_pattern names modules that the recipe does not "
					   "adapt");
	return TT_OK;
}

int adalora_agrees(const struct method *m, const struct json *config)
{
	static const char *const own[] = { "beta1",  "beta2",           "deltaT",
					   "init_r", "orth_reg_weight", "target_r",
					   "tfinal", "tinit",           "total_step" };
	const struct adalora_settings *set = m->settings;
	const double r = adapter_number(config, "init_r", 12),
		     file = adapter_number(config, "lora_alpha", 8);
	const double alpha = file > 0 ? file : r;
	const double ours = set->low.lora_alpha > 0 ? set->low.lora_alpha : (double)set->init_r;
	const struct json *pattern = pattern_of(config);
	int code = lowrank_check_config(m, config, own, COUNT(own));

	if (code)
		return code;
	if (!(fabs(r - (double)set->init_r) < 0.5))
		return err_set(TT_INVALID, "init_r is %g, and the recipe says %lld", r,
			       (long long)set->init_r);
	if (!(fabs(alpha - ours) <= 1e-6 * ours))
		return err_set(TT_INVALID, "lora_alpha is %g, and the recipe says %g", alpha, ours);
	return pattern ? pattern_agrees(m, pattern) : TT_OK;
}

int adalora_adopt(struct method *m, const struct json *config)
{
	const struct json *pattern = pattern_of(config);

	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;
		struct tensor *e = a->factor[ADALORA_E];
		const struct json *list = pattern ? json_get(pattern, e->name) : NULL;
		const struct json *j = list ? json_first(list) : NULL;

		for (int64_t k = 0; k < a->low.r; k++, j = j ? json_next(j) : NULL) {
			const bool lives = !j || json_bool(j);

			a->masked->data[k] = !lives;
			e->data[k] = lives ? e->data[k] : 0;
		}
	}
	return TT_OK;
}

/* ---- tensors ---- */

/* Whose factor it is, and which; NULL: of none. */
static const struct adalora_site *site_of(const struct method *m, const struct tensor *t,
					  enum adalora_factor *ret)
{
	for (size_t i = 0; i < m->nsite; i++) {
		const struct adalora_site *a = m->site[i]->state;

		for (int k = 0; k < ADALORA_FACTORS; k++) {
			if (a->factor[k] == t) {
				*ret = (enum adalora_factor)k;
				return a;
			}
		}
	}
	return NULL;
}

/*
 * Copy triplet after triplet between a factor and what a file holds of it: wide
 * [r,n] or, of B, [n,r].
 */
struct squeeze {
	const struct adalora_site *site;
	enum adalora_factor factor;
	int64_t n, living;
};

static struct squeeze squeeze_of(const struct adalora_site *a, enum adalora_factor factor)
{
	struct squeeze s = { .site = a, .factor = factor };

	s.n = tensor_count(a->factor[factor]) / a->low.r;
	for (int64_t k = 0; k < a->low.r; k++)
		s.living += adalora_lives(a, k);
	return s;
}

/* Where number i of triplet k lies, of r triplets. */
static int64_t place(const struct squeeze *s, int64_t k, int64_t i, int64_t r)
{
	return s->factor == ADALORA_B ? i * r + k : k * s->n + i;
}

const struct tensor *adalora_pack(const struct method *m, struct tensor *t, struct arena *arena)
{
	enum adalora_factor factor = ADALORA_A;
	const struct adalora_site *a = site_of(m, t, &factor);
	struct squeeze s;
	struct tensor *to;
	int64_t at = 0;

	if (!a)
		return t;
	s = squeeze_of(a, factor);
	if (s.living == a->low.r)
		return t;
	to = arena_zero(arena, 1, sizeof(*to));
	if (!to)
		return NULL;
	*to = *t;
	to->dim[factor == ADALORA_B ? 1 : 0] = s.living;
	to->data = arena_alloc(arena, (size_t)(s.living * s.n) * sizeof(float));
	for (int64_t k = 0; to->data && k < a->low.r; k++) {
		if (!adalora_lives(a, k))
			continue;
		for (int64_t i = 0; i < s.n; i++)
			to->data[place(&s, at, i, s.living)] = t->data[place(&s, k, i, a->low.r)];
		at++;
	}
	return to->data ? to : NULL;
}

/* What the file lacks keeps its first values, with E at zero: it may come back if it trains on. */
int adalora_unpack(struct method *m, struct tensor *t, const struct tensor *packed)
{
	enum adalora_factor factor = ADALORA_A;
	const struct adalora_site *a = site_of(m, t, &factor);
	const struct squeeze s = squeeze_of(a, factor);
	int64_t at = 0;

	for (int64_t k = 0; k < a->low.r; k++) {
		if (a->masked->data[k] > 0)
			continue;
		for (int64_t i = 0; i < s.n; i++)
			t->data[place(&s, k, i, a->low.r)] =
				packed->data[place(&s, at, i, s.living)];
		at++;
	}
	return TT_OK;
}
