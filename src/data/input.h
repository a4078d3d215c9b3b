#ifndef DATA_INPUT_H
#define DATA_INPUT_H

#include "data/dataset.h"

/* What a row's texts become for its task: tokens, and the places among them that the head reads. */
struct input {
	struct encoding encoding;
	int32_t *place,
		*tag; /* [places] ascending; tag: classes, -1: none. None at all: the first token */
	size_t places;
	int32_t *id; /* tokens of words, one after the other */
	size_t place_room, tag_room, id_room;
};

struct input_text {
	const char *a;
	size_t na;
	const char *b; /* NULL: none */
	size_t nb;
	const char *label; /* as text; NULL: none */
};

/* Memory is reused from one row to the next. */
void input_init(struct input *in);
void input_done(struct input *in);
/*
 * label: the row's class, for the places that have no class of their own.
 * token_cls: words and tags are split at single spaces, as many of one as of the
 * other; a word's first token is read, and a word without tokens, or cut off, is not.
 */
int input_make(const struct dataset_options *how, const struct input_text *text, int32_t label,
	       struct input *ret);

#endif
