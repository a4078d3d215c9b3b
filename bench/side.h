#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdio.h>
#include <sys/types.h>

/*
 * A process that trains at our pace, for benchmarks in which several take turns: a
 * pass over the same few steps each. Whoever waits sleeps in a read. All times are
 * taken here, by the same clock: a pass from the word to the answer, a start from
 * the making of the process to its word that the first step can begin.
 */
enum { PASSES_MOST = 8 };

struct side {
	const char *name; /* for complaints: "trimtab's side" */
	pid_t pid;
	FILE *wire;
	double start;             /* seconds to its word that it is ready */
	double tokens, trainable; /* of one pass; parameters */
	double estimate;          /* bytes; 0: it did not say */
	double first, pass[PASSES_MOST], cpu[PASSES_MOST];
	double peak; /* bytes, most ever resident */
};

/* A process that speaks as cell_paced_main says. Close it also after a failure. */
int side_open(char *const *argv, const char *name, struct side *ret);
void side_close(struct side *s);
/* A warm-up each, then n passes each, in turns, and what they held by then. */
int side_take_turns(struct side *s, int sides, int n);

/* The median over passes of x by y. */
double side_ratio(const double *x, const double *y, int n);
double side_median(const double *x, int n);

/* Hold a lock on a file, for others that share the machine; NULL: none. ret: to close, or -1. */
int side_lock(const char *path, int *ret);

#endif
