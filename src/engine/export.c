/* export: a run's result as a PEFT adapter folder, or merged into a transformers model folder. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "method/adapter.h"

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, sorted; malloc'ed, each of them too. */
static int list_files(const char *dir, char ***ret, size_t *ret_n)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	char **name = NULL;
	size_t n = 0;

	if (!d)
		return err_set(TT_IO, "cannot list %s", dir);
	while ((e = readdir(d))) {
		char **more;

		if (e->d_name[0] == '.')
			continue;
		more = realloc(name, (n + 1) * sizeof(*name));
		if (!more)
			break;
		name = more;
		name[n] = strdup(e->d_name);
		if (!name[n])
			break;
		n++;
	}
	closedir(d);
	if (n)
		qsort(name, n, sizeof(*name), compare);
	*ret = name;
	*ret_n = n;
	return TT_OK;
}

static int say(const char *dir, bool json)
{
	char path[PATH_MAX], **name;
	struct buf out;
	struct jsonw w;
	size_t n;
	int code = fs_absolute(path, sizeof(path), dir);

	if (!code)
		code = list_files(path, &name, &n);
	if (code)
		return code;
	buf_init(&out, 1 << 20);
	if (json) {
		jsonw_init(&w, &out, 0);
		jsonw_object(&w);
		jsonw_key(&w, "dir");
		jsonw_text(&w, path);
		jsonw_key(&w, "files");
		jsonw_array(&w);
		for (size_t i = 0; i < n; i++)
			jsonw_text(&w, name[i]);
		jsonw_end(&w, ']');
		jsonw_end(&w, '}');
	} else {
		buf_text(&out, path);
	}
	code = buf_check(&out, "the answer");
	if (!code)
		puts(out.data);
	for (size_t i = 0; i < n; i++)
		free(name[i]);
	free(name);
	buf_done(&out);
	return code;
}

/* An existing folder may only be one that a former export could have made. */
static int check_target(const char *dir)
{
	char **name;
	size_t n;
	int code = TT_OK;

	if (!fs_exists(dir))
		return TT_OK;
	if (!fs_is_dir(dir))
		return err_set(TT_INVALID, "%s is a file; export needs a folder", dir);
	code = list_files(dir, &name, &n);
	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		if (!code && strcmp(name[i], "README.md") != 0 && !strstr(name[i], ".json") &&
		    !strstr(name[i], ".safetensors") && !strstr(name[i], ".txt"))
			code = err_set(TT_INVALID,
				       "%s holds %s, so it is no former export; give a new folder",
				       dir, name[i]);
		free(name[i]);
	}
	free(name);
	return code;
}

static int write_folder(struct session *s, const char *dir, bool merged)
{
	int code;

	if (!merged)
		return adapter_save(s->method, dir, s->recipe->base_model);
	code = method_merge(s->method);
	if (!code)
		code = fs_mkdirs(dir);
	return code ? code : model_save(s->model, dir);
}

static int export(const struct args *a)
{
	const char *which = args_value(a, "--checkpoint");
	struct session s;
	bool merged;
	int code = session_open_run(a->pos[0], &s);

	if (code)
		return code;
	code = check_target(a->pos[1]);
	/* a merge takes all digits, on any machine */
	s.recipe->compute.precision = PRECISION_FP32;
	if (!code)
		code = session_load(&s, false);
	if (!code)
		code = session_restore(&s, which ? which : "last");
	merged = args_has(a, "--merged") || (!code && s.method->ops->saves_model);
	if (!code && merged && !method_mergeable(s.method))
		code = err_set(TT_INVALID,
			       "%s cannot be merged into the model; export without --merged",
			       s.method->ops->name);
	if (!code)
		code = write_folder(&s, a->pos[1], merged);
	if (!code)
		code = say(a->pos[1], args_has(a, "--json"));
	session_close(&s);
	return code;
}

static const struct arg options[] = {
	{ "--merged", 0, NULL, "fold the adapter into the model and write a transformers folder" },
	{ "--checkpoint", 0, "best|last|STEP", "which checkpoint (last)" },
	{ "--json", 0, NULL, "{\"dir\",\"files\"}" },
	{ 0 }
};

const struct command verb_export = {
	.name = "export",
	.usage = "RUN DIR [--merged] [--checkpoint best|last|STEP] [--json]",
	.summary = "Write a run's result: an adapter folder that PEFT loads, or the merged model.",
	.options = options,
	.min_args = 2,
	.max_args = 2,
	.run = export,
};
