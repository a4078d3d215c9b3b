/* The order of an epoch: a permutation, the same for the same seed, grouped when asked. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/err.h"
#include "data/order.h"

enum { N = 1000 };

static bool is_permutation(const int64_t *at, size_t n)
{
	unsigned char seen[N] = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (at[i] < 0 || (size_t)at[i] >= n || seen[at[i]])
			return false;
		seen[at[i]] = 1;
	}
	return true;
}

static size_t same_places(const int64_t *a, const int64_t *b, size_t n)
{
	size_t same = 0;

	for (size_t i = 0; i < n; i++)
		same += a[i] == b[i];
	return same;
}

static void shuffles(struct arena *a)
{
	struct order_options how = { .n = N, .seed = 42, .epoch = 1, .shuffle = true };
	int64_t *first, *again, *next, *other;

	CHECK(order_epoch(a, &how, &first) == TT_OK && order_epoch(a, &how, &again) == TT_OK);
	CHECK(is_permutation(first, N) && same_places(first, again, N) == N);
	how.epoch = 2;
	CHECK(order_epoch(a, &how, &next) == TT_OK && is_permutation(next, N));
	CHECK(same_places(first, next, N) < 20);
	how.seed = 43;
	CHECK(order_epoch(a, &how, &other) == TT_OK && same_places(next, other, N) < 20);
	how.shuffle = false;
	CHECK(order_epoch(a, &how, &other) == TT_OK && other[0] == 0 && other[N - 1] == N - 1);
	how.n = 0;
	CHECK(order_epoch(a, &how, &other) == TT_OK);
}

/* Every one of the 3! orders of three comes equally often. */
static void a_shuffle_is_fair(struct arena *a)
{
	int count[27] = { 0 }, kinds = 0, least = 1 << 30, most = 0;
	const struct arena_mark mark = arena_mark(a);

	for (int64_t epoch = 0; epoch < 6000; epoch++) {
		const struct order_options how = {
			.n = 3, .seed = 1, .epoch = epoch, .shuffle = true
		};
		int64_t *at;

		if (order_epoch(a, &how, &at) < 0)
			break;
		count[at[0] * 9 + at[1] * 3 + at[2]]++;
		arena_rewind(a, mark);
	}
	for (int i = 0; i < 27; i++) {
		if (!count[i])
			continue;
		kinds++;
		least = count[i] < least ? count[i] : least;
		most = count[i] > most ? count[i] : most;
	}
	CHECK(kinds == 6 && least > 850 && most < 1150); /* 1000 +- 5 standard deviations */
}

static void groups_by_length(struct arena *a)
{
	int32_t length[N];
	struct order_options how = { .n = N,
				     .seed = 5,
				     .shuffle = true,
				     .group_by_length = true,
				     .length = length,
				     .batch = 8 };
	int64_t *at, *again, waste = 0, plain = 0;

	for (int i = 0; i < N; i++)
		length[i] = 1 + i * 7919 % 97;
	CHECK(order_epoch(a, &how, &at) == TT_OK && is_permutation(at, N));
	CHECK(order_epoch(a, &how, &again) == TT_OK && same_places(at, again, N) == N);
	for (int i = 0; i < N; i++) {
		waste += length[at[i - i % 8]] - length[at[i]];
		plain += 97 - length[at[i]];
	}
	CHECK(waste >= 0 && waste * 5 < plain);
	how.shuffle = false;
	for (int i = 0; i < N; i++)
		length[i] = 3;
	CHECK(order_epoch(a, &how, &at) == TT_OK && at[0] == 0 && at[1] == 1 && at[N - 1] == N - 1);
	how.batch = 0;
	CHECK(order_epoch(a, &how, &at) == TT_INVALID);
	how.batch = 5000;
	CHECK(order_epoch(a, &how, &at) == TT_OK && is_permutation(at, N));
}

int main(void)
{
	struct arena *a = arena_new();

	shuffles(a);
	a_shuffle_is_fair(a);
	groups_by_length(a);
	arena_free(a);
	return check_done();
}
