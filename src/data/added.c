/*
 * Added tokens. Matching is leftmost-longest and does not overlap; the search
 * goes on behind a match even when the match is then thrown away, because it
 * stands inside a word, and never falls back to a shorter token there.
 */
#include "data/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static bool flag(const struct json *j, const char *key, bool def)
{
	const struct json *v = json_get(j, key);

	return v && json_type(v) == JSON_BOOL ? json_bool(v) : def;
}

static int added_grow(struct added *t, struct arena *a)
{
	const size_t room = t->room ? t->room * 2 : 16;
	struct added_token *all;

	if (t->n < t->room)
		return TT_OK;
	if (t->n >= ADDED_MAX)
		return err_set(TT_INVALID, "there are more than %d added tokens", ADDED_MAX);
	all = arena_alloc(a, room * sizeof(*all));
	if (!all)
		return TT_NOMEM;
	if (t->n)
		memcpy(all, t->all, t->n * sizeof(*all));
	t->all = all;
	t->room = room;
	return TT_OK;
}

/* The library gives a new token the next free id, whatever the file says. */
int added_add(struct added *t, const struct added_token *token, struct arena *a, struct vocab *v)
{
	const int32_t known = vocab_find(v, token->text, token->size);
	struct added_token copy = *token;
	int r = added_grow(t, a);

	if (r < 0)
		return r;
	if (known < 0 && token->id < v->size)
		return err_set(TT_INVALID,
			       "the added token '%.80s' has the id %d, but is not in the "
			       "vocabulary, which ends at %d",
			       token->text, (int)token->id, (int)v->size - 1);
	if (known >= 0 && known != token->id)
		return err_set(TT_INVALID,
			       "the added token '%.80s' has the id %d, but the vocabulary "
			       "says %d",
			       token->text, (int)token->id, (int)known);
	if (known < 0 && token->id != v->size)
		return err_set(TT_INVALID,
			       "the added token '%.80s' has the id %d; the next free one "
			       "is %d",
			       token->text, (int)token->id, (int)v->size);
	if (known < 0)
		r = vocab_add(v, token->text, token->size, token->id);
	if (r < 0)
		return r;
	copy.text = v->token[token->id];
	t->all[t->n++] = copy;
	return TT_OK;
}

int added_load(const struct json *list, struct arena *a, struct vocab *v, struct added *ret)
{
	int r = TT_OK;

	if (!list || json_type(list) == JSON_NULL)
		return TT_OK;
	if (json_type(list) != JSON_ARRAY)
		return err_set(TT_INVALID, "added_tokens must be a list");
	for (const struct json *i = json_first(list); i && r == TT_OK; i = json_next(i)) {
		const char *text = json_text(json_get(i, "content"));
		const bool special = flag(i, "special", false);
		int64_t id;
		struct added_token token = {
			.text = text,
			.single_word = flag(i, "single_word", false),
			.lstrip = flag(i, "lstrip", false),
			.rstrip = flag(i, "rstrip", false),
			.normalized = flag(i, "normalized", !special),
			.special = special,
		};

		if (!text || !json_int(json_get(i, "id"), &id) || id < 0 || id >= VOCAB_MAX)
			return err_set(TT_INVALID,
				       "an entry of added_tokens needs \"content\" and \"id\"");
		if (!*text)
			continue;
		token.size = strlen(text);
		token.id = (int32_t)id;
		r = added_add(ret, &token, a, v);
	}
	return r;
}

static int by_first_and_length(const void *x, const void *y)
{
	const struct added_token *a = x, *b = y;
	const unsigned char ca = (unsigned char)a->text[0], cb = (unsigned char)b->text[0];

	if (ca != cb)
		return ca < cb ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static void set_index(struct added_set *s)
{
	size_t i = 0;

	if (s->n)
		qsort(s->token, s->n, sizeof(*s->token), by_first_and_length);
	for (unsigned c = 0; c < 256; c++) {
		s->first[c] = (uint32_t)i;
		while (i < s->n && (unsigned char)s->token[i].text[0] == c)
			i++;
		s->can_start[c] = i > s->first[c];
	}
	s->first[256] = (uint32_t)i;
}

int added_finish(struct added *t, const struct normalizer *n, struct arena *a)
{
	struct normal_scratch scratch = { 0 };
	int r = TT_OK;

	t->raw.token = arena_alloc(a, t->n * sizeof(*t->all));
	t->normal.token = arena_alloc(a, t->n * sizeof(*t->all));
	if (!t->raw.token || !t->normal.token)
		return TT_NOMEM;
	for (size_t i = 0; i < t->n && r == TT_OK; i++) {
		struct added_token token = t->all[i];
		char *text;

		if (!token.normalized) {
			t->raw.token[t->raw.n++] = token;
			continue;
		}
		r = normalizer_run(n, token.text, token.size, &scratch);
		if (r < 0 || !scratch.text.n)
			continue;
		text = arena_alloc(a, scratch.text.n);
		if (!text) {
			r = TT_NOMEM;
			break;
		}
		memcpy(text, scratch.text.data, scratch.text.n);
		token.text = text;
		token.size = scratch.text.n;
		t->normal.token[t->normal.n++] = token;
	}
	normal_scratch_done(&scratch);
	set_index(&t->raw);
	set_index(&t->normal);
	return r;
}

static const struct added_token *longest_at(const struct added_set *set, const char *s, size_t left)
{
	const unsigned char c = (unsigned char)s[0];

	for (uint32_t i = set->first[c]; i < set->first[c + 1]; i++) {
		const struct added_token *t = &set->token[i];
		if (t->size <= left && !memcmp(s, t->text, t->size))
			return t;
	}
	return NULL;
}

static bool inside_word(const char *s, size_t n, size_t start, size_t end)
{
	size_t at = start ? utf8_back(s, start) : 0;

	if (start && unicode_is_word(utf8_get(s, &at)))
		return true;
	at = end;
	return end < n && unicode_is_word(utf8_get(s, &at));
}

static void take_white(const char *s, size_t n, size_t floor, struct added_hit *h)
{
	while (h->token->lstrip && h->start > floor) {
		const size_t back = utf8_back(s, h->start);
		size_t at = back;
		if (!unicode_is_white(utf8_get(s, &at)))
			break;
		h->start = back;
	}
	while (h->token->rstrip && h->end < n) {
		size_t at = h->end;
		if (!unicode_is_white(utf8_get(s, &at)))
			break;
		h->end = at;
	}
}

/*
 * *from is both where the search begins and where the last token ended with
 * its white space; on return it is behind the match.
 */
bool added_find(const struct added_set *set, const char *s, size_t n, size_t *from, bool plain,
		struct added_hit *ret)
{
	const size_t floor = *from;
	size_t i = floor;

	if (!set->n)
		return false;
	while (i < n) {
		const struct added_token *t = NULL;

		if (set->can_start[(unsigned char)s[i]])
			t = longest_at(set, s + i, n - i);
		if (!t) {
			i++;
			continue;
		}
		ret->start = i;
		ret->end = i + t->size;
		ret->token = t;
		i = ret->end;
		if ((plain && t->special) ||
		    (t->single_word && inside_word(s, n, ret->start, ret->end)))
			continue;
		take_white(s, n, floor, ret);
		*from = ret->end;
		return true;
	}
	return false;
}
