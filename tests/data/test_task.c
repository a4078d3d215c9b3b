/* Where labels come from, which one a row has, and the sentences when that fails. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "data/task.h"
#include "tests/data/scratch.h"

static const struct row_columns columns = { "text_a", "text_b", "label" };

static struct labels *load(const struct texts *given, const char *train)
{
	const struct labels_options from = { .given = given, .train = train, .columns = &columns };
	struct labels *l = NULL;

	return labels_load(&from, &l) < 0 ? NULL : l;
}

/* The class of a row with that label: its index, or -9 with an error. */
static int32_t find(const struct labels *l, const char *json_label)
{
	char line[200];
	struct rows *r = NULL;
	struct row row;
	int32_t i = -9;

	snprintf(line, sizeof(line), "{\"text_a\":\"\",\"label\":%s}\n", json_label);
	if (rows_open(scratch_file("row.jsonl", line), &columns, &r) < 0 ||
	    rows_next(r, &row) != 1 || labels_find(l, r, &row, &i) < 0)
		i = -9;
	rows_close(r);
	return i;
}

static void given_labels(void)
{
	static const char *const names[] = { "negative", "positive" }, *const twice[] = { "a",
											  "a" };
	const struct texts given = { .item = names, .n = 2 }, bad = { .item = twice, .n = 2 };
	struct labels *l = load(&given, NULL);

	CHECK(l && labels_count(l) == 2);
	CHECK(find(l, "\"positive\"") == 1 && find(l, "\"0\"") == 0 && find(l, "1") == 1);
	CHECK(find(l, "2") == -9);
	CHECK(strstr(err_text(),
		     "row.jsonl:1: the label '2' is none of: negative, positive (from the "
		     "recipe's task.labels)") != NULL);
	CHECK(find(l, "0.5") == -9 && find(l, "-1") == -9 && find(l, "\"Positive\"") == -9);
	CHECK(find(l, "null") == -9 && strstr(err_text(), "no label; the file has: text_a, label"));
	CHECK_STR(labels_name(l, 1), "positive");
	CHECK(!labels_name(l, 2) && !labels_name(l, -1));
	labels_free(l);
	CHECK(!load(&bad, NULL) && strstr(err_text(), "task.labels: the label 'a' is there twice"));
	CHECK(!load(NULL, NULL) && strstr(err_text(), "give task.labels or data.train"));
}

/* With numbers as names, 1 is the name and not the index. */
static void numeric_names_have_no_indices(void)
{
	static const char *const names[] = { "1", "2", "3" };
	const struct texts given = { .item = names, .n = 3 };
	struct labels *l = load(&given, NULL);

	CHECK(find(l, "1") == 0 && find(l, "\"3\"") == 2 && find(l, "0") == -9);
	labels_free(l);
}

static void labels_of_the_data_are_sorted(void)
{
	const char *path = scratch_file(
		"train.jsonl",
		"{\"text_a\":\"\",\"label\":\"b\"}\n{\"text_a\":\"\",\"label\":\"a\"}\n{\"text_a\":"
		"\"\"}\n"
		"{\"text_a\":\"\",\"label\":\"B\"}\n{\"text_a\":\"\",\"label\":\"a\"}\n");
	struct labels *l = load(NULL, path);

	CHECK(l && labels_count(l) == 3);
	CHECK_STR(labels_name(l, 0), "B");
	CHECK_STR(labels_name(l, 1), "a");
	CHECK_STR(labels_name(l, 2), "b");
	CHECK(strstr(labels_origin(l), "train.jsonl") != NULL && find(l, "\"b\"") == 2);
	labels_free(l);
	path = scratch_file("none.tsv", "text_a\tgold\nx\ty\n");
	CHECK(!load(NULL, path) && strstr(err_text(), "no row has a label in the column 'label'; "
						      "there are: text_a, gold"));
}

static void a_file_beside_wins_over_the_data(void)
{
	const char *path = scratch_file("train.jsonl", "{\"text_a\":\"\",\"label\":\"x\"}\n");
	struct labels *l;

	scratch_file("labels.json", "[\"z\",\"x\"]");
	l = load(NULL, path);
	CHECK(l && labels_count(l) == 2 && find(l, "\"x\"") == 1 &&
	      strstr(labels_origin(l), "labels.json"));
	labels_free(l);
	scratch_file("labels.json", "[\"z\",1]");
	CHECK(!load(NULL, path) &&
	      strstr(err_text(), "labels.json: a label is a number; it must be"));
	scratch_file("labels.json", "{}");
	CHECK(!load(NULL, path) && strstr(err_text(), "must hold an array"));
	scratch_file("labels.json", "[\"\"]");
	CHECK(!load(NULL, path) && strstr(err_text(), "empty name"));
}

static void numbers(void)
{
	const char *path = scratch_file("n.csv", "text_a,label\na,4.25\nb,high\nc,\nd,1e300\n");
	struct rows *r = NULL;
	struct row row;
	float x = 0;

	CHECK(rows_open(path, &columns, &r) == TT_OK);
	CHECK(rows_next(r, &row) == 1 && label_number(r, &row, &x) == TT_OK && x == 4.25f);
	CHECK(rows_next(r, &row) == 1 && label_number(r, &row, &x) == TT_INVALID);
	CHECK(strstr(err_text(), "n.csv:3: the label 'high' is not a number") != NULL);
	CHECK(rows_next(r, &row) == 1 && label_number(r, &row, &x) == TT_INVALID);
	CHECK(rows_next(r, &row) == 1 && label_number(r, &row, &x) == TT_INVALID && x == 4.25f);
	rows_close(r);
}

static void many_labels_are_listed_briefly(void)
{
	struct labels *l;
	char text[4000] = "[";

	for (int i = 0; i < 99; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"class number %d\"",
			 i ? "," : "", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "]");
	scratch_file("labels.json", text);
	l = load(NULL, scratch_path("train.jsonl"));
	CHECK(l && labels_count(l) == 99 && find(l, "\"x\"") == -9 && strstr(err_text(), ", ..."));
	labels_free(l);
}

int main(void)
{
	if (!CHECK(scratch_start()))
		return check_done();
	given_labels();
	numeric_names_have_no_indices();
	labels_of_the_data_are_sorted();
	a_file_beside_wins_over_the_data();
	numbers();
	many_labels_are_listed_briefly();
	scratch_end();
	return check_done();
}
