#ifndef ENGINE_ESTIMATE_H
#define ENGINE_ESTIMATE_H

#include <stdint.h>

struct session;

/* Bytes a run will hold, from the opened model and method; nothing is trained to find out. */
struct estimate {
	int64_t total_params, trainable_params;
	int64_t weights, trainable, gradients, optimizer, activations, runtime, total;
	int64_t full_finetune; /* the total if every weight trained with the same optimizer */
};

int estimate_make(struct session *s, struct estimate *ret);

#endif
