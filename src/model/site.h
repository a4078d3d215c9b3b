#ifndef MODEL_SITE_H
#define MODEL_SITE_H

#include "data/batch.h"
#include "tensor/graph.h"
#include "tensor/op.h"

/*
 * Sites: the named sockets where models and methods meet without knowing each
 * other. Every module of the model that holds parameters is one; its name is
 * the module's path in transformers ("bert.encoder.layer.0.attention.self.query"),
 * so PEFT's target rules and file names apply as they are. Three kinds of group
 * are sites as well, without a weight: the text that goes in, an attention, and
 * a sublayer where its result meets its residual. Target rules pick no group;
 * a method looks for them by kind (model_group).
 */
struct site;

enum site_kind {
	SITE_LINEAR = 1 << 0,    /* weight [out,in], bias [out] or NULL */
	SITE_EMBED = 1 << 1,     /* weight [V,H] */
	SITE_NORM = 1 << 2,      /* weight, bias [H] */
	SITE_HEAD = 1 << 3,      /* flag beside SITE_LINEAR: the task's own output layer */
	SITE_INPUT = 1 << 4,     /* a group: the rows that enter the first layer */
	SITE_ATTENTION = 1 << 5, /* a group: keys and values of one attention */
	SITE_SUBLAYER = 1 << 6 /* a group: attention or feed-forward, with its residual and norm */
};

enum { SITE_MODULES = SITE_LINEAR | SITE_EMBED | SITE_NORM }; /* these hold parameters */

/*
 * Keys and values of an attention, [start[seqs], H] each, sequence after sequence;
 * x is what they were computed from, q the queries that will look at them. A hook
 * may put other keys and values in their place, with other offsets: rows that it
 * adds have no positions and need no origin.
 */
struct attended {
	int64_t seqs, heads;
	const int64_t *start; /* [seqs+1], of k and v */
	struct tensor *x, *k, *v;
	const int64_t *qstart; /* [seqs+1], of q */
	const struct tensor *q;
};

/* A sublayer before its norm: h, its own result, will be dropped out, added to the residual u and normed. */
struct sublayer {
	struct tensor *h, *u;
	struct tensor *x; /* what the sublayer read: u itself in a post-norm model */
	struct site *norm;
	float eps;
	float dropout; /* 0 in what a hook gets: its h is dropped out already */
};

/* What a method may do at a site; every hook is optional, NULL means as the base model does. */
struct hooks {
	struct tensor *(*linear)(struct graph *g, struct site *s, struct tensor *x);
	/* id[n] was looked up in this table as one term of e [n,H]; returns e with the method's term added */
	struct tensor *(*embed)(struct graph *g, struct site *s, const int32_t *id,
				struct tensor *e);
	/* SITE_INPUT: rows [n,H] that stand before the first token of every sequence, as lookups of words do */
	struct tensor *(*prompt)(struct graph *g, struct site *s);
	/* SITE_INPUT, instead: [seqs * n,H], rows of each sequence's own, as many for each */
	struct tensor *(*prompts)(struct graph *g, struct site *s, const struct batch *b);
	/* SITE_NORM: instead of LN(drop(x) + r) with the site's parameters; r may be NULL */
	struct tensor *(*norm)(struct graph *g, struct site *s, struct tensor *x, float dropout,
			       struct tensor *r, float eps);
	/* SITE_ATTENTION: false, or a NULL in it, when it failed */
	bool (*attend)(struct graph *g, struct site *s, struct attended *at);
	/* SITE_SUBLAYER: returns what takes h's place (the model adds u and norms) */
	struct tensor *(*output)(struct graph *g, struct site *s, const struct sublayer *in);
	bool through; /* linear needs a gradient through the site's own weight, whatever lies below */
};

struct site {
	const char *name;
	unsigned kind;
	int layer; /* number of the block it lies in, -1 outside */
	struct tensor *weight,
		*bias; /* parameters of the model (model.h), shared by tied sites; NULL in a group */
	const struct hooks *hooks;
	void *state; /* belongs to the hooks' owner */
};

int site_plug(struct site *s, const struct hooks *hooks,
	      void *state);       /* one owner a site, else a sentence */
void site_unplug(struct site *s); /* after a merge; nobody plugged is fine */
struct tensor *site_linear(struct graph *g, struct site *s,
			   struct tensor *x); /* hook or base; x [N,in] -> [N,out] */
struct tensor *site_base(struct graph *g, struct site *s,
			 struct tensor *x); /* the frozen path, for hooks */
struct tensor *site_embed(struct graph *g, struct site *s, const int32_t *id, struct tensor *e);
/* The rows before the sequences, n each: shared by all, or their own. NULL: none, or it failed (err_text). */
struct tensor *site_prompt(struct graph *g, struct site *s, const struct batch *b, int64_t *ret_n);
bool site_has_prompt(const struct site *s);
/* LN(drop(x) + r); r may be NULL. */
struct tensor *site_norm(struct graph *g, struct site *s, struct tensor *x, float dropout,
			 struct tensor *r, float eps);
bool site_attend(struct graph *g, struct site *s, struct attended *at);
/* LN(drop(h) + u) with what the hook puts in drop(h)'s place. */
struct tensor *site_sublayer(struct graph *g, struct site *s, const struct sublayer *in);

#endif
