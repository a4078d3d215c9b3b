/* Whose head it is that an adapter folder holds. */
#include "method/heads.h"

#include <stdlib.h>
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

/* A text of the array, or NULL, for each item. */
static int read_names(const struct json *list, struct arena *a, struct texts *ret)
{
	const size_t n = json_count(list);
	const char **name = arena_zero(a, n + 1, sizeof(*name));
	const struct json *one = json_first(list);

	if (!name)
		return TT_NOMEM;
	for (size_t i = 0; i < n; i++, one = json_next(one)) {
		name[i] = json_text(one) ? arena_text(a, json_text(one)) : NULL;
		if (json_text(one) && !name[i])
			return TT_NOMEM;
	}
	*ret = (struct texts){ name, n, true };
	return TT_OK;
}

int heads_read(const char *dir, struct arena *a, struct texts *ret)
{
	char path[4096];
	struct json *list;
	int code = fs_join(path, sizeof(path), dir, labels_file);

	*ret = (struct texts){ 0 };
	if (code || !fs_exists(path))
		return code;
	code = json_load(path, LABELS_MAX, &list);
	if (code)
		return code;
	if (json_type(list) == JSON_ARRAY)
		code = read_names(list, a, ret);
	else
		code = err_set(TT_INVALID, "%s is not an array of label names", path);
	json_free(list);
	return code;
}

bool heads_differ(const struct method *m, const struct texts *theirs)
{
	if (!theirs->item)
		return false;
	if (theirs->n != m->labels.n)
		return true;
	for (size_t i = 0; i < theirs->n; i++)
		if (!theirs->item[i] || strcmp(theirs->item[i], m->labels.item[i]) != 0)
			return true;
	return false;
}

/* Does each row of the two speak of one label? */
static bool by_label(const struct method *m, const struct texts *theirs,
		     const struct st_tensor *from, const struct tensor *to)
{
	if (!to->rank || from->rank != to->rank || from->dim[0] != (int64_t)theirs->n ||
	    to->dim[0] != (int64_t)m->labels.n)
		return false;
	for (int i = 1; i < to->rank; i++)
		if (from->dim[i] != to->dim[i])
			return false;
	return true;
}

static int64_t take_rows(const struct method *m, const struct texts *theirs, const float *x,
			 const struct tensor *to)
{
	const int64_t cols = tensor_count(to) / to->dim[0];
	int64_t taken = 0;

	for (size_t i = 0; i < m->labels.n; i++) {
		for (size_t k = 0; k < theirs->n; k++) {
			if (!theirs->item[k] || strcmp(theirs->item[k], m->labels.item[i]) != 0)
				continue;
			memcpy(to->data + (int64_t)i * cols, x + (int64_t)k * cols,
			       (size_t)cols * sizeof(*x));
			taken++;
			break;
		}
	}
	return taken;
}

int64_t heads_take(const struct method *m, const struct texts *theirs, const struct st_tensor *from,
		   const struct tensor *to)
{
	int64_t n = 1, taken;
	float *x;

	if (!by_label(m, theirs, from, to))
		return 0;
	for (int i = 0; i < from->rank; i++)
		n *= from->dim[i];
	x = malloc((size_t)n * sizeof(*x));
	if (!x)
		return err_set(TT_NOMEM, "not enough memory for the head of an adapter");
	taken = st_read_f32(from, x);
	if (!taken)
		taken = take_rows(m, theirs, x, to);
	free(x);
	return taken;
}
