/* Where words are cut: the five behaviours, and each kind of pre-tokenizer. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "data/pretokenizer.h"

#define SPLIT(pattern, behaviour) \
	"{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behaviour "\"}"
#define SPACE "{\"Regex\":\"\\\\s\"}"

/* Words are joined with | for comparison. */
static const struct {
	const char *json, *text, *words;
} cases[] = {
	{ "null", "a b", "a b" },
	{ "{\"type\":\"BertPreTokenizer\"}", "a$b+c<d=e", "a|$|b|+|c|<|d|=|e" },
	{ "{\"type\":\"BertPreTokenizer\"}", "a\u20acb \u00aba\u00bb a\u2e52b\tc",
	  "a\u20acb|\u00ab|a|\u00bb|a\u2e52b|c" },
	{ "{\"type\":\"Whitespace\"}", "don't 3.5", "don|'|t|3|.|5" },
	{ "{\"type\":\"Whitespace\"}", "\u00bdx\u00b2 x\u20dd a\u200db..",
	  "\u00bd|x|\u00b2|x\u20dd|a\u200db|.." },
	{ "{\"type\":\"WhitespaceSplit\"}", " a\u3000\u2029b.c ", "a|b.c" },
	{ "{\"type\":\"WhitespaceSplit\"}", "   ", "" },
	{ "{\"type\":\"Digits\",\"individual_digits\":true}", "a12\u00bd\u2167x",
	  "a|1|2|\u00bd|\u2167|x" },
	{ "{\"type\":\"Digits\"}", "a12b3", "a|12|b|3" },
	{ "{\"type\":\"Punctuation\"}", "a,,b", "a|,|,|b" },
	{ "{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "a,,b", "a|,,|b" },
	{ "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\u00e9\"}", "a\u00e9\u00e9 b", "a| b" },
	{ SPLIT(SPACE, "Removed"), "  a  b", "a|b" },
	{ SPLIT(SPACE, "Isolated"), "  a  b", " | |a| | |b" },
	{ SPLIT(SPACE, "MergedWithPrevious"), "  a  b", " | |a | |b" },
	{ SPLIT(SPACE, "MergedWithNext"), "  a  b", " | a| | b" },
	{ SPLIT(SPACE, "Contiguous"), "  a  b", "  |a|  |b" },
	{ SPLIT("{\"String\":\".\"}", "Removed"), "a.b", "a|b" },
	{ SPLIT("{\"Regex\":\"(?=b)\"}", "Isolated"), "abab", "a|ba|b" },
	{ "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b+\"},\"invert\":true}", "abbabc", "bb|b" },
	{ "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":"
	  "\"Digits\"}]}",
	  "a1 b", "a|1|b" },
};

static void check_case(const char *json, const char *text, const char *want)
{
	struct arena *a = arena_new();
	struct pretokenizer p = { .n = 0 };
	struct pre_scratch x = { .parts = 0 };
	struct json *j = NULL;
	char have[200] = "";
	size_t at = 0;
	bool ok = json_parse(json, strlen(json), &j) == TT_OK &&
		  pretokenizer_load(j, a, &p) == TT_OK &&
		  pretokenizer_run(&p, text, strlen(text), &x) == TT_OK;

	for (size_t i = 0; ok && i < x.words.n && at < 150; i++)
		at += (size_t)snprintf(have + at, sizeof(have) - at, "%s%.*s", i ? "|" : "",
				       (int)(x.words.item[i].end - x.words.item[i].start),
				       text + x.words.item[i].start);
	if (!check_line(ok && !strcmp(have, want), __FILE__, __LINE__, json))
		printf("# have %s\n# want %s\n# %s\n", have, want, err_text());
	pretokenizer_done(&p);
	pre_scratch_done(&x);
	json_free(j);
	arena_free(a);
}

int main(void)
{
	for (size_t i = 0; i < COUNT(cases); i++)
		check_case(cases[i].json, cases[i].text, cases[i].words);
	return check_done();
}
