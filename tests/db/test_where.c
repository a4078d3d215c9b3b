/* The language of filters: what it says of runs, and what it says to a person. */
#include "tests/check.h"

#include <math.h>

#include "base/array.h"
#include "db/metric.h"
#include "db/note.h"
#include "tests/db/home.h"

/* ---- sentences ---- */

static void wrong_filters(void)
{
	static const struct {
		const char *text, *column, *why;
	} wrong[] = {
		{ "(lora", "column 1:", "not closed" },
		{ "lora)", "column 5:", "no parenthesis" },
		{ "a ()", "column 4:", "missing before ')'" },
		{ "a and", "column 6:", "missing at the end" },
		{ "or a", "column 1:", "missing before 'or'" },
		{ "a or and b", "column 6:", "missing before 'and'" },
		{ "not", "column 4:", "missing at the end" },
		{ "nmae:x", "column 1:", "did you mean name?" },
		{ "x peft_r=8", "column 3:", "a path such as peft.r" },
		{ "peft.r>", "column 8:", "after 'peft.r>'" },
		{ "peft.r > big", "column 10:", "with a number, not with \"big\"" },
		{ "eval/accuracy=good", "column 15:", "with a number" },
		{ "name>3", "column 6:", "takes ':', '=' or '!='" },
		{ "state:done", "column 7:", "queued, running, paused" },
		{ "step=many", "column 6:", "with a number" },
		{ "age<3", "column 5:", "3h or 2d" },
		{ "age=3d", "column 5:", "takes < or >" },
		{ "created>yesterday", "column 9:", "2026-03-01" },
		{ "数据 \"x", "column 4:", "quotation mark" },
		{ "=3", "column 1:", "missing before '='" },
	};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct where *w;
		const int code = where_parse(wrong[i].text, &w);

		CHECK_NAMED(code == TT_INVALID, wrong[i].text);
		if (code == TT_OK) {
			free(w);
			continue;
		}
		CHECK_NAMED(strstr(err_text(), wrong[i].column) != NULL, err_text());
		CHECK_NAMED(strstr(err_text(), wrong[i].why) != NULL, err_text());
	}
}

/* Longest, deepest, most: refused one beyond, and not before. */
static void bounds(void)
{
	static char text[2 * WHERE_MAX];
	struct where *w = NULL;

	memset(text, ' ', WHERE_MAX);
	text[0] = 'a';
	CHECK(where_parse(text, &w) == TT_OK && w);
	free(w);
	text[WHERE_MAX] = 'b';
	CHECK(where_parse(text, &w) == TT_INVALID);
	memset(text, '(', WHERE_DEPTH);
	text[WHERE_DEPTH] = 'a';
	memset(text + WHERE_DEPTH + 1, ')', WHERE_DEPTH);
	text[2 * WHERE_DEPTH + 1] = 0;
	CHECK(where_parse(text, &w) == TT_OK);
	free(w);
	memset(text, '(', WHERE_DEPTH + 1);
	CHECK(where_parse(text, &w) == TT_INVALID && strstr(err_text(), "column 33"));
	text[0] = 0;
	for (int i = 0; i < WHERE_TESTS; i++)
		strcat(text, "not a ");
	CHECK(where_parse(text, &w) == TT_OK);
	free(w);
	strcat(text, "b");
	CHECK(where_parse(text, &w) == TT_INVALID);
	text[0] = 0;
	for (int i = 0; i < WHERE_MAX / 5 - 1; i++)
		strcat(text, i % 31 ? "not (" : "not a (");
	CHECK(where_parse(text, &w) == TT_INVALID);
	CHECK(where_parse(" \t ", &w) == TT_OK && !w);
}

/* ---- answers ---- */

static const char *const recipes[] = {
	"{\"peft\": {\"method\": \"lora\", \"r\": 8, \"use_dora\": true, \"target_modules\": "
	"[\"query\", \"value\"]}, \"train\": {\"seed\": 1, \"learning_rate\": 5e-4}}",
	"{\"peft\": {\"method\": \"lora\", \"r\": 16}, \"train\": {\"seed\": 2, "
	"\"learning_rate\": 1e-3}, \"base_model\": \"/models/mini\"}",
	"{\"peft\": [{\"method\": \"lora\", \"r\": 4}, {\"method\": \"prefix\"}]}",
	"{ \"a\": \"} \\\" {\", \"peft\" : [ ], \"x\": {\"y\": [[{\"z\": \"\\u00e9\"}], null, "
	"{\"z\": "
	"-1e3}], \"\": 5}, \"train\": {\"seed\": }",
};

static int64_t add_run(struct home *h, int n, const char *name, const char *recipe)
{
	char id[RUN_ID_SIZE];
	const struct run r = { .id = id,
			       .name = name,
			       .method = n ? "lora" : "full",
			       .state = n == 1 ? RUN_FAILED : RUN_FINISHED,
			       .created = home_time(n * 3600),
			       .started = home_time(n * 3600),
			       .ended = home_time(n * 3600 + 60 * (n + 1)),
			       .dir = "",
			       .trainable_params = 1000 * (n + 1) };
	int64_t row = 0;

	run_id_make(id, r.created, (uint32_t)n);
	CHECK(run_add(h->st, &r, recipe, &row) == TT_OK);
	return row;
}

static void measure(struct home *h, int64_t row, const char *key, double v)
{
	CHECK(metric_add(h->st, row, 1, &(struct metric){ key, 1, v, 0 }, 1) == TT_OK);
}

/* a: r 8; b: failed, r 16; c: two methods; d: a damaged recipe. */
static void fill(struct home *h)
{
	static const char *const name[] = { "a-lora", "b-\"x\" or", "C-Two", "d" };
	const struct run_process who = { .pid = 1, .pid_start = 1, .boot_id = "b", .host = "h" };
	int64_t row[4];
	int attempt;

	for (int i = 0; i < 4; i++) {
		row[i] = add_run(h, i, name[i], recipes[i]);
		CHECK(run_start(h->st, row[i], &who, &attempt) == TT_OK);
	}
	measure(h, row[0], "eval/accuracy", 0.8);
	measure(h, row[1], "eval/accuracy", (double)NAN);
	measure(h, row[2], "eval/accuracy", 0.9);
	measure(h, row[2], "eval/loss", (double)INFINITY);
	CHECK(run_update_heartbeat(h->st, row[2], 1) == TT_OK); /* silent since 1970 */
	CHECK(run_update_heartbeat(h->st, row[3], 1) == TT_OK);
	CHECK(run_end(h->st, row[0], RUN_FINISHED, "") == TT_OK);
	CHECK(run_end(h->st, row[1], RUN_FAILED, "loss is NaN") == TT_OK);
	CHECK(run_update_best(h->st, row[0], 0.8, 1) == TT_OK);
	CHECK(tag_add(h->st, row[0], "keep") == TT_OK && tag_add(h->st, row[2], "Keep-2") == TT_OK);
	CHECK(note_set(h->st, row[3], "one\ntwo") == TT_OK);
}

/* The first letters of the runs that fit, oldest first. */
static const char *fitting(struct store *st, const char *text)
{
	static char ret[32];
	struct run_filter f = { .sort = "id" };
	struct where *w = NULL;
	struct run_index *place;
	size_t n;

	ret[0] = 0;
	if (where_parse(text, &w))
		return err_text();
	f.where = w;
	if (run_index(st, &f, &place, &n) == TT_OK) {
		for (size_t i = 0; i < n && i < sizeof(ret) - 1; i++)
			ret[i] = (char)('a' + place[i].row - 1), ret[i + 1] = 0;
		free(place);
	} else {
		snprintf(ret, sizeof(ret), "%.31s", err_text());
	}
	free(w);
	return ret;
}

static void answers(struct store *st)
{
	static const struct {
		const char *text, *runs;
	} filters[] = {
		{ "", "abcd" },
		{ "LORA", "a" },
		{ "two", "c" },
		{ "*-two", "c" },
		{ "a*", "a" },
		{ "finished", "a" },
		{ "\"finished\"", "" },
		{ "\"or\"", "ab" },
		{ "\"\\\"x\\\"\"", "b" },
		{ "state=failed", "b" },
		{ "state:f*", "ab" },
		{ "state!=failed", "acd" },
		{ "lost", "cd" },
		{ "not lost", "ab" },
		{ "method:LO*", "bcd" },
		{ "method=lo", "" },
		{ "method!=lora", "a" },
		{ "name=C-Two", "c" },
		{ "name=c-two", "" },
		{ "name:c-two", "c" },
		{ "tag:keep", "a" },
		{ "tag:keep*", "ac" },
		{ "tag=keep", "a" },
		{ "tag!=keep", "bcd" },
		{ "note:*TWO*", "d" },
		{ "note:two", "" },
		{ "cause:*nan", "b" },
		{ "eval/accuracy>0.85", "c" },
		{ "eval/accuracy >= 0.8", "ac" },
		{ "eval/accuracy<0.85", "a" },
		{ "not eval/accuracy<0.85", "bcd" },
		{ "eval/accuracy:*", "abc" },
		{ "eval/accuracy:0.*", "ac" },
		{ "eval/accuracy:nan", "b" },
		{ "eval/accuracy=nan", "b" },
		{ "eval/accuracy!=nan", "ac" },
		{ "eval/accuracy!=0.8", "bc" },
		{ "eval/accuracy=0.80", "a" },
		{ "eval/loss=inf", "c" },
		{ "no/such>0", "" },
		{ "peft.r=8", "a" },
		{ "peft.r:8", "a" },
		{ "peft.r:8.0", "a" },
		{ "peft.r>=8", "ab" },
		{ "peft.r<=8", "ac" },
		{ "peft.r!=8", "bc" },
		{ "not peft.r=8", "bcd" },
		{ "peft.r:1*", "b" },
		{ "peft.method=lora", "ab" },
		{ "peft.method:*prefix*", "c" },
		{ "peft.use_dora=true", "a" },
		{ "peft.target_modules=query,value", "a" },
		{ "peft.target_modules:*value*", "a" },
		{ "train.learning_rate=5e-4", "a" },
		{ "train.learning_rate:0.001", "b" },
		{ "train.learning_rate>600e-6", "b" },
		{ "base_model:*/mini", "b" },
		{ "peft.none=1", "" },
		{ "x.y.z=\u00e9,-1000", "d" },
		{ "x.y:*", "" },
		{ "a.b=1", "" },
		{ "train.seed:*", "ab" },
		{ "peft.method>3", "" },
		{ "trainable_params>2k", "cd" },
		{ "trainable_params:1*", "a" },
		{ "best>0", "a" },
		{ "not best:*", "bcd" },
		{ "age>0s", "abcd" },
		{ "age<0s", "" },
		{ "created>=\"2026-01-01 01:00\" created<2026-01-01T", "" },
		{ "created:\"2026-01-01 02*\"", "c" },
		{ "created>2026-01-01 created<\"2026-01-01 02:00\"", "ab" },
		{ "method:full or peft.r>8", "ab" },
		{ "lora or two and tag:keep", "a" },
		{ "(lora or two) tag:keep*", "ac" },
		{ "not (lora or two)", "bd" },
		{ "not not lora", "a" },
		{ "NOT lora AND NOT two", "bd" },
		{ "(((lora)))or(two)", "ac" },
	};

	for (size_t i = 0; i < COUNT(filters); i++) {
		const char *got = fitting(st, filters[i].text);

		if (strstr(filters[i].text, "01T")) {
			CHECK_NAMED(strstr(got, "a time such as") != NULL, got);
			continue;
		}
		CHECK_NAMED(!strcmp(got, filters[i].runs), filters[i].text);
		if (strcmp(got, filters[i].runs) != 0)
			printf("# %s: %s\n", filters[i].text, got);
	}
}

/* What was read out of recipes once holds the runs that came later, too. */
static void later_runs(struct home *h)
{
	struct store *st;

	CHECK(store_open_read(h->db, &st) == TT_OK);
	CHECK_STR(fitting(st, "peft.r>=8"), "ab");
	(void)add_run(h, 9, "late", recipes[0]);
	CHECK_STR(fitting(st, "peft.r>=8"), "abe");
	CHECK_STR(fitting(st, "peft.r=16 or late"), "be");
	CHECK_STR(fitting(st, "time>9m time<=600s"), "e");
	store_close(st);
}

static void sorts_by_settings(struct store *st)
{
	struct run_filter f = { .sort = "peft.r" };
	struct run_list l;

	CHECK(run_list(st, &f, &l) == TT_OK && l.n == 5);
	CHECK_STR(l.run[0].name, "C-Two");
	CHECK_STR(l.run[1].name, "late"); /* the newer one of two with 8 */
	CHECK_STR(l.run[4].name, "d");
	run_list_done(&l);
	f.sort = "-peft.r";
	CHECK(run_list(st, &f, &l) == TT_OK);
	CHECK_STR(l.run[0].name, "b-\"x\" or");
	CHECK_STR(l.run[4].name, "d");
	run_list_done(&l);
	f.sort = "tag";
	CHECK(run_list(st, &f, &l) == TT_INVALID);
}

static const char *hint(struct store *st, const char *text)
{
	static char ret[200];
	struct where *w;

	if (where_parse(text, &w) || where_hint(st, w, ret, sizeof(ret)))
		return err_text();
	free(w);
	return ret;
}

static void hints_at_slips(struct store *st)
{
	CHECK_STR(hint(st, "eval/acuracy>0.8"),
		  "no run has eval/acuracy; did you mean eval/accuracy?");
	CHECK_STR(hint(st, "lora or not peft.rr=8"),
		  "no recent recipe has peft.rr; did you mean peft.r?");
	CHECK_STR(hint(st, "eval/accuracy>0.8 peft.r=8 name:x"), "");
	CHECK_STR(hint(st, "system/power_watts>3"), "");
}

/* Columns, metrics and settings of few runs, and of as many as make settings worth a table. */
static void fields_of_runs(struct store *st)
{
	static const char *const key[] = { "name",   "state",       "tag",  "eval/accuracy",
					   "peft.r", "peft.method", "time", "base_model" };
	static const int64_t few[] = { 3, 2, 77 };
	static struct run_field f[300 * COUNT(key)];
	int64_t many[300];

	CHECK(run_fields(st, few, COUNT(few), key, COUNT(key), f) == TT_OK);
	CHECK_STR(f[0].text, "C-Two");
	CHECK_STR(f[1].text, "lost");
	CHECK_STR(f[2].text, "Keep-2");
	CHECK(f[3].kind == FIELD_NUMBER && f[3].number == 0.9);
	CHECK(f[4].kind == FIELD_NUMBER && f[4].number == 4);
	CHECK_STR(f[5].text, "lora,prefix");
	CHECK(f[6].kind == FIELD_SPAN && f[7].kind == FIELD_NONE);
	CHECK(f[8 + 3].kind == FIELD_NUMBER && isnan(f[8 + 3].number));
	CHECK(f[8 + 2].kind == FIELD_NONE && f[16].kind == FIELD_NONE);
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = i < 3 ? few[i] : 1;
	CHECK(run_fields(st, many, COUNT(many), key, COUNT(key), f) == TT_OK);
	CHECK(f[4].kind == FIELD_NUMBER && f[4].number == 4 && f[8 + 4].number == 16);
	CHECK(f[299 * 8 + 4].number == 8);
	CHECK(run_fields(st, few, 1, (const char *const[]){ "nmae" }, 1, f) == TT_INVALID);
}

/* The groups of runs, oldest first, as letters: the same letter, the same value. */
static const char *groups(struct store *st, const char *by)
{
	const struct run_filter f = { .sort = "id", .group = by };
	static char ret[32];
	struct run_index *place;
	size_t n = 0;

	if (run_index(st, &f, &place, &n))
		return err_text();
	for (size_t i = 0; i < n && i < sizeof(ret) - 1; i++)
		ret[i] = (char)('a' + place[i].group - 1);
	ret[n] = 0;
	free(place);
	return ret;
}

static void groups_of_runs(void)
{
	struct home h;

	home_open(&h);
	for (int i = 0; i < 4; i++) {
		char recipe[200];

		snprintf(recipe, sizeof(recipe),
			 "{\"name\": \"n%d\", \"peft\": {\"r\": %d}, \"train\": {\"seed\": %d}}", i,
			 i < 3 ? 8 : 4, i);
		(void)add_run(&h, i, i % 2 ? "odd" : "even", recipe);
	}
	CHECK_STR(groups(h.st, "peft.r"), "bbba");
	CHECK_STR(groups(h.st, "name"), "abab");
	CHECK_STR(groups(h.st, "state"), "abaa");
	CHECK_STR(groups(h.st, "train.seed"), "abcd");
	CHECK_STR(groups(h.st, "peft.none"), "aaaa");
	CHECK(!strcmp(groups(h.st, RUN_GROUP_SEED), "aaab") ||
	      !strcmp(groups(h.st, RUN_GROUP_SEED), "bbba"));
	CHECK(strstr(groups(h.st, "colour"), "cannot be grouped by 'colour'") != NULL);
	home_close(&h);
}

static void lists_paths(struct store *st)
{
	static const char want[] = "base_model peft.method peft.r peft.target_modules "
				   "peft.use_dora train.learning_rate train.seed ";
	char **path, got[400] = "";
	size_t n;

	CHECK(run_setting_paths(st, &path, &n) == TT_OK);
	for (size_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", path[i]);
	CHECK_STR(got, want);
	free(path);
}

int main(void)
{
	struct home h;

	(void)setenv("TZ", "UTC", 1);
	wrong_filters();
	bounds();
	home_open(&h);
	fill(&h);
	answers(h.st);
	later_runs(&h);
	sorts_by_settings(h.st);
	hints_at_slips(h.st);
	fields_of_runs(h.st);
	lists_paths(h.st);
	home_close(&h);
	groups_of_runs();
	return check_done();
}
