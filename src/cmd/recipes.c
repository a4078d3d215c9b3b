/* recipes: the experiments that come with trimtab. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/place.h"
#include "base/recipe.h"
#include "cmd/cmd.h"

static int only_json(const struct dirent *e)
{
	const size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && !strcmp(e->d_name + n - 5, ".json");
}

static void write_one(const char *path, bool json, bool first, struct buf *out)
{
	struct recipe *r;
	struct jsonw w;
	const char *note;

	if (recipe_load(path, NULL, 0, NULL, &r)) {
		fprintf(stderr, "trimtab recipes: %s\n", err_text());
		return;
	}
	note = json_text(json_get(r->doc, "note"));
	if (!first)
		buf_char(out, '\n');
	if (!json) {
		cmd_left(out, r->name, 20);
		buf_printf(out, " %-8s ", r->n_peft ? r->peft[0].name : "-");
		cmd_text(out, note ? note : "");
	} else {
		jsonw_init(&w, out, 0);
		jsonw_object(&w);
		jsonw_key(&w, "name");
		jsonw_text(&w, r->name);
		jsonw_key(&w, "path");
		jsonw_text(&w, path);
		jsonw_key(&w, "method");
		jsonw_text(&w, r->n_peft ? r->peft[0].name : NULL);
		jsonw_key(&w, "task");
		jsonw_text(&w, recipe_task_name(r->task.type));
		jsonw_key(&w, "note");
		jsonw_text(&w, note);
		jsonw_end(&w, '}');
	}
	recipe_free(r);
}

static int recipes(const struct args *a)
{
	char share[PATH_MAX], dir[PATH_MAX], path[PATH_MAX];
	struct dirent **entry;
	struct buf out;
	int n, code = place_share(share, sizeof(share));

	if (!code)
		code = fs_join(dir, sizeof(dir), share, "recipes");
	if (code)
		return code;
	n = scandir(dir, &entry, only_json, alphasort);
	if (n < 0)
		return err_set(TT_NOTFOUND,
			       "there is no folder %s; set TRIMTAB_SHARE to where recipes/ lies",
			       dir);
	buf_init(&out, (size_t)16 << 20);
	for (int i = 0; i < n; i++) {
		if (!fs_join(path, sizeof(path), dir, entry[i]->d_name))
			write_one(path, args_has(a, "--json"), !out.size, &out);
		free(entry[i]);
	}
	free(entry);
	code = cmd_print(&out);
	buf_done(&out);
	return code;
}

static const struct arg options[] = {
	{ "--json", 0, NULL, "JSON lines: name, path, method, task, note" },
	{ 0 },
};

const struct command command_recipes = {
	.name = "recipes",
	.usage = "[--json]",
	.summary = "List the recipes that come with trimtab; `trimtab run NAME` runs one.",
	.options = options,
	.max_args = 0,
	.run = recipes,
};
