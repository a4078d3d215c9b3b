/* What a run keeps of a model in memory; for estimates. */
#ifndef MODEL_RESIDENT_H
#define MODEL_RESIDENT_H

#include "model/model.h"

/* The words and positions that a run looks up. */
struct lookups {
	unsigned char *word; /* [vocab_size] not 0: some text has it */
	int64_t positions;   /* from 0 on */
};

/*
 * Bytes of what does not train, after model_prepare: prepared copies, parameters of the
 * arena, and of the mapped file what is read. TT_NOMEM, or TT_OK.
 */
int model_resident(const struct model *m, const struct lookups *l, int64_t *ret);
/* Numbers of a parameter's gradient, or of the optimizer's state for it, that are ever written (tensor/sparse.h). */
int64_t model_written(const struct model *m, const struct lookups *l, const struct tensor *w);

#endif
