#ifndef UI_COLUMNS_H
#define UI_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the list of runs shows: which columns, in what order, grouped by what.
 * Kept for the next time in workbench.json beside the run log. A column is a
 * key as in db/where.h, or one of those that are more than a value: id, name,
 * params, step, best, curve, state.
 */
enum { COLUMNS_MAX = 16, COLUMN_KEY = 128 };

struct columns {
	size_t n;
	char key[COLUMNS_MAX][COLUMN_KEY];
	char sort[COLUMN_KEY];  /* as struct run_filter's; "": by age */
	char group[COLUMN_KEY]; /* "": none */
	char theme[8];          /* of the workbench, kept in the same file; "": found out */
};

void columns_default(struct columns *c);
/* What is in the file of the data home `dir`; the usual ones when it is not there. On failure the usual ones, too. */
int columns_load(const char *dir, struct columns *ret);
int columns_save(const char *dir, const struct columns *c);

bool columns_know(const char *key); /* can there be such a column? */
bool columns_has(const struct columns *c, const char *key);
bool columns_add(struct columns *c, const char *key); /* false: there is no room */
void columns_remove(struct columns *c, const char *key);
void columns_move(struct columns *c, size_t at, int by);
/* What sorting by a column means, NULL when nothing does: `curve` is a picture. */
const char *columns_sort(const char *key);

#endif
