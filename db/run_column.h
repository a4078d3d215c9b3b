#ifndef DB_RUN_COLUMN_H
#define DB_RUN_COLUMN_H

#include <stdbool.h>
#include <stddef.h>

/* Inside the room only: what a key of a filter, a sort or a list means. */

enum run_column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_TIME, /* text in ISO's order: 2026-03-01 12:00 */
	COLUMN_SPAN, /* microseconds */
	COLUMN_STATE,
	COLUMN_TAG,
	COLUMN_NOTE
};

struct run_column {
	const char *word,
		*sql; /* an expression over a row of run; of a tag or a note: over its own table */
	enum run_column_kind kind;
	bool rising;      /* the natural direction of its order */
	const char *sort; /* what it is sorted by, where that is not sql; "": it is not */
};

enum run_key_kind { KEY_COLUMN, KEY_METRIC, KEY_SETTING };

struct run_key {
	enum run_key_kind kind;
	const struct run_column *column; /* of KEY_COLUMN */
	const char *name;
};

/* Metrics have a '/', paths of a recipe a '.'; false: a word that is neither and no column. name is kept, not copied. */
bool run_key_find(const char *name, struct run_key *ret);
/* The column that such a word was meant for, or NULL. */
const char *run_key_nearest(const char *word);

#endif
