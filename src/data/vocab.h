/* Tokens by id and ids by token. */
#ifndef DATA_VOCAB_H
#define DATA_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

enum { VOCAB_MAX = 1 << 22 }; /* ids; the largest known vocabularies have 2^18 */

/*
 * Open addressing on a 64-bit FNV-1a hash, which a caller can build byte by
 * byte and so have the hash of every prefix in one pass. Ids may have holes.
 * Memory is the arena's.
 */
struct vocab {
	struct arena *arena;
	const char **token; /* [room] by id; NULL: a hole */
	uint32_t *length;   /* [room] bytes of it */
	int32_t size;       /* largest id + 1 */
	int32_t room;
	struct vocab_slot *slot;
	size_t slots; /* a power of two */
	size_t used;
	size_t longest; /* bytes */
	char *pool;     /* where the next token is copied to */
	size_t pool_left;
};

struct vocab_slot {
	uint64_t hash;
	int32_t id; /* -1: free */
	uint32_t length;
	const char *token;
};

#define VOCAB_HASH UINT64_C(0xcbf29ce484222325)

static inline uint64_t vocab_hash_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

static inline uint64_t vocab_hash(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = vocab_hash_byte(h, s[i]);
	return h;
}

static inline size_t vocab_place(const struct vocab *v, uint64_t h)
{
	return (size_t)((h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (v->slots - 1);
}

int vocab_init(struct vocab *v, struct arena *a, size_t expected);
/* Add a token, copied. TT_INVALID when the token or the id is taken. */
int vocab_add(struct vocab *v, const char *token, size_t n, int32_t id);
/* Give a token that is there another id, one that is free; its old id becomes a hole. */
int vocab_move(struct vocab *v, const char *token, size_t n, int32_t id);
/* Its id, or -1. */
int32_t vocab_find(const struct vocab *v, const char *token, size_t n);
/* The same for prefix + s, whose hash is known. */
static inline int32_t vocab_find_hashed(const struct vocab *v, uint64_t hash, const char *prefix,
					size_t np, const char *s, size_t n)
{
	size_t i = vocab_place(v, hash);

	while (v->slot[i].id >= 0) {
		const struct vocab_slot *p = &v->slot[i];
		if (p->hash == hash && p->length == np + n && !memcmp(p->token + np, s, n) &&
		    !memcmp(p->token, prefix, np))
			return p->id;
		i = (i + 1) & (v->slots - 1);
	}
	return -1;
}

#endif
