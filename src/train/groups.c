/* Labels of several tasks that share everything but the head. */
#include "train/groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { GROUPS_MAX = 32, NAME_MAX_BYTES = 128 };

struct group {
	char score[NAME_MAX_BYTES]; /* "accuracy/TASK" */
	struct span at;
};

struct groups {
	struct group group[GROUPS_MAX];
	int n;
	struct span *by_label;
};

static const char score_prefix[] = "accuracy/";

static bool same_task(const char *a, const char *b)
{
	const size_t n = (size_t)(strchr(a, '/') - a) + 1;

	return !strncmp(a, b, n);
}

static int check_name(const char *label)
{
	const char *slash = strchr(label, '/');

	if (!slash || slash == label || !slash[1])
		return err_set(TT_INVALID,
			       "task.label_groups: the label '%.100s' is not named TASK/LABEL",
			       label);
	if ((size_t)(slash - label) + sizeof(score_prefix) > NAME_MAX_BYTES)
		return err_set(TT_INVALID,
			       "task.label_groups: the task of the label '%.100s...' has a name "
			       "of more than %d bytes",
			       label, NAME_MAX_BYTES - (int)sizeof(score_prefix));
	return TT_OK;
}

/* Label i begins a task. */
static int group_begin(struct groups *g, const struct texts *labels, size_t i)
{
	const char *name = labels->item[i];

	for (size_t k = 0; k < i; k++)
		if (same_task(name, labels->item[k]))
			return err_set(TT_INVALID,
				       "task.label_groups: other labels stand between '%.100s' and "
				       "'%.100s'; those of a task must stand together",
				       labels->item[k], name);
	if (g->n == GROUPS_MAX)
		return err_set(TT_INVALID, "task.label_groups: there are more than %d tasks",
			       GROUPS_MAX);
	memcpy(g->group[g->n].score, score_prefix, sizeof(score_prefix));
	strncat(g->group[g->n].score, name, (size_t)(strchr(name, '/') - name));
	g->group[g->n++].at = (struct span){ (int32_t)i, (int32_t)i };
	return TT_OK;
}

static int find_groups(struct groups *g, const struct texts *labels)
{
	for (size_t i = 0; i < labels->n; i++) {
		int code = check_name(labels->item[i]);

		if (!code && (!i || !same_task(labels->item[i - 1], labels->item[i])))
			code = group_begin(g, labels, i);
		if (code)
			return code;
		g->group[g->n - 1].at.end = (int32_t)i + 1;
	}
	for (int k = 0; k < g->n; k++)
		if (g->group[k].at.end - g->group[k].at.first < 2)
			return err_set(TT_INVALID,
				       "task.label_groups: the task of '%.100s' has no other "
				       "label; it needs two or more",
				       labels->item[g->group[k].at.first]);
	return TT_OK;
}

int groups_new(const struct texts *labels, struct groups **ret)
{
	struct groups *g = calloc(1, sizeof(*g));
	int code;

	if (g)
		g->by_label = calloc(labels->n + 1, sizeof(*g->by_label));
	if (!g || !g->by_label) {
		groups_free(g);
		return err_set(TT_NOMEM, "not enough memory for the labels");
	}
	code = find_groups(g, labels);
	if (code) {
		groups_free(g);
		return code;
	}
	for (int k = 0; k < g->n; k++)
		for (int32_t i = g->group[k].at.first; i < g->group[k].at.end; i++)
			g->by_label[i] = g->group[k].at;
	*ret = g;
	return TT_OK;
}

void groups_free(struct groups *g)
{
	if (g)
		free(g->by_label);
	free(g);
}

int groups_count(const struct groups *g) { return g ? g->n : 0; }

struct span groups_at(const struct groups *g, int i) { return g->group[i].at; }

const struct span *groups_spans(const struct groups *g) { return g ? g->by_label : NULL; }

void groups_mask(const struct groups *g, float *logits, const int32_t *label, int64_t n,
		 int64_t cols)
{
	for (int64_t i = 0; g && i < n; i++) {
		const struct span at = label[i] < 0 ? (struct span){ 0, (int32_t)cols }
						    : g->by_label[label[i]];

		for (int64_t k = 0; k < cols; k++)
			if (k < at.first || k >= at.end)
				logits[i * cols + k] = -INFINITY;
	}
}

void groups_score(const struct groups *g, struct scores *to)
{
	for (int k = 0; g && k < g->n && to->n < SCORES_MAX; k++) {
		const struct span at = g->group[k].at;
		int64_t all = 0, right = 0;

		for (int64_t i = at.first; i < at.end; i++) {
			right += to->confusion[i * to->n_labels + i];
			for (int64_t j = 0; j < to->n_labels; j++)
				all += to->confusion[i * to->n_labels + j];
		}
		to->score[to->n++] = (struct score){ g->group[k].score,
						     all ? (double)right / (double)all
							 : (double)NAN };
	}
}
