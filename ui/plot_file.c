/* Curves of runs as a file. */
#include "ui/plot_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/knob.h"
#include "db/metric.h"
#include "ui/csv.h"
#include "ui/picture.h"

enum { FILE_MAX = 1 << 30 };

static bool ends_in(const char *path, const char *end)
{
	const char *dot = strrchr(fs_basename(path), '.');

	return dot && !strcmp(dot, end);
}

bool plot_file_knows(const char *path) { return ends_in(path, ".svg") || ends_in(path, ".png"); }

/* ---- every value ---- */

struct csv {
	struct buf *out;
	const struct run *run;
	const char *key;
};

static int add_value(void *arg, const struct metric_point *p)
{
	const struct csv *c = arg;

	csv_field(c->out, c->run->id);
	buf_char(c->out, ',');
	csv_field(c->out, c->run->name);
	buf_char(c->out, ',');
	csv_field(c->out, c->key);
	buf_printf(c->out, ",%lld,%.17g\n", (long long)p->step, p->value);
	return buf_check(c->out, "the values of the runs");
}

static int make_csv(struct store *st, const struct run *const *run, size_t n,
		    const struct plot_file *how, struct buf *out)
{
	int code = TT_OK;

	buf_text(out, "run,name,key,step,value\n");
	for (size_t k = 0; k < how->key_n; k++)
		for (size_t i = 0; !code && i < n; i++) {
			struct csv c = { out, run[i], how->key[k] };

			code = metric_walk(st, run[i]->row, how->key[k], 0, add_value, &c);
		}
	return code;
}

/* ---- charts ---- */

/* The steps of all runs that have the metric; TT_NOTFOUND: none has. */
static int find_span(struct store *st, const struct run *const *run, size_t n,
		     struct picture_chart *c)
{
	int64_t lo = INT64_MAX, hi = -1;

	for (size_t i = 0; i < n; i++) {
		int64_t from, to;
		const int code = metric_span(st, run[i]->row, c->title, &from, &to);

		if (code == TT_NOTFOUND)
			continue;
		if (code)
			return code;
		lo = from < lo ? from : lo;
		hi = to > hi ? to : hi;
	}
	c->lo = lo;
	c->hi = hi;
	return hi < 0 ? TT_NOTFOUND : TT_OK;
}

static int read_chart(struct store *st, const struct run *const *run, size_t n,
		      struct plot_series *series, struct metric_bucket *bucket,
		      struct picture_chart *c)
{
	int code = find_span(st, run, n, c);

	for (size_t i = 0; !code && i < n; i++) {
		struct metric_bucket *b = bucket + i * PICTURE_COLUMNS;

		code = metric_buckets(st, run[i]->row, c->title, c->lo, c->hi, PICTURE_COLUMNS, b);
		series[i] = (struct plot_series){ .label = run[i]->name, .bucket = b };
	}
	c->series = series;
	c->n = n;
	return code;
}

static int make_picture(struct store *st, const struct run *const *run, size_t n,
			const struct plot_file *how, struct buf *out)
{
	const size_t all = n * how->key_n + 1;
	struct picture_chart *chart = calloc(how->key_n + 1, sizeof(*chart));
	struct plot_series *series = calloc(all, sizeof(*series));
	struct metric_bucket *bucket = calloc(all * PICTURE_COLUMNS, sizeof(*bucket));
	int code = chart && series && bucket
			   ? TT_OK
			   : err_set(TT_NOMEM, "not enough memory for the charts");
	size_t made = 0;

	for (size_t k = 0; !code && k < how->key_n; k++) {
		chart[made] = (struct picture_chart){ .title = how->key[k], .log = how->log };
		code = read_chart(st, run, n, series + made * n,
				  bucket + made * n * PICTURE_COLUMNS, &chart[made]);
		made += !code;
		if (code == TT_NOTFOUND)
			code = TT_OK;
	}
	if (!code)
		code = picture_make(chart, made,
				    ends_in(how->path, ".svg") ? PICTURE_SVG : PICTURE_PNG, out);
	free(chart);
	free(series);
	free(bucket);
	return code;
}

/* ---- the file ---- */

static bool any_value(struct store *st, const struct run *const *run, size_t n,
		      const struct plot_file *how)
{
	int64_t lo, hi;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < how->key_n; k++)
			if (!metric_span(st, run[i]->row, how->key[k], &lo, &hi))
				return true;
	return false;
}

int plot_file_write(struct store *st, const struct run *const *run, size_t n,
		    const struct plot_file *how)
{
	const bool picture = plot_file_knows(how->path);
	char quoted[256];
	struct buf out;
	int code;

	if (!picture && !ends_in(how->path, ".csv")) {
		knob_quote(how->path, quoted, sizeof(quoted));
		return err_set(TT_INVALID,
			       "%s: curves are written to a file that ends in .svg, .png or .csv",
			       quoted);
	}
	if (!any_value(st, run, n, how))
		return err_set(TT_NOTFOUND, "there are no values to draw; `trimtab metrics RUN` "
					    "shows what a run has");
	buf_init(&out, FILE_MAX);
	code = picture ? make_picture(st, run, n, how, &out) : make_csv(st, run, n, how, &out);
	if (!code)
		code = fs_write_atomic(how->path, out.data, out.size);
	buf_done(&out);
	return code;
}
