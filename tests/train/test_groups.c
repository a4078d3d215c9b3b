/* Labels of several tasks: which belong together, what is refused, and each task's answers. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "train/groups.h"

enum { LABELS = 5 };

static const char *const names[LABELS] = { "mr/negative", "mr/positive", "q/a", "q/b", "q/c/d" };

static struct groups *made(void)
{
	const struct texts labels = { names, LABELS, true };
	struct groups *g = NULL;

	CHECK(groups_new(&labels, &g) == TT_OK);
	return g;
}

static void labels_of_a_task_stand_together(void)
{
	struct groups *g = made();
	const struct span *at = groups_spans(g);

	CHECK(groups_count(g) == 2);
	CHECK(groups_at(g, 0).first == 0 && groups_at(g, 0).end == 2);
	CHECK(groups_at(g, 1).first == 2 && groups_at(g, 1).end == LABELS);
	for (int i = 0; i < LABELS; i++)
		CHECK(at[i].first == (i < 2 ? 0 : 2) && at[i].end == (i < 2 ? 2 : LABELS));
	groups_free(g);
	CHECK(!groups_count(NULL) && !groups_spans(NULL));
}

static const struct {
	const char *label[4];
	size_t n;
	const char *says;
} refused[] = {
	{ { "a/x", "a/y", "plain" }, 3, "'plain' is not named TASK/LABEL" },
	{ { "/x", "/y" }, 2, "'/x' is not named TASK/LABEL" },
	{ { "a/", "a/y" }, 2, "'a/' is not named TASK/LABEL" },
	{ { "a/x", "b/x", "b/y", "a/y" }, 4, "must stand together" },
	{ { "a/x", "a/y", "b/x" }, 3, "the task of 'b/x' has no other label" },
};

static void others_are_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		const struct texts labels = { (const char **)(uintptr_t)refused[i].label,
					      refused[i].n, true };
		struct groups *g = NULL;

		CHECK_NAMED(groups_new(&labels, &g) == TT_INVALID && !g, refused[i].says);
		CHECK_NAMED(strstr(err_text(), refused[i].says) != NULL, refused[i].says);
	}
}

/* The largest of all is another task's, so without the mask no row were right. */
static void a_row_is_answered_by_its_task(struct arena *a)
{
	static const int32_t label[] = { 1, 0, 4, 2, -1 };
	float logits[][LABELS] = { { 0, 1, 9, 0, 0 },
				   { 0, 1, 9, 0, 0 },
				   { 9, 0, 0, 0, 1 },
				   { 9, 0, 0, 0, 1 },
				   { 9, 0, 0, 0, 1 } };
	struct groups *g = made();
	struct scores s = { 0 };

	groups_mask(g, logits[0], label, 5, LABELS);
	CHECK(isinf(logits[0][2]) && logits[0][2] < 0 && logits[0][0] == 0);
	CHECK(isinf(logits[2][0]) && logits[2][4] == 1 && logits[4][0] == 9);
	CHECK(metrics_classification(a, logits[0], label, 4, LABELS, 0.5, &s) == TT_OK);
	groups_score(g, &s);
	CHECK_NEAR(scores_get(&s, "accuracy"), 0.5, 0);
	CHECK_NEAR(scores_get(&s, "accuracy/mr"), 0.5, 0);
	CHECK_NEAR(scores_get(&s, "accuracy/q"), 0.5, 0);
	groups_free(g);
}

int main(void)
{
	struct arena *a = arena_new();

	labels_of_a_task_stand_together();
	others_are_refused();
	a_row_is_answered_by_its_task(a);
	arena_free(a);
	return check_done();
}
