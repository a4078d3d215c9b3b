#ifndef UI_ANSWERS_H
#define UI_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

/* What a run said of each row of its validation data when it ended: RUN/predictions.jsonl. */

struct answer {
	size_t at, size;  /* its line in file */
	uint64_t example; /* a hash of texts and label: the same for the same row of the data */
	bool right;
};

struct answers {
	struct answer *row;
	size_t n; /* 0: none were kept */
	struct buf file;
};

/* A run that kept none, or has no folder any more, is an empty one. answers_done in any case. */
int answers_read(const char *dir, struct answers *ret);
void answers_done(struct answers *a); /* a zeroed one is fine */
/* One row with its texts; json_free it. */
int answers_row(const struct answers *a, size_t i, struct json **ret);

/* Did both answer the same rows in the same order? */
bool answers_same_rows(const struct answers *a, const struct answers *b);
/* Of rows that are the same: how many only one gets right. */
void answers_count(const struct answers *a, const struct answers *b, int64_t *ret_only_a,
		   int64_t *ret_only_b);

#endif
