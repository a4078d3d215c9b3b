#ifndef METHOD_KVPREFIX_H
#define METHOD_KVPREFIX_H

#include "method/softprompt.h"

/*
 * Keys and values that are learned, before those of every attention: what prefix
 * tuning and its kin share. For layer l the columns (2l + kv) H .. of the table
 * [n, 2 L H] are its keys (kv 0) and values (kv 1).
 */
struct kvprefix_how {
	int64_t n;
	int64_t hidden; /* of the encoder (an embedding and an MLP); 0: the table itself trains */
	bool zero;      /* begins with zeros, else with N(0, 1), or with what a new encoder makes */
	bool in_place;  /* the text keeps its positions, else they begin at n */
	float dropout;  /* in training, of each number, for every example anew */
	bool gated;     /* keys and values of a layer are multiplied by a gate of what it reads */
};

struct kvprefix;

/* What a recipe says of prefix tuning. */
struct prefix_settings {
	struct softprompt_settings common;
	bool prefix_projection;
	int64_t encoder_hidden_size; /* KNOB_NONE: the model's hidden size */
	int init_weights;
	bool in_place, gated; /* no settings of a recipe: a part of MAM or UniPELT */
};

/* In begin: the parameters, and a seat in every attention; the prefix is the method's state. */
int kvprefix_begin(struct method *m, const struct kvprefix_how *how);
/* Of method_ops: every layer's rows, and what the panel compares them with. */
int kvprefix_before_step(struct method *m, struct graph *step);
int kvprefix_after_step(struct method *m, int64_t step);
struct softprompt *kvprefix_table(struct kvprefix *p);
/* adapter_config.json of PEFT's prefix tuning, for settings that begin as softprompt.h has them. */
int kvprefix_config(const struct method *m, struct jsonw *w, bool projected, int64_t hidden,
		    bool zero);
int kvprefix_agrees(const struct method *m, const struct json *config);
/* The panel, "method/NAME/...": of the table, lengths of keys and values, and how much attention they get. */
void kvprefix_watch(struct kvprefix *p, const char *name, const struct watch *out);
/* Of gates, in the panel of m; nothing without them. */
void kvprefix_watch_gates(struct method *m, const struct kvprefix *p, const struct watch *out);

#endif
