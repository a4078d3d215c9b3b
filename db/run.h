#ifndef DB_RUN_H
#define DB_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/store.h"
#include "db/where.h"

/*
 * Runs. A run has two names: `id`, what people and folders see, and `row`, a
 * small integer that every other table and function uses.
 * All times are microseconds since 1970, 0 when it has not happened.
 */

enum run_state {
	RUN_QUEUED,
	RUN_RUNNING,
	RUN_PAUSED,
	RUN_FINISHED,
	RUN_STOPPED,
	RUN_FAILED,
	RUN_LOST, /* never stored: derived when read, see run_state_now */
	RUN_STATES
};

const char *run_state_name(int state); /* "running"; "unknown" for a bad number */
bool run_state_parse(const char *word, enum run_state *ret);

/*
 * Ids: 14 characters of base 32 (Crockford's digits in lower case), 50 bits of
 * microseconds since 2015 and 20 random bits, so that text order is time order
 * and two machines do not meet. The first five characters change every 33 s.
 */
enum { RUN_ID_SIZE = 15 };

void run_id_new(char ret[RUN_ID_SIZE]);
void run_id_make(char ret[RUN_ID_SIZE], int64_t time_us, uint32_t random);

/* Who trains: a process is told from a later one with the same pid by its start time and the boot. */
struct run_process {
	int64_t pid;
	uint64_t pid_start;
	char boot_id[64], host[256];
};

void run_process_self(struct run_process *ret);

struct run {
	const char *id; /* in front, where sorting finds it */
	int64_t row;
	enum run_state state;  /* as of now: lost is derived */
	enum run_state stored; /* what the engine last wrote */
	/* Texts are never NULL, "" when there is none; they live in `text`. */
	const char *name, *cause, *method, *model, *task, *host, *boot_id, *dir, *parent,
		*metric_key;
	const char *tags; /* sorted, one space between */
	int64_t created, started, ended, heartbeat, trashed;
	int64_t pid;
	uint64_t pid_start;
	int attempt; /* 0: never started; 1: first; +1 for each resume */
	int64_t step, total_steps, steps_per_epoch;
	double epoch;
	int64_t trainable_params, total_params;
	bool best_greater; /* of metric_key: is more better? */
	bool has_best;
	double best_value;
	int64_t best_step;
	char *text; /* owned: everything the texts above point into */
};

void run_done(struct run *r); /* frees the texts; a zeroed struct is fine */

/*
 * What a stored state means now. A running or paused run whose process is gone
 * from this machine is lost; on another machine, when its heartbeat is older
 * than 10 s. Silence alone is never death where the process can be looked up.
 */
enum run_state run_state_now(enum run_state stored, const struct run_process *trainer,
			     int64_t heartbeat, int64_t now);

/* --- written by the engine ---------------------------------------------------------------- */

/*
 * A new run. Read from r: id (see run_id_make; required), name, state (queued,
 * or a final one for an import), cause, method, model, task, dir, parent,
 * metric_key, best_greater, created (0: now), started, ended, step,
 * total_steps, steps_per_epoch, epoch, trainable_params, total_params. NULL
 * texts count as "". recipe is JSON text.
 */
int run_add(struct store *st, const struct run *r, const char *recipe, int64_t *ret_row);

/*
 * This process takes the run: running, a new attempt from step 0 (run_start)
 * or from the checkpoint of from_step (run_resume). Rows that an older attempt
 * wrote after from_step no longer count (they stay readable), latest and best
 * values are recomputed, and commands nobody answered are closed. Refused while
 * another live process trains the run. `who` NULL: run_process_self.
 */
int run_start(struct store *st, int64_t row, const struct run_process *who, int *ret_attempt);
int run_resume(struct store *st, int64_t row, int64_t from_step, const struct run_process *who,
	       int *ret_attempt);

int run_update_state(struct store *st, int64_t row,
		     enum run_state state); /* running or paused, mostly */
int run_update_progress(struct store *st, int64_t row, int64_t step, double epoch);
int run_update_heartbeat(struct store *st, int64_t row, int64_t time_us); /* 0: now */
int run_update_total(struct store *st, int64_t row, int64_t total_steps, int64_t steps_per_epoch);
int run_update_params(struct store *st, int64_t row, int64_t trainable, int64_t total);
int run_update_metric(struct store *st, int64_t row, const char *metric_key,
		      bool greater); /* what best means */
int run_update_best(struct store *st, int64_t row, double value, int64_t step);
int run_update_dir(struct store *st, int64_t row, const char *dir);
int run_update_name(struct store *st, int64_t row, const char *name);
int run_end(struct store *st, int64_t row, enum run_state state,
	    const char *cause); /* cause NULL: "" */

/* Who trained which part. */
struct attempt {
	int attempt;
	int64_t started, ended, from_step, pid;
	enum run_state state; /* how it ended; running while it has not */
	char host[256], cause[512];
};
int attempt_list(struct store *st, int64_t row, struct attempt **ret,
		 size_t *ret_n); /* free() it */

/* --- read by anyone ------------------------------------------------------------------------ */

int run_get(struct store *st, const char *id, struct run *ret); /* by the whole id */
int run_get_row(struct store *st, int64_t row, struct run *ret);
int run_recipe(struct store *st, const char *id, char **ret); /* JSON text; free() it */

/*
 * What a person typed: a whole id, `latest`, a whole name (newest wins), or the
 * beginning of one id. Trashed runs are found by whole id only. The sentence of
 * a failure names the nearest name, or the candidates.
 */
int run_find(struct store *st, const char *what, struct run *ret);

/*
 * Zeroed, a filter lists everything that is not in the trash, newest first.
 * sort is a column as in db/where.h, a metric key (with a '/') or a path of the
 * recipe (with a '.'); "" is "created". Words sort from a to z, settings from
 * the least, times and numbers from the greatest, metrics that end in loss or
 * perplexity from the least; a '-' in front turns it round. Runs without a
 * value come last.
 */
struct run_filter {
	unsigned states;           /* bits 1u << RUN_...; 0: any. Of the state as of now. */
	const char *tag, *method;  /* exactly; NULL: any */
	const char *text;          /* somewhere in name or id, letter case aside */
	const struct where *where; /* and this; NULL: nothing more */
	const char *sort;
	size_t limit; /* 0: all */
	bool with_trashed, only_trashed;
	const char *group;       /* a key: run_index says which runs have the same; NULL: none */
	const char *const *keys; /* carry the latest value of these metrics */
	size_t keys_n;
};

struct run_value {
	int64_t step; /* -1: the run has no such metric */
	double value; /* NAN when there is none, or when that was measured */
};

struct run_list {
	struct run *run;
	size_t n, keys_n;
	struct run_value *value; /* [n][keys_n]: value[i * keys_n + k]; never NULL */
};

int run_list(struct store *st, const struct run_filter *f, struct run_list *ret);
void run_list_done(struct run_list *l);

/*
 * The same list by what a line of it shows, one after another, in half the time. A line is there during
 * its visit only; a visitor that fails ends the walk. It runs within a read, so it must not wait for anybody.
 * ret_width is run_id_width, and known before the first visit.
 */
struct run_line {
	const char *id, *name, *method, *cause;
	int64_t row, started, ended, step, total_steps;
	enum run_state state; /* as of now */
	bool has_best;
	double best_value;
	const struct run_value *value; /* of each key */
};
typedef int run_visit(void *arg, const struct run_line *r);
int run_walk(struct store *st, const struct run_filter *f, int *ret_width, run_visit *visit,
	     void *arg);

/*
 * The same list as places only, quick for any number of runs: a screen then reads the rows it shows.
 * Without limit and keys.
 */
struct run_index {
	int64_t row;
	int64_t group;        /* a number for each value of the filter's group */
	enum run_state state; /* as of now */
	bool trashed;
};
/* As a group: what is the same but for train.seed, name and note. */
#define RUN_GROUP_SEED "seed"
int run_index(struct store *st, const struct run_filter *f, struct run_index **ret,
	      size_t *ret_n); /* free() it */
/* The columns a filter, a sort or a list knows: the i-th; NULL behind the last. */
const char *run_column_name(size_t i);
bool run_key_is(const char *name); /* a column, or a word that looks like a metric or a setting */

/*
 * What keys as in db/where.h say of some runs, [n][keys]; nothing where a run
 * is not there or has none. The latest value counts of a metric.
 */
enum { RUN_FIELDS_MAX = 32, RUN_FIELD_TEXT = 128 };
struct run_field {
	enum run_field_kind { FIELD_NONE, FIELD_NUMBER, FIELD_SPAN, FIELD_TEXT } kind;
	double number; /* microseconds of a span */
	char text[RUN_FIELD_TEXT];
};
int run_fields(struct store *st, const int64_t *row, size_t n, const char *const *name, size_t keys,
	       struct run_field *ret);
/* Paths of settings that the newest recipes have, sorted. One malloc'ed block: free() the array only. */
int run_setting_paths(struct store *st, char ***ret, size_t *ret_n);
/* The shortest id prefix, at least 5, that tells all runs of the store apart. */
int run_id_width(struct store *st, int *ret);

/* --- written by the front ------------------------------------------------------------------- */

int run_trash(struct store *st, int64_t row);
int run_untrash(struct store *st, int64_t row);
int run_last_trashed(struct store *st,
		     struct run *ret); /* for undo; TT_NOTFOUND when the trash is empty */
int run_purge(struct store *st,
	      int64_t row); /* for good, with every row; its folder is the caller's */

#endif
