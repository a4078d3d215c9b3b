/* Whose head it is that an adapter folder holds. */
#include "method/heads.h"

#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "method/saved.h"

enum { LABELS_MAX = 1 << 22 }; /* bytes */

static const char labels_file[] = "labels.json";

/* Is the last part of a module's path one of the heads'? */
static bool is_head(const struct method *m, const char *module)
{
	const char *dot = strrchr(module, '.'), *last = dot ? dot + 1 : module;

	for (const char *const *name = saved_heads(m->task); *name; name++) {
		if (!strcmp(last, *name))
			return true;
	}
	return false;
}

bool heads_have(const struct method *m, const struct tensor *t)
{
	for (size_t i = 0; i < m->nsaved; i++) {
		if (is_head(m, m->saved[i]) && method_lies_in(t->name, m->saved[i]))
			return true;
	}
	return false;
}

int heads_write(const struct method *m, const char *dir)
{
	char path[4096];
	struct jsonw w;
	struct buf text;
	int code = fs_join(path, sizeof(path), dir, labels_file);

	if (code)
		return code;
	if (!m->labels.n)
		return fs_remove_tree(path);
	buf_init(&text, LABELS_MAX);
	jsonw_init(&w, &text, 0);
	jsonw_array(&w);
	for (size_t i = 0; i < m->labels.n; i++)
		jsonw_text(&w, m->labels.item[i]);
	jsonw_end(&w, ']');
	code = buf_check(&text, labels_file);
	if (!code)
		code = fs_write_atomic(path, text.data, text.size);
	buf_done(&text);
	return code;
}

static bool same(const struct method *m, const struct json *list)
{
	const struct json *one = json_first(list);

	if (json_count(list) != m->labels.n)
		return false;
	for (size_t i = 0; i < m->labels.n; i++, one = json_next(one)) {
		if (!json_text(one) || strcmp(json_text(one), m->labels.item[i]) != 0)
			return false;
	}
	return true;
}

int heads_differ(const struct method *m, const char *dir, bool *ret)
{
	char path[4096];
	struct json *list;
	int code = fs_join(path, sizeof(path), dir, labels_file);

	*ret = false;
	if (code || !fs_exists(path))
		return code;
	code = json_load(path, LABELS_MAX, &list);
	if (code)
		return code;
	if (json_type(list) == JSON_ARRAY)
		*ret = !same(m, list);
	else
		code = err_set(TT_INVALID, "%s is not an array of label names", path);
	json_free(list);
	return code;
}
