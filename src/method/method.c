/*
 * Methods: the registry, and attaching one to a model.
 *
 * Opening a method runs in a fixed order: begin (what it trains in the base),
 * attach for every module the rules pick, then modules_to_save. So the order of
 * method->param depends on recipe and model alone.
 */
#include "method/method.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "method/combined.h"
#include "method/saved.h"
#include "method/stages.h"
#include "method/target.h"

#define ITEM(name) extern const struct method_ops method_##name;
#include "method/list.inc"
#undef ITEM

static const struct method_ops *const methods[] = {
#define ITEM(name) &method_##name,
#include "method/list.inc"
#undef ITEM
	NULL
};

/* ---- registry ---- */

const struct method_ops *const *method_all(void) { return methods; }

const struct recipe_method *method_table(void)
{
	/*
	 * The same values at every call; they cannot be constants of C, since
	 * they lie in other constants.
	 */
	static struct recipe_method table[COUNT(methods)];

	for (size_t i = 0; methods[i]; i++) {
		table[i] = (struct recipe_method){ .name = methods[i]->name,
						   .knobs = methods[i]->knobs,
						   .size = methods[i]->settings_size };
	}
	return table;
}

const struct method_ops *method_find(const char *name)
{
	for (size_t i = 0; methods[i]; i++) {
		if (!strcmp(methods[i]->name, name))
			return methods[i];
	}
	return NULL;
}

/* The number of the layer that a name lies in, as it stands there, and how long it is; NULL: in none. */
static const char *layer_number(const char *name, size_t *ret)
{
	for (const char *p = strchr(name, '.'); p; p = strchr(p + 1, '.')) {
		*ret = strspn(p + 1, "0123456789");
		if (*ret && p[*ret + 1] == '.')
			return p + 1;
	}
	return NULL;
}

const char *method_term(const char *name)
{
	size_t n;
	const char *number = layer_number(name, &n);

	return number ? number + n + 1 : name;
}

const char *method_part(const char *name, char *ret, size_t size)
{
	const char *dot = strchr(name, '.'), *end;
	size_t n;
	const char *number = layer_number(name, &n);

	if (number) {
		snprintf(ret, size, "layer_%.*s", (int)n, number);
		return ret;
	}
	/*
	 * "bert.embeddings.word_embeddings.weight" -> embeddings,
	 * "classifier.weight" -> classifier
	 */
	end = dot ? strchr(dot + 1, '.') : NULL;
	if (end)
		snprintf(ret, size, "%.*s", (int)(end - dot - 1), dot + 1);
	else
		snprintf(ret, size, "%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
	return ret;
}

/* ---- modules ---- */

bool method_lies_in(const char *name, const char *module)
{
	const size_t n = strlen(module);

	return !strncmp(name, module, n) && (name[n] == '.' || !name[n]);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * Every module's path, sorted: the sites and the groups they lie in. PEFT's
 * rules run over the groups too, and so an unfit target is found.
 */
int method_modules(struct model *model, const char ***ret, size_t *ret_n)
{
	size_t most = 1, n = 0, k = 0;
	const char **path;

	for (size_t i = 0; i < model->nsite; i++) {
		for (const char *p = model->site[i].name; p; p = strchr(p + 1, '.'))
			most++;
	}
	path = arena_zero(model->arena, most, sizeof(*path));
	if (!path)
		return TT_NOMEM;
	for (size_t i = 0; i < model->nsite; i++) {
		path[n++] = model->site[i].name;
		for (const char *p = strchr(model->site[i].name, '.'); p; p = strchr(p + 1, '.')) {
			path[n] = arena_printf(model->arena, "%.*s", (int)(p - model->site[i].name),
					       model->site[i].name);
			if (!path[n++])
				return TT_NOMEM;
		}
	}
	qsort(path, n, sizeof(*path), by_name);
	for (size_t i = 0; i < n; i++) {
		if (!k || strcmp(path[k - 1], path[i]) != 0)
			path[k++] = path[i];
	}
	*ret = path;
	*ret_n = k;
	return TT_OK;
}

/* Of which method a taken site is. */
static int taken(const struct method *m, const struct site *s)
{
	const struct method *by;

	while (m->whole)
		m = m->whole;
	by = method_sitter(m, s);
	return err_set(TT_INVALID,
		       "'%s' already carries a method, '%s', and a place takes one only", s->name,
		       by ? by->ops->name : "unknown");
}

static int attach_site(struct method *m, struct site *s)
{
	const unsigned kind = s->kind & (SITE_LINEAR | SITE_EMBED | SITE_NORM);
	int code;

	if (!(kind & m->ops->wants))
		return err_set(TT_INVALID,
			       "peft.target_modules picks '%s', a %s layer, which method '%s' "
			       "cannot adapt",
			       s->name,
			       kind & SITE_NORM    ? "normalisation"
			       : kind & SITE_EMBED ? "lookup"
						   : "linear",
			       m->ops->name);
	if (s->hooks)
		return taken(m, s);
	code = m->ops->attach(m, s);
	return code ? code : method_plug(m, s, NULL, NULL);
}

static int no_target(const struct method *m, bool all_excluded)
{
	const struct texts *t = &m->target_modules;
	const char *like = m->model->nsite ? m->model->site[0].name : "";

	if (all_excluded)
		return err_set(
			TT_INVALID,
			"peft: exclude_modules and modules_to_save leave no module to adapt");
	for (size_t i = 0; i < m->model->nsite; i++) {
		if (m->model->site[i].kind & m->ops->wants & SITE_LINEAR) {
			like = m->model->site[i].name;
			break;
		}
	}
	return err_set(TT_INVALID,
		       "peft.target_modules: no module of the model matches '%s'%s; they have "
		       "names like '%s'",
		       t->n ? t->item[0] : "", t->n > 1 ? " or the others" : "", like);
}

/* PEFT says nothing when only some names of a list are wrong; the log does. */
static void log_misses(const struct method *m)
{
	const struct texts *t = &m->target_modules;

	for (size_t i = 0; t->is_list && i < t->n; i++) {
		const size_t k = strlen(t->item[i]);
		bool hit = false;

		for (size_t s = 0; s < m->nsite && !hit; s++) {
			const size_t n = strlen(m->site[s]->name);

			hit = n >= k && !strcmp(m->site[s]->name + n - k, t->item[i]);
		}
		if (!hit)
			log_line("peft.target_modules: '%s' adapts nothing", t->item[i]);
	}
}

static int attach_picked(struct method *m, const struct target *rules)
{
	const char **path;
	size_t n, excluded = 0;
	int code = method_modules(m->model, &path, &n);

	for (size_t i = 0; !code && i < n; i++) {
		enum target_verdict verdict;

		code = target_match(rules, path[i], &verdict);
		if (code)
			break;
		excluded += verdict == TARGET_EXCLUDED;
		if (verdict == TARGET_YES && !model_site(m->model, path[i]))
			code = err_set(TT_INVALID,
				       "peft.target_modules picks '%s', which is a group of "
				       "modules; name the layers in it",
				       path[i]);
	}
	for (size_t i = 0; !code && i < m->model->nsite; i++) {
		enum target_verdict verdict;

		if (!(m->model->site[i].kind & SITE_MODULES))
			continue;
		code = target_match(rules, m->model->site[i].name, &verdict);
		if (!code && verdict == TARGET_YES)
			code = attach_site(m, &m->model->site[i]);
	}
	if (!code && !m->nsite)
		return no_target(m, excluded == n);
	if (!code)
		log_misses(m);
	return code;
}

static int attach_all(struct method *m)
{
	struct targeting *t = (struct targeting *)((char *)m->settings + m->ops->targeting_at);
	struct targeting resolved = *t;
	struct target *rules = NULL;
	int code = target_check(t);

	if (!code)
		code = target_resolve(t, m->ops->targets, m->model, m->task, &m->target_modules);
	if (code || target_is_dummy(&m->target_modules))
		return code;
	resolved.target_modules = m->target_modules;
	code = target_new(&resolved, &m->modules_to_save, &rules);
	if (!code)
		code = attach_picked(m, rules);
	target_free(rules);
	return !code && m->ops->attached ? m->ops->attached(m) : code;
}

/* ---- opening and merging ---- */

int method_plug(struct method *m, struct site *s, const struct hooks *hooks, void *state)
{
	int code = TT_OK;

	if (hooks)
		code = s->hooks ? taken(m, s) : site_plug(s, hooks, state);
	for (; !code && m; m = m->whole)
		m->site[m->nsite++] = s;
	return code;
}

struct method *method_new(const struct method_ops *ops, void *settings, struct model *model,
			  int task, uint64_t seed)
{
	struct method *m = arena_zero(model->arena, 1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct method){
		.ops = ops,
		.model = model,
		.settings = settings,
		.seed = seed,
		.task = task,
		.site = arena_zero(model->arena, model->nsite + 1, sizeof(struct site *)),
	};
	return m->site ? m : NULL;
}

int method_begin(struct method *m)
{
	const struct method_ops *ops = m->ops;
	int code = saved_gather(m);

	if (!code && ops->begin)
		code = ops->begin(m);
	if (!code && ops->wants)
		code = attach_all(m);
	if (!code && !ops->saves_model)
		code = saved_train(m);
	if (!code && !m->nparam)
		return err_set(TT_INVALID, "method '%s' finds nothing to train in this model",
			       ops->name);
	return code;
}

/* The parts, then the whole. */
static int settle(const struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		if (settle(m->part[i]))
			return err_in("peft.%zu", i);
	}
	return m->ops->settled ? m->ops->settled(m) : TT_OK;
}

int method_open(const struct method_options *how, struct method **ret)
{
	const struct method_ops *ops = how->n_peft > 1 ? &method_combined
						       : method_find(how->peft->name);
	struct method *m;
	int code;

	if (!ops)
		return err_set(TT_NOTFOUND, "peft.method is '%s', which is no method of this build",
			       how->peft->name);
	m = method_new(ops, how->n_peft > 1 ? NULL : how->peft->settings, how->model, how->task,
		       how->seed);
	if (!m)
		return TT_NOMEM;
	m->tokenizer = how->tokenizer;
	m->labels = how->labels;
	code = how->n_peft > 1 ? combined_begin(m, how->peft, how->n_peft) : method_begin(m);
	if (!code)
		code = settle(m);
	if (!code)
		*ret = m;
	return code;
}

int method_own_weight(struct method *m, struct site *s)
{
	for (size_t i = 0; i < m->model->nsite; i++) {
		const struct site *other = &m->model->site[i];

		if (other != s && other->weight == s->weight)
			return err_set(TT_INVALID,
				       "'%s' shares its weight with '%s', so the step cannot be "
				       "merged into one of them",
				       s->name, other->name);
	}
	return model_own_param(m->model, s->weight);
}

bool method_mergeable(const struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		if (!method_mergeable(m->part[i]))
			return false;
	}
	return m->nparts || !m->nsite || m->ops->merge;
}

static int merge_sites(struct method *m)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < m->nparts; i++)
		code = merge_sites(m->part[i]);
	for (size_t i = 0; !code && !m->nparts && i < m->nsite; i++)
		code = m->ops->merge(m, m->site[i]);
	return code;
}

int method_merge(struct method *m)
{
	int code;

	if (!method_mergeable(m))
		return err_set(TT_INVALID, "method '%s' cannot be merged into the model",
			       m->ops->name);
	/* what a method makes of base weights, as evaluations have it */
	code = stage_refresh(m);
	if (!code)
		code = merge_sites(m);
	if (code)
		return code;
	/* only now: a failure above leaves the model plugged, and says so */
	for (size_t i = 0; i < m->nsite; i++)
		site_unplug(m->site[i]);
	m->nsite = 0;
	return TT_OK;
}
