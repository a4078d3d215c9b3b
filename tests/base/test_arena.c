/* Arenas: alignment, growth, reuse after a rewind, and refusal of what cannot be. */
#include "tests/check.h"

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"

static bool is_aligned(const void *p) { return (uintptr_t)p % 64 == 0; }

static void allocations_do_not_overlap(void)
{
	enum { N = 2000 };
	struct arena *a = arena_new();
	unsigned char *p[N];
	size_t size[N];
	struct rng r;
	bool aligned = true, whole = true;

	rng_init(&r, 1, RNG_TEST, 0);
	for (int i = 0; i < N; i++) {
		size[i] = rng_below(&r, i % 50 ? 300 : 100000);
		p[i] = arena_alloc(a, size[i]);
		aligned = aligned && p[i] && is_aligned(p[i]);
		memset(p[i], i & 0xFF, size[i]);
	}
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < size[i]; j++)
			whole = whole && p[i][j] == (i & 0xFF);
	CHECK(aligned);
	CHECK(whole);
	arena_free(a);
}

/* The step arena relies on this: a step that repeats takes nothing from the system. */
static void rewind_reuses_blocks(void)
{
	struct arena *a = arena_new();
	const struct arena_mark mark = arena_mark(a);
	size_t held = 0;
	bool stays = true;

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 40; i++)
			memset(arena_alloc(a, (size_t)(i + 1) * 7000), 1, (size_t)(i + 1) * 7000);
		if (round)
			stays = stays && arena_bytes(a) == held;
		held = arena_bytes(a);
		arena_rewind(a, mark);
	}
	CHECK(held > 0);
	CHECK(stays);
	arena_free(a);
}

/* So does one that differs a little: no block is lost because it once was too small for what came. */
static void rounds_that_differ_share_blocks(void)
{
	struct arena *a = arena_new();
	const struct arena_mark mark = arena_mark(a);
	size_t most = 0;
	struct rng r;

	rng_init(&r, 3, RNG_TEST, 0);
	for (int round = 0; round < 100; round++) {
		const size_t unit = 90000 + rng_below(&r, 10000);
		size_t sum = 0;

		for (int i = 0; i < 60; i++) {
			const size_t size = (size_t)(1 + i % 4) * unit;

			arena_alloc(a, i % 7 ? size : 100);
			sum += size;
		}
		most = sum > most ? sum : most;
		arena_rewind(a, mark);
	}
	CHECK(arena_bytes(a) <= 2 * most);
	CHECK(arena_reached(a) <= most + most / 4);
	arena_free(a);
}

static void fill(struct arena *a, struct rng *r, size_t left)
{
	for (size_t size = rng_below(r, 90000); size + 64 < left; size = rng_below(r, 90000)) {
		memset(arena_alloc(a, size), 1, size);
		left -= size + 64;
	}
}

/* What was reached in many blocks is one, in which any other sizes fit that are no more. */
static void reserve_is_one_piece(void)
{
	struct arena *a = arena_new(), *like = arena_new();
	const struct arena_mark mark = arena_mark(a);
	size_t reached, held;
	struct rng r;
	bool stays = true;

	for (int i = 0; i < 40; i++)
		arena_alloc(a, (size_t)(i + 1) * 7000);
	reached = arena_reached(a);
	CHECK(arena_reserve(a, 1000) == TT_OK && arena_reached(a) == reached);
	CHECK(arena_reserve(like, reached) == TT_OK && !arena_reached(like));
	held = arena_bytes(a);
	CHECK(held == reached && arena_bytes(like) == held);
	rng_init(&r, 2, RNG_TEST, 0);
	for (int round = 0; round < 50; round++) {
		fill(a, &r, reached);
		fill(like, &r, reached);
		stays = stays && arena_bytes(a) == held && arena_bytes(like) == held;
		arena_rewind(a, mark);
		arena_rewind(like, mark);
	}
	CHECK(stays && arena_reached(like) > reached / 2);
	CHECK(arena_reserve(a, held / 2) == TT_OK && arena_bytes(a) == held);
	CHECK(arena_reserve(a, SIZE_MAX) == TT_NOMEM && arena_alloc(a, 100) != NULL);
	arena_free(like);
	arena_free(a);
}

static void rewind_keeps_what_is_older(void)
{
	struct arena *a = arena_new();
	char *old = arena_text(a, "older");
	const struct arena_mark mark = arena_mark(a);
	char *first = arena_alloc(a, 100), *again;

	arena_alloc(a, 1 << 20);
	arena_rewind(a, mark);
	again = arena_alloc(a, 100);
	memset(again, 'x', 100);
	CHECK(first == again);
	CHECK_STR(old, "older");
	arena_free(a);
}

static void zeros_and_texts(void)
{
	struct arena *a = arena_new();
	const struct arena_mark mark = arena_mark(a);
	unsigned char *z = arena_alloc(a, 1000);
	int sum = 0;

	memset(z, 0xFF, 1000);
	arena_rewind(a, mark);
	z = arena_zero(a, 10, 100);
	for (int i = 0; i < 1000; i++)
		sum += z[i];
	CHECK(sum == 0);
	CHECK_STR(arena_printf(a, "%d-%s", 7, "b"), "7-b");
	CHECK(arena_alloc(a, 0) != NULL);
	CHECK(arena_zero(a, 0, 8) != NULL);
	arena_free(a);
}

static void what_cannot_be_is_refused(void)
{
	struct arena *a = arena_new();

	CHECK(arena_alloc(a, SIZE_MAX) == NULL);
	CHECK(strstr(err_text(), "not enough memory"));
	CHECK(arena_zero(a, SIZE_MAX / 2, 4) == NULL);
	CHECK(arena_bytes(a) == 0);
	CHECK(arena_alloc(a, 8) != NULL);
	arena_free(a);
	arena_free(NULL);
}

int main(void)
{
	allocations_do_not_overlap();
	rewind_reuses_blocks();
	rounds_that_differ_share_blocks();
	reserve_is_one_piece();
	rewind_keeps_what_is_older();
	zeros_and_texts();
	what_cannot_be_is_refused();
	return check_done();
}
