#ifndef TENSOR_SPARSE_H
#define TENSOR_SPARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Numbers that are zero in long stretches, in memory of which the system gives only
 * what was written (fs_room_open): look before you write. Where there are no
 * such stretches the first number says so, and the look costs nothing.
 */
enum { SPARSE_PART = 1024 }; /* numbers looked at together: a page */

/* Are all n of them +0? */
static inline bool sparse_rests(const float *x, int64_t n)
{
	static const float zero;

	return n <= 0 ||
	       (!memcmp(x, &zero, sizeof(zero)) && !memcmp(x, x + 1, (size_t)(n - 1) * sizeof(*x)));
}

/* How many of n belong to the part that begins at `from`. */
static inline int64_t sparse_part(int64_t from, int64_t n)
{
	return n - from < SPARSE_PART ? n - from : SPARSE_PART;
}

/* All of them become 0. */
static inline void sparse_clear(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i += SPARSE_PART)
		if (!sparse_rests(x + i, sparse_part(i, n)))
			memset(x + i, 0, (size_t)sparse_part(i, n) * sizeof(*x));
}

#endif
