/* The stages of a run, for a method and the parts it is made of. */
#include "method/stages.h"

#include "base/err.h"
#include "tensor/graph.h"
#include "tensor/op.h"

int stage_plan(struct method *m, int64_t steps)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_plan(m->part[i], steps);

		if (code)
			return code;
	}
	return m->ops->plan ? m->ops->plan(m, steps) : TT_OK;
}

int stage_prime(struct method *m, const struct probe *p)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_prime(m->part[i], p);

		if (code)
			return code;
	}
	return m->ops->prime ? m->ops->prime(m, p) : TT_OK;
}

bool stage_has_tape(const struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		if (stage_has_tape(m->part[i]))
			return true;
	}
	return m->ops->before_step || m->ops->penalty;
}

int stage_before(struct method *m, struct graph *step)
{
	for (size_t i = 0; i < m->nmade; i++)
		m->made[i].value = NULL;
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_before(m->part[i], step);

		if (code)
			return code;
	}
	return m->ops->before_step ? m->ops->before_step(m, step) : TT_OK;
}

/* The sum of all penalties; *ret stays NULL without one. */
static int add_penalties(struct method *m, struct graph *step, struct tensor **ret)
{
	struct tensor *own;

	for (size_t i = 0; i < m->nparts; i++) {
		const int code = add_penalties(m->part[i], step, ret);

		if (code)
			return code;
	}
	if (!m->ops->penalty)
		return TT_OK;
	own = m->ops->penalty(m, step);
	*ret = own && *ret ? op_add(step, *ret, own) : own;
	return *ret ? TT_OK : err_in("the penalty of method %s", m->ops->name);
}

/* What the shards added to the leaves is the gradient of what these were made from. */
static void hand_back(struct method *m, struct leaves *leaves)
{
	for (size_t i = 0; i < m->nmade; i++) {
		struct tensor *value = m->made[i].value;

		if (!value || !value->needs)
			continue;
		leaves_sum(leaves, m->made[i].leaf->slot);
		value->grad = m->made[i].leaf->grad;
		value->has_grad = true;
	}
}

int stage_after(struct method *m, struct graph *step, struct leaves *leaves, double *ret_penalty)
{
	struct tensor *penalty = NULL;

	if (add_penalties(m, step, &penalty)) {
		graph_end(step);
		return TT_NOMEM;
	}
	*ret_penalty = penalty ? (double)penalty->data[0] : 0;
	hand_back(m, leaves);
	return graph_backward(step, penalty);
}

int stage_gradients(struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_gradients(m->part[i]);

		if (code)
			return code;
	}
	return m->ops->gradients ? m->ops->gradients(m) : TT_OK;
}

int stage_update(struct method *m, int64_t step)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_update(m->part[i], step);

		if (code)
			return code;
	}
	return m->ops->before_update ? m->ops->before_update(m, step) : TT_OK;
}

int stage_done(struct method *m, int64_t step)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_done(m->part[i], step);

		if (code)
			return code;
	}
	return m->ops->after_step ? m->ops->after_step(m, step) : TT_OK;
}

bool stage_reties(const struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		if (stage_reties(m->part[i]))
			return true;
	}
	return m->ops->retie;
}

int stage_retie(struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_retie(m->part[i]);

		if (code)
			return code;
	}
	return m->ops->retie ? m->ops->retie(m) : TT_OK;
}

int stage_restored(struct method *m)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_restored(m->part[i]);

		if (code)
			return code;
	}
	return m->ops->restored ? m->ops->restored(m) : TT_OK;
}

int stage_loaded(struct method *m, bool encoder)
{
	for (size_t i = 0; i < m->nparts; i++) {
		const int code = stage_loaded(m->part[i], encoder);

		if (code)
			return code;
	}
	return m->ops->loaded ? m->ops->loaded(m, encoder) : TT_OK;
}

void stage_watch(struct method *m, const struct watch *out)
{
	for (size_t i = 0; i < m->nparts; i++)
		stage_watch(m->part[i], out);
	if (m->ops->watch)
		m->ops->watch(m, out);
}

int stage_refresh(struct method *m)
{
	const struct pass pass = { .train = false, .seed = m->seed };
	struct graph *g;
	int code;

	if (!stage_has_tape(m))
		return TT_OK;
	code = graph_new(m->model->gemm, &g);
	if (code)
		return code;
	graph_begin(g, &pass, NULL, 0);
	code = stage_before(m, g);
	graph_free(g);
	return code;
}

double stage_learning_rate(const struct method *m, const struct tensor *t, double base)
{
	const struct method *owner = method_owner(m, t);

	return owner && owner->ops->learning_rate ? owner->ops->learning_rate(owner, t, base)
						  : base;
}

double stage_weight_decay(const struct method *m, const struct tensor *t, double base)
{
	const struct method *owner = method_owner(m, t);

	return owner && owner->ops->weight_decay ? owner->ops->weight_decay(owner, t, base) : base;
}

enum adamw_form stage_adamw(const struct method *m, const struct tensor *t)
{
	const struct method *owner = method_owner(m, t);

	return owner ? owner->ops->adamw : ADAMW_TORCH;
}
