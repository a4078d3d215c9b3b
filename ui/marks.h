#ifndef UI_MARKS_H
#define UI_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The runs that are marked, by row of the run log, in the order they were. The workbench has one set of them. */

enum { MARKS_MOST = 64 };

struct marks {
	int64_t row[MARKS_MOST];
	size_t n;
};

bool marks_has(const struct marks *m, int64_t row);
bool marks_add(struct marks *m, int64_t row); /* false: there are MARKS_MOST already */
void marks_remove(struct marks *m, int64_t row);

#endif
