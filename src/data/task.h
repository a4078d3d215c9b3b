/* What a row's label means: class names and their indices, or a number. */
#ifndef DATA_TASK_H
#define DATA_TASK_H

#include <stdbool.h>

#include "base/recipe.h"
#include "data/rows.h"

/*
 * The classes of a classification task, in the order of their indices. Where a
 * row has a label it may hold the name or the index; but when a class is
 * itself named with a whole number, only names count.
 */
struct labels;

struct labels_options {
	const struct texts *given; /* the recipe's task.labels; NULL or item NULL: not given */
	const char *train;         /* labels.json is looked for beside it; else its rows are read */
	const struct row_columns *columns;
	bool tags; /* a row's label holds many, between single spaces */
};

/* From `given`, else labels.json (an array of strings), else every label of the file, sorted by bytes. */
int labels_load(const struct labels_options *from, struct labels **ret);
void labels_free(struct labels *l); /* NULL is fine */
int32_t labels_count(const struct labels *l);
const char *labels_name(const struct labels *l, int32_t index); /* NULL: no such class */
const char *labels_origin(const struct labels *l); /* "the recipe", a path; for sentences */
/* The class of this name (with size bytes); an error names the known ones. */
int labels_tag(const struct labels *l, const char *name, size_t size, int32_t *ret);
/* The class of a row; errors name the label, FILE:LINE and the known classes. */
int labels_find(const struct labels *l, const struct rows *from, const struct row *row,
		int32_t *ret);
/* The number of a regression row; errors name FILE:LINE. */
int label_number(const struct rows *from, const struct row *row, float *ret);

#endif
