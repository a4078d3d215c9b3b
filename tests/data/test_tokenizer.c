/*
 * The tokenizers against recorded answers of Hugging Face tokenizers: every
 * line of inputs.txt and pairs.txt of the folders in tests/fixtures/tokenizers,
 * or of the folders named on the command line.
 */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "data/tokenizer.h"

static const char *const folders[] = {
	"bert-uncased",
	"bert-cased",
	"bert-cased-strips-accents-no-cjk",
	"bert-lower-keeps-accents",
	"words-added",
	"pipeline-split",
	"pipeline-replace",
};

static const struct encode_options whole = { .special_tokens = true };

static bool same_ids(const struct json *list, const struct encoding *e)
{
	size_t i = 0;
	int64_t id;

	for (const struct json *j = json_first(list); j; j = json_next(j), i++)
		if (i >= e->n || !json_int(j, &id) || id != e->id[i])
			return false;
	return i == e->n;
}

static bool same_types(const struct json *list, const struct encoding *e)
{
	size_t i = 0;
	int64_t type;

	for (const struct json *j = json_first(list); j; j = json_next(j), i++)
		if (i >= e->n || !json_int(j, &type) || type != e->type[i])
			return false;
	return i == e->n;
}

static bool same_tokens(const struct json *list, const struct tokenizer *t,
			const struct encoding *e)
{
	size_t i = 0;

	for (const struct json *j = json_first(list); j; j = json_next(j), i++)
		if (i >= e->n || strcmp(json_text(j), encoding_token(t, e, i)) != 0)
			return false;
	return i == e->n;
}

/* One line of text against one line of answers. */
static bool line_agrees(const struct tokenizer *t, const char *line, size_t n, bool pairs,
			const struct json *want, struct encoding *e)
{
	const char *tab = pairs ? memchr(line, '\t', n) : NULL;
	const size_t na = tab ? (size_t)(tab - line) : n;
	const char *b = tab ? tab + 1 : NULL;

	if (tokenizer_encode(t, line, na, b, b ? n - na - 1 : 0, &whole, e) < 0)
		return false;
	return same_ids(json_get(want, "ids"), e) && same_types(json_get(want, "type_ids"), e) &&
	       same_tokens(json_get(want, "tokens"), t, e);
}

static char *next_line(char **at, const char *end, size_t *ret_n)
{
	char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));

	if (line >= end || !stop)
		return NULL;
	*ret_n = (size_t)(stop - line);
	*at = stop + 1;
	return line;
}

static void check_lines(const char *folder, const struct tokenizer *t, const char *in,
			const char *out, bool pairs)
{
	char path[PATH_MAX], what[200];
	struct buf texts, answers;
	struct encoding e;
	char *text, *answer;
	size_t n, m, lines = 0, bad = 0;

	fs_join(path, sizeof(path), folder, in);
	if (!fs_exists(path))
		return;
	if (!CHECK(fs_read(path, 1 << 24, &texts) == TT_OK))
		return;
	fs_join(path, sizeof(path), folder, out);
	if (!CHECK(fs_read(path, 1 << 24, &answers) == TT_OK)) {
		buf_done(&texts);
		return;
	}
	encoding_init(&e);
	text = texts.data;
	answer = answers.data;
	for (;;) {
		const char *line = next_line(&text, texts.data + texts.size, &n);
		const char *want = next_line(&answer, answers.data + answers.size, &m);
		struct json *j = NULL;

		if (!line || !want)
			break;
		lines++;
		if (json_parse(want, m, &j) < 0 || !line_agrees(t, line, n, pairs, j, &e)) {
			printf("# %s line %zu differs: %.*s\n", in, lines, (int)n, line);
			bad++;
		}
		json_free(j);
	}
	snprintf(what, sizeof(what), "%s: %zu lines of %s agree", fs_basename(folder), lines, in);
	check_line(!bad && lines > 5 && text == texts.data + texts.size &&
			   answer == answers.data + answers.size,
		   __FILE__, __LINE__, what);
	encoding_done(&e);
	buf_done(&texts);
	buf_done(&answers);
}

static void check_folder(const char *folder)
{
	struct tokenizer *t = NULL;

	if (!check_line(tokenizer_open(folder, &t) == TT_OK, __FILE__, __LINE__,
			fs_basename(folder))) {
		printf("# %s\n", err_text());
		return;
	}
	check_lines(folder, t, "inputs.txt", "expected.jsonl", false);
	check_lines(folder, t, "pairs.txt", "expected_pairs.jsonl", true);
	tokenizer_close(t);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir") ? getenv("top_srcdir") : ".";
	char path[PATH_MAX];

	for (int i = 1; i < argc; i++)
		check_folder(argv[i]);
	for (size_t i = 0; argc < 2 && i < COUNT(folders); i++) {
		snprintf(path, sizeof(path), "%s/tests/fixtures/tokenizers/%s", top, folders[i]);
		check_folder(path);
	}
	return check_done();
}
