#ifndef METHOD_TRAINED_H
#define METHOD_TRAINED_H

#include "method/bottleneck.h"

/*
 * Bottleneck adapters that were trained before, in folders of method `adapter`,
 * or of a fusion of such: what adapter fusion mixes.
 */
struct trained {
	const char *name;   /* its own in the fusion */
	const char *folder; /* where it was found */
	struct bottleneck_how how;
	const char *
		within; /* what follows "MODULE.adapters." in names of the folder's tensors: "" or "NAME." */
	struct st_file *file; /* open until trained_close */
};

struct trained_list {
	struct trained item[16];
	size_t n;
};

/* Everything but the numbers. The rest lives in the run's arena. On failure nothing stays open. */
int trained_open(const struct method *m, const struct texts *folders, struct trained_list *ret);
void trained_close(struct trained_list *l);
/* Has it an adapter in this module ("....output.adapters")? */
bool trained_has(const struct trained *t, const char *module);
/* Its numbers there, into a frozen adapter of its shapes. */
int trained_read(const struct trained *t, const char *module, const struct bottleneck *b);

#endif
