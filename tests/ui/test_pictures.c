/*
 * Keys in, text out: each NAME.keys says size, locale and keys, NAME.screen is
 * what must be seen. UPDATE_SCREENS=1 writes the pictures anew; look at the
 * difference before you keep it.
 */
#include "tests/check.h"

#include "base/array.h"
#include "tests/ui/contest.h"
#include "tests/ui/stage.h"

static const char *const pictures[] = {
	"runs",
	"runs-ascii",
	"runs-wide",
	"runs-empty",
	"runs-filter",
	"runs-delete",
	"run",
	"run-ascii",
	"run-wide",
	"run-block",
	"run-nan",
	"run-log",
	"run-small",
	"help",
	"small",
	"runs-tests",
	"runs-wrong",
	"runs-wrong-small",
	"runs-columns",
	"runs-seeds",
	"runs-seeds-small",
	"runs-group",
	"runs-marks",
	"runs-tags",
	"columns",
	"command",
	"command-small",
	"columns-small",
	"compare",
	"compare-runs",
	"compare-pareto",
	"compare-ascii",
	"compare-wide",
	"compare-none",
	"answers",
};

struct script {
	int rows, cols;
	char locale[32], data[16], keys[512];
};

static void path_of(const char *name, const char *end, char *ret, size_t size)
{
	const char *top = getenv("top_srcdir");

	snprintf(ret, size, "%s/tests/ui/%s.%s", top ? top : ".", name, end);
}

static bool read_script(const char *name, struct script *ret)
{
	char path[PATH_MAX], line[512];
	FILE *f;

	*ret = (struct script){ .rows = 24, .cols = 80, .locale = "C.UTF-8", .data = "full" };
	path_of(name, "keys", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		char word[16], rest[480] = "";

		if (sscanf(line, "%15s %479[^\n]", word, rest) < 1 || word[0] == '#')
			continue;
		if (!strcmp(word, "size"))
			(void)sscanf(rest, "%dx%d", &ret->cols, &ret->rows);
		else if (!strcmp(word, "locale"))
			snprintf(ret->locale, sizeof(ret->locale), "%.31s", rest);
		else if (!strcmp(word, "data"))
			snprintf(ret->data, sizeof(ret->data), "%.15s", rest);
		else if (!strcmp(word, "keys"))
			snprintf(ret->keys, sizeof(ret->keys), "%s", rest);
		else
			printf("# %s: what is '%s'?\n", path, word);
	}
	fclose(f);
	return true;
}

static int key_of(const char *word)
{
	static const int named[] = { KEY_ESCAPE,
				     KEY_RETURN,
				     ' ',
				     'U' - '@',
				     '\t',
				     KEY_TERMINAL(KEY_UP),
				     KEY_TERMINAL(KEY_DOWN),
				     KEY_TERMINAL(KEY_LEFT),
				     KEY_TERMINAL(KEY_RIGHT),
				     KEY_TERMINAL(KEY_PPAGE),
				     KEY_TERMINAL(KEY_NPAGE),
				     KEY_TERMINAL(KEY_HOME),
				     KEY_TERMINAL(KEY_END) };
	char name[KEY_NAME_SIZE];

	for (size_t i = 0; i < COUNT(named); i++) {
		keymap_name(named[i], name);
		if (!strcmp(name, word))
			return named[i];
	}
	return text_decode(&word);
}

static void type(struct stage *s, const char *keys)
{
	char words[512], *at = words, *word;

	snprintf(words, sizeof(words), "%s", keys);
	for (word = strsep(&at, " "); word; word = strsep(&at, " "))
		if (word[0]) {
			(void)app_key(&s->app, key_of(word));
			stage_draw(s); /* as the loop does */
		}
}

static void write_log(struct stage *s, const char *id)
{
	static const char log[] =
		"2026-03-01T11:55:48Z trimtab-engine 0.1.0, openblas, 2 threads\n"
		"a line with \033[31mcolours\033[0m and a tab\tin it\n"
		"a line that is a good deal longer than the room that the log has on a screen of "
		"eighty columns, and so it ends in an ellipsis\n"
		"step 206: checkpoint\n";
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/runs/%s", s->dir, id);
	stage_must(fs_mkdirs(path));
	snprintf(path, sizeof(path), "%s/runs/%s/log.txt", s->dir, id);
	stage_must(fs_write_atomic(path, log, sizeof(log) - 1));
}

static void take_picture(const struct stage *s, char *ret, size_t size)
{
	char line[4096];
	size_t n = 0;

	for (int y = 0; y < getmaxy(s->w); y++) {
		stage_line(s, y, line, sizeof(line));
		n += (size_t)snprintf(ret + n, size - n, "%s\n", line);
	}
}

static void compare(const char *name, const char *got)
{
	static char want[65536];
	char path[PATH_MAX];
	FILE *f;
	size_t n;

	path_of(name, "screen", path, sizeof(path));
	if (getenv("UPDATE_SCREENS"))
		stage_must(fs_write_atomic(path, got, strlen(got)));
	f = fopen(path, "r");
	n = f ? fread(want, 1, sizeof(want) - 1, f) : 0;
	want[n] = 0;
	if (f)
		fclose(f);
	CHECK_NAMED(!strcmp(want, got), name);
	if (strcmp(want, got) != 0)
		for (const char *p = got; *p; p += strcspn(p, "\n") + 1)
			printf("# %.*s\n", (int)strcspn(p, "\n"), p);
}

static void picture(const char *name)
{
	static char got[65536];
	struct script script;
	char id[RUN_ID_SIZE] = "";
	struct stage s;

	if (!read_script(name, &script)) {
		CHECK_NAMED(false, name);
		return;
	}
	stage_open(&s, script.locale, "xterm-256color");
	(void)setenv("STAGE_DIR", s.dir, 1);
	stage_size(&s, script.rows, script.cols);
	stage_draw(&s);
	if (!strcmp(script.data, "full") || !strcmp(script.data, "seeds")) {
		stage_fill(&s, id);
		write_log(&s, id);
	}
	if (!strcmp(script.data, "seeds"))
		stage_seeds(&s);
	if (!strcmp(script.data, "contest")) {
		int64_t row[2 * CONTEST_SEEDS];
		char ids[2 * CONTEST_SEEDS][RUN_ID_SIZE];

		contest_fill(s.db, s.dir, row, ids);
		(void)app_tick(&s.app);
	}
	stage_draw(&s);
	type(&s, script.keys);
	take_picture(&s, got, sizeof(got));
	compare(name, got);
	stage_close(&s);
}

int main(void)
{
	(void)setenv("TZ", "UTC", 1);
	(void)unsetenv("NO_COLOR");
	for (size_t i = 0; i < COUNT(pictures); i++)
		picture(pictures[i]);
	return check_done();
}
