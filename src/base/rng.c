/* Counter-based random numbers: Philox 4x32 with 10 rounds. */
#include "base/rng.h"

#include <math.h>

void rng_block(uint64_t key, uint32_t c3, uint32_t c2, uint32_t c1, uint32_t c0, uint32_t ret[4])
{
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
	uint32_t x0 = c0, x1 = c1, x2 = c2, x3 = c3;

	for (int i = 0; i < 10; i++) {
		const uint64_t p0 = (uint64_t)0xD2511F53u * x0, p1 = (uint64_t)0xCD9E8D57u * x2;

		x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
		x1 = (uint32_t)p1;
		x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
		x3 = (uint32_t)p0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	ret[0] = x0;
	ret[1] = x1;
	ret[2] = x2;
	ret[3] = x3;
}

void rng_init(struct rng *r, uint64_t key, enum rng_purpose purpose, uint32_t stream)
{
	*r = (struct rng){ .key = key, .purpose = (uint32_t)purpose, .stream = stream };
}

uint32_t rng_u32(struct rng *r)
{
	if (!r->left) {
		rng_block(r->key, r->purpose, r->stream, r->at[1], r->at[0], r->word);
		if (!++r->at[0])
			r->at[1]++;
		r->left = 4;
	}
	return r->word[--r->left];
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	const uint32_t low = (uint32_t)-n %
			     n; /* 2^32 mod n: words under it would favour small values */
	uint32_t w;

	do
		w = rng_u32(r);
	while (w < low);
	return w % n;
}

float rng_uniform(struct rng *r) { return (float)(rng_u32(r) >> 8) * 0x1p-24f; }

float rng_normal(struct rng *r)
{
	double u, v, radius;

	if (r->has_spare) {
		r->has_spare = 0;
		return (float)r->spare;
	}
	u = ((double)rng_u32(r) + 1.0) * 0x1p-32; /* (0, 1]: the logarithm is finite */
	v = (double)rng_u32(r) * 0x1p-32;
	radius = sqrt(-2.0 * log(u));
	r->spare = radius * sin(2.0 * 3.14159265358979323846 * v);
	r->has_spare = 1;
	return (float)(radius * cos(2.0 * 3.14159265358979323846 * v));
}
