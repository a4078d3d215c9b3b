#ifndef BASE_RECIPE_H
#define BASE_RECIPE_H

#include "base/knob.h"

/*
 * A recipe: one JSON file, one experiment (trimtab-recipe(5)). Loading checks
 * everything that can be checked without opening the model or the data. Method
 * settings live in the method's own struct; base does not know methods, so the
 * caller hands in what there is.
 */
enum task_type {
	TASK_SEQ_CLS,
	TASK_REGRESSION,
	TASK_TOKEN_CLS,
	TASK_QUESTION_ANSWERING,
	TASK_CLOZE,
	TASK_MLM,
	TASK_CAUSAL_LM,
	TASK_SEQ2SEQ_LM
};
enum metric_name {
	METRIC_ACCURACY,
	METRIC_F1,
	METRIC_MACRO_F1,
	METRIC_MCC,
	METRIC_PEARSON,
	METRIC_SPEARMAN,
	METRIC_EXACT_MATCH,
	METRIC_LOSS,
	METRIC_PERPLEXITY,
	METRIC_BLEU,
	METRIC_ROUGE_L,
	METRIC_DEFAULT
};
enum optim_name { OPTIM_ADAMW, OPTIM_SGD, OPTIM_ADAFACTOR, OPTIM_ADAMW_8BIT };
enum schedule_name {
	SCHEDULE_LINEAR,
	SCHEDULE_CONSTANT,
	SCHEDULE_CONSTANT_WITH_WARMUP,
	SCHEDULE_COSINE,
	SCHEDULE_COSINE_WITH_RESTARTS,
	SCHEDULE_POLYNOMIAL,
	SCHEDULE_INVERSE_SQRT
};
enum precision { PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16 };
enum backend { BACKEND_AUTO, BACKEND_OPENBLAS, BACKEND_ONEDNN, BACKEND_REF };
enum quant { QUANT_NONE, QUANT_NF4, QUANT_FP4, QUANT_INT8 };

struct task_settings {
	int type, metric; /* enum task_type, enum metric_name */
	struct texts labels;
	bool label_groups; /* labels are "TASK/LABEL", each task with a head of its own */
};

struct data_settings {
	const char *train, *validation, *test, *unlabeled; /* absolute, or NULL */
	const char *text_a, *text_b, *label;               /* column names */
	int64_t max_length, limit, eval_limit, per_label_limit;
	bool shuffle, group_by_length;
};

struct train_settings {
	double num_train_epochs;
	int64_t max_steps; /* KNOB_NONE: by epochs */
	int64_t per_device_train_batch_size, gradient_accumulation_steps,
		per_device_eval_batch_size;
	int64_t logging_steps, eval_steps, save_steps, save_total_limit;
	int64_t seed;
	int64_t early_stopping_patience; /* KNOB_NONE: off */
	double dropout;                  /* NAN: the model's own */
	int optim, lr_scheduler_type;
	double learning_rate; /* NAN in the file's absence is replaced: 5e-4, 2e-5 for full */
	double weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
	double warmup_ratio;
	int64_t warmup_steps;
	double label_smoothing_factor, sgd_momentum;
	bool load_best_model_at_end, gradient_checkpointing;
};

struct compute_settings {
	int precision, backend, base_quant, executor;
	int64_t threads; /* 0: all cores */
	bool double_quant;
	int64_t memory_limit; /* bytes, KNOB_NONE: none; the file may say "4GiB" */
};

/* Of tasks that fill in texts; the trees point into the recipe's document. */
struct prompt_settings {
	const char *pattern, *input, *target;
	const struct json *verbalizer, *patterns, *distill, *ipet;
	int aggregate;   /* as enum aggregate of data/verbalizer.h */
	int calibration; /* 0: none */
	double mlm_weight, temperature;
	int64_t repetitions;
};

/* What the recipe reader must know of a method. */
struct recipe_method {
	const char *name;
	const struct knob *knobs;
	size_t size; /* of its settings struct */
};

struct recipe_peft {
	const struct recipe_method *method; /* NULL when the caller gave no methods */
	const char *name;                   /* "lora" */
	void *settings;                     /* the method's struct, filled */
};

struct recipe {
	struct arena *arena;
	struct json *doc;       /* the file with --set applied, as it was written */
	const char *path, *dir; /* absolute */
	const char *name, *description;
	const char *base_model;   /* absolute folder or file when one is there, else as written */
	const char *init_adapter; /* absolute, or NULL */
	struct texts tags;
	struct task_settings task;
	struct data_settings data;
	struct train_settings train;
	struct compute_settings compute;
	const struct json *prompt;        /* NULL when absent */
	struct prompt_settings prompting; /* what it says, or the defaults */
	struct recipe_peft *peft;         /* one or more (a combination) */
	size_t n_peft;
};

/*
 * Read, apply `set` ("PATH=VALUE", n_set of them), check, resolve paths.
 * methods: ends with a name of NULL; or NULL, then peft settings are not read
 * and only peft[].name is set. Errors: TT_INVALID with "FILE: PATH ...".
 */
int recipe_load(const char *path, const char *const *set, size_t n_set,
		const struct recipe_method *methods, struct recipe **ret);
void recipe_free(struct recipe *r); /* NULL is fine */
/* The recipe with every default written out and paths absolute, as pretty JSON. */
int recipe_write(const struct recipe *r, struct buf *out);
/* The tables, for describe, forms and manuals. The offsets of top and prompt are recipe.c's own. */
const struct knob *recipe_top_knobs(void);
const struct knob *recipe_prompt_knobs(void);
const struct knob *recipe_task_knobs(void);
const struct knob *recipe_data_knobs(void);
const struct knob *recipe_train_knobs(void);
const struct knob *recipe_compute_knobs(void);
const char *recipe_task_name(int type); /* "seq_cls" */
const char *recipe_metric_name(int metric);

#endif
