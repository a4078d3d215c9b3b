#ifndef DB_RUN_ROW_H
#define DB_RUN_ROW_H

#include "db/run.h"
#include "db/sql.h"

/* Inside the room only: how a row of the table becomes a struct run. */

/* In the order run_take expects: twelve texts, then numbers. A list has its own way to get tags. */
#define RUN_COLUMNS_WITH(tags)                                                                    \
	"run.id, run.name, cause, method, model, task, host, boot_id, dir, parent, "              \
	"metric_key, " tags ", row, "                                                             \
	"state, created, started, ended, heartbeat, trashed, pid, pid_start, attempt, run.step, " \
	"total_steps, "                                                                           \
	"steps_per_epoch, epoch, trainable_params, total_params, best_greater, best_step, "       \
	"best_value"
#define RUN_COLUMNS                                                                    \
	RUN_COLUMNS_WITH("(SELECT group_concat(word, ' ') FROM (SELECT word FROM tag " \
			 "WHERE tag.run = run.row "                                    \
			 "ORDER BY word))")

enum { RUN_TEXTS = 12 }; /* and the column of the row's number */

/* This machine, looked up once for a whole list. Set now, the rest zero. */
struct run_here {
	bool known;
	int64_t now;
	char boot_id[64], host[256];
};

/* What a run is now that is stored as such; few are live, and only these are looked up. */
int run_state_of(struct store *st, struct run_here *h, int64_t row, int stored,
		 enum run_state *ret);

/* The run in the row that q stands on. tags NULL: they are in the row. */
int run_take(sqlite3_stmt *q, struct run_here *h, const char *tags, struct run *ret);

/* The first run that a SELECT RUN_COLUMNS of one text (NULL: none) finds: 1 found, 0 none, < 0 failed. */
int run_by_text(struct store *st, const char *sql, const char *text, struct run *ret);
int run_by_id(struct store *st, const char *id, struct run *ret);

#endif
