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

/* ---- parameters ---- */

void *method_alloc(struct method *m, size_t size)
{
	return arena_zero(m->model->arena, 1, size ? size : 1);
}

static int param_add(struct method *m, struct tensor *t, const float *before)
{
	if (m->nparam == m->room) {
		const size_t room = m->room ? 2 * m->room : 64;
		struct tensor **param = arena_zero(m->model->arena, room, sizeof(struct tensor *));
		const float **was = arena_zero(m->model->arena, room, sizeof(float *));

		if (!param || !was)
			return TT_NOMEM;
		if (m->nparam) {
			memcpy(param, m->param, m->nparam * sizeof(struct tensor *));
			memcpy(was, m->before, m->nparam * sizeof(float *));
		}
		m->param = param;
		m->before = was;
		m->room = room;
	}
	m->before[m->nparam] = before;
	m->param[m->nparam++] = t;
	return TT_OK;
}

static bool param_at(const struct method *m, const struct tensor *t, size_t *ret)
{
	for (size_t i = 0; i < m->nparam; i++) {
		if (m->param[i] == t) {
			*ret = i;
			return true;
		}
	}
	return false;
}

const float *method_before(const struct method *m, const struct tensor *t)
{
	size_t i;

	return param_at(m, t, &i) ? m->before[i] : NULL;
}

int method_train_base(struct method *m, struct tensor *t)
{
	const float *before = t->data;
	size_t at;
	int code;

	if (t->trainable && param_at(m, t, &at))
		return TT_OK;
	code = model_train_param(m->model, t);
	if (code)
		return code;
	if (before == t->data) {
		/* it was writable already, so nothing keeps the first values for us */
		const size_t size = (size_t)tensor_count(t) * sizeof(float);
		float *copy = arena_alloc(m->model->arena, size);

		if (!copy)
			return TT_NOMEM;
		memcpy(copy, t->data, size);
		before = copy;
	}
	return param_add(m, t, before);
}

/* FNV-1a: names give keys that are far apart. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001B3u;
	return h;
}

void method_rng(const struct method *m, const char *name, struct rng *ret)
{
	rng_init(ret, m->seed ^ hash(name), RNG_INIT, 0);
}

struct tensor *method_param(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound)
{
	const char *name = arena_printf(m->model->arena, "%s.%s", module, leaf);
	struct tensor *t = name ? model_new_tensor(m->model, name, rank, dim) : NULL;
	struct rng r;
	int64_t n;

	if (!t)
		return NULL;
	n = tensor_count(t);
	method_rng(m, name, &r);
	for (int64_t i = 0; how == INIT_UNIFORM && i < n; i++)
		t->data[i] = (float)((2.0 * (double)rng_uniform(&r) - 1.0) * bound);
	for (int64_t i = 0; how == INIT_NORMAL && i < n; i++)
		t->data[i] = (float)((double)rng_normal(&r) * bound);
	t->trainable = t->needs = true;
	return param_add(m, t, NULL) ? NULL : t;
}

int64_t method_param_count(const struct method *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		n += tensor_count(m->param[i]);
	return n;
}

int64_t method_extra_count(const struct method *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		n += m->before[i] ? 0 : tensor_count(m->param[i]);
	return n;
}

const char *method_part(const char *name, char *ret, size_t size)
{
	const char *dot = strchr(name, '.'), *end;

	for (const char *p = dot; p; p = strchr(p + 1, '.')) {
		const size_t n = strspn(p + 1, "0123456789");

		if (n && p[n + 1] == '.') {
			snprintf(ret, size, "layer_%.*s", (int)n, p + 1);
			return ret;
		}
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

static bool lies_in(const char *name, const char *module)
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
static int module_paths(struct model *model, const char ***ret, size_t *ret_n)
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
	code = m->ops->attach(m, s);
	if (code)
		return code;
	m->site[m->nsite++] = s;
	return TT_OK;
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
	int code = module_paths(m->model, &path, &n);

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
		code = target_resolve(t, m->model, m->task, &m->target_modules);
	if (code || target_is_dummy(&m->target_modules))
		return code;
	resolved.target_modules = m->target_modules;
	m->site = arena_zero(m->model->arena, m->model->nsite + 1, sizeof(struct site *));
	if (!m->site)
		return TT_NOMEM;
	code = target_new(&resolved, &m->modules_to_save, &rules);
	if (!code)
		code = attach_picked(m, rules);
	target_free(rules);
	return code;
}

/* ---- modules_to_save ---- */

/* The heads that PEFT trains beside the adapter, by task. */
static const char *const *task_heads(int task)
{
	static const char *const classifier[] = { "classifier", "score", NULL };
	static const char *const answers[] = { "qa_outputs", NULL };
	static const char *const none[] = { NULL };

	switch (task) {
	case TASK_SEQ_CLS:
	case TASK_REGRESSION:
	case TASK_TOKEN_CLS: return classifier;
	case TASK_QUESTION_ANSWERING: return answers;
	default: return none;
	}
}

static bool listed(const struct texts *list, const char *item)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!strcmp(list->item[i], item))
			return true;
	}
	return false;
}

static int gather_saved(struct method *m)
{
	const char *const *heads = task_heads(m->task);
	const struct targeting *t = (const struct targeting *)((char *)m->settings +
							       m->ops->targeting_at);
	const size_t given = m->ops->wants ? t->modules_to_save.n : 0;
	const char **item = arena_zero(m->model->arena, given + 3, sizeof(*item));

	if (!item)
		return TT_NOMEM;
	m->modules_to_save = (struct texts){ .item = item, .is_list = true };
	for (size_t i = 0; i < given; i++) {
		if (!*t->modules_to_save.item[i])
			return err_set(TT_INVALID, "peft.modules_to_save holds an empty name");
		if (!listed(&m->modules_to_save, t->modules_to_save.item[i]))
			item[m->modules_to_save.n++] = t->modules_to_save.item[i];
	}
	for (; *heads; heads++) {
		if (!listed(&m->modules_to_save, *heads))
			item[m->modules_to_save.n++] = *heads;
	}
	return TT_OK;
}

/*
 * A copy of a module trains in PEFT; ours is the module itself, so nothing
 * outside may use its tensors.
 */
static int check_saved(const struct method *m, const char *module)
{
	for (size_t i = 0; i < m->model->nsite; i++) {
		const struct site *s = &m->model->site[i];
		const bool inside = lies_in(s->name, module);

		if (inside && s->hooks)
			return err_set(TT_INVALID,
				       "peft.modules_to_save picks '%s', but '%s' in it carries an "
				       "adapter",
				       module, s->name);
		if (s->weight && inside != lies_in(s->weight->name, module))
			return err_set(TT_INVALID,
				       "peft.modules_to_save picks '%s', but '%s' and '%s' share "
				       "one weight and cannot "
				       "train apart",
				       module, s->name, s->weight->name);
	}
	return TT_OK;
}

static int save_module(struct method *m, const char *module)
{
	int code = check_saved(m, module);

	for (size_t i = 0; !code && i < m->model->nparam; i++) {
		struct tensor *t = m->model->param[i];

		if (lies_in(t->name, module) && strcmp(t->name, module) != 0)
			code = method_train_base(m, t);
	}
	if (!code)
		m->saved[m->nsaved++] = module;
	return code;
}

/*
 * Which of the listed names found something? The task's own may miss: no model
 * has both classifier and score.
 */
static int check_found(const struct method *m)
{
	for (size_t i = 0; i < m->modules_to_save.n; i++) {
		const struct texts one = { .item = m->modules_to_save.item + i,
					   .n = 1,
					   .is_list = true };
		bool found = !strcmp(one.item[0], "classifier") || !strcmp(one.item[0], "score");

		for (size_t k = 0; k < m->nsaved && !found; k++)
			found = target_saves(&one, m->saved[k]);
		if (!found)
			return err_set(
				TT_INVALID,
				"peft.modules_to_save: no module of the model ends with '%s'",
				one.item[0]);
	}
	return TT_OK;
}

static int save_all(struct method *m)
{
	const char **path;
	size_t n;
	int code = module_paths(m->model, &path, &n);

	if (code)
		return code;
	m->saved = arena_zero(m->model->arena, n + 1, sizeof(*m->saved));
	if (!m->saved)
		return TT_NOMEM;
	/*
	 * sorted paths: a group comes before what lies in it, and one inside
	 * another needs no wrapping of its own
	 */
	for (size_t i = 0; !code && i < n; i++) {
		if (!target_saves(&m->modules_to_save, path[i]))
			continue;
		if (m->nsaved && lies_in(path[i], m->saved[m->nsaved - 1]))
			continue;
		code = save_module(m, path[i]);
	}
	return code ? code : check_found(m);
}

/* ---- opening and merging ---- */

int method_open(const struct method_options *how, struct method **ret)
{
	const struct method_ops *ops = method_find(how->peft->name);
	struct method *m;
	int code;

	if (!ops)
		return err_set(TT_NOTFOUND, "peft.method is '%s', which is no method of this build",
			       how->peft->name);
	m = arena_zero(how->model->arena, 1, sizeof(*m));
	if (!m)
		return TT_NOMEM;
	*m = (struct method){ .ops = ops,
			      .model = how->model,
			      .settings = how->peft->settings,
			      .seed = how->seed,
			      .task = how->task };
	code = gather_saved(m);
	if (!code && ops->begin)
		code = ops->begin(m);
	if (!code && ops->wants)
		code = attach_all(m);
	if (!code && !ops->saves_model)
		code = save_all(m);
	if (code)
		return code;
	if (!m->nparam)
		return err_set(TT_INVALID, "method '%s' finds nothing to train in this model",
			       ops->name);
	*ret = m;
	return TT_OK;
}

bool method_mergeable(const struct method *m) { return !m->nsite || m->ops->merge; }

int method_merge(struct method *m)
{
	if (!method_mergeable(m))
		return err_set(TT_INVALID, "method '%s' cannot be merged into the model",
			       m->ops->name);
	for (size_t i = 0; i < m->nsite; i++) {
		const int code = m->ops->merge(m, m->site[i]);

		if (code)
			return code;
	}
	/* only now: a failure above leaves the model plugged, and says so */
	for (size_t i = 0; i < m->nsite; i++)
		site_unplug(m->site[i]);
	m->nsite = 0;
	return TT_OK;
}
