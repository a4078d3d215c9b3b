#ifndef DATA_PATTERN_H
#define DATA_PATTERN_H

#include "data/tokenizer.h"

/*
 * Cloze patterns (PET, Schick and Schuetze 2021): a text with slots that becomes
 * tokens with one mask.
 *
 *     "{a} ¦ It was {mask} ."          "{a|rpunc} ? || {mask} , {b!}"
 *
 * "||" parts the two segments of a pair, "¦" parts what is tokenised apart; so
 * does a slot. {a} and {b} are the texts of a row; filters: rpunc takes trailing
 * ASCII punctuation away, lc1 lower-cases the first letter; a ! keeps a slot from
 * being shortened. Blanks around a part do not count; ␣ is a blank that does.
 * Texts are filled in as they are: what looks like a token or a slot in them is text.
 */
struct pattern;

/* Errors say what is wrong and where in the pattern. The tokenizer is kept by reference. */
int pattern_open(const char *text, const struct tokenizer *t, struct pattern **ret);
void pattern_close(struct pattern *p); /* NULL is fine */
/*
 * Fill the slots (b NULL: empty), cut to max_length (0: never) and put special
 * tokens around. Cut is the last token of the last part that may be shortened,
 * of the segment with more of such tokens, the second when they are even; the mask
 * and literals stay. *ret_mask: the mask's place.
 */
int pattern_encode(const struct pattern *p, const char *a, size_t na, const char *b, size_t nb,
		   int64_t max_length, struct encoding *ret, int32_t *ret_mask);

#endif
