/* The language of filters on hostile texts: refused with a sentence, or a statement that SQLite takes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "db/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *empty_store(void)
{
	const char *tmp = getenv("TMPDIR");
	char dir[64], path[80];
	struct store *st;

	snprintf(dir, sizeof(dir), "%.40s/whereXXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/runs.db", dir);
	if (store_open(path, &st))
		abort();
	unlink(path); /* what is open stays */
	snprintf(path, sizeof(path), "%s/runs.db-wal", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/runs.db-shm", dir);
	unlink(path);
	rmdir(dir);
	return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *st;
	struct where *w = NULL;
	struct run_index *place;
	char *text = malloc(size + 1);
	size_t n;

	if (!st)
		st = empty_store();
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	if (where_parse(text, &w)) {
		if (!strstr(err_text(), "column") && !strstr(err_text(), "a filter has at most"))
			abort();
	} else {
		const struct run_filter f = { .where = w };

		if (run_index(st, &f, &place, &n))
			abort();
		free(place);
		free(w);
	}
	free(text);
	return 0;
}
