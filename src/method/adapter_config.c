/* Members of adapter_config.json that several methods write and read. */
#include "method/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

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
