/* The sum over shards has the same bits for any number of threads and any order of arrival. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/rng.h"
#include "tensor/leaves.h"
#include "tensor/pool.h"

enum { LEAVES = 5, BIG = LEAF_BIG + 17, SHARDS = 9, ROUNDS = 12 };

static const int64_t counts[LEAVES] = { 3, 1000, BIG, 16, BIG };

struct work {
	struct leaves *l;
	struct tensor *const *leaf;
	uint32_t round; /* decides in which order a shard visits the leaves */
	bool shuffled;
};

/* Leaf 3 is never touched; leaf 4 by odd shards only; leaf 1 twice by shard 2. */
static bool touches(int slot, int shard) { return slot != 3 && (slot != 4 || shard % 2); }

static float part(int slot, int shard, int64_t i)
{
	uint32_t w[4];

	rng_block(3, RNG_TEST, (uint32_t)slot, (uint32_t)shard, (uint32_t)(i % 97), w);
	return (float)(int32_t)w[0] *
	       0x1p-20f; /* sizes that make a float sum depend on its order */
}

static void add(const struct work *w, int slot, int shard)
{
	float beta, *g = leaves_grad(w->l, slot, shard, &beta);

	for (int64_t i = 0; i < counts[slot]; i++) {
		const float v = part(slot, shard, i);

		g[i] = beta != 0.0f ? g[i] + v : v;
	}
}

/*
 * Big leaves are visited in one order by all shards, as backward does; small ones
 * at any time.
 */
static void shard(void *arg, int s, int thread)
{
	const struct work *w = arg;
	struct rng r;
	bool swap;

	(void)thread;
	rng_init(&r, 5, RNG_TEST, w->round * SHARDS + (uint32_t)s);
	swap = w->shuffled && rng_below(&r, 2);
	if (swap)
		add(w, 1, s);
	if (w->shuffled)
		for (uint32_t n = rng_below(&r, 2000); n; n--)
			rng_u32(&r); /* arrive at another time */
	if (touches(2, s))
		add(w, 2, s);
	leaves_done(w->l, 2, s);
	add(w, 0, s);
	if (touches(4, s))
		add(w, 4, s);
	if (!swap)
		add(w, 1, s);
	if (s == 2)
		add(w, 1, s);
	for (int i = 0; i < LEAVES; i++)
		leaves_done(w->l, i, s); /* again for some: harmless */
}

struct store {
	float *grad[LEAVES];
};

static bool same(struct tensor *const *leaf, const struct store *want)
{
	for (int i = 0; i < LEAVES; i++)
		if (memcmp(leaf[i]->grad, want->grad[i], (size_t)counts[i] * sizeof(float)))
			return false;
	return true;
}

static void keep(struct arena *a, struct tensor *const *leaf, struct store *to)
{
	for (int i = 0; i < LEAVES; i++) {
		to->grad[i] = arena_alloc(a, (size_t)counts[i] * sizeof(float));
		memcpy(to->grad[i], leaf[i]->grad, (size_t)counts[i] * sizeof(float));
	}
}

/* Straight sums in shard order; a shard that adds twice is summed before it counts. */
static void sums_are_right(struct tensor *const *leaf)
{
	bool good = true;

	for (int slot = 0; slot < LEAVES; slot++)
		for (int64_t i = 0; i < counts[slot]; i++) {
			float sum = 0;

			for (int s = 0; s < SHARDS; s++)
				if (touches(slot, s))
					sum += part(slot, s, i) * (slot == 1 && s == 2 ? 2 : 1);
			good &= leaf[slot]->grad[i] == sum;
		}
	CHECK(good);
}

static void steps(struct arena *a, struct work *w)
{
	struct store want;
	bool equal = true;

	CHECK(leaves_begin(w->l, SHARDS) == TT_OK);
	for (int s = 0; s < SHARDS; s++)
		shard(w, s, 0);
	leaves_finish(w->l);
	sums_are_right(w->leaf);
	keep(a, w->leaf, &want);
	w->shuffled = true;
	for (int threads = 1; threads <= 3; threads++) {
		struct pool *p;

		CHECK(pool_new(threads, &p) == TT_OK);
		for (w->round = 0; w->round < ROUNDS; w->round++) {
			CHECK(leaves_begin(w->l, SHARDS) == TT_OK);
			pool_run(p, SHARDS, shard, w);
			leaves_finish(w->l);
			equal &= same(w->leaf, &want);
		}
		pool_free(p);
	}
	CHECK(equal);
}

/* A step with fewer shards, then one where nothing is touched. */
static void later_steps_start_anew(struct work *w)
{
	bool zero = true, first = true;

	CHECK(leaves_begin(w->l, 1) == TT_OK);
	w->shuffled = false;
	shard(w, 0, 0);
	leaves_finish(w->l);
	for (int64_t i = 0; i < BIG; i++)
		first &= w->leaf[2]->grad[i] == part(2, 0, i);
	CHECK(first);
	CHECK(leaves_begin(w->l, 2) == TT_OK);
	for (int s = 0; s < 2; s++)
		for (int i = 0; i < LEAVES; i++)
			leaves_done(w->l, i, s);
	leaves_finish(w->l);
	for (int i = 0; i < LEAVES; i++)
		for (int64_t k = 0; k < counts[i]; k++)
			zero &= w->leaf[i]->grad[k] == 0;
	CHECK(zero);
}

int main(void)
{
	struct tensor t[LEAVES], *leaf[LEAVES];
	struct arena *a = arena_new();
	struct work w = { .leaf = leaf };

	for (int i = 0; i < LEAVES; i++) {
		t[i] = (struct tensor){ .name = "t", .rank = 1, .dim = { counts[i] }, .slot = -1 };
		leaf[i] = t + i;
	}
	CHECK(leaves_new(a, leaf, LEAVES, &w.l) == TT_OK);
	CHECK(t[4].slot == 4 && t[0].grad && t[0].grad[2] == 0);
	steps(a, &w);
	later_steps_start_anew(&w);
	leaves_free(w.l);
	leaves_free(NULL);
	CHECK(leaves_new(a, NULL, 0, &w.l) == TT_OK); /* nothing trains */
	CHECK(leaves_begin(w.l, 3) == TT_OK);
	leaves_finish(w.l);
	leaves_free(w.l);
	arena_free(a);
	return check_done();
}
