/*
 * What a run says while it goes, and what it may be told. The trainer knows no
 * database: it speaks to a sink.
 */
#ifndef TRAIN_SINK_H
#define TRAIN_SINK_H

#include <stdbool.h>
#include <stdint.h>

enum train_verb {
	TRAIN_PAUSE,
	TRAIN_RESUME,
	TRAIN_STOP,
	TRAIN_SET_LEARNING_RATE,
	TRAIN_CHECKPOINT,
	TRAIN_EVAL_NOW
};

struct train_command {
	enum train_verb verb;
	double value; /* TRAIN_SET_LEARNING_RATE: the new base rate */
	int64_t id;   /* the sink's own, handed back with the answer */
};

/* All is called from the thread that trains, and every callback may be NULL. */
struct sink {
	void *arg;
	/* Never waits for a disk. step counts from 1. */
	void (*metric)(void *arg, const char *key, int64_t step, double value);
	void (*progress)(void *arg, int64_t step, double epoch);
	/* checkpoint, learning_rate, paused, resumed, continued, early_stopping, best, alarm */
	void (*event)(void *arg, int64_t step, const char *kind, const char *text);
	void (*best)(void *arg, const char *key, int64_t step, double value);
	void (*paused)(void *arg, bool yes);
	/* How many numbers train, of how many, when that changes once the run has begun. */
	void (*trains)(void *arg, int64_t trainable, int64_t all);
	/*
	 * The next command, if any. timeout_us 0: just look; > 0: wait up to that long
	 * (while paused).
	 */
	bool (*command)(void *arg, struct train_command *ret, int64_t timeout_us);
	void (*answer)(void *arg, const struct train_command *c, const char *text);
	bool (*stop)(void *arg); /* was the process told to end (SIGTERM)? */
	/*
	 * A checkpoint is about to be written: return once what was said is kept, so that a run
	 * that goes on from there misses nothing, or after some seconds when it cannot be kept.
	 */
	void (*settle)(void *arg);
};

#endif
