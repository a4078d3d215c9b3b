/*
 * Before the first step: passes over the training data for methods that choose
 * what trains by looking (Fisher masks, LoRA-drop).
 *
 * Passes count as steps before the first: their numbers go down from 0, so what
 * they draw is drawn by no step of the run. All of it is a function of recipe
 * and data, so a run that is killed before its first checkpoint does it again
 * with the same bits.
 */
#include "train/prime.h"

#include <math.h>

#include "base/err.h"
#include "method/stages.h"
#include "tensor/graph.h"
#include "train/optim.h"
#include "train/step.h"

struct prime {
	struct trainer *t;
	int64_t passes, updates;
};

/* A run that is stopped here has nothing to save, and looks at the data again when it goes on. */
static int stopped(const struct trainer *t)
{
	const struct sink *s = t->sink;

	if (s && s->stop && s->stop(s->arg))
		return err_set(TT_STOPPED, "stopped while the method looked at the data");
	return TT_OK;
}

static int gradients(void *arg, const int64_t *row, size_t n, double *ret_loss)
{
	struct prime *p = arg;
	const struct window w = { .row = row, .n = n, .step = -p->passes++ };
	struct gradients g;
	int rc = stopped(p->t);

	if (!rc)
		rc = step_gradients(p->t, &w, NULL, &g);

	if (!rc && ret_loss)
		*ret_loss = g.loss;
	return rc;
}

static int step(void *arg, const int64_t *row, size_t n, double rate)
{
	struct prime *p = arg;
	struct trainer *t = p->t;
	const double most = t->recipe->train.max_grad_norm;
	double norm;
	int rc = gradients(p, row, n, NULL);

	if (rc)
		return rc;
	norm = optim_norm(t->optim, t->pool);
	if (!isfinite(norm))
		return err_set(TT_INVALID,
			       "the gradient's norm is not finite while method '%s' looks at the "
			       "data; a lower train.learning_rate often helps",
			       t->method->ops->name);
	if (most > 0 && norm > most)
		optim_scale(t->optim, t->pool, most / (norm + 1e-6));
	optim_step(t->optim, t->pool, rate, ++p->updates);
	return TT_OK;
}

/* One row a batch: its numbers do not depend on who else is looked at. */
static int visit_row(struct trainer *t, int64_t row)
{
	const struct pass pass = { .train = false, .seed = (uint64_t)t->recipe->train.seed };
	const struct example ex = dataset_example(t->train, (size_t)row);
	struct batch b;
	int rc = shard_pack(t, t->arena, &ex, 1, 0, &b);

	if (rc || !b.rows)
		return rc;
	graph_begin(t->graph[0], &pass, NULL, 0);
	return model_forward(t->model, t->graph[0], &b) ? TT_OK : TT_INVALID;
}

static int visit(void *arg, const int64_t *row, size_t n)
{
	struct prime *p = arg;
	struct trainer *t = p->t;
	int rc = stage_refresh(t->method);

	for (size_t i = 0; !rc && i < n; i++) {
		arena_rewind(t->arena, (struct arena_mark){ 0, 0 });
		rc = stopped(t);
		if (!rc)
			rc = visit_row(t, row[i]);
	}
	return rc;
}

/* Is less read of a gradient than what was seen of it? Its memory is given back then. */
static bool wants_rows(const struct method *m)
{
	for (size_t i = 0; i < m->leaves.n; i++) {
		if (m->leaves.item[i]->grad_rows || !m->leaves.item[i]->needs)
			return true;
	}
	return false;
}

int prime_run(struct trainer *t)
{
	struct prime p = { .t = t };
	const int64_t rows = (int64_t)dataset_count(t->train);
	const size_t trains = t->method->nparam;
	const struct probe probe = {
		.rows = rows,
		.window = train_plan(&t->recipe->train, rows).window,
		.rate = t->recipe->train.learning_rate,
		.gradients = gradients,
		.step = step,
		.visit = visit,
		.arg = &p,
	};
	const int rc = stage_prime(t->method, &probe);

	if (!rc && (t->method->nparam != trains || wants_rows(t->method)))
		return train_relist(t);
	optim_reset(t->optim);
	return rc;
}
