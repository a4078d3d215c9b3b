#ifndef BENCH_FLOPS_H
#define BENCH_FLOPS_H

#include <stddef.h>
#include <stdint.h>

#include "method/method.h"
#include "tensor/pool.h"

/*
 * The floating point operations that a method needs for one step over n sequences
 * of these lengths, multiplications and additions counted each, matrix products
 * only. Needed means: real tokens, no row that the head does not read, no
 * gradient below the lowest parameter that trains, no recomputation.
 */
double flops_needed(const struct method *m, const int32_t *length, size_t n);

/*
 * FLOP/s of the quickest matrix product by the weights of a layer, prepared where
 * they are and plain, all threads at once, each by its own processor time.
 */
double flops_peak(const struct model *m, struct pool *pool);

#endif
