/* A file becomes examples: ids, types, labels, limits and complaints. */
#include "tests/check.h"

#include <math.h>

#include "base/err.h"
#include "data/dataset.h"
#include "tests/data/scratch.h"

static const char tokenizer_text[] =
	"{\"added_tokens\":[{\"id\":1,\"content\":\"[CLS]\",\"special\":true},"
	"{\"id\":2,\"content\":\"[SEP]\",\"special\":true}],"
	"\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},"
	"\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\","
	"1]},"
	"\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,"
	"\"b\":4}}}";

static const char file_text[] = "{\"text_a\":\"a b\",\"text_b\":\"b\",\"label\":\"x\"}\n"
				"{\"text_a\":\"b\",\"text_b\":\"\",\"label\":\"y\"}\n"
				"{\"text_a\":\"\",\"label\":\"x\"}\n"
				"{\"text_a\":\"a a a a a a a a\",\"label\":\"y\"}\n";

static struct tokenizer *tokenizer;
static struct labels *labels;

static struct dataset_options options(const char *path, int task)
{
	return (struct dataset_options){ .tokenizer = tokenizer,
					 .path = path,
					 .columns = { "text_a", "text_b", "label" },
					 .task = task,
					 .labels = labels };
}

static void classes(const char *path)
{
	static const int32_t id[] = { 1, 3, 4, 2, 4, 2 };
	static const uint8_t type[] = { 0, 0, 0, 0, 1, 1 };
	struct dataset_options how = options(path, TASK_SEQ_CLS);
	struct dataset *d = NULL;
	struct example ex;

	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 4);
	ex = dataset_example(d, 0);
	CHECK(ex.n == 6 && !memcmp(ex.id, id, sizeof(id)) && !memcmp(ex.type, type, sizeof(type)));
	CHECK(ex.label == 0 && isnan(ex.value) && ex.index == 0);
	ex = dataset_example(d, 1);
	CHECK(ex.n == 3 && ex.type[2] == 0 && ex.label == 1); /* an empty text_b is none */
	CHECK(dataset_example(d, 2).n == 2 && dataset_lengths(d)[3] == 10);
	CHECK(dataset_tokens(d) == 21 && dataset_bytes(d) >= 21 * 5);
	dataset_free(d);
	how.max_length = 4;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_lengths(d)[3] == 4 &&
	      dataset_lengths(d)[0] == 4);
	CHECK(dataset_example(d, 0).id[1] == 3 && dataset_example(d, 0).id[2] == 2);
	dataset_free(d);
}

static void limits(const char *path)
{
	struct dataset_options how = options(path, TASK_SEQ_CLS);
	struct dataset *d = NULL;

	how.limit = 3;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 3);
	dataset_free(d);
	how.limit = KNOB_NONE;
	how.per_label_limit = 1;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 2);
	CHECK(dataset_example(d, 0).label == 0 && dataset_example(d, 1).label == 1);
	dataset_free(d);
}

/* A text without anything to mask is left out; the others keep their row numbers. */
static void masked_language(const char *path)
{
	struct dataset_options how = options(path, TASK_MLM);
	struct dataset *d = NULL;

	how.columns.label = "nowhere";
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 3);
	CHECK(dataset_example(d, 2).index == 3 && dataset_example(d, 2).label == -1);
	dataset_free(d);
}

static void numbers(void)
{
	struct dataset_options how = options(scratch_file("n.tsv", "text_a\tlabel\na\t1.5\nb\t\n"),
					     TASK_REGRESSION);
	struct dataset *d = NULL;

	CHECK(dataset_load(&how, &d) == TT_INVALID && !d);
	CHECK(strstr(err_text(), "n.tsv:3: the row has no number; the file has: text_a, label") !=
	      NULL);
	how.label_optional = true;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_example(d, 0).value == 1.5f &&
	      isnan(dataset_example(d, 1).value) && dataset_example(d, 0).label == -1);
	dataset_free(d);
}

static void complaints(void)
{
	struct dataset_options how = options(scratch_file("c.tsv", "text_a\tlabel\na\tx\nb\tz\n"),
					     TASK_SEQ_CLS);
	struct dataset *d = NULL;

	CHECK(dataset_load(&how, &d) == TT_INVALID &&
	      strstr(err_text(), "c.tsv:3: the label 'z' is none of: x, y"));
	how.task = TASK_QUESTION_ANSWERING;
	CHECK(dataset_load(&how, &d) == TT_INVALID && strstr(err_text(), "question_answering"));
	how = options(scratch_file("e.tsv", "text_a\tlabel\n"), TASK_SEQ_CLS);
	CHECK(dataset_load(&how, &d) == TT_INVALID && strstr(err_text(), "e.tsv has no rows"));
	how.max_length = 1;
	how.path = scratch_path("c.tsv");
	CHECK(dataset_load(&how, &d) == TT_INVALID &&
	      strstr(err_text(), "c.tsv:2: max_length 1 leaves"));
	how.path = scratch_path("gone.tsv");
	CHECK(dataset_load(&how, &d) == TT_NOTFOUND && !d);
	dataset_free(NULL);
}

static void tags(void)
{
	static const int32_t id[] = { 1, 3, 0, 4, 2 };
	const char *path = scratch_file("t.jsonl", "{\"text_a\":\"a cc b\",\"label\":\"x y x\"}\n"
						   "{\"text_a\":\" b\",\"label\":\"x y\"}\n");
	struct dataset_options how = options(path, TASK_TOKEN_CLS);
	struct dataset *d = NULL;
	struct example ex;

	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 2 && dataset_rows(d) == 4);
	ex = dataset_example(d, 0);
	CHECK(ex.n == 5 && !memcmp(ex.id, id, sizeof(id)) && ex.places == 3);
	CHECK(ex.place[0] == 1 && ex.place[1] == 2 && ex.place[2] == 3);
	CHECK(ex.tag[0] == 0 && ex.tag[1] == 1 && ex.tag[2] == 0);
	ex = dataset_example(d, 1); /* the first word is empty */
	CHECK(ex.n == 3 && ex.places == 1 && ex.place[0] == 1 && ex.tag[0] == 1);
	dataset_free(d);
	how.max_length = 4;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_example(d, 0).places == 2);
	dataset_free(d);
	d = NULL;
	how.path = scratch_file("u.jsonl", "{\"text_a\":\"a b\",\"label\":\"x\"}\n");
	CHECK(dataset_load(&how, &d) == TT_INVALID &&
	      strstr(err_text(), "2 words and the label 1 tags"));
	how.path = scratch_file("u.jsonl", "{\"text_a\":\"a b\",\"label\":\"x q\"}\n");
	CHECK(dataset_load(&how, &d) == TT_INVALID &&
	      strstr(err_text(), "u.jsonl:1: the label 'q' is none of: x, y"));
	how.path = scratch_file("u.jsonl", "{\"text_a\":\" \",\"label\":\"x x\"}\n");
	CHECK(dataset_load(&how, &d) == TT_INVALID && strstr(err_text(), "no word of the text"));
	how.path = scratch_file("u.jsonl", "{\"text_a\":\"a\"}\n");
	CHECK(dataset_load(&how, &d) == TT_INVALID && strstr(err_text(), "no tags"));
	how.label_optional = true;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_example(d, 0).tag[0] == -1);
	dataset_free(d);
}

static bool after_two(void *arg)
{
	int *rows = arg;

	return ++*rows > 2;
}

/* Whoever reads elsewhere meanwhile can end it. */
static void stopped(const char *path)
{
	struct dataset_options how = options(path, TASK_SEQ_CLS);
	struct dataset *d = NULL;
	int rows = 0;

	how.stop = after_two;
	how.stop_arg = &rows;
	CHECK(dataset_load(&how, &d) == TT_STOPPED && !d && rows == 3);
	how.limit = 2;
	rows = 0;
	CHECK(dataset_load(&how, &d) == TT_OK && dataset_count(d) == 2);
	dataset_free(d);
}

int main(void)
{
	static const char *const names[] = { "x", "y" };
	const struct texts given = { .item = names, .n = 2 };
	const struct labels_options from = { .given = &given };
	const char *path;

	if (!CHECK(scratch_start()))
		return check_done();
	CHECK(tokenizer_parse(tokenizer_text, sizeof(tokenizer_text) - 1, &tokenizer) == TT_OK);
	CHECK(labels_load(&from, &labels) == TT_OK);
	path = scratch_file("a.jsonl", file_text);
	classes(path);
	limits(path);
	path = scratch_file("a.jsonl", file_text);
	masked_language(path);
	numbers();
	complaints();
	stopped(scratch_file("a.jsonl", file_text));
	tags();
	labels_free(labels);
	tokenizer_close(tokenizer);
	scratch_end();
	return check_done();
}
