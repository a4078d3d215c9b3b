#ifndef METHOD_BOTTLENECK_H
#define METHOD_BOTTLENECK_H

#include "method/method.h"
#include "tensor/op.h"

/*
 * Bottleneck adapters: what the methods share that put a narrow layer beside a
 * sublayer's result. Of one sublayer:
 *
 *     a(x) = S (f(x d^T + b_d) u^T + b_u)        d [k,H]  u [H,k]
 *
 * S is a number, or learned: a number or one for each column.
 */

/* Where they sit, what they read and what they are added to. */
enum bottleneck_place {
	PLACE_HOULSBY,        /* after attention and feed-forward: LN(h + a(h) + u) */
	PLACE_PFEIFFER,       /* after feed-forward: LN(h + a(LN(h + u)) + u) */
	PLACE_PARALLEL,       /* beside feed-forward: LN(h + a(x) + u), x what that reads */
	PLACE_SCALED_PARALLEL /* the same, S usually 4 */
};

enum bottleneck_init {
	BOTTLENECK_BERT,   /* N(0, 0.02^2) */
	BOTTLENECK_MAM,    /* as LoRA: u is 0, so a(x) is nothing at first */
	BOTTLENECK_HOULSBY /* N(0, 0.01^2), cut at two deviations */
};

enum bottleneck_scaling { SCALING_FIXED, SCALING_LEARNED, SCALING_CHANNEL };

/* How all adapters of a method are built. */
struct bottleneck_how {
	enum bottleneck_place place;
	int64_t size; /* k */
	enum activation kind;
	enum bottleneck_init init;
	enum bottleneck_scaling scaling;
	double by;             /* S where it is fixed, else 1 */
	double dropout;        /* of what is added */
	bool gated;            /* each has a gate of what it reads (gating.h) */
	struct ints leave_out; /* layers without one */
};

/* One of them. */
struct bottleneck {
	const struct bottleneck_how *how;
	const char *site;
	bool frozen; /* trained before: it is mixed with others */
	struct tensor *down, *down_bias, *up, *up_bias;
	struct tensor *scale;         /* NULL: fixed */
	struct gating *gate;          /* NULL: none */
	struct bottleneck_look *look; /* NULL when frozen */
};

/* What a recipe says. */
struct bottleneck_settings {
	struct targeting targeting; /* modules_to_save alone */
	int placement;              /* enum bottleneck_place */
	double reduction_factor;    /* NAN: by placement */
	int64_t bottleneck_size;    /* KNOB_NONE: by reduction_factor */
	int non_linearity;          /* behind the last: by placement */
	const struct json *scaling; /* a number, "learned" or "channel"; NULL: by placement */
	double dropout;
	int init_weights; /* enum bottleneck_init */
	struct ints leave_out;
	bool gated; /* no setting of a recipe: a part of UniPELT */
};

/* Settings of a recipe, with what the placement and the model make of those that are absent. */
int bottleneck_resolve(const struct bottleneck_settings *set, const struct model *m,
		       struct bottleneck_how *ret);
/* The next sublayer that gets one; after NULL: the first. NULL: no more. */
struct site *bottleneck_site(const struct model *m, const struct bottleneck_how *how,
			     const struct site *after);
/* New parameters MODULE.adapter_down.0.weight and so on; how must outlive the method. */
int bottleneck_new(struct method *m, const struct bottleneck_how *how, const char *module,
		   struct bottleneck **ret);
/* The same of zeros that do not train, to be read from a file. */
int bottleneck_frozen(struct method *m, const struct bottleneck_how *how, const char *module,
		      struct bottleneck **ret);
/* What an adapter in this place reads. */
struct tensor *bottleneck_input(struct graph *g, enum bottleneck_place place,
				const struct sublayer *in);
/* h + a(x), or what its gate lets through of a(x). */
struct tensor *bottleneck_add(struct graph *g, const struct bottleneck *b, struct tensor *h,
			      struct tensor *x);
/*
 * The panel of n adapters, under "method/NAME/...": how much is added beside what is there, and
 * the share of units that do nothing, both of the last evaluation's first rows; learned scales.
 */
enum { BOTTLENECK_ALARM_RATIO, BOTTLENECK_ALARMS }; /* a method's own begin at BOTTLENECK_ALARMS */
void bottleneck_watch(struct method *m, struct bottleneck *const *b, size_t n, const char *name,
		      const struct watch *out);

/* adapter_config.json: the members that say how, and reading them. */
void bottleneck_config(const struct bottleneck_how *how, struct jsonw *w);
int bottleneck_parse(const struct json *config, struct bottleneck_how *ret);
const char *bottleneck_place_name(enum bottleneck_place place);
/* Does a file's mean the same function? Refuses by key name. */
int bottleneck_agrees(const struct bottleneck_how *how, const struct json *config);

#endif
