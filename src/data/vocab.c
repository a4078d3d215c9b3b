/* The hash table of a vocabulary. */
#include "data/vocab.h"

#include "base/err.h"

/* A chain that long does not happen by chance: the file was made to be slow. */
enum { CHAIN_MAX = 256, POOL_BLOCK = 32 * 1024 };

static int vocab_slots(struct vocab *v, size_t expected)
{
	v->slots = 64;
	while (v->slots < expected * 2)
		v->slots *= 2;
	v->slot = arena_alloc(v->arena, v->slots * sizeof(*v->slot));
	if (!v->slot)
		return TT_NOMEM;
	for (size_t i = 0; i < v->slots; i++)
		v->slot[i].id = -1;
	return TT_OK;
}

int vocab_init(struct vocab *v, struct arena *a, size_t expected)
{
	memset(v, 0, sizeof(*v));
	v->arena = a;
	if (expected > VOCAB_MAX)
		return err_set(TT_INVALID, "the vocabulary has %zu tokens; at most %d are read",
			       expected, VOCAB_MAX);
	return vocab_slots(v, expected);
}

static int vocab_insert(struct vocab *v, const struct vocab_slot *entry)
{
	size_t at = vocab_place(v, entry->hash);
	int chain = 0;

	while (v->slot[at].id >= 0) {
		if (++chain > CHAIN_MAX)
			return err_set(TT_INVALID,
				       "too many tokens of the vocabulary have one hash");
		at = (at + 1) & (v->slots - 1);
	}
	v->slot[at] = *entry;
	return TT_OK;
}

static int vocab_rehash(struct vocab *v)
{
	const struct vocab old = *v;
	int r;

	if (v->used * 2 < v->slots)
		return TT_OK;
	r = vocab_slots(v, v->slots * 2);
	for (size_t i = 0; i < old.slots && r == TT_OK; i++)
		if (old.slot[i].id >= 0)
			r = vocab_insert(v, &old.slot[i]);
	return r;
}

/* Room for `id` in the tables by id. */
static int vocab_ids(struct vocab *v, int32_t id)
{
	const char **token;
	uint32_t *length;
	int32_t room = v->room ? v->room : 1024;

	if (id < v->room)
		return TT_OK;
	while (room <= id)
		room *= 2;
	token = arena_zero(v->arena, (size_t)room, sizeof(*token));
	length = arena_zero(v->arena, (size_t)room, sizeof(*length));
	if (!token || !length)
		return TT_NOMEM;
	if (v->size) {
		memcpy(token, v->token, (size_t)v->size * sizeof(*token));
		memcpy(length, v->length, (size_t)v->size * sizeof(*length));
	}
	v->token = token;
	v->length = length;
	v->room = room;
	return TT_OK;
}

/* Tokens are short and many, so they share blocks. */
static const char *vocab_copy(struct vocab *v, const char *token, size_t n)
{
	char *copy;

	if (n + 1 > v->pool_left) {
		const size_t block = n + 1 > POOL_BLOCK ? n + 1 : POOL_BLOCK;
		v->pool = arena_alloc(v->arena, block);
		if (!v->pool) {
			v->pool_left = 0;
			return NULL;
		}
		v->pool_left = block;
	}
	copy = v->pool;
	if (n)
		memcpy(copy, token, n);
	copy[n] = 0;
	v->pool += n + 1;
	v->pool_left -= n + 1;
	return copy;
}

int vocab_add(struct vocab *v, const char *token, size_t n, int32_t id)
{
	struct vocab_slot entry = { .hash = vocab_hash(VOCAB_HASH, token, n), .id = id };
	const char *copy;
	int r;

	if (id < 0 || id >= VOCAB_MAX)
		return err_set(TT_INVALID, "the token '%.80s' has the id %d; ids are 0 to %d",
			       token, (int)id, VOCAB_MAX - 1);
	if (vocab_find_hashed(v, entry.hash, "", 0, token, n) >= 0)
		return err_set(TT_INVALID, "the token '%.80s' is twice in the vocabulary", token);
	r = vocab_ids(v, id);
	if (r == TT_OK)
		r = vocab_rehash(v);
	if (r < 0)
		return r;
	if (v->token[id])
		return err_set(TT_INVALID, "the tokens '%.80s' and '%.80s' have the same id %d",
			       v->token[id], token, (int)id);
	copy = vocab_copy(v, token, n);
	if (!copy)
		return TT_NOMEM;
	entry.token = copy;
	entry.length = (uint32_t)n;
	r = vocab_insert(v, &entry);
	if (r < 0)
		return r;
	v->token[id] = copy;
	v->length[id] = (uint32_t)n;
	v->used++;
	v->size = id >= v->size ? id + 1 : v->size;
	v->longest = n > v->longest ? n : v->longest;
	return TT_OK;
}

int vocab_move(struct vocab *v, const char *token, size_t n, int32_t id)
{
	const uint64_t hash = vocab_hash(VOCAB_HASH, token, n);
	const int32_t old = vocab_find_hashed(v, hash, "", 0, token, n);
	size_t at = vocab_place(v, hash);
	int r = vocab_ids(v, id);

	if (r < 0)
		return r;
	while (v->slot[at].id != old)
		at = (at + 1) & (v->slots - 1);
	v->slot[at].id = id;
	v->token[id] = v->token[old];
	v->length[id] = v->length[old];
	v->token[old] = NULL;
	v->length[old] = 0;
	v->size = id >= v->size ? id + 1 : v->size;
	return TT_OK;
}

int32_t vocab_find(const struct vocab *v, const char *token, size_t n)
{
	return vocab_find_hashed(v, vocab_hash(VOCAB_HASH, token, n), "", 0, token, n);
}
