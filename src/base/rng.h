#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/*
 * Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): a number
 * is a function of a key and a counter, so there is no stream to save, and a
 * resumed run, another thread count or another shard cut draws the same.
 */

/* What a number is for; the high word of the counter, so that no two uses meet. */
enum rng_purpose {
	RNG_SHUFFLE = 1,
	RNG_INIT,
	RNG_DROPOUT,
	RNG_MLM,
	RNG_BOOTSTRAP,
	RNG_TEST,
	RNG_GATE
};

/* Four 32-bit words for key and the counter (c3 = purpose, c2, c1, c0). */
void rng_block(uint64_t key, uint32_t c3, uint32_t c2, uint32_t c1, uint32_t c0, uint32_t ret[4]);

/* A small sequential reader over the same function, for inits and shuffles. */
struct rng {
	uint64_t key;
	uint32_t purpose, stream, at[2]; /* at: 64-bit block counter */
	uint32_t word[4];
	int left;
	double spare;
	int has_spare;
};

void rng_init(struct rng *r, uint64_t key, enum rng_purpose purpose, uint32_t stream);
uint32_t rng_u32(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 .. n-1, without bias; n > 0 */
float rng_uniform(struct rng *r);              /* [0, 1) in steps of 2^-24 */
float rng_normal(struct rng *r);               /* mean 0, standard deviation 1 (Box-Muller) */

#endif
