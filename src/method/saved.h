#ifndef METHOD_SAVED_H
#define METHOD_SAVED_H

#include "method/method.h"

/* What the recipe and the task ask for, into m->modules_to_save. */
int saved_gather(struct method *m);
/* The heads that train beside an adapter, by task; ends with NULL. */
const char *const *saved_heads(int task);
/* Add a name to a list with room for it, unless it is there. */
void saved_add(const char **list, size_t *n, const char *name);
/* Train every parameter in the modules that these name; a name that finds nothing is refused. */
int saved_train(struct method *m);

/* Every module's path, sorted: sites and the groups they lie in; in the run's arena. */
int method_modules(struct model *model, const char ***ret, size_t *ret_n);
/* Is `name` the module's own, or of something in it? */
bool method_lies_in(const char *name, const char *module);

#endif
