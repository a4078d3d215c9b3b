/* What the tapes of a run will hold, found without computing anything. */
#ifndef TRAIN_LAYOUT_H
#define TRAIN_LAYOUT_H

#include "train/train.h"

struct layout {
	int64_t tape;   /* bytes that the tape of one thread reaches, whatever it works on */
	int64_t shards; /* of the step that has most */
	int64_t tokens; /* of the largest shard */
};

/* From all of a trainer that comes before dir; train_open need not have been called. */
int layout_make(const struct trainer *t, struct layout *ret);

#endif
