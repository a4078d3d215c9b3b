/* What the process takes of the machine. */
#ifndef TRAIN_USAGE_H
#define TRAIN_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Looks at most once a second; a clock of its own, so that nothing else depends on it. */
struct usage {
	int64_t wall_us, cpu_us;
};

void usage_start(struct usage *u);
/* false: it is too early to look again. cpu_percent: 100 is one core, since the last look. */
bool usage_look(struct usage *u, double *ret_rss_bytes, double *ret_cpu_percent);

#endif
