/*
 * What a method makes on its own tape: gradients of what the shards add to it go
 * back to the parameters, by the tape or by the method's hand; and parts of a
 * combination.
 */
#include "tests/method/bench.h"

#include "method/combined.h"

#define QUERY "bert.encoder.layer.0.attention.self.query"
#define KEY "bert.encoder.layer.1.attention.self.key"

enum { HIDDEN = 8 };

struct doubled {
	struct tensor *half, *bias, *moved, *weight;
};

static struct tensor *with_bias(struct graph *g, struct site *s, struct tensor *x)
{
	const struct doubled *d = s->state;

	return op_linear(g, x, s->weight, d->bias);
}

static const struct hooks hooks = { .linear = with_bias };

/* The query's bias is twice a vector; the key's weight is what it was plus a matrix. */
static int doubled_begin(struct method *m)
{
	struct doubled *d = method_alloc(m, sizeof(*d));
	struct site *s = model_site(m->model, QUERY);

	m->state = d;
	d->half = method_param(m, QUERY, "half", 1, (int64_t[]){ HIDDEN }, INIT_NORMAL, 0.1);
	d->bias = method_new_made(m, "bias", 1, (int64_t[]){ HIDDEN });
	d->moved = method_param(m, KEY, "moved", 2, (int64_t[]){ HIDDEN, HIDDEN }, INIT_ZERO, 0);
	d->weight = model_site(m->model, KEY)->weight;
	if (!d->half || !d->bias || !d->moved || method_make_base(m, d->weight))
		return TT_NOMEM;
	return method_plug(m, s, &hooks, d);
}

static int doubled_before(struct method *m, struct graph *step)
{
	const struct doubled *d = m->state;

	for (int64_t i = 0; i < tensor_count(d->weight); i++)
		d->weight->data[i] = 0.01f * (float)(i % 7) + d->moved->data[i];
	return method_make(m, d->bias, op_scale(step, d->half, 2));
}

static int doubled_gradients(struct method *m)
{
	const struct doubled *d = m->state;

	/* beside what the penalty's tape has put there */
	for (int64_t i = 0; i < tensor_count(d->weight); i++)
		d->moved->grad[i] += d->weight->grad[i];
	return TT_OK;
}

static struct tensor *doubled_penalty(struct method *m, struct graph *step)
{
	static const int32_t label[HIDDEN] = { 0 };
	const struct doubled *d = m->state;

	return op_cross_entropy(step, d->moved, label, 0, HIDDEN, NULL);
}

static const struct method_ops doubled = {
	.name = "doubled",
	.begin = doubled_begin,
	.before_step = doubled_before,
	.penalty = doubled_penalty,
	.gradients = doubled_gradients,
};

static void gradients_reach_what_it_was_made_from(void)
{
	struct bench b;
	double error;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	b.method = method_new(&doubled, NULL, b.model, TASK_SEQ_CLS, 42);
	CHECK(b.method && method_begin(b.method) == TT_OK && bench_ready(&b) == TT_OK);
	CHECK(b.method->nparam == 4 && b.method->leaves.n == 6); /* with the head's two */
	CHECK(!model_site(b.model, KEY)->weight->forward);
	error = bench_gradcheck(&b, 3e-3);
	if (!CHECK(error < 1e-2))
		printf("# error %g\n", error);
	bench_close(&b);
}

/* Two parts that train one head: it is one parameter; a site that both want is refused. */
static void parts_of_a_combination(void)
{
	struct bench b;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_attach(&b, "",
			   "[\"lora\", {\"target_modules\": [\"query\"]}, "
			   "\"bitfit\", {}]",
			   TASK_SEQ_CLS, 42) == TT_OK);
	CHECK(b.method->nparts == 2 && b.method->nsaved == 1 && b.method->saves_biases);
	for (size_t i = 0; i < b.method->nparam; i++) {
		const struct tensor *t = b.method->param[i];

		CHECK_NAMED(
			method_owner(b.method, t) ==
				b.method->part[strstr(t->name, "lora_") ||
							       !strncmp(t->name, "classifier", 10)
						       ? 0
						       : 1],
			t->name);
	}
	bench_close(&b);
	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_attach(&b, "", "[\"lora\", {}, \"lora\", {}]", TASK_SEQ_CLS, 42) == TT_INVALID);
	CHECK(strstr(err_text(), "already carries a method") && strstr(err_text(), "peft.1"));
	bench_close(&b);
	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_attach(&b, "", "[\"full\", {}, \"lora\", {}]", TASK_SEQ_CLS, 42) == TT_INVALID);
	CHECK(strstr(err_text(), "does not combine"));
	bench_close(&b);
}

int main(void)
{
	gradients_reach_what_it_was_made_from();
	parts_of_a_combination();
	return bench_done();
}
