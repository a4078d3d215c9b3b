#ifndef MODEL_PROMPT_H
#define MODEL_PROMPT_H

#include "data/batch.h"
#include "tensor/graph.h"

/*
 * A batch with n more places before every sequence, of id and type 0 and
 * positions 0 .. n-1; the text's positions begin at n. Lives in the graph. first:
 * rows are the first place of each sequence and stay so, which is then the
 * prompt's first row, as Hugging Face PEFT pools; else they move with the text.
 */
int prompt_batch(struct graph *g, const struct batch *b, int64_t n, bool first, struct batch *ret);

#endif
