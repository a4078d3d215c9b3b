/* Opening tokenizer files good and bad, roles, cutting, and what only options change. */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "data/tokenizer.h"

#define MODEL(more)                                                                         \
	"\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2," \
	"\"[SEP]\":3,\"[MASK]\":4,\"a\":5,\"b\":6,\"##a\":7,\"##b\":8,\"ab\":9}" more "}"
#define SPECIALS                                                                              \
	"\"added_tokens\":[{\"id\":2,\"content\":\"[CLS]\",\"special\":true},"                \
	"{\"id\":3,\"content\":\"[SEP]\",\"special\":true},{\"id\":4,\"content\":\"[MASK]\"," \
	"\"special\":true}]"
#define BERT                                                                               \
	"{" SPECIALS ",\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":"    \
	"{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\"," \
	"\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}," MODEL("") "}"

/* Files that must be refused, and a part of the sentence that says why. */
static const struct {
	const char *text, *why;
} bad[] = {
	{ "", "" },
	{ "[]", "object" },
	{ "{}", "no \"model\"" },
	{ "{\"version\":\"2.0\"," MODEL("") "}", "version is '2.0'" },
	{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "model 'BPE' is not supported yet" },
	{ "{\"model\":{\"vocab\":{},\"merges\":[]}}", "model 'BPE' is not supported yet" },
	{ "{\"model\":{\"type\":\"WordPiece\"}}", "model.vocab must be an object" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "empty" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "unknown token '[UNK]'" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":-1}}}", "id of 'a'" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":1e9}}}", "id of 'a'" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":1.5}}}", "id of 'a'" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":0}}}", "same id 0" },
	{ "{" MODEL(",\"max_input_chars_per_word\":-1") "}", "max_input_chars_per_word" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL("") "}", "normalizer 'Precompiled'" },
	{ "{\"normalizer\":{\"type\":\"Sequence\"}," MODEL("") "}", "\"normalizers\"" },
	{ "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}"
	  "," MODEL("") "}",
	  "regular expression '('" },
	{ "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL("") "}",
	  "pre-tokenizer 'ByteLevel'" },
	{ "{\"pre_tokenizer\":{\"type\":\"Split\"}," MODEL("") "}", "\"pattern\"" },
	{ "{\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}," MODEL(
		  "") "}",
	  "one character" },
	{ "{\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"Up\"}," MODEL("") "}",
	  "'Up'" },
	{ "{\"post_processor\":{\"type\":\"Odd\"}," MODEL("") "}", "post-processor 'Odd'" },
	{ "{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",10],\"cls\":[\"y\",2]}"
	  "," MODEL("") "}",
	  "the vocabulary lacks" },
	{ "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"pair\":[]}," MODEL(
		  "") "}",
	  "\"single\" must have" },
	{ "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
	  "\"id\":\"x\","
	  "\"type_id\":0}}]}," MODEL("") "}",
	  "not in special_tokens" },
	{ "{\"added_tokens\":[{\"id\":12,\"content\":\"z\"}]," MODEL("") "}",
	  "the next free one is 10" },
	{ "{\"added_tokens\":[{\"id\":3,\"content\":\"z\"}]," MODEL("") "}", "has the id 3" },
	{ "{\"added_tokens\":[{\"id\":3,\"content\":\"a\"}]," MODEL("") "}",
	  "the vocabulary says 5" },
	{ "{\"added_tokens\":[{\"content\":\"a\"}]," MODEL("") "}",
	  "needs \"content\" and \"id\"" },
};

static void bad_files_are_refused(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct tokenizer *t = NULL;
		const int r = tokenizer_parse(bad[i].text, strlen(bad[i].text), &t);

		CHECK_NAMED(r < 0 && !t && strstr(err_text(), bad[i].why), bad[i].why);
		if (r < 0 && !strstr(err_text(), bad[i].why))
			printf("# %s\n", err_text());
		tokenizer_close(t);
	}
}

static bool ids_are(const struct encoding *e, const int32_t *id, size_t n)
{
	return e->n == n && (!n || !memcmp(e->id, id, n * sizeof(*id)));
}

/* What is kept of texts of n1 and n2 tokens "a" when max is the room for both. */
static const struct {
	size_t n1, n2;
	int64_t max;
	size_t kept1, kept2;
} cuts[] = {
	{ 5, 5, 7, 3, 4 }, { 6, 4, 7, 4, 3 }, { 2, 9, 7, 2, 5 }, { 9, 2, 7, 5, 2 },
	{ 3, 3, 6, 3, 3 }, { 9, 8, 4, 2, 2 }, { 8, 9, 5, 2, 3 }, { 9, 8, 5, 3, 2 },
	{ 0, 9, 4, 0, 4 }, { 5, 5, 0, 0, 0 }, { 1, 9, 1, 0, 1 },
};

static void pairs_are_cut_longest_first(const struct tokenizer *t)
{
	static const char text[] = "a a a a a a a a a a";
	struct encoding e;

	encoding_init(&e);
	for (size_t i = 0; i < COUNT(cuts); i++) {
		const struct encode_options how = { .max_length = cuts[i].max + 3,
						    .special_tokens = true };
		size_t first = 0, second = 0;
		char name[80];

		CHECK(tokenizer_encode(t, text, 2 * cuts[i].n1, text, 2 * cuts[i].n2, &how, &e) ==
		      TT_OK);
		for (size_t k = 0; k < e.n; k++) {
			first += e.id[k] == 5 && e.type[k] == 0;
			second += e.id[k] == 5 && e.type[k] == 1;
		}
		snprintf(name, sizeof(name), "cut %zu+%zu to %d", cuts[i].n1, cuts[i].n2,
			 (int)cuts[i].max);
		CHECK_NAMED(first == cuts[i].kept1 && second == cuts[i].kept2, name);
	}
	encoding_done(&e);
}

static void options_do_what_they_say(const struct tokenizer *t)
{
	static const int32_t with[] = { 2, 9, 3, 6, 3 }, without[] = { 9, 3, 6 },
			     shortest[] = { 2, 3 };
	struct encode_options how = { .special_tokens = true };
	struct encoding e;

	encoding_init(&e);
	CHECK(tokenizer_encode(t, "AB[SEP]b", 8, NULL, 0, &how, &e) == TT_OK &&
	      ids_are(&e, with, 5));
	CHECK(e.word[0] == -1 && e.word[1] == 0 && e.word[2] == 1 && e.word[3] == 2 &&
	      e.word[4] == -1);
	how.special_tokens = false;
	CHECK(tokenizer_encode(t, "ab[SEP]b", 8, NULL, 0, &how, &e) == TT_OK &&
	      ids_are(&e, without, 3));
	how.plain = true;
	CHECK(tokenizer_encode(t, "[SEP]", 5, NULL, 0, &how, &e) == TT_OK && e.n == 3 &&
	      e.id[1] == 1);
	how = (struct encode_options){ .max_length = 2, .special_tokens = true };
	CHECK(tokenizer_encode(t, "ab ab", 5, NULL, 0, &how, &e) == TT_OK &&
	      ids_are(&e, shortest, 2));
	how.max_length = 1;
	CHECK(tokenizer_encode(t, "ab ab", 5, NULL, 0, &how, &e) == TT_INVALID);
	CHECK(strstr(err_text(), "max_length 1 leaves no room for the 2 special tokens") != NULL);
	how.max_length = 0;
	CHECK(tokenizer_encode(t, "a\xff", 2, NULL, 0, &how, &e) == TT_INVALID);
	CHECK_STR(err_text(), "the text is not UTF-8 at byte 2");
	CHECK(tokenizer_encode(t, "", 0, "", 0, &how, &e) == TT_OK && e.n == 3 && e.type[2] == 1);
	encoding_done(&e);
}

static void roles_and_names(const struct tokenizer *t)
{
	const struct tokenizer_roles *r = tokenizer_roles(t);

	CHECK(r->cls == 2 && r->sep == 3 && r->mask == 4 && r->pad == 0 && r->unk == 1);
	CHECK(r->bos == -1 && r->eos == -1);
	CHECK(tokenizer_size(t) == 10);
	CHECK_STR(tokenizer_token(t, 9), "ab");
	CHECK(!tokenizer_token(t, 10) && !tokenizer_token(t, -1));
	CHECK(tokenizer_id(t, "##b") == 8 && tokenizer_id(t, "zz") == -1);
	CHECK(tokenizer_is_special(t, 4) && tokenizer_specials(t)[1] &&
	      !tokenizer_is_special(t, 5));
	CHECK(!tokenizer_is_special(t, 10) && !tokenizer_is_special(t, -5));
}

/* The cache of one tokenizer must not answer for another. */
static void one_encoding_serves_two_tokenizers(const struct tokenizer *t)
{
	static const char text[] =
		"{"
		"\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"##b\":1,\"a\":2}}}";
	const struct encode_options how = { 0 };
	struct tokenizer *other = NULL;
	struct encoding e;

	CHECK(tokenizer_parse(text, sizeof(text) - 1, &other) == TT_OK);
	encoding_init(&e);
	CHECK(tokenizer_encode(t, "ab", 2, NULL, 0, &how, &e) == TT_OK && e.n == 1 && e.id[0] == 9);
	CHECK(tokenizer_encode(other, "ab", 2, NULL, 0, &how, &e) == TT_OK && e.n == 2 &&
	      e.id[0] == 2);
	CHECK(tokenizer_encode(t, "ab", 2, NULL, 0, &how, &e) == TT_OK && e.n == 1 && e.id[0] == 9);
	encoding_done(&e);
	tokenizer_close(other);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	fs_join(path, sizeof(path), dir, name);
	CHECK(fs_write_atomic(path, text, strlen(text)) == TT_OK);
}

static void encode_is(const char *dir, const char *text, const int32_t *id, size_t n)
{
	const struct encode_options how = { .special_tokens = true };
	struct tokenizer *t = NULL;
	struct encoding e;

	encoding_init(&e);
	CHECK_NAMED(tokenizer_open(dir, &t) == TT_OK, text);
	CHECK_NAMED(t && tokenizer_encode(t, text, strlen(text), NULL, 0, &how, &e) == TT_OK &&
			    ids_are(&e, id, n),
		    text);
	encoding_done(&e);
	tokenizer_close(t);
}

static void folders(const char *dir)
{
	static const int32_t lower[] = { 2, 5, 3 }, upper[] = { 2, 1, 3 }, last[] = { 2, 7, 3 };
	struct tokenizer *t = NULL;

	CHECK(tokenizer_open(dir, &t) == TT_NOTFOUND &&
	      strstr(err_text(), "neither tokenizer.json nor"));
	put(dir, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\r\n[SEP]\n[MASK]\na\nb\n");
	encode_is(dir, "A", lower, 3);
	put(dir, "tokenizer_config.json", "{\"do_lower_case\":false}");
	encode_is(dir, "A", upper, 3);
	put(dir, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na");
	encode_is(dir, "a", last, 3);
	put(dir, "vocab.txt", "[PAD]\n[UNK]\n[SEP]\na\n");
	CHECK(tokenizer_open(dir, &t) == TT_INVALID && strstr(err_text(), "the vocabulary lacks"));
	put(dir, "vocab.txt", "[UNK]\n\xff\n");
	CHECK(tokenizer_open(dir, &t) == TT_INVALID && strstr(err_text(), "not UTF-8"));
	put(dir, "tokenizer.json", BERT);
	encode_is(dir, "A", lower, 3);
	put(dir, "tokenizer_config.json",
	    "{\"tokenizer_class\":\"BertTokenizer\",\"do_lower_case\":false,\"mask_token\":{"
	    "\"content\":\"b\"}}");
	encode_is(dir, "A", upper, 3);
	CHECK(tokenizer_open(dir, &t) == TT_OK && tokenizer_roles(t)->mask == 6);
	tokenizer_close(t);
	put(dir, "tokenizer_config.json", "[]");
	CHECK(tokenizer_open(dir, &t) == TT_INVALID && strstr(err_text(), "must hold an object"));
}

int main(void)
{
	const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	struct tokenizer *t = NULL;
	char dir[PATH_MAX];

	bad_files_are_refused();
	if (CHECK(tokenizer_parse(BERT, sizeof(BERT) - 1, &t) == TT_OK)) {
		roles_and_names(t);
		options_do_what_they_say(t);
		pairs_are_cut_longest_first(t);
		one_encoding_serves_two_tokenizers(t);
	} else {
		printf("# %s\n", err_text());
	}
	tokenizer_close(t);
	snprintf(dir, sizeof(dir), "%s/tokenizer-XXXXXX", tmp);
	if (CHECK(mkdtemp(dir) != NULL)) {
		folders(dir);
		fs_remove_tree(dir);
	}
	return check_done();
}
