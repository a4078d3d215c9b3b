/* Columns of the list of runs: chosen, moved, kept in a file that may hold anything. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "ui/columns.h"

static const char *all(const struct columns *c)
{
	static char ret[4096];

	ret[0] = 0;
	for (size_t i = 0; i < c->n; i++)
		snprintf(ret + strlen(ret), sizeof(ret) - strlen(ret), "%s%s", i ? " " : "",
			 c->key[i]);
	return ret;
}

static void chosen(void)
{
	struct columns c;
	char key[16];

	columns_default(&c);
	columns_remove(&c, "curve");
	columns_remove(&c, "no such");
	CHECK(columns_add(&c, "peft.r") && columns_add(&c, "peft.r"));
	columns_move(&c, c.n - 1, -1);
	columns_move(&c, 0, -1);
	columns_move(&c, 0, 1);
	columns_move(&c, c.n - 1, 1);
	CHECK_STR(all(&c), "name id method params step best train/loss peft.r state");
	for (int i = 0; c.n < COLUMNS_MAX; i++) {
		snprintf(key, sizeof(key), "a/%d", i);
		CHECK(columns_add(&c, key));
	}
	CHECK(!columns_add(&c, "one/more") && c.n == COLUMNS_MAX);
	CHECK_STR(columns_sort("id"), "");
	CHECK_STR(columns_sort("params"), "trainable_params");
	CHECK_STR(columns_sort("eval/f1"), "eval/f1");
	CHECK(!columns_sort("curve") && !columns_sort("note"));
	CHECK(columns_know("curve") && columns_know("peft.r") && !columns_know("colour"));
}

static void kept(const char *dir)
{
	struct columns c, back;

	CHECK(columns_load(dir, &c) == TT_OK && c.n == 9);
	CHECK(columns_add(&c, "数/据"));
	snprintf(c.sort, sizeof(c.sort), "-eval/loss");
	snprintf(c.group, sizeof(c.group), "seed");
	CHECK(columns_save(dir, &c) == TT_OK);
	CHECK(columns_load(dir, &back) == TT_OK);
	CHECK_STR(all(&back), "id name method params step best train/loss curve state 数/据");
	CHECK_STR(back.sort, "-eval/loss");
	CHECK_STR(back.group, "seed");
	CHECK(columns_save("/nowhere", &c) != TT_OK);
}

/* A file by another hand: what is not understood is left out, what is no JSON is said. */
static void hostile(const char *dir)
{
	static const struct {
		const char *text, *columns, *sort;
		int code;
	} files[] = {
		{ "{\"runs\": {\"columns\": [\"id\", 3, \"colour\", \"peft.r\", null], \"sort\": "
		  "\"hue\"}}",
		  "id peft.r name", "", TT_OK },
		{ "{\"runs\": {\"columns\": [], \"sort\": \"step\", \"group\": 5}}",
		  "id name method params step best train/loss curve state", "step", TT_OK },
		{ "{\"runs\": {\"columns\": \"id\", \"sort\": \"-\"}}",
		  "id name method params step best train/loss curve state", "-", TT_OK },
		{ "[]", "id name method params step best train/loss curve state", "", TT_OK },
		{ "{\"runs\"", "id name method params step best train/loss curve state", "",
		  TT_INVALID },
	};
	char path[300];

	snprintf(path, sizeof(path), "%s/workbench.json", dir);
	for (size_t i = 0; i < COUNT(files); i++) {
		struct columns c;

		CHECK(fs_write_atomic(path, files[i].text, strlen(files[i].text)) == TT_OK);
		CHECK_NAMED(columns_load(dir, &c) == files[i].code, files[i].text);
		CHECK_NAMED(!strcmp(all(&c), files[i].columns), all(&c));
		CHECK_NAMED(!strcmp(c.sort, files[i].sort), c.sort);
	}
}

int main(void)
{
	char dir[] = "/tmp/trimtab-columns-XXXXXX";

	if (!mkdtemp(dir)) {
		printf("Bail out! no temporary folder\n");
		return 99;
	}
	chosen();
	kept(dir);
	hostile(dir);
	(void)fs_remove_tree(dir);
	return check_done();
}
