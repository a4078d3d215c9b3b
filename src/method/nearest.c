/*
 * Which words learned rows are most like, by the cosine with every row of the
 * table of words. Products with a block of words at a time, so that the scores
 * stay small whatever the vocabulary.
 */
#include "method/nearest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "method/softprompt.h"
#include "tensor/kernel.h"

enum {
	BLOCK = 4096, /* words of one product */
	SAID = 8      /* rows whose word the log tells */
};

static const double too_long = 20;

struct nearest {
	const struct method *method;
	const struct tensor *words; /* [V,H] */
	double *length;             /* [V], and their mean; filled at the first look */
	double mean;
	bool warned;
};

/* What is nearest to a row so far. */
struct best {
	double cosine;
	int64_t word;
};

int nearest_new(struct method *m, struct nearest **ret)
{
	struct nearest *w = method_alloc(m, sizeof(*w));

	if (!w)
		return TT_NOMEM;
	*w = (struct nearest){ .method = m, .words = softprompt_words(m) };
	w->length = method_alloc(m, (size_t)w->words->dim[0] * sizeof(*w->length));
	if (!w->length)
		return TT_NOMEM;
	*ret = w;
	return TT_OK;
}

static double length_of(const struct tensor *t, int64_t row)
{
	const int64_t cols = tensor_cols(t);

	return sqrt(kernel_sum_squares(t->data + row * cols, cols));
}

static void measure_words(struct nearest *w)
{
	double sum = 0;

	if (w->mean > 0)
		return;
	for (int64_t i = 0; i < w->words->dim[0]; i++)
		sum += w->length[i] = length_of(w->words, i);
	w->mean = sum / (double)w->words->dim[0];
}

/* Words from `from` on, `n` of them, against all rows; score [rows, n] is scratch. */
static void look_at(const struct nearest *w, const struct tensor *rows, int64_t from, int64_t n,
		    float *score, struct best *best)
{
	const int64_t cols = tensor_cols(rows);

	gemm_run(w->method->model->gemm, false, true, tensor_rows(rows), n, cols, 1, rows->data,
		 cols, w->words->data + from * cols, cols, 0, score, n);
	for (int64_t i = 0; i < tensor_rows(rows); i++) {
		const double length = length_of(rows, i);

		for (int64_t k = 0; k < n; k++) {
			const double scale = length * w->length[from + k];
			const double cosine = scale > 0 ? (double)score[i * n + k] / scale : -1;

			if (cosine > best[i].cosine)
				best[i] = (struct best){ cosine, from + k };
		}
	}
}

static void say_lengths(struct nearest *w, const struct tensor *rows, const char *name,
			const struct watch *out)
{
	double sum = 0, most = 0;
	char key[96];

	for (int64_t i = 0; i < tensor_rows(rows); i++) {
		const double ratio = w->mean > 0 ? length_of(rows, i) / w->mean : 0;

		sum += ratio;
		most = fmax(most, ratio);
	}
	snprintf(key, sizeof(key), "method/%s/norm_ratio_mean", name);
	out->metric(out->arg, key, sum / (double)tensor_rows(rows));
	snprintf(key, sizeof(key), "method/%s/norm_ratio_max", name);
	out->metric(out->arg, key, most);
	if (most > too_long && !w->warned)
		log_line("a row of the prompt is %.0f times as long as a word of the model: too "
			 "long to learn well; prompt_tuning_init SAMPLE_VOCAB begins with words",
			 most);
	w->warned = w->warned || most > too_long;
}

static void say_words(const struct nearest *w, const struct best *best, int64_t n, const char *name,
		      const struct watch *out)
{
	const struct tokenizer *t = w->method->tokenizer;
	struct buf line;
	double sum = 0, most = -1;
	char key[96];

	buf_init(&line, 4096);
	for (int64_t i = 0; i < n; i++) {
		const char *word = t ? tokenizer_token(t, (int32_t)best[i].word) : NULL;

		sum += best[i].cosine;
		most = fmax(most, best[i].cosine);
		if (word && i < SAID)
			buf_printf(&line, "%s %s %.2f", i ? "," : "", word, best[i].cosine);
	}
	snprintf(key, sizeof(key), "method/%s/nearest_mean", name);
	out->metric(out->arg, key, sum / (double)n);
	snprintf(key, sizeof(key), "method/%s/nearest_max", name);
	out->metric(out->arg, key, most);
	if (line.size && !line.bad)
		log_line("the prompt's rows are most like%s%s", line.data, n > SAID ? ", ..." : "");
	buf_done(&line);
}

void nearest_watch(struct nearest *w, const struct tensor *rows, const char *name,
		   const struct watch *out)
{
	const int64_t n = tensor_rows(rows), all = w->words->dim[0];
	float *score = calloc((size_t)(n * BLOCK), sizeof(*score));
	struct best *best = calloc((size_t)n, sizeof(*best));

	measure_words(w);
	say_lengths(w, rows, name, out);
	for (int64_t i = 0; best && i < n; i++)
		best[i].cosine = -1;
	for (int64_t at = 0; score && best && at < all; at += BLOCK)
		look_at(w, rows, at, all - at < BLOCK ? all - at : BLOCK, score, best);
	if (score && best)
		say_words(w, best, n, name, out);
	free(score);
	free(best);
}
