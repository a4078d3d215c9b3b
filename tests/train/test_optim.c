/*
 * Optimizers against the formulas of torch and transformers, computed apart in double;
 * and on any number of threads.
 */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "tensor/kernel.h"
#include "train/optim.h"

enum { STEPS = 3, MOST = 12 };

static const double rate[STEPS] = { 0.1, 0.05, 0.02 };

/* The gradients and starting values of the reference. */
static void fill_grad(float *g, int n, int step)
{
	for (int i = 0; i < n; i++)
		g[i] = (float)((i * 7 + step * 5) % 11 - 5) * 0.1f;
}

static void fill_start(float *p, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (float)((i * 3) % 7 - 3) * 0.25f;
}

struct formula {
	const char *what;
	int optim, rank;
	int64_t dim[4];
	double momentum, decay, scale;
	double end[MOST];
};

static const struct formula cases[] = {
	{ "adamw with decay",
	  OPTIM_ADAMW,
	  2,
	  { 2, 3 },
	  0,
	  0.1,
	  1,
	  { -0.78313108, 0.137235816, 0.635915456, -0.176535619, 0.62263517, -0.569861085 } },
	{ "adamw", OPTIM_ADAMW, 1, { 3 }, 0, 0, 1, { -0.795895401, 0.137981855, 0.647911796 } },
	{ "adamw at twice the rate",
	  OPTIM_ADAMW,
	  1,
	  { 3 },
	  0,
	  0,
	  2,
	  { -0.841790802, 0.275963711, 0.545823592 } },
	{ "sgd with momentum and decay",
	  OPTIM_SGD,
	  2,
	  { 2, 3 },
	  0.9,
	  0.1,
	  1,
	  { -0.763340175, 0.0673024, 0.699690875, -0.250933625, 0.55770895, -0.49447965 } },
	{ "sgd with momentum", OPTIM_SGD, 1, { 3 }, 0.9, 0, 1, { -0.782, 0.06768, 0.71804 } },
	{ "sgd", OPTIM_SGD, 1, { 3 }, 0, 0, 1, { -0.773, 0.045, 0.731 } },
	{ "sgd with decay",
	  OPTIM_SGD,
	  2,
	  { 3, 2 },
	  0,
	  0.1,
	  1,
	  { -0.760259925, 0.0447304, 0.718489625, -0.251799875, 0.53119045, -0.49344015 } },
	{ "adafactor, a matrix",
	  OPTIM_ADAFACTOR,
	  2,
	  { 2, 3 },
	  0,
	  0.1,
	  1,
	  { -0.802270102, 0.100723309, 0.646892661, -0.154485985, 0.57130311, -0.510903855 } },
	{ "adafactor, a vector",
	  OPTIM_ADAFACTOR,
	  1,
	  { 3 },
	  0,
	  0,
	  1,
	  { -0.809237837, 0.10768326, 0.684798435 } },
	{ "adafactor, a stack",
	  OPTIM_ADAFACTOR,
	  3,
	  { 2, 2, 3 },
	  0,
	  0,
	  1,
	  { -0.81538165, 0.101273771, 0.658997698, -0.158104537, 0.580502214, -0.519521158,
	    0.287511188, -0.864111839, -0.0715618862, 0.860151854, -0.328651518, 0.439579048 } },
};

/* Computed by peft.optimizers.lorafa of PEFT 0.21, for a parameter that is not LoRA's. */
static const struct formula transformers = { "adamw as transformers had it",
					     OPTIM_ADAMW,
					     2,
					     { 2, 3 },
					     0,
					     0.1,
					     1,
					     { -0.782927573, 0.136093646, 0.636907756, -0.177393109,
					       0.621475697, -0.568960845 } };

static void try_formula(struct pool *pool, const struct formula *f, enum adamw_form form)
{
	const struct train_settings how = {
		.optim = f->optim,
		.adam_beta1 = 0.9,
		.adam_beta2 = 0.99,
		.adam_epsilon = form == ADAMW_TORCH ? 1e-6 : 1, /* the other has its own */
		.sgd_momentum = f->momentum,
	};
	const struct optim_rule rule = { f->scale, f->decay, form };
	float data[MOST], grad[MOST];
	struct tensor t = { .name = "w", .rank = f->rank, .data = data, .grad = grad }, *list = &t;
	struct optim *o = NULL;
	int n;

	memcpy(t.dim, f->dim, sizeof(t.dim));
	n = (int)tensor_count(&t);
	fill_start(data, n);
	CHECK_NAMED(optim_new(&how, &list, &rule, 1, &o) == TT_OK, f->what);
	for (int step = 1; step <= STEPS; step++) {
		fill_grad(grad, n, step);
		optim_step(o, pool, rate[step - 1], step);
	}
	for (int k = 0; k < n; k++) /* a few fp32 roundings of numbers below one */
		CHECK_NAMED(fabs((double)data[k] - f->end[k]) < 5e-7, f->what);
	optim_free(o);
}

static void formulas(struct pool *pool)
{
	for (size_t i = 0; i < COUNT(cases); i++)
		try_formula(pool, &cases[i], ADAMW_TORCH);
	try_formula(pool, &transformers, ADAMW_TRANSFORMERS);
}

static void clipping(struct pool *pool)
{
	const struct train_settings how = { .optim = OPTIM_SGD };
	const struct optim_rule rule[2] = { { .scale = 1 }, { .scale = 1 } };
	float data[9] = { 0 }, grad[9];
	struct tensor a = { .name = "a", .rank = 1, .dim = { 6 }, .data = data, .grad = grad };
	struct tensor b = {
		.name = "b", .rank = 1, .dim = { 3 }, .data = data + 6, .grad = grad + 6
	};
	struct tensor *list[2] = { &a, &b };
	struct optim *o = NULL;

	fill_grad(grad, 6, 1);
	fill_grad(grad + 6, 3, 1);
	CHECK(optim_new(&how, list, rule, 2, &o) == TT_OK);
	CHECK(optim_state_count(o) == 0);
	CHECK_NEAR(optim_norm(o, pool), 0.8944271909999159, 1e-7);
	optim_scale(o, pool, 0.5);
	CHECK_NEAR(optim_norm(o, pool), 0.44721359549995793, 1e-7);
	grad[4] = NAN;
	CHECK(isnan(optim_norm(o, pool)));
	optim_free(o);
}

/* Large enough for several pieces, and a remainder. */
enum { LARGE = 200001 };

static double run_large(int threads, float *data)
{
	const struct train_settings how = {
		.optim = OPTIM_ADAMW, .adam_beta1 = 0.9, .adam_beta2 = 0.99, .adam_epsilon = 1e-8
	};
	const struct optim_rule rule = { .scale = 1, .decay = 0.01 };
	float *grad = malloc(LARGE * sizeof(*grad));
	struct tensor t = { .name = "w", .rank = 1, .dim = { LARGE }, .data = data, .grad = grad },
		      *list = &t;
	struct optim *o = NULL;
	struct pool *pool = NULL;
	double norm = 0;

	fill_start(data, LARGE);
	if (grad && !pool_new(threads, &pool) && !optim_new(&how, &list, &rule, 1, &o)) {
		for (int step = 1; step <= STEPS; step++) {
			fill_grad(grad, LARGE, step);
			for (int i = 0; i < LARGE; i++)
				grad[i] *= 1.0f + (float)i * 1e-5f;
			norm += optim_norm(o, pool);
			optim_step(o, pool, rate[step - 1], step);
		}
	}
	optim_free(o);
	pool_free(pool);
	free(grad);
	return norm;
}

static void threads_do_not_matter(void)
{
	float *one = malloc(LARGE * sizeof(*one)), *more = malloc(LARGE * sizeof(*more));
	const double norm = run_large(1, one);

	CHECK(norm > 0);
	for (int threads = 2; threads <= 3; threads++) {
		const double again = run_large(threads, more);

		CHECK(!memcmp(&norm, &again, sizeof(norm)));
		CHECK(!memcmp(one, more, LARGE * sizeof(*one)));
	}
	free(one);
	free(more);
}

/* Parts without a gradient so far are passed over, with the bits of the kernel over all. */
static void resting_parts_change_nothing(struct pool *pool)
{
	static const struct train_settings how = {
		.optim = OPTIM_ADAMW, .adam_beta1 = 0.9, .adam_beta2 = 0.99, .adam_epsilon = 1e-8
	};
	const struct optim_rule rule = { .scale = 1, .decay = 0.01 };
	float *all = calloc(5 * (size_t)LARGE, sizeof(*all));
	float *data = all, *grad = all + LARGE, *other = grad + LARGE, *m = other + LARGE,
	      *v = m + LARGE;
	struct tensor t = { .name = "w", .rank = 1, .dim = { LARGE }, .data = data, .grad = grad },
		      *list = &t;
	struct optim *o = NULL;

	if (!all || optim_new(&how, &list, &rule, 1, &o))
		abort();
	fill_start(data, LARGE);
	fill_start(other, LARGE);
	for (int step = 1; step <= STEPS; step++) {
		const struct kernel_adamw k = { .lr = rate[step - 1],
						.beta1 = 0.9,
						.beta2 = 0.99,
						.eps = 1e-8,
						.decay = 0.01,
						.grad_scale = 1,
						.step = step };

		grad[70000] = 0.5F * (float)step;
		grad[0] = step == 1 ? 1 : 0; /* its moments go on */
		grad[LARGE - 1] = step == STEPS ? 1 : 0;
		optim_step(o, pool, rate[step - 1], step);
		kernel_adamw(other, m, v, grad, &k, LARGE);
	}
	CHECK(!memcmp(data, other, LARGE * sizeof(*data)));
	CHECK(!memcmp(optim_state(o, 0).data, m, LARGE * sizeof(*m)));
	CHECK(!memcmp(optim_state(o, 1).data, v, LARGE * sizeof(*v)));
	optim_scale(o, pool, 0.5);
	CHECK_NEAR(grad[70000], 0.75, 0);
	optim_free(o);
	free(all);
}

static const struct {
	const char *name;
	bool decays;
} names[] = {
	{ "bert.encoder.layer.0.attention.self.query.weight", true },
	{ "bert.encoder.layer.0.attention.self.query.bias", false },
	{ "bert.encoder.layer.0.attention.self.query.lora_A.weight", true },
	{ "bert.embeddings.LayerNorm.weight", false },
	{ "bert.embeddings.word_embeddings.weight", true },
	{ "model.layers.0.input_layernorm.weight", false },
	{ "model.norm.weight", false },
	{ "encoder.block.0.layer.0.layer_norm.weight", false },
	{ "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", false },
	{ "model.layers.0.self_attn.q_norm.weight", false },
	{ "transformer.normal.weight", true },
	{ "transformer.ln_f.weight", true },
	{ "x.lora_magnitude_vector", true },
	{ "norm", false },
};

static void eight_bits_are_refused(void)
{
	const struct train_settings how = { .optim = OPTIM_ADAMW_8BIT };
	const struct optim_rule rule = { .scale = 1 };
	float x[2] = { 0 };
	struct tensor t = { .name = "w", .rank = 1, .dim = { 1 }, .data = x, .grad = x + 1 },
		      *list = &t;
	struct optim *o = NULL;

	CHECK(optim_new(&how, &list, &rule, 1, &o) == TT_INVALID && !o);
	CHECK(strstr(err_text(), "adamw_8bit") != NULL);
}

int main(void)
{
	struct pool *pool = NULL;

	CHECK(pool_new(1, &pool) == TT_OK);
	formulas(pool);
	clipping(pool);
	resting_parts_change_nothing(pool);
	pool_free(pool);
	threads_do_not_matter();
	for (size_t i = 0; i < COUNT(names); i++)
		CHECK_NAMED(optim_decays(names[i].name) == names[i].decays, names[i].name);
	eight_bits_are_refused();
	return check_done();
}
