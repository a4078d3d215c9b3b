#ifndef METHOD_MIXER_H
#define METHOD_MIXER_H

#include "method/trained.h"

/* Adapter fusion in one sublayer: frozen adapters, and the attention over them that is learned. */
struct mixer_how {
	const struct trained_list *trained; /* open while mixers are made */
	bool has_value;                     /* else what the adapters make is mixed as it is */
	float dropout;                      /* on the scores */
	const struct tensor *temperature;   /* [1], as it is in a pass; NULL: 1 */
};

struct mixer {
	const struct mixer_how *how;
	const char *site;
	struct tensor *value; /* [H,H]; NULL: none */
	struct mixer_inside *inside;
};

/*
 * Read the adapters that have a part in this sublayer, and take its seat. how must
 * outlive the method. *ret is NULL where none has.
 */
int mixer_new(struct method *m, const struct mixer_how *how, struct site *s, struct mixer **ret);
/* The adapters' tensors have changed. */
void mixer_follow(const struct mixer *x);
/* |I - Wv|, Frobenius. */
double mixer_drift(const struct mixer *x);
/* Of the last evaluation's first rows, NAN without: what adapter i of all gets, and the entropy. */
double mixer_share(const struct mixer *x, size_t adapter);
double mixer_entropy(const struct mixer *x);

#endif
