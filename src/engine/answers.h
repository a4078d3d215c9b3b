#ifndef ENGINE_ANSWERS_H
#define ENGINE_ANSWERS_H

#include "engine/session.h"

/*
 * RUN/predictions.jsonl: what a run said of each row of its validation data when
 * it ended, {"row","text_a","text_b","label","predicted"} a line, so that two
 * runs can be compared row by row.
 */
struct answers {
	const struct session *s;
	const char *dir; /* the run's folder */
};

/* A trainer's ends_with; arg: a struct answers. What cannot be written is said in the log, and the run goes on. */
void answers_keep(void *arg, const struct scores *scores);

#endif
