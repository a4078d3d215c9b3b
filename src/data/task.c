/* Class names: where they come from, and which one a row has. */
#include "data/task.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "data/vocab.h"

enum { LABELS_MAX = 10000, LABELS_BYTES = 16 << 20, LABEL_NAME = 4096 };

struct labels {
	struct arena *arena;
	struct vocab names;
	const char *origin;
	bool numeric; /* a class is named with a whole number: no indices then */
};

static bool is_whole(const char *s)
{
	s += *s == '-';
	return *s && strspn(s, "0123456789") == strlen(s);
}

static int labels_add(struct labels *l, const char *name)
{
	if (!*name)
		return err_set(TT_INVALID, "a label has an empty name");
	if (l->names.size == LABELS_MAX)
		return err_set(TT_INVALID,
			       "there are more than %d different labels; a task of "
			       "numbers has the type \"regression\"",
			       LABELS_MAX);
	if (vocab_find(&l->names, name, strlen(name)) >= 0)
		return err_set(TT_INVALID, "the label '%.100s' is there twice", name);
	l->numeric = l->numeric || is_whole(name);
	return vocab_add(&l->names, name, strlen(name), l->names.size);
}

static int labels_from_recipe(const struct texts *given, struct labels *l)
{
	int r = TT_OK;

	l->origin = "the recipe's task.labels";
	for (size_t i = 0; i < given->n && r == TT_OK; i++)
		r = labels_add(l, given->item[i]);
	if (r == TT_OK && !given->n)
		r = err_set(TT_INVALID, "the list is empty");
	return r < 0 ? err_in("task.labels") : TT_OK;
}

static int labels_from_json(const char *path, struct labels *l)
{
	struct json *doc = NULL;
	int r = json_load(path, LABELS_BYTES, &doc);

	if (r < 0)
		return r;
	if (json_type(doc) != JSON_ARRAY || !json_first(doc))
		r = err_set(TT_INVALID, "it must hold an array of label names");
	for (const struct json *i = json_first(doc); i && r == TT_OK; i = json_next(i)) {
		const char *name = json_text(i);
		r = name ? labels_add(l, name)
			 : err_set(TT_INVALID, "a label is %s; it must be a string",
				   json_type_name(json_type(i)));
	}
	json_free(doc);
	return r < 0 ? err_in("%s", path) : TT_OK;
}

static int by_bytes(const void *x, const void *y)
{
	const char *const *a = x, *const *b = y;

	return strcmp(*a, *b);
}

/* Give the classes their indices in the order of their names. */
static int labels_sort(struct labels *l)
{
	const size_t n = (size_t)l->names.size;
	const char **name = arena_alloc(l->arena, n * sizeof(*name));
	int r;

	if (!name)
		return TT_NOMEM;
	memcpy(name, l->names.token, n * sizeof(*name));
	qsort(name, n, sizeof(*name), by_bytes);
	r = vocab_init(&l->names, l->arena, n);
	for (size_t i = 0; i < n && r == TT_OK; i++)
		r = labels_add(l, name[i]);
	return r;
}

/* Every label of a text that holds one, or (tags) many between single spaces. */
static int labels_add_new(struct labels *l, const char *text, bool tags)
{
	char name[LABEL_NAME];

	for (const char *at = text; at;) {
		const char *space = tags ? strchr(at, ' ') : NULL;
		const size_t n = space ? (size_t)(space - at) : strlen(at);
		int r;

		if (n >= sizeof(name))
			return err_set(TT_INVALID, "a label has %zu bytes; %d are enough", n,
				       LABEL_NAME - 1);
		memcpy(name, at, n);
		name[n] = 0;
		r = vocab_find(&l->names, name, n) >= 0 ? TT_OK : labels_add(l, name);
		if (r < 0)
			return r;
		at = space ? space + 1 : NULL;
	}
	return TT_OK;
}

static int labels_read_rows(struct rows *rows, bool tags, struct labels *l)
{
	struct row row;
	int r;

	for (r = rows_next(rows, &row); r > 0; r = rows_next(rows, &row))
		if (row.label && labels_add_new(l, row.label, tags) < 0)
			return rows_blame(rows);
	return r;
}

static int labels_from_rows(const char *path, const struct row_columns *columns, bool tags,
			    struct labels *l)
{
	struct rows *rows;
	int r = rows_open(path, columns, &rows);

	if (r < 0)
		return r;
	r = labels_read_rows(rows, tags, l);
	if (r == TT_OK && !l->names.size)
		r = err_set(TT_INVALID,
			    "%s: no row has a label in the column '%.100s'; there are: "
			    "%.300s",
			    path, columns->label ? columns->label : "", rows_columns(rows));
	rows_close(rows);
	return r < 0 ? r : labels_sort(l);
}

static int labels_fill(const struct labels_options *from, struct labels *l)
{
	char folder[PATH_MAX], path[PATH_MAX];
	int r;

	if (from->given && from->given->item)
		return labels_from_recipe(from->given, l);
	if (!from->train)
		return err_set(TT_INVALID,
			       "the labels are not known: give task.labels or data.train");
	r = fs_dirname(folder, sizeof(folder), from->train);
	if (r == TT_OK)
		r = fs_join(path, sizeof(path), folder, "labels.json");
	if (r < 0)
		return r;
	l->origin = arena_text(l->arena, fs_exists(path) ? path : from->train);
	if (!l->origin)
		return TT_NOMEM;
	return fs_exists(path) ? labels_from_json(path, l)
			       : labels_from_rows(from->train, from->columns, from->tags, l);
}

int labels_load(const struct labels_options *from, struct labels **ret)
{
	struct labels *l = calloc(1, sizeof(*l));
	int r;

	if (l)
		l->arena = arena_new();
	if (!l || !l->arena) {
		free(l);
		return err_set(TT_NOMEM, "there is no memory for the labels");
	}
	r = vocab_init(&l->names, l->arena, 64);
	if (r == TT_OK)
		r = labels_fill(from, l);
	if (r < 0) {
		labels_free(l);
		return r;
	}
	*ret = l;
	return TT_OK;
}

void labels_free(struct labels *l)
{
	if (l)
		arena_free(l->arena);
	free(l);
}

int32_t labels_count(const struct labels *l) { return l->names.size; }

const char *labels_name(const struct labels *l, int32_t index)
{
	return index >= 0 && index < l->names.size ? l->names.token[index] : NULL;
}

const char *labels_origin(const struct labels *l) { return l->origin; }

static int labels_unknown(const struct labels *l, const char *label)
{
	char list[256];
	size_t n = 0;

	list[0] = 0;
	for (int32_t i = 0; i < l->names.size; i++) {
		const size_t more = l->names.length[i] + 2;
		if (n + more + 8 > sizeof(list)) {
			memcpy(list + n, ", ...", 6);
			break;
		}
		memcpy(list + n, ", ", n ? 2 : 0);
		n += n ? 2 : 0;
		memcpy(list + n, l->names.token[i], l->names.length[i] + 1);
		n += l->names.length[i];
	}
	return err_set(TT_INVALID, "the label '%.100s' is none of: %s (from %.200s)", label, list,
		       l->origin);
}

int labels_tag(const struct labels *l, const char *name, size_t size, int32_t *ret)
{
	char shown[101];

	*ret = vocab_find(&l->names, name, size);
	if (*ret >= 0)
		return TT_OK;
	snprintf(shown, sizeof(shown), "%.*s", size < 100 ? (int)size : 100, name);
	return labels_unknown(l, shown);
}

int labels_find(const struct labels *l, const struct rows *from, const struct row *row,
		int32_t *ret)
{
	int32_t i;

	if (!row->label) {
		err_set(TT_INVALID, "the row has no label; the file has: %.300s",
			rows_columns(from));
		return rows_blame(from);
	}
	i = vocab_find(&l->names, row->label, strlen(row->label));
	if (i < 0 && !l->numeric && row->label_is_number && row->number >= 0 &&
	    row->number < l->names.size && row->number == floor(row->number))
		i = (int32_t)row->number;
	if (i < 0) {
		labels_unknown(l, row->label);
		return rows_blame(from);
	}
	*ret = i;
	return TT_OK;
}

int label_number(const struct rows *from, const struct row *row, float *ret)
{
	if (!row->label)
		err_set(TT_INVALID, "the row has no number; the file has: %.300s",
			rows_columns(from));
	else if (!row->label_is_number)
		err_set(TT_INVALID, "the label '%.100s' is not a number", row->label);
	else if (fabs(row->number) > (double)FLT_MAX)
		err_set(TT_INVALID, "the label %g is too large", row->number);
	else {
		*ret = (float)row->number;
		return TT_OK;
	}
	return rows_blame(from);
}
