/* tokenize: lines of text on stdin to token ids, as the model will see them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/place.h"
#include "data/tokenizer.h"
#include "engine/engine.h"

static void write_json(const struct tokenizer *t, const struct encoding *e, struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "ids");
	jsonw_array(&w);
	for (size_t i = 0; i < e->n; i++)
		jsonw_int(&w, e->id[i]);
	jsonw_end(&w, ']');
	jsonw_key(&w, "tokens");
	jsonw_array(&w);
	for (size_t i = 0; i < e->n; i++)
		jsonw_text(&w, encoding_token(t, e, i));
	jsonw_end(&w, ']');
	jsonw_key(&w, "type_ids");
	jsonw_array(&w);
	for (size_t i = 0; i < e->n; i++)
		jsonw_int(&w, e->type[i]);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
}

static void write_plain(const struct tokenizer *t, const struct encoding *e, struct buf *out)
{
	for (size_t i = 0; i < e->n; i++)
		buf_printf(out, "%s%s", i ? " " : "", encoding_token(t, e, i));
}

static int encode_line(const struct tokenizer *t, const char *line, size_t n, bool pairs,
		       struct encoding *e)
{
	const struct encode_options how = { .special_tokens = true };
	const char *tab = pairs ? memchr(line, '\t', n) : NULL;

	if (memchr(line, 0, n))
		return err_set(TT_INVALID, "the text holds a NUL byte");
	if (pairs && !tab)
		return err_set(TT_INVALID, "there is no tab between the two texts");
	if (!tab)
		return tokenizer_encode(t, line, n, NULL, 0, &how, e);
	return tokenizer_encode(t, line, (size_t)(tab - line), tab + 1,
				n - (size_t)(tab + 1 - line), &how, e);
}

/* All of stdin, line by line; only U+000A ends a line. */
static int encode_all(const struct tokenizer *t, bool pairs, bool json)
{
	struct encoding e;
	struct buf out;
	char *line = NULL;
	size_t room = 0;
	long long number = 0;
	ssize_t n;
	int code = TT_OK;

	encoding_init(&e);
	buf_init(&out, (size_t)1 << 30);
	while (!code && (n = getline(&line, &room, stdin)) >= 0) {
		number++;
		if (n && line[n - 1] == '\n')
			n--;
		code = encode_line(t, line, (size_t)n, pairs, &e);
		if (code) {
			err_in("line %lld", number);
			break;
		}
		buf_clear(&out);
		(json ? write_json : write_plain)(t, &e, &out);
		buf_char(&out, '\n');
		code = buf_check(&out, "the output of one line");
		if (!code && fwrite(out.data, 1, out.size, stdout) != out.size)
			code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	}
	if (!code && ferror(stdin))
		code = err_set(TT_IO, "cannot read standard input: %s", strerror(errno));
	if (fflush(stdout) && !code)
		code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	free(line);
	buf_done(&out);
	encoding_done(&e);
	return code;
}

static int tokenize(const struct args *a)
{
	char dir[PATH_MAX];
	struct tokenizer *t;
	int code = place_model(a->pos[0], dir, sizeof(dir));

	if (!code)
		code = tokenizer_open(dir, &t);
	if (code)
		return code;
	code = encode_all(t, args_has(a, "--pairs"), args_has(a, "--json"));
	tokenizer_close(t);
	return code;
}

static const struct arg options[] = {
	{ "--pairs", 0, NULL, "every line is two texts with a tab between" },
	{ "--json", 0, NULL, "JSON lines: {\"ids\",\"tokens\",\"type_ids\"}" },
	{ 0 }
};

const struct command verb_tokenize = {
	.name = "tokenize",
	.usage = "MODEL [--pairs] [--json] < TEXT",
	.summary = "Show the tokens of each line of text, special tokens included, never cut or "
		   "padded.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = tokenize,
};
