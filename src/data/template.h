/* The post_processor section of a tokenizer file: special tokens and type ids. */
#ifndef DATA_TEMPLATE_H
#define DATA_TEMPLATE_H

#include "base/json.h"
#include "data/vocab.h"

enum { TEMPLATE_PARTS = 64 };

struct template_part {
	int32_t id; /* a special token, or -1 - i for text i (0: a, 1: b) */
	uint8_t type;
};

/* What surrounds a text, or two. */
struct template
{
	struct template_part part[TEMPLATE_PARTS];
	size_t n;
	size_t added; /* special tokens among the parts */
};

struct templates {
	struct template single, pair;
};

/* j NULL or null: the texts one after the other, types 0 and 1. */
int templates_load(const struct json *j, const struct vocab *v, struct templates *ret);
/* [CLS] a [SEP], [CLS] a [SEP] b [SEP]. */
void templates_bert(int32_t cls, int32_t sep, struct templates *ret);

#endif
