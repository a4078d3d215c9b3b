/* The kernels for x86-64 processors with AVX-512. */
#include "tensor/kernel_table.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("arch=x86-64-v4")))
#define LANE_BYTES 64
#define TABLE kernel_table_v4
#define TABLE_ISA "avx512"
#include "tensor/kernel_body.inc"
#endif
