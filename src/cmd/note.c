/* note: a free text about a run. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/note.h"

static int print(struct store *st, const struct args *a, const struct run *r)
{
	char *text;
	int code = note_get(st, r->row, &text);

	if (code)
		return code;
	if (args_has(a, "--json"))
		code = cmd_say(a, r, "note", text);
	else if (*text)
		puts(text);
	free(text);
	return code;
}

static int note(const struct args *a)
{
	struct run r = { 0 };
	struct store *st;
	int code = cmd_open(&st);

	if (code)
		return code;
	code = cmd_find(st, a->pos[0], &r);
	if (!code && a->npos > 1)
		code = note_set(st, r.row, a->pos[1]);
	if (!code && (a->npos == 1 || args_has(a, "--json")))
		code = print(st, a, &r);
	run_done(&r);
	store_close(st);
	return code;
}

const struct command command_note = {
	.name = "note",
	.usage = "RUN [TEXT] [--json]",
	.summary = "Set a run's note (an empty text takes it away), or print it.",
	.options = cmd_json_option,
	.min_args = 1,
	.max_args = 2,
	.run = note,
};
