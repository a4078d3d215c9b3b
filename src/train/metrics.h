/* How good answers are: metrics as formats-and-models section 7 defines them. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/recipe.h"

struct score {
	const char *name; /* "accuracy", without "eval/" */
	double value;     /* NAN: not defined, as the correlation of a constant */
};

enum { SCORES_MAX = 48 };

struct scores {
	struct score score[SCORES_MAX]; /* loss first, then what fits the task */
	int n;
	int64_t examples; /* rows; masked tokens for mlm */
	int64_t n_labels;
	/* [n_labels, n_labels], a row for each true label; NULL for other tasks; in the arena */
	int64_t *confusion;
	int32_t *said; /* [examples] the label that each row got; the same */
};

/*
 * logits [n, classes], label [n]; loss is the mean. loss, accuracy, f1 (two classes:
 * of label 1), macro_f1, mcc.
 */
int metrics_classification(struct arena *a, const float *logits, const int32_t *label, int64_t n,
			   int64_t classes, double loss, struct scores *ret);
/* loss, pearson, spearman. */
int metrics_regression(struct arena *a, const float *pred, const float *value, int64_t n,
		       double loss, struct scores *ret);
int metrics_mlm(int64_t correct, int64_t tokens, double loss,
		struct scores *ret);                         /* loss, perplexity, accuracy */
double scores_get(const struct scores *s, const char *name); /* NAN: not there */
/* The metric a task is judged by when the recipe names none, and whether larger is better. */
const char *metric_default(int task);
bool metric_greater_is_better(const char *name);
bool metric_fits(const char *name, int task, int64_t classes); /* is it among a task's scores? */

#endif
