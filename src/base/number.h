#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Numbers as text: the bytes of printf in the C locale, in a fraction of its
 * time, since a list of ten thousand runs holds a hundred thousand of them.
 * Each returns the length of ret, which ends in NUL.
 */
enum { NUMBER_SIZE = 32, NUMBER_FIXED_SIZE = 320 }; /* DBL_MAX with four decimals fits */

size_t number_int(int64_t v, char ret[NUMBER_SIZE]);        /* %lld */
size_t number_fixed(double v, char ret[NUMBER_FIXED_SIZE]); /* %.4f */
/* %.15g, or with 16 or 17 digits where fewer would be read back as another number. v is finite. */
size_t number_real(double v, char ret[NUMBER_SIZE]);

#endif
