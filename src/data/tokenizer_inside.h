/* The inside of an open tokenizer, for the files that read one and the one that encodes. */
#ifndef DATA_TOKENIZER_INSIDE_H
#define DATA_TOKENIZER_INSIDE_H

#include "data/added.h"
#include "data/family.h"
#include "data/normalizer.h"
#include "data/pretokenizer.h"
#include "data/template.h"
#include "data/tokenizer.h"

struct tokenizer {
	struct arena *arena; /* everything below, but for regexes */
	struct vocab vocab;
	struct added added;
	struct normalizer normalizer;
	struct pretokenizer pretokenizer;
	struct templates templates;
	const struct family_ops *family;
	void *state;
	uint8_t *special; /* [vocab.size] */
	struct tokenizer_roles roles;
	uint64_t print; /* hash of the file; whose cache is it? */
};

#endif
