/*
 * Combinations: an array of methods in the recipe, all on one model.
 *
 * Every part keeps its own rules, and a site takes one of them only (site_plug
 * refuses the second). An adapter folder holds the tensors of all parts in one
 * file; its config lists the parts, each as its own adapter_config.json would be.
 */
#include "method/combined.h"

#include <string.h>

#include "base/err.h"
#include "method/adapter.h"
#include "method/saved.h"

int method_add_part(struct method *m, const struct method_ops *ops, void *settings)
{
	struct method **more = arena_zero(m->model->arena, m->nparts + 1, sizeof(*more));
	struct method *p = method_new(ops, settings, m->model, m->task, m->seed);

	if (!more || !p)
		return TT_NOMEM;
	if (m->nparts)
		memcpy(more, m->part, m->nparts * sizeof(*more));
	more[m->nparts] = p;
	m->part = more;
	m->nparts++;
	p->whole = m;
	p->tokenizer = m->tokenizer;
	p->labels = m->labels;
	return method_begin(p);
}

/* What the parts save beside their adapters; a module that two of them save is one. */
static int gather_saved(struct method *m)
{
	const char **names;
	size_t most = 1;

	for (size_t i = 0; i < m->nparts; i++)
		most += m->part[i]->modules_to_save.n + m->part[i]->nsaved;
	m->saved = arena_zero(m->model->arena, most, sizeof(*m->saved));
	names = arena_zero(m->model->arena, most, sizeof(*names));
	if (!m->saved || !names)
		return TT_NOMEM;
	m->modules_to_save = (struct texts){ .item = names, .is_list = true };
	for (size_t i = 0; i < m->nparts; i++) {
		const struct method *p = m->part[i];

		for (size_t k = 0; k < p->modules_to_save.n; k++)
			saved_add(names, &m->modules_to_save.n, p->modules_to_save.item[k]);
		for (size_t k = 0; k < p->nsaved; k++)
			saved_add(m->saved, &m->nsaved, p->saved[k]);
		m->saves_biases = m->saves_biases || p->saves_biases;
	}
	return TT_OK;
}

int combined_begin(struct method *m, const struct recipe_peft *peft, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct method_ops *ops = method_find(peft[i].name);
		int code;

		if (!ops)
			return err_set(TT_NOTFOUND,
				       "peft.%zu.method is '%s', which is no method of this build",
				       i, peft[i].name);
		if (ops->saves_model)
			return err_set(TT_INVALID,
				       "peft.%zu.method: '%s' trains the whole model, so it does "
				       "not combine with others",
				       i, ops->name);
		code = method_add_part(m, ops, peft[i].settings);
		if (code)
			return err_in("peft.%zu", i);
	}
	return gather_saved(m);
}

void *combined_settings(struct method *m, const char *method)
{
	const struct method_ops *ops = method_find(method);
	void *settings = method_alloc(m, ops->settings_size);

	if (settings)
		knob_defaults(ops->knobs, settings);
	return settings;
}

int combined_add(struct method *m, const char *method, void *settings)
{
	return settings ? method_add_part(m, method_find(method), settings) : TT_NOMEM;
}

int combined_config(const struct method *m, struct jsonw *w)
{
	int code = TT_OK;

	jsonw_key(w, "methods");
	jsonw_array(w);
	for (size_t i = 0; !code && i < m->nparts; i++) {
		jsonw_object(w);
		jsonw_key(w, "method");
		jsonw_text(w, m->part[i]->ops->name);
		jsonw_key(w, "peft_type");
		jsonw_text(w, m->part[i]->ops->peft_type);
		code = m->part[i]->ops->config(m->part[i], w);
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
	return code;
}

/* A part's config carries the name of its method, which is no member of PEFT's. */
static int part_agrees(const struct method *p, const struct json *config)
{
	const char *name = json_text(json_get(config, "method"));

	if (!name || strcmp(name, p->ops->name) != 0)
		return err_set(TT_INVALID, "the adapter has no method '%s' in this place",
			       p->ops->name);
	return p->ops->agrees(p, config);
}

int combined_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "methods", "modules_to_save" };
	const struct json *list = json_get(config, "methods");
	const struct json *one = list ? json_first(list) : NULL;
	int code = adapter_refuse_others(config, known, sizeof(known) / sizeof(known[0]));

	if (!code && (!list || json_type(list) != JSON_ARRAY || json_count(list) != m->nparts))
		return err_set(TT_INVALID, "methods does not list %zu methods", m->nparts);
	for (size_t i = 0; !code && i < m->nparts; i++, one = json_next(one))
		code = part_agrees(m->part[i], one) ? err_in("methods.%zu", i) : TT_OK;
	return code;
}

const struct method_ops method_combined = {
	.name = "combined",
	.title = "Combination of methods",
	.cite = "several methods on one model",
	.peft_type = "TRIMTAB_COMBINED",
	.config = combined_config,
	.agrees = combined_agrees,
};
