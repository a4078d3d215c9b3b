#ifndef UI_TAIL_H
#define UI_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The end of a file that grows: a run's log. */

enum { TAIL_BYTES = 65536 };

struct tail {
	char *text; /* the last TAIL_BYTES at most, from the beginning of a line; NULL: nothing read */
	size_t size;
	int64_t file_size, changed_ns; /* as last seen */
	bool missing;                  /* there is no such file */
};

/* Read again if the file changed since; true when it did. Never waits: only regular files are read. */
bool tail_read(struct tail *t, const char *path);
/* Line number `back` from the end (0: the last) without its end; false when there are not so many. */
bool tail_line(const struct tail *t, size_t back, char *ret, size_t size);
size_t tail_lines(const struct tail *t);
void tail_done(struct tail *t);

#endif
