/* run: start a recipe, and follow it unless told not to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/metric.h"
#include "ui/app.h"

static void write_metrics(struct store *st, const struct run *r, struct jsonw *w)
{
	struct metric_last *last;
	size_t n;

	jsonw_key(w, "metrics");
	jsonw_object(w);
	if (!metric_last(st, r->row, &last, &n)) {
		for (size_t i = 0; i < n; i++) {
			jsonw_key(w, last[i].key);
			jsonw_real(w, last[i].value);
		}
		free(last);
	}
	jsonw_end(w, '}');
}

static void write_json(struct store *st, const struct run *r, struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "id");
	jsonw_text(&w, r->id);
	jsonw_key(&w, "name");
	jsonw_text(&w, r->name);
	jsonw_key(&w, "state");
	jsonw_text(&w, run_state_name((int)r->state));
	jsonw_key(&w, "cause");
	jsonw_text(&w, *r->cause ? r->cause : NULL);
	jsonw_key(&w, "dir");
	jsonw_text(&w, r->dir);
	write_metrics(st, r, &w);
	jsonw_end(&w, '}');
}

static void write_plain(struct store *st, const struct run *r, struct buf *out)
{
	struct metric_last *last;
	size_t n;

	buf_printf(out, "%s  ", r->id);
	cmd_text(out, r->name);
	buf_printf(out, "  %s, %lld of %lld steps", run_state_name((int)r->state),
		   (long long)r->step, (long long)r->total_steps);
	if (metric_last(st, r->row, &last, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if (!strncmp(last[i].key, "eval/", 5) || (!strcmp(last[i].key, "train/loss")))
			buf_printf(out, "  %s %.4f", last[i].key, last[i].value);
	free(last);
}

/* What the run came to; a run that failed is our failure too. */
int cmd_say_result(const char *id, bool json)
{
	struct store *st;
	struct run r = { 0 };
	struct buf out;
	int code = cmd_open_read(&st);

	if (code)
		return code;
	buf_init(&out, 1 << 20);
	code = run_get(st, id, &r);
	if (!code) {
		(json ? write_json : write_plain)(st, &r, &out);
		code = cmd_print(&out);
	}
	if (!code && (r.state == RUN_FAILED || r.state == RUN_LOST))
		code = err_set(
			TT_INVALID, "run %s: %s", id,
			r.state == RUN_FAILED
				? r.cause
				: "the trainer vanished; `trimtab logs` shows its last words, "
				  "`trimtab resume` goes on");
	run_done(&r);
	store_close(st);
	buf_done(&out);
	return code;
}

/* Follow unless detached, then say what came of it. */
int cmd_finish(const struct started *s, const struct args *a)
{
	const bool json = args_has(a, "--json");
	int code;

	if (args_has(a, "--detach")) {
		if (json)
			return cmd_say_result(s->id, true);
		puts(s->id);
		return TT_OK;
	}
	if (args_has(a, "--watch") && app_watch(s->id))
		return TT_SAID;
	code = cmd_follow(s, false);
	return code ? code : cmd_say_result(s->id, json);
}

/* The words for one start; seed_set is "train.seed=K" or NULL. */
static int start_one(const struct args *a, const char *seed_set)
{
	const char *set[ARGS_MAX], *words[2 * ARGS_MAX + 8];
	const size_t n_set = args_values(a, "--set", set, ARGS_MAX - 4);
	struct started s;
	size_t n = 0;
	int code;

	words[n++] = "run";
	words[n++] = a->pos[0];
	for (size_t i = 0; i < n_set; i++) {
		words[n++] = "--set";
		words[n++] = set[i];
	}
	if (seed_set) {
		words[n++] = "--set";
		words[n++] = seed_set;
	}
	if (args_value(a, "--name")) {
		words[n++] = "--name";
		words[n++] = args_value(a, "--name");
	}
	words[n] = NULL;
	code = cmd_start(words, &s);
	return code ? code : cmd_finish(&s, a);
}

static int run(const struct args *a)
{
	long long seeds, first;
	char set[64];
	int code = args_int(a, "--seeds", 1, 1000, 1, &seeds);

	if (!code)
		code = args_int(a, "--first-seed", 0, 1000000000, 1, &first);
	if (code)
		return err_set(TT_USAGE, "%s", err_text());
	if (args_has(a, "--detach") && args_has(a, "--watch"))
		return err_set(TT_USAGE, "--detach and --watch exclude each other");
	if (args_has(a, "--detach") && args_has(a, "--wait"))
		return err_set(TT_USAGE, "--detach and --wait exclude each other");
	if (args_has(a, "--detach") && seeds > 1)
		return err_set(
			TT_USAGE,
			"--seeds runs one seed after the other, so it waits; leave --detach out");
	if (seeds == 1 && !args_has(a, "--first-seed"))
		return start_one(a, NULL);
	for (long long i = 0; !code && i < seeds; i++) {
		snprintf(set, sizeof(set), "train.seed=%lld", first + i);
		code = start_one(a, set);
	}
	return code;
}

static const struct arg options[] = {
	{ "--set", 0, "PATH=VALUE", "change a setting of the recipe; may be repeated" },
	{ "--name", 0, "NAME", "the run's name" },
	{ "--detach", 0, NULL, "print the run's id and return at once" },
	{ "--wait", 0, NULL, "follow the run to its end (the default)" },
	{ "--watch", 0, NULL, "open the run's screen, which closes when the run is over" },
	{ "--seeds", 0, "N", "run with N seeds, one after the other" },
	{ "--first-seed", 0, "K", "with --seeds: K, K+1, ... (1)" },
	{ "--json", 0, NULL, "one JSON document a run: id, name, state, dir, last metrics" },
	{ 0 }
};

const struct command command_run = {
	.name = "run",
	.usage = "RECIPE [--set PATH=VALUE]... [--name N] [--detach|--wait|--watch] [--seeds N] "
		 "[--json]",
	.summary = "Train what a recipe says; RECIPE is a file or a name that `trimtab recipes` "
		   "lists.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
