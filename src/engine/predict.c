/* predict: what a run says of a text or of the rows of a file. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/mixing.h"
#include "engine/session.h"
#include "train/groups.h"

struct answer {
	const struct session *s;
	const struct groups *groups; /* of the labels: an answer a task; NULL: one */
	bool json, logits;
	bool words; /* an answer a word */
	int64_t columns;
	const struct mixing *mixing; /* several adapters; NULL: one model */
};

static int argmax(const float *x, int64_t n)
{
	int best = 0;

	for (int i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

/* softmax in double */
static void softmax(const float *x, int64_t n, double *ret)
{
	const double top = x[argmax(x, n)];
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += ret[i] = exp((double)x[i] - top);
	for (int64_t i = 0; i < n; i++)
		ret[i] /= sum;
}

static struct span labels_of(const struct answer *a, int task)
{
	return a->groups ? groups_at(a->groups, task) : (struct span){ 0, (int32_t)a->columns };
}

static int tasks(const struct answer *a) { return a->groups ? groups_count(a->groups) : 1; }

/* Of each task's labels by themselves. */
static void probabilities(const struct answer *a, const float *x, double *ret)
{
	for (int i = 0; i < tasks(a); i++) {
		const struct span at = labels_of(a, i);

		softmax(x + at.first, at.end - at.first, ret + at.first);
	}
}

static int32_t best_of(const struct answer *a, const float *x, int task)
{
	const struct span at = labels_of(a, task);

	return at.first + argmax(x + at.first, at.end - at.first);
}

static const char *label_of(const struct answer *a, const float *x)
{
	return labels_name(a->s->labels, best_of(a, x, 0));
}

/* What every task says, a blank between. */
static int write_answers(const struct answer *a, const float *x, struct buf *out)
{
	for (int i = 0; i < tasks(a); i++)
		buf_printf(out, "%s%s", i ? " " : "", labels_name(a->s->labels, best_of(a, x, i)));
	return buf_check(out, "the answers of a row");
}

static void write_probs(const struct answer *a, const double *p, struct jsonw *w)
{
	jsonw_object(w);
	for (int64_t i = 0; i < a->columns; i++) {
		jsonw_key(w, labels_name(a->s->labels, (int32_t)i));
		jsonw_real(w, p[i]);
	}
	jsonw_end(w, '}');
}

static void write_logits(const struct answer *a, const float *x, struct jsonw *w)
{
	jsonw_array(w);
	for (int64_t i = 0; i < a->columns; i++)
		jsonw_real(w, (double)x[i]);
	jsonw_end(w, ']');
}

/* One answer for the text. */
static void write_one(const struct answer *a, const float *x, double *p, struct jsonw *w)
{
	struct buf said;

	jsonw_key(w, "label");
	if (a->s->labels) {
		buf_init(&said, (size_t)1 << 20);
		probabilities(a, x, p);
		jsonw_text(w, write_answers(a, x, &said) ? "" : said.data);
		buf_done(&said);
		jsonw_key(w, "probs");
		write_probs(a, p, w);
	} else {
		jsonw_real(w, (double)x[0]);
	}
	if (a->logits) {
		jsonw_key(w, "logits");
		write_logits(a, x, w);
	}
}

/* The tags of n words, a blank between. */
static int write_tags(const struct answer *a, const float *x, int64_t n, struct buf *out)
{
	for (int64_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i ? " " : "", label_of(a, x + i * a->columns));
	return buf_check(out, "the tags of a row");
}

/* An answer for each word. */
static void write_words(const struct answer *a, const float *x, int64_t n, double *p,
			struct jsonw *w)
{
	struct buf tags;

	buf_init(&tags, (size_t)16 << 20);
	jsonw_key(w, "label");
	jsonw_text(w, write_tags(a, x, n, &tags) ? "" : tags.data);
	buf_done(&tags);
	jsonw_key(w, "probs");
	jsonw_array(w);
	for (int64_t i = 0; i < n; i++) {
		probabilities(a, x + i * a->columns, p);
		write_probs(a, p, w);
	}
	jsonw_end(w, ']');
	if (!a->logits)
		return;
	jsonw_key(w, "logits");
	jsonw_array(w);
	for (int64_t i = 0; i < n; i++)
		write_logits(a, x + i * a->columns, w);
	jsonw_end(w, ']');
}

static void write_plain(const struct answer *a, const float *x, int64_t n, double *p,
			struct buf *out)
{
	if (a->words) {
		(void)write_tags(a, x, n, out);
		buf_char(out, '\n');
	} else if (a->s->labels) {
		probabilities(a, x, p);
		(void)write_answers(a, x, out);
		for (int i = 0; i < tasks(a); i++)
			buf_printf(out, "%c%.4f", i ? ' ' : '\t', p[best_of(a, x, i)]);
		buf_char(out, '\n');
	} else {
		buf_printf(out, "%.6g\n", (double)x[0]);
	}
}

/* n rows of the head's output for one row of the data; adapter: who says so, NULL: nobody asks. */
static void write_row(const struct answer *a, const char *adapter, const float *x, int64_t n,
		      double *p, struct buf *out)
{
	struct jsonw w;

	if (!a->json) {
		if (adapter)
			buf_printf(out, "%s\t", adapter);
		write_plain(a, x, n, p, out);
		return;
	}
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	if (adapter) {
		jsonw_key(&w, "adapter");
		jsonw_text(&w, adapter);
	}
	if (a->words)
		write_words(a, x, n, p, &w);
	else
		write_one(a, x, p, &w);
	jsonw_end(&w, '}');
	buf_char(out, '\n');
}

/* The k-th answer of a row. */
static int write_answer(const struct answer *a, size_t row, int k, const float *x, double *p,
			struct buf *out)
{
	const struct example ex = dataset_example(a->s->other, row);
	const char *adapter = a->mixing ? mixing_name(a->mixing, row, k) : NULL;
	int code;

	buf_clear(out);
	write_row(a, adapter, x, example_rows(&ex), p, out);
	code = buf_check(out, "one row of the answer");
	if (!code && fwrite(out->data, 1, out->size, stdout) != out->size)
		code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	return code;
}

static int write_rows(const struct answer *a, const float *logits)
{
	const int each = a->mixing ? mixing_answers(a->mixing) : 1;
	double *p = calloc((size_t)a->columns, sizeof(*p));
	struct buf out;
	int code = p ? TT_OK : err_set(TT_NOMEM, "not enough memory");

	buf_init(&out, (size_t)64 << 20);
	for (size_t i = 0; !code && i < dataset_count(a->s->other); i++) {
		const struct example ex = dataset_example(a->s->other, i);

		for (int k = 0; !code && k < each; k++) {
			code = write_answer(a, i, k, logits, p, &out);
			logits += example_rows(&ex) * a->columns;
		}
	}
	if (fflush(stdout) && !code)
		code = err_set(TT_IO, "cannot write: %s", strerror(errno));
	buf_done(&out);
	free(p);
	return code;
}

static int predict_plainly(struct session *s, struct trainer *t, int64_t columns,
			   float **ret_logits)
{
	const size_t n = (size_t)dataset_rows(s->other);
	float *logits = calloc(n * (size_t)columns, sizeof(*logits));
	int code;

	if (!logits)
		return err_set(TT_NOMEM, "not enough memory for the answers of %zu rows", n);
	code = train_predict(t, s->other, logits);
	if (code)
		free(logits);
	else
		*ret_logits = logits;
	return code;
}

static int answer(struct session *s, const struct args *args, struct mixing *mixing)
{
	struct answer a = {
		.s = s,
		.json = args_has(args, "--json"),
		.logits = args_has(args, "--logits"),
		.words = s->recipe->task.type == TASK_TOKEN_CLS,
		.columns = s->labels ? labels_count(s->labels) : 1,
		.mixing = mixing,
	};
	float *logits = NULL;
	struct trainer t;
	int code = session_evaluator(s, &t);

	if (code)
		return code;
	a.groups = t.groups;
	code = mixing ? mixing_predict(mixing, &t, args_value(args, "--data"), &logits)
		      : predict_plainly(s, &t, a.columns, &logits);
	if (!code)
		code = write_rows(&a, logits);
	train_close(&t);
	free(logits);
	return code;
}

static int rows_to_answer(struct session *s, const struct args *a)
{
	const char *data = args_value(a, "--data"), *text = args_value(a, "--text");
	char path[PATH_MAX];
	int code;

	if (text)
		return session_text(s, text, args_value(a, "--text-b"), &s->other);
	code = fs_absolute(path, sizeof(path), data);
	return code ? code : session_dataset(s, path, true, true, &s->other);
}

/* One model, or several adapters over one. */
static int load(struct session *s, const struct args *a, struct mixing **ret)
{
	const char *which = args_value(a, "--checkpoint");
	int code;

	if (args_has(a, "--adapter") || mixing_wanted(a))
		return mixing_open(s, a, ret);
	code = session_load(s, false);
	return code ? code : session_restore(s, which ? which : "last");
}

static int predict(const struct args *a)
{
	const char *set[ARGS_MAX];
	const size_t n = args_values(a, "--set", set, ARGS_MAX);
	struct mixing *mixing = NULL;
	struct session s;
	int code;

	if (!args_value(a, "--data") == !args_value(a, "--text"))
		return err_set(TT_USAGE, "give either --text or --data");
	code = session_open(a->pos[0], set, n, &s);
	if (code)
		return code;
	if (s.recipe->task.type == TASK_MLM)
		code = err_set(TT_INVALID, "%s trains a masked language model; use `trimtab fill`",
			       s.recipe->path);
	if (!code)
		code = load(&s, a, &mixing);
	if (!code)
		code = rows_to_answer(&s, a);
	if (!code)
		code = answer(&s, a, mixing);
	mixing_close(mixing);
	session_close(&s);
	return code;
}

static const struct arg options[] = {
	{ "--text", 0, "TEXT", "one text" },
	{ "--text-b", 0, "TEXT", "its second part" },
	{ "--data", 0, "FILE", "the rows of a file, with the recipe's column names" },
#include "engine/mixing_options.inc"
	{ "--checkpoint", 0, "best|last|STEP", "of a run: which checkpoint (last)" },
	{ "--set", 0, "PATH=VALUE", "change a setting of the recipe; may be repeated" },
	{ "--logits", 0, NULL, "with --json: the head's outputs too" },
	{ "--json", 0, NULL, "JSON lines: {\"label\",\"probs\",\"logits\"}" },
	{ 0 }
};

const struct command verb_predict = {
	.name = "predict",
	.usage = "RECIPE|RUN (--text TEXT [--text-b TEXT] | --data FILE) [--adapter DIR|RUN]... "
		 "[--logits] [--json]",
	.summary = "Say what a run makes of a text, or of every row of a file.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = predict,
};
