/* The kernels for x86-64 processors with AVX2. */
#include "tensor/kernel_table.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("arch=x86-64-v3")))
#define LANE_BYTES 32
#define TABLE kernel_table_v3
#define TABLE_ISA "avx2"
#include "tensor/kernel_body.inc"
#endif
