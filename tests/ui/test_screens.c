/* Every screen opens, draws and takes all its keys: at several sizes, without a run log, with an empty and with a full one. */
#include "tests/check.h"

#include "base/array.h"
#include "base/rng.h"
#include "tests/ui/stage.h"

static const struct {
	int rows, cols;
} sizes[] = { { 24, 80 }, { 40, 120 }, { 18, 60 }, { 5, 20 }, { 1, 1 } };

static void press(struct stage *s, int key)
{
	char line[4096];
	bool fine = true;

	(void)app_key(&s->app, key);
	s->app.quit = false;
	stage_now += 400000;
	(void)app_tick(&s->app);
	stage_draw(s);
	for (int y = 0; y < getmaxy(s->w); y++) {
		stage_line(s, y, line, sizeof(line));
		for (const char *p = line; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				fine = false;
	}
	if (!fine)
		CHECK_NAMED(false, "a control character is on the screen");
}

/* Back to one screen: the others are left as they are. */
static void only_runs(struct stage *s)
{
	s->app.prompt.kind = PROMPT_OFF;
	while (s->app.depth > 1)
		screen_close(s->app.stack[--s->app.depth]);
}

static void every_key(struct stage *s, const struct screen_ops *ops, const char *arg)
{
	static const struct keybind *const tables[] = { NULL, keys_everywhere };

	for (size_t i = 0; i < COUNT(tables); i++)
		for (const struct keybind *k = tables[i] ? tables[i] : ops->keys; k->help; k++) {
			only_runs(s);
			if (strcmp(ops->name, "runs") != 0)
				stage_must(app_open(&s->app, ops->name, arg));
			CHECK_NAMED(app_top(&s->app)->ops == ops, ops->name);
			press(s, k->key);
			if (s->app.prompt.kind) { /* answer what it asks */
				press(s, 'y');
				press(s, KEY_RETURN);
			}
			press(s, KEY_ESCAPE);
		}
	only_runs(s);
}

static void show_all(struct stage *s, const char *arg)
{
	for (size_t i = 0; i < COUNT(sizes); i++) {
		stage_size(s, sizes[i].rows, sizes[i].cols);
		for (const struct screen_ops *const *o = screen_all(); *o; o++) {
			stage_draw(s);
			CHECK(s->app.small == (sizes[i].rows < 18 || sizes[i].cols < 60));
			every_key(s, *o, arg);
		}
	}
	stage_size(s, 24, 80);
	stage_draw(s);
}

static bool same_key(const struct keybind *a, const struct keybind *b)
{
	const int keys[] = { a->key, a->also[0], a->also[1], a->also[2] };
	const int others[] = { b->key, b->also[0], b->also[1], b->also[2] };

	for (size_t i = 0; i < COUNT(keys); i++)
		for (size_t k = 0; keys[i] && k < COUNT(others); k++)
			if (keys[i] == others[k])
				return true;
	return false;
}

static void tables_are_sound(void)
{
	for (const struct screen_ops *const *o = screen_all(); *o; o++) {
		CHECK_NAMED((*o)->name[0] && (*o)->title[0] && (*o)->draw, (*o)->name);
		for (const struct keybind *k = (*o)->keys; k->help; k++) {
			char name[KEY_NAME_SIZE];

			keymap_name(k->key, name);
			CHECK_NAMED(k->key && k->label && k->label[0] && k->help[0] && k->act,
				    name);
			CHECK_NAMED(strlen(k->help) <= 61,
				    k->help); /* whole on the help page at 80 columns */
			CHECK_NAMED(name[0] && strncmp(name, "key ", 4) != 0, name);
			for (const struct keybind *m = (*o)->keys; m < k; m++)
				CHECK_NAMED(!same_key(k, m), name);
			for (const struct keybind *m = keys_everywhere; m->help; m++)
				CHECK_NAMED(!same_key(k, m), name);
		}
	}
}

/* A footer says what the keys of the table do, and the help page says it all. */
static void footer_and_help(struct stage *s)
{
	for (const struct screen_ops *const *o = screen_all(); *o; o++) {
		const struct keybind *first = (*o)->keys;
		char line[4096];

		only_runs(s);
		if (strcmp((*o)->name, "runs") != 0)
			stage_must(app_open(&s->app, (*o)->name, NULL));
		stage_draw(s);
		stage_line(s, 23, line, sizeof(line));
		CHECK_NAMED(strstr(line, first->label) && strstr(line, "? help") &&
				    strstr(line, "q quit"),
			    (*o)->name);
		if (!strcmp((*o)->name, "help"))
			continue;
		stage_size(s, 60, 120);
		(void)app_key(&s->app, '?');
		stage_draw(s);
		for (const struct keybind *k = first; k->help; k++)
			CHECK_NAMED(stage_shows(s, k->help), k->help);
		stage_size(s, 24, 80);
	}
	only_runs(s);
	stage_draw(s);
}

static void random_keys(struct stage *s, const char *arg)
{
	int key[256];
	size_t n = 0;
	struct rng r;

	rng_init(&r, 11, RNG_TEST, 0);
	for (const struct screen_ops *const *o = screen_all(); *o; o++)
		for (const struct keybind *k = (*o)->keys; k->help && n < COUNT(key) - 8; k++)
			key[n++] = k->key;
	for (const struct keybind *k = keys_everywhere; k->help; k++)
		key[n++] = k->key;
	for (int i = 0; i < 4000; i++) {
		if (rng_below(&r, 60) == 0) {
			const size_t size = rng_below(&r, COUNT(sizes));

			stage_size(s, sizes[size].rows, sizes[size].cols);
		}
		if (rng_below(&r, 40) == 0 && s->app.depth < APP_DEPTH)
			(void)app_open(&s->app, "run", arg);
		press(s, rng_below(&r, 6) ? key[rng_below(&r, (uint32_t)n)]
					  : (int)rng_below(&r, 0x201000));
		while (s->app.depth > 4)
			screen_close(s->app.stack[--s->app.depth]);
	}
	CHECK(s->app.depth >= 1 && s->app.depth <= APP_DEPTH);
	only_runs(s);
}

/* Names that would like to be more than names. */
static void hostile_names(struct stage *s)
{
	static const char *const names[] = {
		"\033[2J\033[H",
		"\xff\xfe\xc0\xaf",
		"\u202Erun\u2066",
		"数据集-微调-实验-很长的名字",
		"e\u0301\u0301\u0301\u0301\u0301",
		"\u200D\uFE0F\uFEFF",
		"a\nb\rc\td",
		" ",
		"%s%n%d",
	};
	struct store *st;
	char line[4096];
	int column;

	stage_must(store_open(s->db, &st));
	for (size_t i = 0; i < COUNT(names); i++) {
		struct stage_run r = stage_runs[1];

		r.name = r.method = r.cause = names[i];
		r.began_s = (int64_t)i + 1;
		r.state = RUN_FAILED;
		stage_add(st, 100 + (int)i, &r, NULL);
	}
	store_close(st);
	only_runs(s);
	screen_close(
		s->app.stack[--s->app.depth]); /* a fresh list: nothing sorted, nothing filtered */
	stage_must(app_open(&s->app, "runs", NULL));
	stage_size(s, 24, 100);
	columns_default(&s->app.columns); /* whatever random keys made of them */
	s->app.marks.n = 0;
	(void)app_tick(&s->app);
	stage_draw(s);
	stage_line(s, 1, line, sizeof(line));
	column = strstr(line, "state") ? (int)(strstr(line, "state") - line)
				       : -1; /* the titles are ASCII, but for an arrow */
	column -= strstr(line, "▾") ? 2 : 0;
	for (int y = 2; y < 2 + (int)COUNT(names); y++) {
		char *at;

		stage_line(s, y, line, sizeof(line));
		at = strstr(line, "failed");
		CHECK_NAMED(at != NULL, "a hostile name");
		if (at) {
			*at = 0;
			CHECK_NAMED(text_width(line) == column, "a hostile name");
		}
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		press(s, KEY_RETURN);
		CHECK_NAMED(!strcmp(app_top(&s->app)->ops->name, "run"), "a hostile name");
		press(s, KEY_ESCAPE);
		press(s, 'j');
	}
}

int main(void)
{
	char id[RUN_ID_SIZE];
	struct stage s;
	struct store *st;

	(void)setenv("TZ", "UTC", 1);
	(void)setenv("TRIMTAB_ENGINE", "/nowhere/trimtab-engine", 1);
	tables_are_sound();
	stage_open(&s, "C.UTF-8", "xterm-256color");
	CHECK(!s.app.store);
	s.app.program = "/bin/echo";    /* for the screen of a verb's output */
	show_all(&s, "00000000000000"); /* no run log at all */
	CHECK(stage_shows(&s, "trimtab run mr-lora"));
	stage_must(store_open(s.db, &st));
	store_close(st);
	CHECK(app_tick(&s.app) && s.app.store); /* found by itself */
	show_all(&s, "00000000000000");
	CHECK(stage_shows(&s, "trimtab run mr-lora"));
	stage_fill(&s, id);
	stage_draw(&s);
	CHECK(stage_shows(&s, "mr-lora-r8") && stage_shows(&s, "1 running"));
	footer_and_help(&s);
	show_all(&s, id);
	random_keys(&s, id);
	hostile_names(&s);
	stage_close(&s);
	return check_done();
}
