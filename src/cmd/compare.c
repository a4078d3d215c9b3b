/* compare: what differs in the recipes of some runs, and how their results differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/metric.h"
#include "ui/widget/text.h"

enum { RUNS_MAX = 64, PATHS_MAX = 4096, PATH_TEXT = 256 };

struct compare {
	struct store *store;
	struct run run[RUNS_MAX];
	struct json *recipe[RUNS_MAX];
	size_t n;
	char (*path)[PATH_TEXT]; /* every leaf of any recipe, once */
	size_t n_path;
	struct metric_last *last[RUNS_MAX];
	size_t n_last[RUNS_MAX];
	char **key; /* the metrics to show */
	size_t n_key;
};

/* --- differences ----------------------------------------------------------------------------- */

static void add_path(struct compare *c, const char *path)
{
	for (size_t i = 0; i < c->n_path; i++)
		if (!strcmp(c->path[i], path))
			return;
	if (c->n_path < PATHS_MAX)
		snprintf(c->path[c->n_path++], PATH_TEXT, "%s", path);
}

/* Arrays are leaves: target_modules differs as a whole. Notes and the name are no settings. */
static void collect(struct compare *c, const struct json *object, const char *above)
{
	for (const struct json *m = json_first(object); m; m = json_next(m)) {
		const char *key = json_key(m);
		char path[PATH_TEXT];

		if (!strcmp(key, "note") || (!*above && !strcmp(key, "name")))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", key);
		if (json_type(m) == JSON_OBJECT)
			collect(c, m, path);
		else
			add_path(c, path);
	}
}

static const struct json *at_path(const struct json *doc, const char *path)
{
	char key[PATH_TEXT];

	while (doc && *path) {
		const size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		doc = json_get(doc, key);
		path += n + (path[n] == '.');
	}
	return doc;
}

/* The value as JSON text, or NULL where the recipe has none; malloc'ed. */
static char *value_text(const struct json *doc, const char *path)
{
	const struct json *j = at_path(doc, path);

	return j ? json_print(j, false) : NULL;
}

static bool differs(const struct compare *c, const char *path)
{
	char *first = value_text(c->recipe[0], path);
	bool yes = false;

	for (size_t i = 1; !yes && i < c->n; i++) {
		char *other = value_text(c->recipe[i], path);

		yes = (!first != !other) || (first && strcmp(first, other) != 0);
		free(other);
	}
	free(first);
	return yes;
}

/* --- results --------------------------------------------------------------------------------- */

static bool wanted(const struct args *a, const char *key)
{
	const char *want[ARGS_MAX];
	const size_t n = args_values(a, "--key", want, ARGS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(want[i], key))
			return true;
	return !n && (!strncmp(key, "eval/", 5) || !strcmp(key, "train/loss"));
}

static int add_key(struct compare *c, const char *key)
{
	char **more;

	for (size_t i = 0; i < c->n_key; i++)
		if (!strcmp(c->key[i], key))
			return TT_OK;
	more = realloc(c->key, (c->n_key + 1) * sizeof(*more));
	if (!more)
		return err_set(TT_NOMEM, "not enough memory");
	c->key = more;
	c->key[c->n_key] = strdup(key);
	if (!c->key[c->n_key])
		return err_set(TT_NOMEM, "not enough memory");
	c->n_key++;
	return TT_OK;
}

static double value_of(const struct compare *c, size_t run, const char *key)
{
	for (size_t i = 0; i < c->n_last[run]; i++)
		if (!strcmp(c->last[run][i].key, key))
			return c->last[run][i].value;
	return NAN;
}

/* Mean and sample standard deviation of the runs that have the metric. */
static void spread(const struct compare *c, const char *key, double *ret_mean, double *ret_stdev)
{
	double sum = 0, squares = 0;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		const double v = value_of(c, i, key);

		if (isfinite(v)) {
			sum += v;
			n++;
		}
	}
	*ret_mean = n ? sum / (double)n : NAN;
	for (size_t i = 0; i < c->n; i++) {
		const double v = value_of(c, i, key);

		if (isfinite(v))
			squares += (v - *ret_mean) * (v - *ret_mean);
	}
	*ret_stdev = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

/* --- output ---------------------------------------------------------------------------------- */

static void json_differences(const struct compare *c, struct jsonw *w)
{
	jsonw_key(w, "differences");
	jsonw_array(w);
	for (size_t p = 0; p < c->n_path; p++) {
		if (!differs(c, c->path[p]))
			continue;
		jsonw_object(w);
		jsonw_key(w, "path");
		jsonw_text(w, c->path[p]);
		jsonw_key(w, "values");
		jsonw_array(w);
		for (size_t i = 0; i < c->n; i++) {
			const struct json *j = at_path(c->recipe[i], c->path[p]);

			if (j)
				jsonw_json(w, j);
			else
				jsonw_null(w);
		}
		jsonw_end(w, ']');
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
}

static void json_metrics(const struct compare *c, struct jsonw *w)
{
	jsonw_key(w, "metrics");
	jsonw_array(w);
	for (size_t k = 0; k < c->n_key; k++) {
		double mean, stdev;

		spread(c, c->key[k], &mean, &stdev);
		jsonw_object(w);
		jsonw_key(w, "key");
		jsonw_text(w, c->key[k]);
		jsonw_key(w, "values");
		jsonw_array(w);
		for (size_t i = 0; i < c->n; i++)
			jsonw_real(w, value_of(c, i, c->key[k]));
		jsonw_end(w, ']');
		jsonw_key(w, "mean");
		jsonw_real(w, mean);
		jsonw_key(w, "stdev");
		jsonw_real(w, stdev);
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
}

static int write_json(struct compare *c, struct buf *out)
{
	struct jsonw w;
	int code = TT_OK;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "runs");
	jsonw_array(&w);
	for (size_t i = 0; !code && i < c->n; i++)
		code = cmd_write_run(c->store, &c->run[i], NULL, NULL, &w);
	jsonw_end(&w, ']');
	json_differences(c, &w);
	json_metrics(c, &w);
	jsonw_key(&w, "tests");
	jsonw_array(&w);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	return code;
}

static void cell(struct buf *out, const char *text)
{
	buf_text(out, "  ");
	cmd_right(out, text, 16);
}

/* A name keeps its beginning. */
static void name_cell(struct buf *out, const char *name)
{
	const int width = text_width(name) < 16 ? text_width(name) : 16;

	buf_printf(out, "%*s", 2 + 16 - width, "");
	cmd_left(out, name, width);
}

static void plain_differences(const struct compare *c, struct buf *out)
{
	for (size_t p = 0; p < c->n_path; p++) {
		if (!differs(c, c->path[p]))
			continue;
		buf_char(out, '\n');
		cmd_left(out, c->path[p], 36);
		for (size_t i = 0; i < c->n; i++) {
			char *text = value_text(c->recipe[i], c->path[p]);

			cell(out, text ? text : "-");
			free(text);
		}
	}
}

static void write_plain(const struct compare *c, struct buf *out)
{
	buf_printf(out, "%-36s", "");
	for (size_t i = 0; i < c->n; i++)
		name_cell(out, c->run[i].name);
	buf_printf(out, "\n%-36s", "id");
	for (size_t i = 0; i < c->n; i++)
		cell(out, c->run[i].id);
	buf_printf(out, "\n%-36s", "method");
	for (size_t i = 0; i < c->n; i++)
		cell(out, c->run[i].method);
	buf_printf(out, "\n%-36s", "trainable parameters");
	for (size_t i = 0; i < c->n; i++)
		buf_printf(out, "  %16lld", (long long)c->run[i].trainable_params);
	for (size_t k = 0; k < c->n_key; k++) {
		buf_printf(out, "\n%-36s", c->key[k]);
		for (size_t i = 0; i < c->n; i++) {
			const double v = value_of(c, i, c->key[k]);

			if (isnan(v))
				cell(out, "-");
			else
				buf_printf(out, "  %16.4f", v);
		}
	}
	buf_text(out, "\n\nsettings that differ");
	plain_differences(c, out);
}

/* --- the verb -------------------------------------------------------------------------------- */

static int load_one(struct compare *c, const char *what, const struct args *a)
{
	struct run *r = &c->run[c->n];
	char *text;
	int code = run_find(c->store, what, r);

	if (code)
		return code;
	c->n++;
	code = run_recipe(c->store, r->id, &text);
	if (code)
		return code;
	code = json_parse(text, strlen(text), &c->recipe[c->n - 1]);
	free(text);
	if (code)
		return err_in("the recipe of run %s", r->id);
	collect(c, c->recipe[c->n - 1], "");
	code = metric_last(c->store, r->row, &c->last[c->n - 1], &c->n_last[c->n - 1]);
	for (size_t i = 0; !code && i < c->n_last[c->n - 1]; i++)
		if (wanted(a, c->last[c->n - 1][i].key))
			code = add_key(c, c->last[c->n - 1][i].key);
	return code;
}

static void compare_done(struct compare *c)
{
	for (size_t i = 0; i < c->n; i++) {
		run_done(&c->run[i]);
		json_free(c->recipe[i]);
		free(c->last[i]);
	}
	for (size_t i = 0; i < c->n_key; i++)
		free(c->key[i]);
	free(c->key);
	free(c->path);
	store_close(c->store);
	free(c);
}

static int compare(const struct args *a)
{
	struct compare *c = calloc(1, sizeof(*c));
	struct buf out;
	int code;

	if (!c)
		return err_set(TT_NOMEM, "not enough memory");
	c->path = calloc(PATHS_MAX, sizeof(*c->path));
	code = c->path ? cmd_open_read(&c->store) : err_set(TT_NOMEM, "not enough memory");
	for (int i = 0; !code && i < a->npos; i++)
		code = load_one(c, a->pos[i], a);
	buf_init(&out, (size_t)64 << 20);
	if (!code && args_has(a, "--json"))
		code = write_json(c, &out);
	else if (!code)
		write_plain(c, &out);
	if (!code)
		code = cmd_print(&out);
	buf_done(&out);
	compare_done(c);
	return code;
}

static const struct arg options[] = {
	{ "--key", 0, "KEY",
	  "compare this metric (all eval/ metrics and train/loss); may be repeated" },
	{ "--json", 0, NULL, "one JSON document: runs, differences, metrics, tests" },
	{ 0 },
};

const struct command command_compare = {
	.name = "compare",
	.usage = "RUN RUN... [--key KEY]... [--json]",
	.summary = "Show what differs in the recipes of runs, and how their results differ.",
	.options = options,
	.min_args = 2,
	.max_args = RUNS_MAX,
	.run = compare,
};
