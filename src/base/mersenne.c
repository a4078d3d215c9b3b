/* MT19937, and torch's uniform numbers from it. */
#include "base/mersenne.h"

enum { N = MERSENNE_WORDS, M = 397 };

void mersenne_init(struct mersenne *m, uint64_t key)
{
	m->word[0] = (uint32_t)key;
	for (uint32_t i = 1; i < N; i++)
		m->word[i] = 1812433253u * (m->word[i - 1] ^ m->word[i - 1] >> 30) + i;
	m->at = N;
}

static void renew(struct mersenne *m)
{
	for (int i = 0; i < N; i++) {
		const uint32_t y = (m->word[i] & 0x80000000u) |
				   (m->word[(i + 1) % N] & 0x7fffffffu);

		m->word[i] = m->word[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
	}
	m->at = 0;
}

uint32_t mersenne_u32(struct mersenne *m)
{
	uint32_t y;

	if (m->at == N)
		renew(m);
	y = m->word[m->at++];
	y ^= y >> 11;
	y ^= y << 7 & 0x9d2c5680u;
	y ^= y << 15 & 0xefc60000u;
	return y ^ y >> 18;
}

float mersenne_uniform(struct mersenne *m, float from, float to)
{
	const double u = (double)(mersenne_u32(m) & 0xffffffu) / (1 << 24);

	/* the range is rounded to fp32, the rest is in double */
	return (float)(u * (double)(to - from) + (double)from);
}
