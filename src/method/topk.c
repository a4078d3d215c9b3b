/* Bits of floats that are not negative are in the order of the numbers: a threshold is found bit by bit. */
#include "method/topk.h"

#include <string.h>

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static int64_t count_from(const float *const *piece, const int64_t *size, int64_t n, uint32_t least)
{
	int64_t count = 0;

	for (int64_t p = 0; p < n; p++)
		for (int64_t i = 0; i < size[p]; i++)
			count += bits_of(piece[p][i]) >= least;
	return count;
}

struct topk topk_find(const float *const *piece, const int64_t *size, int64_t n, int64_t k)
{
	uint32_t low = 0, high = UINT32_MAX; /* at least k from low on, fewer from high on */

	while (high - low > 1) {
		const uint32_t mid = low + (high - low) / 2;

		if (count_from(piece, size, n, mid) >= k)
			low = mid;
		else
			high = mid;
	}
	return (struct topk){ low, k - count_from(piece, size, n, low + 1) };
}

bool topk_takes(struct topk *t, float x)
{
	const uint32_t bits = bits_of(x);

	return bits > t->least || (bits == t->least && t->equal-- > 0);
}
