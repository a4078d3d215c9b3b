/* Runs side by side: what differs, what folds, and what the tests of a comparison say. */
#include "tests/check.h"

#include "tests/ui/contest.h"
#include "ui/compare_table.h"

static struct compare c;
static char dir[256], db[300], id[2 * CONTEST_SEEDS][RUN_ID_SIZE];
static int64_t row[2 * CONTEST_SEEDS];

static void add(struct store *st, int i)
{
	struct run run;

	stage_must(run_get_row(st, row[i], &run));
	stage_must(compare_add(&c, st, &run));
}

/* These runs, in this order. */
static void take(const int *which, size_t n)
{
	struct store *st;

	compare_done(&c);
	stage_must(store_open_read(db, &st));
	for (size_t i = 0; i < n; i++)
		add(st, which[i]);
	store_close(st);
}

static void what_differs(void)
{
	static const int two[] = { 0, 6 };

	take(two, 2);
	CHECK(compare_differs(&c, "peft.method") && compare_differs(&c, "peft.r"));
	CHECK(compare_differs(&c, "train.seed") && !compare_differs(&c, "train.learning_rate"));
	for (size_t i = 0; i < c.path_n; i++)
		CHECK(strcmp(c.path[i], "note") != 0 && strcmp(c.path[i], "name") != 0);
	CHECK(!compare_setting(&c, 0, "peft.r"));
	CHECK(json_number(compare_setting(&c, 1, "peft.r")) == 8);
	CHECK_NEAR(compare_last(&c, 1, "eval/accuracy"), 0.82, 1e-12);
	CHECK_NEAR(compare_best(&c, 1, "eval/accuracy"), 0.83, 1e-12);
	CHECK(compare_best(&c, 1, "eval/loss") == compare_last(&c, 1, "eval/loss"));
	CHECK(isnan(compare_last(&c, 1, "eval/f1")) && !compare_has(&c, "eval/f1"));
}

/* Seeds fold; the first stays in front, and a pinned column comes there. */
static void what_folds(void)
{
	static const int mixed[] = { 0, 5, 1, 6, 2 };
	struct compare_columns k;

	take(mixed, 5);
	compare_columns(&c, false, &k);
	CHECK(k.n == 5 && k.run[3] == 3 && compare_column_size(&k, 3) == 1);
	compare_columns_best(&c, &k);
	CHECK(k.n == 2 && compare_column_size(&k, 0) == 3 && compare_column_size(&k, 1) == 2);
	CHECK(k.run[0] == 0 && k.run[1] == 2 && k.run[2] == 4 && k.run[3] == 1 && k.run[4] == 3);
	compare_pin(&c, &k, 1);
	CHECK_STR(c.run[0].run.id, id[5]);
	CHECK_STR(c.run[1].run.id, id[6]);
	CHECK_STR(c.run[2].run.id, id[0]);
	CHECK_STR(c.run[4].run.id, id[2]);
	compare_columns_best(&c, &k);
	CHECK(k.n == 2 && compare_column_size(&k, 0) == 2);
	take(mixed, 1);
	compare_columns_best(&c, &k);
	CHECK(k.n == 1);
}

static void take_all(void)
{
	static const int all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	take(all, 10);
}

/* The differences are those of tests/base/test_stats.c, there from SciPy: p 0.125 of at least 0.0625. */
static void seeds(void)
{
	struct compare_seeds t[COMPARE_RUNS];
	struct compare_spread s;
	struct compare_columns k;

	take_all();
	compare_columns_best(&c, &k);
	CHECK(!compare_seeds(&c, &k, "eval/accuracy", t));
	CHECK(t[1].pairs == 5 && t[1].p == 0.125 && t[1].least == 0.0625 && t[1].holm == 0.125);
	CHECK_NEAR(t[1].difference, 0.009, 1e-12);
	CHECK(t[1].interval.lo > 0 && t[1].interval.hi < 0.0165);
	CHECK(isnan(t[0].p));
	s = compare_spread(&c, &k, 1, compare_last, "eval/accuracy");
	CHECK(s.n == 5);
	CHECK_NEAR(s.mean, 0.809, 1e-12);
	CHECK_NEAR(s.stdev, 0.009192388155425118, 1e-12);
	/* run by run: the first has seed 1, and so only one other can be paired, and one pair is no test */
	compare_columns(&c, false, &k);
	CHECK(!compare_seeds(&c, &k, "eval/accuracy", t));
	CHECK(t[1].pairs == 0 && isnan(t[1].p) && isnan(t[1].least));
	CHECK(t[5].pairs == 1 && isnan(t[5].p) && t[5].least == 1);
	CHECK_NEAR(t[5].difference, 0.01, 1e-12);
}

static void rows(void)
{
	static const int two[] = { 0, 5 }, unlike[] = { 0, 6 };
	struct compare_rows t[COMPARE_RUNS];
	struct compare_columns k;

	take(two, 2);
	compare_columns_best(&c, &k);
	CHECK(!compare_rows(&c, &k, t));
	CHECK(t[1].known && t[1].rows == 12 && t[1].better == 4 && t[1].worse == 2);
	CHECK_NEAR(t[1].p, 0.6875, 1e-12); /* 2 (1 + 6 + 15) / 64 */
	CHECK(t[1].interval.lo <= 0.1667 && t[1].interval.hi >= 0.1667);
	take(unlike, 2); /* one kept nothing */
	compare_columns_best(&c, &k);
	CHECK(!compare_rows(&c, &k, t) && !t[1].known && isnan(t[1].p));
}

/* Rows of other data, a file cut short, and none: no test, and the reason of the second is told. */
static void answers(void)
{
	static const char cut[] = "{\"row\": 1, \"text_a\": \"a\", \"label\": \"x\", \"pre";
	static const int two[] = { 0, 5 };
	char path[PATH_MAX];
	struct answers a, b, none;
	struct json *j;

	take(two, 2);
	CHECK(c.run[0].answers.n == CONTEST_ROWS && !c.trouble[0]);
	CHECK(answers_same_rows(&c.run[0].answers, &c.run[1].answers));
	CHECK(!answers_row(&c.run[0].answers, 2, &j));
	CHECK_STR(json_text(json_get(j, "text_a")), "sentence 3");
	json_free(j);
	snprintf(path, sizeof(path), "%.200s/other", dir);
	contest_answers(path, "yyy");
	CHECK(!answers_read(path, &a) && a.n == 3);
	snprintf(path, sizeof(path), "%.200s/fewer", dir);
	contest_answers(path, "yy");
	CHECK(!answers_read(path, &b) && b.n == 2 && !answers_same_rows(&a, &b));
	CHECK(!answers_read("/nowhere", &none) && !none.n && !answers_same_rows(&none, &none));
	answers_done(&a);
	answers_done(&b);
	answers_done(&none);
	snprintf(path, sizeof(path), "%.200s/runs/%s/predictions.jsonl", dir, id[5]);
	stage_must(fs_write_atomic(path, cut, sizeof(cut) - 1));
	take(two, 2);
	CHECK(!c.run[1].answers.n && strstr(c.trouble, "predictions.jsonl: row 1: "));
}

static struct compare_table table_of(bool ascii)
{
	static const char *const keys[] = { "eval/accuracy" };
	struct compare_columns k;
	const struct compare_view v = { &k, keys, 1, ascii };
	struct compare_table t;

	compare_columns_best(&c, &k);
	stage_must(compare_table(&c, &v, &t));
	return t;
}

static const struct compare_line *line_of(const struct compare_table *t, const char *label)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->line[i].label, label))
			return &t->line[i];
	return NULL;
}

static void tables(void)
{
	static const struct {
		const char *label, *cell[2];
	} want[] = {
		{ "", { "mr-head x5", "mr-lora x5" } },
		{ "eval/accuracy", { "0.8000 +-0.0000", "0.8090 +-0.0092 +0.0090" } },
		{ "eval/accuracy, best", { "0.8100 +-0.0000", "0.8190 +-0.0092 +0.0090" } },
		{ "  seeds in common", { "", "5" } },
		{ "  p, sign-flip", { "", "0.1250" } },
		{ "  its least p", { "", "0.0625" } },
		{ "peft.method", { "\"head\"", "\"lora\"" } },
		{ "peft.r", { "-", "8" } },
		{ "train.seed", { "1 2 3 4 5", "1 2 3 4 5" } },
	};
	struct compare_table t;
	char text[128];

	take_all();
	t = table_of(true);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct compare_line *l = line_of(&t, want[i].label);

		CHECK_NAMED(l != NULL, want[i].label);
		for (int k = 0; l && k < 2; k++) {
			compare_cell_text(&l->cell[k], text, sizeof(text));
			CHECK_NAMED(!strcmp(text, want[i].cell[k]), text);
		}
	}
	CHECK(line_of(&t, "eval/accuracy")->cell[1].best &&
	      !line_of(&t, "eval/accuracy")->cell[0].best);
	CHECK(line_of(&t, "peft.r")->differs && !line_of(&t, "state")->differs);
	CHECK(!line_of(&t, "train.learning_rate") && !line_of(&t, "  p by Holm"));
	compare_table_done(&t);
}

/* A name that would like to be more, in each format. */
static void files(void)
{
	static const char name[] = "a|b&\"c\",$_\033[1m\xff";
	struct compare_table t;
	struct store *st;
	struct buf out;
	char path[PATH_MAX];
	static const int two[] = { 0, 5 };

	stage_must(store_open(db, &st));
	stage_must(run_update_name(st, row[5], name));
	store_close(st);
	take(two, 2);
	t = table_of(false);
	buf_init(&out, 1 << 20);
	compare_table_markdown(&t, &out);
	CHECK(strstr(out.data, "|  | mr-head | a\\|b&\"c\",$\\_ \\[1m\uFFFD |\n|---|--:|--:|\n"));
	CHECK(strstr(out.data, "| eval/accuracy | 0.8000 | **0.8100** (+0.0100) |\n"));
	buf_clear(&out);
	compare_table_csv(&t, &out);
	CHECK(strstr(out.data, ",mr-head,\"a|b&\"\"c\"\",$_ [1m\uFFFD\"\n"));
	CHECK(strstr(out.data,
		     "\neval/accuracy,0.8000,0.8100\n\"eval/accuracy, difference\",,+0.0100\n"));
	CHECK(strstr(out.data, "\npeft.method,\"\"\"head\"\"\",\"\"\"lora\"\"\"\n"));
	buf_clear(&out);
	compare_table_latex(&t, &out);
	CHECK(strstr(out.data, " & mr-head & a|b\\&\"c\",\\$\\_ [1m\uFFFD \\\\\n\\hline\n"));
	CHECK(strstr(out.data, "eval/accuracy & 0.8000 & \\textbf{0.8100} (+0.0100) \\\\\n"));
	CHECK(!strchr(out.data, '\033'));
	buf_done(&out);
	snprintf(path, sizeof(path), "%.200s/table.tex", dir);
	CHECK(!compare_table_write(&t, path) && fs_exists(path));
	CHECK(compare_table_write(&t, "table.pdf") == TT_INVALID);
	CHECK_STR(err_text(),
		  "\"table.pdf\": a table is written to a file that ends in .md, .csv or .tex");
	compare_table_done(&t);
}

static void too_many(void)
{
	struct store *st;
	struct run run;

	compare_done(&c);
	stage_must(store_open_read(db, &st));
	for (int i = 0; i < COMPARE_RUNS; i++)
		add(st, 0);
	stage_must(run_get_row(st, row[0], &run));
	CHECK(compare_add(&c, st, &run) == TT_INVALID && c.n == COMPARE_RUNS);
	store_close(st);
}

int main(void)
{
	struct stage s = { .nul = NULL };

	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 77;
	stage_folder(&s);
	snprintf(dir, sizeof(dir), "%s", s.dir);
	snprintf(db, sizeof(db), "%s", s.db);
	contest_fill(db, dir, row, id);
	what_differs();
	what_folds();
	seeds();
	rows();
	tables();
	too_many();
	files();
	answers();
	compare_done(&c);
	(void)fs_remove_tree(dir);
	return check_done();
}
