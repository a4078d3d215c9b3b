/* note: a free text about a run. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/note.h"

static int print(struct store *st, const struct run *r, const struct args *a)
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

static int set(struct store *st, const struct run *r, const struct args *a)
{
	int code = note_set(st, r->row, a->pos[1]);

	return !code && args_has(a, "--json") ? print(st, r, a) : code;
}

static int note(const struct args *a)
{
	return a->npos > 1 ? cmd_with_run(a, true, set) : cmd_with_run(a, false, print);
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
