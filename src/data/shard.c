/*
 * The shard cut. With k shards over a total of T tokens, shard i ends at the
 * sequence boundary nearest to T (i + 1) / k that leaves every shard, before
 * and behind, at least one sequence.
 */
#include "data/shard.h"

static size_t shard_count(int64_t total, size_t n, size_t max)
{
	size_t k = (size_t)((total + SHARD_TOKENS - 1) / SHARD_TOKENS);

	if (total >= SHARD_SMALL && k < SHARD_LEAST)
		k = SHARD_LEAST;
	if (k > n)
		k = n;
	if (k > max)
		k = max;
	return k ? k : 1;
}

size_t shard_cut(const int32_t *length, size_t n, size_t max, size_t *ret_end)
{
	int64_t total = 0, sum = 0;
	size_t at = 0, k;

	if (!n || !max)
		return 0;
	for (size_t i = 0; i < n; i++)
		total += length[i];
	k = shard_count(total, n, max);
	for (size_t i = 0; i < k; i++) {
		const size_t last = n - (k - 1 - i); /* one sequence for each shard to come */
		const int64_t goal = total / (int64_t)k * (int64_t)(i + 1) +
				     total % (int64_t)k * (int64_t)(i + 1) / (int64_t)k;

		sum += length[at++];
		while (at < last && 2 * sum + length[at] <= 2 * goal)
			sum += length[at++];
		if (i + 1 == k)
			at = n;
		ret_end[i] = at;
	}
	return k;
}
