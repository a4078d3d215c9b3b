#ifndef BENCH_CELL_H
#define BENCH_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "bench/folder.h"

/*
 * One measurement of training: a run of its own in a process of its own, since
 * peak memory and the time to the first step belong to a process. The same few
 * steps are trained over and over, and the quickest time of each counts.
 */
struct cell {
	const struct shape *shape;
	const struct lengths *lengths;
	const char *method, *precision;
	const char *peft;   /* the recipe's section in place of method and r; NULL: none */
	bool checkpointing; /* of gradients: blocks are built again in backward */
	bool log;           /* every step's values go to a run log, as in a run */
	bool top;           /* the last two layers alone, without dropout: what is below is kept */
	int threads, r;     /* r: of lora and its kin */
	int steps, epochs;
	const char *model, *data; /* folder, file */
};

struct figures {
	bool done;
	char why[200];                        /* not done: a sentence */
	double wall, cpu;                     /* seconds of one pass over the steps */
	double pack, forward, backward, rest; /* ... seconds of cpu; rest: reduce, optimizer */
	double first_wall, first_cpu;         /* the first pass, unlike others with a cache */
	double start;                         /* seconds from the process to the first step */
	double tokens, steps;                 /* of one pass */
	double flops, peak;                   /* needed a pass; FLOP/s that the machine does */
	double rss, estimate;                 /* bytes: most ever resident; as estimated */
};

/* The recipe of a cell. */
int cell_save(const struct cell *c, const char *path);

/* Run it in a new process of this program, which must call cell_main first thing. */
int cell_run(const char *dir, const struct cell *c, struct figures *ret);
/*
 * The same of a recipe with PATH=VALUE as --set has, once over without keeping what
 * frozen layers make of the examples. dir: for what a run leaves behind.
 */
struct cell_recipe {
	const char *path, *dir;
	const char *const *set;
	size_t n_set;
	int epochs;
};
int cell_run_recipe(const struct cell_recipe *how, struct figures *ret);
/* Are these the arguments of such a process? Then it runs, prints and never returns. */
void cell_main(int argc, char **argv);
/*
 * The same at another's pace: `--paced RECIPE`. It says "ready TOKENS TRAINABLE
 * ESTIMATE" on file descriptor 3 before its first step and "done" after each pass; a
 * line there asks for a pass, and the end of the file for the end.
 */
void cell_paced_main(int argc, char **argv);

/* Share of the peak, by wall clock and by processor time. */
double cell_mfu(const struct figures *f);
double cell_mfu_cpu(const struct figures *f, int threads);
/* The method as tables call it: "lora gc" is lora with gradient checkpointing, "lora top" that of the last two layers. */
const char *cell_method(const struct cell *c, char *ret, size_t size);
/* The members of an object, and back; a figure that is not there is 0. */
void cell_write_figures(const struct figures *f, struct jsonw *w);
void cell_read_figures(const struct json *j, struct figures *ret);
void cell_write(const struct cell *c, const struct figures *f, struct jsonw *w);
/* "machine": processor, cores, load. */
void cell_write_machine(struct jsonw *w);
void cell_machine(char *ret, size_t size); /* as a line */
void cell_print_machine(void);

#endif
