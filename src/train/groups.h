#ifndef TRAIN_GROUPS_H
#define TRAIN_GROUPS_H

#include "base/knob.h"
#include "tensor/op.h"
#include "train/metrics.h"

/*
 * Several tasks that are learned at once, over one body: labels are named
 * "TASK/LABEL", and those of a task stand together. The rows of the classifier that
 * are a task's labels are its head: loss and answers of a row are among them alone.
 */
struct groups;

/* Refuses labels that are no such groups, with a sentence. labels must outlive the result. */
int groups_new(const struct texts *labels, struct groups **ret);
void groups_free(struct groups *g); /* NULL is fine, here and below: then there is one task */
int groups_count(const struct groups *g);
struct span groups_at(const struct groups *g, int i); /* the labels of a task */
/* For op_cross_entropy_among; NULL without groups. */
const struct span *groups_spans(const struct groups *g);
/* Answers of a row's own task alone: the others become less than any. logits [n,cols]; label -1 leaves all. */
void groups_mask(const struct groups *g, float *logits, const int32_t *label, int64_t n,
		 int64_t cols);
/* Add "accuracy/TASK" of every task, by the confusion matrix. */
void groups_score(const struct groups *g, struct scores *to);

#endif
