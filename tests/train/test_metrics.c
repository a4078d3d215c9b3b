/* Metrics against values computed apart from confusion counts and with a statistics package. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "train/metrics.h"

enum { MOST = 16 };

/* Logits whose largest is the guess. */
static void fill(float *logits, const int *guess, int n, int classes)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < classes; k++)
			logits[i * classes + k] = k == guess[i] ? 1.5f : -0.25f * (float)k;
}

static void three_classes(struct arena *a)
{
	static const int32_t label[] = { 0, 1, 2, 2, 1, 0, 2, 1, 1, 0 };
	static const int guess[] = { 0, 2, 2, 2, 1, 0, 1, 1, 0, 0 };
	static const int64_t confusion[] = { 3, 0, 0, 1, 2, 1, 0, 1, 2 };
	float logits[MOST * 3];
	struct scores s = { 0 };

	fill(logits, guess, 10, 3);
	CHECK(metrics_classification(a, logits, label, 10, 3, 0.625, &s) == TT_OK);
	CHECK_STR(s.score[0].name, "loss");
	CHECK_NEAR(scores_get(&s, "loss"), 0.625, 0);
	CHECK_NEAR(scores_get(&s, "accuracy"), 0.7, 1e-15);
	CHECK_NEAR(scores_get(&s, "macro_f1"), 0.6984126984126983, 1e-14);
	CHECK_NEAR(scores_get(&s, "mcc"), 0.5606060606060606, 1e-14);
	CHECK(isnan(scores_get(&s, "f1")));
	CHECK(s.examples == 10 && s.n_labels == 3);
	CHECK(!memcmp(s.confusion, confusion, sizeof(confusion)));
	for (int i = 0; i < 10; i++)
		CHECK(s.said[i] == guess[i]);
}

static void two_classes(struct arena *a)
{
	static const int32_t label[] = { 1, 0, 1, 1, 0, 0, 1 };
	static const int guess[] = { 1, 0, 0, 1, 1, 0, 1 };
	float logits[MOST * 2];
	struct scores s = { 0 };

	fill(logits, guess, 7, 2);
	CHECK(metrics_classification(a, logits, label, 7, 2, 0.5, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "accuracy"), 5.0 / 7, 1e-15);
	CHECK_NEAR(scores_get(&s, "f1"), 0.75, 1e-15);
	CHECK_NEAR(scores_get(&s, "macro_f1"), 0.7083333333333333, 1e-14);
	CHECK_NEAR(scores_get(&s, "mcc"), 0.4166666666666667, 1e-14);
}

/* All answers alike: nothing divides by zero, a label that never occurs does not count. */
static void one_answer(struct arena *a)
{
	static const int32_t label[] = { 0, 0, 2, 0 };
	static const int guess[] = { 0, 0, 0, 0 };
	float logits[MOST * 4];
	struct scores s = { 0 };

	fill(logits, guess, 4, 4);
	CHECK(metrics_classification(a, logits, label, 4, 4, 1, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "macro_f1"), (6.0 / 7 + 0) / 2, 1e-15);
	CHECK(scores_get(&s, "mcc") == 0);
	fill(logits, guess, 4, 2);
	CHECK(metrics_classification(a, logits, (const int32_t[]){ 0, 0, 0, 0 }, 4, 2, 1, &s) ==
	      TT_OK);
	CHECK(scores_get(&s, "f1") == 0 && scores_get(&s, "macro_f1") == 1);
}

static void ties_and_holes(struct arena *a)
{
	const float even[] = { 0.5f, 0.5f, 0.5f, 0.5f }, hole[] = { NAN, 1.0f, 0.0f, NAN };
	struct scores s = { 0 };

	CHECK(metrics_classification(a, even, (const int32_t[]){ 0, 1 }, 2, 2, 1, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "accuracy"), 0.5, 0); /* the first of the largest */
	CHECK(metrics_classification(a, hole, (const int32_t[]){ 1, 0 }, 2, 2, 1, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "accuracy"), 1, 0);
	CHECK(metrics_classification(a, even, (const int32_t[]){ 0, -1 }, 2, 2, 1, &s) ==
	      TT_INVALID);
	CHECK_STR(err_text(), "row 2 has no label, so there is nothing to measure");
	CHECK(metrics_classification(a, even, (const int32_t[]){ 0, 2 }, 2, 2, 1, &s) ==
	      TT_INVALID);
}

static void correlations(struct arena *a)
{
	const float x[] = { 2.5f, 0.5f, 3.0f, 3.0f, 1.25f, 4.75f }, y[] = { 2, 1, 3.5f, 2, 0, 5 };
	const float flat[] = { 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f };
	float far[6];
	struct scores s = { 0 };

	CHECK(metrics_regression(a, x, y, 6, 0.25, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "loss"), 0.25, 0);
	CHECK_NEAR(scores_get(&s, "pearson"), 0.9029721780392872, 1e-14);
	CHECK_NEAR(scores_get(&s, "spearman"), 0.8970588235294118, 1e-14);
	for (int i = 0; i < 6; i++) /* a large mean costs nothing: these sums are exact in fp32 */
		far[i] = x[i] + 4096;
	CHECK(metrics_regression(a, far, y, 6, 0.25, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "pearson"), 0.9029721780392872, 1e-12);
	CHECK(metrics_regression(a, flat, y, 6, 0.25, &s) == TT_OK);
	CHECK(isnan(scores_get(&s, "pearson")) && isnan(scores_get(&s, "spearman")));
	CHECK(metrics_regression(a, x, (const float[]){ 1, NAN }, 2, 1, &s) == TT_INVALID);
	CHECK(metrics_regression(a, x, y, 0, 1, &s) == TT_INVALID);
}

static void masked_words(void)
{
	struct scores s = { 0 };

	CHECK(metrics_mlm(3, 12, 2.0, &s) == TT_OK);
	CHECK_NEAR(scores_get(&s, "perplexity"), 7.38905609893065, 1e-13);
	CHECK_NEAR(scores_get(&s, "accuracy"), 0.25, 0);
	CHECK(s.examples == 12 && !s.confusion);
	CHECK(metrics_mlm(0, 0, 0, &s) == TT_INVALID);
}

static void names(void)
{
	CHECK_STR(metric_default(TASK_SEQ_CLS), "accuracy");
	CHECK_STR(metric_default(TASK_REGRESSION), "pearson");
	CHECK_STR(metric_default(TASK_MLM), "loss");
	CHECK(metric_greater_is_better("accuracy") && metric_greater_is_better("pearson"));
	CHECK(!metric_greater_is_better("loss") && !metric_greater_is_better("perplexity"));
	CHECK(metric_fits("f1", TASK_SEQ_CLS, 2) && !metric_fits("f1", TASK_SEQ_CLS, 3));
	CHECK(metric_fits("mcc", TASK_SEQ_CLS, 3) && !metric_fits("mcc", TASK_REGRESSION, 1));
	CHECK(metric_fits("perplexity", TASK_MLM, 99) && !metric_fits("bleu", TASK_MLM, 99));
}

int main(void)
{
	struct arena *a = arena_new();

	three_classes(a);
	two_classes(a);
	one_answer(a);
	ties_and_holes(a);
	correlations(a);
	masked_words();
	names();
	arena_free(a);
	return check_done();
}
