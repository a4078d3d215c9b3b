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

#endif
