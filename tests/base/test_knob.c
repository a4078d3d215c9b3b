/* Knobs: every type with its default, its range, its complaint, and back out again. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/knob.h"

struct box {
	int64_t count, maybe, size;
	double rate, open, may_rate;
	bool on;
	int kind, other;
	const char *word, *may_word, *path;
	struct texts words, paths, select;
	struct ints ranks;
	const struct json *any;
};

#define AT(field) offsetof(struct box, field)

static const struct knob table[] = {
	{ .name = "count", .type = KNOB_INT, .at = AT(count), .def = 3, .min = 1, .max = 10 },
	{ .name = "maybe",
	  .type = KNOB_INT,
	  .at = AT(maybe),
	  .min = 1,
	  .max = 10,
	  .flags = KNOB_OPTIONAL },
	{ .name = "size",
	  .type = KNOB_INT,
	  .at = AT(size),
	  .min = 1,
	  .max = 0x1p50,
	  .flags = KNOB_OPTIONAL | KNOB_BYTES },
	{ .name = "rate",
	  .type = KNOB_REAL,
	  .at = AT(rate),
	  .def = 0.5,
	  .max = 1,
	  .flags = KNOB_OPEN_MAX },
	{ .name = "open",
	  .type = KNOB_REAL,
	  .at = AT(open),
	  .def = 1,
	  .max = 9,
	  .flags = KNOB_OPEN_MIN },
	{ .name = "may_rate", .type = KNOB_REAL, .at = AT(may_rate), .flags = KNOB_OPTIONAL },
	{ .name = "on", .type = KNOB_BOOL, .at = AT(on), .def = 1 },
	{ .name = "kind",
	  .type = KNOB_CHOICE,
	  .at = AT(kind),
	  .def = 1,
	  .choices = "red|green|blue" },
	{ .name = "other",
	  .type = KNOB_CHOICE,
	  .at = AT(other),
	  .def = 2,
	  .choices = "a|b",
	  .flags = KNOB_OPTIONAL },
	{ .name = "word", .type = KNOB_TEXT, .at = AT(word), .text = "hello" },
	{ .name = "may_word", .type = KNOB_TEXT, .at = AT(may_word), .flags = KNOB_OPTIONAL },
	{ .name = "path", .type = KNOB_PATH, .at = AT(path), .flags = KNOB_OPTIONAL },
	{ .name = "words", .type = KNOB_TEXTS, .at = AT(words), .flags = KNOB_OPTIONAL },
	{ .name = "paths", .type = KNOB_PATHS, .at = AT(paths), .flags = KNOB_OPTIONAL },
	{ .name = "select", .type = KNOB_SELECT, .at = AT(select), .flags = KNOB_OPTIONAL },
	{ .name = "ranks",
	  .type = KNOB_INTS,
	  .at = AT(ranks),
	  .min = 1,
	  .max = 64,
	  .flags = KNOB_OPTIONAL },
	{ .name = "any", .type = KNOB_JSON, .at = AT(any), .flags = KNOB_OPTIONAL },
	{ .name = NULL }
};

static const struct {
	const char *text, *says;
} bad[] = {
	{ "{\"count\":0}", "x.count is 0; it must be a whole number from 1 to 10" },
	{ "{\"count\":11}", "x.count is 11; it must be" },
	{ "{\"count\":1.5}", "x.count is 1.5; it must be a whole number" },
	{ "{\"count\":1e300}", "x.count is 1e+300; it must be a whole number" },
	{ "{\"count\":\"3\"}", "x.count is \"3\"; it must be a whole number" },
	{ "{\"count\":null}", "x.count is null; it must be" },
	{ "{\"count\":true}", "x.count is true; it must be" },
	{ "{\"count\":{}}", "x.count is an object; it must be" },
	{ "{\"maybe\":-1}", "a whole number from 1 to 10, or null" },
	{ "{\"size\":\"4Gi\"}", "x.size is \"4Gi\"; it must be a whole number from 1 to" },
	{ "{\"size\":\"-1GiB\"}", "or a size like \"4GiB\"" },
	{ "{\"size\":\"GiB\"}", "x.size is \"GiB\"" },
	{ "{\"size\":\"99999999999999999999999999TiB\"}", "x.size is" },
	{ "{\"size\":\"\"}", "x.size is an empty string" },
	{ "{\"rate\":1}", "x.rate is 1; it must be a number of at least 0 and below 1" },
	{ "{\"rate\":-0.1}", "x.rate is -0.1" },
	{ "{\"open\":0}", "x.open is 0; it must be a number above 0 and at most 9" },
	{ "{\"rate\":[]}", "x.rate is an array" },
	{ "{\"on\":1}", "x.on is 1; it must be true or false" },
	{ "{\"on\":\"true\"}", "x.on is \"true\"; it must be true or false" },
	{ "{\"kind\":\"gren\"}", "x.kind is \"gren\"; it must be one of red, green, blue" },
	{ "{\"kind\":\"re\"}", "x.kind is \"re\"" },
	{ "{\"kind\":\"red|green\"}", "it must be one of" },
	{ "{\"kind\":\"\"}", "x.kind is an empty string; it must be one of" },
	{ "{\"kind\":1}", "x.kind is 1; it must be one of red, green, blue" },
	{ "{\"word\":7}", "x.word is 7; it must be a string" },
	{ "{\"path\":\"\"}", "x.path is an empty string; it must be a path" },
	{ "{\"words\":\"one\"}", "x.words is \"one\"; it must be an array of strings" },
	{ "{\"words\":[\"a\",5]}", "x.words.1 is 5; it must be a string" },
	{ "{\"paths\":\"one\"}", "x.paths is \"one\"; it must be an array of paths" },
	{ "{\"paths\":[\"a\",\"\"]}", "x.paths.1 is an empty string; it must be a path" },
	{ "{\"paths\":[3]}", "x.paths.0 is 3; it must be a path" },
	{ "{\"select\":{}}", "x.select is an object; it must be a string or an array of strings" },
	{ "{\"ranks\":[1,65]}", "x.ranks.1 is 65; it must be a whole number from 1 to 64" },
	{ "{\"ranks\":0}", "x.ranks is 0; it must be a whole number from 1 to 64, or an array" },
	{ "{\"ranks\":\"8\"}", "x.ranks is \"8\"" },
	{ "{\"cuont\":1}", "x.cuont is not a key; did you mean count?" },
	{ "{\"zzzzzzzz\":1}", "\"zzzzzzzz\" is not a key of x; the keys are count, maybe, size" },
	{ "{\"note\":1}", "x.note is 1; it must be a string" },
	{ "{\"a\\nb\\u001b[31m\":1}", "a?b?[31m" },
	{ "[]", "x is an array; it must be an object" },
};

static int read(const char *text, struct arena *a, struct json **ret_doc, struct box *ret)
{
	int rc = json_parse(text, strlen(text), ret_doc);

	return rc ? rc : knob_parse(table, *ret_doc, "x", "/dir", a, ret);
}

static bool are_defaults(const struct box *b)
{
	return b->count == 3 && b->maybe == KNOB_NONE && b->size == KNOB_NONE && b->rate == 0.5 &&
	       b->open == 1 && isnan(b->may_rate) && b->on && b->kind == 1 && b->other == 2 &&
	       !strcmp(b->word, "hello") && !b->may_word && !b->path && !b->words.item &&
	       !b->paths.item && !b->select.item && !b->ranks.item && !b->any;
}

static void defaults(void)
{
	struct arena *a = arena_new();
	struct json *doc = NULL;
	struct box b;

	memset(&b, 0xAA, sizeof(b));
	knob_defaults(table, &b);
	CHECK(are_defaults(&b));
	memset(&b, 0xAA, sizeof(b));
	CHECK(read("{\"note\":\"ignored\",\"maybe\":null,\"path\":null,\"other\":null,\"any\":"
		   "null}",
		   a, &doc, &b) == TT_OK);
	CHECK(are_defaults(&b));
	json_free(doc);
	memset(&b, 0xAA, sizeof(b));
	CHECK(knob_parse(table, NULL, "x", "/", a, &b) == TT_OK);
	CHECK(are_defaults(&b));
	arena_free(a);
}

static void complaints(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct arena *a = arena_new();
		struct json *doc = NULL;
		struct box b;
		const int rc = read(bad[i].text, a, &doc, &b);

		CHECK_NAMED(rc == TT_INVALID && strstr(err_text(), bad[i].says), bad[i].says);
		if (rc != TT_INVALID || !strstr(err_text(), bad[i].says))
			printf("# it says: %s\n", rc ? err_text() : "nothing");
		json_free(doc);
		arena_free(a);
	}
}

static void required(void)
{
	static const struct knob need[] = {
		{ .name = "kind", .type = KNOB_CHOICE, .choices = "a|b", .flags = KNOB_REQUIRED },
		{ .name = NULL }
	};
	struct arena *a = arena_new();
	int kind;

	CHECK(knob_parse(need, NULL, "task", NULL, a, &kind) == TT_INVALID);
	CHECK_STR(err_text(), "task.kind is missing; it must be one of a, b");
	CHECK(knob_parse(need, NULL, "", NULL, a, &kind) == TT_INVALID);
	CHECK_STR(err_text(), "kind is missing; it must be one of a, b");
	arena_free(a);
}

static const struct {
	const char *text;
	int64_t bytes;
} sizes[] = {
	{ "\"4GiB\"", INT64_C(4) << 30 },
	{ "\"512MiB\"", 512 << 20 },
	{ "\"100kB\"", 100000 },
	{ "4096", 4096 },
	{ "\"4096\"", 4096 },
	{ "\"1.5 GiB\"", INT64_C(3) << 29 },
	{ "\"2TB\"", INT64_C(2000000000000) },
	{ "\"7B\"", 7 },
};

static void byte_sizes(void)
{
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct arena *a = arena_new();
		struct json *doc = NULL;
		struct box b;
		char text[64];

		snprintf(text, sizeof(text), "{\"size\":%s}", sizes[i].text);
		CHECK_NAMED(read(text, a, &doc, &b) == TT_OK && b.size == sizes[i].bytes,
			    sizes[i].text);
		json_free(doc);
		arena_free(a);
	}
}

/* The values outlive the document, save for any; and what is written reads back the same. */
static void values_and_back(void)
{
	static const char text[] =
		"{\"count\": 10, \"maybe\": 1, \"size\": 1024, \"rate\": 0, \"open\": 9, "
		"\"may_rate\": 1e-05, \"on\": false, "
		"\"kind\": \"blue\", \"other\": \"a\", \"word\": \"\", \"may_word\": \"w\", "
		"\"path\": \"/dir/p/q\", "
		"\"words\": [], \"paths\": [\"/p\"], \"select\": \"one\", \"ranks\": 8, \"any\": "
		"{\"k\": [1, \"x\"]}}";
	static const char lists[] =
		"{\"path\":\"../up\",\"paths\":[\"a\",\"/"
		"b\"],\"select\":[\"one\"],\"words\":[\"a\",\"b\"],\"ranks\":[1,2]}";
	struct arena *a = arena_new();
	struct json *doc = NULL, *second = NULL;
	struct buf out;
	struct jsonw w;
	struct box b;

	CHECK(read(text, a, &doc, &b) == TT_OK);
	CHECK(b.kind == 2 && b.other == 0 && b.words.item && b.words.n == 0 && b.words.is_list);
	CHECK(b.select.n == 1 && !b.select.is_list && b.ranks.n == 1 && b.ranks.item[0] == 8);
	buf_init(&out, 1000);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	knob_write(table, &b, &w);
	jsonw_end(&w, '}');
	CHECK_STR(out.data, text);
	buf_done(&out);
	json_free(doc);
	CHECK(read(lists, a, &second, &b) == TT_OK);
	json_free(second);
	CHECK_STR(b.path, "/up");
	CHECK(b.paths.n == 2 && b.paths.is_list && !strcmp(b.paths.item[0], "/dir/a") &&
	      !strcmp(b.paths.item[1], "/b"));
	CHECK(b.select.is_list && b.select.n == 1 && b.words.n == 2 &&
	      !strcmp(b.words.item[1], "b"));
	CHECK(b.ranks.n == 2 && b.ranks.item[1] == 2);
	arena_free(a);
}

static void nearest(void)
{
	static const char *const names[] = { "lora_alpha", "lora_dropout", "r", "target_modules",
					     "bias" };
	static const struct {
		const char *word, *want;
	} cases[] = {
		{ "lora_alhpa", "lora_alpha" },
		{ "loraalpha", "lora_alpha" },
		{ "lora-dropout", "lora_dropout" },
		{ "target_module", "target_modules" },
		{ "bais", "bias" },
		{ "entirely_else", NULL },
		{ "rank", NULL },
		{ "", NULL },
		{ "R", "r" },
		{ "0", NULL },
		{ "Target_Modules", "target_modules" },
	};
	char longer[300];

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *got = knob_nearest(cases[i].word, names, COUNT(names));

		CHECK_NAMED(cases[i].want ? got && !strcmp(got, cases[i].want) : !got,
			    cases[i].word);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	CHECK(!knob_nearest(longer, names, COUNT(names)));
	CHECK(!knob_nearest("x", names, 0));
}

static void quotes(void)
{
	char ret[96], longer[100];

	knob_quote("a\n\x1b[1mb", ret, sizeof(ret));
	CHECK_STR(ret, "\"a??[1mb\"");
	memset(longer, 0, sizeof(longer));
	for (int i = 0; i < 40; i++)
		memcpy(longer + 1 + 2 * i, "\xC3\xA9", 2);
	longer[0] = 'a';
	knob_quote(longer, ret, sizeof(ret)); /* byte 60 is inside a character */
	CHECK(strlen(ret) == 1 + 59 + 4 && !strcmp(ret + 58, "\xC3\xA9...\""));
}

int main(void)
{
	defaults();
	complaints();
	required();
	byte_sizes();
	values_and_back();
	nearest();
	quotes();
	return check_done();
}
