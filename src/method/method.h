#ifndef METHOD_METHOD_H
#define METHOD_METHOD_H

#include "base/recipe.h"
#include "data/tokenizer.h"
#include "model/model.h"

/* PEFT methods: one method, one file (method_ops), one word in src/method/local.mk. */

struct method;
struct rng;
struct target_default;

/* Receives the numbers of a method's panel, "method/..." keys, and what a person should be told about them. */
struct watch {
	void (*metric)(void *arg, const char *key, double value);
	void *arg;
	void (*alarm)(void *arg, const char *text); /* NULL: nobody asks */
	int64_t step;                               /* how many of them were made */
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

/* What a method may ask of the trainer before the first step; rows are rows of the training data. */
struct probe {
	int64_t rows, window; /* of the data, and as many as a step of the run takes */
	double rate;          /* the run's own learning rate */
	/* Gradients of the mean loss of these rows, dropout on: param->grad, and grad of what was made. */
	int (*gradients)(void *arg, const int64_t *row, size_t n, double *ret_loss);
	/* The same, and an optimizer step of this rate; the optimizer starts anew afterwards. */
	int (*step)(void *arg, const int64_t *row, size_t n, double rate);
	/* Forward alone, without dropout, in one thread and in the order of the rows. */
	int (*visit)(void *arg, const int64_t *row, size_t n);
	void *arg;
};

/*
 * How AdamW goes: as torch's, or as transformers' own did, which PEFT's LoRA-FA
 * is made after: epsilon (1e-6) is added before the bias of the second moment is
 * corrected, decay follows the step, and no parameter is spared from it.
 */
enum adamw_form { ADAMW_TORCH, ADAMW_TRANSFORMERS };

struct method_ops {
	const char *name, *title, *cite;
	const char *peft_type; /* as in adapter_config.json */
	unsigned wants;        /* site kinds it can be attached to; 0: it picks in begin */
	bool starts_at_base;   /* step 0 is the frozen model, exactly */
	bool kinked;           /* gradients jump here and there (hard gates) */
	enum adamw_form adamw; /* of its parameters; but for torch's it must be train.optim */
	bool detached;         /* gradients take what before_step made as constant (DoRA's norms) */
	bool saves_model;      /* exported as a model folder, never as an adapter (full) */
	bool seated;           /* sits in groups, which have no weight to fold it into */
	const struct knob *knobs; /* ends with a name of NULL */
	size_t settings_size;
	size_t targeting_at; /* offset of struct targeting in the settings, when wants != 0 */
	const struct target_default *targets; /* PEFT's usual ones (target.h); NULL: LoRA's */
	bool takes_modules_to_save; /* with wants 0: the settings have a struct targeting for it */
	bool leaves_heads; /* an adapter of other labels is a start, but for its head (heads.h) */
	bool lists_heads_twice; /* in modules_to_save of an adapter's config, as PEFT does for prompts */

	/* Before any site: check the settings, train base parameters. */
	int (*begin)(struct method *m);
	/* Once per site the rules picked, and once after the last of them. */
	int (*attach)(struct method *m, struct site *s);
	int (*attached)(struct method *m);
	/* All methods of the recipe have begun: is what this one counts on still so? */
	int (*settled)(const struct method *m);
	/*
	 * The course of a run; each is optional and called once, on one thread (stages.h):
	 *
	 * plan           before all others, of a resumed run as well: how many steps it takes
	 * prime          before the first step, but not of a resumed run: passes over the data
	 * before_step    on the step's tape, before its shards, and before every evaluation (then
	 *                graph_pass(step)->train is false): what depends on parameters alone is made
	 *                anew and handed to the shards (method_make)
	 * penalty        on the same tape, after the shards: added to the loss
	 * gradients      after backward: gradients of what was made without the tape become those
	 *                of parameters (param->grad)
	 * before_update  gradients are clipped: what the optimizer gets in their place
	 * after_step     parameters are new; their grad is still what the optimizer got
	 * retie          kept tensors came from a checkpoint, before its parameters do: of these some
	 *                may train no longer (method_tie)
	 * restored       parameters and kept tensors came from a checkpoint
	 */
	int (*plan)(struct method *m, int64_t steps);
	int (*prime)(struct method *m, const struct probe *p);
	int (*before_step)(struct method *m, struct graph *step);
	struct tensor *(*penalty)(struct method *m, struct graph *step);
	int (*gradients)(struct method *m);
	int (*before_update)(struct method *m, int64_t step);
	int (*after_step)(struct method *m, int64_t step);
	int (*retie)(struct method *m);
	int (*restored)(struct method *m);
	/* Fold into the base weight of a plugged site. */
	int (*merge)(struct method *m, struct site *s);

	/* Its members of adapter_config.json, in any order. */
	int (*config)(const struct method *m, struct jsonw *w);
	/* Does an adapter's config mean the same function as the settings? Refuses by key name. */
	int (*agrees)(const struct method *m, const struct json *config);
	/*
	 * Optional: what does not belong into PEFT's config lies beside it, in NAME.json: an object's
	 * members, taken back before the adapter's tensors are read.
	 */
	const char *side_name;
	int (*side_write)(const struct method *m, struct jsonw *w);
	int (*side_read)(struct method *m, const struct json *side);
	/* Optional: before an adapter's tensors are read, what its config says of their shapes. */
	int (*adopt)(struct method *m, const struct json *config);
	/*
	 * What an adapter file holds instead of one of the method's own tensors (t itself: just
	 * that; NULL: err_set), and taking it back. Both or neither.
	 */
	const struct tensor *(*pack)(const struct method *m, struct tensor *t, struct arena *a);
	int (*unpack)(struct method *m, struct tensor *t, const struct tensor *packed);
	/*
	 * A tensor's whole name in an adapter file; NULL: "base_model.model." and its own name. "":
	 * the file does not hold it.
	 */
	const char *(*file_name)(const struct method *m, const struct tensor *t, struct arena *a);
	/* Are a packed tensor's numbers int64_t (places)? NULL: none are. */
	bool (*holds_whole)(const struct method *m, const struct tensor *t);
	bool stores_result; /* an adapter holds what parameters come to, and not all of them */
	/*
	 * Of a parameter of whose kind an adapter file holds but the result (an encoder of prompts):
	 * its name in prompt_encoder.safetensors, beside that file. NULL: the adapter file has it.
	 */
	const char *(*encoder_name)(const struct method *m, const struct tensor *t,
				    struct arena *a);
	/* An adapter was loaded; encoder: that other file lay beside it and was loaded too. */
	int (*loaded)(struct method *m, bool encoder);

	/*
	 * What the optimizer uses for a parameter, from the recipe's rate and from the decay that
	 * the parameter would take; NULL: just that. A schedule multiplies the rate.
	 */
	double (*learning_rate)(const struct method *m, const struct tensor *t, double base);
	double (*weight_decay)(const struct method *m, const struct tensor *t, double base);
	void (*watch)(struct method *m, const struct watch *out);
};

/* Tensors in the order in which they were added. */
struct tensors {
	struct tensor **item;
	size_t n, room;
};

/* A tensor that a method makes anew for every step and evaluation, and what it was made from this time. */
struct made {
	struct tensor *leaf, *value;
};

struct method {
	const struct method_ops *ops;
	struct model *model;
	void *settings; /* ops->settings_size bytes, as the recipe says */
	uint64_t seed;
	int task;                          /* enum task_type */
	const struct tokenizer *tokenizer; /* the model's; NULL: there is none */
	struct texts labels;               /* of a classification, by class; else none */

	/* Everything that trains, in a fixed order; names as in transformers. */
	struct tensor **param;
	/* Beside param: what a base parameter held at first; NULL: the method's own tensor. */
	const float **before;
	size_t nparam, room;
	struct tensors
		kept; /* its state beside param: saved in checkpoints, never trained by the optimizer */
	struct tensors fixed; /* its own frozen tensors that an adapter file holds (a projection) */
	int64_t fixed_counted; /* numbers of fixed that PEFT counts among a model's parameters */
	struct made *made;     /* leaves of the shards beside param */
	size_t nmade, made_room;
	struct tensors leaves; /* param and made: what the trainer sums gradients for */

	/* A combination: the methods it is made of. What they add is added here as well. */
	struct method **part;
	size_t nparts;
	struct method *whole; /* of a part: what it belongs to */

	struct site **site; /* what it plugged into */
	size_t nsite;
	struct texts target_modules;  /* as resolved: default and "all-linear" written out */
	struct texts modules_to_save; /* as asked, with the task's own (classifier, score) */
	const char **saved;           /* the modules these found; every parameter inside trains */
	size_t nsaved;
	bool saves_biases; /* an adapter holds every bias of the model (bias "all") */
	unsigned alarms;   /* those that were raised (panel.h): once is enough */
	const char *
		*note; /* what a person should know of the settings or of an adapter, for the log */
	size_t nnotes, note_room;
	const char *untrainable; /* what was loaded serves evaluation alone: why; else NULL */
	void *state;             /* the method's own, in the model's arena */
};

struct method_options {
	const struct recipe_peft *peft; /* [n_peft]; their settings must outlive the method */
	size_t n_peft;                  /* 0 is taken as 1; more: a combination */
	struct model *model;
	int task;
	uint64_t seed;
	/* What some methods begin from; they must outlive the method. May be left out. */
	const struct tokenizer *tokenizer;
	struct texts labels;
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

/* The part (or m itself) that has a parameter, or sits in a site; NULL: none. */
struct method *method_owner(const struct method *m, const struct tensor *t);
struct method *method_sitter(const struct method *m, const struct site *s);

/* For methods. */
void *method_alloc(struct method *m, size_t size); /* zeroed, lives with the run */
enum method_init {
	INIT_ZERO,
	INIT_UNIFORM,   /* U(-bound, bound) */
	INIT_NORMAL,    /* standard deviation bound */
	INIT_CUT_NORMAL /* the same, nothing beyond two deviations */
};
/*
 * A new trainable tensor "MODULE.leaf" ("....query.lora_A.weight"), drawn by seed and name, so
 * that order does not matter. NULL: err_set.
 */
struct tensor *method_param(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound);
/*
 * In prime, retie and side_read: t trains no longer but shows the numbers of `to`, of the
 * same shape, which trains for both. Adapter files hold it as before.
 */
int method_tie(struct method *m, struct tensor *t, struct tensor *to);
/* A base parameter trains; adding one twice is fine. */
int method_train_base(struct method *m, struct tensor *t);
/* PEFT's bias "all": every bias of the base model trains and is saved. */
int method_train_biases(struct method *m);
/* As method_param, but frozen: it lies in adapter files. counted: PEFT counts it among the parameters. */
struct tensor *method_fixed(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound, bool counted);
/* A zeroed tensor of state that checkpoints keep; its name is unique in the method. NULL: err_set. */
struct tensor *method_keep(struct method *m, const char *name, int rank, const int64_t *dim);
int method_keep_too(struct method *m, struct tensor *t); /* ... and one that is there already */
/* A kept tensor lies in adapter files as well. */
int method_store(struct method *m, struct tensor *t);
/*
 * A tensor that before_step makes for the shards: a new zeroed one, or a base
 * parameter, which gets a writable copy and is not prepared. Its gradient is
 * summed over the shards as a parameter's is.
 */
struct tensor *method_new_made(struct method *m, const char *name, int rank, const int64_t *dim);
int method_make_base(struct method *m, struct tensor *t);
/*
 * In before_step: value's numbers become the leaf's, and the gradient that the
 * shards add to the leaf goes back through value when the tape runs backward.
 * value NULL (an op failed) is an error. A method may also write leaf->data
 * itself and take leaf->grad in `gradients`.
 */
int method_make(struct method *m, struct tensor *leaf, struct tensor *value);
/* A line for the log of the run. */
void method_note(struct method *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sit in a group (model_group); attach does it for modules. */
int method_plug(struct method *m, struct site *s, const struct hooks *hooks, void *state);
/* A method with settings of its own as a part of m: for methods that are made of others. */
int method_add_part(struct method *m, const struct method_ops *ops, void *settings);
/* For merge: a writable weight, unless another site has it too: then it would change in both. */
int method_own_weight(struct method *m, struct site *s);
/* Random numbers that belong to a name. */
void method_rng(const struct method *m, const char *name, struct rng *ret);
/* m->before of a parameter; NULL also when it does not train. */
const float *method_before(const struct method *m, const struct tensor *t);
/*
 * For panels: "layer_3" for a parameter or site of block 3, else the part of the model it lies
 * in ("embeddings"). Returns ret.
 */
const char *method_part(const char *name, char *ret, size_t size);
/* The end of a name behind the number of its layer: "attention.self.query"; outside of layers all of it. */
const char *method_term(const char *name);

#endif
