/*
 * adapter_config.json: writing it as PEFT does, judging whether a file means what
 * the recipe means, and the members that several methods write and read.
 */
#include "method/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "method/saved.h"

enum { CONFIG_MAX = 1 << 20 };

static const char config_file[] = "adapter_config.json";

/* ---- members ---- */

void adapter_write_bool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}

void adapter_write_float(struct jsonw *w, double v)
{
	const size_t before = w->out->size;

	jsonw_real(w, v);
	if (!w->out->bad && isfinite(v) && !strpbrk(w->out->data + before, ".e"))
		buf_text(w->out, ".0");
}

void adapter_write_texts(struct jsonw *w, const char *key, const struct texts *t)
{
	jsonw_key(w, key);
	if (!t->item) {
		jsonw_null(w);
	} else if (!t->is_list) {
		jsonw_text(w, t->item[0]);
	} else {
		jsonw_array(w);
		for (size_t i = 0; i < t->n; i++)
			jsonw_text(w, t->item[i]);
		jsonw_end(w, ']');
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int adapter_write_set(const struct method *m, struct jsonw *w, const char *key,
		      const struct texts *t)
{
	const char **item;
	struct texts sorted = *t;

	if (t->item && t->is_list) {
		item = arena_alloc(m->model->arena, (t->n + 1) * sizeof(*item));
		if (!item)
			return TT_NOMEM;
		memcpy(item, t->item, t->n * sizeof(*item));
		qsort(item, t->n, sizeof(*item), by_text);
		sorted.item = item;
	}
	adapter_write_texts(w, key, &sorted);
	return TT_OK;
}

static void write_numbers(struct jsonw *w, const struct ints *layers)
{
	jsonw_key(w, "layers_to_transform");
	if (!layers->item) {
		jsonw_null(w);
		return;
	}
	jsonw_array(w);
	for (size_t i = 0; i < layers->n; i++)
		jsonw_int(w, layers->item[i]);
	jsonw_end(w, ']');
}

void adapter_write_layers(struct jsonw *w, const struct targeting *t)
{
	write_numbers(w, &t->layers_to_transform);
	adapter_write_texts(w, "layers_pattern", &t->layers_pattern);
}

bool adapter_true(const struct json *config, const char *key)
{
	const struct json *j = json_get(config, key);

	return j && json_bool(j);
}

double adapter_number(const struct json *config, const char *key, double otherwise)
{
	const struct json *j = json_get(config, key);

	return j && json_type(j) == JSON_NUMBER ? json_number(j) : otherwise;
}

/* ---- writing ---- */

static const char *task_name(int task)
{
	switch (task) {
	case TASK_SEQ_CLS:
	case TASK_REGRESSION: return "SEQ_CLS";
	case TASK_TOKEN_CLS: return "TOKEN_CLS";
	case TASK_QUESTION_ANSWERING: return "QUESTION_ANS";
	case TASK_CAUSAL_LM: return "CAUSAL_LM";
	case TASK_SEQ2SEQ_LM: return "SEQ_2_SEQ_LM";
	default: return NULL;
	}
}

/* Without a task_type PEFT finds the model's class here. */
static void write_mapping(struct jsonw *w, const struct model *m)
{
	char type[64];

	snprintf(type, sizeof(type), "%s", m->hp.model_type);
	for (char *p = type; *p; p++)
		*p = *p == '-' ? '_' : *p;
	jsonw_object(w);
	jsonw_key(w, "base_model_class");
	jsonw_text(w, m->ops->architectures[m->head]);
	jsonw_key(w, "parent_library");
	if (m->ops->architectures[m->head]) {
		char library[192];

		snprintf(library, sizeof(library), "transformers.models.%s.modeling_%s", type,
			 type);
		jsonw_text(w, library);
	} else {
		jsonw_null(w);
	}
	jsonw_end(w, '}');
}

static void write_saved(const struct method *m, struct jsonw *w)
{
	const char *const *heads = saved_heads(m->task);

	jsonw_key(w, "modules_to_save");
	if (!m->modules_to_save.n) {
		jsonw_null(w);
		return;
	}
	jsonw_array(w);
	for (size_t i = 0; i < m->modules_to_save.n; i++)
		jsonw_text(w, m->modules_to_save.item[i]);
	for (; m->ops->lists_heads_twice && *heads; heads++)
		jsonw_text(w, *heads);
	jsonw_end(w, ']');
}

static void write_common(const struct method *m, struct jsonw *w, const char *base)
{
	const char *task = task_name(m->task);

	jsonw_key(w, "auto_mapping");
	if (task)
		jsonw_null(w);
	else
		write_mapping(w, m->model);
	jsonw_key(w, "base_model_name_or_path");
	jsonw_text(w, base);
	jsonw_key(w, "inference_mode");
	jsonw_bool(w, true);
	write_saved(m, w);
	jsonw_key(w, "peft_type");
	jsonw_text(w, m->ops->peft_type);
	jsonw_key(w, "peft_version");
	jsonw_text(w, "0.21.0");
	jsonw_key(w, "revision");
	jsonw_null(w);
	jsonw_key(w, "task_type");
	jsonw_text(w, task);
}

/*
 * PEFT sorts the keys. The members were printed one by one with two spaces of
 * indent, so each begins at a line of exactly that indent; text in JSON holds no
 * line ends of its own.
 */
int adapter_sort_members(char *text, struct buf *out)
{
	char *member[128] = { 0 };
	size_t n = 0;

	for (char *p = strchr(text, '\n'); p; p = strchr(p + 1, '\n')) {
		if (strncmp(p, "\n  \"", 4) != 0 && strcmp(p, "\n}") != 0)
			continue;
		*p = '\0';
		if (n && p[-1] == ',')
			p[-1] = '\0';
		if (p[1] == '}')
			break;
		if (n == COUNT(member))
			return err_set(TT_INVALID, "an adapter's config has too many members");
		member[n++] = p + 1;
	}
	qsort(member, n, sizeof(*member), by_text);
	buf_text(out, "{\n");
	for (size_t i = 0; i < n; i++) {
		buf_text(out, member[i]);
		buf_text(out, i + 1 < n ? ",\n" : "\n");
	}
	buf_text(out, "}");
	return buf_check(out, "adapter_config.json");
}

static int config_text(const struct method *m, const char *base, struct buf *ret)
{
	struct buf plain;
	struct jsonw w;
	int code;

	buf_init(&plain, CONFIG_MAX);
	jsonw_init(&w, &plain, 2);
	jsonw_object(&w);
	write_common(m, &w, base);
	code = m->ops->config(m, &w);
	jsonw_end(&w, '}');
	if (!code)
		code = buf_check(&plain, "adapter_config.json");
	if (!code)
		code = adapter_sort_members(plain.data, ret);
	buf_done(&plain);
	return code;
}

int adapter_write_config(const struct method *m, const char *dir, const char *base)
{
	char path[4096];
	struct buf text;
	int code;

	buf_init(&text, CONFIG_MAX);
	code = config_text(m, base, &text);
	if (!code)
		code = fs_join(path, sizeof(path), dir, config_file);
	if (!code)
		code = fs_write_atomic(path, text.data, text.size);
	buf_done(&text);
	return code;
}

/* ---- reading ---- */

static bool is_set(const struct json *j)
{
	switch (json_type(j)) {
	case JSON_NULL: return false;
	case JSON_BOOL: return json_bool(j);
	case JSON_NUMBER: return json_number(j) < 0 || json_number(j) > 0;
	case JSON_TEXT: return *json_text(j);
	default: return json_count(j);
	}
}

static bool named(const char *const *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i], key))
			return true;
	}
	return false;
}

int adapter_refuse_others(const struct json *config, const char *const *known, size_t n)
{
	static const char *const common[] = {
		"auto_mapping",   "base_model_name_or_path",
		"inference_mode", "method",
		"peft_type",      "peft_version",
		"revision",       "runtime_config",
		"task_type",
	};

	for (const struct json *j = json_first(config); j; j = json_next(j)) {
		const char *key = json_key(j);
		char shown[80];

		if (!is_set(j) || named(common, COUNT(common), key) || named(known, n, key))
			continue;
		return err_set(TT_INVALID,
			       "%s is set, which may change what the adapter computes and is not "
			       "supported",
			       st_printable(key, shown, sizeof(shown)));
	}
	return TT_OK;
}

static int config_agrees(const struct method *m, const struct json *config)
{
	const struct json *type = json_get(config, "peft_type");
	const char *text = type ? json_text(type) : NULL;
	char shown[80];

	if (json_type(config) != JSON_OBJECT || !text)
		return err_set(TT_INVALID, "peft_type is missing");
	if (strcmp(text, m->ops->peft_type) != 0)
		return err_set(TT_INVALID, "peft_type is \"%s\", and method '%s' reads \"%s\"",
			       st_printable(text, shown, sizeof(shown)), m->ops->name,
			       m->ops->peft_type);
	return m->ops->agrees(m, config);
}

int adapter_check_config(const struct method *m, const char *text, size_t size)
{
	struct json *config;
	int code = json_parse(text, size, &config);

	if (code)
		return code;
	code = config_agrees(m, config);
	json_free(config);
	return code;
}

/* Parts take what is theirs of a combination's config; it has passed config_agrees. */
static int adopt(struct method *m, const struct json *config)
{
	const struct json *one = m->nparts ? json_first(json_get(config, "methods")) : NULL;
	int code = TT_OK;

	for (size_t i = 0; !code && i < m->nparts; i++, one = json_next(one))
		code = adopt(m->part[i], one);
	return !code && m->ops->adopt ? m->ops->adopt(m, config) : code;
}

int adapter_read_config(struct method *m, const char *dir)
{
	char path[4096];
	struct json *config;
	int code = fs_join(path, sizeof(path), dir, config_file);

	if (!code && !fs_exists(path))
		return err_set(TT_NOTFOUND,
			       "'%s' is no adapter folder: it has no adapter_config.json", dir);
	if (!code)
		code = json_load(path, CONFIG_MAX, &config);
	if (code)
		return code;
	code = config_agrees(m, config);
	if (!code)
		code = adopt(m, config);
	json_free(config);
	return code ? err_in("%s", path) : TT_OK;
}
