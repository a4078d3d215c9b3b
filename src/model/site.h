#ifndef MODEL_SITE_H
#define MODEL_SITE_H

#include "tensor/graph.h"
#include "tensor/op.h"

/*
 * Sites: the named sockets where models and methods meet without knowing each
 * other. Every module of the model that holds parameters is one; its name is
 * the module's path in transformers ("bert.encoder.layer.0.attention.self.query"),
 * so PEFT's target rules and file names apply as they are.
 */
struct site;

enum site_kind {
	SITE_LINEAR = 1 << 0, /* weight [out,in], bias [out] or NULL */
	SITE_EMBED = 1 << 1,  /* weight [V,H] */
	SITE_NORM = 1 << 2,   /* weight, bias [H] */
	SITE_HEAD = 1 << 3    /* flag beside SITE_LINEAR: the task's own output layer */
};

/* What a method may do at a site; every hook is optional, NULL means as the base model does. */
struct hooks {
	struct tensor *(*linear)(struct graph *g, struct site *s, struct tensor *x);
	/* id[n] was looked up in this table as one term of e [n,H]; returns e with the method's term added */
	struct tensor *(*embed)(struct graph *g, struct site *s, const int32_t *id,
				struct tensor *e);
};

struct site {
	const char *name;
	unsigned kind;
	int layer;                    /* number of the block it lies in, -1 outside */
	struct tensor *weight, *bias; /* parameters of the model (model.h), shared by tied sites */
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

#endif
