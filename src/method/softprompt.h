#ifndef METHOD_SOFTPROMPT_H
#define METHOD_SOFTPROMPT_H

#include <stddef.h>

#include "method/method.h"

/*
 * What the methods share that learn rows for the frozen model to read (prompt,
 * p_tuning, prefix, p_tuning_v2): settings, the table of rows, its file names,
 * and PEFT's config for them.
 */
struct softprompt_settings {
	struct targeting targeting; /* modules_to_save alone */
	int64_t num_virtual_tokens;
	/* PEFT's own counts of the base model; KNOB_NONE: as it is */
	int64_t token_dim, num_layers, num_attention_heads, num_transformer_submodules;
};

/* For softprompt_knobs.inc: the settings of a method begin with these. */
#define SOFTPROMPT_AT(member) offsetof(struct softprompt_settings, member)

/*
 * The table [rows, wide]: a parameter that trains, or what an encoder made last
 * out of an embedding and other parameters. An adapter file holds the table
 * either way. All in the run's arena.
 */
struct softprompt {
	struct tensor *table;
	struct tensor *embedding; /* [rows, H], of an encoder; NULL: there is none */
	bool stored;  /* loaded without the encoder that it was made by: it stays as it is */
	float *first; /* what the embedding, or the table without one, held before training */
	struct tensor *gradient; /* [1], kept: the norm of what the optimizer got last */
	float *scratch;          /* [wide] */
};

struct softprompt_how {
	int64_t rows, wide;
	bool encoded;
	enum method_init init; /* of what is not encoded */
	double bound;
};

/* In begin. Are the counts that the settings give the model's? */
int softprompt_check(const struct method *m);
/* The text begins n positions later, if that leaves some. */
int softprompt_shift(struct method *m, int64_t n);
/* Sit before the text of the model, with n rows. */
int softprompt_sit(struct method *m, int64_t n, const struct hooks *hooks, void *state);
/* The model's table of words [V,H]. */
const struct tensor *softprompt_words(const struct method *m);
/* With encoded: also the embedding. */
int softprompt_new(struct method *m, const struct softprompt_how *how, struct softprompt *ret);
/* Take what the rows hold now for their first values. */
void softprompt_remember(struct softprompt *s);
/* A parameter of the encoder, by its name in the state dict of PEFT's ("transform.0.weight"). */
struct tensor *softprompt_param(struct method *m, const char *name, int rank, const int64_t *dim,
				enum method_init how, double bound);
/* A linear layer of it with torch's first values; cleared: all zero. */
struct softprompt_linear {
	struct tensor *w, *b;
};
int softprompt_linear(struct method *m, const char *name, int64_t out, int64_t in, bool cleared,
		      struct softprompt_linear *ret);
struct tensor *softprompt_apply(struct graph *step, struct tensor *x,
				const struct softprompt_linear *l);
/* Is there an encoder to make the rows? */
bool softprompt_encodes(const struct softprompt *s);
/* In before_step: the rows as of now; made by the encoder, if there is one (NULL: it failed). */
struct tensor *softprompt_rows(struct softprompt *s, struct tensor *made);
/* In after_step. */
void softprompt_note(const struct method *m, struct softprompt *s);
/* For panels: the table's "method/NAME/...", beside what the method says. */
void softprompt_watch(const struct softprompt *s, const char *name, const struct watch *out);

/* For method_ops. */
const char *softprompt_file_name(const struct method *m, const struct tensor *t, struct arena *a);
const char *softprompt_encoder_name(const struct method *m, const struct tensor *t,
				    struct arena *a);
/* advice: what a person may do who has no encoder; ends the sentence. */
int softprompt_loaded(struct method *m, struct softprompt *s, bool encoder, const char *advice);
int softprompt_config(const struct method *m, struct jsonw *w);
/* Refuses other counts, and every key that is set beside those of all prompts and `known`. */
int softprompt_agrees(const struct method *m, const struct json *config, const char *const *known,
		      size_t n);

#endif
