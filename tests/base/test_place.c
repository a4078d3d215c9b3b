/* Where recipes, models and the hub's cache are found: the order of places, and hub ids that are traps. */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/place.h"

static char top[PATH_MAX]; /* a fresh folder, removed at the end; the working folder, too */

static const char *in_top(const char *name)
{
	static char path[4][PATH_MAX + 100];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", top, name);
	return path[turn];
}

static void make(const char *name, const char *text)
{
	char dir[PATH_MAX];

	if (fs_dirname(dir, sizeof(dir), in_top(name)) || fs_mkdirs(dir) ||
	    fs_write_atomic(in_top(name), text, strlen(text)))
		printf("Bail out! %s\n", err_text());
}

static void recipes(void)
{
	char path[PATH_MAX], tiny[8];

	CHECK(place_recipe("mr", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("share/recipes/mr.json"));
	CHECK(place_recipe("mr.json", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("share/recipes/mr.json"));
	CHECK(place_recipe("own.json", path, sizeof(path)) == TT_OK); /* a file as it is */
	CHECK_STR(path, "own.json");
	CHECK(place_recipe(in_top("own.json"), path, sizeof(path)) == TT_OK);
	CHECK(place_recipe("own", path, sizeof(path)) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "'own'") && strstr(err_text(), "trimtab recipes"));
	CHECK(place_recipe("", path, sizeof(path)) == TT_NOTFOUND);
	CHECK(place_recipe("../recipes/mr", path, sizeof(path)) == TT_NOTFOUND);
	CHECK(place_recipe("mr", tiny, sizeof(tiny)) == TT_INVALID);
	CHECK(fs_mkdirs(in_top("mr")) == TT_OK); /* a folder of that name is no recipe */
	CHECK(place_recipe("mr", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("share/recipes/mr.json"));
	make("mr.json", "{}");
	CHECK(place_recipe("mr.json", path, sizeof(path)) == TT_OK); /* the file here wins */
	CHECK_STR(path, "mr.json");
}

static void share(void)
{
	char path[PATH_MAX];

	CHECK(place_share(path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("share"));
	unsetenv("TRIMTAB_SHARE");
	CHECK(place_share(path, sizeof(path)) == TT_OK); /* beside the program, or installed */
	CHECK(*path == '/' && strcmp(path, in_top("share")) != 0);
	setenv("TRIMTAB_SHARE", in_top("share"), 1);
}

static void models(void)
{
	char path[PATH_MAX];

	CHECK(place_model("mini", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("share/models/mini"));
	CHECK(place_model(in_top("share"), path, sizeof(path)) == TT_OK); /* a folder as it is */
	CHECK(place_model("org/name", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("hub/models--org--name/snapshots/0123abcd"));
	CHECK(place_model("alone", path, sizeof(path)) == TT_OK);
	CHECK_STR(path, in_top("hub/models--alone/snapshots/ff"));
}

static void traps(void)
{
	static const char *const name[] = {
		"",          "no/model",      "org/gone",    "org/evil",
		"org/empty", "org/../../etc", "../org/name", "org//name",
		"a/b/c",     "org/name/",     "/org/name",   "org/na me",
		"org/n\tme", "org\\name",     ".hidden",     "models--org--name",
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < COUNT(name); i++) {
		CHECK_NAMED(place_model(name[i], path, sizeof(path)) == TT_NOTFOUND, name[i]);
		CHECK(strstr(err_text(), "neither a folder"));
	}
}

static void caches(void)
{
	static const struct {
		const char *hub, *home, *xdg, *user, *is;
	} cases[] = {
		{ "/a", "/b", "/c", "/d", "/a" },
		{ NULL, "/b", "/c", "/d", "/b/hub" },
		{ "", "/b", "/c", "/d", "/b/hub" },
		{ NULL, NULL, "/c", "/d", "/c/huggingface/hub" },
		{ NULL, NULL, NULL, "/d", "/d/.cache/huggingface/hub" },
		{ NULL, NULL, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *const value[] = { cases[i].hub, cases[i].home, cases[i].xdg,
					      cases[i].user };
		static const char *const name[] = { "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME",
						    "HOME" };
		char path[PATH_MAX];

		for (size_t k = 0; k < COUNT(name); k++)
			if (value[k])
				setenv(name[k], value[k], 1);
			else
				unsetenv(name[k]);
		CHECK(place_hub_cache(path, sizeof(path)) == (cases[i].is ? TT_OK : TT_NOTFOUND));
		if (cases[i].is)
			CHECK_STR(path, cases[i].is);
	}
}

int main(void)
{
	char path[] = "/tmp/test_place-XXXXXX";

	if (!mkdtemp(path) || !realpath(path, top) || chdir(top))
		return 99;
	make("share/recipes/mr.json", "{}");
	make("share/models/mini/config.json", "{}");
	make("own.json", "{}");
	make("hub/models--org--name/refs/main", "0123abcd\n");
	make("hub/models--org--name/snapshots/0123abcd/config.json", "{}");
	make("hub/models--alone/refs/main", "ff");
	make("hub/models--alone/snapshots/ff/config.json", "{}");
	make("hub/models--org--gone/refs/main", "0123"); /* the snapshot is not there */
	make("hub/models--org--evil/refs/main", "../../../../../..");
	make("hub/models--org--empty/refs/main", "");
	setenv("TRIMTAB_SHARE", in_top("share"), 1);
	setenv("HF_HUB_CACHE", in_top("hub"), 1);
	recipes();
	share();
	models();
	traps();
	caches();
	if (chdir("/"))
		return 99;
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
