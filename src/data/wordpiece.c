/*
 * WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019): from the left,
 * the longest piece of the vocabulary that fits; pieces that do not begin a
 * word are looked up with a prefix, "##". If at any place nothing fits, the
 * whole word is the unknown token.
 *
 * The hash grows byte by byte, so one pass forward gives the hash of every
 * candidate and the search runs backward over them. Short words are kept in a
 * small cache, a word a cache line, replaced by whatever falls on its place.
 */
#include <string.h>

#include "base/err.h"
#include "data/family.h"
#include "data/text.h"

enum { PIECE_MAX = 1024, PREFIX_MAX = 64, CACHE_SLOTS = 8192, CACHE_TEXT = 30, CACHE_IDS = 8 };

struct wordpiece {
	const char *prefix;
	size_t prefix_size;
	uint64_t prefix_hash;
	const char *unk_text;
	int32_t unk;
	size_t max_chars; /* longer words are unknown */
};

/* One word of the cache: a cache line. n 0: free. */
struct cached {
	uint8_t size, n;
	char text[CACHE_TEXT];
	int32_t id[CACHE_IDS];
};

static int wordpiece_settings(const struct json *model, struct arena *a, struct wordpiece *w)
{
	const char *prefix = json_text(json_get(model, "continuing_subword_prefix"));
	const char *unk = json_text(json_get(model, "unk_token"));
	const struct json *max = json_get(model, "max_input_chars_per_word");
	int64_t chars = 100;

	prefix = prefix ? prefix : "##";
	unk = unk ? unk : "[UNK]";
	if (max && (!json_int(max, &chars) || chars < 0 || chars > 1000000))
		return err_set(TT_INVALID, "model.max_input_chars_per_word must be a whole number "
					   "from 0 to 1000000");
	if (strlen(prefix) > PREFIX_MAX)
		return err_set(TT_INVALID,
			       "model.continuing_subword_prefix is longer than %d bytes",
			       PREFIX_MAX);
	w->max_chars = (size_t)chars;
	w->prefix = arena_text(a, prefix);
	w->unk_text = arena_text(a, unk);
	return w->prefix && w->unk_text ? TT_OK : TT_NOMEM;
}

static int wordpiece_open(const struct json *model, const struct vocab *v, struct arena *a,
			  void **ret)
{
	struct wordpiece *w = arena_zero(a, 1, sizeof(*w));
	int r;

	if (!w)
		return TT_NOMEM;
	r = wordpiece_settings(model, a, w);
	if (r < 0)
		return r;
	if (v->longest > PIECE_MAX)
		return err_set(TT_INVALID, "a WordPiece token is longer than %d bytes", PIECE_MAX);
	w->prefix_size = strlen(w->prefix);
	w->prefix_hash = vocab_hash(VOCAB_HASH, w->prefix, w->prefix_size);
	w->unk = vocab_find(v, w->unk_text, strlen(w->unk_text));
	if (w->unk < 0)
		return err_set(TT_INVALID, "the unknown token '%.80s' is not in the vocabulary",
			       w->unk_text);
	*ret = w;
	return TT_OK;
}

/* The longest piece at s[from..n); -1: none fits. *ret_end is where it ends. */
static int32_t wordpiece_longest(const struct wordpiece *w, const struct vocab *v, const char *s,
				 size_t from, size_t n, size_t *ret_end)
{
	uint64_t hash[PIECE_MAX + 1];
	const char *prefix = from ? w->prefix : "";
	const size_t np = from ? w->prefix_size : 0;
	const size_t room = v->longest > np ? v->longest - np : 0;
	size_t length = n - from < room ? n - from : room;

	hash[0] = from ? w->prefix_hash : VOCAB_HASH;
	for (size_t i = 0; i < length; i++)
		hash[i + 1] = vocab_hash_byte(hash[i], s[from + i]);
	for (; length > 0; length--) {
		int32_t id;
		if (from + length < n && (s[from + length] & 0xc0) == 0x80)
			continue;
		id = vocab_find_hashed(v, hash[length], prefix, np, s + from, length);
		if (id >= 0) {
			*ret_end = from + length;
			return id;
		}
	}
	return -1;
}

static int wordpiece_rest(const struct wordpiece *w, const struct vocab *v, const char *s, size_t n,
			  size_t at, int32_t word, struct tokens *ret, size_t first)
{
	while (at < n) {
		const int32_t id = wordpiece_longest(w, v, s, at, n, &at);

		if (tokens_room(ret, 1) < 0)
			return TT_NOMEM;
		if (id < 0) {
			ret->n = first;
			tokens_push(ret, w->unk, word);
			return TT_OK;
		}
		tokens_push(ret, id, word);
	}
	return TT_OK;
}

static struct cached *cache_slot(struct cached *cache, const char *s, size_t n)
{
	const uint64_t h = vocab_hash(VOCAB_HASH, s, n) * UINT64_C(0x9e3779b97f4a7c15);

	return &cache[h >> 51];
}

_Static_assert(CACHE_SLOTS == 1 << 13, "cache_slot takes the upper 13 bits");

static void cache_keep(struct cached *slot, const char *s, size_t n, const struct tokens *t,
		       size_t first)
{
	if (t->n - first > CACHE_IDS)
		return;
	slot->size = (uint8_t)n;
	slot->n = (uint8_t)(t->n - first);
	memcpy(slot->text, s, n);
	memcpy(slot->id, t->id + first, slot->n * sizeof(*slot->id));
}

static int wordpiece_encode(const void *state, const struct vocab *v, const char *s, size_t n,
			    int32_t word, void *cache, struct tokens *ret)
{
	const struct wordpiece *w = state;
	const size_t first = ret->n;
	struct cached *slot = NULL;
	size_t at = 0;
	int32_t id;
	int r;

	if (tokens_room(ret, CACHE_IDS) < 0)
		return TT_NOMEM;
	if (n > w->max_chars && utf8_count(s, n) > w->max_chars) {
		tokens_push(ret, w->unk, word);
		return TT_OK;
	}
	if (cache && n <= CACHE_TEXT) {
		slot = cache_slot(cache, s, n);
		if (slot->n && slot->size == n && !memcmp(slot->text, s, n)) {
			for (size_t i = 0; i < slot->n; i++)
				tokens_push(ret, slot->id[i], word);
			return TT_OK;
		}
	}
	id = wordpiece_longest(w, v, s, 0, n, &at);
	tokens_push(ret, id < 0 ? w->unk : id, word);
	if (id < 0)
		at = n;
	r = wordpiece_rest(w, v, s, n, at, word, ret, first);
	if (r == TT_OK && slot)
		cache_keep(slot, s, n, ret, first);
	return r;
}

static const char *wordpiece_unk(const void *state)
{
	return ((const struct wordpiece *)state)->unk_text;
}

const struct family_ops family_wordpiece = {
	.name = "WordPiece",
	.open = wordpiece_open,
	.vocab = family_vocab_object,
	.encode = wordpiece_encode,
	.cache_size = CACHE_SLOTS * sizeof(struct cached),
	.unk = wordpiece_unk,
};
