#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Growing bytes with a declared largest size. After a failed call the buffer
 * is `bad` and further additions do nothing, so a writer checks once, at the end.
 * `data` is always NUL-terminated once something was added.
 */
struct buf {
	char *data;
	size_t size, room, max;
	bool bad; /* ran out of memory or over max */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; the struct may be used again after buf_init */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_add(struct buf *b, const void *data, size_t size);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_spaces(struct buf *b, int n); /* n < 0: none */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_check(const struct buf *b, const char *what); /* TT_OK, or a sentence naming `what` */

#endif
