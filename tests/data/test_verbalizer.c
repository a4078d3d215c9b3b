/* Label words become token ids, or a sentence says which word will not do. */
#include "tests/check.h"

#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "data/verbalizer.h"

static const char tokenizer_text[] =
	"{\"added_tokens\":[{\"id\":1,\"content\":\"[CLS]\",\"special\":true}],"
	"\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},"
	"\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,"
	"\"[CLS]\":1,\"bad\":2,\"good\":3,\"great\":4,\"##s\":5}}}";

static struct tokenizer *tokenizer;
static const char *const names[] = { "neg", "pos" };
static const struct texts labels = { .item = names, .n = 2, .is_list = true };

static int load(const char *text, struct arena *a, struct verbalizer *ret)
{
	struct json *j = NULL;
	int code = text ? json_parse(text, strlen(text), &j) : TT_OK;

	if (!code)
		code = verbalizer_load(j, AGGREGATE_MAX, &labels, tokenizer, a, ret);
	json_free(j);
	return code;
}

static const struct {
	const char *text, *why;
} refused[] = {
	{ NULL, "prompt.verbalizer is missing" },
	{ "{\"neg\": \"bad\"}", "prompt.verbalizer has no word for the label \"pos\"" },
	{ "{\"neg\": \"bad\", \"pos\": \"goods\"}", "\"goods\" of \"pos\" becomes 2 tokens" },
	{ "{\"neg\": \"bad\", \"pos\": \"fine\"}", "the vocabulary has no word \"fine\"" },
	{ "{\"neg\": \"bad\", \"pos\": \"\"}", "becomes 0 tokens" },
	{ "{\"neg\": \"bad\", \"pos\": [\"good\", \"bad\"]}", "the same token as another" },
	{ "{\"neg\": \"bad\", \"pos\": \"good\", \"poss\": \"great\"}",
	  "\"poss\" is no label of the task; did you mean pos?" },
};

int main(void)
{
	struct arena *a = arena_new();
	struct verbalizer v;

	if (!CHECK(a && tokenizer_parse(tokenizer_text, sizeof(tokenizer_text) - 1, &tokenizer) ==
				TT_OK))
		return check_done();
	CHECK(load("{\"pos\": [\"good\", \"great\"], \"neg\": \"bad\"}", a, &v) == TT_OK);
	CHECK(v.labels == 2 && v.words == 3 && v.aggregate == AGGREGATE_MAX);
	CHECK(v.word[0] == 2 && v.word[1] == 3 && v.word[2] == 4);
	CHECK(v.start[0] == 0 && v.start[1] == 1 && v.start[2] == 3);
	for (size_t i = 0; i < COUNT(refused); i++) {
		const int code = load(refused[i].text, a, &v);

		if (!CHECK_NAMED(code == TT_INVALID && strstr(err_text(), refused[i].why),
				 refused[i].why))
			printf("# %s\n", code ? err_text() : "no complaint");
	}
	tokenizer_close(tokenizer);
	arena_free(a);
	return check_done();
}
