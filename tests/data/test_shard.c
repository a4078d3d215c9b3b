/* The deal into shards: whole sequences, near-equal, and by the lengths alone. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "data/shard.h"

static struct arena *arena;

static const struct {
	size_t n;
	int32_t length[8];
	size_t shards, order[8], end[8];
} cases[] = {
	{ 0, { 0 }, 0, { 0 }, { 0 } },
	{ 1, { 5 }, 1, { 0 }, { 1 } },
	{ 3, { 10, 10, 10 }, 1, { 0, 1, 2 }, { 3 } },
	{ 4, { 64, 64, 64, 64 }, 4, { 0, 1, 2, 3 }, { 1, 2, 3, 4 } }, /* small, but worth four */
	{ 4, { 64, 64, 64, 63 }, 1, { 0, 1, 2, 3 }, { 4 } },
	{ 3, { 100, 100, 100 }, 3, { 0, 1, 2 }, { 1, 2, 3 } },
	{ 5, { 1, 1, 1, 1, 2000 }, 4, { 4, 0, 3, 1, 2 }, { 1, 3, 4, 5 } },
	{ 6, { 100, 1, 100, 1, 100, 100 }, 4, { 0, 1, 2, 3, 4, 5 }, { 2, 4, 5, 6 } },
	{ 8, { 10, 20, 30, 40, 50, 60, 70, 80 }, 4, { 0, 7, 1, 6, 2, 5, 3, 4 }, { 2, 4, 6, 8 } },
};

static int64_t tokens_of(const struct shards *s, const int32_t *length, size_t i)
{
	int64_t sum = 0;

	for (size_t k = i ? s->end[i - 1] : 0; k < s->end[i]; k++)
		sum += length[s->order[k]];
	return sum;
}

static void deal_is_sound(const int32_t *length, size_t n)
{
	const struct arena_mark mark = arena_mark(arena);
	unsigned char *seen = arena_zero(arena, n, 1);
	int64_t most = 0, least = INT64_MAX, longest = 0;
	struct shards s, again;
	bool ok = shard_deal(arena, length, n, &s) == TT_OK && s.n > 0 && s.end[s.n - 1] == n;

	for (size_t i = 0; ok && i < s.n; i++) {
		const int64_t sum = tokens_of(&s, length, i);
		const size_t from = i ? s.end[i - 1] : 0;

		ok = s.end[i] > from;
		for (size_t k = from + 1; k < s.end[i]; k++)
			ok = ok && s.order[k] > s.order[k - 1];
		most = sum > most ? sum : most;
		least = sum < least ? sum : least;
	}
	for (size_t i = 0; ok && i < n; i++) {
		ok = s.order[i] < n && !seen[s.order[i]]++;
		longest = length[i] > longest ? length[i] : longest;
	}
	/* a shard took its last sequence when it had the fewest tokens */
	ok = ok && most - least <= longest;
	ok = ok && shard_deal(arena, length, n, &again) == TT_OK && again.n == s.n &&
	     !memcmp(again.order, s.order, n * sizeof(*s.order));
	check_line(ok, __FILE__, __LINE__, "a deal of random lengths");
	arena_rewind(arena, mark);
}

/* Batches of short sentences: two threads that take shards in turn end together. */
static void threads_end_together(struct rng *rng)
{
	int64_t all = 0, longer = 0;

	for (int round = 0; round < 200; round++) {
		int32_t length[32];
		int64_t load[2] = { 0 };
		struct shards s;

		for (int i = 0; i < 32; i++)
			length[i] = 4 + (int32_t)rng_below(rng, 50);
		CHECK(shard_deal(arena, length, 32, &s) == TT_OK);
		for (size_t i = 0; i < s.n; i++)
			load[load[1] < load[0]] += tokens_of(&s, length, i);
		all += load[0] + load[1];
		longer += load[0] > load[1] ? load[0] : load[1];
	}
	CHECK((double)all / (double)longer > 1.98);
}

int main(void)
{
	int32_t length[600];
	struct rng rng;

	arena = arena_new();
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct shards s;
		char name[32];

		snprintf(name, sizeof(name), "case %zu", i);
		CHECK_NAMED(shard_deal(arena, cases[i].length, cases[i].n, &s) == TT_OK &&
				    s.n == cases[i].shards &&
				    !memcmp(s.end, cases[i].end, s.n * sizeof(*s.end)) &&
				    !memcmp(s.order, cases[i].order, cases[i].n * sizeof(*s.order)),
			    name);
	}
	rng_init(&rng, 7, RNG_TEST, 0);
	for (int round = 0; round < 60; round++) {
		const size_t n = 1 + rng_below(&rng, 599);

		for (size_t i = 0; i < n; i++)
			length[i] = 1 + (int32_t)rng_below(&rng, round % 2 ? 40 : 500);
		deal_is_sound(length, n);
	}
	threads_end_together(&rng);
	arena_free(arena);
	return check_done();
}
