/*
 * Patterns: parts, slots and filters become tokens; what is too long is cut as
 * PET cuts it; what is wrong is said. The vocabulary is lower-case words.
 */
#include "tests/check.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "data/pattern.h"

static const char tokenizer_text[] =
	"{\"added_tokens\":[{\"id\":1,\"content\":\"[CLS]\",\"special\":true},"
	"{\"id\":2,\"content\":\"[SEP]\",\"special\":true},"
	"{\"id\":3,\"content\":\"[MASK]\",\"special\":true}],"
	"\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
	"\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\","
	"1]},"
	"\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,"
	"\"[MASK]\":3,\"it\":4,\"was\":5,\".\":6,\"p\":7,\"q\":8,\"r\":9,\"s\":10,\"t\":11,"
	"\"?\":12,\"U\":13,\"u\":14,\"[\":15,\"]\":16,\"MASK\":17}}}";

static struct tokenizer *tokenizer;

/* Ids as text, the mask's place in front: "5: 1 7 ...". */
static const char *filled(const char *pattern, const char *a, const char *b, int64_t most)
{
	static char text[512];
	struct pattern *p = NULL;
	struct encoding e;
	int32_t mask = -1;

	if (pattern_open(pattern, tokenizer, &p))
		return err_text();
	encoding_init(&e);
	if (pattern_encode(p, a, strlen(a), b, b ? strlen(b) : 0, most, &e, &mask)) {
		encoding_done(&e);
		pattern_close(p);
		return err_text();
	}
	snprintf(text, sizeof(text), "%d:", (int)mask);
	for (size_t i = 0; i < e.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d%s", (int)e.id[i],
			 e.type[i] ? "b" : "");
	encoding_done(&e);
	pattern_close(p);
	return text;
}

static const struct {
	const char *pattern, *a, *b;
	int64_t most;
	const char *want;
} cases[] = {
	{ "{a} ¦ it was ¦ {mask} ¦ .", "p q", NULL, 0, "5: 1 7 8 4 5 3 6 2" },
	{ "{a} it was {mask} .", "p q", NULL, 0, "5: 1 7 8 4 5 3 6 2" },
	{ "{mask} || {a} ¦ ? ¦ {b}", "p", "q r", 0, "1: 1 3 2 7b 12b 8b 9b 2b" },
	{ "{a} ? || {mask} , {b}", "p", "q", 0, "4: 1 7 12 2 3b 0b 8b 2b" },
	{ "{a|rpunc} ¦ {mask}", "p q ?.", NULL, 0, "3: 1 7 8 3 2" },
	{ "{a|lc1} ¦ {mask}", "U U", NULL, 0, "3: 1 14 13 3 2" },
	{ "{a|rpunc|lc1} ¦ {mask}", "U?", NULL, 0, "2: 1 14 3 2" },
	/* an empty second segment is none */
	{ "{mask} {a} || {b}", "p", NULL, 0, "1: 1 3 7 2" },
	/* what looks like a token in a text is text */
	{ "{a} {mask}", "[MASK]", NULL, 0, "4: 1 15 17 16 3 2" },
	/* the last part that may be cut goes first */
	{ "{a} {b} {mask}", "p q", "r s t", 6, "4: 1 7 8 9 3 2" },
	{ "{a} {b} {mask}", "p q", "r s t", 4, "2: 1 7 3 2" },
	{ "{a} {b!} {mask}", "p q", "r s t", 6, "4: 1 9 10 11 3 2" },
	/* the longer segment, and the second when they are even */
	{ "{a} || {mask} {b}", "p q r", "s t", 9, "5: 1 7 8 9 2 3b 10b 11b 2b" },
	{ "{a} || {mask} {b}", "p q r", "s t", 8, "4: 1 7 8 2 3b 10b 11b 2b" },
	{ "{a} || {mask} {b}", "p q r", "s t", 7, "4: 1 7 8 2 3b 10b 2b" },
	{ "{a} || {mask} {b}", "p q r", "s t", 4, "2: 1 2 3b 2b" },
	{ "{a} it was {mask}", "p q", NULL, 4,
	  "data.max_length 4 is too small for the pattern, which has 5 tokens that stay" },
	{ "{a}␣it {mask}", "p", NULL, 0, "3: 1 7 4 3 2" },
};

static const struct {
	const char *pattern, *why;
} refused[] = {
	{ "{a}", "it has 0 {mask} slots; it must have one" },
	{ "{a} {mask} {mask}", "it has 2 {mask} slots" },
	{ "{mask} .", "neither {a} nor {b}" },
	{ "{a} {mask", "a { has no }" },
	{ "{c} {mask}", "{c} is no slot; {a}, {b} and {mask} are" },
	{ "{a|upper} {mask}", "'upper' is no filter; rpunc and lc1 are" },
	{ "{a} {mask*2}", "{mask*2}: words of several tokens are not supported yet" },
	{ "{a} || {b} || {mask}", "more than one ||" },
	{ "{a} {mask} ||", "one side of || is empty" },
	{ "{a} {mask} \xff", "it is not UTF-8 at byte 12" },
};

int main(void)
{
	if (!CHECK(tokenizer_parse(tokenizer_text, sizeof(tokenizer_text) - 1, &tokenizer) ==
		   TT_OK))
		return check_done();
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *got = filled(cases[i].pattern, cases[i].a, cases[i].b, cases[i].most);

		if (!CHECK_NAMED(!strcmp(got, cases[i].want), cases[i].pattern))
			printf("# %s, not %s\n", got, cases[i].want);
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct pattern *p;

		CHECK_NAMED(pattern_open(refused[i].pattern, tokenizer, &p) == TT_INVALID &&
				    strstr(err_text(), refused[i].why) &&
				    strstr(err_text(), "prompt.pattern"),
			    refused[i].why);
	}
	pattern_close(NULL);
	tokenizer_close(tokenizer);
	return check_done();
}
