/* JSON: strict on the way in, exact on the way out. */
#include "tests/check.h"

#include <float.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"

static const char *const good[] = {
	"{}",
	"[]",
	"0",
	"-0.5",
	"1e-7",
	"true",
	"null",
	"\"\"",
	" [1 , 2 ,{\"a\" : [ ] } ]\r\n\t",
	"{\"a\":1,\"A\":2,\"\":3,\"a \":4}",
	"\"\\ud83d\\ude00\\u00e9\\n\\/\"",
	"\xEF\xBB\xBF[1]",
	"{\"a\":{\"a\":{\"a\":1}}}",
	"[{\"a\":1},{\"a\":2}]",
	"\"\x7F\"",
	"123456789012345678901234567890123456789012345678901234567890",
};

static const struct {
	const char *text, *says;
} bad[] = {
	{ "", "line 1, column 1: the text is empty" },
	{ " \n ", "line 2, column 2: the text is empty" },
	{ "{", "column 2: expected a key in double quotes, but the text ends here" },
	{ "[1,", "expected a value, but the text ends here" },
	{ "[1,]", "column 3: a comma before the closing ']'" },
	{ "{\"a\":1,}", "column 7: a comma before the closing '}'" },
	{ "[1 2]", "column 4: expected ',' or ']', found '2'" },
	{ "{\"a\" 1}", "column 6: expected ':' behind the key, found '1'" },
	{ "{a:1}", "column 2: expected a key in double quotes, found 'a'" },
	{ "{'a':1}", "expected a key in double quotes" },
	{ "{\n\t// why\n}", "line 2, column 2: comments are not allowed" },
	{ "{} {}", "column 4: something follows the end of the document" },
	{ "nul", "expected a value, found 'n'" },
	{ "nullx", "column 5: something follows" },
	{ "True", "expected a value, found 'T'" },
	{ "NaN", "expected a value, found 'N'" },
	{ "-", "expected a digit, but the text ends here" },
	{ "+1", "expected a value, found '+'" },
	{ "01", "a number must not start with 0" },
	{ ".5", "expected a value, found '.'" },
	{ "1.", "a digit after the decimal point" },
	{ "1.e5", "a digit after the decimal point" },
	{ "1e", "a digit in the exponent" },
	{ "[1e999]", "column 2: this number is too large" },
	{ "[-1.9e308]", "this number is too large" },
	{ "1234567890123456789012345678901234567890123456789012345678901234567890",
	  "is longer than" },
	{ "\"abc", "column 1: this string has no closing quote" },
	{ "\"a\nb\"", "column 3: byte 0x0a inside a string" },
	{ "\"\\x\"", "no such escape" },
	{ "\"\\u12g4\"", "four hexadecimal digits" },
	{ "\"\\u12", "four hexadecimal digits" },
	{ "\"\\u0000\"", "a NUL character in a string" },
	{ "\"\\ud800\"", "without its second half" },
	{ "\"\\ud800\\u0041\"", "without its second half" },
	{ "\"\\udc00\"", "without its first half" },
	{ "\"\\", "the text ends inside a string" },
	{ "\"\xC3\xA9\xFF\"", "column 3: byte 0xff is not UTF-8" },
	{ "\"\xC0\x80\"", "is not UTF-8" },
	{ "\"\xED\xA0\x80\"", "is not UTF-8" },
	{ "\"\xF4\x90\x80\x80\"", "is not UTF-8" },
	{ "\"\xE2\x82\"", "is not UTF-8" },
	{ "[\xE2\x82\xAC]", "column 2: expected a value, found '\xE2\x82\xAC'" },
	{ "[\x01]", "expected a value, found byte 0x01" },
	{ "{\"a\":1,\"b\":2,\"a\":3}", "column 14: the key \"a\" is in this object twice" },
	{ "{\"a\":1,\"\\u0061\":3}", "column 8: the key \"a\" is in this object twice" },
	{ "{\"x\":{\"b\":1},\n\"y\":[{\"b\":1,\n  \"b\":2}]}", "line 3, column 3: the key \"b\"" },
};

static int parse(const char *text, struct json **ret)
{
	/* exactly as many bytes as there are, so that a sanitizer sees a read beyond them */
	const size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	int rc;

	memcpy(copy, text, n);
	rc = json_parse(copy, n, ret);
	free(copy);
	return rc;
}

static void texts(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct json *j = NULL;

		CHECK_NAMED(parse(good[i], &j) == TT_OK, good[i]);
		json_free(j);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct json *j = NULL;
		const int rc = parse(bad[i].text, &j);

		CHECK_NAMED(rc == TT_INVALID && !j && strstr(err_text(), bad[i].says), bad[i].says);
		if (rc == TT_OK || !strstr(err_text(), bad[i].says))
			printf("# it says: %s\n", rc ? err_text() : "nothing");
		json_free(j);
	}
}

static void nul_bytes(void)
{
	struct json *j = NULL;

	CHECK(json_parse("[1]\0", 4, &j) == TT_INVALID);
	CHECK(strstr(err_text(), "line 1, column 4: a NUL byte"));
	CHECK(json_parse("\"a\0b\"", 5, &j) == TT_INVALID);
}

static void nesting(void)
{
	char text[400];
	struct json *j = NULL;

	for (int depth = 64; depth <= 65; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = 0;
		CHECK((parse(text, &j) == TT_OK) == (depth == 64));
	}
	CHECK(strstr(err_text(), "column 65: nested deeper than 64 levels"));
	json_free(j);
	j = NULL;
	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	CHECK(parse(text, &j) == TT_INVALID && !j);
}

static void reading(void)
{
	struct json *j = NULL, *copy;
	int64_t v = 0;

	if (!CHECK(parse("{\"n\":12,\"f\":1.5,\"big\":9007199254740993e10,\"t\":\"x\",\"b\":true,"
			 "\"z\":null,"
			 "\"a\":[1,2,3],\"o\":{\"k\":false}}",
			 &j) == TT_OK))
		return;
	CHECK(json_type(j) == JSON_OBJECT && json_count(j) == 8);
	CHECK(json_int(json_get(j, "n"), &v) && v == 12);
	CHECK(!json_int(json_get(j, "f"), &v) && !json_int(json_get(j, "big"), &v) &&
	      !json_int(json_get(j, "t"), &v));
	CHECK(v == 12);
	CHECK(json_number(json_get(j, "f")) == 1.5 && isnan(json_number(json_get(j, "t"))));
	CHECK_STR(json_text(json_get(j, "t")), "x");
	CHECK(!json_text(json_get(j, "n")) && !json_text(NULL));
	CHECK(json_bool(json_get(j, "b")) && !json_bool(json_get(json_get(j, "o"), "k")) &&
	      !json_bool(NULL));
	CHECK(json_type(json_get(j, "z")) == JSON_NULL);
	CHECK(!json_get(j, "N") && !json_get(NULL, "n") && !json_get(json_get(j, "a"), "n"));
	CHECK(json_count(json_get(j, "a")) == 3);
	CHECK_STR(json_key(json_first(json_get(j, "o"))), "k");
	CHECK(!json_next(json_first(json_get(j, "o"))) && !json_first(json_get(j, "n")));
	copy = json_copy(j);
	json_free(j);
	CHECK(copy && json_count(copy) == 8 && json_number(json_get(copy, "f")) == 1.5);
	json_free(copy);
	json_free(NULL);
}

/* A vocabulary has 10^5 keys in one object: with a check of every pair this would take minutes. */
static void many_keys(void)
{
	enum { N = 200000 };
	struct buf b;
	struct json *j = NULL;
	char says[100];

	buf_init(&b, 1 << 24);
	buf_char(&b, '{');
	for (int i = 0; i < N; i++)
		buf_printf(&b, "\"word%d\":%d,\n", i, i);
	buf_text(&b, "\"last\":0}");
	CHECK(json_parse(b.data, b.size, &j) == TT_OK && json_count(j) == N + 1);
	json_free(j);
	j = NULL;
	b.size -= strlen("\"last\":0}");
	buf_text(&b, "\"word77\":0}");
	CHECK(json_parse(b.data, b.size, &j) == TT_INVALID && !j);
	snprintf(says, sizeof(says), "line %d, column 1: the key \"word77\"", N + 1);
	CHECK(strstr(err_text(), says));
	buf_done(&b);
}

static void loading(void)
{
	char path[] = "/tmp/test_json-XXXXXX";
	const int fd = mkstemp(path);
	struct json *j = NULL;

	CHECK(fd >= 0 && write(fd, "[1,\n x]", 7) == 7);
	CHECK(json_load(path, 100, &j) == TT_INVALID);
	CHECK(strstr(err_text(), path) == err_text() && strstr(err_text(), "line 2, column 2"));
	CHECK(json_load(path, 6, &j) == TT_INVALID && strstr(err_text(), "larger than 6 bytes"));
	CHECK(fs_write_atomic(path, "[1]", 3) == TT_OK && json_load(path, 100, &j) == TT_OK &&
	      json_count(j) == 1);
	json_free(j);
	close(fd);
	unlink(path);
	CHECK(json_load(path, 100, &j) == TT_NOTFOUND);
}

/* ---- editing ---- */

static const struct {
	const char *path, *value, *want; /* want starts with '!': the sentence */
} sets[] = {
	{ "train.seed", "7", "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": 7}}" },
	{ "train.new", "word",
	  "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": 1, \"new\": \"word\"}}" },
	{ "peft.0.r", "16", "{\"peft\": [{\"r\": 16}], \"train\": {\"seed\": 1}}" },
	{ "peft.0", "{\"r\":[1,2]}", "{\"peft\": [{\"r\": [1, 2]}], \"train\": {\"seed\": 1}}" },
	{ "a.b.c", "true",
	  "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": 1}, \"a\": {\"b\": {\"c\": true}}}" },
	{ "train", "\"1\"", "{\"peft\": [{\"r\": 8}], \"train\": \"1\"}" },
	{ "train.seed", "", "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": \"\"}}" },
	{ "train.seed", "[1", "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": \"[1\"}}" },
	{ "train.seed", "5e-4", "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": 0.0005}}" },
	{ "peft.1.r", "1", "!'1' is not an index of an array of 1" },
	{ "peft.r", "1", "!'r' is not an index of an array of 1" },
	{ "peft.-1", "1", "!is not an index" },
	{ "peft.99999999999999999999", "1", "!is not an index" },
	{ "train.seed.x", "1", "!what is before 'x' is a number" },
	{ "", "1", "!is not a path" },
	{ ".a", "1", "!is not a path" },
	{ "a..b", "1", "!is not a path" },
	{ "train.", "1", "!is not a path" },
	{ "train.seed", "\xFF", "!not UTF-8" },
};

static void setting(void)
{
	static const char from[] = "{\"peft\": [{\"r\": 8}], \"train\": {\"seed\": 1}}";

	for (size_t i = 0; i < COUNT(sets); i++) {
		const bool fails = sets[i].want[0] == '!';
		struct json *j = NULL;
		char *now;

		parse(from, &j);
		CHECK_NAMED((json_set(j, sets[i].path, sets[i].value) != TT_OK) == fails,
			    sets[i].path);
		if (fails)
			CHECK_NAMED(strstr(err_text(), sets[i].want + 1), sets[i].want);
		now = json_print(j, false);
		CHECK_NAMED(!strcmp(now, fails ? from : sets[i].want), sets[i].want);
		free(now);
		json_free(j);
	}
}

static void setting_too_deep(void)
{
	struct json *j = NULL;
	char path[200] = "a", value[101];

	for (int i = 0; i < 64; i++)
		strcat(path, ".a");
	parse("{}", &j);
	CHECK(json_set(j, path, "1") == TT_INVALID && strstr(err_text(), "deeper than 64"));
	memset(value, '[', 50);
	memset(value + 50, ']', 50);
	value[100] = 0;
	CHECK(json_set(j, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", value) == TT_INVALID);
	CHECK(json_set(j, "a.a.a.a.a.a.a.a.a.a.a.a.a.a", value) == TT_OK);
	json_free(j);
}

/* ---- out ---- */

static void writing(void)
{
	struct buf b;
	struct jsonw w;

	buf_init(&b, 1000);
	jsonw_init(&w, &b, 0);
	jsonw_object(&w);
	jsonw_key(&w, "a\"b");
	jsonw_array(&w);
	jsonw_int(&w, INT64_MIN);
	jsonw_real(&w, (double)NAN);
	jsonw_real(&w, -(double)INFINITY);
	jsonw_text(&w, NULL);
	jsonw_end(&w, ']');
	jsonw_key(&w, "t");
	jsonw_text_n(&w, "\x01\n\\\x7F\xFF\xE2\x82\xAC\xC3", 9);
	jsonw_key(&w, "e");
	jsonw_object(&w);
	jsonw_end(&w, '}');
	jsonw_key(&w, "b");
	jsonw_bool(&w, false);
	jsonw_end(&w, '}');
	CHECK_STR(b.data, "{\"a\\\"b\": [-9223372036854775808, null, null, null], "
			  "\"t\": \"\\u0001\\n\\\\\\u007f\xEF\xBF\xBD\xE2\x82\xAC\xEF\xBF\xBD\", "
			  "\"e\": {}, \"b\": false}");
	buf_clear(&b);
	jsonw_init(&w, &b, 2);
	jsonw_array(&w);
	jsonw_int(&w, 1);
	jsonw_object(&w);
	jsonw_key(&w, "k");
	jsonw_null(&w);
	jsonw_end(&w, '}');
	jsonw_end(&w, ']');
	CHECK_STR(b.data, "[\n  1,\n  {\n    \"k\": null\n  }\n]");
	buf_clear(&b);
	jsonw_init(&w, &b, 0);
	for (int i = 0; i < 65; i++)
		jsonw_array(&w);
	CHECK(b.bad);
	buf_clear(&b);
	jsonw_init(&w, &b, 0);
	jsonw_text(&w, "say \"no\"\tor \xC3\xA9t\xC3\xA9 ~\x7F~ \xC3");
	CHECK_STR(b.data, "\"say \\\"no\\\"\\tor \xC3\xA9t\xC3\xA9 ~\\u007f~ \xEF\xBF\xBD\"");
	buf_done(&b);
}

static void one_number(double v, bool *round, bool *shortest)
{
	struct buf b;
	struct jsonw w;
	char shorter[40];

	buf_init(&b, 100);
	jsonw_init(&w, &b, 0);
	jsonw_real(&w, v);
	*round = *round && strtod(b.data, NULL) == v;
	if (fabs(v) >= DBL_MIN)
		for (int digits = 1; digits < 17; digits++) {
			snprintf(shorter, sizeof(shorter), "%.*g", digits, v);
			if (strtod(shorter, NULL) == v) {
				*shortest = *shortest && strlen(shorter) >= b.size;
				break;
			}
		}
	buf_done(&b);
}

static void numbers_round_trip(void)
{
	static const double some[] = { 0.1,          1e-8,   5e-4,    2e-5,    1.0 / 3,
				       1e300,        5e-324, DBL_MAX, DBL_MIN, 0.30000000000000004,
				       123456789.125 };
	bool round = true, shortest = true;
	struct rng r;

	rng_init(&r, 11, RNG_TEST, 0);
	for (size_t i = 0; i < COUNT(some); i++)
		one_number(some[i], &round, &shortest);
	for (int i = 0; i < 20000; i++) {
		const uint64_t bits = (uint64_t)rng_u32(&r) << 32 | rng_u32(&r);
		double v;

		memcpy(&v, &bits, sizeof(v));
		if (isfinite(v))
			one_number(v, &round, &shortest);
	}
	CHECK(round);
	CHECK(shortest);
}

/* Any text either is refused with a sentence, or survives print and parse. */
static void damaged_texts(void)
{
	static const char alphabet[] =
		"{}[]\",:\\u0123456789eE+-.truefalsn/ \n\xC3\xA9\xF0\x9F\x98\x80";
	int accepted = 0;
	bool same = true;
	struct rng r;

	rng_init(&r, 12, RNG_TEST, 0);
	for (int round = 0; round < 20000; round++) {
		const char *seed = good[rng_below(&r, COUNT(good))];
		char text[300];
		struct json *j = NULL, *again = NULL;

		snprintf(text, sizeof(text), "%s", seed);
		for (uint32_t i = rng_below(&r, 3); *text && i > 0; i--)
			text[rng_below(&r, (uint32_t)strlen(text))] =
				alphabet[rng_below(&r, sizeof(alphabet) - 1)];
		if (parse(text, &j) == TT_OK) {
			char *once = json_print(j, round & 1), *twice = NULL;

			accepted++;
			same = same && once && parse(once, &again) == TT_OK;
			if (again)
				twice = json_print(again, round & 1);
			same = same && twice && !strcmp(once, twice);
			free(once);
			free(twice);
			json_free(again);
			json_free(j);
		}
	}
	CHECK(accepted > 5000);
	CHECK(same);
}

int main(void)
{
	texts();
	nul_bytes();
	nesting();
	reading();
	many_keys();
	loading();
	setting();
	setting_too_deep();
	writing();
	numbers_round_trip();
	damaged_texts();
	return check_done();
}
