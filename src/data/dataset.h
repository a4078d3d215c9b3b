/* A data file, read and tokenised once, in compact arrays. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "data/batch.h"
#include "data/pattern.h"
#include "data/rows.h"
#include "data/task.h"
#include "data/tokenizer.h"

/* Lives until dataset_free; never written after loading, so threads may share it. */
struct dataset;

struct dataset_options {
	const struct tokenizer *tokenizer;
	const char *path;
	struct row_columns columns;
	int task; /* enum task_type: seq_cls, regression, token_cls, cloze, mlm */
	const struct labels *labels;   /* seq_cls, token_cls, cloze */
	const struct pattern *pattern; /* cloze */
	int64_t max_length;            /* 0: never cut */
	int64_t limit;                 /* only the first rows of the file; 0 or KNOB_NONE: all */
	int64_t per_label_limit;       /* of those, the first of each class; 0 or KNOB_NONE: all */
	bool label_optional;           /* a row without one gets label -1, value NAN */
	bool (*stop)(void *arg);       /* NULL, or asked at each row: read no further, TT_STOPPED */
	void *stop_arg;
};

/*
 * For mlm the label column is not read, and a row without a single token that
 * could be masked is left out. A file that yields no example is an error.
 */
int dataset_load(const struct dataset_options *how, struct dataset **ret);
/* One text (b NULL: a single one), without a label, as a dataset of one row; path and columns are not read. */
int dataset_of_text(const struct dataset_options *how, const char *a, const char *b,
		    struct dataset **ret);
void dataset_free(struct dataset *d); /* NULL is fine */
size_t dataset_count(const struct dataset *d);
/* i < count; the pointers inside live as long as the dataset. */
struct example dataset_example(const struct dataset *d, size_t i);
int64_t dataset_rows(const struct dataset *d);           /* that a head reads, of all examples */
const int32_t *dataset_lengths(const struct dataset *d); /* [count] tokens of each example */
int64_t dataset_tokens(const struct dataset *d);
size_t dataset_bytes(const struct dataset *d); /* memory held */

#endif
