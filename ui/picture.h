#ifndef UI_PICTURE_H
#define UI_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ui/widget/plot.h"

/*
 * Charts as a picture: one above the other, curves over steps. As on the
 * screen a column spans all values that fall into it, and what is not a number
 * is a letter. Curves are told apart by dashes as well as by colour.
 */

enum {
	PICTURE_WIDTH = 900,
	PICTURE_COLUMNS = 800 /* buckets of a curve; one a pixel */
};

struct picture_chart {
	const char *title;
	const struct plot_series *series; /* PICTURE_COLUMNS buckets each */
	size_t n;
	int64_t lo, hi;
	bool log;
};

enum picture_kind { PICTURE_SVG, PICTURE_PNG };

/* The bytes of the file; ret is initialised by the caller. */
int picture_make(const struct picture_chart *chart, size_t n, enum picture_kind kind,
		 struct buf *ret);

#endif
