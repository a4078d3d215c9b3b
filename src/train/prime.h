/* Before the first step: what a method wants to know of model and data. */
#ifndef TRAIN_PRIME_H
#define TRAIN_PRIME_H

#include "train/train.h"

/* Run the method's prime stage; the optimizer is as new afterwards. A resumed run needs none: a checkpoint holds what came of it. */
int prime_run(struct trainer *t);

#endif
