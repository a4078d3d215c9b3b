/*
 * Pre-tokenizers. All of them but BERT's and Whitespace, which go straight to
 * words, first lay out a text as parts that are a match or are not, and then
 * apply one of five behaviours to the list.
 */
#include "data/pretokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "data/unicode.h"

static int step_add(struct pretokenizer *p, const struct pre_step *step)
{
	if (p->n == PRE_STEPS)
		return err_set(TT_INVALID, "the pre-tokenizer has more than %d steps", PRE_STEPS);
	p->step[p->n++] = *step;
	return TT_OK;
}

static const struct {
	const char *name;
	enum pre_behaviour behaviour;
} behaviours[] = {
	{ "Removed", PRE_REMOVED },
	{ "Isolated", PRE_ISOLATED },
	{ "MergedWithPrevious", PRE_PREVIOUS },
	{ "MergedWithNext", PRE_NEXT },
	{ "Contiguous", PRE_CONTIGUOUS },
};

static int load_behaviour(const struct json *j, enum pre_behaviour *ret)
{
	const struct json *v = json_get(j, "behavior");
	const char *name = json_text(v);

	if (!v)
		return TT_OK;
	for (size_t i = 0; name && i < COUNT(behaviours); i++)
		if (!strcmp(name, behaviours[i].name)) {
			*ret = behaviours[i].behaviour;
			return TT_OK;
		}
	return err_set(TT_INVALID, "the pre-tokenizer's behaviour '%.60s' is not known",
		       name ? name : "(not a string)");
}

void pretokenizer_bert(struct pretokenizer *ret)
{
	const struct pre_step step = { .kind = PRE_BERT };

	ret->n = 0;
	step_add(ret, &step);
}

static int load_bert(const struct json *j, struct arena *a, struct pre_step *s)
{
	(void)j;
	(void)a;
	s->kind = PRE_BERT;
	return TT_OK;
}

static int load_whitespace(const struct json *j, struct arena *a, struct pre_step *s)
{
	(void)j;
	(void)a;
	s->kind = PRE_WHITESPACE;
	return TT_OK;
}

static int load_whitespace_split(const struct json *j, struct arena *a, struct pre_step *s)
{
	(void)j;
	(void)a;
	s->predicate = unicode_is_white;
	s->behaviour = PRE_REMOVED;
	return TT_OK;
}

static int load_punctuation(const struct json *j, struct arena *a, struct pre_step *s)
{
	(void)a;
	s->predicate = unicode_is_punctuation;
	s->behaviour = PRE_ISOLATED;
	return load_behaviour(j, &s->behaviour);
}

static int load_digits(const struct json *j, struct arena *a, struct pre_step *s)
{
	(void)a;
	s->predicate = unicode_is_number;
	s->behaviour = json_bool(json_get(j, "individual_digits")) ? PRE_ISOLATED : PRE_CONTIGUOUS;
	return TT_OK;
}

static int load_delimiter(const struct json *j, struct arena *a, struct pre_step *s)
{
	const char *text = json_text(json_get(j, "delimiter"));
	size_t at = 0;

	(void)a;
	if (text && *text)
		s->delimiter = utf8_get(text, &at);
	if (!text || !*text || text[at])
		return err_set(TT_INVALID,
			       "CharDelimiterSplit needs one character as \"delimiter\"");
	s->kind = PRE_DELIMITER;
	s->behaviour = PRE_REMOVED;
	return TT_OK;
}

static int load_split(const struct json *j, struct arena *a, struct pre_step *s)
{
	const struct json *pattern = json_get(j, "pattern");
	const char *literal = json_text(json_get(pattern, "String"));
	const char *regex = json_text(json_get(pattern, "Regex"));

	s->behaviour = PRE_REMOVED;
	s->invert = json_bool(json_get(j, "invert"));
	if (load_behaviour(j, &s->behaviour) < 0)
		return TT_INVALID;
	if (regex) {
		s->kind = PRE_REGEX;
		return regex_new(regex, &s->regex);
	}
	if (!literal || !*literal)
		return err_set(TT_INVALID,
			       "a Split needs a \"pattern\" with a \"String\" or a \"Regex\"");
	s->kind = PRE_LITERAL;
	s->literal = arena_text(a, literal);
	s->literal_size = strlen(literal);
	return s->literal ? TT_OK : TT_NOMEM;
}

static const struct {
	const char *type;
	int (*load)(const struct json *j, struct arena *a, struct pre_step *s);
} kinds[] = {
	{ "BertPreTokenizer", load_bert },
	{ "Whitespace", load_whitespace },
	{ "WhitespaceSplit", load_whitespace_split },
	{ "Punctuation", load_punctuation },
	{ "Digits", load_digits },
	{ "CharDelimiterSplit", load_delimiter },
	{ "Split", load_split },
};

static int load_any(const struct json *j, struct arena *a, struct pretokenizer *p, int depth);

static int load_sequence(const struct json *j, struct arena *a, struct pretokenizer *p, int depth)
{
	const struct json *list = json_get(j, "pretokenizers");
	int r = TT_OK;

	if (!list || json_type(list) != JSON_ARRAY)
		return err_set(TT_INVALID,
			       "a pre-tokenizer Sequence needs a list \"pretokenizers\"");
	for (const struct json *i = json_first(list); i && r == TT_OK; i = json_next(i))
		r = load_any(i, a, p, depth + 1);
	return r;
}

static int load_any(const struct json *j, struct arena *a, struct pretokenizer *p, int depth)
{
	const char *type = json_text(json_get(j, "type"));
	struct pre_step step = { .kind = PRE_PREDICATE };
	int r;

	if (depth > 8)
		return err_set(TT_INVALID, "the pre-tokenizer is nested too deeply");
	if (!type)
		return err_set(TT_INVALID, "a pre-tokenizer has no \"type\"");
	if (!strcmp(type, "Sequence"))
		return load_sequence(j, a, p, depth);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(type, kinds[i].type) != 0)
			continue;
		r = kinds[i].load(j, a, &step);
		if (r == TT_OK)
			r = step_add(p, &step);
		if (r < 0)
			regex_free(step.regex);
		return r;
	}
	return err_set(TT_INVALID, "pre-tokenizer '%.60s' is not supported yet", type);
}

int pretokenizer_load(const struct json *j, struct arena *a, struct pretokenizer *ret)
{
	int r;

	ret->n = 0;
	if (!j || json_type(j) == JSON_NULL)
		return TT_OK;
	r = load_any(j, a, ret, 0);
	if (r < 0)
		pretokenizer_done(ret);
	return r;
}

void pretokenizer_done(struct pretokenizer *p)
{
	for (size_t i = 0; i < p->n; i++)
		regex_free(p->step[i].regex);
	p->n = 0;
}

void pre_scratch_done(struct pre_scratch *s)
{
	free(s->words.item);
	free(s->spare.item);
	free(s->part);
	memset(s, 0, sizeof(*s));
}

static int spans_add(struct spans *to, size_t start, size_t end)
{
	int r = TT_OK;

	if (start == end)
		return TT_OK;
	if (to->n == to->room)
		r = array_grow(&to->item, &to->room, to->n + 1, sizeof(*to->item));
	if (r == TT_OK)
		to->item[to->n++] = (struct span){ (uint32_t)start, (uint32_t)end };
	return r;
}

enum class { CLASS_OTHER, CLASS_WHITE, CLASS_PUNCTUATION };

static enum class bert_class(uint32_t c) {
	if (unicode_is_white(c)) return CLASS_WHITE;
	return unicode_is_punctuation(c) ? CLASS_PUNCTUATION : CLASS_OTHER;
}

static enum class bert_ascii(unsigned char c) {
	if (c <= ' ') return c == ' ' || (c >= 9 && c <= 13) ? CLASS_WHITE : CLASS_OTHER;
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return CLASS_OTHER;
	return (c >= '0' && c <= '9') || c == 127 ? CLASS_OTHER : CLASS_PUNCTUATION;
}

static int run_bert(const char *s, struct span in, struct spans *to)
{
	size_t from = in.start, at = in.start;
	int r = TT_OK;

	while (at < in.end && r == TT_OK) {
		const size_t here = at;
		const unsigned char c = (unsigned char)s[at];
		enum class class;

		if (c < 0x80) {
			class = bert_ascii(c);
			at++;
		} else {
			class = bert_class(utf8_get(s, &at));
		}
		if (class == CLASS_OTHER)
			continue;
		r = spans_add(to, from, here);
		if (r == TT_OK && class == CLASS_PUNCTUATION)
			r = spans_add(to, here, at);
		from = at;
	}
	return r < 0 ? r : spans_add(to, from, in.end);
}

static int run_whitespace(const char *s, struct span in, struct spans *to)
{
	size_t at = in.start, from = at;
	int r = TT_OK, last = -1;

	while (at < in.end && r == TT_OK) {
		const size_t here = at;
		const uint32_t c = utf8_get(s, &at);
		const int class = unicode_is_word(c) ? 1 : unicode_is_white(c) ? 0 : 2;

		if (class == last)
			continue;
		if (last > 0)
			r = spans_add(to, from, here);
		from = here;
		last = class;
	}
	return r < 0 || last <= 0 ? r : spans_add(to, from, in.end);
}

static int part_add(struct pre_scratch *x, size_t start, size_t end, bool match)
{
	const int r = array_grow(&x->part, &x->part_room, x->parts + 1, sizeof(*x->part));

	if (r == TT_OK)
		x->part[x->parts++] = (struct pre_part){ { (uint32_t)start, (uint32_t)end },
							 match };
	return r;
}

/* A match at [start, end), and what lies between it and *from. */
static int part_match(struct pre_scratch *x, size_t *from, size_t start, size_t end)
{
	int r = *from < start ? part_add(x, *from, start, false) : TT_OK;

	if (r == TT_OK)
		r = part_add(x, start, end, true);
	*from = end;
	return r;
}

static int find_characters(const struct pre_step *p, const char *s, struct span in,
			   struct pre_scratch *x, size_t *from)
{
	int r = TT_OK;

	for (size_t at = in.start; at < in.end && r == TT_OK;) {
		const size_t here = at;
		const uint32_t c = utf8_get(s, &at);

		if (p->kind == PRE_DELIMITER ? c == p->delimiter : p->predicate(c))
			r = part_match(x, from, here, at);
	}
	return r;
}

static int find_literals(const struct pre_step *p, const char *s, struct span in,
			 struct pre_scratch *x, size_t *from)
{
	int r = TT_OK;

	while (r == TT_OK) {
		const char *hit = memmem(s + *from, in.end - *from, p->literal, p->literal_size);
		if (!hit)
			break;
		r = part_match(x, from, (size_t)(hit - s), (size_t)(hit - s) + p->literal_size);
	}
	return r;
}

static int find_regex(struct regex_walk *walk, const char *s, struct span in, struct pre_scratch *x,
		      size_t *from)
{
	size_t start, end;
	int r;

	regex_walk_start(walk, s + in.start, in.end - in.start);
	for (r = regex_walk_next(walk, &start, &end); r > 0;) {
		r = part_match(x, from, in.start + start, in.start + end);
		if (r == TT_OK)
			r = regex_walk_next(walk, &start, &end);
	}
	return r;
}

static int find_parts(const struct pre_step *p, struct regex_walk *walk, const char *s,
		      struct span in, struct pre_scratch *x)
{
	size_t from = in.start;
	int r;

	x->parts = 0;
	if (p->kind == PRE_REGEX)
		r = find_regex(walk, s, in, x, &from);
	else if (p->kind == PRE_LITERAL)
		r = find_literals(p, s, in, x, &from);
	else
		r = find_characters(p, s, in, x, &from);
	if (r == TT_OK && from < in.end)
		r = part_add(x, from, in.end, false);
	for (size_t i = 0; p->invert && i < x->parts; i++)
		x->part[i].match = !x->part[i].match;
	return r;
}

/* Join parts in place: a part that `joins` becomes one with its left neighbour. */
static void join_left(struct pre_scratch *x, bool contiguous)
{
	bool last = false;
	size_t n = 0;

	for (size_t i = 0; i < x->parts; i++) {
		const struct pre_part p = x->part[i];
		const bool joins = contiguous ? p.match == last : p.match && !last;

		if (joins && n)
			x->part[n - 1].span.end = p.span.end;
		else
			x->part[n++] = p;
		last = p.match;
	}
	x->parts = n;
}

/* The mirror image, for PRE_NEXT: the result stands at the end of the array. */
static void join_right(struct pre_scratch *x)
{
	bool last = false;
	size_t n = x->parts;

	for (size_t i = x->parts; i-- > 0;) {
		const struct pre_part p = x->part[i];

		if (p.match && !last && n < x->parts)
			x->part[n].span.start = p.span.start;
		else
			x->part[--n] = p;
		last = p.match;
	}
	memmove(x->part, x->part + n, (x->parts - n) * sizeof(*x->part));
	x->parts -= n;
}

static int emit_parts(const struct pre_step *p, struct pre_scratch *x, struct spans *to)
{
	int r = TT_OK;

	if (p->behaviour == PRE_PREVIOUS || p->behaviour == PRE_CONTIGUOUS)
		join_left(x, p->behaviour == PRE_CONTIGUOUS);
	else if (p->behaviour == PRE_NEXT && x->parts)
		join_right(x);
	for (size_t i = 0; i < x->parts && r == TT_OK; i++)
		if (p->behaviour != PRE_REMOVED || !x->part[i].match)
			r = spans_add(to, x->part[i].span.start, x->part[i].span.end);
	return r;
}

static int run_step(const struct pre_step *p, const char *s, const struct spans *from,
		    struct pre_scratch *x, struct spans *to)
{
	struct regex_walk *walk = NULL;
	int r = p->kind == PRE_REGEX ? regex_walk_new(p->regex, &walk) : TT_OK;

	to->n = 0;
	for (size_t i = 0; i < from->n && r == TT_OK; i++) {
		if (p->kind == PRE_BERT) {
			r = run_bert(s, from->item[i], to);
		} else if (p->kind == PRE_WHITESPACE) {
			r = run_whitespace(s, from->item[i], to);
		} else {
			r = find_parts(p, walk, s, from->item[i], x);
			if (r == TT_OK)
				r = emit_parts(p, x, to);
		}
	}
	regex_walk_free(walk);
	return r;
}

int pretokenizer_run(const struct pretokenizer *p, const char *s, size_t n,
		     struct pre_scratch *scratch)
{
	int r;

	scratch->words.n = 0;
	r = spans_add(&scratch->words, 0, n);
	for (size_t i = 0; i < p->n && r == TT_OK; i++) {
		struct spans from = scratch->words;
		scratch->words = scratch->spare;
		scratch->spare = from;
		r = run_step(&p->step[i], s, &scratch->spare, scratch, &scratch->words);
	}
	return r;
}
