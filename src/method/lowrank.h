#ifndef METHOD_LOWRANK_H
#define METHOD_LOWRANK_H

#include <stddef.h>

#include "method/method.h"
#include "tensor/op.h"

/*
 * What LoRA and its kin share: settings, the factors of one site with their
 * initial values, folding them in, their size, and PEFT's config for them.
 */
enum lowrank_bias { LOWRANK_BIAS_NONE, LOWRANK_BIAS_ALL, LOWRANK_BIAS_ONLY };

struct lowrank_settings {
	struct targeting targeting;
	int64_t r;
	double lora_alpha, lora_dropout;
	int bias;				/* enum lowrank_bias */
	bool use_rslora, use_dora, lora_bias, fan_in_fan_out;
	const struct json *init_lora_weights;	/* NULL: true */
	const struct json *rank_pattern, *alpha_pattern;
	double loraplus_lr_ratio;		/* NAN: not LoRA+ */
	double loraplus_weight_decay, loraplus_lr_embedding;
};

/* The knobs for the members above, for tables of methods. */
#define LOWRANK_KNOBS \
	{ .name = "r", .type = KNOB_INT, .at = offsetof(struct lowrank_settings, r), .def = 8, .min = 1, .max = 65536, \
	  .help = "rank of the learned step" }, \
	{ .name = "lora_alpha", .type = KNOB_REAL, .at = offsetof(struct lowrank_settings, lora_alpha), .def = 8, \
	  .min = 0, .max = 1e6, .flags = KNOB_OPEN_MIN, .help = "the step is scaled by lora_alpha / r" }, \
	{ .name = "lora_dropout", .type = KNOB_REAL, .at = offsetof(struct lowrank_settings, lora_dropout), .def = 0, \
	  .min = 0, .max = 1, .flags = KNOB_OPEN_MAX, .help = "dropout on what enters the step" }, \
	{ .name = "use_rslora", .type = KNOB_BOOL, .at = offsetof(struct lowrank_settings, use_rslora), \
	  .help = "scale by lora_alpha / sqrt(r) instead" }, \
	{ .name = "target_modules", .type = KNOB_SELECT, \
	  .at = offsetof(struct lowrank_settings, targeting.target_modules), .flags = KNOB_OPTIONAL, \
	  .help = "ends of module names, a regular expression, or all-linear; absent: the model's usual ones" }, \
	{ .name = "exclude_modules", .type = KNOB_SELECT, \
	  .at = offsetof(struct lowrank_settings, targeting.exclude_modules), .flags = KNOB_OPTIONAL, \
	  .help = "modules to leave alone, written as target_modules are" }, \
	{ .name = "modules_to_save", .type = KNOB_TEXTS, \
	  .at = offsetof(struct lowrank_settings, targeting.modules_to_save), .flags = KNOB_OPTIONAL, \
	  .help = "modules that train wholly and are saved with the adapter, beside the task's head" }, \
	{ .name = "layers_to_transform", .type = KNOB_INTS, \
	  .at = offsetof(struct lowrank_settings, targeting.layers_to_transform), .flags = KNOB_OPTIONAL, \
	  .help = "numbers of the layers to adapt; absent: all" }, \
	{ .name = "layers_pattern", .type = KNOB_SELECT, \
	  .at = offsetof(struct lowrank_settings, targeting.layers_pattern), .flags = KNOB_OPTIONAL, \
	  .help = "name of the list that the layer numbers count in" }, \
	{ .name = "rank_pattern", .type = KNOB_JSON, .at = offsetof(struct lowrank_settings, rank_pattern), \
	  .flags = KNOB_OPTIONAL, .help = "object from a pattern of module names to their rank" }, \
	{ .name = "alpha_pattern", .type = KNOB_JSON, .at = offsetof(struct lowrank_settings, alpha_pattern), \
	  .flags = KNOB_OPTIONAL, .help = "object from a pattern of module names to their lora_alpha" }, \
	{ .name = "bias", .type = KNOB_CHOICE, .at = offsetof(struct lowrank_settings, bias), \
	  .choices = "none|all|lora_only", .max = 2, .help = "which biases of the base model train as well" }, \
	{ .name = "init_lora_weights", .type = KNOB_JSON, \
	  .at = offsetof(struct lowrank_settings, init_lora_weights), .flags = KNOB_OPTIONAL, \
	  .help = "true, false, gaussian, orthogonal, pissa, pissa_niter_N or olora" }, \
	{ .name = "fan_in_fan_out", .type = KNOB_BOOL, .at = offsetof(struct lowrank_settings, fan_in_fan_out), \
	  .help = "accepted for PEFT's sake; the layer itself says how its weight lies" }

enum lowrank_kind { LOWRANK_LINEAR, LOWRANK_EMBED };

/* One site's step: W + scale B A. Of a lookup table A is [r,V], B [H,r], and the step is its transpose. */
struct lowrank {
	enum lowrank_kind kind;
	int64_t r;
	double alpha, scale;
	float dropout;
	struct low_rank step;			/* what the ops take */
	const float *w0; /* the base weight as the model has it, where first values were taken out of it; else NULL */
	float *a0, *b0; /* ... and these first values */
	double weight_norm;			/* of the base weight as it was found */
};

int lowrank_begin(struct method *m);		/* check the settings, train the biases they ask for */
int lowrank_new(struct method *m, struct site *s, struct lowrank **ret);	/* factors with first values; trains the site's bias if asked */
int lowrank_merge(struct method *m, struct site *s);	/* s->state is a struct lowrank */
double lowrank_delta_norm(const struct lowrank *l);	/* Frobenius norm of what it adds to the base weight */

/*
 * What a randomized start took out of the base weight cannot be found again by
 * whoever loads the adapter, as it can with PiSSA and OLoRA. So a file holds the
 * change since then, as plain LoRA of twice the rank: A' = [A; A0], B' = [B, -B0].
 */
const struct tensor *lowrank_pack(const struct method *m, struct tensor *t, struct arena *a);
int lowrank_unpack(struct method *m, struct tensor *t, const struct tensor *packed);

/* adapter_config.json: the method's members, and whether a file's agree with the settings and the sites. */
int lowrank_config(const struct method *m, struct jsonw *w);
int lowrank_agrees(const struct method *m, const struct json *config);
/* The same for a method that adapts nothing and is written as an empty LoRA (head, BitFit). bias: "none" or "all". */
int lowrank_dummy_config(const struct method *m, struct jsonw *w, const char *bias);
int lowrank_dummy_agrees(const struct method *m, const struct json *config);

#endif
