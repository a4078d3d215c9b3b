#ifndef DB_SETTING_H
#define DB_SETTING_H

#include <stdint.h>

#include "db/sql.h"

/*
 * Inside the room only: settings of recipes, to be looked up as fast as metrics.
 * Recipes do not change, so what was read out of them once is kept: in the
 * connection, setting (path, run, value), for every path that was asked for.
 */

/* The expression of one setting of run.row, if few runs are asked. ?%d is its path. */
#define SETTING_ONE "setting((SELECT json FROM recipe WHERE recipe.run = run.row), ?%d)"
/* ... if many are; ?%d is the number that setting_need gave. */
#define SETTING_MANY "(SELECT value FROM temp.setting s WHERE s.path = ?%d AND s.run = run.row)"
/* What tells runs apart that differ in more than the seed and the name; a path like the others. */
#define SETTING_BUT_SEED "*"

/* Functions that SQL may call: setting(json, path), digest(text), run_state(stored, row). */
int setting_open(struct store *st);
/* Make the table, before a statement that uses it is prepared. Within a read. */
int setting_ready(struct store *st);
/* Have the table hold this path of every run. */
int setting_need(struct store *st, const char *path, int64_t *ret);

#endif
