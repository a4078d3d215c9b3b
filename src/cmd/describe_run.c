/* What `show` and `ls` say of a run, as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "db/metric.h"

static void text_or_null(struct jsonw *w, const char *key, const char *text)
{
	jsonw_key(w, key);
	jsonw_text(w, text && *text ? text : NULL);
}

/* Seconds since 1970; null when it has not happened. */
static void moment(struct jsonw *w, const char *key, int64_t us)
{
	jsonw_key(w, key);
	if (us)
		jsonw_real(w, (double)us * 1e-6);
	else
		jsonw_null(w);
}

static void whole(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_int(w, v);
}

static void write_best(const struct run *r, struct jsonw *w)
{
	jsonw_key(w, "best");
	jsonw_object(w);
	if (r->has_best) {
		jsonw_key(w, "key");
		jsonw_text(w, r->metric_key);
		jsonw_key(w, "value");
		jsonw_real(w, r->best_value);
		whole(w, "step", r->best_step);
	}
	jsonw_end(w, '}');
}

static int write_looked_up(struct store *st, const struct run *r, struct jsonw *w)
{
	struct metric_last *last;
	size_t n;
	int code = metric_last(st, r->row, &last, &n);

	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		jsonw_key(w, last[i].key);
		jsonw_real(w, last[i].value);
	}
	free(last);
	return TT_OK;
}

static int write_last(struct store *st, const struct run *r, const struct cmd_values *values,
		      struct jsonw *w)
{
	int code = TT_OK;

	jsonw_key(w, "last");
	jsonw_object(w);
	if (!values)
		code = write_looked_up(st, r, w);
	for (size_t i = 0; values && i < values->n; i++)
		if (values->value[i].step >= 0) {
			jsonw_key(w, values->key[i]);
			jsonw_real(w, values->value[i].value);
		}
	jsonw_end(w, '}');
	return code;
}

static void write_tags(const struct run *r, struct jsonw *w)
{
	const char *p = r->tags;

	jsonw_key(w, "tags");
	jsonw_array(w);
	while (*p) {
		const size_t n = strcspn(p, " ");

		if (n)
			jsonw_text_n(w, p, n);
		p += n + (p[n] == ' ');
	}
	jsonw_end(w, ']');
}

static int write_recipe(const char *recipe, struct jsonw *w)
{
	struct json *doc;
	int code = json_parse(recipe, strlen(recipe), &doc);

	if (code)
		return err_in("the recipe in the run log");
	jsonw_key(w, "recipe");
	jsonw_json(w, doc);
	json_free(doc);
	return TT_OK;
}

int cmd_write_run(struct store *st, const struct run *r, const char *recipe,
		  const struct cmd_values *values, struct jsonw *w)
{
	int code;

	jsonw_object(w);
	text_or_null(w, "id", r->id);
	text_or_null(w, "name", r->name);
	text_or_null(w, "state", run_state_name((int)r->state));
	text_or_null(w, "cause", r->cause);
	text_or_null(w, "method", r->method);
	text_or_null(w, "model", r->model);
	text_or_null(w, "task", r->task);
	moment(w, "created", r->created);
	moment(w, "started", r->started);
	moment(w, "ended", r->ended);
	whole(w, "pid", r->pid);
	text_or_null(w, "host", r->host);
	whole(w, "step", r->step);
	whole(w, "total_steps", r->total_steps);
	jsonw_key(w, "epoch");
	jsonw_real(w, r->epoch);
	whole(w, "trainable_params", r->trainable_params);
	whole(w, "total_params", r->total_params);
	whole(w, "attempt", r->attempt);
	write_best(r, w);
	code = write_last(st, r, values, w);
	if (!code && recipe)
		code = write_recipe(recipe, w);
	text_or_null(w, "dir", r->dir);
	text_or_null(w, "parent", r->parent);
	write_tags(r, w);
	jsonw_end(w, '}');
	return code;
}
