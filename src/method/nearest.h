#ifndef METHOD_NEAREST_H
#define METHOD_NEAREST_H

#include "method/method.h"

/* Learned rows beside the words of the model: how long they are, and which words they are most like. */
struct nearest;

int nearest_new(struct method *m, struct nearest **ret);
/*
 * The panel, "method/NAME/...", of rows [n,H]: their lengths over the mean length
 * of a word, and their cosines with the nearest word. The log gets the words that
 * are nearest to the first rows.
 */
void nearest_watch(struct nearest *w, const struct tensor *rows, const char *name,
		   const struct watch *out);

#endif
