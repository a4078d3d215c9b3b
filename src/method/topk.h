#ifndef METHOD_TOPK_H
#define METHOD_TOPK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The k largest of many numbers that are not negative, without sorting them. They
 * may lie in several pieces: count passes over them once for each bit of a float.
 */
struct topk {
	uint32_t least; /* bits of the smallest that is taken */
	int64_t equal;  /* how many of that size are taken: the first ones */
};

/* piece[n], each of size[i] numbers; k from 1 to their sum. */
struct topk topk_find(const float *const *piece, const int64_t *size, int64_t n, int64_t k);
/* Going through all numbers in the same order: is this one among them? */
bool topk_takes(struct topk *t, float x);

#endif
