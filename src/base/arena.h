#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

/*
 * Memory by lifetime: what is allocated together is freed together. An arena
 * grows by blocks and keeps them when it is rewound, so that a step that
 * repeats allocates nothing. Not for sharing between threads.
 */
struct arena;

struct arena_mark {
	size_t block, used;
};

struct arena *arena_new(void);    /* NULL when there is no memory */
void arena_free(struct arena *a); /* NULL is fine */
/* size bytes, 64-byte aligned, not cleared; NULL (and err_set) when there is no memory. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zero(struct arena *a, size_t n, size_t size); /* n * size, cleared, overflow-checked */
char *arena_text(struct arena *a, const char *text);      /* a copy */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark); /* blocks stay for reuse */
size_t arena_bytes(const struct arena *a);                  /* held from the system */
/* Of these the most that was ever handed out; the others cost nothing, as the system gives memory when it is touched. */
size_t arena_reached(const struct arena *a);
/*
 * Room in one piece for so many bytes and for all that it has reached; what is in
 * the arena is gone. With what another arena has reached, this one can do whatever
 * the other did, or less, and allocates nothing for it.
 */
int arena_reserve(struct arena *a, size_t size);

#endif
