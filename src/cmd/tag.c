/* tag: words by which runs are found again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/note.h"

static int apply(struct store *st, const struct run *r, const struct args *a)
{
	const char *gone[ARGS_MAX];
	const size_t n = args_values(a, "--remove", gone, ARGS_MAX);
	int code = store_begin(st);

	for (int i = 1; !code && i < a->npos; i++)
		code = tag_add(st, r->row, a->pos[i]);
	for (size_t i = 0; !code && i < n; i++)
		code = tag_remove(st, r->row, gone[i]);
	if (!code)
		code = store_commit(st);
	if (code)
		store_rollback(st);
	return code;
}

static int print_json(struct store *st, const struct run *r)
{
	struct jsonw w;
	struct buf out;
	char **word;
	size_t n;
	int code = tag_list(st, r->row, &word, &n);

	if (code)
		return code;
	buf_init(&out, 1 << 20);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "id");
	jsonw_text(&w, r->id);
	jsonw_key(&w, "tags");
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++)
		jsonw_text(&w, word[i]);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	code = cmd_print(&out);
	buf_done(&out);
	free(word);
	return code;
}

static int print(struct store *st, const struct run *r, const struct args *a)
{
	if (args_has(a, "--json"))
		return print_json(st, r);
	puts(r->tags);
	return TT_OK;
}

static int change(struct store *st, const struct run *r, const struct args *a)
{
	int code = apply(st, r, a);

	return !code && args_has(a, "--json") ? print_json(st, r) : code;
}

static int tag(const struct args *a)
{
	if (a->npos > 1 || args_has(a, "--remove"))
		return cmd_with_run(a, true, change);
	return cmd_with_run(a, false, print);
}

static const struct arg options[] = {
	{ "--remove", 0, "TAG", "take a tag away; may be repeated" },
	{ "--json", 0, NULL, "{\"id\",\"tags\"}" },
	{ 0 },
};

const struct command command_tag = {
	.name = "tag",
	.usage = "RUN [TAG...] [--remove TAG]... [--json]",
	.summary = "Add tags to a run, take them away, or print them.",
	.options = options,
	.min_args = 1,
	.max_args = ARGS_MAX,
	.run = tag,
};
