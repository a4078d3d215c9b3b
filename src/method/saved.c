/*
 * modules_to_save: modules that train wholly beside the adapter and are stored
 * with it, the task's head first of all.
 */
#include "method/saved.h"

#include <string.h>

#include "base/err.h"
#include "method/target.h"

const char *const *saved_heads(int task)
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

static bool listed(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i], name))
			return true;
	}
	return false;
}

void saved_add(const char **list, size_t *n, const char *name)
{
	if (!listed(list, *n, name))
		list[(*n)++] = name;
}

int saved_gather(struct method *m)
{
	const char *const *heads = saved_heads(m->task);
	const bool asks = m->ops->wants || m->ops->takes_modules_to_save;
	const struct targeting *t = asks ? (const struct targeting *)((char *)m->settings +
								      m->ops->targeting_at)
					 : NULL;
	const size_t given = t ? t->modules_to_save.n : 0;
	const char **item = arena_zero(m->model->arena, given + 3, sizeof(*item));

	if (!item)
		return TT_NOMEM;
	m->modules_to_save = (struct texts){ .item = item, .is_list = true };
	for (size_t i = 0; i < given; i++) {
		if (!*t->modules_to_save.item[i])
			return err_set(TT_INVALID, "peft.modules_to_save holds an empty name");
		saved_add(item, &m->modules_to_save.n, t->modules_to_save.item[i]);
	}
	for (; *heads; heads++)
		saved_add(item, &m->modules_to_save.n, *heads);
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
		const bool inside = method_lies_in(s->name, module);

		if (inside && s->hooks)
			return err_set(TT_INVALID,
				       "peft.modules_to_save picks '%s', but '%s' in it carries an "
				       "adapter",
				       module, s->name);
		if (s->weight && inside != method_lies_in(s->weight->name, module))
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

		if (method_lies_in(t->name, module) && strcmp(t->name, module) != 0)
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

int saved_train(struct method *m)
{
	const char **path;
	size_t n;
	int code = method_modules(m->model, &path, &n);

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
		if (m->nsaved && method_lies_in(path[i], m->saved[m->nsaved - 1]))
			continue;
		code = save_module(m, path[i]);
	}
	return code ? code : check_found(m);
}
