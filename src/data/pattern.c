/*
 * Patterns, compiled: parts in their order, literals as tokens already. Filling
 * one in gives every part its tokens, cuts those that may be cut, and joins the
 * parts of each segment.
 */
#include "data/pattern.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/text.h"
#include "data/unicode.h"

enum { PARTS_MAX = 64, PATTERN_MAX = 1 << 16 };
enum part_kind { PART_LITERAL, PART_A, PART_B, PART_MASK };

struct part {
	enum part_kind kind;
	int segment;
	bool keep;         /* must not be shortened */
	bool rpunc, lower; /* filters */
	int32_t *id;       /* a literal's tokens; malloc'ed */
	size_t n;
};

struct pattern {
	const struct tokenizer *tokenizer;
	struct part part[PARTS_MAX];
	int parts, segments;
};

/* ---- parsing ---- */

static const char bar[] = "\xC2\xA6", blank[] = "\xE2\x90\xA3"; /* ¦ and ␣ */

struct parsing {
	struct pattern *p;
	struct encoding encoding;
	struct text literal;
};

static int add_part(struct pattern *p, const struct part *new)
{
	if (p->parts == PARTS_MAX)
		return err_set(TT_INVALID, "it has more than %d parts", PARTS_MAX);
	p->part[p->parts++] = *new;
	return TT_OK;
}

/* Blanks at the ends do not count, ␣ becomes one; nothing left is no part. */
static int add_literal(struct parsing *x, const char *s, size_t n)
{
	static const struct encode_options how = { .plain = true };
	struct part new = { .kind = PART_LITERAL, .segment = x->p->segments - 1, .keep = true };
	int r = TT_OK;

	while (n && isspace((unsigned char)s[0]))
		s++, n--;
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	if (!n)
		return TT_OK;
	x->literal.n = 0;
	for (size_t i = 0; i < n && r == TT_OK;) {
		const bool space = n - i >= 3 && !memcmp(s + i, blank, 3);

		r = text_add(&x->literal, space ? " " : s + i, 1);
		i += space ? 3 : 1;
	}
	if (r == TT_OK)
		r = tokenizer_encode(x->p->tokenizer, x->literal.data, x->literal.n, NULL, 0, &how,
				     &x->encoding);
	if (r < 0 || !x->encoding.n)
		return r;
	new.n = x->encoding.n;
	new.id = malloc(new.n * sizeof(*new.id));
	if (!new.id)
		return err_set(TT_NOMEM, "there is no memory for a pattern");
	memcpy(new.id, x->encoding.id, new.n * sizeof(*new.id));
	r = add_part(x->p, &new);
	if (r < 0)
		free(new.id);
	return r;
}

static bool is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(s, word, n);
}

static int add_filter(const char *s, size_t n, struct part *to)
{
	if (is_word(s, n, "rpunc"))
		to->rpunc = true;
	else if (is_word(s, n, "lc1"))
		to->lower = true;
	else
		return err_set(TT_INVALID, "'%.*s' is no filter; rpunc and lc1 are",
			       n < 40 ? (int)n : 40, s);
	return TT_OK;
}

static int slot_kind(const char *s, size_t n, enum part_kind *ret)
{
	if (is_word(s, n, "a"))
		*ret = PART_A;
	else if (is_word(s, n, "b"))
		*ret = PART_B;
	else if (is_word(s, n, "mask"))
		*ret = PART_MASK;
	else if (n > 5 && !memcmp(s, "mask*", 5))
		return err_set(TT_INVALID,
			       "{%.*s}: words of several tokens are not supported yet; {mask} is "
			       "one token",
			       n < 40 ? (int)n : 40, s);
	else
		return err_set(TT_INVALID, "{%.*s} is no slot; {a}, {b} and {mask} are",
			       n < 40 ? (int)n : 40, s);
	return TT_OK;
}

/* What stands between the braces: name, filters, and perhaps a !. */
static int add_slot(struct parsing *x, const char *s, size_t n)
{
	struct part new = { .segment = x->p->segments - 1 };
	const char *filter = memchr(s, '|', n);
	int r;

	if (n && s[n - 1] == '!') {
		new.keep = true;
		n--;
	}
	r = slot_kind(s, filter ? (size_t)(filter - s) : n, &new.kind);
	while (r == TT_OK && filter) {
		const char *from = filter + 1;
		const size_t left = (size_t)(s + n - from);

		filter = memchr(from, '|', left);
		r = add_filter(from, filter ? (size_t)(filter - from) : left, &new);
	}
	new.keep = new.keep || new.kind == PART_MASK;
	return r == TT_OK ? add_part(x->p, &new) : r;
}

/* One stretch without ¦ and ||: literals and slots. */
static int parse_part(struct parsing *x, const char *s, size_t n)
{
	int r = TT_OK;

	while (n && r == TT_OK) {
		const char *open = memchr(s, '{', n);
		const char *close = open ? memchr(open, '}', n - (size_t)(open - s)) : NULL;
		const size_t before = open ? (size_t)(open - s) : n;

		if (open && !close)
			return err_set(TT_INVALID, "a { has no }");
		r = add_literal(x, s, before);
		if (r == TT_OK && open)
			r = add_slot(x, open + 1, (size_t)(close - open - 1));
		n -= open ? (size_t)(close + 1 - s) : n;
		s = open ? close + 1 : s;
	}
	return r;
}

static int parse(struct parsing *x, const char *text)
{
	const char *from = text;
	int r = TT_OK;

	x->p->segments = 1;
	for (const char *at = text; r == TT_OK; at++) {
		const bool part = !strncmp(at, bar, 2);
		/* not the | of a filter, which lies within braces */
		const bool segment = at[0] == '|' && at[1] == '|';

		if (*at && !part && !segment)
			continue;
		r = parse_part(x, from, (size_t)(at - from));
		if (!*at)
			break;
		from = at + 2;
		at++;
		if (segment && ++x->p->segments > 2)
			return err_set(TT_INVALID,
				       "it has more than one ||; a pair has two segments");
	}
	return r;
}

static int check(const struct pattern *p)
{
	int masks = 0, texts = 0, in[2] = { 0, 0 };

	for (int i = 0; i < p->parts; i++) {
		masks += p->part[i].kind == PART_MASK;
		texts += p->part[i].kind == PART_A || p->part[i].kind == PART_B;
		in[p->part[i].segment]++;
	}
	if (masks != 1)
		return err_set(TT_INVALID, "it has %d {mask} slots; it must have one", masks);
	if (!texts)
		return err_set(TT_INVALID,
			       "it has neither {a} nor {b}, so every row would be alike");
	if (!in[0] || (p->segments == 2 && !in[1]))
		return err_set(TT_INVALID, "one side of || is empty");
	if (tokenizer_roles(p->tokenizer)->mask < 0)
		return err_set(TT_INVALID, "the tokenizer has no mask token");
	return TT_OK;
}

int pattern_open(const char *text, const struct tokenizer *t, struct pattern **ret)
{
	struct parsing x = { .p = calloc(1, sizeof(struct pattern)) };
	size_t at;
	int r = TT_OK;

	if (!x.p)
		return err_set(TT_NOMEM, "there is no memory for a pattern");
	x.p->tokenizer = t;
	encoding_init(&x.encoding);
	if (strlen(text) > PATTERN_MAX)
		r = err_set(TT_INVALID, "it is longer than %d bytes", PATTERN_MAX);
	else if (!utf8_check(text, strlen(text), &at))
		r = err_set(TT_INVALID, "it is not UTF-8 at byte %zu", at + 1);
	if (r == TT_OK)
		r = parse(&x, text);
	if (r == TT_OK)
		r = check(x.p);
	encoding_done(&x.encoding);
	text_done(&x.literal);
	if (r < 0) {
		pattern_close(x.p);
		return err_in("prompt.pattern \"%.200s\"", text);
	}
	*ret = x.p;
	return TT_OK;
}

void pattern_close(struct pattern *p)
{
	for (int i = 0; p && i < p->parts; i++)
		free(p->part[i].id);
	free(p);
}

/* ---- filling in ---- */

/* The tokens of each part, and how many of them stay. */
struct filled {
	int32_t *id;
	size_t used, room;
	size_t start[PARTS_MAX], n[PARTS_MAX];
};

static int put(struct filled *f, int part, const int32_t *id, size_t n)
{
	const int r = array_grow(&f->id, &f->room, f->used + n, sizeof(*f->id));

	if (r < 0)
		return r;
	f->start[part] = f->used;
	f->n[part] = n;
	if (n)
		memcpy(f->id + f->used, id, n * sizeof(*id));
	f->used += n;
	return TT_OK;
}

/* The text with its first character in lower case, which may have other bytes. */
static int lower_first(const char *s, size_t n, struct text *ret)
{
	struct fold_scratch scratch = { 0 };
	size_t at = 0;
	int r;

	if (!utf8_check(s, n, &at))
		return err_set(TT_INVALID, "the text is not UTF-8 at byte %zu", at + 1);
	at = 0;
	utf8_get(s, &at);
	r = unicode_fold(s, at, FOLD_LOWER, &scratch, ret);
	fold_scratch_done(&scratch);
	return r == TT_OK ? text_add(ret, s + at, n - at) : r;
}

static int put_text(const struct pattern *p, int at, const char *s, size_t n, struct encoding *e,
		    struct filled *f)
{
	static const struct encode_options how = { .plain = true };
	const struct part *part = &p->part[at];
	struct text low = { 0 };
	int r = TT_OK;

	while (part->rpunc && n && ispunct((unsigned char)s[n - 1]))
		n--;
	if (part->lower && n)
		r = lower_first(s, n, &low);
	if (r == TT_OK)
		r = tokenizer_encode(p->tokenizer, low.data ? low.data : s, low.data ? low.n : n,
				     NULL, 0, &how, e);
	text_done(&low);
	return r == TT_OK ? put(f, at, e->id, e->n) : r;
}

static int fill(const struct pattern *p, const char *a, size_t na, const char *b, size_t nb,
		struct encoding *e, struct filled *f)
{
	int r = TT_OK;

	for (int i = 0; i < p->parts && r == TT_OK; i++) {
		const struct part *part = &p->part[i];

		switch (part->kind) {
		case PART_LITERAL: r = put(f, i, part->id, part->n); break;
		case PART_MASK: r = put(f, i, &tokenizer_roles(p->tokenizer)->mask, 1); break;
		case PART_A: r = put_text(p, i, a, na, e, f); break;
		case PART_B: r = put_text(p, i, b ? b : "", b ? nb : 0, e, f); break;
		}
	}
	return r;
}

static size_t count(const struct pattern *p, const struct filled *f, int segment, bool cuttable)
{
	size_t n = 0;

	for (int i = 0; i < p->parts; i++)
		if (p->part[i].segment == segment && !(cuttable && p->part[i].keep))
			n += f->n[i];
	return n;
}

/* Drop the last token of the last part of the segment that may be shortened and has one. */
static void drop(const struct pattern *p, struct filled *f, int segment)
{
	for (int i = p->parts; i-- > 0;) {
		if (p->part[i].segment != segment || p->part[i].keep || !f->n[i])
			continue;
		f->n[i]--;
		return;
	}
}

static int shorten(const struct pattern *p, struct filled *f, size_t special, int64_t max_length)
{
	size_t first = count(p, f, 0, true), second = count(p, f, 1, true);
	size_t all = count(p, f, 0, false) + count(p, f, 1, false) + special;

	for (; max_length > 0 && all > (size_t)max_length; all--) {
		const int segment = first > second ? 0 : 1;

		if (!first && !second)
			return err_set(TT_INVALID,
				       "data.max_length %lld is too small for the pattern, which "
				       "has %zu tokens that stay",
				       (long long)max_length, all);
		drop(p, f, segment);
		first -= segment == 0;
		second -= segment == 1;
	}
	return TT_OK;
}

/* The tokens of one segment end to end, in place of the filled ones that they come from. */
static size_t join(const struct pattern *p, const struct filled *f, int segment, int32_t *to,
		   size_t *ret_mask)
{
	size_t n = 0;

	for (int i = 0; i < p->parts; i++) {
		if (p->part[i].segment != segment)
			continue;
		if (p->part[i].kind == PART_MASK)
			*ret_mask = n;
		memcpy(to + n, f->id + f->start[i], f->n[i] * sizeof(*to));
		n += f->n[i];
	}
	return n;
}

static int assemble(const struct pattern *p, struct filled *f, struct encoding *ret,
		    int32_t *ret_mask)
{
	static const struct encode_options how = { .special_tokens = true };
	int32_t *joined = malloc((f->used + 1) * sizeof(*joined));
	size_t mask = SIZE_MAX, second = SIZE_MAX, n[2];
	int r;

	if (!joined)
		return err_set(TT_NOMEM, "there is no memory to fill in a pattern");
	n[0] = join(p, f, 0, joined, &mask);
	n[1] = join(p, f, 1, joined + n[0], &second);
	r = tokenizer_wrap(p->tokenizer, joined, n[0], n[1] ? joined + n[0] : NULL, n[1], &how,
			   ret);
	free(joined);
	if (r == TT_OK)
		*ret_mask = (int32_t)(second == SIZE_MAX ? encoding_start(ret, false) + mask
							 : encoding_start(ret, true) + second);
	return r;
}

int pattern_encode(const struct pattern *p, const char *a, size_t na, const char *b, size_t nb,
		   int64_t max_length, struct encoding *ret, int32_t *ret_mask)
{
	struct filled f = { 0 };
	int r = fill(p, a, na, b, nb, ret, &f);

	if (r == TT_OK)
		r = shorten(p, &f, tokenizer_added(p->tokenizer, count(p, &f, 1, false) > 0),
			    max_length);
	if (r == TT_OK)
		r = assemble(p, &f, ret, ret_mask);
	free(f.id);
	return r;
}
