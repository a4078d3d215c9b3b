/* Text from anywhere, made harmless and cut to columns; numbers for people. */
#include "ui/widget/text.h"

#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/array.h"

/* What a mark stands for: something that was there and must not reach the terminal. */
static wchar_t mark(bool unicode) { return unicode ? 0xfffd : L'?'; }

static wchar_t ellipsis(bool unicode) { return unicode ? 0x2026 : L'~'; }

bool text_unicode(void) { return !strcmp(nl_langinfo(CODESET), "UTF-8"); }

/* The bytes that must follow a first byte, and the least code point they may spell; 0: no first byte. */
static int follow(unsigned char c, int32_t *ret_code, int32_t *ret_least)
{
	static const struct {
		unsigned char mask, is;
		int32_t least;
	} form[] = { { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t i = 0; i < COUNT(form); i++)
		if ((c & form[i].mask) == form[i].is) {
			*ret_code = c & ~form[i].mask & 0xff;
			*ret_least = form[i].least;
			return (int)i + 1;
		}
	return 0;
}

int32_t text_decode(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	int32_t code = 0, least = 0;
	int more;

	if (!*s)
		return 0;
	(*p)++;
	if (*s < 0x80)
		return *s;
	more = follow(*s, &code, &least);
	for (int i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (!more || code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return -1;
	*p += more;
	return code;
}

int32_t text_plain(const char **p)
{
	const int32_t code = text_decode(p);

	if (code < 0)
		return 0xfffd;
	return code && (code < ' ' || (code >= 0x7f && code < 0xa0)) ? ' ' : code;
}

bool text_append(char *text, size_t size, int32_t code)
{
	const size_t n = strlen(text);
	const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
	static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };

	if (code <= 0 || n + (size_t)more + 2 > size)
		return false;
	text[n] = (char)(first[more] | code >> (6 * more));
	for (int i = 1; i <= more; i++)
		text[n + (size_t)i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
	text[n + (size_t)more + 1] = 0;
	return true;
}

void text_chop(char *text)
{
	size_t n = strlen(text);

	while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		n--;
	text[n ? n - 1 : 0] = 0;
}

struct range {
	int32_t lo, hi;
};

static bool within(const struct range *r, size_t n, int32_t code)
{
	for (size_t i = 0; i < n; i++)
		if (code >= r[i].lo && code <= r[i].hi)
			return true;
	return false;
}

/* Shown as a mark: they steer the terminal, turn the direction of writing, or fake a line's end. */
static bool is_dangerous(int32_t code)
{
	static const struct range r[] = {
		{ 0x00, 0x1f },       { 0x7f, 0x9f },       { 0x61c, 0x61c },
		{ 0x180e, 0x180e },   { 0x200e, 0x200f },   { 0x2028, 0x202e },
		{ 0x2066, 0x206f },   { 0xfff9, 0xfffb },   { 0x1bca0, 0x1bca3 },
		{ 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};

	return code < 0 || within(r, COUNT(r), code);
}

/* Left out: terminals disagree on what they do to the width of their neighbours. */
static bool is_silent(int32_t code)
{
	static const struct range r[] = {
		{ 0xad, 0xad },     { 0x34f, 0x34f },   { 0x200b, 0x200d },
		{ 0x2060, 0x2064 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
	};

	return within(r, COUNT(r), code);
}

/* A code point as it may be shown, and its columns: -1 to leave it out. */
static wchar_t tame(int32_t code, bool unicode, int *ret_width)
{
	*ret_width = 1;
	if (code >= 0x20 && code < 0x7f)
		return (wchar_t)code;
	if (code == '\t')
		return L' ';
	if (is_dangerous(code))
		return mark(unicode);
	if (is_silent(code)) {
		*ret_width = -1;
		return 0;
	}
	if (!unicode)
		return L'?';
	*ret_width = wcwidth((wchar_t)code);
	if (*ret_width >= 0 && *ret_width <= 2)
		return (wchar_t)code;
	*ret_width = 1;
	return mark(true);
}

/* Combining characters that belong to the cell before. */
static void take_marks(const char **p, struct text_cell *c)
{
	int n = 1;

	for (;;) {
		const char *at = *p;
		const int32_t code = text_decode(&at);
		wchar_t wc;
		int width;

		if (!code)
			return;
		wc = tame(code, true, &width);
		if (width > 0)
			return;
		if (!width && n <= TEXT_MARKS)
			c->wc[n++] = wc;
		*p = at;
	}
}

bool text_next(const char **p, struct text_cell *ret)
{
	const bool unicode = text_unicode();

	for (;;) {
		struct text_cell c = { .width = 1 };
		const int32_t code = text_decode(p);

		if (!code)
			return false;
		c.wc[0] = tame(code, unicode, &c.width);
		if (c.width < 0)
			continue;
		if (!c.width) { /* a combining character with nothing to stand on */
			c.wc[1] = c.wc[0];
			c.wc[0] = L' ';
			c.width = 1;
		} else if (unicode) {
			take_marks(p, &c);
		}
		*ret = c;
		return true;
	}
}

int text_width(const char *text)
{
	struct text_cell c;
	int width = 0;

	while (width < 1 << 20 && text_next(&text, &c))
		width += c.width;
	return width;
}

/* Does the rest of a text fit? Looks no further than it must. */
static bool fits(const char *text, int width)
{
	struct text_cell c;

	while (text_next(&text, &c)) {
		width -= c.width;
		if (width < 0)
			return false;
	}
	return true;
}

static void put_cell(WINDOW *w, int y, int x, const struct text_cell *c)
{
	attr_t attrs;
	short pair;
	cchar_t cc;

	(void)wattr_get(w, &attrs, &pair, NULL);
	if (setcchar(&cc, c->wc, attrs, pair, NULL) == OK)
		(void)mvwadd_wch(w, y, x, &cc);
}

int text_put(WINDOW *w, int y, int x, int width, const char *text)
{
	const int room = getmaxx(w) - x;
	const bool unicode = text_unicode();
	struct text_cell c;
	bool whole;
	int used = 0;

	if (width > room)
		width = room;
	if (width <= 0 || x < 0 || y < 0 || y >= getmaxy(w))
		return 0;
	whole = fits(text, width);
	while (text_next(&text, &c)) {
		if (used + c.width > (whole ? width : width - 1))
			break;
		put_cell(w, y, x + used, &c);
		used += c.width;
	}
	if (!whole) {
		c = (struct text_cell){ .wc = { ellipsis(unicode) }, .width = 1 };
		put_cell(w, y, x + used++, &c);
	}
	return used;
}

int text_put_right(WINDOW *w, int y, int x, int width, const char *text)
{
	const int wide = text_width(text);

	return text_put(w, y, wide < width ? x + width - wide : x, width, text);
}

int text_printf(WINDOW *w, int y, int x, int width, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return text_put(w, y, x, width, text);
}

/* Where the next line of a paragraph ends: behind a blank if there is one. */
static size_t line_end(const char *text, int width)
{
	const char *at = text;
	struct text_cell c;
	size_t end = 0, blank = 0;

	while (text_next(&at, &c)) {
		width -= c.width;
		if (c.wc[0] == L' ')
			blank = (size_t)(at - text);
		if (width < 0)
			return blank ? blank : end;
		end = (size_t)(at - text);
	}
	return end;
}

int text_paragraph(WINDOW *w, int y, int x, int width, int most, const char *text)
{
	int used = 0;

	for (; used < most && *text; used++) {
		const size_t n = used + 1 < most ? line_end(text, width) : strlen(text);

		size_t shown = n;

		while (shown && text[shown - 1] == ' ')
			shown--;
		text_printf(w, y + used, x, width, "%.*s", (int)shown, text);
		text += n ? n : strlen(text);
	}
	return used;
}

void number_count(char *ret, int64_t n)
{
	char digits[NUMBER_SIZE];
	const int size = snprintf(digits, sizeof(digits), "%lld", (long long)n);
	int out = 0;

	for (int i = 0; i < size && out < NUMBER_SIZE - 2; i++) {
		ret[out++] = digits[i];
		if (digits[i] != '-' && i + 1 < size && (size - i - 1) % 3 == 0)
			ret[out++] = ',';
	}
	ret[out] = 0;
}

void number_short(char *ret, double n)
{
	static const char unit[] = "\0kMGTP";
	size_t at = 0;

	while (fabs(n) >= 999.5 && at < sizeof(unit) - 2) {
		n /= 1000;
		at++;
	}
	snprintf(ret, NUMBER_SIZE, fabs(n) < 9.95 && at ? "%.1f%.1s" : "%.0f%.1s", n, unit + at);
}

void number_value(char *ret, double v, int room)
{
	if (!isfinite(v)) {
		snprintf(ret, NUMBER_SIZE, "%s", isnan(v) ? "NaN" : v > 0 ? "inf" : "-inf");
		return;
	}
	for (int digits = 4; digits >= 0 && (fabs(v) >= 1e-3 || v == 0); digits--)
		if (snprintf(ret, NUMBER_SIZE, "%.*f", digits, v) <= room)
			return;
	for (int digits = 4; digits > 0; digits--)
		if (snprintf(ret, NUMBER_SIZE, "%.*g", digits, v) <= room)
			return;
}

void number_duration(char *ret, int64_t us)
{
	const long long s = us > 0 ? (long long)(us / 1000000) : 0;

	if (s >= 100 * 3600)
		snprintf(ret, NUMBER_SIZE, "%lldd %lldh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(ret, NUMBER_SIZE, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(ret, NUMBER_SIZE, "%02lld:%02lld", s / 60, s % 60);
}
