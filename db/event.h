#ifndef DB_EVENT_H
#define DB_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/store.h"

/* What happened to a run (written by the engine), and what was asked of it (written by the front). */

struct event {
	int64_t n; /* 1, 2, ... within the run: a cursor */
	int64_t step, time_us;
	const char *kind,
		*text; /* kind: one word, such as checkpoint, resumed, set, early_stop, warning */
};

int event_add(struct store *st, int64_t run, int64_t step, const char *kind, const char *text);
/* Those after `after` (0: all), in order. free() the array only. */
int event_list(struct store *st, int64_t run, int64_t after, struct event **ret, size_t *ret_n);

/*
 * A command waits until the trainer takes it, and is done when the trainer has
 * answered. Verbs are words such as pause, resume, stop, set, checkpoint, eval.
 */
struct command_row {
	int64_t id, run;
	int64_t created, taken, done; /* 0: not yet */
	bool ok;                      /* when done: was it carried out? */
	const char *verb, *arg, *answer;
	char *text; /* owned: command_row_done frees it */
};

void command_row_done(struct command_row *c);

int command_add(struct store *st, int64_t run, const char *verb, const char *arg, int64_t *ret_id);
/* The oldest that waits; ret_any false and ret zeroed when none does. */
int command_take(struct store *st, int64_t run, struct command_row *ret, bool *ret_any);
int command_done(struct store *st, int64_t id, bool ok, const char *answer);
int command_get(struct store *st, int64_t id,
		struct command_row *ret); /* to wait: poll until done is set */
/*
 * The front gave up waiting: closed if it was not taken yet, so that nobody
 * obeys it later. ret_taken: it was taken (or answered) before.
 */
int command_cancel(struct store *st, int64_t id, bool *ret_taken);

#endif
