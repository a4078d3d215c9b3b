#ifndef UI_PLOT_FILE_H
#define UI_PLOT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "db/run.h"
#include "db/store.h"

/* Curves of runs as a file: .svg, .png, a chart for each metric; or .csv, every value. */
struct plot_file {
	const char *path;
	const char *const *key;
	size_t key_n;
	bool log; /* the upright axes */
};

/* TT_INVALID: the name of the file ends in something else. TT_NOTFOUND: no run has any of the metrics. */
int plot_file_write(struct store *st, const struct run *const *run, size_t n,
		    const struct plot_file *how);
bool plot_file_knows(const char *path); /* does its name end in .svg or .png? */

#endif
