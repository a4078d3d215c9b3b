#ifndef UI_APP_H
#define UI_APP_H

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/args.h"
#include "db/run.h"
#include "db/store.h"
#include "ui/columns.h"
#include "ui/marks.h"
#include "ui/prompt.h"
#include "ui/screen.h"
#include "ui/theme.h"

enum { APP_DEPTH = 8, APP_ASKED = 16, APP_MIN_COLS = 60, APP_MIN_ROWS = 18 };

/* A command that a trainer has not answered yet. */
struct asked {
	int64_t id, since_us; /* id 0: the place is free */
	char run[RUN_ID_SIZE], verb[16];
};

/* A trainer that this workbench started; only to learn of an early end. */
struct launched {
	pid_t pid; /* 0: the place is free */
	int64_t row, since_us;
	char run[RUN_ID_SIZE];
};

/* A verb of the program, for the command line of the workbench. */
struct verb {
	const char *name;
	const struct arg *options; /* NULL: unknown */
};

struct app {
	struct store
		*store; /* for reading; NULL: there is no run log yet, or `trouble` says why not */
	char db[PATH_MAX];      /* path of the run log */
	char trouble[512];      /* why it cannot be read, "" when it can */
	int64_t (*clock)(void); /* microseconds since 1970 */
	bool changed; /* the run log changed since the last poll, or was never looked at */
	struct theme theme;
	struct columns columns; /* of the list of runs */
	struct screen *stack[APP_DEPTH];
	int depth;
	struct prompt prompt;
	struct marks marks; /* runs to compare */
	char message[512];
	bool message_bad, small, quit, busy; /* busy: a screen has more to read, so do not wait */
	int patience;                        /* ticks until the run log is tried again */
	int rows, cols;                      /* of the screen's part, as last drawn */
	char watched[RUN_ID_SIZE]; /* the workbench closes when this run is over; "": none */
	struct asked asked[APP_ASKED];
	struct launched launched[APP_ASKED];
	const struct verb *verbs; /* ends with {0}; NULL: none */
	const char *program;      /* what runs them; NULL: nothing */
	pid_t left[APP_ASKED];    /* processes that nobody waits for any more; 0: free */
};

/* The program without a verb. Returns the exit status. */
int app_main(const struct verb *verbs);
/* The Run screen of a live run, which closes by itself when the run is over. Returns the exit status. */
int app_watch(const char *id);

/* A workbench on the run log at `db`, without a terminal; opens the Runs screen. */
int app_init(struct app *app, const char *db, int64_t (*clock)(void));
void app_done(struct app *app);
struct screen *app_top(struct app *app);
void app_leave(struct app *app, pid_t pid); /* its end is not looked at */
/* Write the columns into the data home. */
int app_keep_columns(const struct app *app);
int app_open(struct app *app, const char *screen, const char *arg);
/* Each returns true when something must be redrawn. */
bool app_key(struct app *app, int key);
bool app_tick(struct app *app);
void app_draw(struct app *app, WINDOW *w);
/* The line at the bottom, until the next key. */
void app_say(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void app_complain(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The title line of a screen: what on the left, where on the right. */
void app_title(const struct app *app, WINDOW *w, const char *what, const char *where);

const struct screen_ops *const *screen_all(void); /* ends with NULL */
struct screen *screen_open(struct app *app, const struct screen_ops *ops, const char *arg);
unsigned screen_key(struct screen *s, int key);
void screen_close(struct screen *s);

#endif
