/* The shard cut: whole sequences, in order, near-equal, and by the lengths alone. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/rng.h"
#include "data/shard.h"

static const struct {
	size_t n;
	int32_t length[8];
	size_t shards, end[8];
} cases[] = {
	{ 1, { 5 }, 1, { 1 } },
	{ 3, { 10, 10, 10 }, 1, { 3 } },
	{ 4, { 64, 64, 64, 64 }, 4, { 1, 2, 3, 4 } }, /* small, but worth four */
	{ 4, { 64, 64, 64, 63 }, 1, { 4 } },
	{ 3, { 100, 100, 100 }, 3, { 1, 2, 3 } },
	{ 8, { 100, 100, 100, 100, 100, 100, 100, 100 }, 4, { 2, 4, 6, 8 } },
	{ 5, { 2000, 1, 1, 1, 1 }, 4, { 1, 2, 3, 5 } },
	{ 5, { 1, 1, 1, 1, 2000 }, 4, { 2, 3, 4, 5 } },
	{ 6, { 100, 1, 100, 1, 100, 100 }, 4, { 1, 3, 5, 6 } },
};

static void cut_is_sound(const int32_t *length, size_t n, size_t max)
{
	size_t *end = malloc((n + 1) * sizeof(*end)), at = 0, again;
	const size_t k = shard_cut(length, n, max, end);
	int64_t total = 0, most = 0, longest = 0;
	bool ok = k <= max && k <= n && (k > 0) == (n > 0 && max > 0);

	for (size_t i = 0; i < k; i++) {
		int64_t sum = 0;
		ok = ok && end[i] > at;
		for (; ok && at < end[i]; at++) {
			sum += length[at];
			longest = length[at] > longest ? length[at] : longest;
		}
		total += sum;
		most = sum > most ? sum : most;
	}
	ok = ok && (!k || at == n);
	/* Each end is within half a sequence of its place, so a shard within one. */
	ok = ok && (!k || most <= total / (int64_t)k + 1 + longest);
	again = shard_cut(length, n, max, end);
	check_line(ok && again == k, __FILE__, __LINE__, "a cut of random lengths");
	free(end);
}

int main(void)
{
	int32_t length[600];
	struct rng rng;

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t end[8];
		const size_t k = shard_cut(cases[i].length, cases[i].n, 8, end);
		char name[32];

		snprintf(name, sizeof(name), "case %zu", i);
		CHECK_NAMED(k == cases[i].shards && !memcmp(end, cases[i].end, k * sizeof(*end)),
			    name);
	}
	rng_init(&rng, 7, RNG_TEST, 0);
	for (int round = 0; round < 60; round++) {
		const size_t n = rng_below(&rng, 600);

		for (size_t i = 0; i < n; i++)
			length[i] = 1 + (int32_t)rng_below(&rng, round % 2 ? 40 : 500);
		cut_is_sound(length, n, round % 5 ? 1000 : 3);
	}
	cut_is_sound(length, 0, 4);
	CHECK(shard_cut(length, 5, 0, NULL) == 0);
	return check_done();
}
