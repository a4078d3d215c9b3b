#ifndef ENGINE_LAUNCH_H
#define ENGINE_LAUNCH_H

#include "base/args.h"
#include "engine/session.h"

/*
 * What train and resume share. Everything is opened and checked before the run
 * log hears of it, so a wrong recipe leaves nothing behind.
 */

/*
 * Data, model, method and trainer of a recipe that is to train; refuses what would not fit
 * compute.memory_limit. The caller zeroes ret and closes it with train_close, before the session.
 */
int launch_load(struct session *s, struct trainer *ret);
/* runs/ID with the recipe as it will run, and the run's row with its first attempt. dir: PATH_MAX bytes. */
int launch_enter(struct session *s, const char *id, const char *parent, char *dir, int64_t *ret_row,
		 int *ret_attempt);
/*
 * From here on our words go to RUN/log.txt; with --report, "ID\n" goes to file
 * descriptor 3, so that the starter knows the run log has the run.
 */
int launch_report(const struct args *a, const char *id, const char *dir);
/* Train to the end and write how it ended into the run log. */
struct launch {
	int64_t row;
	int attempt;
	const char *dir;
	bool resume; /* from the newest checkpoint in dir */
};
int launch_train(struct session *s, struct trainer *t, const struct launch *how);

#endif
