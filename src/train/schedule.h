/* How the learning rate goes over a run: the schedules of transformers, with its defaults. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

struct schedule {
	int type;              /* enum schedule_name */
	int64_t warmup, total; /* steps */
	double start;          /* the recipe's learning rate; only polynomial needs it */
};

/* The polynomial schedule ends here, and so must start higher. */
#define SCHEDULE_POLYNOMIAL_END 1e-7

/*
 * What the base rate is multiplied by for the step after `done` steps: the
 * first step uses schedule_factor(s, 0), which is 0 with warm-up. It depends on
 * the recipe alone; a rate changed during the run is multiplied by the same.
 */
double schedule_factor(const struct schedule *s, int64_t done);

#endif
