/* The columns of the list of runs: chosen by a person, kept in a file. */
#include "ui/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "db/run.h"

static const char file_name[] = "workbench.json";

enum { FILE_MAX = 1 << 16, PATH_SIZE = 4096 };

void columns_default(struct columns *c)
{
	static const char *const usual[] = { "id",   "name",       "method", "params", "step",
					     "best", "train/loss", "curve",  "state" };

	*c = (struct columns){ .n = COUNT(usual) };
	for (size_t i = 0; i < COUNT(usual); i++)
		snprintf(c->key[i], COLUMN_KEY, "%s", usual[i]);
}

bool columns_know(const char *key)
{
	return !strcmp(key, "params") || !strcmp(key, "curve") || run_key_is(key);
}

static size_t find(const struct columns *c, const char *key)
{
	size_t i = 0;

	while (i < c->n && strcmp(c->key[i], key) != 0)
		i++;
	return i;
}

bool columns_has(const struct columns *c, const char *key) { return find(c, key) < c->n; }

bool columns_add(struct columns *c, const char *key)
{
	if (c->n == COLUMNS_MAX || strlen(key) >= COLUMN_KEY)
		return false;
	if (!columns_has(c, key))
		snprintf(c->key[c->n++], COLUMN_KEY, "%s", key);
	return true;
}

void columns_remove(struct columns *c, const char *key)
{
	const size_t at = find(c, key);

	if (at == c->n)
		return;
	c->n--;
	memmove(c->key[at], c->key[at + 1], (c->n - at) * sizeof(c->key[0]));
}

void columns_move(struct columns *c, size_t at, int by)
{
	const size_t to = by < 0 ? at - 1 : at + 1;
	char key[COLUMN_KEY];

	if (at >= c->n || (by < 0 && !at) || to >= c->n)
		return;
	memcpy(key, c->key[at], sizeof(key));
	memcpy(c->key[at], c->key[to], sizeof(key));
	memcpy(c->key[to], key, sizeof(key));
}

const char *columns_sort(const char *key)
{
	if (!strcmp(key, "id"))
		return "";
	if (!strcmp(key, "params"))
		return "trainable_params";
	if (!strcmp(key, "curve") || !strcmp(key, "tag") || !strcmp(key, "note"))
		return NULL;
	return key;
}

/* ---- the file ---- */

static bool is_sort(const char *sort)
{
	return !*sort || (*sort == '-' && !sort[1]) || run_key_is(sort + (*sort == '-'));
}

static bool is_group(const char *group)
{
	return !*group || !strcmp(group, RUN_GROUP_SEED) || run_key_is(group);
}

static bool is_theme(const char *theme) { return strlen(theme) < 8; }

static void take_text(const struct json *j, const char *key, bool (*fits)(const char *), char *ret,
		      size_t size)
{
	const char *text = json_get(j, key) ? json_text(json_get(j, key)) : NULL;

	if (text && strlen(text) < size && fits(text))
		snprintf(ret, size, "%s", text);
}

/* What another version wrote and this one does not know is left out. */
static void take(const struct json *j, struct columns *c)
{
	const struct json *list = json_get(j, "columns");

	take_text(j, "sort", is_sort, c->sort, sizeof(c->sort));
	take_text(j, "group", is_group, c->group, sizeof(c->group));
	if (!list || json_type(list) != JSON_ARRAY || !json_count(list))
		return;
	c->n = 0;
	for (const struct json *k = json_first(list); k; k = json_next(k))
		if (json_text(k) && columns_know(json_text(k)))
			(void)columns_add(c, json_text(k));
	if (!columns_has(c, "name"))
		(void)columns_add(c, "name");
}

int columns_load(const char *dir, struct columns *ret)
{
	char path[PATH_SIZE];
	struct json *j;
	int code = fs_join(path, sizeof(path), dir, file_name);

	columns_default(ret);
	if (code || !fs_exists(path))
		return code;
	code = json_load(path, FILE_MAX, &j);
	if (code)
		return code;
	take_text(j, "theme", is_theme, ret->theme, sizeof(ret->theme));
	if (json_get(j, "runs"))
		take(json_get(j, "runs"), ret);
	json_free(j);
	return TT_OK;
}

static void write(const struct columns *c, struct jsonw *w)
{
	jsonw_object(w);
	if (c->theme[0]) {
		jsonw_key(w, "theme");
		jsonw_text(w, c->theme);
	}
	jsonw_key(w, "runs");
	jsonw_object(w);
	jsonw_key(w, "columns");
	jsonw_array(w);
	for (size_t i = 0; i < c->n; i++)
		jsonw_text(w, c->key[i]);
	jsonw_end(w, ']');
	jsonw_key(w, "sort");
	jsonw_text(w, c->sort);
	jsonw_key(w, "group");
	jsonw_text(w, c->group);
	jsonw_end(w, '}');
	jsonw_end(w, '}');
}

int columns_save(const char *dir, const struct columns *c)
{
	char path[PATH_SIZE];
	struct jsonw w;
	struct buf out;
	int code = fs_join(path, sizeof(path), dir, file_name);

	buf_init(&out, FILE_MAX);
	jsonw_init(&w, &out, 2);
	write(c, &w);
	buf_char(&out, '\n');
	if (!code)
		code = buf_check(&out, file_name);
	if (!code)
		code = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return code;
}
