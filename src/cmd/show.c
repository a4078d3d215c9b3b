/* show: one run, whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/event.h"
#include "db/metric.h"
#include "db/note.h"

static void moment(struct buf *out, const char *what, int64_t us)
{
	const time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	char text[64];

	if (!us || !localtime_r(&seconds, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	buf_printf(out, "%-10s %s\n", what, text);
}

static void line(struct buf *out, const char *what, const char *text)
{
	if (!text || !*text)
		return;
	buf_printf(out, "%-10s ", what);
	cmd_text(out, text);
	buf_char(out, '\n');
}

static void write_metrics(struct store *st, const struct run *r, struct buf *out)
{
	struct metric_last *last;
	size_t n;

	if (metric_last(st, r->row, &last, &n))
		return;
	if (n)
		buf_printf(out, "\n%-36s %12s %8s %12s %12s\n", "metric", "last", "step", "min",
			   "max");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%-36s %12.6g %8lld %12.6g %12.6g\n", last[i].key, last[i].value,
			   (long long)last[i].step, last[i].min, last[i].max);
	free(last);
}

static void write_events(struct store *st, const struct run *r, struct buf *out)
{
	struct event *event;
	size_t n;

	if (event_list(st, r->row, 0, &event, &n))
		return;
	if (n)
		buf_text(out, "\nevents\n");
	for (size_t i = n > 20 ? n - 20 : 0; i < n; i++)
		buf_printf(out, "  step %-8lld %-14s %s\n", (long long)event[i].step, event[i].kind,
			   event[i].text);
	free(event);
}

static void write_plain(struct store *st, const struct run *r, struct buf *out)
{
	char *note;

	line(out, "id", r->id);
	line(out, "name", r->name);
	line(out, "state", run_state_name((int)r->state));
	line(out, "cause", r->cause);
	line(out, "method", r->method);
	line(out, "model", r->model);
	line(out, "task", r->task);
	line(out, "tags", r->tags);
	line(out, "parent", r->parent);
	moment(out, "created", r->created);
	moment(out, "started", r->started);
	moment(out, "ended", r->ended);
	buf_printf(out, "%-10s %lld of %lld, epoch %.2f, attempt %d\n", "step", (long long)r->step,
		   (long long)r->total_steps, r->epoch, r->attempt);
	buf_printf(out, "%-10s %lld of %lld (%.3f %%)\n", "trains", (long long)r->trainable_params,
		   (long long)r->total_params,
		   r->total_params ? 100.0 * (double)r->trainable_params / (double)r->total_params
				   : 0.0);
	if (r->has_best)
		buf_printf(out, "%-10s %s %.6g at step %lld\n", "best", r->metric_key,
			   r->best_value, (long long)r->best_step);
	line(out, "dir", r->dir);
	if (!note_get(st, r->row, &note)) {
		line(out, "note", note);
		free(note);
	}
	write_metrics(st, r, out);
	write_events(st, r, out);
	if (out->size && out->data[out->size - 1] == '\n')
		out->data[--out->size] = 0;
}

static int write_json(struct store *st, const struct run *r, struct buf *out)
{
	struct jsonw w;
	char *recipe;
	int code = run_recipe(st, r->id, &recipe);

	if (code)
		return code;
	jsonw_init(&w, out, 0);
	code = cmd_write_run(st, r, recipe, NULL, &w);
	free(recipe);
	return code;
}

static int print(struct store *st, const struct run *r, const struct args *a)
{
	struct buf out;
	int code = TT_OK;

	buf_init(&out, (size_t)64 << 20);
	if (args_has(a, "--json"))
		code = write_json(st, r, &out);
	else
		write_plain(st, r, &out);
	if (!code)
		code = cmd_print(&out);
	buf_done(&out);
	return code;
}

static int show(const struct args *a) { return cmd_with_run(a, false, print); }

static const struct arg options[] = {
	{ "--json", 0, NULL, "one JSON document, recipe included" },
	{ 0 },
};

const struct command command_show = {
	.name = "show",
	.usage = "RUN [--json]",
	.summary = "Show one run: state, settings, latest values, events.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = show,
};
