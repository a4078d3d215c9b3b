/* Texts to tokens, the way each task wants them. */
#include "data/input.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/text.h"

void input_init(struct input *in)
{
	memset(in, 0, sizeof(*in));
	encoding_init(&in->encoding);
}

void input_done(struct input *in)
{
	encoding_done(&in->encoding);
	free(in->place);
	free(in->tag);
	free(in->id);
}

static int add_place(struct input *in, size_t at, int32_t tag)
{
	int r = array_grow(&in->place, &in->place_room, in->places + 1, sizeof(*in->place));

	if (r == TT_OK)
		r = array_grow(&in->tag, &in->tag_room, in->places + 1, sizeof(*in->tag));
	if (r < 0)
		return r;
	in->place[in->places] = (int32_t)at;
	in->tag[in->places++] = tag;
	return TT_OK;
}

/* ---- words with tags ---- */

static size_t count_words(const char *s, size_t n)
{
	size_t words = 1;

	for (size_t i = 0; i < n; i++)
		words += s[i] == ' ';
	return words;
}

/* The next stretch up to a space; moves *at behind it. */
static size_t next_word(const char *s, size_t n, size_t *at)
{
	const char *space = memchr(s + *at, ' ', n - *at);
	const size_t size = space ? (size_t)(space - (s + *at)) : n - *at;

	*at += size + (space != NULL);
	return size;
}

static int check_tags(const struct input_text *text)
{
	const size_t words = count_words(text->a, text->na);
	const size_t tags = text->label ? count_words(text->label, strlen(text->label)) : words;

	if (tags != words)
		return err_set(TT_INVALID,
			       "the text has %zu words and the label %zu tags; both are split at "
			       "single spaces",
			       words, tags);
	return TT_OK;
}

static int add_word(const struct dataset_options *how, const char *word, size_t n, int32_t tag,
		    struct input *in, size_t *used)
{
	static const struct encode_options plain = { .plain = true };
	int r = tokenizer_encode(how->tokenizer, word, n, NULL, 0, &plain, &in->encoding);

	if (r < 0 || !in->encoding.n)
		return r;
	r = array_grow(&in->id, &in->id_room, *used + in->encoding.n, sizeof(*in->id));
	if (r == TT_OK)
		r = add_place(in, *used, tag);
	if (r < 0)
		return r;
	memcpy(in->id + *used, in->encoding.id, in->encoding.n * sizeof(*in->id));
	*used += in->encoding.n;
	return TT_OK;
}

/* Special tokens around it all; places move behind them, and those that were cut off go. */
static int wrap_words(const struct dataset_options *how, struct input *in, size_t used)
{
	const struct encode_options options = { .max_length = how->max_length,
						.special_tokens = true };
	const int r = tokenizer_wrap(how->tokenizer, in->id, used, NULL, 0, &options,
				     &in->encoding);
	size_t start, kept;

	if (r < 0)
		return r;
	start = encoding_start(&in->encoding, false);
	kept = in->encoding.n - tokenizer_added(how->tokenizer, false);
	while (in->places && (size_t)in->place[in->places - 1] >= kept)
		in->places--;
	for (size_t i = 0; i < in->places; i++)
		in->place[i] += (int32_t)start;
	return in->places ? TT_OK : err_set(TT_INVALID, "no word of the text has a token");
}

static int make_words(const struct dataset_options *how, const struct input_text *text,
		      struct input *in)
{
	const size_t nt = text->label ? strlen(text->label) : 0;
	size_t at = 0, tag_at = 0, used = 0, words = count_words(text->a, text->na);
	int r = check_tags(text);

	if (r == TT_OK && !text->label && !how->label_optional)
		return err_set(TT_INVALID, "the row has no tags in its label");
	while (words-- && r == TT_OK) {
		const char *word = text->a + at, *tag = text->label ? text->label + tag_at : NULL;
		const size_t n = next_word(text->a, text->na, &at);
		int32_t class = -1;

		if (tag)
			r = labels_tag(how->labels, tag, next_word(text->label, nt, &tag_at),
				       &class);
		if (r == TT_OK)
			r = add_word(how, word, n, class, in, &used);
	}
	return r == TT_OK ? wrap_words(how, in, used) : r;
}

/* ---- a pattern ---- */

static int make_cloze(const struct dataset_options *how, const struct input_text *text,
		      int32_t label, struct input *in)
{
	int32_t mask;
	const int r = pattern_encode(how->pattern, text->a, text->na, text->b, text->nb,
				     how->max_length, &in->encoding, &mask);

	return r == TT_OK ? add_place(in, (size_t)mask, label) : r;
}

int input_make(const struct dataset_options *how, const struct input_text *text, int32_t label,
	       struct input *ret)
{
	const struct encode_options options = { .max_length = how->max_length,
						.special_tokens = true };

	ret->places = 0;
	if (how->task == TASK_TOKEN_CLS)
		return make_words(how, text, ret);
	if (how->task == TASK_CLOZE)
		return make_cloze(how, text, label, ret);
	return tokenizer_encode(how->tokenizer, text->a, text->na, text->b, text->nb, &options,
				&ret->encoding);
}
