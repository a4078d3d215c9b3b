#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <limits.h>

#include "base/command.h"
#include "base/json.h"
#include "db/run.h"
#include "db/store.h"

/* Verbs of trimtab: one file each, `const struct command command_NAME`. */

/* The whole program behind main(): dispatch, or the workbench without a verb. Returns the exit status. */
int cmd_main(int argc, char **argv);

/* Verbs that need tensors: trimtab-engine has them, trimtab passes them on as they are. */
struct passed_on {
	const char *name, *summary;
};
const struct passed_on *cmd_passed_on(void); /* ends with a name of NULL */

/* The run log, for reading (TT_NOTFOUND with a sentence when there is none yet) or writing. */
int cmd_open_read(struct store **ret);
int cmd_open(struct store **ret);
/*
 * What every verb about one run does: open the run log, find the run that
 * a->pos[0] means (run_find), use it, close both.
 */
int cmd_with_run(const struct args *a, bool write,
		 int (*use)(struct store *st, const struct run *r, const struct args *a));

/* Print a finished JSON text (or any text) as one line on stdout. */
int cmd_print(const struct buf *out);
int cmd_print_some(struct buf *out); /* a long one: what has gathered, once that is much */
/* Names, causes and paths come from others: control characters and escapes never reach the terminal. */
void cmd_text(struct buf *out, const char *text);
void cmd_left(struct buf *out, const char *text, int width);  /* flush left in so many columns */
void cmd_right(struct buf *out, const char *text, int width); /* flush right */
bool cmd_colour(int fd); /* a terminal, TERM not dumb, NO_COLOR not set */

/* Latest values that were read with a list, so that a long one needs no look-up a run. */
struct cmd_values {
	const char *const *key;
	const struct run_value *value; /* step -1: none */
	size_t n;
};

/*
 * {"id","name","state",...}: what `show` and `ls` say of a run. recipe NULL:
 * without it. values NULL: looked up.
 */
int cmd_write_run(struct store *st, const struct run *r, const char *recipe,
		  const struct cmd_values *values, struct jsonw *w);

/* One sentence about a run: {"id","name",KEY:TEXT} on stdout with --json, else on stderr. */
int cmd_say(const struct args *a, const struct run *r, const char *key, const char *text);
extern const struct arg cmd_json_option[]; /* the table of a verb that has --json alone */

/*
 * Ask a live run (pause, resume, stop, set, checkpoint, eval), wait for its
 * answer, a second or so, and say it. The store must be open for writing.
 */
int cmd_ask(struct store *st, const struct run *r, const struct args *a, const char *verb,
	    const char *arg);

/* Start trimtab-engine with these arguments (the verb first) and --report; the id it reports. */
struct started {
	char id[RUN_ID_SIZE];
	int64_t pid;
};
int cmd_start(const char *const *argv, struct started *ret);
/* Follow unless --detach, then say the result; for run and resume. */
int cmd_finish(const struct started *s, const struct args *a);
int cmd_say_result(const char *id, bool json);
/* Follow a started run to its end, with a progress line; Ctrl-C asks it to stop. */
int cmd_follow(const struct started *s, bool quiet);

#endif
