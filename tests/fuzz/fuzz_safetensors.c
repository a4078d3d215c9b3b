/* The safetensors reader on any bytes: refused with a sentence, or every tensor lies inside the file and can be read. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensor(const struct st_tensor *t, const uint8_t *data, size_t size)
{
	const size_t width = strcmp(t->dtype, "F32") ? 2 : 4;
	float *out;

	assert(t->data >= data && t->data <= data + size &&
	       t->size <= (size_t)(data + size - t->data));
	assert(t->rank >= 0 && t->rank <= 8);
	out = malloc(t->size / width * sizeof(*out) + 1);
	if (out && !st_read_f32(t, out) && st_map_f32(t))
		assert(!memcmp(out, st_map_f32(t), t->size));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct st_file *f;

	if (st_open_memory(data, size, "fuzz", &f)) {
		assert(*err_text());
		return 0;
	}
	for (size_t i = 0; i < st_count(f); i++) {
		read_tensor(st_at(f, i), data, size);
		assert(st_find(f, st_at(f, i)->name) == st_at(f, i));
	}
	st_metadata(f, "format");
	st_close(f);
	return 0;
}
