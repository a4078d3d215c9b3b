#ifndef METHOD_LOWRANK_H
#define METHOD_LOWRANK_H

#include <stddef.h>

#include "method/method.h"
#include "method/panel.h"
#include "tensor/op.h"

/*
 * What LoRA and its kin share: settings, the factors of one site with their
 * initial values, folding them in, their size, and PEFT's config for them.
 */
enum lowrank_bias { LOWRANK_BIAS_NONE, LOWRANK_BIAS_ALL, LOWRANK_BIAS_ONLY };

/* init_lora_weights; from FIRST_PISSA on the step is taken out of the base weight. */
enum lowrank_first {
	FIRST_TRUE,
	FIRST_FALSE,
	FIRST_GAUSSIAN,
	FIRST_ORTHOGONAL,
	FIRST_PISSA,
	FIRST_PISSA_RANDOM, /* "pissa_niter_N" */
	FIRST_OLORA
};

struct lowrank_settings {
	struct targeting targeting;
	int64_t r;
	double lora_alpha, lora_dropout;
	int bias; /* enum lowrank_bias */
	bool use_rslora, use_dora, lora_bias, fan_in_fan_out;
	bool gated; /* no setting of a recipe: a gate takes the place of lora_alpha / r (UniPELT) */
	const struct json *init_lora_weights; /* NULL: true */
	const struct json *rank_pattern, *alpha_pattern;
	double loraplus_lr_ratio; /* NAN: not LoRA+ */
	double loraplus_weight_decay, loraplus_lr_embedding;
};

/* For lowrank_knobs.inc and lowrank_plus.inc: rows of a method's table of knobs. */
#define LOWRANK_AT(member) offsetof(struct lowrank_settings, member)

enum lowrank_kind { LOWRANK_LINEAR, LOWRANK_EMBED };

/*
 * One site's step: W + scale B A. Of a lookup table A is [r,V], B [H,r], and the
 * step is its transpose.
 */
struct lowrank {
	enum lowrank_kind kind;
	bool frozen; /* A does not train */
	int64_t r;
	double alpha, scale;
	float dropout;
	struct low_rank step; /* what the ops take */
	/* Where first values were taken out of the base weight: the weight, and they; else NULL. */
	const float *w0;
	float *a0, *b0;
	double weight_norm; /* of the base weight as it was found */
	void *own;          /* what its method keeps of the site beside this */
};

/* Check the settings, train the biases they ask for. */
int lowrank_begin(struct method *m);
/* Factors with first values; trains the site's bias if asked. */
int lowrank_new(struct method *m, struct site *s, struct lowrank **ret);
/* The same of a linear layer whose A stays at its first values. */
int lowrank_new_frozen(struct method *m, struct site *s, struct lowrank **ret);
/* The same but for the factors, which the method makes itself; r, alpha and scale are set. */
int lowrank_start(struct method *m, struct site *s, struct lowrank *l);
/* A hook: s->state is a struct lowrank of a linear layer. */
struct tensor *lowrank_linear(struct graph *g, struct site *s, struct tensor *x);
/* s->state is a struct lowrank. */
int lowrank_merge(struct method *m, struct site *s);
/* The same of another step than the site's. */
int lowrank_fold(struct method *m, struct site *s, const struct lowrank *l);
/* LoRA+'s rates and decay, where the settings ask for it. */
double lowrank_learning_rate(const struct method *m, const struct tensor *t, double base);
double lowrank_weight_decay(const struct method *m, const struct tensor *t, double base);
/* How large the step is beside the base weight, into a panel; alarms where it stays zero. */
enum { LOWRANK_ALARM_IDLE, LOWRANK_ALARMS }; /* a method's own alarms begin at LOWRANK_ALARMS */
void lowrank_watch(struct method *m, struct panel *p);
/* Frobenius norm of what it has added to the base weight. */
double lowrank_delta_norm(const struct lowrank *l);
/* Its effective rank: exp of the entropy of its singular values; 0: it is zero, or there is no memory. */
double lowrank_delta_rank(const struct lowrank *l);

/*
 * What a randomized start took out of the base weight cannot be found again by
 * whoever loads the adapter, as it can with PiSSA and OLoRA. So a file holds the
 * change since then, as plain LoRA of twice the rank: A' = [A; A0], B' = [B, -B0].
 */
const struct tensor *lowrank_pack(const struct method *m, struct tensor *t, struct arena *a);
int lowrank_unpack(struct method *m, struct tensor *t, const struct tensor *packed);

/* Is it such a run? */
bool lowrank_doubles(const struct method *m);

/* For lowrank_config.c. rounds: N of "pissa_niter_N", left alone otherwise. */
int lowrank_first_parse(const struct json *j, enum lowrank_first *ret, int *ret_rounds);
/* A number by pattern (rank_pattern, alpha_pattern), else the common one. */
int lowrank_setting(const struct json *map, const char *what, const char *module, double common,
		    double *ret);
double lowrank_scale(double r, double alpha, bool rslora);

/* adapter_config.json: the method's members, and whether a file's agree with settings and sites. */
int lowrank_config(const struct method *m, struct jsonw *w);
int lowrank_agrees(const struct method *m, const struct json *config);
/* For methods with more in it: all but rank_pattern, of these settings. */
int lowrank_write_config(const struct method *m, struct jsonw *w,
			 const struct lowrank_settings *set);
/* ... and a file with n keys more; or its keys alone, when rank and scale are the method's to look at. */
int lowrank_agrees_with(const struct method *m, const struct json *config, const char *const *more,
			size_t n);
int lowrank_check_config(const struct method *m, const struct json *config, const char *const *more,
			 size_t n);
/*
 * The same for a method that adapts nothing and is written as an empty LoRA (head, BitFit).
 * bias: "none" or "all".
 */
int lowrank_dummy_config(const struct method *m, struct jsonw *w, const char *bias);
int lowrank_dummy_agrees(const struct method *m, const struct json *config);

#endif
