/* The kernels for whatever processor the compiler was told to build for. */
#include "tensor/kernel_table.h"

#define TARGET
#define LANE_BYTES 16
#define TABLE kernel_table_base
#define TABLE_ISA "baseline"
#include "tensor/kernel_body.inc"
