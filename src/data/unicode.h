/* Character classes, lower case and normal forms as the fast tokenizers know them. */
#ifndef DATA_UNICODE_H
#define DATA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/text.h"

bool unicode_is_white(uint32_t c);
bool unicode_is_punctuation(uint32_t c);
bool unicode_is_word(uint32_t c);
bool unicode_is_number(uint32_t c);
bool unicode_is_ideograph(uint32_t c); /* what BERT puts spaces around */

/* What to do with a text, in this order; any combination. */
enum fold {
	FOLD_CLEAN = 1,            /* BERT: drop controls, make every white space U+0020 */
	FOLD_IDEOGRAPHS = 2,       /* BERT: a space before and after each ideograph */
	FOLD_DECOMPOSE = 4,        /* NFD */
	FOLD_COMPATIBLE = 8,       /* with FOLD_DECOMPOSE: NFKD */
	FOLD_DROP_NONSPACING = 16, /* drop category Mn as BERT knows it; wants FOLD_DECOMPOSE */
	FOLD_DROP_MARKS = 32,      /* drop every combining mark */
	FOLD_LOWER = 64,           /* character by character, without context */
	FOLD_COMPOSE = 128         /* with FOLD_DECOMPOSE: NFC, NFKC; alone of the dropping ones */
};

/* A combining character that waits for its run to end. */
struct fold_mark {
	uint32_t c;
	uint8_t class;
};

/* Working memory of folding, kept between calls. */
struct fold_scratch {
	struct fold_mark *mark, *sorted;
	size_t marks, mark_room, sorted_room;
	int32_t *point;
	size_t point_room;
};

void fold_scratch_done(struct fold_scratch *s);

/* Append the folded text (checked UTF-8) to ret. */
int unicode_fold(const char *s, size_t n, unsigned fold, struct fold_scratch *scratch,
		 struct text *ret);

#endif
