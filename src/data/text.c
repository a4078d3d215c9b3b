/* UTF-8 checks and conversions, and growing arrays. */
#include "data/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int array_grow(void *array, size_t *room, size_t n, size_t element)
{
	void *old, *data;
	size_t want = *room ? *room : 16;

	if (n <= *room)
		return TT_OK;
	while (want < n) {
		if (want > SIZE_MAX / 2)
			return err_set(TT_NOMEM, "a text is too long");
		want *= 2;
	}
	if (want > SIZE_MAX / element)
		return err_set(TT_NOMEM, "a text is too long");
	memcpy(&old, array, sizeof(old));
	data = realloc(old, want * element);
	if (!data)
		return err_set(TT_NOMEM, "there is no memory for %zu bytes of text",
			       want * element);
	memcpy(array, &data, sizeof(data));
	*room = want;
	return TT_OK;
}

int text_reserve(struct text *t, size_t room)
{
	if (room > TEXT_MAX)
		return err_set(TT_INVALID, "a text grows over %d bytes while it is normalised",
			       TEXT_MAX);
	return array_grow(&t->data, &t->room, room, 1);
}

int text_add(struct text *t, const char *data, size_t n)
{
	const int r = n > TEXT_MAX ? text_reserve(t, n) : text_reserve(t, t->n + n);

	if (r < 0)
		return r;
	if (n)
		memcpy(t->data + t->n, data, n);
	t->n += n;
	return TT_OK;
}

void text_done(struct text *t)
{
	free(t->data);
	memset(t, 0, sizeof(*t));
}

size_t ascii_span(const char *s, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t w;
		memcpy(&w, s + i, 8);
		if (w & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < n && !(s[i] & 0x80))
		i++;
	return i;
}

/* Bytes of the well-formed character at s, 0 when there is none (RFC 3629). */
static size_t utf8_step(const unsigned char *s, size_t n)
{
	size_t need;
	unsigned low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n < need)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return need;
}

bool utf8_check(const char *s, size_t n, size_t *ret_at)
{
	size_t i = ascii_span(s, n);

	while (i < n) {
		const size_t step = utf8_step((const unsigned char *)s + i, n - i);
		if (!step) {
			*ret_at = i;
			return false;
		}
		i += step;
		if (step == 1)
			i += ascii_span(s + i, n - i);
	}
	return true;
}

size_t utf8_count(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += (s[i] & 0xc0) != 0x80;
	return count;
}

size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t utf8_back(const char *s, size_t at)
{
	do
		at--;
	while (at > 0 && (s[at] & 0xc0) == 0x80);
	return at;
}
