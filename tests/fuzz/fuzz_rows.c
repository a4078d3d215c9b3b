/* Hostile data files: the first byte chooses the format, the rest is the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "data/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const endings[] = { ".jsonl", ".tsv", ".csv", ".txt", ".jsonl.gz" };

static int write_file(const char *path, const uint8_t *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	size_t n;

	if (!f)
		return -1;
	n = size ? fwrite(data, 1, size, f) : 0;
	return fclose(f) == 0 && n == size ? 0 : -1;
}

static void read_all(const char *path)
{
	const struct row_columns columns = { "a", "b", "label" };
	struct rows *r = NULL;
	struct row row;
	size_t sum = 0;

	if (rows_open(path, &columns, &r) < 0)
		return;
	while (rows_next(r, &row) > 0) {
		sum += strlen(row.text_a) != row.size_a;
		sum += row.text_b && strlen(row.text_b) != row.size_b;
		sum += row.label && !*row.label;
	}
	rows_close(r);
	if (sum)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *folder = getenv("TMPDIR");
	char path[4096];

	if (!size)
		return 0;
	snprintf(path, sizeof(path), "%s/fuzz-rows-%ld%s", folder ? folder : "/tmp", (long)getpid(),
		 endings[data[0] % (sizeof(endings) / sizeof(*endings))]);
	if (write_file(path, data + 1, size - 1) == 0)
		read_all(path);
	unlink(path);
	return 0;
}
