#ifndef METHOD_COMBINED_H
#define METHOD_COMBINED_H

#include "method/method.h"

/*
 * Several methods on one model, and methods that are made of others. A part is
 * a method of its own with its own settings; it adds what it trains, makes and
 * sits in to its whole, so that a trainer sees one method.
 */
extern const struct method_ops method_combined;

/* A new method, not yet begun; NULL without memory. */
struct method *method_new(const struct method_ops *ops, void *settings, struct model *model,
			  int task, uint64_t seed);
/* Attach it: begin, the sites the rules pick, modules_to_save. */
int method_begin(struct method *m);
/* The methods of a recipe's array, in its order. */
int combined_begin(struct method *m, const struct recipe_peft *peft, size_t n);

/*
 * For a method that is an array with settings of its own: of a part's method the
 * settings that an empty recipe gives (NULL without memory), and the part.
 */
void *combined_settings(struct method *m, const char *method);
int combined_add(struct method *m, const char *method, void *settings);
/* Its config and agrees: those of the parts. */
int combined_config(const struct method *m, struct jsonw *w);
int combined_agrees(const struct method *m, const struct json *config);

#endif
