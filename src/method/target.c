/*
 * Target rules: which modules of the model a method is attached to.
 *
 * In PEFT's order: exclude_modules, then modules_to_save (a module that trains
 * wholly never gets an adapter), then target_modules, then the number of the
 * layer. A string is a regular expression for the whole path; a list holds
 * paths or dotted ends of paths; a full path is beyond the layer filter.
 */
#include "method/target.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/err.h"

enum {
	EXPRESSION_MAX = 4096, /* bytes of one expression */
	MATCH_STEPS = 50000,   /* backtracks for one path: about a millisecond */
	MATCH_KIB = 4096,
	PATTERNS_MAX = 2048 /* in one pattern object: every module may have its own */
};

struct expression {
	const char *what; /* "peft.target_modules", for errors */
	const char *text; /* as the user wrote it */
	pcre2_code *code;
};

struct target {
	const struct targeting *rules;
	struct expression exclude, targets; /* when they are strings */
	struct expression *save, *layer;
	size_t nsave, nlayer;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

/* ---- expressions ---- */

static int expression_compile(struct expression *e, const char *what, const char *before,
			      const char *text, const char *after, uint32_t options)
{
	char whole[EXPRESSION_MAX + 64];
	PCRE2_UCHAR why[160];
	PCRE2_SIZE at = 0;
	int code = 0;

	if (strlen(text) > EXPRESSION_MAX)
		return err_set(TT_INVALID, "%s: an expression may have %d bytes", what,
			       (int)EXPRESSION_MAX);
	snprintf(whole, sizeof(whole), "%s%s%s", before, text, after);
	e->what = what;
	e->text = text;
	e->code = pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED,
				options | PCRE2_ANCHORED | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C,
				&code, &at, NULL);
	if (e->code)
		return TT_OK;
	if (pcre2_get_error_message(code, why, sizeof(why)) < 0)
		why[0] = '\0';
	at = at > strlen(before) ? at - strlen(before) : 0;
	if (at > strlen(text))
		at = strlen(text);
	return err_set(TT_INVALID, "%s: '%s' is no regular expression: %s at character %d", what,
		       text, (const char *)why, (int)at + 1);
}

static int expression_match(const struct target *t, const struct expression *e, const char *module,
			    bool *ret)
{
	const int n = pcre2_match(e->code, (PCRE2_SPTR)module, strlen(module), 0, 0, t->match,
				  t->limits);

	if (n < 0 && n != PCRE2_ERROR_NOMATCH)
		return err_set(TT_INVALID,
			       "%s: '%s' takes too long to match '%s'; write it more simply",
			       e->what, e->text, module);
	*ret = n >= 0;
	return TT_OK;
}

static int limits_new(struct target *t)
{
	t->match = pcre2_match_data_create(8, NULL);
	t->limits = pcre2_match_context_create(NULL);
	if (!t->match || !t->limits)
		return err_set(TT_NOMEM, "no memory for regular expressions");
	pcre2_set_match_limit(t->limits, MATCH_STEPS);
	pcre2_set_heap_limit(t->limits, MATCH_KIB);
	return TT_OK;
}

static int expressions_new(struct target *t, const struct texts *save)
{
	const struct texts *layer = &t->rules->layers_pattern;

	t->save = calloc(save->n + 1, sizeof(*t->save));
	t->layer = calloc(layer->n + 1, sizeof(*t->layer));
	if (!t->save || !t->layer)
		return err_set(TT_NOMEM, "no memory for target rules");
	for (; t->nsave < save->n; t->nsave++) {
		const int code = expression_compile(&t->save[t->nsave], "peft.modules_to_save",
						    "(^|.*\\.)", save->item[t->nsave], "($|\\..*)",
						    0);

		if (code)
			return code;
	}
	for (; t->nlayer < layer->n; t->nlayer++) {
		const int code = expression_compile(&t->layer[t->nlayer], "peft.layers_pattern",
						    "(?:^|.*?\\.)", layer->item[t->nlayer],
						    "\\.(?P<idx>\\d+)\\.", 0);

		if (code)
			return code;
	}
	if (t->nlayer)
		return TT_OK;
	/* the first numbered segment: "encoder.layer.3." */
	t->nlayer = 1;
	return expression_compile(&t->layer[0], "peft.layers_pattern", "",
				  ".*?\\.[^.]*\\.(?P<idx>\\d+)\\.", "", 0);
}

/* ---- matching ---- */

/* Path or dotted end of it. */
static bool ends_dotted(const char *module, const char *end)
{
	const size_t n = strlen(module), k = strlen(end);

	return n >= k && !strcmp(module + n - k, end) && (n == k || module[n - k - 1] == '.');
}

static bool list_hits(const struct texts *list, const char *module)
{
	for (size_t i = 0; i < list->n; i++) {
		if (ends_dotted(module, list->item[i]))
			return true;
	}
	return false;
}

static bool list_names(const struct texts *list, const char *module)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!strcmp(module, list->item[i]))
			return true;
	}
	return false;
}

static int is_excluded(const struct target *t, const char *module, bool *ret)
{
	const struct texts *exclude = &t->rules->exclude_modules;
	int code = TT_OK;

	*ret = exclude->is_list && list_hits(exclude, module);
	if (!*ret && t->exclude.code)
		code = expression_match(t, &t->exclude, module, ret);
	for (size_t i = 0; !code && !*ret && i < t->nsave; i++)
		code = expression_match(t, &t->save[i], module, ret);
	return code;
}

/* The number of the layer a path lies in, by layers_pattern; -1: none. */
static int layer_of(const struct target *t, const char *module, int64_t *ret)
{
	bool hit = false;

	*ret = -1;
	for (size_t i = 0; i < t->nlayer && !hit; i++) {
		PCRE2_UCHAR text[24];
		PCRE2_SIZE size = sizeof(text);
		const int code = expression_match(t, &t->layer[i], module, &hit);

		if (code)
			return code;
		if (hit && !pcre2_substring_copy_byname(t->match, (PCRE2_SPTR) "idx", text, &size))
			*ret = strtoll((const char *)text, NULL, 10);
	}
	return TT_OK;
}

static int layer_picked(const struct target *t, const char *module, bool *ret)
{
	const struct ints *want = &t->rules->layers_to_transform;
	int64_t layer;
	int code;

	*ret = true;
	if (!want->n)
		return TT_OK;
	code = layer_of(t, module, &layer);
	if (code)
		return code;
	*ret = false;
	for (size_t i = 0; i < want->n && layer >= 0; i++)
		*ret = *ret || want->item[i] == layer;
	return TT_OK;
}

int target_match(const struct target *t, const char *module, enum target_verdict *ret)
{
	const struct texts *targets = &t->rules->target_modules;
	bool hit = false;
	int code = is_excluded(t, module, &hit);

	if (code)
		return code;
	if (hit) {
		*ret = TARGET_EXCLUDED;
		return TT_OK;
	}
	if (t->targets.code)
		code = expression_match(t, &t->targets, module, &hit);
	else if (list_names(targets, module))
		hit = true;
	else if (list_hits(targets, module))
		code = layer_picked(t, module, &hit);
	if (code)
		return code;
	*ret = hit ? TARGET_YES : TARGET_NO;
	return TT_OK;
}

/* ---- rules ---- */

int target_check(const struct targeting *t)
{
	const bool is_text = t->target_modules.item && !t->target_modules.is_list;

	if (t->target_modules.is_list && !t->target_modules.n)
		return err_set(TT_INVALID,
			       "peft.target_modules is an empty list; name at least one module");
	for (size_t i = 0; i < t->target_modules.n; i++) {
		if (!*t->target_modules.item[i])
			return err_set(TT_INVALID, "peft.target_modules holds an empty name");
	}
	if (is_text && t->layers_to_transform.item)
		return err_set(TT_INVALID, "peft.layers_to_transform goes with a list of "
					   "target_modules, not with a string");
	if (is_text && t->layers_pattern.n)
		return err_set(TT_INVALID, "peft.layers_pattern goes with a list of "
					   "target_modules, not with a string");
	if (t->layers_pattern.n && !t->layers_to_transform.item)
		return err_set(TT_INVALID,
			       "peft.layers_pattern needs peft.layers_to_transform as well");
	return TT_OK;
}

int target_new(const struct targeting *rules, const struct texts *modules_to_save,
	       struct target **ret)
{
	struct target *t;
	int code = target_check(rules);

	if (code)
		return code;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(TT_NOMEM, "no memory for target rules");
	t->rules = rules;
	code = limits_new(t);
	if (!code && rules->exclude_modules.n && !rules->exclude_modules.is_list)
		code = expression_compile(&t->exclude, "peft.exclude_modules", "",
					  rules->exclude_modules.item[0], "", PCRE2_ENDANCHORED);
	if (!code && rules->target_modules.n && !rules->target_modules.is_list)
		code = expression_compile(&t->targets, "peft.target_modules", "",
					  rules->target_modules.item[0], "", PCRE2_ENDANCHORED);
	if (!code)
		code = expressions_new(t, modules_to_save);
	if (code) {
		target_free(t);
		return code;
	}
	*ret = t;
	return TT_OK;
}

void target_free(struct target *t)
{
	if (!t)
		return;
	pcre2_code_free(t->exclude.code);
	pcre2_code_free(t->targets.code);
	for (size_t i = 0; t->save && i < t->nsave; i++)
		pcre2_code_free(t->save[i].code);
	for (size_t i = 0; t->layer && i < t->nlayer; i++)
		pcre2_code_free(t->layer[i].code);
	free(t->save);
	free(t->layer);
	pcre2_match_data_free(t->match);
	pcre2_match_context_free(t->limits);
	free(t);
}

/* ---- defaults ---- */

/* PEFT's table for LoRA and most of its kin. */
static const struct target_default lora_targets[] = {
	{ "bart", { "q_proj", "v_proj" } },
	{ "bert", { "query", "value" } },
	{ "electra", { "query", "value" } },
	{ "gemma", { "q_proj", "v_proj" } },
	{ "gemma2", { "q_proj", "v_proj" } },
	{ "gpt2", { "c_attn" } },
	{ "gpt_neox", { "query_key_value" } },
	{ "llama", { "q_proj", "v_proj" } },
	{ "mistral", { "q_proj", "v_proj" } },
	{ "mt5", { "q", "v" } },
	{ "opt", { "q_proj", "v_proj" } },
	{ "qwen2", { "q_proj", "v_proj" } },
	{ "qwen3", { "q_proj", "v_proj" } },
	{ "roberta", { "query", "value" } },
	{ "t5", { "q", "v" } },
	{ "xlm-roberta", { "query", "value" } },
	{ 0 },
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int target_usual(const struct target_default *table, const struct model *m, const char *key,
		 struct texts *ret)
{
	const char *type = m->hp.model_type;

	for (const struct target_default *d = table ? table : lora_targets; d->model_type; d++) {
		size_t n = 0;

		if (strcmp(d->model_type, type) != 0)
			continue;
		while (d->module[n])
			n++;
		*ret = (struct texts){ .item = d->module, .n = n, .is_list = true };
		return TT_OK;
	}
	return err_set(TT_INVALID, "%s is needed: there is no default for models of type '%s'", key,
		       type);
}

/*
 * The one linear layer that "all-linear" leaves out: a classifier of this name,
 * or else the output embedding.
 */
static bool spared(const struct model *m, const struct site *s, int task)
{
	const bool classifies = task == TASK_SEQ_CLS || task == TASK_REGRESSION;

	if (!classifies)
		return (s->kind & SITE_HEAD) && head_masks(m->head);
	if (!strcmp(s->name, "score"))
		return true;
	return !strcmp(s->name, "classifier") && !model_site(m, "score");
}

static int all_linear(const struct model *m, int task, struct texts *ret)
{
	const char **item = arena_alloc(m->arena, (m->nsite + 1) * sizeof(*item));
	size_t n = 0;

	if (!item)
		return TT_NOMEM;
	for (size_t i = 0; i < m->nsite; i++) {
		if ((m->site[i].kind & SITE_LINEAR) && !spared(m, &m->site[i], task))
			item[n++] = m->site[i].name;
	}
	qsort(item, n, sizeof(*item), by_name);
	*ret = (struct texts){ .item = item, .n = n, .is_list = true };
	return TT_OK;
}

int target_resolve(const struct targeting *t, const struct target_default *table,
		   const struct model *m, int task, struct texts *ret)
{
	if (!t->target_modules.item)
		return target_usual(table, m, "peft.target_modules", ret);
	if (!t->target_modules.is_list && !strcasecmp(t->target_modules.item[0], "all-linear"))
		return all_linear(m, task, ret);
	*ret = t->target_modules;
	return TT_OK;
}

bool target_is_dummy(const struct texts *target_modules)
{
	return target_modules->n == 1 && !target_modules->is_list &&
	       !strcmp(target_modules->item[0], "dummy-target-modules");
}

/* ---- the other patterns ---- */

bool target_saves(const struct texts *modules_to_save, const char *module)
{
	const size_t n = strlen(module);

	for (size_t i = 0; i < modules_to_save->n; i++) {
		const size_t k = strlen(modules_to_save->item[i]);

		if (n >= k && !strcmp(module + n - k, modules_to_save->item[i]))
			return true;
	}
	return false;
}

int target_feeds(const struct texts *feedforward, const char *module, bool *ret)
{
	struct target t = { 0 };
	struct expression e = { 0 };
	int code;

	*ret = feedforward->is_list && target_saves(feedforward, module);
	if (feedforward->is_list || !feedforward->n)
		return TT_OK;
	code = limits_new(&t);
	if (!code)
		code = expression_compile(&e, "peft.feedforward_modules", "", feedforward->item[0],
					  "", PCRE2_ENDANCHORED);
	if (!code)
		code = expression_match(&t, &e, module, ret);
	pcre2_code_free(e.code);
	pcre2_match_data_free(t.match);
	pcre2_match_context_free(t.limits);
	return code;
}

int target_pattern(const struct json *map, const char *what, const char *module,
		   const struct json **ret)
{
	struct target t = { 0 };
	const struct json *found = NULL;
	int code;

	if (map && json_count(map) > PATTERNS_MAX)
		return err_set(TT_INVALID, "%s has more than %d patterns", what, (int)PATTERNS_MAX);
	code = limits_new(&t);
	for (const struct json *j = map ? json_first(map) : NULL; j && !code && !found;
	     j = json_next(j)) {
		struct expression e = { 0 };
		bool hit = false;

		code = expression_compile(&e, what, "(.*\\.)?(", json_key(j), ")$", 0);
		if (!code)
			code = expression_match(&t, &e, module, &hit);
		pcre2_code_free(e.code);
		if (hit)
			found = j;
	}
	pcre2_match_data_free(t.match);
	pcre2_match_context_free(t.limits);
	if (!code)
		*ret = found;
	return code;
}
