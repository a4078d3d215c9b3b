/* The order of an epoch: a shuffle, and sorting by length within large pieces of it. */
#include "data/order.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/rng.h"

enum { MEGA_BATCHES = 50 };

/* Fisher and Yates, from the back. */
static void order_shuffle(int64_t *at, size_t n, uint64_t seed, int64_t epoch)
{
	struct rng rng;

	rng_init(&rng, seed, RNG_SHUFFLE, (uint32_t)epoch);
	for (size_t i = n; i > 1; i--) {
		const size_t k = rng_below(&rng, (uint32_t)i);
		const int64_t swap = at[i - 1];
		at[i - 1] = at[k];
		at[k] = swap;
	}
}

/* One example while a piece is sorted; place keeps the sort stable. */
struct item {
	int64_t example;
	int32_t length;
	uint32_t place;
};

static int longest_first(const void *x, const void *y)
{
	const struct item *a = x, *b = y;

	if (a->length != b->length)
		return a->length > b->length ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

static size_t mega_size(const struct order_options *how)
{
	const size_t batch = (size_t)how->batch;
	size_t many = how->n / batch / 4;

	many = many > MEGA_BATCHES ? MEGA_BATCHES : many;
	return batch * (many ? many : 1);
}

static int order_group(struct arena *a, const struct order_options *how, int64_t *at)
{
	const size_t mega = mega_size(how);
	struct item *item = arena_alloc(a, (mega < how->n ? mega : how->n) * sizeof(*item));

	if (!item)
		return TT_NOMEM;
	for (size_t from = 0; from < how->n; from += mega) {
		const size_t n = how->n - from < mega ? how->n - from : mega;

		for (size_t i = 0; i < n; i++)
			item[i] = (struct item){ at[from + i], how->length[at[from + i]],
						 (uint32_t)i };
		qsort(item, n, sizeof(*item), longest_first);
		for (size_t i = 0; i < n; i++)
			at[from + i] = item[i].example;
	}
	return TT_OK;
}

int order_epoch(struct arena *a, const struct order_options *how, int64_t **ret)
{
	int64_t *at;
	int r = TT_OK;

	if (how->n > UINT32_MAX)
		return err_set(TT_INVALID, "there are more than %u examples", UINT32_MAX);
	if (how->group_by_length && (how->batch < 1 || !how->length))
		return err_set(TT_INVALID, "group_by_length needs a batch size of at least 1");
	at = arena_alloc(a, how->n * sizeof(*at));
	if (!at)
		return TT_NOMEM;
	for (size_t i = 0; i < how->n; i++)
		at[i] = (int64_t)i;
	if (how->shuffle)
		order_shuffle(at, how->n, how->seed, how->epoch);
	if (how->group_by_length && how->n)
		r = order_group(a, how, at);
	if (r == TT_OK)
		*ret = at;
	return r;
}
