/*
 * The elementwise kernels: one binary for every x86-64. The code is in
 * kernel_body.inc and compiled for AVX-512, for AVX2 and for the baseline; a call
 * goes to the widest that this processor has. (The compiler's own function
 * clones split wide vectors so badly on AVX2 that the kernels took four times as
 * long; they also do without the sanitizers and clang.)
 */
#include "tensor/kernel.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/kernel_table.h"

#if defined(__x86_64__)
static int runs_v4(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512cd");
}

static int runs_v3(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi2");
}
#endif

static const struct kernel_table *best(void)
{
#if defined(__x86_64__)
	if (runs_v4())
		return &kernel_table_v4;
	if (runs_v3())
		return &kernel_table_v3;
#endif
	return &kernel_table_base;
}

int kernel_tables(const struct kernel_table **ret)
{
	int n = 0;

#if defined(__x86_64__)
	if (runs_v4())
		ret[n++] = &kernel_table_v4;
	if (runs_v3())
		ret[n++] = &kernel_table_v3;
#endif
	ret[n++] = &kernel_table_base;
	return n;
}

#define KERNEL(name, params, args) \
	void kernel_##name params { best()->name args; }
#define KERNEL_VALUE(type, name, params, args) \
	type kernel_##name params { return best()->name args; }
#include "tensor/kernel_list.inc"

double kernel_log_sum_exp(const float *x, int64_t n)
{
	const float top = kernel_max(x, n);

	return (double)top + log(kernel_exp_total(x, top, n));
}

void kernel_set_rows(float *y, const float *b, int64_t rows, int64_t cols)
{
	for (int64_t r = 0; r < rows; r++)
		memcpy(y + r * cols, b, (size_t)cols * sizeof(*y));
}

uint32_t kernel_drop_site(uint32_t site)
{
	return (uint32_t)RNG_DROPOUT << 24 | (site & 0xffffffu);
}

void kernel_drop_rows(uint8_t *keep, const struct kernel_drop *d, const uint32_t *example,
		      const uint32_t *pos, int64_t rows, int64_t cols)
{
	const int64_t blocks = (cols + 7) / 8;

	for (int64_t r = 0; r < rows; r++)
		kernel_drop_blocks(keep + r * blocks, d, example[r], pos[r] * (uint32_t)blocks,
				   blocks);
}

float kernel_drop_scale(const struct kernel_drop *d) { return d->p < 1 ? 1 / (1 - d->p) : 0; }

const char *kernel_isa(void) { return best()->isa; }
