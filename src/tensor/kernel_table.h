#ifndef TENSOR_KERNEL_TABLE_H
#define TENSOR_KERNEL_TABLE_H

#include "tensor/kernel.h"

/* Behind kernel.h: the kernels of one instruction set, and what only they and their callers in this room share. */

enum { KERNEL_TILE_COLS = 16 };

/* c[rows,cols] = alpha a panel + beta c; a[i,k] is a[i * row + k * col]. beta 0 does not read c. */
struct kernel_tile {
	const float *panel; /* [deep,KERNEL_TILE_COLS] */
	int64_t deep, cols; /* cols <= KERNEL_TILE_COLS */
	int64_t row, col, ldc;
	float alpha, beta;
};
void kernel_tile(const struct kernel_tile *t, int64_t rows, const float *a, float *c);

double kernel_exp_total(const float *x, float from, int64_t n); /* sum(exp(x - from)) */

#define KERNEL(name, params, args) void(*name) params;
#define KERNEL_VALUE(type, name, params, args) type(*name) params;
struct kernel_table {
	const char *isa;
#include "tensor/kernel_list.inc"
};
#undef KERNEL
#undef KERNEL_VALUE

extern const struct kernel_table kernel_table_v4, kernel_table_v3, kernel_table_base;

/* Which of them this processor runs, the best first: ret has room for KERNEL_TABLES. Returns how many. For tests. */
enum { KERNEL_TABLES = 3 };
int kernel_tables(const struct kernel_table **ret);

#endif
