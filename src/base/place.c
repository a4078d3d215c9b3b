/* Where named things are: the share, recipes, models, the hub cache. */
#include "base/place.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

static bool print(char *ret, size_t size, const char *a, const char *b)
{
	const int n = snprintf(ret, size, "%s/%s", a, b);

	return n > 0 && (size_t)n < size;
}

/* Does dir hold recipes/ ? then it is a share. */
static bool is_share(const char *dir)
{
	char path[PATH_MAX];

	return print(path, sizeof(path), dir, "recipes") && fs_is_dir(path);
}

static int found(char *ret, size_t size, const char *path)
{
	if (strlen(path) >= size)
		return err_set(TT_INVALID, "the path %.100s... is too long", path);
	memcpy(ret, path, strlen(path) + 1);
	return TT_OK;
}

int place_share(char *ret, size_t size)
{
	const char *given = getenv("TRIMTAB_SHARE");
	char exe[PATH_MAX], up[PATH_MAX];
	ssize_t n;

	if (given && *given)
		return found(ret, size, given);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = 0;
		for (int i = 0; i < 2; i++) {
			if (fs_dirname(up, sizeof(up), exe))
				break;
			if (is_share(up))
				return found(ret, size, up);
			memcpy(exe, up, sizeof(exe));
		}
	}
	return found(ret, size, PKGDATADIR);
}

int place_recipe(const char *name, char *ret, size_t size)
{
	char share[PATH_MAX], dir[PATH_MAX], path[PATH_MAX + 8];
	const char *const form[] = { "%s/recipes/%s", "%s/recipes/%s.json" };

	if (fs_exists(name) && !fs_is_dir(name)) /* a folder may well have a recipe's name */
		return found(ret, size, name);
	if (!strchr(name, '/') && *name && !place_share(share, sizeof(share)))
		for (size_t i = 0; i < COUNT(form); i++) {
			const int n = i ? snprintf(dir, sizeof(dir), "%s/recipes/%s.json", share,
						   name)
					: snprintf(dir, sizeof(dir), "%s/recipes/%s", share, name);

			snprintf(path, sizeof(path), "%s", dir);
			if (n > 0 && (size_t)n < sizeof(dir) && fs_exists(path))
				return found(ret, size, path);
		}
	return err_set(TT_NOTFOUND,
		       "there is no recipe '%s': it is neither a file nor one that `trimtab "
		       "recipes` lists",
		       name);
}

int place_hub_cache(char *ret, size_t size)
{
	static const struct {
		const char *name, *below;
	} try[] = {
		{ "HF_HUB_CACHE", "" },
		{ "HF_HOME", "/hub" },
		{ "XDG_CACHE_HOME", "/huggingface/hub" },
		{ "HOME", "/.cache/huggingface/hub" },
	};

	for (size_t i = 0; i < COUNT(try); i++) {
		const char *base = getenv(try[i].name);
		int n;

		if (!base || !*base)
			continue;
		n = snprintf(ret, size, "%s%s", base, try[i].below);
		return n > 0 && (size_t)n < size
			       ? TT_OK
			       : err_set(TT_INVALID, "%s is too long for a path", try[i].name);
	}
	return err_set(
		TT_NOTFOUND,
		"none of HF_HUB_CACHE, HF_HOME and HOME is set, so there is no Hugging Face cache");
}

/* org/name: at most one slash, and only the letters that hub ids have. */
static bool is_hub_id(const char *name)
{
	size_t slashes = 0;

	for (const char *p = name; *p; p++) {
		const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				    (*p >= '0' && *p <= '9');

		slashes += *p == '/';
		if (!letter && !strchr("-_./", *p))
			return false;
	}
	return *name && *name != '/' && *name != '.' && slashes <= 1 && !strstr(name, "..") &&
	       name[strlen(name) - 1] != '/';
}

/* cache/models--org--name/refs/main holds a revision; snapshots/REVISION is the folder. */
static int in_hub(const char *name, char *ret, size_t size)
{
	char cache[PATH_MAX], dir[PATH_MAX], path[PATH_MAX + 256];
	struct buf ref;
	size_t at;
	int n, code;

	code = place_hub_cache(cache, sizeof(cache));
	if (code)
		return code;
	n = snprintf(dir, sizeof(dir), "%s/models--", cache);
	if (n < 0 || (size_t)n + 2 * strlen(name) + 8 >= sizeof(dir))
		return err_set(TT_INVALID, "the path of the Hugging Face cache is too long");
	at = (size_t)n;
	for (const char *p = name; *p; p++) {
		if (*p == '/')
			dir[at++] = '-';
		dir[at++] = *p == '/' ? '-' : *p;
	}
	dir[at] = 0;
	snprintf(path, sizeof(path), "%s/refs/main", dir);
	code = fs_read(path, 128, &ref);
	if (code)
		return code;
	while (ref.size && (ref.data[ref.size - 1] == '\n' || ref.data[ref.size - 1] == ' '))
		ref.data[--ref.size] = 0;
	if (!ref.size || strspn(ref.data, "0123456789abcdefABCDEF") != ref.size)
		code = err_set(TT_INVALID, "%s does not hold a revision", path);
	else
		snprintf(path, sizeof(path), "%s/snapshots/%s", dir, ref.data);
	buf_done(&ref);
	if (code)
		return code;
	if (!fs_is_dir(path))
		return err_set(TT_NOTFOUND, "%s is not there", path);
	return found(ret, size, path);
}

int place_model(const char *name, char *ret, size_t size)
{
	char share[PATH_MAX], path[PATH_MAX];
	int n;

	if (fs_exists(name))
		return found(ret, size, name);
	if (*name && !strchr(name, '/') && !place_share(share, sizeof(share))) {
		n = snprintf(path, sizeof(path), "%s/models/%s", share, name);
		if (n > 0 && (size_t)n < sizeof(path) && fs_is_dir(path))
			return found(ret, size, path);
	}
	if (is_hub_id(name) && !in_hub(name, ret, size))
		return TT_OK;
	return err_set(
		TT_NOTFOUND,
		"there is no model '%s': it is neither a folder, nor one that comes with trimtab, "
		"nor in the local Hugging Face cache",
		name);
}
