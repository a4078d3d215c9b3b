/*
 * Sums the gradients of a step's shards in shard order.
 *
 * A small leaf has a buffer a shard; leaves_finish adds them up in order. A big
 * leaf has its gradient alone: a turn lets shard s add when s - 1 is done. Which
 * thread ran a shard, and when, leaves no trace in the sum.
 *
 * A big gradient is sparse memory: of a table of words, rows that no text looks up
 * are never written.
 */
#include "tensor/leaves.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "tensor/kernel.h"
#include "tensor/pool.h"
#include "tensor/sparse.h"

enum { TOUCHED = 1, DONE = 2 }; /* what one shard did to one leaf */
enum { ALIGN = 16 };            /* numbers: a cache line */

struct slot {
	int64_t count;
	size_t at;           /* small: where it starts in a shard's buffer */
	struct turn *turn;   /* big only */
	struct fs_room room; /* big only: the gradient */
	bool filled;         /* big: grad holds a sum; guarded by the turn */
};

/* One shard's buffer for all small leaves, and its marks. Used by one thread at a time. */
struct part {
	float *sum;
	unsigned char *mark; /* [n] */
};

struct leaves {
	struct tensor *const *leaf;
	struct slot *slot;
	size_t n, small; /* leaves; numbers in a shard's buffer */
	struct part *part;
	int shards, room; /* of this step; parts allocated */
};

static int slot_init(struct leaves *l, struct arena *a, size_t i)
{
	struct tensor *t = l->leaf[i];
	struct slot *s = l->slot + i;

	s->count = tensor_count(t);
	t->slot = (int)i;
	if (s->count > LEAF_BIG) {
		const int rc = fs_room_open(NULL, (size_t)s->count * sizeof(float), &s->room);

		t->grad = s->room.data;
		return rc ? rc : turn_new(&s->turn);
	}
	t->grad = arena_zero(a, (size_t)s->count, sizeof(float));
	if (!t->grad)
		return TT_NOMEM;
	s->at = l->small;
	l->small += ((size_t)s->count + ALIGN - 1) / ALIGN * ALIGN;
	return TT_OK;
}

int leaves_new(struct arena *a, struct tensor *const *leaf, size_t n, struct leaves **ret)
{
	struct leaves *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(TT_NOMEM, "not enough memory for %zu gradients", n);
	l->leaf = leaf;
	l->n = n;
	l->slot = calloc(n ? n : 1, sizeof(*l->slot));
	rc = l->slot ? TT_OK : err_set(TT_NOMEM, "not enough memory for %zu gradients", n);
	for (size_t i = 0; !rc && i < n; i++)
		rc = slot_init(l, a, i);
	if (rc) {
		leaves_free(l);
		return rc;
	}
	*ret = l;
	return TT_OK;
}

int leaves_count(const struct leaves *l) { return (int)l->n; }

void leaves_free(struct leaves *l)
{
	if (!l)
		return;
	for (size_t i = 0; l->slot && i < l->n; i++) {
		turn_free(l->slot[i].turn);
		fs_room_close(&l->slot[i].room);
	}
	for (int s = 0; s < l->room; s++) {
		free(l->part[s].sum);
		free(l->part[s].mark);
	}
	free(l->part);
	free(l->slot);
	free(l);
}

static int part_init(const struct leaves *l, struct part *p)
{
	p->mark = calloc(l->n ? l->n : 1, 1);
	p->sum = aligned_alloc(ALIGN * sizeof(float),
			       (l->small ? l->small : ALIGN) * sizeof(float));
	if (p->mark && p->sum) {
		/* of a weight of which some rows are wanted, others are never written */
		memset(p->sum, 0, l->small * sizeof(float));
		return TT_OK;
	}
	free(p->mark);
	free(p->sum);
	return err_set(TT_NOMEM,
		       "not enough memory for the gradients of one more shard (%zu numbers)",
		       l->small);
}

static int grow(struct leaves *l, int shards)
{
	struct part *part = realloc(l->part, (size_t)shards * sizeof(*part));

	if (!part)
		return err_set(TT_NOMEM, "not enough memory for %d shards", shards);
	l->part = part;
	while (l->room < shards) {
		const int rc = part_init(l, part + l->room);

		if (rc)
			return rc;
		l->room++;
	}
	return TT_OK;
}

int leaves_begin(struct leaves *l, int shards)
{
	if (shards > l->room) {
		const int rc = grow(l, shards);

		if (rc)
			return rc;
	}
	l->shards = shards;
	for (int s = 0; s < shards; s++)
		memset(l->part[s].mark, 0, l->n);
	for (size_t i = 0; i < l->n; i++) {
		l->slot[i].filled = false;
		if (l->slot[i].turn)
			turn_reset(l->slot[i].turn);
	}
	return TT_OK;
}

float *leaves_grad(struct leaves *l, int slot, int shard, float *ret_beta)
{
	struct slot *s = l->slot + slot;
	struct part *p = l->part + shard;
	bool filled = p->mark[slot] & TOUCHED;

	p->mark[slot] |= TOUCHED;
	if (s->turn) {
		turn_wait(s->turn, shard);
		filled = s->filled;
		s->filled = true;
	}
	*ret_beta = filled ? 1 : 0;
	return s->turn ? l->leaf[slot]->grad : p->sum + s->at;
}

void leaves_done(struct leaves *l, int slot, int shard)
{
	unsigned char *mark = l->part[shard].mark + slot;

	if (*mark & DONE)
		return;
	*mark |= DONE;
	if (l->slot[slot].turn) {
		turn_wait(l->slot[slot].turn, shard);
		turn_next(l->slot[slot].turn);
	}
}

static void small_finish(struct leaves *l, size_t i)
{
	const struct slot *s = l->slot + i;
	float *grad = l->leaf[i]->grad;
	bool filled = false;

	for (int k = 0; k < l->shards; k++) {
		const float *part = l->part[k].sum + s->at;

		if (!(l->part[k].mark[i] & TOUCHED))
			continue;
		if (filled)
			kernel_add(grad, grad, part, s->count);
		else
			memcpy(grad, part, (size_t)s->count * sizeof(*grad));
		filled = true;
	}
	if (!filled)
		memset(grad, 0, (size_t)s->count * sizeof(*grad));
}

void leaves_sum(struct leaves *l, int slot)
{
	const struct slot *s = l->slot + slot;

	if (!s->turn)
		small_finish(l, (size_t)slot);
	else if (!s->filled)
		sparse_clear(l->leaf[slot]->grad, s->count);
}

void leaves_finish(struct leaves *l)
{
	for (size_t i = 0; i < l->n; i++)
		leaves_sum(l, (int)i);
}
