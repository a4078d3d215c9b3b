#ifndef UI_RUNS_H
#define UI_RUNS_H

#include "db/metric.h"
#include "db/run.h"
#include "ui/app.h"
#include "ui/prompt.h"

/* The state of the Runs screen: read in runs_read.c, drawn in runs_draw.c, changed in screen/runs.c. */

enum { SPARK_MAX = 24, SHOWN_MAX = 512, OPEN_MAX = 64 };

/* A line of the list: a run, or a group of them that stands folded or open above its runs. */
struct runs_line {
	size_t place, n; /* runs from there on */
	bool group, inner, open;
};

/* What stands in a column; of a group, over all of its runs. */
struct runs_cell {
	enum {
		CELL_NONE,
		CELL_NUMBER, /* one, or the same in all */
		CELL_SPAN,
		CELL_TEXT,
		CELL_MEAN,   /* of n runs */
		CELL_RANGE,  /* from low to high */
		CELL_VARIOUS /* texts that differ */
	} kind;
	double low, high; /* number: low; mean: low is the mean, high the deviation */
	size_t n;
	char text[RUN_FIELD_TEXT];
};

/* One line on the screen. */
struct runs_shown {
	struct run run;  /* of a group, the first; row 0: nothing here */
	int64_t line_id; /* see runs_line_id */
	size_t group;    /* how many runs; 0: this is a run, no group */
	size_t count[RUN_STATES];
	bool inner, open;
	struct runs_cell cell[COLUMNS_MAX], label; /* label: what a group has in common */
	struct metric_bucket spark[SPARK_MAX];
	size_t spark_n, spark_room;
	int64_t left_us;
};

struct runs {
	struct run_index *place; /* what the filter lets through, in order; groups together */
	size_t n;
	struct runs_line *line;
	size_t lines, at, from, rows; /* rows: how many the window holds */
	int64_t at_id;                /* the line under the cursor, wherever it moves */
	int64_t open[OPEN_MAX];       /* groups that stand open, by runs_line_id */
	size_t open_n;
	struct runs_shown *shown;
	size_t shown_n, total;
	size_t count[RUN_STATES], trashed;
	int id_width;
	char filter[PROMPT_TEXT], search[PROMPT_TEXT];
	struct where *where; /* the filter, read */
	int64_t now, looked_us;
	char trouble[512];
};

struct run_filter runs_filter_of(const struct app *app, const struct runs *r);
/* What tells a line from the others as long as it is there: a run's row, or less than 0 for a group. */
int64_t runs_line_id(const struct runs *r, const struct runs_line *l);
/* The line of a run: of its group, where that is folded. r->lines: none. */
size_t runs_line_of(const struct runs *r, int64_t row);
bool runs_poll(struct screen *s);
void runs_draw(const struct screen *s, WINDOW *w);
void runs_free(struct runs *r);
/* The line under the cursor as it was last read; NULL: there is none. */
const struct runs_shown *runs_here(const struct runs *r);
size_t runs_spark_width(const struct app *app);

#endif
