/* rm: move runs to the trash, bring the last one back, or delete for good. */
#include "base/err.h"
#include "base/fs.h"
#include "cmd/cmd.h"

static int check_dead(const struct run *r)
{
	if (r->state == RUN_RUNNING || r->state == RUN_PAUSED)
		return err_set(TT_INVALID, "run %s is %s; stop it first: trimtab stop %s", r->id,
			       run_state_name((int)r->state), r->id);
	return TT_OK;
}

static int trash(struct store *st, const struct args *a, const char *what)
{
	struct run r = { 0 };
	int code = run_find(st, what, &r);

	if (!code)
		code = check_dead(&r);
	if (!code)
		code = run_trash(st, r.row);
	if (!code)
		code = cmd_say(a, &r, "done", "in the trash; `trimtab rm --undo` brings it back");
	run_done(&r);
	return code;
}

static int undo(struct store *st, const struct args *a)
{
	struct run r = { 0 };
	int code = run_last_trashed(st, &r);

	if (!code)
		code = run_untrash(st, r.row);
	if (!code)
		code = cmd_say(a, &r, "done", "back from the trash");
	run_done(&r);
	return code;
}

/* Rows first: a folder without a row is rubbish, a row without a folder would be a lie. */
static int purge_one(struct store *st, const struct run *r)
{
	int code = run_purge(st, r->row);

	if (!code && *r->dir)
		code = fs_remove_tree(r->dir);
	return code;
}

static int purge(struct store *st, const struct args *a)
{
	const struct run_filter filter = { .only_trashed = true };
	struct run_list list;
	int code = run_list(st, &filter, &list);

	if (code)
		return code;
	for (size_t i = 0; !code && i < list.n; i++) {
		code = purge_one(st, &list.run[i]);
		if (!code)
			code = cmd_say(a, &list.run[i], "done", "deleted for good");
	}
	run_list_done(&list);
	return code;
}

static int rm(const struct args *a)
{
	struct store *st;
	int code;

	if ((a->npos > 0) + args_has(a, "--undo") + args_has(a, "--empty-trash") != 1)
		return err_set(TT_USAGE, "give runs, or --undo, or --empty-trash");
	code = cmd_open(&st);
	if (code)
		return code;
	if (args_has(a, "--undo"))
		code = undo(st, a);
	else if (args_has(a, "--empty-trash"))
		code = purge(st, a);
	for (int i = 0; !code && i < a->npos; i++)
		code = trash(st, a, a->pos[i]);
	store_close(st);
	return code;
}

static const struct arg options[] = {
	{ "--undo", 0, NULL, "bring back what was removed last" },
	{ "--empty-trash", 0, NULL, "delete everything in the trash for good, folders included" },
	{ "--json", 0, NULL, "one JSON document a run" },
	{ 0 },
};

const struct command command_rm = {
	.name = "rm",
	.usage = "RUN... | --undo | --empty-trash [--json]",
	.summary = "Move runs to the trash; --undo brings the last one back.",
	.options = options,
	.max_args = ARGS_MAX,
	.run = rm,
};
