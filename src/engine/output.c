/* Folders that verbs write: what may be overwritten, and what is said of them. */
#include "engine/output.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"

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

int output_say(const char *dir, bool json)
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

int output_check(const char *dir)
{
	char **name;
	size_t n;
	int code = TT_OK;

	if (!fs_exists(dir))
		return TT_OK;
	if (!fs_is_dir(dir))
		return err_set(TT_INVALID, "%s is a file; a folder is needed", dir);
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
