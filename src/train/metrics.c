/*
 * Metrics. Sums are in double and in row order, so that a value depends on the
 * answers alone. Where a formula divides by zero the value is 0 (F1, Matthews)
 * or NaN (the correlation of a constant), as the usual libraries have it.
 */
#include "train/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"

static void add(struct scores *s, const char *name, double value)
{
	assert(s->n < (int)COUNT(s->score));
	s->score[s->n++] = (struct score){ name, value };
}

/* The first of the largest; anything beats NaN. */
static int64_t argmax(const float *x, int64_t n)
{
	int64_t at = 0;

	for (int64_t i = 1; i < n; i++)
		if (x[i] > x[at] || (isnan(x[at]) && !isnan(x[i])))
			at = i;
	return at;
}

/* What the confusion matrix says of one label. */
struct tally {
	double both, truth, guess;
};

static struct tally tally(const struct scores *s, int64_t label)
{
	const int64_t n = s->n_labels;
	struct tally t = { .both = (double)s->confusion[label * n + label] };

	for (int64_t i = 0; i < n; i++) {
		t.truth += (double)s->confusion[label * n + i];
		t.guess += (double)s->confusion[i * n + label];
	}
	return t;
}

static double f1(const struct tally *t)
{
	const double below = t->truth + t->guess;

	return below > 0 ? 2 * t->both / below : 0;
}

/* The mean over the labels that occur, as truth or as guess. */
static double macro_f1(const struct scores *s)
{
	double sum = 0;
	int64_t seen = 0;

	for (int64_t i = 0; i < s->n_labels; i++) {
		const struct tally t = tally(s, i);

		if (t.truth + t.guess > 0) {
			sum += f1(&t);
			seen++;
		}
	}
	return seen ? sum / (double)seen : 0;
}

static double matthews(const struct scores *s)
{
	const double all = (double)s->examples;
	double right = 0, both = 0, truth = 0, guess = 0, below;

	for (int64_t i = 0; i < s->n_labels; i++) {
		const struct tally t = tally(s, i);

		right += t.both;
		both += t.truth * t.guess;
		truth += t.truth * t.truth;
		guess += t.guess * t.guess;
	}
	below = sqrt(all * all - guess) * sqrt(all * all - truth);
	return below > 0 ? (right * all - both) / below : 0;
}

int metrics_classification(struct arena *a, const float *logits, const int32_t *label, int64_t n,
			   int64_t classes, double loss, struct scores *ret)
{
	struct scores s = { .examples = n, .n_labels = classes };
	int64_t right = 0;

	if (n < 1)
		return err_set(TT_INVALID, "there is no row to measure on");
	s.confusion = arena_zero(a, (size_t)classes * (size_t)classes, sizeof(*s.confusion));
	s.said = arena_alloc(a, (size_t)n * sizeof(*s.said));
	if (!s.confusion || !s.said)
		return err_in("the confusion matrix of %lld labels", (long long)classes);
	for (int64_t i = 0; i < n; i++) {
		const int64_t guess = argmax(logits + i * classes, classes);

		if (label[i] < 0 || label[i] >= classes)
			return err_set(TT_INVALID,
				       "row %lld has no label, so there is nothing to measure",
				       (long long)i + 1);
		s.confusion[label[i] * classes + guess]++;
		s.said[i] = (int32_t)guess;
		right += guess == label[i];
	}
	add(&s, "loss", loss);
	add(&s, "accuracy", (double)right / (double)n);
	if (classes == 2) {
		const struct tally positive = tally(&s, 1);

		add(&s, "f1", f1(&positive));
	}
	add(&s, "macro_f1", macro_f1(&s));
	add(&s, "mcc", matthews(&s));
	*ret = s;
	return TT_OK;
}

/* Centred in a first pass, so that a large mean costs no digits. NaN when one side is constant. */
static double pearson(const double *x, const double *y, int64_t n)
{
	double mean_x = 0, mean_y = 0, xy = 0, xx = 0, yy = 0;

	for (int64_t i = 0; i < n; i++) {
		mean_x += x[i] / (double)n;
		mean_y += y[i] / (double)n;
	}
	for (int64_t i = 0; i < n; i++) {
		const double dx = x[i] - mean_x, dy = y[i] - mean_y;

		xy += dx * dy;
		xx += dx * dx;
		yy += dy * dy;
	}
	return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
}

static bool constant(const float *x, int64_t n)
{
	for (int64_t i = 1; i < n; i++)
		if (x[i] != x[0])
			return false;
	return true;
}

struct place {
	float value;
	int64_t at;
};

static int by_value(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Ranks from 1; equal values share the mean of their ranks. */
static void rank(const float *x, int64_t n, struct place *work, double *ret)
{
	for (int64_t i = 0; i < n; i++)
		work[i] = (struct place){ x[i], i };
	qsort(work, (size_t)n, sizeof(*work), by_value);
	for (int64_t i = 0; i < n;) {
		int64_t end = i + 1;

		while (end < n && work[end].value == work[i].value)
			end++;
		for (int64_t k = i; k < end; k++)
			ret[work[k].at] = (double)(i + 1 + end) / 2;
		i = end;
	}
}

static bool finite_all(const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

int metrics_regression(struct arena *a, const float *pred, const float *value, int64_t n,
		       double loss, struct scores *ret)
{
	struct scores s = { .examples = n };
	const struct arena_mark mark = arena_mark(a);
	struct place *work;
	double *x, *y, r = NAN, rho = NAN;

	if (n < 1)
		return err_set(TT_INVALID, "there is no row to measure on");
	for (int64_t i = 0; i < n; i++)
		if (isnan(value[i]))
			return err_set(TT_INVALID,
				       "row %lld has no label, so there is nothing to measure",
				       (long long)i + 1);
	work = arena_zero(a, (size_t)n, sizeof(*work));
	x = arena_zero(a, (size_t)n, sizeof(*x));
	y = arena_zero(a, (size_t)n, sizeof(*y));
	if (!work || !x || !y)
		return err_in("the correlations of %lld rows", (long long)n);
	if (finite_all(pred, n) && finite_all(value, n) && !constant(pred, n) &&
	    !constant(value, n)) {
		for (int64_t i = 0; i < n; i++) {
			x[i] = (double)pred[i];
			y[i] = (double)value[i];
		}
		r = pearson(x, y, n);
		rank(pred, n, work, x);
		rank(value, n, work, y);
		rho = pearson(x, y, n);
	}
	arena_rewind(a, mark);
	add(&s, "loss", loss);
	add(&s, "pearson", r);
	add(&s, "spearman", rho);
	*ret = s;
	return TT_OK;
}

int metrics_mlm(int64_t correct, int64_t tokens, double loss, struct scores *ret)
{
	struct scores s = { .examples = tokens };

	if (tokens < 1)
		return err_set(TT_INVALID,
			       "no token of the data was masked, so there is nothing to measure: "
			       "it is too short");
	add(&s, "loss", loss);
	add(&s, "perplexity", exp(loss));
	add(&s, "accuracy", (double)correct / (double)tokens);
	*ret = s;
	return TT_OK;
}

double scores_get(const struct scores *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (!strcmp(s->score[i].name, name))
			return s->score[i].value;
	return NAN;
}

const char *metric_default(int task)
{
	switch (task) {
	case TASK_REGRESSION: return "pearson";
	case TASK_SEQ_CLS:
	case TASK_TOKEN_CLS:
	case TASK_CLOZE: return "accuracy";
	default: return "loss";
	}
}

bool metric_greater_is_better(const char *name)
{
	return strcmp(name, "loss") && strcmp(name, "perplexity");
}

bool metric_fits(const char *name, int task, int64_t classes)
{
	static const char *const of_classes[] = { "loss", "accuracy", "macro_f1", "mcc" };
	static const char *const of_numbers[] = { "loss", "pearson", "spearman" };
	static const char *const of_tokens[] = { "loss", "perplexity", "accuracy" };
	const char *const *list = of_tokens;
	size_t n = COUNT(of_tokens);

	if (task == TASK_SEQ_CLS || task == TASK_TOKEN_CLS || task == TASK_CLOZE) {
		list = of_classes;
		n = COUNT(of_classes);
		if (classes == 2 && !strcmp(name, "f1"))
			return true;
	} else if (task == TASK_REGRESSION) {
		list = of_numbers;
		n = COUNT(of_numbers);
	}
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}
