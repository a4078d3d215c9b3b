/* adapter_config.json from strangers, judged against a LoRA run on a toy model. */
#include <stdint.h>

#include "tests/method/bench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench b;

	if (!b.method) {
		if (bench_open(&b, "lora", "{\"r\": 4, \"lora_alpha\": 10}", TASK_SEQ_CLS))
			abort();
		/* the model is mapped, so the folders may go at once */
		fs_remove_tree(bench_base);
		fs_remove_tree(b.dir);
	}
	if (adapter_check_config(b.method, (const char *)data, size) && !*err_text())
		abort();
	return 0;
}
