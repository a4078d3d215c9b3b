#ifndef BASE_MERSENNE_H
#define BASE_MERSENNE_H

#include <stdint.h>

/*
 * MT19937 (Matsumoto and Nishimura 1998), as torch's generator on the processor
 * uses it: for numbers that others must be able to draw again from a key.
 * Everything of our own draws from rng.h.
 */
enum { MERSENNE_WORDS = 624 };

struct mersenne {
	uint32_t word[MERSENNE_WORDS];
	int at;
};

void mersenne_init(struct mersenne *m, uint64_t key); /* its low 32 bits count, as in torch */
uint32_t mersenne_u32(struct mersenne *m);
/* torch's uniform_ of fp32: [from, to) in steps of 2^-24 of the range. */
float mersenne_uniform(struct mersenne *m, float from, float to);

#endif
