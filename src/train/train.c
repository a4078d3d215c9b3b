/* A trainer: what it is made of, what it refuses, how long it runs. The run itself is run.c. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "method/stages.h"
#include "tensor/graph.h"
#include "tensor/leaves.h"
#include "train/groups.h"
#include "train/optim.h"
#include "train/schedule.h"
#include "train/step.h"

static int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

struct train_plan train_plan(const struct train_settings *s, int64_t rows)
{
	struct train_plan p = { .window = rows > 1 ? rows : 1 };
	const int64_t batch = s->per_device_train_batch_size, many = s->gradient_accumulation_steps;

	if (batch < p.window && many <= p.window / batch) /* so that the product cannot overflow */
		p.window = batch * many;
	p.steps_per_epoch = divide_up(rows, p.window);
	if (s->max_steps != KNOB_NONE)
		p.total_steps = s->max_steps;
	else
		p.total_steps = (int64_t)ceil(s->num_train_epochs * (double)p.steps_per_epoch);
	if (s->warmup_steps > 0)
		p.warmup_steps = s->warmup_steps;
	else
		p.warmup_steps = (int64_t)ceil((double)p.total_steps * s->warmup_ratio);
	return p;
}

const char *train_metric(const struct recipe *r)
{
	return r->task.metric == METRIC_DEFAULT ? metric_default(r->task.type)
						: recipe_metric_name(r->task.metric);
}

/* ---- what is refused ---- */

static int check_task(const struct trainer *t)
{
	const struct recipe *r = t->recipe;
	const struct tokenizer_roles *roles;

	if (r->task.type == TASK_QUESTION_ANSWERING || r->task.type == TASK_CAUSAL_LM ||
	    r->task.type == TASK_SEQ2SEQ_LM)
		return err_set(TT_INVALID,
			       "task.type %s is not in this version; seq_cls, regression, "
			       "token_cls, cloze and mlm are",
			       recipe_task_name(r->task.type));
	if (!metric_fits(train_metric(r), r->task.type, train_columns(t)))
		return err_set(TT_INVALID, "task.metric %s does not fit task %s with %lld labels",
			       train_metric(r), recipe_task_name(r->task.type),
			       (long long)train_columns(t));
	if (r->task.label_groups && r->task.type != TASK_SEQ_CLS)
		return err_set(TT_INVALID, "task.label_groups goes with task.type seq_cls, not %s",
			       recipe_task_name(r->task.type));
	if (r->task.type != TASK_MLM)
		return TT_OK;
	roles = t->tokenizer ? tokenizer_roles(t->tokenizer) : NULL;
	if (!roles || roles->mask < 0)
		return err_set(TT_INVALID, "task mlm needs a tokenizer with a mask token");
	if (tokenizer_size(t->tokenizer) > t->model->hp.vocab_size)
		return err_set(TT_INVALID, "the tokenizer has %lld tokens, the model only %lld",
			       (long long)tokenizer_size(t->tokenizer),
			       (long long)t->model->hp.vocab_size);
	return TT_OK;
}

/* A method that has a form of AdamW for itself is not what it is with another optimizer. */
static int check_optim(const struct trainer *t)
{
	const struct method *m = t->method;

	for (size_t i = 0; t->recipe->train.optim != OPTIM_ADAMW && i < m->nparam; i++) {
		if (stage_adamw(m, m->param[i]) != ADAMW_TORCH)
			return err_set(
				TT_INVALID,
				"method '%s' has an AdamW of its own, so train.optim must be "
				"adamw",
				method_owner(m, m->param[i])->ops->name);
	}
	return TT_OK;
}

static int check_settings(const struct trainer *t)
{
	const struct train_settings *s = &t->recipe->train;

	if (!t->method || !t->method->nparam)
		return err_set(TT_INVALID, "nothing trains: peft.method picked no parameter");
	if (t->method->untrainable)
		return err_set(TT_INVALID, "%s", t->method->untrainable);
	if (!dataset_count(t->train))
		return err_set(TT_INVALID, "the training data has no rows");
	if (s->early_stopping_patience != KNOB_NONE && !t->validation)
		return err_set(TT_INVALID,
			       "train.early_stopping_patience needs data.validation to look at");
	if (s->load_best_model_at_end && !t->validation)
		return err_set(
			TT_INVALID,
			"train.load_best_model_at_end needs data.validation to tell the best");
	if (s->label_smoothing_factor > 0 && t->recipe->task.type == TASK_REGRESSION)
		return err_set(TT_INVALID,
			       "train.label_smoothing_factor does not go with task regression");
	if (s->lr_scheduler_type == SCHEDULE_POLYNOMIAL &&
	    !(s->learning_rate > SCHEDULE_POLYNOMIAL_END))
		return err_set(
			TT_INVALID,
			"train.lr_scheduler_type polynomial ends at 1e-7, so train.learning_rate "
			"must be larger");
	return check_optim(t);
}

/* ---- making ---- */

static int open_graphs(struct trainer *t)
{
	t->threads = pool_threads(t->pool);
	t->graph = calloc((size_t)t->threads + 1, sizeof(struct graph *));
	t->arena = arena_new();
	if (!t->graph || !t->arena)
		return err_set(TT_NOMEM, "not enough memory for a trainer");
	for (int i = 0; i <= t->threads; i++) {
		const int rc = graph_new(t->gemm, &t->graph[i]);

		if (rc)
			return rc;
	}
	return TT_OK;
}

/* The recipe's rate and decay, as the method wants them for each parameter. */
static struct optim_rule rule_of(const struct trainer *t, const struct tensor *p)
{
	const struct train_settings *s = &t->recipe->train;
	const enum adamw_form form = stage_adamw(t->method, p);
	const bool decays = form == ADAMW_TRANSFORMERS || optim_decays(p->name);
	struct optim_rule rule = { .scale = 1,
				   .decay = decays ? s->weight_decay : 0,
				   .form = form };

	if (s->learning_rate > 0)
		rule.scale = stage_learning_rate(t->method, p, s->learning_rate) / s->learning_rate;
	rule.decay = stage_weight_decay(t->method, p, rule.decay);
	return rule;
}

static int open_optim(struct trainer *t)
{
	const size_t n = t->method->nparam;
	struct optim_rule *rule = calloc(n, sizeof(*rule));
	int rc;

	if (!rule)
		return err_set(TT_NOMEM, "not enough memory for a trainer");
	for (size_t i = 0; i < n; i++)
		rule[i] = rule_of(t, t->method->param[i]);
	rc = optim_new(&t->recipe->train, t->method->param, rule, n, &t->optim);
	free(rule);
	return rc;
}

static int open_gradients(struct trainer *t)
{
	const int rc = leaves_new(t->model->arena, t->method->leaves.item, t->method->leaves.n,
				  &t->leaves);

	return rc ? rc : open_optim(t);
}

int train_relist(struct trainer *t)
{
	const int64_t extra = method_extra_count(t->method);
	int rc;

	leaves_free(t->leaves);
	optim_free(t->optim);
	t->leaves = NULL;
	t->optim = NULL;
	rc = open_gradients(t);
	if (!rc && t->sink && t->sink->trains)
		t->sink->trains(t->sink->arg, method_param_count(t->method),
				model_param_count(t->model) + extra);
	return rc;
}

int train_open(struct trainer *t)
{
	int rc = check_task(t);

	if (!rc)
		rc = open_graphs(t);
	if (!rc)
		rc = step_open(t);
	if (!rc && t->recipe->task.label_groups)
		rc = groups_new(&t->recipe->task.labels, &t->groups);
	if (!rc && t->train) {
		rc = check_settings(t);
		if (!rc)
			rc = stage_plan(t->method, train_plan(&t->recipe->train,
							      (int64_t)dataset_count(t->train))
							   .total_steps);
		if (!rc)
			rc = open_gradients(t);
	}
	if (rc)
		train_close(t);
	return rc;
}

void train_close(struct trainer *t)
{
	for (int i = 0; t->graph && i <= t->threads; i++)
		graph_free(t->graph[i]);
	free(t->graph);
	step_close(t);
	leaves_free(t->leaves);
	groups_free(t->groups);
	optim_free(t->optim);
	arena_free(t->arena);
	t->graph = NULL;
	t->leaves = NULL;
	t->groups = NULL;
	t->optim = NULL;
	t->arena = NULL;
}
