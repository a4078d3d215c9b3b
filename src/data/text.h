/* UTF-8 and a growing text for the inner loops of the tokenizers. */
#ifndef DATA_TEXT_H
#define DATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Unlike struct buf it is filled in place, without a call a character; n <= room. */
struct text {
	char *data;
	size_t n, room;
};

enum { TEXT_MAX = 1 << 29 }; /* bytes; more is refused */

int text_reserve(struct text *t, size_t room); /* room for that many bytes in all */
int text_add(struct text *t, const char *data, size_t n);
void text_done(struct text *t);

/* Grow an array, with its size doubled, to hold at least n elements; *room counts elements. */
int array_grow(void *array, size_t *room, size_t n, size_t element);

/* Is it UTF-8: shortest forms, no surrogates, nothing beyond U+10FFFF? If not, where it breaks. */
bool utf8_check(const char *s, size_t n, size_t *ret_at);
/* How many leading bytes are ASCII; a fast scan. */
size_t ascii_span(const char *s, size_t n);
size_t utf8_count(const char *s, size_t n); /* code points of checked text */
size_t utf8_put(char *to, uint32_t c);      /* up to 4 bytes; returns how many */
size_t utf8_back(const char *s, size_t at); /* where the character that ends at `at` > 0 begins */

/* The code point at *at of checked text, *at < its size; moves *at behind it. */
static inline uint32_t utf8_get(const char *s, size_t *at)
{
	const unsigned char *p = (const unsigned char *)s + *at;

	if (p[0] < 0x80) {
		*at += 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*at += 2;
		return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	}
	if (p[0] < 0xf0) {
		*at += 3;
		return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	}
	*at += 4;
	return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
	       (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

#endif
