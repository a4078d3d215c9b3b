/* A tokenizer family: how one word becomes tokens. One file each, listed in local.mk. */
#ifndef DATA_FAMILY_H
#define DATA_FAMILY_H

#include "base/arena.h"
#include "base/json.h"
#include "data/vocab.h"

/* Tokens of one text, the caller's; grown by tokens_add. */
struct tokens {
	int32_t *id;
	int32_t *word; /* which word it is of */
	int32_t *text; /* where its own text begins in the scratch; -1: as the vocabulary */
	size_t n, room;
};

int tokens_room(struct tokens *t, size_t more);

/* There is room, see tokens_room. */
static inline void tokens_push(struct tokens *t, int32_t id, int32_t word)
{
	t->id[t->n] = id;
	t->word[t->n] = word;
	t->text[t->n++] = -1;
}

struct family_ops {
	const char *name; /* model.type in the file */
	/*
	 * Read the model's own settings; the vocabulary is filled. State is the
	 * arena's and read-only from then on.
	 */
	int (*open)(const struct json *model, const struct vocab *v, struct arena *a, void **ret);
	/* Fill the vocabulary from the section. */
	int (*vocab)(const struct json *model, struct arena *a, struct vocab *ret);
	/* Append the tokens of s[0..n), n > 0. cache: cache_size bytes, zeroed at first, or NULL. */
	int (*encode)(const void *state, const struct vocab *v, const char *s, size_t n,
		      int32_t word, void *cache, struct tokens *ret);
	size_t cache_size;
	const char *(*unk)(const void *state); /* NULL: it has no unknown token */
};

/* The family of that name; NULL: there is none. */
const struct family_ops *family_find(const char *type);
/* Their names, for sentences: "WordPiece". */
const char *family_name(size_t i); /* NULL behind the last */

/* A vocabulary object: {"token": id, ...}. */
int family_vocab_object(const struct json *model, struct arena *a, struct vocab *ret);

#endif
