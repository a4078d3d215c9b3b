/* Text to token ids and back, as the Hugging Face fast tokenizers do it. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An open tokenizer is never written to: any number of threads may encode with
 * it, each with an encoding of its own. It lives until tokenizer_close.
 */
struct tokenizer;

/* The ids a model asks for by role; -1 where the tokenizer has none. */
struct tokenizer_roles {
	int32_t cls, sep, mask, pad, unk, bos, eos;
};

/*
 * Read folder/tokenizer.json, or else folder/vocab.txt with the BERT defaults
 * and what tokenizer_config.json says of them. The truncation and padding
 * sections of the file are ignored: cutting is the caller's wish.
 */
int tokenizer_open(const char *folder, struct tokenizer **ret);
/* From the text of a tokenizer.json alone. */
int tokenizer_parse(const char *text, size_t size, struct tokenizer **ret);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

struct encode_options {
	int64_t max_length;  /* special tokens included, cut longest_first; 0: never cut */
	bool special_tokens; /* add what the post-processor adds, [CLS] and [SEP] */
	bool plain;          /* "[SEP]" inside the text is text, not the token */
};

/*
 * The result and the working memory of encoding, the caller's. A reused one
 * stops allocating once it has seen its longest text. Not for sharing between
 * threads.
 */
struct encoding {
	int32_t *id;
	int32_t *word; /* which word of its text, counted by the pre-tokenizer; -1: added */
	uint8_t *type;
	int32_t *text; /* for encoding_token */
	size_t n;
	struct encode_scratch *scratch; /* tokenizer.c's own */
};

void encoding_init(struct encoding *e);
void encoding_done(struct encoding *e);

/*
 * b NULL: a single text; an empty b is still a pair. Texts must be UTF-8.
 * TT_INVALID when they are not, or when max_length leaves no room.
 */
int tokenizer_encode(const struct tokenizer *t, const char *a, size_t na, const char *b, size_t nb,
		     const struct encode_options *how, struct encoding *ret);

/*
 * The same for texts that were tokenised before, piece by piece: ids of a, and of b
 * (NULL: a single text).
 */
int tokenizer_wrap(const struct tokenizer *t, const int32_t *a, size_t na, const int32_t *b,
		   size_t nb, const struct encode_options *how, struct encoding *ret);
size_t tokenizer_added(const struct tokenizer *t,
		       bool pair); /* special tokens around one text, or two */
/* Where text a, or b, begins in the result of the last call for e. */
size_t encoding_start(const struct encoding *e, bool b);

/*
 * The text of token i: that of the vocabulary, but an added token shows what it
 * stood for, the white space it took along included. Until the next encoding.
 */
const char *encoding_token(const struct tokenizer *t, const struct encoding *e, size_t i);

int32_t tokenizer_size(const struct tokenizer *t);                  /* ids are 0 .. size-1 */
const char *tokenizer_token(const struct tokenizer *t, int32_t id); /* NULL: no such id */
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1: no such token */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
const uint8_t *tokenizer_specials(const struct tokenizer *t); /* [size], 1 = special */
const struct tokenizer_roles *tokenizer_roles(const struct tokenizer *t);

#endif
