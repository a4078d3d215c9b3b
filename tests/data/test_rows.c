/* Rows of every format: what is read, what is refused, and with which sentence. */
#include "tests/check.h"

#include <zlib.h>

#include "base/array.h"
#include "base/err.h"
#include "data/rows.h"
#include "tests/data/scratch.h"

static const struct row_columns columns = { "text_a", "text_b", "label" };

/* All rows as "a|b|label;", with - for what is not there, or the error behind "!". */
static void read_all(const char *path, char *ret, size_t size)
{
	struct rows *r = NULL;
	struct row row;
	size_t at = 0;
	int code = rows_open(path, &columns, &r);

	ret[0] = 0;
	if (code == TT_OK)
		for (code = rows_next(r, &row); code > 0 && at < size - 200;
		     code = rows_next(r, &row))
			at += (size_t)snprintf(ret + at, size - at, "%.60s|%.60s|%.20s;",
					       row.text_a, row.text_b ? row.text_b : "-",
					       row.label ? row.label : "-");
	if (code < 0)
		snprintf(ret + at, size - at, "!%s", err_text() + strlen(scratch_dir) + 1);
	rows_close(r);
}

static const struct {
	const char *name, *text, *want;
} cases[] = {
	{ "a.jsonl", "{\"text_a\":\"x\\ny\",\"text_b\":\"z\",\"label\":\"pos\"}\n", "x\ny|z|pos;" },
	{ "a.jsonl",
	  "\xef\xbb\xbf{\"text_a\":\"\",\"text_b\":null,\"label\":null}\n\n \t\r\n"
	  "{\"text_a\":\"b\",\"text_b\":\"\",\"label\":3}",
	  "|-|-;b|-|3;" },
	{ "a.jsonl", "{\"text_a\":\"x\",\"label\":2.50,\"more\":[1,{}]}\r\n", "x|-|2.5;" },
	{ "a.jsonl", "{\"text_a\":\"x\",\"label\":true}\n", "x|-|true;" },
	{ "a.jsonl", "", "" },
	{ "a.jsonl", "{\"text_a\":\"x\"}\n{\"text\":\"y\",\"gold\":1}\n",
	  "x|-|-;!a.jsonl:2: there is no column 'text_a'; there are: text, gold" },
	{ "a.jsonl", "{\"text_a\":7}\n", "!a.jsonl:1: 'text_a' must be a string, and is a number" },
	{ "a.jsonl", "{\"text_a\":\"\",\"label\":[]}\n",
	  "!a.jsonl:1: 'label' must be a string or a number, and is an array" },
	{ "a.jsonl", "\n[1]\n", "!a.jsonl:2: the line must be an object, and is an array" },
	{ "a.jsonl", "{\"text_a\":\"\xff\"}\n", "!a.jsonl:1: the line is not UTF-8 at byte 12" },
	{ "a.tsv", "label\ttext_a\ttext_b\n1\t\"a\" b\t\n\n0\tc, d\te\r\n",
	  "\"a\" b|-|1;c, d|e|0;" },
	{ "a.tsv", "text_a\nx\n\ty\n",
	  "x|-|-;!a.tsv:3: the row has 2 fields, and the header has 1" },
	{ "a.tsv", "sentence\tlabel\nx\t1\n",
	  "!a.tsv:1: there is no column 'text_a'; there are: sentence, label" },
	{ "a.tsv", "text_a\ttext_a\n", "!a.tsv:1: the header has two columns 'text_a'" },
	{ "a.tsv", "", "!a.tsv:1: the file is empty; its first line must name the columns" },
	{ "a.csv",
	  "text_a,text_b,label\r\n\"x, \"\"y\"\"\",,1\r\n\"two\nlines\",b,\"0\"\r\nplain "
	  "\"q\",c,\n",
	  "x, \"y\"|-|1;two\nlines|b|0;plain \"q\"|c|-;" },
	{ "a.csv", "text_a,label\n\"open,1\nmore\n",
	  "!a.csv:2: a quoted field has no closing quote" },
	{ "a.csv", "text_a,label\n\"x\"y,1\n",
	  "!a.csv:2: field 1 goes on behind its closing quote" },
	{ "a.csv", "text_a,label\nx,\n\ny,\"\"\n", "x|-|-;y|-|-;" },
	{ "a.csv", "text_a\n\"a\r\nb\"\n", "a\r\nb|-|-;" },
	{ "a.txt", "one\n\n two \r\nlast", "one|-|-;|-|-; two \r|-|-;last|-|-;" },
	{ "a.txt", "\xc3\n", "!a.txt:1: the line is not UTF-8 at byte 1" },
};

static void numbers_and_lines(void)
{
	const char *path = scratch_file(
		"n.tsv", "text_a\tlabel\nx\t-1.5e1\n\ny\t0x10\nz\t1e999\nw\t5 apples\n");
	struct rows *r = NULL;
	struct row row;

	CHECK(rows_open(path, &columns, &r) == TT_OK);
	CHECK(rows_next(r, &row) == 1 && row.label_is_number && row.number == -15 && row.line == 2);
	CHECK(!row.has_text_b);
	CHECK(rows_next(r, &row) == 1 && !row.label_is_number && row.line == 4);
	CHECK(rows_next(r, &row) == 1 && !row.label_is_number);
	CHECK(rows_next(r, &row) == 1 && !row.label_is_number);
	CHECK(rows_next(r, &row) == 0 && rows_next(r, &row) == 0);
	CHECK_STR(rows_columns(r), "text_a, label");
	rows_close(r);
}

static void nul_bytes_are_refused(void)
{
	char have[400];

	read_all(scratch_bytes("n.txt", "ok\na\0b\n", 7), have, sizeof(have));
	CHECK_STR(have, "ok|-|-;!n.txt:2: the line holds a NUL byte");
	read_all(scratch_file("n.jsonl", "{\"text_a\":\"a\\u0000b\"}\n"), have, sizeof(have));
	CHECK(strstr(have, "!n.jsonl:1: ") != NULL);
}

static void gzip_is_read_and_broken_gzip_refused(void)
{
	const char *path = scratch_path("z.jsonl.gz");
	gzFile f = gzopen(path, "wb");
	struct buf whole;
	char have[400];

	for (int i = 0; i < 3; i++)
		gzprintf(f, "{\"text_a\":\"row %d\"}\n", i);
	gzclose(f);
	read_all(path, have, sizeof(have));
	CHECK_STR(have, "row 0|-|-;row 1|-|-;row 2|-|-;");
	CHECK(fs_read(path, 4096, &whole) == TT_OK && whole.size > 20);
	read_all(scratch_bytes("z.jsonl.gz", whole.data, whole.size - 12), have, sizeof(have));
	CHECK(strstr(have, "the compressed file ends too early") != NULL);
	whole.data[whole.size - 6] ^= 1;
	read_all(scratch_bytes("z.jsonl.gz", whole.data, whole.size), have, sizeof(have));
	CHECK(strchr(have, '!') != NULL);
	buf_done(&whole);
}

static void long_records_are_refused(void)
{
	const size_t n = ((size_t)16 << 20) + 2;
	char *text = malloc(n), have[400];

	memset(text, 'a', n);
	read_all(scratch_bytes("l.txt", text, n), have, sizeof(have));
	CHECK_STR(have, "!l.txt:1: a row is longer than 16 MiB");
	memset(text, '\n', n);
	memcpy(text, "text_a\n\"", 8);
	read_all(scratch_bytes("l.csv", text, n), have, sizeof(have));
	CHECK(strstr(have, "a quoted field has no closing quote") ||
	      strstr(have, "longer than 16 MiB"));
	free(text);
}

static void paths_are_refused(void)
{
	struct rows *r = NULL;

	CHECK(rows_open(scratch_path("none.tsv"), &columns, &r) == TT_NOTFOUND);
	CHECK(strstr(err_text(), "No such file") != NULL);
	CHECK(rows_open("data.parquet", &columns, &r) == TT_INVALID);
	CHECK(strstr(err_text(), "data files end in .jsonl, .tsv, .csv or .txt") != NULL);
	CHECK(fs_mkdirs(scratch_path("folder.tsv")) == TT_OK);
	CHECK(rows_open(scratch_path("folder.tsv"), &columns, &r) == TT_INVALID && !r);
	rows_close(NULL);
}

int main(void)
{
	char have[2000];

	if (!CHECK(scratch_start()))
		return check_done();
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_all(scratch_file(cases[i].name, cases[i].text), have, sizeof(have));
		if (!check_line(!strcmp(have, cases[i].want), __FILE__, __LINE__, cases[i].name))
			printf("# have %s\n# want %s\n", have, cases[i].want);
	}
	numbers_and_lines();
	nul_bytes_are_refused();
	gzip_is_read_and_broken_gzip_refused();
	long_records_are_refused();
	paths_are_refused();
	scratch_end();
	return check_done();
}
