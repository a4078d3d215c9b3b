/* Several adapters over one model: opening them, who answers which row, and what becomes of the answers. */
#include "engine/mixing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/place.h"
#include "data/rows.h"
#include "method/adapter.h"
#include "tensor/kernel.h"
#include "train/checkpoint.h"

struct mixing {
	struct session *s;
	struct mixed_part *part; /* [n] */
	struct session *from;    /* [n] the runs that some of them are; others are zeroed */
	int n;
	struct mixed *mixed;
	const char *column; /* NULL: all adapters answer every row */
	enum combine combine;
	int32_t *who; /* [answers] */
	int64_t *row; /* [answers] */
	double agreed;
	int64_t asked;
};

bool mixing_wanted(const struct args *a)
{
	const char *adapter[ARGS_MAX];
	const size_t n = args_values(a, "--adapter", adapter, ARGS_MAX);

	return n > 1 || args_value(a, "--adapter-column") || args_value(a, "--combine");
}

bool mixing_is_folder(const char *what) { return fs_is_dir(what) || strchr(what, '/'); }

/* ---- opening ---- */

static int parse_combine(const char *text, enum combine *ret)
{
	static const char *const name[] = { "mean", "vote", "each" };

	*ret = COMBINE_MEAN;
	for (int i = 0; text && i <= COMBINE_EACH; i++) {
		if (!strcmp(text, name[i])) {
			*ret = (enum combine)i;
			return TT_OK;
		}
	}
	return text ? err_set(TT_USAGE, "--combine is '%s'; it takes mean, vote or each", text)
		    : TT_OK;
}

static bool same_texts(const struct texts *a, const struct texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	return true;
}

/* A run must be of the same model and task. */
static int check_run(const struct session *s, const struct session *run, const char *what)
{
	const struct recipe *a = s->recipe, *b = run->recipe;
	char dir[PATH_MAX];
	int code = place_model(b->base_model, dir, sizeof(dir));

	if (code)
		return err_in("--adapter %s: base_model", what);
	if (strcmp(dir, s->model_dir) != 0)
		return err_set(TT_INVALID, "--adapter %s: it is of the model %s, not of %s", what,
			       dir, s->model_dir);
	if (a->task.type != b->task.type || !same_texts(&a->task.labels, &b->task.labels))
		return err_set(TT_INVALID,
			       "--adapter %s: its task is another one, or its labels are", what);
	return TT_OK;
}

static int load_run(struct mixing *x, int i, const char *what, const char *which)
{
	struct session *run = &x->from[i];
	char dir[PATH_MAX];
	int code = session_open_run(what, run);

	if (code)
		return err_in("--adapter");
	code = check_run(x->s, run, what);
	if (!code)
		code = session_attach(x->s, run->recipe, x->part[i].model, &x->part[i].method);
	/* what it began from may hold frozen numbers that no checkpoint has */
	if (!code && run->recipe->init_adapter)
		code = adapter_load(x->part[i].method, run->recipe->init_adapter);
	if (!code)
		code = fs_join(dir, sizeof(dir), run->run.dir, "checkpoints");
	if (!code)
		code = checkpoint_load_params(dir, which ? which : "last", x->part[i].method);
	return code ? err_in("--adapter %s", what) : TT_OK;
}

static int load_folder(struct mixing *x, int i, const char *what)
{
	char dir[PATH_MAX];
	int code = fs_absolute(dir, sizeof(dir), what);

	if (!code)
		code = session_attach(x->s, x->s->recipe, x->part[i].model, &x->part[i].method);
	if (!code)
		code = adapter_load(x->part[i].method, dir);
	return code;
}

/* "NAME=WHAT", or the last part of WHAT for a name. */
static int take_name(struct mixing *x, int i, const char *text, const char **ret_what)
{
	const char *equal = strchr(text, '='), *slash = strchr(text, '/');
	const bool named = equal && equal > text && (!slash || equal < slash);
	struct arena *a = x->s->recipe->arena;
	const char *name;

	*ret_what = named ? equal + 1 : text;
	name = named ? arena_printf(a, "%.*s", (int)(equal - text), text)
		     : arena_text(a, fs_basename(text));
	if (!name)
		return TT_NOMEM;
	for (int k = 0; k < i; k++)
		if (!strcmp(x->part[k].name, name))
			return err_set(TT_USAGE, "--adapter %s: two are named '%s'; write NAME=%s",
				       text, name, *ret_what);
	x->part[i].name = name;
	return TT_OK;
}

static int load_part(struct mixing *x, int i, const char *text, const char *which)
{
	const char *what;
	int code = take_name(x, i, text, &what);

	if (!code)
		code = model_share(x->s->model, &x->part[i].model);
	if (!code)
		code = mixing_is_folder(what) ? load_folder(x, i, what)
					      : load_run(x, i, what, which);
	for (size_t k = 0; !code && k < x->part[i].method->nnotes; k++)
		log_line("%s", x->part[i].method->note[k]);
	return code;
}

/* The base is prepared after all have looked at its numbers, and before they take what was prepared. */
static int load_parts(struct mixing *x, const struct args *a)
{
	const char *text[ARGS_MAX];
	int code = session_load_texts(x->s);

	(void)args_values(a, "--adapter", text, ARGS_MAX);
	if (!code)
		code = session_load_base(x->s);
	for (int i = 0; !code && i < x->n; i++)
		code = load_part(x, i, text[i], args_value(a, "--checkpoint"));
	if (!code)
		code = model_prepare(x->s->model, false);
	for (int i = 0; !code && i < x->n; i++)
		code = model_prepare(x->part[i].model, false);
	return code ? code : mixed_new(x->s->model, x->part, x->n, &x->mixed);
}

static int check_wishes(const struct mixing *x, const struct args *a)
{
	const int task = x->s->recipe->task.type;

	if (!x->n)
		return err_set(TT_USAGE, "--adapter-column and --combine go with --adapter");
	if (x->column && args_value(a, "--combine"))
		return err_set(TT_USAGE, "with --adapter-column each row has one adapter, so "
					 "there is nothing to --combine");
	if (x->column && args_value(a, "--text"))
		return err_set(TT_USAGE, "--adapter-column goes with rows of a file, not with "
					 "--text");
	if (task == TASK_MLM)
		return err_set(TT_INVALID,
			       "%s is a masked language model; several adapters "
			       "answer tasks with an answer a row",
			       x->s->recipe->path);
	if (task == TASK_REGRESSION && x->combine == COMBINE_VOTE)
		return err_set(TT_USAGE, "--combine vote needs labels; numbers have a mean");
	if (x->s->recipe->task.label_groups && x->combine == COMBINE_VOTE)
		return err_set(TT_USAGE, "--combine vote is for one task; with task.label_groups "
					 "there is a mean");
	return TT_OK;
}

int mixing_open(struct session *s, const struct args *a, struct mixing **ret)
{
	const char *adapter[ARGS_MAX];
	struct mixing *x = calloc(1, sizeof(*x));
	const size_t n = args_values(a, "--adapter", adapter, ARGS_MAX);
	int code;

	if (!x)
		return err_set(TT_NOMEM, "not enough memory for %zu adapters", n);
	*x = (struct mixing){ .s = s, .n = (int)n, .column = args_value(a, "--adapter-column") };
	x->part = calloc(n + 1, sizeof(*x->part));
	x->from = calloc(n + 1, sizeof(*x->from));
	code = x->part && x->from ? parse_combine(args_value(a, "--combine"), &x->combine)
				  : err_set(TT_NOMEM, "not enough memory for %zu adapters", n);
	if (!code)
		code = check_wishes(x, a);
	if (!code)
		code = load_parts(x, a);
	if (code)
		mixing_close(x);
	else
		*ret = x;
	return code;
}

void mixing_close(struct mixing *x)
{
	if (!x)
		return;
	mixed_free(x->mixed);
	for (int i = 0; x->part && x->from && i < x->n; i++) {
		model_close(x->part[i].model);
		session_close(&x->from[i]);
	}
	free(x->part);
	free(x->from);
	free(x->who);
	free(x->row);
	free(x);
}

/* ---- who answers ---- */

static int find_part(const struct mixing *x, const struct rows *rows, const struct row *row,
		     int32_t *ret)
{
	for (int i = 0; i < x->n; i++) {
		if (!strcmp(x->part[i].name, row->text_a)) {
			*ret = i;
			return TT_OK;
		}
	}
	err_set(TT_INVALID,
		"the adapter '%.100s' of the column '%s' is none of those that "
		"--adapter names, the first of which is '%s'",
		row->text_a, x->column, x->part[0].name);
	return rows_blame(rows);
}

/* The column of the file once more, by itself, as if it were a text. */
static int read_column(struct mixing *x, const char *path)
{
	const struct row_columns columns = { .text_a = x->column };
	const size_t n = dataset_count(x->s->other);
	struct rows *rows;
	struct row row;
	size_t at = 0;
	int code = rows_open(path, &columns, &rows);

	if (code)
		return code;
	for (int64_t line = 0; at < n && !code; line++) {
		code = rows_next(rows, &row);
		if (code <= 0)
			break;
		code = TT_OK;
		if (dataset_example(x->s->other, at).index != line)
			continue;
		x->row[at] = (int64_t)at;
		code = find_part(x, rows, &row, &x->who[at++]);
	}
	rows_close(rows);
	return code     ? code
	       : at < n ? err_set(TT_INVALID, "%s has changed while it was read", path)
			: TT_OK;
}

static void ask_all(struct mixing *x)
{
	const size_t n = dataset_count(x->s->other);

	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < x->n; k++) {
			x->row[i * (size_t)x->n + (size_t)k] = (int64_t)i;
			x->who[i * (size_t)x->n + (size_t)k] = k;
		}
	}
}

static size_t answers(const struct mixing *x)
{
	return dataset_count(x->s->other) * (x->column ? 1 : (size_t)x->n);
}

static int assign(struct mixing *x, const char *data)
{
	const size_t n = answers(x);

	x->who = calloc(n + 1, sizeof(*x->who));
	x->row = calloc(n + 1, sizeof(*x->row));
	if (!x->who || !x->row)
		return err_set(TT_NOMEM, "not enough memory for %zu answers", n);
	if (x->column)
		return read_column(x, data);
	ask_all(x);
	return TT_OK;
}

/* ---- one answer out of many ---- */

static int64_t argmax(const float *x, int64_t n)
{
	int64_t best = 0;

	for (int64_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

/* The mean of x [n], `many` of them `apart` numbers from each other. */
static void mean(const float *x, int many, int64_t apart, int64_t n, float *ret)
{
	for (int64_t i = 0; i < n; i++) {
		double sum = 0;

		for (int k = 0; k < many; k++)
			sum += (double)x[k * apart + i];
		ret[i] = (float)(sum / many);
	}
}

/*
 * The log of (votes + mean probability) / (many + 1): the label with most votes is the
 * largest, among equals the one that is thought likelier, and none is impossible.
 */
static void vote(const float *x, int many, int64_t apart, int64_t n, float *ret)
{
	for (int64_t i = 0; i < n; i++) {
		double sum = 0;

		for (int k = 0; k < many; k++) {
			const float *one = x + k * apart;

			sum += exp((double)one[i] - kernel_log_sum_exp(one, n)) / many;
			sum += argmax(one, n) == i;
		}
		ret[i] = (float)log(fmax(sum, 1e-30) / (many + 1));
	}
}

static void count_agreement(struct mixing *x, const float *one, int64_t apart, int64_t n,
			    const float *came_of_it)
{
	for (int k = 0; k < x->n; k++)
		x->agreed += argmax(one + k * apart, n) == argmax(came_of_it, n);
	x->asked += x->n;
}

/* Each row's answers become one, in place: what comes of a row lies before the answers of the next. */
static void combine_all(struct mixing *x, float *logits, int64_t cols)
{
	const size_t n = dataset_count(x->s->other);
	const float *from = logits;
	float *to = logits, *one = calloc((size_t)cols, sizeof(*one));

	for (size_t i = 0; one && i < n; i++) {
		const struct example ex = dataset_example(x->s->other, i);
		const int64_t rows = example_rows(&ex), apart = rows * cols;

		for (int64_t r = 0; r < rows; r++, from += cols, to += cols) {
			(x->combine == COMBINE_VOTE ? vote : mean)(from, x->n, apart, cols, one);
			count_agreement(x, from, apart, cols, one);
			memcpy(to, one, (size_t)cols * sizeof(*one));
		}
		from += (x->n - 1) * apart;
	}
	free(one);
}

int mixing_predict(struct mixing *x, struct trainer *t, const char *data, float **ret_logits)
{
	const int64_t cols = train_columns(t);
	const size_t each = x->column ? 1 : (size_t)x->n;
	const size_t n = (size_t)dataset_rows(x->s->other) * each * (size_t)cols;
	struct wishes wishes = { .mixed = x->mixed, .n = answers(x) };
	float *logits = calloc(n + 1, sizeof(*logits));
	int code = logits ? assign(x, data)
			  : err_set(TT_NOMEM, "not enough memory for %zu answers", wishes.n);

	wishes.row = x->row;
	wishes.who = x->who;
	if (!code)
		code = train_predict_mixed(t, x->s->other, &wishes, logits);
	if (!code && !x->column && x->combine != COMBINE_EACH)
		combine_all(x, logits, cols);
	if (code)
		free(logits);
	else
		*ret_logits = logits;
	return code;
}

int mixing_answers(const struct mixing *x)
{
	return !x->column && x->combine == COMBINE_EACH ? x->n : 1;
}

const char *mixing_name(const struct mixing *x, size_t row, int k)
{
	if (x->column)
		return x->part[x->who[row]].name;
	return x->combine == COMBINE_EACH ? x->part[k].name : NULL;
}

double mixing_agreement(const struct mixing *x)
{
	const bool one_task = x->s->labels && !x->s->recipe->task.label_groups;

	return x->asked && one_task ? x->agreed / (double)x->asked : (double)NAN;
}
