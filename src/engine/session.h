#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include <limits.h>

#include "base/recipe.h"
#include "data/dataset.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "db/run.h"
#include "method/method.h"
#include "model/model.h"
#include "tensor/gemm_time.h"
#include "tensor/pool.h"
#include "train/train.h"

/* Everything that a recipe or a run names, opened: what train, eval, predict and export share. */
struct session {
	struct recipe *recipe;
	struct run run; /* of a run; run.id is NULL for a recipe */
	char model_dir[PATH_MAX];
	struct gemm *gemm;
	struct gemm_times *times; /* NULL: the recipe names the backend */
	struct pool *pool;
	struct tokenizer *tokenizer;
	struct labels *labels;   /* classification only */
	struct pattern *pattern; /* cloze only, and so */
	struct verbalizer verbalizer;
	struct model *model;
	struct method *method;
	struct dataset *train, *other; /* other: validation, or the split asked for */
};

/*
 * A recipe: a file, or a name that `trimtab recipes` lists. A run: id, prefix,
 * name, latest; its recipe is the one it ran. Where both are allowed a file
 * wins, then a run, then a recipe by name, so that after `trimtab run mr-lora`
 * the name means what came of it. set: PATH=VALUE overrides.
 */
int session_open_recipe(const char *what, const char *const *set, size_t n_set,
			struct session *ret);
int session_open_run(const char *what, struct session *ret);
int session_open(const char *what, const char *const *set, size_t n_set, struct session *ret);
void session_close(struct session *s); /* a zeroed one is fine */
/* Tokenizer, labels, matrix products, threads, model and method; init_adapter is loaded. train: prepare for backward. */
int session_load(struct session *s, bool train);
/* The same in two parts: what data is read with, and what computes. */
int session_load_texts(struct session *s);
int session_load_model(struct session *s, bool train);
/* Of the second: without a method, and not prepared. */
int session_load_base(struct session *s);
/* The method that a recipe asks for, into a model of the session's base; r may be another run's. */
int session_attach(const struct session *s, const struct recipe *r, struct model *m,
		   struct method **ret);
/* The parameters of a run's checkpoint: "best", "last" or a step. For a recipe: nothing to do. */
int session_restore(struct session *s, const char *which);
/* Tokenise a file of the recipe's columns. eval: eval_limit holds, not limit. */
int session_dataset(struct session *s, const char *path, bool eval, bool label_optional,
		    struct dataset **ret);
struct dataset_options session_dataset_how(const struct session *s, const char *path, bool eval,
					   bool label_optional);
/* One text as a dataset of one row; b NULL: a single text. */
int session_text(struct session *s, const char *a, const char *b, struct dataset **ret);
/* A trainer over the session, for evaluation and prediction; the caller train_closes it. */
int session_evaluator(struct session *s, struct trainer *ret);

/* What the method noted, into the log. */
void session_say_notes(const struct session *s);
/* Keep what was timed to choose a backend; a failure costs the next start its milliseconds only. */
void session_keep_times(const struct session *s);

/* The path of the run log in the data home, and of a run's folder. */
int home_path(const char *below, char *ret, size_t size);

#endif
