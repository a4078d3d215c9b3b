/* The Compare screen at work: marks, baselines, a run that goes on, and a table as a file. */
#include "tests/check.h"

#include "tests/ui/contest.h"

static int64_t row[2 * CONTEST_SEEDS];
static char id[2 * CONTEST_SEEDS][RUN_ID_SIZE];

static void close_all(struct stage *s)
{
	s->app.prompt.kind = PROMPT_OFF;
	while (s->app.depth > 1)
		screen_close(s->app.stack[--s->app.depth]);
}

static void compare(struct stage *s, const int *which, size_t n)
{
	close_all(s);
	s->app.marks.n = 0;
	for (size_t i = 0; i < n; i++)
		(void)marks_add(&s->app.marks, row[which[i]]);
	stage_must(app_open(&s->app, "compare", NULL));
	stage_draw(s);
}

static void marks_and_keys(struct stage *s)
{
	stage_draw(s);
	stage_keys(s, "c");
	CHECK(stage_shows(s, "mark two runs or more"));
	stage_keys(s, "g  ");
	CHECK(s->app.marks.n == 2 && s->app.marks.row[0] == row[9] &&
	      s->app.marks.row[1] == row[8]);
	stage_keys(s, "g ");
	CHECK(s->app.marks.n == 1 && s->app.marks.row[0] == row[8]);
	stage_keys(s, "g   ");
	CHECK(s->app.marks.n == 2); /* the first and the third; the second was taken back */
	stage_keys(s, "c");
	CHECK(!strcmp(app_top(&s->app)->ops->name, "compare") && stage_shows(s, "2 runs against"));
}

/* A group is marked as one, folded or open, and what is compared are its runs. */
static void groups(struct stage *s)
{
	close_all(s);
	s->app.marks.n = 0;
	stage_keys(s, "b");
	(void)app_key(&s->app, 21); /* ^U */
	stage_keys(s, "seed");
	(void)app_key(&s->app, KEY_RETURN);
	stage_keys(s, "g ");
	CHECK(s->app.marks.n == CONTEST_SEEDS);
	stage_keys(s, "g  ");
	CHECK(s->app.marks.n == CONTEST_SEEDS); /* the second instead of the first */
	stage_keys(s, "g ");
	CHECK(s->app.marks.n == (size_t)2 * CONTEST_SEEDS);
	stage_keys(s, "g");
	(void)app_key(&s->app, KEY_RETURN);
	stage_keys(s, "j ");
	CHECK(s->app.marks.n == (size_t)2 * CONTEST_SEEDS - 1); /* one run of an open group */
	stage_keys(s, "c");
	CHECK(stage_shows(s, "9 runs in 2 columns"));
}

/* Of the baseline it says nothing; the others change sign when it does. */
static void baselines(struct stage *s)
{
	static const int two[] = { 0, 5 };

	compare(s, two, 2);
	CHECK(stage_shows(s, "2 runs against mr-head") && stage_shows(s, "0.8100 +0.0100"));
	stage_keys(s, "b");
	CHECK(stage_shows(s, "2 runs against mr-lora") && stage_shows(s, "0.8000 -0.0100"));
	stage_keys(s, "hb");
	CHECK(stage_shows(s, "this column is the baseline"));
	stage_keys(s, "]]]]");
	CHECK(stage_shows(s, "peft.r"));
	stage_keys(s, "}");
	CHECK(!stage_shows(s, "nothing else differs"));
	stage_keys(s, "}");
	CHECK(stage_shows(s, "nothing else differs to the right"));
}

static void seeds_fold(struct stage *s)
{
	static const int four[] = { 0, 1, 5, 6 }, seeds[] = { 0, 1 };

	compare(s, four, 4);
	CHECK(stage_shows(s, "4 runs in 2 columns, against mr-head ×2"));
	CHECK(stage_shows(s, "its least p") && stage_shows(s, "0.5000"));
	stage_keys(s, "a");
	CHECK(stage_shows(s, "4 runs against mr-head") && !stage_shows(s, "its least p"));
	compare(s, seeds, 2); /* nothing else: each by itself */
	CHECK(stage_shows(s, "2 runs against mr-head") && !stage_shows(s, "×2"));
	compare(s, four + 1, 2);
	stage_keys(s, "a");
	CHECK(stage_shows(s, "no two of the runs differ in their seed alone"));
}

static void rows(struct stage *s)
{
	static const int kept[] = { 0, 5 }, lost[] = { 0, 6 };

	compare(s, kept, 2);
	stage_keys(s, "D");
	CHECK(stage_shows(s, "only mr-head 2, only mr-lora 4 of 12  p 0.6875"));
	CHECK(stage_shows(s, "sentence 5"));
	stage_keys(s, "f");
	CHECK(stage_shows(s, "the second right") && stage_shows(s, "sentence 5") &&
	      !stage_shows(s, "sentence 12"));
	stage_keys(s, "f");
	CHECK(stage_shows(s, "the first right") && stage_shows(s, "sentence 12") &&
	      !stage_shows(s, "sentence 5"));
	compare(s, lost, 2);
	stage_keys(s, "D");
	CHECK(stage_shows(s, "one of the two has none"));
}

/* A run that goes on while it is looked at. */
static void live(struct stage *s)
{
	static const int two[] = { 0, 5 };
	const struct metric later = { "eval/accuracy", 70, 0.9, STAGE_NOW };
	struct store *st;

	compare(s, two, 2);
	CHECK(!app_tick(&s->app)); /* nothing happened */
	stage_must(store_open(s->db, &st));
	stage_must(metric_add(st, row[5], 1, &later, 1));
	store_close(st);
	CHECK(app_tick(&s->app));
	stage_draw(s);
	CHECK(stage_shows(s, "0.9000 +0.1000") && stage_shows(s, "70"));
	/* one is deleted for good: what was read stays */
	stage_must(store_open(s->db, &st));
	stage_must(run_trash(st, row[5]));
	stage_must(run_purge(st, row[5]));
	store_close(st);
	CHECK(app_tick(&s->app));
	stage_draw(s);
	CHECK(stage_shows(s, "0.9000 +0.1000"));
}

static void type_path(struct stage *s, const char *path)
{
	(void)app_key(&s->app, 'w');
	(void)app_key(&s->app, 21); /* ^U */
	stage_keys(s, path);
	(void)app_key(&s->app, KEY_RETURN);
	stage_draw(s);
}

static void written(struct stage *s)
{
	static const int two[] = { 0, 6 };
	char path[300];

	compare(s, two, 2);
	snprintf(path, sizeof(path), "%s/table.csv", s->dir);
	type_path(s, path);
	CHECK(stage_shows(s, "the table is in") && fs_exists(path));
	stage_must(fs_write_atomic(path, "mine", 4));
	type_path(s, path);
	CHECK(stage_shows(s, "Replace it? [y/N]"));
	stage_keys(s, "n");
	type_path(s, path);
	stage_keys(s, "y");
	CHECK(stage_shows(s, "the table is in"));
	snprintf(path, sizeof(path), "%s/curves.svg", s->dir);
	type_path(s, path);
	CHECK(stage_shows(s, "the curves are in") && fs_exists(path));
	stage_must(app_open(&s->app, "run", id[0]));
	snprintf(path, sizeof(path), "%s/run.png", s->dir);
	type_path(s, path);
	CHECK(stage_shows(s, "the charts are in") && fs_exists(path));
	(void)app_key(&s->app, KEY_ESCAPE);
	type_path(s, "table.doc");
	CHECK(stage_shows(s, "ends in .md, .csv or .tex"));
}

int main(void)
{
	struct stage s;

	(void)setenv("TZ", "UTC", 1);
	stage_open(&s, "C.UTF-8", "xterm-256color");
	stage_size(&s, 40, 120);
	contest_fill(s.db, s.dir, row, id);
	(void)app_tick(&s.app);
	marks_and_keys(&s);
	groups(&s);
	baselines(&s);
	seeds_fold(&s);
	rows(&s);
	written(&s);
	live(&s);
	close_all(&s);
	stage_close(&s);
	return check_done();
}
