/* The recipe reader on hostile files. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/recipe.h"

struct lora_like {
	int64_t r;
	double dropout;
	struct texts target_modules;
	const struct json *pattern;
};

static const struct knob knobs[] = {
	{ "r", KNOB_INT, offsetof(struct lora_like, r), 8, 1, 4096, 0, NULL, NULL, "rank" },
	{ "lora_dropout", KNOB_REAL, offsetof(struct lora_like, dropout), 0, 0, 1, KNOB_OPEN_MAX,
	  NULL, NULL, "dropout" },
	{ "target_modules", KNOB_SELECT, offsetof(struct lora_like, target_modules), 0, 0, 0,
	  KNOB_OPTIONAL, NULL, NULL, "modules" },
	{ "rank_pattern", KNOB_JSON, offsetof(struct lora_like, pattern), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL, "ranks" },
	{ 0 }
};

static const struct recipe_method methods[] = { { "lora", knobs, sizeof(struct lora_like) },
						{ 0 } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	struct recipe *r;
	FILE *f;

	if (!*path) {
		const char *tmp = getenv("TMPDIR");
		int fd;

		snprintf(path, sizeof(path), "%.40s/recipeXXXXXX", tmp ? tmp : "/tmp");
		fd = mkstemp(path);
		if (fd < 0)
			abort();
		close(fd);
	}
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
	if (!recipe_load(path, NULL, 0, methods, &r)) {
		struct buf out;

		buf_init(&out, 1 << 22);
		if (recipe_write(r, &out))
			abort();
		buf_done(&out);
		recipe_free(r);
	}
	unlink(path);
	*path = 0;
	return 0;
}
