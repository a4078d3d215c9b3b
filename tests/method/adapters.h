#ifndef TESTS_METHOD_ADAPTERS_H
#define TESTS_METHOD_ADAPTERS_H

/* The adapters of rows.h beside the benches' model, shaken, as if each had been trained. */
#include "tests/method/bench.h"
#include "tests/method/rows.h"

static inline int adapters_make(void)
{
	int code = bench_folder();

	for (size_t i = 0; !code && i < ROW_ADAPTERS; i++) {
		char dir[PATH_MAX + 32];
		struct bench b;

		code = bench_open(&b, "adapter", row_adapters[i].json, TASK_SEQ_CLS);
		if (!code) {
			bench_shake(&b, 0.3f + 0.1f * (float)i);
			snprintf(dir, sizeof(dir), "%s/%s", bench_base, row_adapters[i].folder);
			code = adapter_save(b.method, dir, "toy");
		}
		bench_close(&b);
	}
	return code;
}

#endif
