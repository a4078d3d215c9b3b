/* models: base models on this machine, those that come with trimtab and those in the Hugging Face cache. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/place.h"
#include "cmd/cmd.h"

static int64_t number(const struct json *config, const char *key)
{
	int64_t v = 0;

	(void)json_int(json_get(config, key), &v);
	return v;
}

/* One folder with a config.json; others are passed over. */
static void write_one(const char *name, const char *dir, bool json, struct buf *out)
{
	char path[PATH_MAX];
	struct json *config;
	struct jsonw w;
	const char *type;

	if (fs_join(path, sizeof(path), dir, "config.json") || json_load(path, 1 << 22, &config))
		return;
	type = json_text(json_get(config, "model_type"));
	if (out->size)
		buf_char(out, '\n');
	if (!json) {
		buf_printf(out, "%-32s %-10s %3lld layers  hidden %-5lld vocabulary %-7lld %s",
			   name, type ? type : "?", (long long)number(config, "num_hidden_layers"),
			   (long long)number(config, "hidden_size"),
			   (long long)number(config, "vocab_size"), dir);
	} else {
		jsonw_init(&w, out, 0);
		jsonw_object(&w);
		jsonw_key(&w, "name");
		jsonw_text(&w, name);
		jsonw_key(&w, "model_type");
		jsonw_text(&w, type);
		jsonw_key(&w, "num_hidden_layers");
		jsonw_int(&w, number(config, "num_hidden_layers"));
		jsonw_key(&w, "hidden_size");
		jsonw_int(&w, number(config, "hidden_size"));
		jsonw_key(&w, "vocab_size");
		jsonw_int(&w, number(config, "vocab_size"));
		jsonw_key(&w, "dir");
		jsonw_text(&w, dir);
		jsonw_end(&w, '}');
	}
	json_free(config);
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

/* models--org--name -> org/name; NULL when it is another folder. malloc'ed. */
static char *hub_id(const char *folder)
{
	static const char prefix[] = "models--";
	char *id, *dash;

	if (strncmp(folder, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	id = strdup(folder + sizeof(prefix) - 1);
	dash = id ? strstr(id, "--") : NULL;
	if (dash) {
		*dash = '/';
		memmove(dash + 1, dash + 2, strlen(dash + 2) + 1);
	}
	return id;
}

/* Every model below dir; hub: the folders are those of the cache. */
static void list_folder(const char *dir, bool hub, bool json, struct buf *out)
{
	struct dirent **entry;
	const int n = scandir(dir, &entry, visible, alphasort);

	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		char *id = hub ? hub_id(entry[i]->d_name) : strdup(entry[i]->d_name);

		if (id && hub && !place_model(id, path, sizeof(path)))
			write_one(id, path, json, out);
		else if (id && !hub && !fs_join(path, sizeof(path), dir, entry[i]->d_name))
			write_one(id, path, json, out);
		free(id);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
}

static int models(const struct args *a)
{
	const bool json = args_has(a, "--json");
	char share[PATH_MAX], dir[PATH_MAX];
	struct buf out;
	int code;

	buf_init(&out, (size_t)16 << 20);
	if (!place_share(share, sizeof(share)) && !fs_join(dir, sizeof(dir), share, "models"))
		list_folder(dir, false, json, &out);
	if (!place_hub_cache(dir, sizeof(dir)))
		list_folder(dir, true, json, &out);
	if (!out.size && !json)
		buf_text(&out, "no models found; give a folder with config.json and *.safetensors "
			       "as base_model");
	code = out.size ? cmd_print(&out) : TT_OK;
	buf_done(&out);
	return code;
}

static const struct arg options[] = {
	{ "--json", 0, NULL, "JSON lines: name, model_type, sizes, dir" },
	{ 0 },
};

const struct command command_models = {
	.name = "models",
	.usage = "[--json]",
	.summary = "List the base models that are here: embedded ones and the Hugging Face cache.",
	.options = options,
	.max_args = 0,
	.run = models,
};
