#ifndef METHOD_METHOD_H
#define METHOD_METHOD_H

#include "base/recipe.h"
#include "model/model.h"

/* PEFT methods: one method, one file (method_ops), one word in src/method/local.mk. */

struct method;
struct rng;

/* Receives the numbers of a method's panel: "method/..." keys. */
struct watch {
	void (*metric)(void *arg, const char *key, double value);
	void *arg;
};

/* PEFT's rules for which modules are hit (peft-methods 2.1); embedded in a method's settings. */
struct targeting {
	/*
	 * a string: regular expression or "all-linear"; a list: suffixes;
	 * absent: the model's default
	 */
	struct texts target_modules;
	struct texts exclude_modules;
	struct texts modules_to_save;
	struct ints layers_to_transform;
	struct texts layers_pattern;
};

struct method_ops {
	const char *name, *title, *cite;
	const char *peft_type;    /* as in adapter_config.json */
	unsigned wants;           /* site kinds it can be attached to; 0: it picks in begin */
	bool starts_at_base;      /* step 0 is the frozen model, exactly */
	bool saves_model;         /* exported as a model folder, never as an adapter (full) */
	const struct knob *knobs; /* ends with a name of NULL */
	size_t settings_size;
	size_t targeting_at; /* offset of struct targeting in the settings, when wants != 0 */

	/* Before any site: check the settings, train base parameters. */
	int (*begin)(struct method *m);
	/* Once per site the rules picked. */
	int (*attach)(struct method *m, struct site *s);
	/* Added to the loss, once a step. */
	struct tensor *(*penalty)(struct method *m, struct graph *step);
	int (*before_step)(struct method *m, struct graph *step);
	int (*after_step)(struct method *m, int64_t step);
	/* Fold into the base weight of a plugged site. */
	int (*merge)(struct method *m, struct site *s);

	/* Its members of adapter_config.json, in any order. */
	int (*config)(const struct method *m, struct jsonw *w);
	/* Does an adapter's config mean the same function as the settings? Refuses by key name. */
	int (*agrees)(const struct method *m, const struct json *config);
	/*
	 * What an adapter file holds instead of one of the method's own tensors (t itself: just
	 * that; NULL: err_set), and taking it back. Both or neither.
	 */
	const struct tensor *(*pack)(const struct method *m, struct tensor *t, struct arena *a);
	int (*unpack)(struct method *m, struct tensor *t, const struct tensor *packed);

	/*
	 * What the optimizer uses for a parameter, from the recipe's rate and from the decay that
	 * the parameter would take; NULL: just that. A schedule multiplies the rate.
	 */
	double (*learning_rate)(const struct method *m, const struct tensor *t, double base);
	double (*weight_decay)(const struct method *m, const struct tensor *t, double base);
	void (*watch)(struct method *m, const struct watch *out);
};

struct method {
	const struct method_ops *ops;
	struct model *model;
	void *settings; /* ops->settings_size bytes, as the recipe says */
	uint64_t seed;
	int task; /* enum task_type */

	/* Everything that trains, in a fixed order; names as in transformers. */
	struct tensor **param;
	/* Beside param: what a base parameter held at first; NULL: the method's own tensor. */
	const float **before;
	size_t nparam, room;

	struct site **site; /* what it plugged into */
	size_t nsite;
	struct texts target_modules;  /* as resolved: default and "all-linear" written out */
	struct texts modules_to_save; /* as asked, with the task's own (classifier, score) */
	const char **saved;           /* the modules these found; every parameter inside trains */
	size_t nsaved;
	bool saves_biases; /* an adapter holds every bias of the model (bias "all") */
	void *state;       /* the method's own, in the model's arena */
};

struct method_options {
	const struct recipe_peft *peft; /* its settings must outlive the method */
	struct model *model;
	int task;
	uint64_t seed;
};

const struct method_ops *const *method_all(void);       /* ends with NULL */
const struct recipe_method *method_table(void);         /* the same, for recipe_load */
const struct method_ops *method_find(const char *name); /* NULL: none */

/*
 * Attach to the model: pick sites, create parameters (drawn from seed), train modules_to_save
 * (for classification and regression: the head). Call model_prepare afterwards. A method lives
 * in the model's arena and is not closed.
 */
int method_open(const struct method_options *how, struct method **ret);
int64_t method_param_count(const struct method *m); /* numbers that train */
int64_t method_extra_count(const struct method *m); /* numbers that the base does not have */
/* Does the method merge (has it merge, or nothing to fold)? */
bool method_mergeable(const struct method *m);
/* Fold every plugged site into its weight and unplug: the model alone then computes the same. */
int method_merge(struct method *m);

/* For methods. */
void *method_alloc(struct method *m, size_t size); /* zeroed, lives with the run */
enum method_init {
	INIT_ZERO,
	INIT_UNIFORM, /* U(-bound, bound) */
	INIT_NORMAL   /* standard deviation bound */
};
/*
 * A new trainable tensor "MODULE.leaf" ("....query.lora_A.weight"), drawn by seed and name, so
 * that order does not matter. NULL: err_set.
 */
struct tensor *method_param(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound);
/* A base parameter trains; adding one twice is fine. */
int method_train_base(struct method *m, struct tensor *t);
/* Random numbers that belong to a name. */
void method_rng(const struct method *m, const char *name, struct rng *ret);
/* m->before of a parameter; NULL also when it does not train. */
const float *method_before(const struct method *m, const struct tensor *t);
/*
 * For panels: "layer_3" for a parameter or site of block 3, else the part of the model it lies
 * in ("embeddings"). Returns ret.
 */
const char *method_part(const char *name, char *ret, size_t size);

#endif
