#ifndef METHOD_LOOK_H
#define METHOD_LOOK_H

#include "tensor/graph.h"

/*
 * What a panel shows of a pass: the first examples of an evaluation are looked
 * at. Each has a place of its own (0 .. LOOKED-1) in what the method keeps, so
 * threads do not meet, and the last evaluation is what stays.
 */
enum { LOOKED = 32 };

/* In an evaluation: for every such example, the rows from .. to-1 of x that are its own. */
void look(struct graph *g, const struct tensor *x,
	  void (*at)(void *arg, int64_t from, int64_t to, uint32_t place), void *arg);

#endif
