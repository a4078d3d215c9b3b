#ifndef TESTS_TRAIN_ADAPTERS_H
#define TESTS_TRAIN_ADAPTERS_H

/* The adapters that some rows of rows.h start from, beside the toy recipe. */
#include "method/adapter.h"
#include "tests/method/rows.h"
#include "tests/train/world.h"

static inline int world_adapter(const char *folder, const struct row_adapter *a)
{
	const struct method_row row = { "adapter", a->json };
	const char *set[2] = { NULL };
	char dir[PATH_MAX];
	struct buf text;
	struct world w;
	int rc;

	buf_init(&text, 1 << 16);
	rc = row_setting(&row, &text);
	set[0] = text.data;
	if (!rc)
		rc = world_open(&w, folder, folder, set, 1, NULL);
	if (!rc)
		rc = fs_join(dir, sizeof(dir), folder, a->folder);
	if (!rc)
		rc = adapter_save(w.method, dir, "toy");
	world_close(&w);
	buf_done(&text);
	return rc;
}

static inline int world_adapters(const char *folder)
{
	int rc = TT_OK;

	for (size_t i = 0; !rc && i < ROW_ADAPTERS; i++)
		rc = world_adapter(folder, &row_adapters[i]);
	return rc;
}

#endif
