/* From label words to token ids. */
#include "data/verbalizer.h"

#include <string.h>

#include "base/err.h"
#include "base/knob.h"

enum { QUOTED = 80 };

struct words {
	struct verbalizer v;
	int32_t *word;
	int64_t *start;
	const struct tokenizer *tokenizer;
	struct encoding encoding;
};

static int check_token(const struct words *x, const char *label, const char *word)
{
	const struct encoding *e = &x->encoding;
	char quoted[QUOTED], whose[QUOTED];

	knob_quote(word, quoted, sizeof(quoted));
	knob_quote(label, whose, sizeof(whose));
	if (e->n != 1)
		return err_set(TT_INVALID,
			       "prompt.verbalizer: %s of %s becomes %zu tokens; it must be one, so "
			       "choose another word",
			       quoted, whose, e->n);
	if (e->id[0] == tokenizer_roles(x->tokenizer)->unk ||
	    tokenizer_is_special(x->tokenizer, e->id[0]))
		return err_set(TT_INVALID,
			       "prompt.verbalizer: the vocabulary has no word %s, which stands for "
			       "%s; choose another word",
			       quoted, whose);
	for (int64_t i = 0; i < x->v.words; i++)
		if (x->word[i] == e->id[0])
			return err_set(TT_INVALID,
				       "prompt.verbalizer: %s of %s is the same token as another "
				       "word; labels could not be told apart",
				       quoted, whose);
	return TT_OK;
}

static int add_word(struct words *x, const char *label, const char *word)
{
	static const struct encode_options how = { .plain = true };
	int r = tokenizer_encode(x->tokenizer, word, strlen(word), NULL, 0, &how, &x->encoding);

	if (r == TT_OK)
		r = check_token(x, label, word);
	if (r == TT_OK)
		x->word[x->v.words++] = x->encoding.id[0];
	return r;
}

static int add_label(struct words *x, const struct json *from, const char *label)
{
	const struct json *words = json_get(from, label);
	char quoted[QUOTED];
	int r = TT_OK;

	knob_quote(label, quoted, sizeof(quoted));
	if (!words)
		return err_set(TT_INVALID, "prompt.verbalizer has no word for the label %s",
			       quoted);
	if (json_text(words))
		return add_word(x, label, json_text(words));
	for (const struct json *w = json_first(words); w && r == TT_OK; w = json_next(w))
		r = add_word(x, label, json_text(w));
	return r;
}

/* A label of the verbalizer that the task does not have is a typo. */
static int check_labels(const struct json *from, const struct texts *labels)
{
	for (const struct json *m = json_first(from); m; m = json_next(m)) {
		const char *near = knob_nearest(json_key(m), labels->item, labels->n);
		char quoted[QUOTED];
		bool known = false;

		for (size_t i = 0; i < labels->n; i++)
			known = known || !strcmp(labels->item[i], json_key(m));
		if (known || !strcmp(json_key(m), "note"))
			continue;
		knob_quote(json_key(m), quoted, sizeof(quoted));
		return err_set(TT_INVALID, "prompt.verbalizer: %s is no label of the task%s%s%s",
			       quoted, near ? "; did you mean " : "", near ? near : "",
			       near ? "?" : "");
	}
	return TT_OK;
}

static size_t count_words(const struct json *from)
{
	size_t n = 1;

	for (const struct json *m = json_first(from); m; m = json_next(m))
		n += json_text(m) ? 1 : json_count(m);
	return n;
}

int verbalizer_load(const struct json *from, enum aggregate how, const struct texts *labels,
		    const struct tokenizer *t, struct arena *a, struct verbalizer *ret)
{
	struct words x = { .tokenizer = t };
	int r;

	if (!from)
		return err_set(TT_INVALID,
			       "prompt.verbalizer is missing; it says which words stand for the "
			       "labels");
	r = check_labels(from, labels);
	x.word = arena_alloc(a, count_words(from) * sizeof(*x.word));
	x.start = arena_zero(a, labels->n + 1, sizeof(*x.start));
	if (r == TT_OK && (!x.word || !x.start))
		r = TT_NOMEM;
	encoding_init(&x.encoding);
	for (size_t i = 0; i < labels->n && r == TT_OK; i++) {
		r = add_label(&x, from, labels->item[i]);
		x.start[i + 1] = x.v.words;
	}
	encoding_done(&x.encoding);
	*ret = (struct verbalizer){ (int64_t)labels->n, x.v.words, x.word, x.start, how };
	return r;
}
