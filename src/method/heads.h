#ifndef METHOD_HEADS_H
#define METHOD_HEADS_H

#include "method/method.h"

/*
 * Adapters that may go on at another task (method_ops.leaves_heads): their folders
 * tell the labels in labels.json, an array of names by class, which PEFT does not
 * look at.
 */

/* Is a parameter the task's own head's? */
bool heads_have(const struct method *m, const struct tensor *t);
/* labels.json of the folder; without labels there is none. */
int heads_write(const struct method *m, const char *dir);
/* Does it tell other labels than the method's? */
int heads_differ(const struct method *m, const char *dir, bool *ret);

#endif
