/* ls: the runs, newest first. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/proc.h"
#include "cmd/cmd.h"
#include "db/metric.h"

enum { LOSS, ON_TERMINAL = 100 };

static void duration(const struct run *r, char *ret, size_t size)
{
	const int64_t end = r->ended ? r->ended : proc_now_us();
	const long long s = r->started ? (long long)((end - r->started) / 1000000) : 0;

	if (!r->started)
		snprintf(ret, size, "-");
	else if (s >= 3600)
		snprintf(ret, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(ret, size, "%lld:%02lld", s / 60, s % 60);
}

static void number(struct buf *out, int width, double v, bool have)
{
	if (have)
		buf_printf(out, " %*.4f", width, v);
	else
		buf_printf(out, " %*s", width, "-");
}

static void write_plain(const struct run_list *l, int width, struct buf *out)
{
	buf_printf(out, "%-*s  %-24s %-8s %-9s %15s %9s %9s %9s", width, "id", "name", "method",
		   "state", "step", "loss", "best", "time");
	for (size_t i = 0; i < l->n; i++) {
		const struct run *r = &l->run[i];
		const struct run_value *v = &l->value[i * l->keys_n];
		char time[32], step[48];

		duration(r, time, sizeof(time));
		snprintf(step, sizeof(step), "%lld/%lld", (long long)r->step,
			 (long long)r->total_steps);
		buf_printf(out, "\n%-*.*s  ", width, width, r->id);
		cmd_left(out, r->name, 24);
		buf_printf(out, " %-8.8s %-9s %15s", r->method, run_state_name((int)r->state),
			   step);
		number(out, 9, v[LOSS].value, v[LOSS].step >= 0);
		number(out, 9, r->best_value, r->has_best);
		buf_printf(out, " %9s", time);
		if (r->state == RUN_FAILED && *r->cause) {
			buf_text(out, "  ");
			cmd_text(out, r->cause);
		}
	}
}

static int write_json(struct store *st, const struct run_filter *f, const struct run_list *l,
		      struct buf *out)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < l->n; i++) {
		const struct cmd_values last = { f->keys, &l->value[i * l->keys_n], l->keys_n };
		struct jsonw w;

		if (i)
			buf_char(out, '\n');
		jsonw_init(&w, out, 0);
		code = cmd_write_run(st, &l->run[i], NULL, &last, &w);
	}
	return code;
}

static int filter_of(const struct args *a, struct run_filter *ret)
{
	static const char *const keys[] = { "train/loss" };
	const char *state = args_value(a, "--state");
	enum run_state s;
	long long limit;

	if (args_int(a, "--limit", 1, 1000000, 0, &limit))
		return err_set(TT_USAGE, "%s", err_text());
	*ret = (struct run_filter){
		.tag = args_value(a, "--tag"),
		.method = args_value(a, "--method"),
		.sort = args_value(a, "--sort"),
		.limit = (size_t)limit,
		.only_trashed = args_has(a, "--trash"),
		.keys = keys,
		.keys_n = 1,
	};
	if (state && !run_state_parse(state, &s))
		return err_set(TT_USAGE,
			       "--state is '%s'; it takes queued, running, paused, finished, "
			       "stopped, failed or lost",
			       state);
	if (state)
		ret->states = 1u << s;
	return TT_OK;
}

static int list_json(struct store *st, struct run_filter *f, struct buf *out)
{
	struct run_list list;
	char **key;
	int code = metric_keys(st, 0, &key, &f->keys_n);

	if (code)
		return code;
	f->keys = (const char *const *)key;
	code = run_list(st, f, &list);
	if (!code) {
		code = write_json(st, f, &list, out);
		if (!code && list.n)
			code = cmd_print(out);
		run_list_done(&list);
	}
	free(key);
	return code;
}

/* On a terminal the newest fill the eye; a pipe gets them all. */
static int list_plain(struct store *st, const struct run_filter *f, struct buf *out)
{
	const bool cut = !f->limit && isatty(STDOUT_FILENO);
	struct run_filter some = *f;
	struct run_list list;
	bool more;
	int width, code = run_id_width(st, &width);

	if (cut)
		some.limit = ON_TERMINAL + 1;
	if (!code)
		code = run_list(st, &some, &list);
	if (code)
		return code;
	more = cut && list.n > ON_TERMINAL;
	list.n -= more;
	write_plain(&list, width, out);
	list.n += more;
	run_list_done(&list);
	if (more)
		buf_text(out, "\n... and older ones; --limit N lists N, and a pipe gets all");
	return cmd_print(out);
}

static int ls(const struct args *a)
{
	struct run_filter filter;
	struct store *st;
	struct buf out;
	int code = filter_of(a, &filter);

	if (code)
		return code;
	code = cmd_open_read(&st);
	if (code == TT_NOTFOUND && args_has(a, "--json"))
		return TT_OK; /* no run log: no lines */
	if (code)
		return code;
	buf_init(&out, (size_t)1 << 30);
	code = args_has(a, "--json") ? list_json(st, &filter, &out) : list_plain(st, &filter, &out);
	store_close(st);
	buf_done(&out);
	return code;
}

static const struct arg options[] = {
	{ "--state", 0, "STATE", "queued, running, paused, finished, stopped, failed or lost" },
	{ "--tag", 0, "TAG", "with this tag" },
	{ "--method", 0, "METHOD", "trained by this method" },
	{ "--sort", 0, "KEY",
	  "created, name, state, method, best, ..., or a metric such as eval/accuracy; -KEY turns "
	  "it round" },
	{ "--limit", 0, "N", "at most N" },
	{ "--trash", 0, NULL, "the runs in the trash" },
	{ "--json", 0, NULL, "JSON lines, each as `show` prints it, without the recipe" },
	{ 0 },
};

const struct command command_ls = {
	.name = "ls",
	.usage = "[--state S] [--tag T] [--method M] [--sort KEY] [--limit N] [--json]",
	.summary = "List the runs, newest first.",
	.options = options,
	.max_args = 0,
	.run = ls,
};
