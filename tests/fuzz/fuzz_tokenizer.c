/*
 * Hostile tokenizer files and hostile texts. Input with a byte 0xff is a
 * tokenizer.json, that byte, and a text; without one it is a text for a small
 * tokenizer that has a bit of everything.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char small[] =
	"{\"version\":\"1.0\",\"added_tokens\":["
	"{\"id\":1,\"content\":\"[SEP]\",\"special\":true,\"lstrip\":true,\"rstrip\":true},"
	"{\"id\":8,\"content\":\"Foo\",\"normalized\":true,\"single_word\":true}],"
	"\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
	"{\"type\":\"BertNormalizer\"},{\"type\":\"NFKC\"},{\"type\":\"Strip\"},"
	"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]},"
	"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
	"\"BertPreTokenizer\"},"
	"{\"type\":\"Digits\"},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?=x)|y+\"},"
	"\"behavior\":\"MergedWithNext\"},{\"type\":\"Whitespace\"}]},"
	"\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",1],\"cls\":[\"[UNK]\","
	"0]},"
	"\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"[SEP]"
	"\":1,"
	"\"a\":2,\"##a\":3,\"b\":4,\"##b\":5,\"ab\":6,\"1\":7}}}";

static void encode(const struct tokenizer *t, const char *text, size_t n)
{
	const struct encode_options whole = { .special_tokens = true };
	const struct encode_options cut = { .max_length = 7, .special_tokens = true };
	const struct encode_options plain = { .plain = true };
	struct encoding e;

	encoding_init(&e);
	if (tokenizer_encode(t, text, n, NULL, 0, &whole, &e) == TT_OK)
		for (size_t i = 0; i < e.n; i++)
			if (e.id[i] < 0 || e.id[i] >= tokenizer_size(t) ||
			    !encoding_token(t, &e, i))
				abort();
	if (tokenizer_encode(t, text, n / 2, text + n / 2, n - n / 2, &cut, &e) == TT_OK && e.n > 7)
		abort();
	tokenizer_encode(t, text, n, NULL, 0, &plain, &e);
	encoding_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *mark = size ? memchr(data, 0xff, size) : NULL;
	const char *text = mark ? (const char *)mark + 1 : (const char *)data;
	const size_t n = mark ? size - (size_t)(mark + 1 - data) : size;
	struct tokenizer *t = NULL;

	if (mark && tokenizer_parse((const char *)data, (size_t)(mark - data), &t) < 0)
		return 0;
	if (!mark && tokenizer_parse(small, sizeof(small) - 1, &t) < 0)
		abort();
	encode(t, n ? text : "", n);
	tokenizer_close(t);
	return 0;
}
