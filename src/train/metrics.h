#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/recipe.h"

/* Metrics as formats-and-models section 7 defines them. */
struct score {
	const char *name;		/* "accuracy", without "eval/" */
	double value;
};

struct scores {
	struct score score[12];		/* loss first, then what fits the task */
	int n;
	int64_t examples;
	int64_t n_labels;
	int64_t *confusion;		/* [n_labels, n_labels]: row = true label; NULL for other tasks; in the arena */
};

/* logits [n, classes], label [n]; loss is the mean. */
int metrics_classification(struct arena *a, const float *logits, const int32_t *label, int64_t n, int64_t classes,
			   double loss, struct scores *ret);
int metrics_regression(struct arena *a, const float *pred, const float *value, int64_t n, double loss, struct scores *ret);
int metrics_mlm(int64_t correct, int64_t tokens, double loss, struct scores *ret);	/* loss, perplexity, accuracy */
double scores_get(const struct scores *s, const char *name);	/* NAN: not there */
/* The metric a task is judged by when the recipe names none, and whether larger is better. */
const char *metric_default(int task);
bool metric_greater_is_better(const char *name);

#endif
