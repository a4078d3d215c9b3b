#ifndef METHOD_LORA_FOLDER_H
#define METHOD_LORA_FOLDER_H

#include "base/arena.h"
#include "base/json.h"

/* A plain LoRA adapter as its folder holds it, apart from any model. */

/* One module's step: scale B A. Of a lookup table A is [r,V], B [H,r]. */
struct lora_pair {
	const char *module; /* "bert.encoder.layer.0.attention.self.query" */
	bool embed;
	int64_t r, in, out;
	float *a, *b; /* [r,in], [out,r] */
	float *c;     /* [out], lora_B.bias; NULL: none */
	double scale;
};

/* A tensor that is no step: of a module that trained wholly. */
struct lora_other {
	const char *name; /* as in the file */
	int rank;
	int64_t dim[4];
	float *data;
};

struct lora_folder {
	struct arena *arena;
	const char *dir;
	struct json *config;
	struct lora_pair *pair; /* sorted by module */
	size_t npair;
	struct lora_other *other;
	size_t nother;
};

/*
 * Read and check a folder. Refused, by name: other types than LoRA, DoRA's
 * magnitudes, starts that took something out of the base (PiSSA, OLoRA), biases of
 * the base model, settings that are not known, tensors without their other half.
 */
int lora_folder_read(const char *dir, struct lora_folder **ret);
void lora_folder_free(struct lora_folder *f); /* NULL is fine */
/*
 * Write pairs and others as a folder that PEFT loads; the config is that of f,
 * with ranks and scales of the pairs (lora_alpha is r times the scale) and their
 * modules by full name.
 */
int lora_folder_write(const struct lora_folder *f, const char *dir);

#endif
