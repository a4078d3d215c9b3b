#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/knob.h"
#include "data/batch.h"
#include "data/verbalizer.h"
#include "model/safetensors.h"
#include "model/site.h"

/* Base models: one architecture, one file (model_ops), built from the same blocks. */

enum head {
	HEAD_SEQ_CLS,    /* logits [seqs, n_labels] */
	HEAD_REGRESSION, /* [seqs, 1] */
	HEAD_TOKEN_CLS,  /* [rows, n_labels]: the rows the batch asks for */
	HEAD_MLM,        /* [rows, vocab]: the same */
	HEAD_CLOZE,      /* [rows, labels of the verbalizer], by the masked-LM head */
	HEADS
};

/* From config.json, checked: sizes are positive and bounded, so that products of two fit easily; heads divide hidden. */
struct hparams {
	const char *model_type;
	int64_t vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size;
	int64_t max_position_embeddings, type_vocab_size, pad_token_id; /* pad -1: none */
	enum activation hidden_act;
	double hidden_dropout_prob, attention_probs_dropout_prob,
		classifier_dropout; /* the last NAN: as hidden */
	double layer_norm_eps, initializer_range;
};

struct model;

/*
 * Where a model can be parted: below, nothing trains and nothing is drawn, so an
 * example gives the same numbers there in every epoch.
 */
struct model_cut {
	int64_t stage; /* the architecture's own count, from the bottom up */
	int64_t cols;  /* of what goes from the lower part to the upper one */
	bool picked;   /* it has only the rows that the head reads, else a row for each token */
};

/* A second name under which a file may hold a parameter. */
struct alias {
	const char *stored, *name;
};

struct model_ops {
	const char *name, *title; /* name: config.json's model_type */
	const char *prefix; /* of the backbone's names; a bare backbone is stored without it */
	const struct alias *aliases; /* ties; ends with NULL */
	const char *const
		*ignored; /* endings of stored buffers that mean nothing; ends with NULL */
	const char *architectures[HEADS]; /* for config.json of a saved model */
	struct hparams defaults;          /* config.json leaves out what equals the default */
	int (*shape)(
		struct model
			*m); /* check what only this architecture has; refuses with a sentence */
	int (*sites)(
		struct
		model *m); /* declare every parameter and site in the order of use, head included */
	struct tensor *(*forward)(struct model *m, struct graph *g,
				  const struct batch *b); /* the head's output */
	/*
	 * Optional, all three: the cut right below a site (NULL: the highest there is), false when
	 * nothing worth keeping lies below; and forward in two parts.
	 */
	bool (*cut)(const struct model *m, const struct site *first, struct model_cut *ret);
	struct tensor *(*lower)(struct model *m, struct graph *g, const struct batch *b,
				const struct model_cut *cut);
	struct tensor *(*upper)(struct model *m, struct graph *g, const struct batch *b,
				const struct model_cut *cut, struct tensor *x);
};

/* What a file may do with a declared parameter. */
enum param_flag {
	PARAM_MAY_MISS = 1, /* then it is drawn anew: a head, a pooler */
	PARAM_LABELS = 2    /* dim[0] counts labels: of another number, it is drawn anew too */
};

struct param_info {
	unsigned flags;
	bool owned; /* data is a writable copy in the arena */
	bool idle;  /* only prepared copies are read, and the memory of data was given back */
	/* Set while data may be freed and read again from the file: converted, frozen, and the products in bf16. */
	const struct st_tensor *stored;
	void *heap; /* what holds the converted data then, also when `stored` is no longer set */
};

struct param_name {
	const char *name;
	int at; /* in param */
};

struct model {
	const struct model_ops *ops;
	struct arena *arena; /* the run's; holds everything below */
	const struct gemm *gemm;
	const char *folder;
	struct json *config;
	struct hparams hp;
	enum head head;
	int64_t n_labels; /* columns of the head's output, but of masked LM: there the vocabulary's */
	struct texts labels;                 /* for config.json of a merged export; may be empty */
	const struct verbalizer *verbalizer; /* of HEAD_CLOZE; the caller's */
	struct site *site;                   /* in the order of use */
	size_t nsite;
	struct tensor *
		*param; /* every base parameter once (tied ones too), named as in transformers */
	struct param_info *info; /* beside param */
	size_t nparam;
	struct param_name *by_name; /* [nparam] */
	size_t site_room, param_room;
	const struct model *shared; /* whose frozen parameters it reads; NULL: it has its own */
	struct st_file *file;       /* mapped while a parameter lies in it; else NULL */
	/* What a person may want to know of the loading: tensors not used, parameters drawn anew. NULL: nothing. */
	const char *unused, *fresh;
	/* Set by a method when it is attached. */
	int64_t position_offset; /* positions of the text start here: what stands before it is not in the batch */
	bool whole_rows; /* compute every row of the last block too: something takes a mean over them */
	void *state;     /* the architecture's own */
};

struct model_options {
	const char *folder;
	enum head head;
	int64_t n_labels;    /* classification of sequences or tokens; else ignored */
	struct texts labels; /* n_labels of them, or none */
	const struct verbalizer *verbalizer; /* HEAD_CLOZE; must outlive the model */
	double dropout; /* NAN: the model's own; else every dropout of the model */
	uint64_t
		seed; /* for parameters the file lacks (a new head): N(0, initializer_range), bias 0 */
	const struct gemm *gemm;
};

/* Heads with a classifier over the labels; heads that read the first row of a sequence; masked-LM heads. */
static inline bool head_classifies(enum head h)
{
	return h == HEAD_SEQ_CLS || h == HEAD_REGRESSION || h == HEAD_TOKEN_CLS;
}
static inline bool head_pools(enum head h) { return h == HEAD_SEQ_CLS || h == HEAD_REGRESSION; }
static inline bool head_masks(enum head h) { return h == HEAD_MLM || h == HEAD_CLOZE; }

const struct model_ops *const *model_all(void); /* ends with NULL */
/* Map, check and load. Parameters lie in the mapping (fp32, aligned) or in the run arena, frozen. Errors name folder and tensor. */
int model_open(const struct model_options *how, struct model **ret);
/*
 * Another model of the same frozen parameters, with sites of its own, so that another
 * method can sit in it: what a method changes is copied first. base must outlive it,
 * have no method itself, and be prepared before it is.
 */
int model_share(const struct model *base, struct model **ret);
void model_close(struct model *m);                                   /* NULL is fine */
struct tensor *model_param(const struct model *m, const char *name); /* NULL: none */
struct site *model_site(const struct model *m, const char *name);    /* a module, no group */
/* The next group of a kind, in the order of use; after NULL: the first. NULL: no more. */
struct site *model_group(const struct model *m, unsigned kind, const struct site *after);
/* Make a base parameter trainable: a writable copy in the arena, shared by all its uses. */
int model_train_param(struct model *m, struct tensor *t);
/* A new named tensor of a method, zeroed, in the arena; not part of model->param. NULL without memory. */
struct tensor *model_new_tensor(struct model *m, const char *name, int rank, const int64_t *dim);
/* A writable fp32 copy of a frozen parameter's data in its place (PiSSA, merge); invalidates what was prepared. */
int model_own_param(struct model *m, struct tensor *t);
/* Give back the memory of numbers that lie in the file: read again, they come from there. Others stay. */
void model_forget(const struct model *m, const float *data, int64_t n);
/*
 * After methods are attached: prepare every frozen linear weight for the sides
 * that will run: backward only when `train`, and only behind the first site
 * that trains or is plugged, since no gradient goes further down. What is read no
 * more gives back its memory: data in the file stays readable; data that was
 * converted and is now in bf16 is NULL until model_own_param reads it again.
 */
int model_prepare(struct model *m, bool train);
/* The head's output for one shard; sets up row origins. NULL with a sentence when the data does not fit the model. */
struct tensor *model_forward(struct model *m, struct graph *g, const struct batch *b);
/*
 * The highest cut below which nothing trains and, when `train`, nothing is drawn.
 * False: there is none. upper(lower(batch)) is model_forward(batch), to the bit.
 */
bool model_cut(const struct model *m, bool train, struct model_cut *ret);
struct tensor *model_lower(struct model *m, struct graph *g, const struct batch *b,
			   const struct model_cut *cut);
/* x: rows of the lower part, [tokens or rows of b, cut->cols]; who they are is set here. */
struct tensor *model_upper(struct model *m, struct graph *g, const struct batch *b,
			   const struct model_cut *cut, struct tensor *x);
int64_t model_param_count(const struct model *m); /* numbers in the base model, tied ones once */
/*
 * Write a transformers folder: config.json (labels, architectures), model.safetensors in fp32, tokenizer files copied.
 * The folder is created when absent; it must not be the one the model was read from.
 */
int model_save(const struct model *m, const char *dir);

/* For architectures: declare a parameter [d0,d1] (d1 0: a vector [d0]) and a site. NULL without memory or with NULL. */
struct tensor *model_declare(struct model *m, const char *name, unsigned flags, int64_t d0,
			     int64_t d1);
struct site *model_declare_site(struct model *m, const char *name, unsigned kind, int layer,
				struct tensor *weight, struct tensor *bias);

#endif
