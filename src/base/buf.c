/* Growing bytes with a declared largest size. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void buf_init(struct buf *b, size_t max) { *b = (struct buf){ .max = max }; }

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
	b->size = 0;
	b->bad = false;
	if (b->data)
		b->data[0] = 0;
}

/* Room for n more bytes and a NUL. */
static bool grow(struct buf *b, size_t n)
{
	size_t room = b->room ? b->room : 256;
	char *data;

	if (b->bad || n > b->max || b->size > b->max - n) {
		b->bad = true;
		return false;
	}
	if (b->size + n < b->room)
		return true;
	while (room <= b->size + n)
		room *= 2;
	data = realloc(b->data, room);
	if (!data) {
		b->bad = true;
		return false;
	}
	b->data = data;
	b->room = room;
	return true;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
	if (!grow(b, size))
		return;
	if (size)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = 0;
}

void buf_text(struct buf *b, const char *text) { buf_add(b, text, strlen(text)); }

void buf_char(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_spaces(struct buf *b, int n)
{
	if (n <= 0 || !grow(b, (size_t)n))
		return;
	memset(b->data + b->size, ' ', (size_t)n);
	b->size += (size_t)n;
	b->data[b->size] = 0;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	const size_t room = b->bad ? 0 : b->room - b->size;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? b->data + b->size : NULL, room, fmt, ap);
	va_end(ap);
	if (n < 0 || !grow(b, (size_t)n)) {
		if (room) /* what was cut is not there */
			b->data[b->size] = 0;
		return;
	}
	if ((size_t)n >= room) { /* it did not fit: once more, with room */
		va_start(ap, fmt);
		vsnprintf(b->data + b->size, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->size += (size_t)n;
}

int buf_check(const struct buf *b, const char *what)
{
	if (b->bad)
		return err_set(TT_NOMEM, "%s is larger than %zu bytes, or memory ran out", what,
			       b->max);
	return TT_OK;
}
