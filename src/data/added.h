/* Added tokens: strings that are cut out of a text before anything else sees it. */
#ifndef DATA_ADDED_H
#define DATA_ADDED_H

#include "base/json.h"
#include "data/normalizer.h"
#include "data/pretokenizer.h"
#include "data/vocab.h"

struct added_token {
	const char *text; /* what is searched: normalised, if it is a normalized one */
	size_t size;
	int32_t id;
	bool single_word, lstrip, rstrip, normalized, special;
};

enum { ADDED_MAX = 65536 };

/* One of the two sets: searched in raw text, or in normalised text. */
struct added_set {
	struct added_token *token; /* by first byte, then longest first */
	size_t n;
	uint32_t first[257]; /* tokens with first byte c: first[c] .. first[c+1]-1 */
	bool can_start[256];
};

struct added {
	struct added_set raw, normal;
	struct added_token *all; /* in the order of the file */
	size_t n, room;
};

/* Tokens enter the vocabulary where they are not in it yet. Memory is the arena's. */
int added_load(const struct json *list, struct arena *a, struct vocab *v, struct added *ret);
int added_add(struct added *t, const struct added_token *token, struct arena *a, struct vocab *v);
/* Build the two sets, once all tokens are there. */
int added_finish(struct added *t, const struct normalizer *n, struct arena *a);

/* The next token in s[from..n), leftmost and there longest. at == n: none. */
struct added_hit {
	size_t start, end; /* of the token with the white space it takes along */
	const struct added_token *token;
};
bool added_find(const struct added_set *set, const char *s, size_t n, size_t *from, bool plain,
		struct added_hit *ret);

#endif
