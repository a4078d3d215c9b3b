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
/* What it tells; item NULL: nothing. A name that is no text is NULL. The names live in a. */
int heads_read(const char *dir, struct arena *a, struct texts *ret);
/* Are the labels others than the method's? Without a list nobody knows, and they are not. */
bool heads_differ(const struct method *m, const struct texts *theirs);
/*
 * Of a head of these labels, the rows of those that the method has too: a tensor of the
 * method's gets them from the file's, whose first dimension must be the labels'. Returns
 * how many; negative: an error.
 */
int64_t heads_take(const struct method *m, const struct texts *theirs, const struct st_tensor *from,
		   const struct tensor *to);

#endif
