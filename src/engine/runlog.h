#ifndef ENGINE_RUNLOG_H
#define ENGINE_RUNLOG_H

#include "db/run.h"
#include "train/sink.h"

/*
 * Ties a trainer to the run log. The trainer puts what it has to say into
 * memory and goes on; a writer thread with a connection of its own commits it
 * five times a second in one short transaction, keeps the heartbeat, and
 * brings commands back. When the disk is full or the file is locked it keeps
 * what it has and tries again.
 */
struct runlog;

/* The run must be there and started (run_start, run_resume). path: the run log. */
int runlog_open(const char *path, int64_t row, int attempt, struct runlog **ret);
const struct sink *runlog_sink(struct runlog *l);
/*
 * Write what is left and the run's end. Tries for some seconds when the file
 * cannot be written; then an error says what was lost. cause NULL: none.
 */
int runlog_close(struct runlog *l, enum run_state end, const char *cause);

#endif
