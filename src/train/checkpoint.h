/* Checkpoints: everything a run needs to go on as if it had never stopped. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "method/method.h"
#include "tensor/tensor.h"
#include "train/optim.h"

/*
 * RUN/checkpoints/step-00000123.safetensors: "param/NAME" are the trainable
 * tensors, "method/NAME" what the method keeps besides, "state/KIND/NAME" the
 * optimizer's arrays; the metadata holds what
 * struct checkpoint says, as JSON, and a hash of it all. A file is written
 * whole or not at all (fs.h), and read only when its hash is right. The order
 * of the data and every random number are functions of seed, epoch and step,
 * so there is no other state.
 */
struct checkpoint {
	int64_t step; /* steps done */
	double epoch;
	int64_t cursor;       /* rows of the current epoch that were used */
	double learning_rate; /* the base, as changed while the run was live */
	int64_t evaluated;    /* the last step that was evaluated, -1: none */
	int64_t best_step;    /* -1: none yet */
	double best;
	int64_t since_best; /* evaluations without improvement */
	double loss_sum;    /* of the steps since the last logged one */
	int64_t loss_steps;
	uint64_t recipe; /* fingerprint of what decides the numbers */
};

/* What is saved and restored beside it. */
struct checkpoint_parts {
	struct tensor *const *param;
	size_t n;
	struct tensors kept; /* of the method */
	struct optim *optim; /* NULL: not saved; not restored, whatever the file holds */
};

enum { CHECKPOINT_LAST = -1, CHECKPOINT_BEST = -2 };

/* dir is the folder of the checkpoints, RUN/checkpoints; checkpoint_write creates it. */
int checkpoint_write(const char *dir, const struct checkpoint *c,
		     const struct checkpoint_parts *parts);
/*
 * Restore one: a step, the newest whole one, or the best one that the newest
 * knows of. Nothing is touched on failure. TT_NOTFOUND: there is none;
 * TT_INVALID: it is damaged or does not fit.
 */
int checkpoint_read(const char *dir, int64_t which, const struct checkpoint_parts *parts,
		    struct checkpoint *ret);
/* The same for evaluation and export, without the optimizer. which: "best", "last" or a step. */
int checkpoint_load_params(const char *dir, const char *which, struct method *m);
/* The step of the newest whole one; TT_NOTFOUND: there is none. */
int checkpoint_newest(const char *dir, int64_t *ret_step);
/*
 * To go on with a run: the newest whole one. A damaged newer one is reported by
 * log_line and renamed to *.damaged, remains of a killed writer are removed.
 * One of another recipe is an error.
 */
int checkpoint_resume(const char *dir, uint64_t recipe, const struct checkpoint_parts *parts,
		      struct checkpoint *ret);
/* To start a run: there must be no whole one; damaged ones are renamed. */
int checkpoint_start(const char *dir);
/* Remove all but the newest `keep` (and the one of step `also`, unless negative). */
int checkpoint_prune(const char *dir, int64_t keep, int64_t also);
/*
 * Steps of the checkpoints there are, newest first; free() the array. A missing folder
 * holds none.
 */
int checkpoint_list(const char *dir, int64_t **ret_step, size_t *ret_n);

/*
 * 64 bits of anything; start with HASH_START. Not against forgers: a damage within
 * one word of eight bytes is found for certain, any other all but surely.
 */
#define HASH_START UINT64_C(0x9e3779b97f4a7c15)
uint64_t hash_bytes(uint64_t h, const void *data, size_t size);

#endif
