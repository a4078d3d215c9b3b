/* Normalizers one by one and in a sequence. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "data/normalizer.h"

#define REPLACE(pattern, content) \
	"{\"type\":\"Replace\",\"pattern\":" pattern ",\"content\":\"" content "\"}"

static const struct {
	const char *json, *in, *out;
} cases[] = {
	{ "null", "A", "A" },
	{ "{\"type\":\"Lowercase\"}", "A\u0130", "ai\u0307" },
	{ "{\"type\":\"Strip\"}", " \u3000a b\t", "a b" },
	{ "{\"type\":\"Strip\",\"strip_left\":false}", " a ", " a" },
	{ "{\"type\":\"Strip\"}", " \t ", "" },
	{ "{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a" },
	{ "{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "" },
	{ REPLACE("{\"String\":\"aa\"}", "b"), "aaaaa.", "bba." },
	{ REPLACE("{\"String\":\"\"}", "-"), "a\u00e9", "-a-\u00e9-" },
	{ REPLACE("{\"String\":\".\"}", ""), "a.b", "ab" },
	{ REPLACE("{\"Regex\":\" {2,}\"}", " "), "a   b c", "a b c" },
	{ REPLACE("{\"Regex\":\"x*\"}", "-"), "axb", "-a-b-" },
	{ REPLACE("{\"Regex\":\"(a)\"}", "$1"), "a", "$1" },
	{ "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"},"
	  "{\"type\":\"Lowercase\"}]}",
	  "\u00c9t\u00c9", "ete" },
	{ "{\"type\":\"BertNormalizer\",\"lowercase\":false}", "\u00c9", "\u00c9" },
	{ "{\"type\":\"BertNormalizer\",\"lowercase\":false,\"strip_accents\":true}", "\u00c9",
	  "E" },
	{ "{\"type\":\"BertNormalizer\",\"strip_accents\":false}", "\u00c9", "\u00e9" },
	{ "{\"type\":\"BertNormalizer\",\"clean_text\":false,\"handle_chinese_chars\":false}",
	  "a\u4f60\x01", "a\u4f60\x01" },
};

static void check_case(const char *json, const char *in, const char *out)
{
	struct arena *a = arena_new();
	struct normalizer n = { .n = 0 };
	struct normal_scratch x = { .text = { 0 } };
	struct json *j = NULL;
	const bool ok = json_parse(json, strlen(json), &j) == TT_OK &&
			normalizer_load(j, a, &n) == TT_OK &&
			normalizer_run(&n, in, strlen(in), &x) == TT_OK;

	if (!check_line(ok && x.text.n == strlen(out) && !memcmp(x.text.data, out, x.text.n),
			__FILE__, __LINE__, json))
		printf("# have %.*s want %s\n", (int)x.text.n, x.text.data ? x.text.data : "", out);
	normalizer_done(&n);
	normal_scratch_done(&x);
	json_free(j);
	arena_free(a);
}

int main(void)
{
	for (size_t i = 0; i < COUNT(cases); i++)
		check_case(cases[i].json, cases[i].in, cases[i].out);
	return check_done();
}
