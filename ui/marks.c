/* Marked runs. */
#include "ui/marks.h"

#include <string.h>

static size_t find(const struct marks *m, int64_t row)
{
	size_t i = 0;

	while (i < m->n && m->row[i] != row)
		i++;
	return i;
}

bool marks_has(const struct marks *m, int64_t row) { return find(m, row) < m->n; }

bool marks_add(struct marks *m, int64_t row)
{
	if (marks_has(m, row))
		return true;
	if (m->n == MARKS_MOST)
		return false;
	m->row[m->n++] = row;
	return true;
}

void marks_remove(struct marks *m, int64_t row)
{
	const size_t i = find(m, row);

	if (i == m->n)
		return;
	memmove(&m->row[i], &m->row[i + 1], (--m->n - i) * sizeof(m->row[0]));
}
