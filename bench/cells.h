#ifndef BENCH_CELLS_H
#define BENCH_CELLS_H

#include <limits.h>

#include "bench/cell.h"

/*
 * A program that measures many cells: its options, a folder for a while with the
 * models and rows, and a report in JSON. The report is an object with "machine" and
 * the list "cells", to which `measure` adds.
 */
struct cells {
	const char *name; /* the program's */
	int (*measure)(struct cells *b);
	bool full;
	const char *data, *vocab, *only, *json, *lock, *python, *script; /* NULL: not given */
	char self[PATH_MAX], dir[PATH_MAX], model[PATH_MAX], rows[PATH_MAX];
	bool made[SHAPES];
	struct buf text;
	struct jsonw out;
};

/* Which options it takes besides --data, --vocab, --only and --json. */
enum {
	CELLS_FULL = 1,
	CELLS_LOCK = 2,
	CELLS_PEER = 4 /* --python and --script, which must be given */
};

/* The whole of main, behind cell_main or cell_paced_main: what it returns. */
int cells_main(struct cells *b, unsigned takes, int argc, char **argv);

/* Model and rows of a cell in the folder; they are made when they are first needed. */
int cells_prepare(struct cells *b, int shape, struct cell *c);
/* Does --only want this line? */
bool cells_wants(const struct cells *b, const char *line);

/* Members of the report. */
void cells_real(struct jsonw *w, const char *key, double value);
void cells_text(struct jsonw *w, const char *key, const char *value);
void cells_list(struct jsonw *w, const char *key, const double *value, int n);
/* "shape", "data", "method", "precision", "threads", "batch", "steps" of an object that is open. */
void cells_write_cell(struct jsonw *w, const struct cell *c, const char *method);

#endif
