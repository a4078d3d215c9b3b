/* The vocabulary: finding, holes, refusals, growth, and a token that moves. */
#include "tests/check.h"

#include "base/err.h"
#include "data/vocab.h"

static void grows_to_many(struct arena *a)
{
	struct vocab v;
	char token[16];
	size_t bad = 0;

	CHECK(vocab_init(&v, a, 0) == TT_OK);
	for (int32_t i = 0; i < 50000; i++) {
		snprintf(token, sizeof(token), "t%d", (int)i);
		bad += vocab_add(&v, token, strlen(token), i) != TT_OK;
	}
	for (int32_t i = 0; i < 50000; i++) {
		snprintf(token, sizeof(token), "t%d", (int)i);
		bad += vocab_find(&v, token, strlen(token)) != i || strcmp(v.token[i], token) != 0;
	}
	CHECK(bad == 0 && v.size == 50000 && v.longest == 6);
	CHECK(vocab_find(&v, "t50000", 6) == -1 && vocab_find(&v, "", 0) == -1);
}

static void refuses_what_is_taken(struct arena *a)
{
	struct vocab v;

	CHECK(vocab_init(&v, a, 4) == TT_OK);
	CHECK(vocab_add(&v, "a", 1, 0) == TT_OK && vocab_add(&v, "b", 1, 5) == TT_OK);
	CHECK(vocab_add(&v, "a", 1, 1) == TT_INVALID);
	CHECK(vocab_add(&v, "c", 1, 5) == TT_INVALID);
	CHECK_STR(err_text(), "the tokens 'b' and 'c' have the same id 5");
	CHECK(vocab_add(&v, "d", 1, -1) == TT_INVALID &&
	      vocab_add(&v, "d", 1, VOCAB_MAX) == TT_INVALID);
	CHECK(v.size == 6 && !v.token[3]);
	CHECK(vocab_init(&v, a, (size_t)VOCAB_MAX + 1) == TT_INVALID);
}

static void a_token_moves(struct arena *a)
{
	struct vocab v;

	CHECK(vocab_init(&v, a, 4) == TT_OK);
	CHECK(vocab_add(&v, "a", 1, 0) == TT_OK && vocab_move(&v, "a", 1, 3000) == TT_OK);
	CHECK(vocab_find(&v, "a", 1) == 3000 && !v.token[0] && v.size == 3001);
	CHECK_STR(v.token[3000], "a");
}

static void prefixes_are_compared(struct arena *a)
{
	struct vocab v;
	uint64_t h;

	CHECK(vocab_init(&v, a, 4) == TT_OK && vocab_add(&v, "##ab", 4, 0) == TT_OK);
	h = vocab_hash(vocab_hash(VOCAB_HASH, "##", 2), "ab", 2);
	CHECK(vocab_find_hashed(&v, h, "##", 2, "ab", 2) == 0);
	CHECK(vocab_find_hashed(&v, h, "#!", 2, "ab", 2) == -1);
	CHECK(vocab_find_hashed(&v, h, "##", 2, "ac", 2) == -1);
}

int main(void)
{
	struct arena *a = arena_new();

	grows_to_many(a);
	refuses_what_is_taken(a);
	a_token_moves(a);
	prefixes_are_compared(a);
	arena_free(a);
	return check_done();
}
