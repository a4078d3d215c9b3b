/* The run-log reader on damaged databases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "db/event.h"
#include "db/metric.h"
#include "db/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int walk_line(void *arg, const struct run_line *r)
{
	size_t *n = arg;

	*n += strlen(r->id) + strlen(r->name) + strlen(r->method) + strlen(r->cause);
	return TT_OK;
}

static void read_all(struct store *st)
{
	static const char *const keys[] = { "train/loss", "eval/accuracy" };
	const struct run_filter filter = { .keys = keys, .keys_n = 2, .limit = 100 };
	struct metric_bucket bucket[16];
	struct run_list list;
	size_t n = 0;
	int width;

	(void)run_walk(st, &filter, &width, walk_line, &n);
	if (run_list(st, &filter, &list))
		return;
	for (size_t i = 0; i < list.n && i < 8; i++) {
		struct metric_last *last;
		struct event *event;
		char *recipe;

		if (!metric_last(st, list.run[i].row, &last, &n))
			free(last);
		if (!event_list(st, list.run[i].row, 0, &event, &n))
			free(event);
		if (!run_recipe(st, list.run[i].id, &recipe))
			free(recipe);
		(void)metric_spark(st, list.run[i].row, "train/loss", 16, bucket, &n);
	}
	run_list_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	char path[64];
	struct store *st;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%.40s/storeXXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	f = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
	if (!store_open_read(path, &st)) {
		read_all(st);
		store_close(st);
	}
	unlink(path);
	return 0;
}
