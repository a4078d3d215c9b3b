/*
 * UniPELT: its three formulas with gates against plain code in double, its limits
 * with gates that are open or shut, first values, folders, the panel.
 */
#include "base/array.h"
#include "model/site.h"
#include "tests/method/sublayer.h"
#include "tests/method/told.h"

#define LAYER "bert.encoder.layer.1."
#define QUERY LAYER "attention.self.query"
#define SETTINGS                                                                                  \
	"{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, \"r\": 2, \"bottleneck_size\": " \
	"3}"

enum { HIDDEN = SUBLAYER_HIDDEN, ROWS = SUBLAYER_ROWS };

/* Two sequences: rows 0 and 1, and row 2. */
static const uint32_t example[ROWS] = { 4, 4, 7 }, position[ROWS] = { 0, 1, 0 };
static const struct origin origin = { example, position };
static const int64_t start[] = { 0, 2, 3 };

static const struct pass reading = { .train = false };

static const struct tensor *param(const struct bench *b, const char *module, const char *leaf)
{
	char name[160];

	snprintf(name, sizeof(name), "%s.%s", module, leaf);
	for (size_t i = 0; i < b->method->nparam; i++) {
		if (!strcmp(b->method->param[i]->name, name))
			return b->method->param[i];
	}
	return NULL;
}

static struct site *site_named(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->nsite; i++) {
		if (!strcmp(b->method->site[i]->name, name))
			return b->method->site[i];
	}
	return NULL;
}

static void open_bench(struct bench *b)
{
	CHECK(bench_open(b, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	bench_shake(b, 0.5f);
	graph_begin(b->graph, &reading, NULL, 0);
}

static struct tensor *some_rows(struct bench *b, double shift)
{
	struct tensor *t = sublayer_rows(b, shift);

	t->origin = &origin;
	return t;
}

/* The gate of the sequence that row i of x [ROWS,HIDDEN] is in. */
static double gate_at(const struct bench *b, const char *module, const double *x, int64_t i)
{
	const struct tensor *w = param(b, module, "gate.weight"),
			    *bias = param(b, module, "gate.bias");
	const int64_t s = i < start[1] ? 0 : 1;
	double sum = 0;

	for (int64_t n = start[s]; n < start[s + 1]; n++) {
		double v = (double)bias->data[0];

		for (int k = 0; k < HIDDEN; k++)
			v += x[n * HIDDEN + k] * (double)w->data[k];
		sum += 1 / (1 + exp(-v));
	}
	return sum / (double)(start[s + 1] - start[s]);
}

/* fp32 sums of some dozen terms of size one. */
static void check_near(const char *what, double worst, double tolerance)
{
	if (!CHECK_NAMED(worst < tolerance, what))
		printf("# %g\n", worst);
}

/* ---- the three formulas ---- */

/* y = W x + b + g B A x */
static void gated_lora(void)
{
	const struct tensor *a, *up;
	double x[ROWS * HIDDEN], worst = 0;
	struct tensor *in, *y;
	struct site *s;
	struct bench b;

	open_bench(&b);
	s = site_named(&b, QUERY);
	a = param(&b, QUERY, "lora_A.weight");
	up = param(&b, QUERY, "lora_B.weight");
	in = some_rows(&b, 0.3);
	for (int i = 0; i < ROWS * HIDDEN; i++)
		x[i] = (double)in->data[i];
	y = site_linear(b.graph, s, in);
	for (int64_t i = 0; y && i < ROWS; i++) {
		const double g = gate_at(&b, QUERY ".lora", x, i);

		for (int o = 0; o < HIDDEN; o++) {
			double want = (double)s->bias->data[o];

			for (int k = 0; k < HIDDEN; k++)
				want += x[i * HIDDEN + k] * (double)s->weight->data[o * HIDDEN + k];
			for (int r = 0; r < 2; r++) {
				double z = 0;

				for (int k = 0; k < HIDDEN; k++)
					z += x[i * HIDDEN + k] * (double)a->data[r * HIDDEN + k];
				want += g * z * (double)up->data[o * 2 + r];
			}
			worst = fmax(worst, fabs(want - (double)y->data[i * HIDDEN + o]));
		}
	}
	CHECK(y != NULL);
	check_near("y = W x + b + g B A x", worst, 5e-6);
	bench_close(&b);
}

/* LN(h + g a(z) + u), z = LN(h + u) */
static void gated_adapter(void)
{
	const char *const module = LAYER "output.adapters";
	const struct tensor *down, *down_bias, *up, *up_bias;
	double z[ROWS * HIDDEN], sum[HIDDEN], want[HIDDEN], worst = 0;
	struct sublayer in;
	struct tensor *y;
	struct bench b;

	open_bench(&b);
	down = param(&b, module, "adapter_down.0.weight");
	down_bias = param(&b, module, "adapter_down.0.bias");
	up = param(&b, module, "adapter_up.weight");
	up_bias = param(&b, module, "adapter_up.bias");
	in = sublayer_make(&b, LAYER "output.LayerNorm");
	in.h->origin = in.u->origin = in.x->origin = &origin;
	y = site_sublayer(b.graph, site_named(&b, LAYER "output"), &in);
	for (int i = 0; i < ROWS; i++) {
		for (int k = 0; k < HIDDEN; k++)
			sum[k] = (double)in.h->data[i * HIDDEN + k] +
				 (double)in.u->data[i * HIDDEN + k];
		sublayer_norm(&in, sum, z + i * HIDDEN);
	}
	for (int64_t i = 0; y && i < ROWS; i++) {
		const double g = gate_at(&b, module, z, i);

		for (int o = 0; o < HIDDEN; o++) {
			double add = (double)up_bias->data[o];

			for (int k = 0; k < 3; k++) {
				double t = (double)down_bias->data[k];

				for (int c = 0; c < HIDDEN; c++)
					t += z[i * HIDDEN + c] * (double)down->data[k * HIDDEN + c];
				add += fmax(t, 0) * (double)up->data[o * 3 + k];
			}
			sum[o] = (double)in.h->data[i * HIDDEN + o] +
				 (double)in.u->data[i * HIDDEN + o] + g * add;
		}
		sublayer_norm(&in, sum, want);
		for (int o = 0; o < HIDDEN; o++)
			worst = fmax(worst, fabs(want[o] - (double)y->data[i * HIDDEN + o]));
	}
	CHECK(y != NULL);
	check_near("LN(h + g a(z) + u)", worst, 1e-5);
	bench_close(&b);
}

/* [g P_k; K] and [g P_v; V] */
static void gated_prefix(void)
{
	const char *const name = LAYER "attention.self.prefix";
	const struct tensor *rows = NULL;
	double x[ROWS * HIDDEN], worst = 0;
	struct attended at = { .seqs = 2, .heads = 2, .start = start };
	struct bench b;

	open_bench(&b);
	CHECK(stage_refresh(b.method) == TT_OK);
	for (size_t i = 0; i < b.method->nmade; i++) {
		if (!strcmp(b.method->made[i].leaf->name, name))
			rows = b.method->made[i].leaf;
	}
	at.x = some_rows(&b, 0.1);
	at.k = some_rows(&b, 1);
	at.v = some_rows(&b, 2);
	for (int i = 0; i < ROWS * HIDDEN; i++)
		x[i] = (double)at.x->data[i];
	CHECK(rows && site_attend(b.graph, site_named(&b, LAYER "attention.self"), &at));
	CHECK(at.start[1] == 4 && at.start[2] == 7);
	for (int s = 0; rows && s < 2; s++) {
		const double g = gate_at(&b, name, x, start[s]);

		for (int i = 0; i < 2 * HIDDEN; i++) {
			const int64_t to = at.start[s] * HIDDEN + i,
				      from = i / HIDDEN * 2 * HIDDEN + i % HIDDEN;

			worst = fmax(worst,
				     fabs(g * (double)rows->data[from] - (double)at.k->data[to]));
			worst = fmax(worst, fabs(g * (double)rows->data[from + HIDDEN] -
						 (double)at.v->data[to]));
		}
	}
	check_near("[g P; K]", worst, 1e-6);
	bench_close(&b);
}

/* ---- limits ---- */

static void set_gates(struct bench *b, float bias)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		struct tensor *t = b->method->param[i];

		if (strstr(t->name, ".gate.weight"))
			memset(t->data, 0, (size_t)tensor_count(t) * sizeof(float));
		else if (strstr(t->name, ".gate.bias"))
			t->data[0] = bias;
	}
}

/* What both have, by name: the array has no gates. */
static void copy_params(const struct bench *from, struct bench *to)
{
	for (size_t i = 0; i < to->method->nparam; i++) {
		struct tensor *t = to->method->param[i];

		for (size_t k = 0; k < from->method->nparam; k++) {
			if (!strcmp(t->name, from->method->param[k]->name))
				memcpy(t->data, from->method->param[k]->data,
				       (size_t)tensor_count(t) * sizeof(float));
		}
	}
}

/* Open gates: the array of the three, LoRA with a scale of 1. */
static void open_gates(void)
{
	struct bench a, b;
	float *one, *two;
	int64_t n;

	CHECK(bench_open(&a, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&a, 0.2f);
	set_gates(&a, 40);
	CHECK(bench_open(&b, "",
			 "[\"lora\", {\"r\": 2, \"lora_alpha\": 2}, \"prefix\", "
			 "{\"num_virtual_tokens\": 2, \"prefix_projection\": true, "
			 "\"encoder_hidden_size\": 3}, \"adapter\", {\"bottleneck_size\": 3}]",
			 TASK_SEQ_CLS) == TT_OK);
	b.model->position_offset = 0;
	copy_params(&a, &b);
	one = bench_logits(&a, &n);
	two = bench_logits(&b, &n);
	/* the same sums in another order */
	CHECK(one && two && n == BENCH_ROWS * BENCH_LABELS && bench_same(one, two, n, 1e-5));
	free(one);
	free(two);
	bench_close(&a);
	bench_close(&b);
}

/* Shut gates: nothing but keys and values of zeros, which still get their share of the attention. */
static void shut_gates(void)
{
	struct bench a, b;
	float *one, *two;
	int64_t n;

	CHECK(bench_open(&a, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&a, 0.2f);
	set_gates(&a, -80);
	CHECK(bench_open(&b, "prefix", "{\"num_virtual_tokens\": 2, \"init_weights\": \"zero\"}",
			 TASK_SEQ_CLS) == TT_OK);
	b.model->position_offset = 0;
	for (size_t i = 0; i < b.method->nparam; i++) { /* the head is shaken, too */
		if (method_before(b.method, b.method->param[i]))
			copy_params(&a, &b);
	}
	one = bench_logits(&a, &n);
	two = bench_logits(&b, &n);
	CHECK(one && two && bench_same(one, two, n, 1e-6));
	free(one);
	free(two);
	bench_close(&a);
	bench_close(&b);
}

/* ---- first values and what trains ---- */

static void first_values(void)
{
	const struct tensor *t;
	double most = 0;
	struct bench b;

	CHECK(bench_open(&b, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < b.method->nparam; i++) {
		t = b.method->param[i];
		for (int64_t k = 0; strstr(t->name, ".gate.weight") && k < tensor_count(t); k++)
			most = fmax(most, fabs((double)t->data[k]));
		if (strstr(t->name, ".gate.bias"))
			CHECK_NAMED(fabsf(t->data[0]) <= 0, t->name);
	}
	CHECK(most > 0.03 && most < 0.08); /* 64 normal numbers of deviation 0.02 */
	/* of two blocks: LoRA on query and value with gates, an adapter with its gate, a gate of the prefix */
	CHECK(method_param_count(b.method) ==
	      2 * (2 * (2 * 16 + 9) + (3 * 8 + 3 + 8 * 3 + 8 + 9) + 9) +
		      (2 * 8 + 3 * 8 + 3 + 32 * 3 + 32) + 18);
	CHECK(b.model->whole_rows && b.model->position_offset == 0);
	CHECK(!method_mergeable(b.method));
	bench_close(&b);
}

static void defaults(void)
{
	struct bench b;

	CHECK(bench_open(&b, "unipelt", "{}", TASK_SEQ_CLS) == TT_OK);
	/* r 8, 10 rows by an MLP of 512, and 8 / 16 makes adapters of 1 */
	CHECK(param(&b, QUERY, "lora_A.weight")->dim[0] == 8);
	CHECK(param(&b, "prefix.prompt_encoder.embedding", "weight")->dim[0] == 10);
	CHECK(param(&b, "prefix.prompt_encoder.transform.0", "weight")->dim[0] == 512);
	CHECK(param(&b, LAYER "output.adapters", "adapter_down.0.weight")->dim[0] == 1);
	bench_close(&b);
}

/* ---- refusals, folders, the panel ---- */

static const struct {
	const char *json, *says;
} refused[] = {
	{ "{\"target_modules\": [\"word_embeddings\"]}", "which has no input to make a gate of" },
	{ "{\"bottleneck_size\": 3, \"reduction_factor\": 2}", "say the same thing twice" },
	{ "{\"lora_alpha\": 3}", "\"lora_alpha\" is not a key of peft" },
	{ "{\"modules_to_save\": [\"attention\"]}", "no module of the model matches 'query'" },
};

static void nonsense_is_refused(void)
{
	struct bench b;

	for (size_t i = 0; i < COUNT(refused); i++) {
		CHECK_NAMED(bench_open(&b, "unipelt", refused[i].json, TASK_SEQ_CLS) == TT_INVALID,
			    refused[i].json);
		if (!CHECK_NAMED(strstr(err_text(), refused[i].says) != NULL, refused[i].json))
			printf("# %s\n", err_text());
		bench_close(&b);
	}
}

static void folders(void)
{
	static const char *const name[] = {
		"base_model.model." QUERY ".lora_B.weight",
		"base_model.model." QUERY ".lora.gate.weight",
		"base_model.model." LAYER "output.adapters.gate.bias",
		LAYER "attention.self.prefix.gate.weight",
		"prefix.prompt_embeddings",
		"base_model.model.classifier.weight",
	};
	char dir[PATH_MAX], path[PATH_MAX + 32];
	struct st_file *f = NULL;
	struct bench a, b;

	CHECK(bench_open(&a, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	snprintf(path, sizeof(path), "%s/adapter_model.safetensors",
		 told_folder(&a, dir, sizeof(dir)));
	CHECK(st_open(path, &f) == TT_OK);
	for (size_t i = 0; f && i < COUNT(name); i++)
		CHECK_NAMED(st_find(f, name[i]) != NULL, name[i]);
	st_close(f);
	CHECK(bench_open(&b, "unipelt",
			 "{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, \"r\": 2, "
			 "\"bottleneck_size\": 3, \"non_linearity\": \"tanh\"}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_INVALID);
	if (!CHECK(strstr(err_text(), "methods.2: non_linearity")))
		printf("# %s\n", err_text());
	bench_close(&b);
	bench_close(&a);
}

static void panel(void)
{
	static const char *const part[] = { "lora", "prefix", "adapter" };
	struct told h;
	struct bench b;
	int64_t n;

	CHECK(bench_open(&b, "unipelt", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	set_gates(&b, (float)log(3)); /* 3/4 */
	told_panel(&b, &h);
	CHECK(isnan(told_value(&h, "method/lora/gate_mean"))); /* nobody has looked */
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	for (size_t i = 0; i < COUNT(part); i++) {
		char key[96];

		snprintf(key, sizeof(key), "method/%s/gate/layer_1", part[i]);
		CHECK_NEAR(told_value(&h, key), 0.75, 1e-6);
		snprintf(key, sizeof(key), "method/%s/gate_std", part[i]);
		CHECK_NEAR(told_value(&h, key), 0, 1e-4);
		snprintf(key, sizeof(key), "method/%s/gate_shut", part[i]);
		CHECK_NEAR(told_value(&h, key), 0, 0);
	}
	CHECK(!*h.alarm);
	set_gates(&b, (float)log(99)); /* 0.99 */
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	CHECK_NEAR(told_value(&h, "method/adapter/gate_open"), 1, 0);
	set_gates(&b, (float)-log(99)); /* 0.01 */
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	CHECK_NEAR(told_value(&h, "method/prefix/gate_shut"), 1, 0);
	CHECK(strstr(h.alarm, "no gate lets through more than 0.01"));
	bench_close(&b);
}

int main(void)
{
	gated_lora();
	gated_adapter();
	gated_prefix();
	open_gates();
	shut_gates();
	first_values();
	defaults();
	nonsense_is_refused();
	folders();
	panel();
	return bench_done();
}
