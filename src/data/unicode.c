/*
 * Character classes by binary search in sorted ranges, and folding: one pass
 * that decodes, cleans, decomposes, drops, lowers and encodes again. Canonical
 * order needs the whole run of combining characters, so they wait in a list
 * until a character of class 0 comes; ASCII never waits and takes a short way.
 */
#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/array.h"
#include "base/err.h"
#include "data/unicode_tables.h"

/* Capitals Unicode 15 has no small letter for; every step-th of the range moves by delta. */
static const struct {
	uint32_t first, last, step;
	int32_t delta;
} newer_lower[] = {
	{ 0x1c89, 0x1c89, 1, 1 },      { 0xa7cb, 0xa7cb, 1, 0x264 - 0xa7cb },
	{ 0xa7cc, 0xa7ce, 2, 1 },      { 0xa7d2, 0xa7d4, 2, 1 },
	{ 0xa7da, 0xa7da, 1, 1 },      { 0xa7dc, 0xa7dc, 1, 0x19b - 0xa7dc },
	{ 0x10d50, 0x10d65, 1, 0x20 }, { 0x16ea0, 0x16eb8, 1, 0x1b },
};

enum { DECOMPOSED_MAX = 32 }; /* code points of one; Unicode's longest is 18 */

static bool range_has(const struct range *r, size_t n, uint32_t c)
{
	size_t low = 0, high = n;

	while (low < high) {
		const size_t mid = (low + high) / 2;
		if (c > r[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && c >= r[low].first;
}

bool unicode_is_white(uint32_t c)
{
	if (c < 0x80)
		return c == ' ' || (c >= 9 && c <= 13);
	return range_has(white, COUNT(white), c);
}

bool unicode_is_punctuation(uint32_t c) { return range_has(punctuation, COUNT(punctuation), c); }

bool unicode_is_word(uint32_t c) { return range_has(word, COUNT(word), c); }

bool unicode_is_number(uint32_t c)
{
	if (c < 0x80)
		return c >= '0' && c <= '9';
	return range_has(number, COUNT(number), c);
}

/* 2B820-2B91F is left out as in the library, whose table has a slip there. */
bool unicode_is_ideograph(uint32_t c)
{
	return (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x2a6df) ||
	       (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
	       (c >= 0x2f800 && c <= 0x2fa1f);
}

struct folding {
	unsigned fold;
	struct fold_scratch *scratch;
	struct text *out;
	int result;
};

void fold_scratch_done(struct fold_scratch *s)
{
	free(s->mark);
	free(s->sorted);
	free(s->point);
	memset(s, 0, sizeof(*s));
}

static bool fold_room(struct folding *f, size_t more)
{
	if (f->out->room - f->out->n < more && f->result == TT_OK)
		f->result = text_reserve(f->out, f->out->n + more);
	return f->result == TT_OK;
}

static uint32_t lower_one(uint32_t c)
{
	const uint32_t l = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);

	if (l != c || c < 0x1c89)
		return l;
	for (size_t i = 0; i < COUNT(newer_lower); i++)
		if (c >= newer_lower[i].first && c <= newer_lower[i].last &&
		    (c - newer_lower[i].first) % newer_lower[i].step == 0)
			return (uint32_t)((int32_t)c + newer_lower[i].delta);
	return c;
}

static void fold_emit(struct folding *f, uint32_t c)
{
	struct text *out = f->out;

	if (!fold_room(f, 8))
		return;
	if (f->fold & FOLD_LOWER) {
		if (c == 0x130) { /* the only one that becomes two */
			out->n += utf8_put(out->data + out->n, 'i');
			c = 0x307;
		} else {
			c = lower_one(c);
		}
	}
	out->n += utf8_put(out->data + out->n, c);
}

/* Stable, by combining class; long runs by counting, so that hostile ones stay linear. */
static int marks_sort(struct fold_scratch *s)
{
	size_t start[257] = { 0 };
	int r;

	if (s->marks <= 16) {
		for (size_t i = 1; i < s->marks; i++) {
			const struct fold_mark m = s->mark[i];
			size_t j = i;
			for (; j > 0 && s->mark[j - 1].class > m.class; j--)
				s->mark[j] = s->mark[j - 1];
			s->mark[j] = m;
		}
		return TT_OK;
	}
	r = array_grow(&s->sorted, &s->sorted_room, s->marks, sizeof(*s->sorted));
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->marks; i++)
		start[s->mark[i].class + 1]++;
	for (size_t i = 1; i < COUNT(start); i++)
		start[i] += start[i - 1];
	for (size_t i = 0; i < s->marks; i++)
		s->sorted[start[s->mark[i].class]++] = s->mark[i];
	memcpy(s->mark, s->sorted, s->marks * sizeof(*s->mark));
	return TT_OK;
}

static void fold_flush(struct folding *f)
{
	struct fold_scratch *s = f->scratch;

	if (!s->marks)
		return;
	if (marks_sort(s) < 0)
		f->result = TT_NOMEM;
	for (size_t i = 0; i < s->marks && f->result == TT_OK; i++)
		fold_emit(f, s->mark[i].c);
	s->marks = 0;
}

static void fold_decomposed(struct folding *f, uint32_t c, bool known)
{
	struct fold_scratch *s = f->scratch;
	const int class = known ? utf8proc_get_property((utf8proc_int32_t)c)->combining_class : 0;

	if (!class)
		fold_flush(f);
	if ((f->fold & FOLD_DROP_NONSPACING) && c >= 0x300 &&
	    range_has(mark_nonspacing, COUNT(mark_nonspacing), c))
		return;
	if (!class) {
		fold_emit(f, c);
		return;
	}
	if (array_grow(&s->mark, &s->mark_room, s->marks + 1, sizeof(*s->mark)) < 0) {
		f->result = TT_NOMEM;
		return;
	}
	s->mark[s->marks++] = (struct fold_mark){ c, (uint8_t) class };
}

static void fold_decompose(struct folding *f, uint32_t c)
{
	const int how = f->fold & FOLD_COMPATIBLE ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT
						  : UTF8PROC_DECOMPOSE;
	utf8proc_int32_t part[DECOMPOSED_MAX];
	utf8proc_ssize_t n;
	int boundary = 0;

	if (range_has(newer, COUNT(newer), c)) {
		fold_decomposed(f, c, false);
		return;
	}
	n = utf8proc_decompose_char((utf8proc_int32_t)c, part, DECOMPOSED_MAX,
				    (utf8proc_option_t)how, &boundary);
	if (n < 0 || n > DECOMPOSED_MAX) {
		fold_decomposed(f, c, true);
		return;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++)
		fold_decomposed(f, (uint32_t)part[i], true);
}

/* Anything that is not ASCII, or follows a waiting mark. */
static void fold_one(struct folding *f, uint32_t c)
{
	const bool ideograph = (f->fold & FOLD_IDEOGRAPHS) && unicode_is_ideograph(c);

	if (f->fold & FOLD_CLEAN) {
		if (range_has(dropped, COUNT(dropped), c))
			return;
		if (unicode_is_white(c))
			c = ' ';
	}
	if ((f->fold & FOLD_DROP_MARKS) && range_has(mark_any, COUNT(mark_any), c))
		return;
	if (!(f->fold & FOLD_DECOMPOSE)) {
		if (ideograph)
			fold_emit(f, ' ');
		fold_emit(f, c);
		if (ideograph)
			fold_emit(f, ' ');
		return;
	}
	if (ideograph)
		fold_decomposed(f, ' ', true);
	fold_decompose(f, c);
	if (ideograph)
		fold_decomposed(f, ' ', true);
}

/* n ASCII bytes; there is room for them. */
static void fold_ascii(struct folding *f, const char *s, size_t n)
{
	char *to = f->out->data + f->out->n;
	const char shift = f->fold & FOLD_LOWER ? 'a' - 'A' : 0;
	const bool clean = f->fold & FOLD_CLEAN;

	for (size_t i = 0; i < n; i++) {
		const char c = s[i];
		if (clean && (c < ' ' || c == 127)) {
			if (c == '\t' || c == '\n' || c == '\r')
				*to++ = ' ';
			continue;
		}
		*to++ = c >= 'A' && c <= 'Z' ? (char)(c + shift) : c;
	}
	f->out->n = (size_t)(to - f->out->data);
}

/*
 * Compose point[0..n) and append it. A character the library has no class for
 * ends what comes before it, so the text is composed between those.
 */
static int fold_compose_points(struct folding *f, int32_t *point, size_t n)
{
	const utf8proc_option_t how = (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE);

	for (size_t i = 0; i < n;) {
		size_t end = i;
		utf8proc_ssize_t done;

		while (end < n && !range_has(newer, COUNT(newer), (uint32_t)point[end]))
			end++;
		done = utf8proc_normalize_utf32(point + i, (utf8proc_ssize_t)(end - i), how);
		if (done < 0)
			return err_set(TT_INVALID, "a text could not be composed: %s",
				       utf8proc_errmsg(done));
		for (utf8proc_ssize_t k = 0; k < done; k++)
			fold_emit(f, (uint32_t)point[i + (size_t)k]);
		if (end < n)
			fold_emit(f, (uint32_t)point[end++]);
		i = end;
	}
	return f->result;
}

/* Compose out[from..] in place. */
static int fold_compose(struct folding *f, size_t from)
{
	struct fold_scratch *s = f->scratch;
	struct text *out = f->out;
	size_t n = 0, at = from;
	int r;

	if (ascii_span(out->data + from, out->n - from) == out->n - from)
		return TT_OK;
	r = array_grow(&s->point, &s->point_room, out->n - from, sizeof(*s->point));
	if (r < 0)
		return r;
	while (at < out->n)
		s->point[n++] = (int32_t)utf8_get(out->data, &at);
	out->n = from;
	f->fold = 0;
	return fold_compose_points(f, s->point, n);
}

int unicode_fold(const char *s, size_t n, unsigned fold, struct fold_scratch *scratch,
		 struct text *ret)
{
	struct folding f = { .fold = fold, .scratch = scratch, .out = ret };
	const size_t from = ret->n;
	size_t i = 0;

	scratch->marks = 0;
	while (i < n && f.result == TT_OK) {
		const size_t ascii = ascii_span(s + i, n - i);
		if (ascii) {
			/* An ASCII character that is dropped does not end a run of marks. */
			if (scratch->marks && !(fold & FOLD_CLEAN && (s[i] < ' ' || s[i] == 127)))
				fold_flush(&f);
			if (scratch->marks) {
				size_t at = i;
				fold_one(&f, utf8_get(s, &at));
				i = at;
				continue;
			}
			if (fold_room(&f, ascii))
				fold_ascii(&f, s + i, ascii);
			i += ascii;
		} else {
			fold_one(&f, utf8_get(s, &i));
		}
	}
	fold_flush(&f);
	if (f.result == TT_OK && (fold & FOLD_COMPOSE))
		return fold_compose(&f, from);
	return f.result;
}
