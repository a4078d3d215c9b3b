/* metrics: everything a run logged, one clean curve a key. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/knob.h"
#include "cmd/cmd.h"
#include "db/metric.h"

struct printer {
	struct buf out;
	const char *key;
	double steps_per_epoch;
	bool csv;
};

static int print_point(void *arg, const struct metric_point *p)
{
	struct printer *w = arg;
	const double epoch = w->steps_per_epoch > 0 ? (double)p->step / w->steps_per_epoch : 0;
	struct jsonw j;

	buf_clear(&w->out);
	if (w->csv) {
		buf_printf(&w->out, "%s,%lld,%.6g,%.17g,%.6f\n", w->key, (long long)p->step, epoch,
			   p->value, (double)p->time_us * 1e-6);
	} else {
		jsonw_init(&j, &w->out, 0);
		jsonw_object(&j);
		jsonw_key(&j, "key");
		jsonw_text(&j, w->key);
		jsonw_key(&j, "step");
		jsonw_int(&j, p->step);
		jsonw_key(&j, "epoch");
		jsonw_real(&j, epoch);
		jsonw_key(&j, "value");
		jsonw_real(&j, p->value);
		jsonw_key(&j, "time");
		jsonw_real(&j, (double)p->time_us * 1e-6);
		jsonw_end(&j, '}');
		buf_char(&w->out, '\n');
	}
	if (buf_check(&w->out, "a row"))
		return TT_NOMEM;
	if (fwrite(w->out.data, 1, w->out.size, stdout) != w->out.size)
		return err_set(TT_IO, "cannot write: %s", strerror(errno));
	return TT_OK;
}

static bool asked_for(const struct args *a, const char *key)
{
	const char *want[ARGS_MAX];
	const size_t n = args_values(a, "--key", want, ARGS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(want[i], key))
			return true;
	return !n;
}

/* A key that the run never logged is a mistake worth a sentence. */
static int check_keys(const struct args *a, char *const *key, size_t n)
{
	const char *want[ARGS_MAX];
	const size_t n_want = args_values(a, "--key", want, ARGS_MAX);

	for (size_t i = 0; i < n_want; i++) {
		const char *near;
		size_t k = 0;

		while (k < n && strcmp(key[k], want[i]) != 0)
			k++;
		if (k < n)
			continue;
		near = knob_nearest(want[i], (const char *const *)key, n);
		return err_set(TT_NOTFOUND, "the run has no metric '%s'%s%s%s", want[i],
			       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	return TT_OK;
}

static int print_all(struct store *st, const struct run *r, const struct args *a)
{
	struct printer w = { .steps_per_epoch = (double)r->steps_per_epoch,
			     .csv = args_has(a, "--csv") };
	char **key;
	size_t n;
	int code = metric_keys(st, r->row, &key, &n);

	if (code)
		return code;
	buf_init(&w.out, 1 << 20);
	code = check_keys(a, key, n);
	if (!code && w.csv)
		puts("key,step,epoch,value,time");
	for (size_t i = 0; !code && i < n; i++) {
		w.key = key[i];
		if (asked_for(a, key[i]))
			code = metric_walk(st, r->row, key[i], 0, print_point, &w);
	}
	if (fflush(stdout) && !code)
		code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	buf_done(&w.out);
	free(key);
	return code;
}

static int metrics(const struct args *a) { return cmd_with_run(a, false, print_all); }

static const struct arg options[] = {
	{ "--key", 0, "KEY", "only this metric; may be repeated" },
	{ "--csv", 0, NULL, "comma-separated values with a header" },
	{ "--json", 0, NULL, "JSON lines (the default)" },
	{ 0 },
};

const struct command command_metrics = {
	.name = "metrics",
	.usage = "RUN [--key KEY]... [--csv]",
	.summary = "Print everything a run logged, one row a value.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = metrics,
};
