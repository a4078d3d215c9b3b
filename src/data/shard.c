/*
 * The deal. The longest sequence goes first, each to the shard that has the
 * fewest tokens so far (Graham 1969), so that shards differ by little more than
 * the shortest sequence: threads end a step together. Cutting the window where
 * it stands would leave them half a sequence apart at every cut. Within its
 * shard a sequence keeps its place among the others.
 */
#include "data/shard.h"

#include "base/err.h"

static size_t shard_count(int64_t total, size_t n)
{
	size_t k = (size_t)((total + SHARD_TOKENS - 1) / SHARD_TOKENS);

	if (total >= SHARD_SMALL && k < SHARD_LEAST)
		k = SHARD_LEAST;
	if (k > n)
		k = n;
	return k ? k : 1;
}

/* Does a come before b: longer, or as long and earlier? */
static int before(const int32_t *length, size_t a, size_t b)
{
	return length[a] != length[b] ? length[a] > length[b] : a < b;
}

/* Let the element at `at` sink in a heap of n whose top is the last in order. */
static void sink(const int32_t *length, size_t *heap, size_t at, size_t n)
{
	for (;;) {
		size_t last = at, child = 2 * at + 1, one;

		for (size_t i = child; i < child + 2 && i < n; i++)
			if (before(length, heap[last], heap[i]))
				last = i;
		if (last == at)
			return;
		one = heap[at];
		heap[at] = heap[last];
		heap[last] = one;
		at = last;
	}
}

/* Heap sort, since qsort may allocate. */
static void sort_by_length(const int32_t *length, size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n / 2; i-- > 0;)
		sink(length, order, i, n);
	for (size_t i = n; i-- > 1;) {
		const size_t one = order[0];

		order[0] = order[i];
		order[i] = one;
		sink(length, order, 0, i);
	}
}

static size_t least_loaded(const int64_t *load, size_t k)
{
	size_t least = 0;

	for (size_t i = 1; i < k; i++)
		if (load[i] < load[least])
			least = i;
	return least;
}

int shard_deal(struct arena *a, const int32_t *length, size_t n, struct shards *ret)
{
	int64_t total = 0, *load;
	size_t k, *order, *end, *shard, at = 0;

	for (size_t i = 0; i < n; i++)
		total += length[i];
	k = n ? shard_count(total, n) : 0;
	load = arena_zero(a, k, sizeof(*load));
	order = arena_zero(a, n, sizeof(*order));
	end = arena_zero(a, k, sizeof(*end));
	shard = arena_zero(a, n, sizeof(*shard)); /* of each sequence */
	if (!load || !order || !end || !shard)
		return err_in("%zu sequences in a step", n);
	sort_by_length(length, order, n);
	for (size_t i = 0; i < n; i++) {
		/* the first k open a shard each, however short */
		const size_t s = i < k ? i : least_loaded(load, k);

		load[s] += length[order[i]];
		shard[order[i]] = s;
		end[s]++;
	}
	for (size_t s = 1; s < k; s++)
		end[s] += end[s - 1];
	for (size_t s = 0; s < k; s++)
		for (size_t i = 0; i < n && at < end[s]; i++)
			if (shard[i] == s)
				order[at++] = i;
	*ret = (struct shards){ k, order, end };
	return TT_OK;
}
