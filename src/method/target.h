#ifndef METHOD_TARGET_H
#define METHOD_TARGET_H

#include "method/method.h"

/*
 * Which modules a method is attached to: the rules of Hugging Face PEFT 0.21
 * (peft-methods 2.1), with Python's regular expressions matched by PCRE2 under
 * limits on time and memory, since a recipe is text from outside.
 */
struct target; /* compiled rules */

enum target_verdict { TARGET_NO, TARGET_YES, TARGET_EXCLUDED };

/* Check the rules and compile them. target_modules must be resolved (target_resolve). */
int target_new(const struct targeting *t, const struct texts *modules_to_save, struct target **ret);
void target_free(struct target *t); /* NULL is fine */
/* The verdict on a module's path; fails only when an expression takes too long. */
int target_match(const struct target *t, const char *module, enum target_verdict *ret);

/* Are the settings ones that PEFT takes at all? (layers_to_transform needs a list, ...) */
int target_check(const struct targeting *t);
/* What a method adapts in models of a type when a recipe does not say; a table ends with a model_type of NULL. */
struct target_default {
	const char *model_type, *module[7]; /* ends with NULL */
};
/* The model's in a table (NULL: LoRA's), as a list; key: what a recipe must give where there is none. */
int target_usual(const struct target_default *table, const struct model *m, const char *key,
		 struct texts *ret);
/* target_modules with the default for the model and "all-linear" written out. */
int target_resolve(const struct targeting *t, const struct target_default *table,
		   const struct model *m, int task, struct texts *ret);
/* "dummy-target-modules": attach to nothing. */
bool target_is_dummy(const struct texts *target_modules);
/*
 * Is `module` wrapped by modules_to_save? A plain suffix, without the dot:
 * "classifier" hits "pre_classifier" too.
 */
bool target_saves(const struct texts *modules_to_save, const char *module);
/*
 * Is `module` among (IA)^3's feedforward modules? A string is an expression for the whole path, a
 * list holds plain ends of it: "dense" hits "output.dense" and "my_dense".
 */
int target_feeds(const struct texts *feedforward, const char *module, bool *ret);
/*
 * rank_pattern, alpha_pattern: the value of the first key that matches the end
 * of the module's path, or NULL. what: "peft.rank_pattern", for errors.
 */
int target_pattern(const struct json *map, const char *what, const char *module,
		   const struct json **ret);

#endif
