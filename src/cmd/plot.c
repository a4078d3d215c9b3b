/* plot: curves of some runs as a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "ui/plot_file.h"

enum { RUNS_MAX = 64 };

static bool listed(const char *const *key, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(key[i], word))
			return true;
	return false;
}

/* Without --key: losses, and what the runs are judged by. key[2 + n]; they live as long as the runs. */
static size_t usual_keys(const struct run *const *run, size_t n, const char **key)
{
	size_t used = 0;

	key[used++] = "train/loss";
	key[used++] = "eval/loss";
	for (size_t i = 0; i < n; i++)
		if (run[i]->metric_key[0] && !listed(key, used, run[i]->metric_key))
			key[used++] = run[i]->metric_key;
	return used;
}

static int draw(struct store *st, const struct run *const *run, const struct args *a)
{
	const char *key[ARGS_MAX];
	const size_t n = (size_t)a->npos;
	const size_t given = args_values(a, "--key", key, ARGS_MAX);
	const struct plot_file how = {
		.path = args_value(a, "--out"),
		.key = key,
		.key_n = given ? given : usual_keys(run, n, key),
		.log = args_has(a, "--log"),
	};

	return plot_file_write(st, run, n, &how);
}

static int plot(const struct args *a)
{
	struct run *run = calloc(RUNS_MAX, sizeof(*run));
	const struct run *of[RUNS_MAX];
	struct store *st = NULL;
	int code = run ? TT_OK : err_set(TT_NOMEM, "not enough memory");

	if (!code && !args_value(a, "--out"))
		code = err_set(TT_USAGE, "--out FILE is missing");
	if (!code)
		code = cmd_open_read(&st);
	for (int i = 0; !code && i < a->npos; i++) {
		code = run_find(st, a->pos[i], &run[i]);
		of[i] = &run[i];
	}
	if (!code)
		code = draw(st, of, a);
	for (int i = 0; run && i < RUNS_MAX; i++)
		run_done(&run[i]);
	free(run);
	store_close(st);
	return code;
}

static const struct arg options[] = {
	{ "--out", 'o', "FILE", "the file: .svg, .png, or .csv with every value" },
	{ "--key", 0, "KEY",
	  "a chart of this metric (losses, and what runs are judged by); may be repeated" },
	{ "--log", 0, NULL, "upright axes are logarithms" },
	{ 0 },
};

const struct command command_plot = {
	.name = "plot",
	.usage = "RUN... --out FILE [--key KEY]... [--log]",
	.summary = "Draw curves of runs into a file: SVG, PNG or CSV.",
	.options = options,
	.min_args = 1,
	.max_args = RUNS_MAX,
	.run = plot,
};
