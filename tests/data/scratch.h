#ifndef TESTS_DATA_SCRATCH_H
#define TESTS_DATA_SCRATCH_H
/* A temporary folder and files in it, for tests that read files. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

static char scratch_dir[PATH_MAX];

static inline bool scratch_start(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch_dir, sizeof(scratch_dir), "%.1000s/data-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(scratch_dir) != NULL;
}

static inline void scratch_end(void) { fs_remove_tree(scratch_dir); }

/* The path of a file of that name; one of eight buffers. */
static inline const char *scratch_path(const char *name)
{
	static char path[8][PATH_MAX];
	static int at;

	at = (at + 1) % 8;
	fs_join(path[at], sizeof(path[at]), scratch_dir, name);
	return path[at];
}

static inline const char *scratch_bytes(const char *name, const char *text, size_t n)
{
	const char *path = scratch_path(name);

	return fs_write_atomic(path, text, n) < 0 ? NULL : path;
}

static inline const char *scratch_file(const char *name, const char *text)
{
	return scratch_bytes(name, text, strlen(text));
}
#endif
