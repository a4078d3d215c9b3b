/*
 * Adapters that were trained before: a folder of method `adapter` is one, a folder
 * of a fusion is all those that it holds. A name is the folder's, or where that is
 * just "adapter", as in a run's own folder, the name of the folder above; one that
 * is there already gets a number.
 */
#include "method/trained.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

enum { CONFIG_MAX = 1 << 20, NAME_ROOM = 80 };

static const char prefix[] = "base_model.model.";

/* ---- names ---- */

static bool taken(const struct trained_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->item[i].name, name))
			return true;
	}
	return false;
}

/* The last part of a path without what a name in a file cannot have. */
static void plain_name(const char *path, char *ret, size_t size)
{
	char above[PATH_MAX];
	const char *from = fs_basename(path);

	if (!strcmp(from, "adapter") && !fs_dirname(above, sizeof(above), path))
		from = fs_basename(above);
	snprintf(ret, size, "%s", *from ? from : "adapter");
	for (char *p = ret; *p; p++)
		*p = strchr("./,", *p) ? '_' : *p;
}

/* A name that no other has. */
static const char *own_name(const struct method *m, const struct trained_list *l, const char *like)
{
	char name[NAME_ROOM + 16];

	snprintf(name, sizeof(name), "%.*s", NAME_ROOM - 1, like);
	for (int i = 2; taken(l, name); i++)
		snprintf(name, sizeof(name), "%.*s_%d", NAME_ROOM - 1, like, i);
	return arena_text(m->model->arena, name);
}

/* ---- folders ---- */

static int list_add(struct trained_list *l, const struct trained *t)
{
	char path[PATH_MAX];
	struct trained *to = &l->item[l->n];
	int code;

	if (l->n == COUNT(l->item))
		return err_set(TT_INVALID, "peft.adapters: at most %zu can be mixed",
			       COUNT(l->item));
	if (l->n && t->how.place != l->item[0].how.place)
		return err_set(TT_INVALID,
			       "peft.adapters: the placement of %s is '%s', and of %s '%s'; only "
			       "adapters of one placement mix",
			       t->folder, bottleneck_place_name(t->how.place), l->item[0].folder,
			       bottleneck_place_name(l->item[0].how.place));
	*to = *t;
	code = fs_join(path, sizeof(path), t->folder, "adapter_model.safetensors");
	if (!code)
		code = st_open(path, &to->file);
	if (!code)
		l->n++;
	return code;
}

/* A folder of one adapter. */
static int add_adapter(const struct method *m, struct trained_list *l, const char *folder,
		       const struct json *config)
{
	struct trained t = { .folder = folder, .within = "" };
	char name[NAME_ROOM];
	int code;

	plain_name(folder, name, sizeof(name));
	t.name = own_name(m, l, name);
	code = t.name ? bottleneck_parse(config, &t.how) : TT_NOMEM;
	return code ? code : list_add(l, &t);
}

/* A folder of a fusion: each adapter under its name there. */
static int add_fused(const struct method *m, struct trained_list *l, const char *folder,
		     const struct json *config)
{
	const struct json *list = json_get(config, "adapters");

	if (!list || json_type(list) != JSON_ARRAY || !json_count(list))
		return err_set(TT_INVALID, "adapters is missing");
	for (const struct json *j = json_first(list); j; j = json_next(j)) {
		const struct json *name = json_get(j, "name");
		struct trained t = { .folder = folder };
		int code;

		if (!name || !json_text(name) || strlen(json_text(name)) >= NAME_ROOM)
			return err_set(TT_INVALID, "an adapter has no name, or a long one");
		t.name = own_name(m, l, json_text(name));
		t.within = arena_printf(m->model->arena, "%s.", json_text(name));
		code = t.name && t.within ? bottleneck_parse(j, &t.how) : TT_NOMEM;
		if (!code)
			code = list_add(l, &t);
		if (code)
			return code;
	}
	return TT_OK;
}

static int add_folder(const struct method *m, struct trained_list *l, const char *folder)
{
	char path[PATH_MAX];
	struct json *config;
	const char *type;
	int code = fs_join(path, sizeof(path), folder, "adapter_config.json");

	if (!code && !fs_exists(path))
		return err_set(TT_NOTFOUND,
			       "peft.adapters: %s is no adapter folder: it has no "
			       "adapter_config.json",
			       folder);
	if (!code)
		code = json_load(path, CONFIG_MAX, &config);
	if (code)
		return code;
	type = json_text(json_get(config, "peft_type"));
	if (type && !strcmp(type, "TRIMTAB_ADAPTER"))
		code = add_adapter(m, l, folder, config);
	else if (type && !strcmp(type, "TRIMTAB_ADAPTER_FUSION"))
		code = add_fused(m, l, folder, config);
	else
		code = err_set(TT_INVALID, "peft_type is none that can be mixed; method 'adapter' "
					   "writes such folders");
	json_free(config);
	return code ? err_in("%s", path) : TT_OK;
}

int trained_open(const struct method *m, const struct texts *folders, struct trained_list *ret)
{
	int code = TT_OK;

	*ret = (struct trained_list){ .n = 0 };
	for (size_t i = 0; !code && i < folders->n; i++)
		code = add_folder(m, ret, folders->item[i]);
	if (!code && ret->n < 2)
		code = err_set(TT_INVALID,
			       "peft.adapters gives %zu adapter%s; fusion mixes two or more",
			       ret->n, ret->n == 1 ? "" : "s");
	if (code)
		trained_close(ret);
	return code;
}

void trained_close(struct trained_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		st_close(l->item[i].file);
		l->item[i].file = NULL;
	}
}

/* ---- numbers ---- */

static const struct st_tensor *find(const struct trained *t, const char *module, const char *leaf)
{
	char name[512];

	snprintf(name, sizeof(name), "%s%s.%s%s", prefix, module, t->within, leaf);
	return st_find(t->file, name);
}

bool trained_has(const struct trained *t, const char *module)
{
	return find(t, module, "adapter_down.0.weight");
}

static int read_tensor(const struct trained *t, const char *module, const char *leaf,
		       struct tensor *to)
{
	const struct st_tensor *from = to ? find(t, module, leaf) : NULL;
	bool fits = from && from->rank == to->rank;

	if (!to)
		return TT_OK;
	for (int i = 0; fits && i < to->rank; i++)
		fits = from->dim[i] == to->dim[i];
	if (!fits)
		return err_set(TT_INVALID,
			       "peft.adapters: %s: '%s.%s' is missing or does not fit this model",
			       t->folder, module, leaf);
	return st_read_f32(from, to->data);
}

int trained_read(const struct trained *t, const char *module, const struct bottleneck *b)
{
	int code = read_tensor(t, module, "adapter_down.0.weight", b->down);

	if (!code)
		code = read_tensor(t, module, "adapter_down.0.bias", b->down_bias);
	if (!code)
		code = read_tensor(t, module, "adapter_up.weight", b->up);
	if (!code)
		code = read_tensor(t, module, "adapter_up.bias", b->up_bias);
	return code ? code : read_tensor(t, module, "scaling", b->scale);
}
