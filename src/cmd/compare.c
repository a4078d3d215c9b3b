/* compare: what differs in the recipes of some runs, and how their results differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "ui/compare_table.h"
#include "ui/widget/text.h"

enum { LABEL = 36, CELL_LEAST = 16, CELL_MOST = 24 };

/* What is shown of the runs. */
struct shown {
	struct compare *c;
	struct store *store;
	struct compare_columns columns;
	const char **key;
	size_t key_n;
};

/* ---- JSON ---- */

static void json_differences(const struct compare *c, struct jsonw *w)
{
	jsonw_key(w, "differences");
	jsonw_array(w);
	for (size_t p = 0; p < c->path_n; p++) {
		if (!compare_differs(c, c->path[p]))
			continue;
		jsonw_object(w);
		jsonw_key(w, "path");
		jsonw_text(w, c->path[p]);
		jsonw_key(w, "values");
		jsonw_array(w);
		for (size_t i = 0; i < c->n; i++) {
			const struct json *j = compare_setting(c, i, c->path[p]);

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

static void number(struct jsonw *w, const char *key, double v)
{
	jsonw_key(w, key);
	jsonw_real(w, v);
}

static void json_metrics(const struct shown *s, struct jsonw *w)
{
	struct compare_columns all = { .n = 1, .at = { 0, s->c->n } };

	for (size_t i = 0; i < s->c->n; i++)
		all.run[i] = i;
	jsonw_key(w, "metrics");
	jsonw_array(w);
	for (size_t k = 0; k < s->key_n; k++) {
		const struct compare_spread spread = compare_spread(s->c, &all, 0, compare_last,
								    s->key[k]);

		jsonw_object(w);
		jsonw_key(w, "key");
		jsonw_text(w, s->key[k]);
		jsonw_key(w, "values");
		jsonw_array(w);
		for (size_t i = 0; i < s->c->n; i++)
			jsonw_real(w, compare_last(s->c, i, s->key[k]));
		jsonw_end(w, ']');
		number(w, "mean", spread.mean);
		number(w, "stdev", spread.stdev);
		jsonw_key(w, "best");
		jsonw_array(w);
		for (size_t i = 0; i < s->c->n; i++)
			jsonw_real(w, compare_best(s->c, i, s->key[k]));
		jsonw_end(w, ']');
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
}

/* The ids of a column's runs. */
static void json_column(const struct shown *s, const char *key, size_t i, struct jsonw *w)
{
	const struct compare_columns *k = &s->columns;

	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t r = k->at[i]; r < k->at[i + 1]; r++)
		jsonw_text(w, s->c->run[k->run[r]].run.id);
	jsonw_end(w, ']');
}

static void json_interval(const struct stats_interval *x, struct jsonw *w)
{
	jsonw_key(w, "interval");
	jsonw_array(w);
	jsonw_real(w, x->lo);
	jsonw_real(w, x->hi);
	jsonw_end(w, ']');
}

/* What every test has; the object stays open. */
static void json_test(const struct shown *s, const char *test, const char *key, size_t column,
		      struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, "test");
	jsonw_text(w, test);
	jsonw_key(w, "key");
	jsonw_text(w, key);
	json_column(s, "baseline", 0, w);
	json_column(s, "runs", column, w);
}

static int json_seeds(const struct shown *s, const char *key, struct jsonw *w)
{
	struct compare_seeds t[COMPARE_RUNS];
	const int code = compare_seeds(s->c, &s->columns, key, t);

	for (size_t i = 1; !code && i < s->columns.n; i++) {
		json_test(s, "sign_flip", key, i, w);
		jsonw_key(w, "paired");
		jsonw_bool(w, t[i].pairs > 0);
		jsonw_key(w, "pairs");
		jsonw_int(w, (int64_t)t[i].pairs);
		number(w, "difference", t[i].difference);
		number(w, "p", t[i].p);
		number(w, "p_least", t[i].least);
		number(w, "p_holm", t[i].holm);
		json_interval(&t[i].interval, w);
		jsonw_end(w, '}');
	}
	return code;
}

static int json_rows(const struct shown *s, struct jsonw *w)
{
	struct compare_rows t[COMPARE_RUNS];
	const int code = compare_rows(s->c, &s->columns, t);

	for (size_t i = 1; !code && i < s->columns.n; i++) {
		if (!t[i].known)
			continue;
		json_test(s, "mcnemar", "eval/accuracy", i, w);
		jsonw_key(w, "rows");
		jsonw_int(w, t[i].rows);
		jsonw_key(w, "better");
		jsonw_int(w, t[i].better);
		jsonw_key(w, "worse");
		jsonw_int(w, t[i].worse);
		number(w, "difference", (double)(t[i].better - t[i].worse) / (double)t[i].rows);
		number(w, "p", t[i].p);
		number(w, "p_holm", t[i].holm);
		json_interval(&t[i].interval, w);
		jsonw_end(w, '}');
	}
	return code;
}

static int write_json(const struct shown *s, struct buf *out)
{
	struct jsonw w;
	int code = TT_OK;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "runs");
	jsonw_array(&w);
	for (size_t i = 0; !code && i < s->c->n; i++)
		code = cmd_write_run(s->store, &s->c->run[i].run, NULL, NULL, &w);
	jsonw_end(&w, ']');
	json_differences(s->c, &w);
	json_metrics(s, &w);
	jsonw_key(&w, "tests");
	jsonw_array(&w);
	for (size_t k = 0; !code && k < s->key_n; k++)
		code = json_seeds(s, s->key[k], &w);
	if (!code)
		code = json_rows(s, &w);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	return code;
}

/* ---- a table ---- */

static int cell_width(const struct compare_table *t)
{
	int width = CELL_LEAST;
	char text[256];

	for (size_t l = 0; l < t->n; l++)
		for (size_t i = 0; i < t->columns; i++) {
			if (t->line[l].kind != COMPARE_METRIC && t->line[l].kind != COMPARE_TEST)
				continue;
			compare_cell_text(&t->line[l].cell[i], text, sizeof(text));
			if (text_width(text) > width)
				width = text_width(text);
		}
	return width < CELL_MOST ? width : CELL_MOST;
}

static void write_line(const struct compare_line *l, size_t columns, int width, struct buf *out)
{
	char text[4096];

	cmd_left(out, l->label, LABEL);
	for (size_t i = 0; i < columns; i++) {
		compare_cell_text(&l->cell[i], text, sizeof(text));
		buf_text(out, "  ");
		if (l->kind == COMPARE_NAME) { /* a name keeps its beginning */
			const int used = text_width(text) < width ? text_width(text) : width;

			buf_spaces(out, width - used);
			cmd_left(out, text, used);
		} else {
			cmd_right(out, text, width);
		}
	}
}

static void write_plain(const struct compare_table *t, struct buf *out)
{
	const int width = cell_width(t);
	bool settings = false;

	for (size_t l = 0; l < t->n; l++) {
		if (t->line[l].kind == COMPARE_SETTING && !settings) {
			buf_text(out, "\n\nsettings that differ");
			settings = true;
		}
		buf_text(out, l ? "\n" : "");
		write_line(&t->line[l], t->columns, width, out);
	}
	buf_text(out, settings ? "" : "\n\nno setting differs");
}

static int write_table(const struct shown *s, const char *path, struct buf *out)
{
	const struct compare_view v = {
		.columns = &s->columns, .key = s->key, .key_n = s->key_n, .ascii = !text_unicode()
	};
	struct compare_table t = { .n = 0 };
	int code = compare_table(s->c, &v, &t);

	if (!code && path)
		code = compare_table_write(&t, path);
	else if (!code)
		write_plain(&t, out);
	compare_table_done(&t);
	return code;
}

/* ---- the verb ---- */

/* The metrics asked for that any run has, or the usual ones. free() the array. */
static int find_keys(const struct compare *c, const struct args *a, const char ***ret,
		     size_t *ret_n)
{
	const char *want[ARGS_MAX];
	const size_t n = args_values(a, "--key", want, ARGS_MAX);
	const char **key;

	if (!n)
		return compare_keys(c, ret, ret_n);
	key = calloc(n, sizeof(*key));
	if (!key)
		return err_set(TT_NOMEM, "not enough memory");
	*ret_n = 0;
	for (size_t i = 0; i < n; i++)
		if (compare_has(c, want[i]))
			key[(*ret_n)++] = want[i];
	*ret = key;
	return TT_OK;
}

static int show(struct shown *s, const struct args *a)
{
	const char *path = args_value(a, "--out");
	struct buf out;
	int code = find_keys(s->c, a, &s->key, &s->key_n);

	if (code)
		return code;
	compare_columns_best(s->c, &s->columns);
	buf_init(&out, (size_t)64 << 20);
	if (args_has(a, "--json"))
		code = write_json(s, &out);
	else
		code = write_table(s, path, &out);
	if (!code && (!path || args_has(a, "--json")))
		code = cmd_print(&out);
	buf_done(&out);
	free(s->key);
	return code;
}

static int compare(const struct args *a)
{
	struct compare *c = calloc(1, sizeof(*c));
	struct shown s = { .c = c };
	int code;

	if (!c)
		return err_set(TT_NOMEM, "not enough memory");
	code = cmd_open_read(&s.store);
	for (int i = 0; !code && i < a->npos; i++) {
		struct run run;

		code = run_find(s.store, a->pos[i], &run);
		if (!code)
			code = compare_add(c, s.store, &run);
	}
	if (!code)
		code = show(&s, a);
	if (!code && c->trouble[0])
		fprintf(stderr, "trimtab compare: %s\n", c->trouble);
	compare_done(c);
	free(c);
	store_close(s.store);
	return code;
}

static const struct arg options[] = {
	{ "--key", 0, "KEY",
	  "compare this metric (all eval/ metrics and train/loss); may be repeated" },
	{ "--out", 0, "FILE", "write the table to a file: .md, .csv or .tex" },
	{ "--json", 0, NULL, "one JSON document: runs, differences, metrics, tests" },
	{ 0 },
};

const struct command command_compare = {
	.name = "compare",
	.usage = "RUN RUN... [--key KEY]... [--out FILE | --json]",
	.summary = "Show what differs in the recipes of runs, and how their results differ.",
	.options = options,
	.min_args = 2,
	.max_args = COMPARE_RUNS,
	.run = compare,
};
