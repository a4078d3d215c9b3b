/* ls: the runs, newest first. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/number.h"
#include "base/proc.h"
#include "cmd/cmd.h"
#include "db/metric.h"

enum { LOSS, ON_TERMINAL = 100 };

/* At least two digits. */
static size_t two(int64_t v, char ret[NUMBER_SIZE])
{
	const bool pad = v >= 0 && v < 10;

	ret[0] = '0';
	return pad + number_int(v, ret + pad);
}

static size_t duration(const struct run_line *r, char ret[3 * NUMBER_SIZE])
{
	const int64_t end = r->ended ? r->ended : proc_now_us();
	const int64_t s = (end - r->started) / 1000000;
	size_t n;

	if (!r->started) {
		ret[0] = '-';
		return 1;
	}
	if (s >= 3600) {
		n = number_int(s / 3600, ret);
		ret[n++] = ':';
		n += two(s / 60 % 60, ret + n);
	} else {
		n = number_int(s / 60, ret);
	}
	ret[n++] = ':';
	return n + two(s % 60, ret + n);
}

/* Flush right, and apart from what is in front. */
static void right(struct buf *out, int width, const char *text, size_t n)
{
	buf_spaces(out, (int)n < width ? width - (int)n + 1 : 1);
	buf_add(out, text, n);
}

static void number(struct buf *out, double v, bool have)
{
	char text[NUMBER_FIXED_SIZE] = "-";

	right(out, 9, text, have ? number_fixed(v, text) : 1);
}

struct plain {
	struct buf *out;
	int width; /* of ids */
	size_t lines, most;
};

static void write_heading(const struct plain *p)
{
	buf_printf(p->out, "%-*s  %-24s %-8s %-9s %15s %9s %9s %9s", p->width, "id", "name",
		   "method", "state", "step", "loss", "best", "time");
}

static void write_line(const struct run_line *r, int width, struct buf *out)
{
	char text[3 * NUMBER_SIZE];
	size_t n;

	cmd_left(out, r->id, width);
	buf_text(out, "  ");
	cmd_left(out, r->name, 24);
	buf_char(out, ' ');
	cmd_left(out, r->method, 8);
	buf_char(out, ' ');
	cmd_left(out, run_state_name((int)r->state), 9);
	n = number_int(r->step, text);
	text[n++] = '/';
	n += number_int(r->total_steps, text + n);
	right(out, 15, text, n);
	number(out, r->value[LOSS].value, r->value[LOSS].step >= 0);
	number(out, r->best_value, r->has_best);
	right(out, 9, text, duration(r, text));
	if (r->state == RUN_FAILED && *r->cause) {
		buf_text(out, "  ");
		cmd_text(out, r->cause);
	}
}

static int plain_visit(void *arg, const struct run_line *r)
{
	struct plain *p = arg;

	if (!p->lines)
		write_heading(p);
	if (p->lines++ < p->most) {
		buf_char(p->out, '\n');
		write_line(r, p->width, p->out);
	}
	return TT_OK;
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
		if (!code)
			code = cmd_print_some(out);
	}
	return code;
}

/* where is the caller's to free(). */
static int filter_of(const struct args *a, struct run_filter *ret, struct where **where)
{
	static const char *const keys[] = { "train/loss" };
	const char *state = args_value(a, "--state");
	const char *filter = args_value(a, "--filter");
	enum run_state s;
	long long limit;

	if (filter && where_parse(filter, where))
		return err_set(TT_USAGE, "--filter, %s", err_text());
	if (args_int(a, "--limit", 1, 1000000, 0, &limit))
		return err_set(TT_USAGE, "%s", err_text());
	*ret = (struct run_filter){
		.tag = args_value(a, "--tag"),
		.method = args_value(a, "--method"),
		.where = *where,
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
	struct plain p = { .out = out, .most = cut ? ON_TERMINAL : SIZE_MAX };
	struct run_filter some = *f;
	int code;

	if (cut)
		some.limit = ON_TERMINAL + 1;
	code = run_walk(st, &some, &p.width, plain_visit, &p);
	if (code)
		return code;
	if (!p.lines)
		write_heading(&p);
	if (p.lines > p.most)
		buf_text(out, "\n... and older ones; --limit N lists N, and a pipe gets all");
	return cmd_print(out);
}

/* A key that nobody has is no error: the run that has it may be to come. */
static void say_hint(struct store *st, const struct where *where)
{
	char hint[200];

	if (where && !where_hint(st, where, hint, sizeof(hint)) && hint[0])
		fprintf(stderr, "trimtab ls: %s\n", hint);
}

static int list(const struct args *a, struct run_filter *filter)
{
	struct store *st;
	struct buf out;
	int code = cmd_open_read(&st);
	if (code == TT_NOTFOUND && args_has(a, "--json"))
		return TT_OK; /* no run log: no lines */
	if (code)
		return code;
	say_hint(st, filter->where);
	buf_init(&out, (size_t)1 << 30);
	code = args_has(a, "--json") ? list_json(st, filter, &out) : list_plain(st, filter, &out);
	store_close(st);
	buf_done(&out);
	return code;
}

static int ls(const struct args *a)
{
	struct run_filter filter;
	struct where *where = NULL;
	int code = filter_of(a, &filter, &where);

	if (!code)
		code = list(a, &filter);
	free(where);
	return code;
}

static const struct arg options[] = {
	{ "--state", 0, "STATE", "queued, running, paused, finished, stopped, failed or lost" },
	{ "--tag", 0, "TAG", "with this tag" },
	{ "--method", 0, "METHOD", "trained by this method" },
	{ "--filter", 0, "FILTER",
	  "words of a name, and tests such as 'peft.r=8 eval/accuracy>0.85 not state:failed'" },
	{ "--sort", 0, "KEY",
	  "created, name, state, method, best, ..., a metric such as eval/accuracy, or a setting "
	  "such as peft.r; -KEY turns it round" },
	{ "--limit", 0, "N", "at most N" },
	{ "--trash", 0, NULL, "the runs in the trash" },
	{ "--json", 0, NULL, "JSON lines, each as `show` prints it, without the recipe" },
	{ 0 },
};

const struct command command_ls = {
	.name = "ls",
	.usage =
		"[--filter F] [--state S] [--tag T] [--method M] [--sort KEY] [--limit N] [--json]",
	.summary = "List the runs, newest first.",
	.options = options,
	.max_args = 0,
	.run = ls,
};
