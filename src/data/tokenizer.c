/*
 * Encoding, in the order the fast tokenizers do it: added tokens are cut out of
 * the raw text; each piece between them is normalised on its own; normalised
 * added tokens are cut out of that; the rest is cut into words, and words into
 * tokens. Then the texts are cut to length, and special tokens put around them.
 */
#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/tokenizer_inside.h"

struct encode_scratch {
	struct normal_scratch normal;
	struct pre_scratch pre;
	struct tokens side[2]; /* of text a and b */
	struct text own;       /* texts of added tokens that differ from the vocabulary's */
	size_t start[2];       /* where each text begins in the result */
	size_t room[4];        /* of id, word, type, text of the encoding */
	int32_t word;          /* the next one */
	void *cache;           /* the family's */
	uint64_t cache_print;  /* the tokenizer it belongs to */
	const struct family_ops *cache_family;
	const struct encode_options *how;
};

void encoding_init(struct encoding *e) { memset(e, 0, sizeof(*e)); }

static void tokens_done(struct tokens *t)
{
	free(t->id);
	free(t->word);
	free(t->text);
}

void encoding_done(struct encoding *e)
{
	struct encode_scratch *x = e->scratch;

	if (x) {
		normal_scratch_done(&x->normal);
		pre_scratch_done(&x->pre);
		tokens_done(&x->side[0]);
		tokens_done(&x->side[1]);
		text_done(&x->own);
		free(x->cache);
		free(x);
	}
	free(e->id);
	free(e->word);
	free(e->type);
	free(e->text);
	encoding_init(e);
}

/* The cache of another tokenizer is of no use. */
static int scratch_prepare(const struct tokenizer *t, struct encoding *e)
{
	struct encode_scratch *x = e->scratch;

	if (!x)
		x = e->scratch = calloc(1, sizeof(*x));
	if (!x)
		return err_set(TT_NOMEM, "there is no memory to tokenise");
	if (x->cache && x->cache_print == t->print && x->cache_family == t->family)
		return TT_OK;
	free(x->cache);
	x->cache = t->family->cache_size ? calloc(1, t->family->cache_size) : NULL;
	if (t->family->cache_size && !x->cache)
		return err_set(TT_NOMEM, "there is no memory to tokenise");
	x->cache_print = t->print;
	x->cache_family = t->family;
	return TT_OK;
}

static int push_added(const struct tokenizer *t, const struct added_hit *hit, const char *s,
		      struct encode_scratch *x, struct tokens *to)
{
	const int32_t id = hit->token->id;
	const size_t n = hit->end - hit->start;
	int r = tokens_room(to, 1);

	if (r < 0)
		return r;
	tokens_push(to, id, x->word++);
	if (n == t->vocab.length[id] && !memcmp(s + hit->start, t->vocab.token[id], n))
		return TT_OK;
	to->text[to->n - 1] = (int32_t)x->own.n;
	r = text_add(&x->own, s + hit->start, n);
	return r < 0 ? r : text_add(&x->own, "", 1);
}

static int encode_words(const struct tokenizer *t, const char *s, size_t n,
			struct encode_scratch *x, struct tokens *to)
{
	const struct spans *words = &x->pre.words;
	int r = n ? pretokenizer_run(&t->pretokenizer, s, n, &x->pre) : TT_OK;

	for (size_t i = 0; n && i < words->n && r == TT_OK; i++) {
		const struct span w = words->item[i];
		r = t->family->encode(t->state, &t->vocab, s + w.start, w.end - w.start, x->word++,
				      x->cache, to);
	}
	return r;
}

static int encode_piece(const struct tokenizer *t, const char *s, size_t n,
			struct encode_scratch *x, struct tokens *to)
{
	struct added_hit hit;
	size_t done = 0, from = 0;
	int r = n ? normalizer_run(&t->normalizer, s, n, &x->normal) : TT_OK;
	const char *text = x->normal.text.data;
	const size_t size = n ? x->normal.text.n : 0;

	while (r == TT_OK && added_find(&t->added.normal, text, size, &from, x->how->plain, &hit)) {
		r = encode_words(t, text + done, hit.start - done, x, to);
		if (r == TT_OK)
			r = push_added(t, &hit, text, x, to);
		done = from;
	}
	return r < 0 || done == size ? r : encode_words(t, text + done, size - done, x, to);
}

static int encode_text(const struct tokenizer *t, const char *s, size_t n, struct encode_scratch *x,
		       struct tokens *to)
{
	struct added_hit hit;
	size_t done = 0, from = 0, at;
	int r = TT_OK;

	to->n = 0;
	x->word = 0;
	if (n > TEXT_MAX)
		return err_set(TT_INVALID, "a text is longer than %d bytes", TEXT_MAX);
	if (!utf8_check(s, n, &at))
		return err_set(TT_INVALID, "the text is not UTF-8 at byte %zu", at + 1);
	while (r == TT_OK && added_find(&t->added.raw, s, n, &from, x->how->plain, &hit)) {
		r = encode_piece(t, s + done, hit.start - done, x, to);
		if (r == TT_OK)
			r = push_added(t, &hit, s, x, to);
		done = from;
	}
	return r < 0 ? r : encode_piece(t, s + done, n - done, x, to);
}

/* How many tokens of each text stay, so that there are at most `max`. */
static void cut_longest_first(size_t max, size_t *a, size_t *b)
{
	size_t *less = *a <= *b ? a : b, *more = *a <= *b ? b : a;

	if (*a + *b <= max)
		return;
	*more = *less > max ? *less : *less > max - *less ? *less : max - *less;
	if (*less + *more > max) {
		*less = max / 2;
		*more = max / 2 + max % 2;
	}
}

static int cut(const struct template *around, bool pair, struct encode_scratch *x)
{
	const size_t added = x->how->special_tokens ? around->added : 0;
	size_t max;

	if (x->how->max_length == 0)
		return TT_OK;
	if (x->how->max_length < 0 || (uint64_t)x->how->max_length < added)
		return err_set(TT_INVALID,
			       "max_length %lld leaves no room for the %zu special tokens",
			       (long long)x->how->max_length, added);
	max = (size_t)x->how->max_length - added;
	if (pair)
		cut_longest_first(max, &x->side[0].n, &x->side[1].n);
	else if (x->side[0].n > max)
		x->side[0].n = max;
	return TT_OK;
}

static int encoding_room(struct encoding *e, size_t n)
{
	size_t *room = e->scratch->room;
	int r = array_grow(&e->id, &room[0], n, sizeof(*e->id));

	if (r == TT_OK)
		r = array_grow(&e->word, &room[1], n, sizeof(*e->word));
	if (r == TT_OK)
		r = array_grow(&e->type, &room[2], n, sizeof(*e->type));
	if (r == TT_OK)
		r = array_grow(&e->text, &room[3], n, sizeof(*e->text));
	return r;
}

static int assemble(const struct template *around, struct encode_scratch *x, struct encoding *e)
{
	const int r = encoding_room(e, x->side[0].n + x->side[1].n + around->added);

	if (r < 0)
		return r;
	e->n = 0;
	for (size_t i = 0; i < around->n; i++) {
		const struct template_part p = around->part[i];
		const struct tokens *t;

		if (p.id >= 0) {
			if (!x->how->special_tokens)
				continue;
			e->id[e->n] = p.id;
			e->word[e->n] = -1;
			e->text[e->n] = -1;
			e->type[e->n++] = p.type;
			continue;
		}
		t = &x->side[-1 - p.id];
		x->start[-1 - p.id] = e->n;
		if (!t->n)
			continue;
		memcpy(e->id + e->n, t->id, t->n * sizeof(*t->id));
		memcpy(e->word + e->n, t->word, t->n * sizeof(*t->word));
		memcpy(e->text + e->n, t->text, t->n * sizeof(*t->text));
		memset(e->type + e->n, p.type, t->n);
		e->n += t->n;
	}
	return TT_OK;
}

int tokenizer_encode(const struct tokenizer *t, const char *a, size_t na, const char *b, size_t nb,
		     const struct encode_options *how, struct encoding *ret)
{
	const struct template *around = b ? &t->templates.pair : &t->templates.single;
	struct encode_scratch *x;
	int r = scratch_prepare(t, ret);

	if (r < 0)
		return r;
	x = ret->scratch;
	x->how = how;
	x->own.n = 0;
	x->side[1].n = 0;
	r = encode_text(t, a, na, x, &x->side[0]);
	if (r == TT_OK && b)
		r = encode_text(t, b, nb, x, &x->side[1]);
	if (r == TT_OK)
		r = cut(around, b != NULL, x);
	if (r == TT_OK)
		r = assemble(around, x, ret);
	x->how = NULL;
	return r;
}

static int take_ids(const int32_t *id, size_t n, struct tokens *to)
{
	int r;

	to->n = 0;
	r = tokens_room(to, n);
	for (size_t i = 0; r == TT_OK && i < n; i++)
		tokens_push(to, id[i], -1);
	return r;
}

int tokenizer_wrap(const struct tokenizer *t, const int32_t *a, size_t na, const int32_t *b,
		   size_t nb, const struct encode_options *how, struct encoding *ret)
{
	const struct template *around = b ? &t->templates.pair : &t->templates.single;
	struct encode_scratch *x;
	int r = scratch_prepare(t, ret);

	if (r < 0)
		return r;
	x = ret->scratch;
	x->how = how;
	x->own.n = 0;
	x->side[1].n = 0;
	r = take_ids(a, na, &x->side[0]);
	if (r == TT_OK && b)
		r = take_ids(b, nb, &x->side[1]);
	if (r == TT_OK)
		r = cut(around, b != NULL, x);
	if (r == TT_OK)
		r = assemble(around, x, ret);
	x->how = NULL;
	return r;
}

size_t tokenizer_added(const struct tokenizer *t, bool pair)
{
	return pair ? t->templates.pair.added : t->templates.single.added;
}

size_t encoding_start(const struct encoding *e, bool b) { return e->scratch->start[b]; }

const char *encoding_token(const struct tokenizer *t, const struct encoding *e, size_t i)
{
	if (e->text[i] >= 0)
		return e->scratch->own.data + e->text[i];
	return tokenizer_token(t, e->id[i]);
}

int32_t tokenizer_size(const struct tokenizer *t) { return t->vocab.size; }

const char *tokenizer_token(const struct tokenizer *t, int32_t id)
{
	return id >= 0 && id < t->vocab.size ? t->vocab.token[id] : NULL;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
	return vocab_find(&t->vocab, token, strlen(token));
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
	return id >= 0 && id < t->vocab.size && t->special[id];
}

const uint8_t *tokenizer_specials(const struct tokenizer *t) { return t->special; }

const struct tokenizer_roles *tokenizer_roles(const struct tokenizer *t) { return &t->roles; }
