/* Memory by lifetime. Each block is as large as all before it, from 64 KiB to 64 MiB; they are kept on rewind. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { ALIGN = 64 };
static const size_t block_min = (size_t)64 << 10, block_max = (size_t)64 << 20;

struct block {
	char *data;
	size_t size, reached; /* bytes; of them the most ever handed out */
};

struct arena {
	struct block *block;
	size_t nblock, room; /* blocks held; slots in the block array */
	size_t at, used;     /* current block, bytes used in it */
};

struct arena *arena_new(void) { return calloc(1, sizeof(struct arena)); }

/* The array of blocks stays. */
static void blocks_free(struct arena *a)
{
	for (size_t i = 0; i < a->nblock; i++)
		free(a->block[i].data);
	a->nblock = a->at = a->used = 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	blocks_free(a);
	free(a->block);
	free(a);
}

/* Insert a block of at least `size` bytes at position `pos`. */
static int block_insert(struct arena *a, size_t pos, size_t size)
{
	size_t want = arena_bytes(a);
	char *data;

	if (want < block_min)
		want = block_min;
	if (want > block_max)
		want = block_max;
	if (want < size)
		want = size;
	if (a->nblock == a->room) {
		size_t room = a->room ? a->room * 2 : 16;
		struct block *b = realloc(a->block, room * sizeof(*b));

		if (!b)
			return -1;
		a->block = b;
		a->room = room;
	}
	data = aligned_alloc(ALIGN, (want + ALIGN - 1) / ALIGN * ALIGN);
	if (!data)
		return -1;
	memmove(a->block + pos + 1, a->block + pos, (a->nblock - pos) * sizeof(*a->block));
	a->block[pos] = (struct block){ data, want, 0 };
	a->nblock++;
	/* cppcheck-suppress memleak ; the block has it */
	return 0;
}

/*
 * A block of at least `size` bytes comes to position `pos`, from where on all are
 * free: the one that is there when it fits, so that a step that repeats finds its
 * memory again, or the first behind it that does. Passing over those that do not
 * would lose them for good.
 */
static int block_bring(struct arena *a, size_t pos, size_t size)
{
	for (size_t i = pos; i < a->nblock; i++)
		if (a->block[i].size >= size) {
			const struct block b = a->block[i];

			a->block[i] = a->block[pos];
			a->block[pos] = b;
			return 0;
		}
	return block_insert(a, pos, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct block *b;
	void *p;

	if (size > SIZE_MAX / 4)
		goto none;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (!a->nblock && block_insert(a, 0, size))
		goto none;
	if (a->block[a->at].size - a->used < size) {
		const size_t next = a->used ? a->at + 1 : a->at;

		if (block_bring(a, next, size))
			goto none;
		a->at = next;
		a->used = 0;
	}
	b = &a->block[a->at];
	p = b->data + a->used;
	a->used += size;
	if (b->reached < a->used)
		b->reached = a->used;
	return p;
none:
	err_set(TT_NOMEM, "not enough memory for %zu bytes", size);
	return NULL;
}

void *arena_zero(struct arena *a, size_t n, size_t size)
{
	void *p;

	if (size && n > SIZE_MAX / 4 / size) {
		err_set(TT_NOMEM, "not enough memory for %zu times %zu bytes", n, size);
		return NULL;
	}
	p = arena_alloc(a, n * size);
	return p ? memset(p, 0, n * size) : NULL;
}

char *arena_text(struct arena *a, const char *text)
{
	size_t n = strlen(text) + 1;
	char *p = arena_alloc(a, n);

	return p ? memcpy(p, text, n) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->at, a->used };
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
	a->at = mark.block;
	a->used = mark.used;
}

int arena_reserve(struct arena *a, size_t size)
{
	const size_t reached = arena_reached(a), want = size > reached ? size : reached;

	a->at = a->used = 0;
	if (!want || (a->nblock == 1 && a->block->size >= want))
		return TT_OK;
	blocks_free(a);
	if (want > SIZE_MAX / 4 || block_insert(a, 0, want))
		return err_set(TT_NOMEM, "not enough memory for %zu bytes", want);
	a->block->reached = reached;
	return TT_OK;
}

size_t arena_bytes(const struct arena *a)
{
	size_t sum = 0;

	for (size_t i = 0; i < a->nblock; i++)
		sum += a->block[i].size;
	return sum;
}

size_t arena_reached(const struct arena *a)
{
	size_t sum = 0;

	for (size_t i = 0; i < a->nblock; i++)
		sum += a->block[i].reached;
	return sum;
}
