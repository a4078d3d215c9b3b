/*
 * Adapter fusion: its formula against plain code in double, where adapters come from,
 * what is refused, the penalty, the temperature, files and the panel.
 */
#include "tests/method/adapters.h"

#include "base/array.h"
#include "tests/method/sublayer.h"
#include "tests/method/told.h"

#define OUTPUT "bert.encoder.layer.1.output"
#define FUSION OUTPUT ".adapter_fusion_layer."

enum { HIDDEN = SUBLAYER_HIDDEN, ROWS = SUBLAYER_ROWS, MOST = 4 };

static struct tensor *tensor(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		if (!strcmp(b->method->param[i]->name, name))
			return b->method->param[i];
	}
	for (size_t i = 0; i < b->method->fixed.n; i++) {
		if (!strcmp(b->method->fixed.item[i]->name, name))
			return b->method->fixed.item[i];
	}
	return NULL;
}

static struct tensor *of_adapter(const struct bench *b, const char *adapter, const char *leaf)
{
	char name[160];

	snprintf(name, sizeof(name), OUTPUT ".adapters.%s.%s", adapter, leaf);
	return tensor(b, name);
}

/* ---- the formula ---- */

/* y = W x + b, 8 by 8. */
static void linear(const struct bench *b, const char *weight, const char *bias, const double *x,
		   double *y)
{
	const struct tensor *w = tensor(b, weight), *add = bias ? tensor(b, bias) : NULL;

	for (int o = 0; o < HIDDEN; o++) {
		y[o] = add ? (double)add->data[o] : 0;
		for (int i = 0; i < HIDDEN; i++)
			y[o] += x[i] * (double)w->data[o * HIDDEN + i];
	}
}

struct part {
	const char *name;
	double by;
	bool tanh; /* else relu */
};

/* What an adapter makes of z, without z. */
static void adapt(const struct bench *b, const struct part *a, const double *z, double *u)
{
	const struct tensor *down = of_adapter(b, a->name, "adapter_down.0.weight"),
			    *down_bias = of_adapter(b, a->name, "adapter_down.0.bias"),
			    *up = of_adapter(b, a->name, "adapter_up.weight"),
			    *up_bias = of_adapter(b, a->name, "adapter_up.bias"),
			    *scale = of_adapter(b, a->name, "scaling");
	const int64_t size = down->dim[0];

	for (int o = 0; o < HIDDEN; o++)
		u[o] = (double)up_bias->data[o];
	for (int64_t k = 0; k < size; k++) {
		double t = (double)down_bias->data[k];

		for (int i = 0; i < HIDDEN; i++)
			t += z[i] * (double)down->data[k * HIDDEN + i];
		t = a->tanh ? tanh(t) : fmax(t, 0);
		for (int o = 0; o < HIDDEN; o++)
			u[o] += t * (double)up->data[o * size + k];
	}
	for (int o = 0; o < HIDDEN; o++)
		u[o] *= scale ? (double)scale->data[tensor_count(scale) > 1 ? o : 0] : a->by;
}

/* What leaves the sublayer, of one row; z is what the adapters read. */
static void expected(const struct bench *b, const struct part *part, int n, double temperature,
		     const struct sublayer *in, int64_t row, const double *z, double *y)
{
	double u[MOST][HIDDEN], p[MOST], q[HIDDEN], k[HIDDEN], sum = 0, mix[HIDDEN] = { 0 },
							       v[HIDDEN], out[HIDDEN];
	const bool has_value = tensor(b, FUSION "value.weight");

	linear(b, FUSION "query.weight", FUSION "query.bias", z, q);
	for (int i = 0; i < n; i++) {
		double score = 0;

		adapt(b, &part[i], z, u[i]);
		linear(b, FUSION "key.weight", FUSION "key.bias", u[i], k);
		for (int c = 0; c < HIDDEN; c++)
			score += q[c] * k[c];
		p[i] = exp(score / temperature);
		sum += p[i];
	}
	for (int i = 0; i < n; i++) {
		memcpy(v, u[i], sizeof(v));
		if (has_value)
			linear(b, FUSION "value.weight", NULL, u[i], v);
		for (int c = 0; c < HIDDEN; c++)
			mix[c] += p[i] / sum * v[c];
	}
	for (int c = 0; c < HIDDEN; c++)
		out[c] = (double)in->h->data[row * HIDDEN + c] + mix[c] +
			 (double)in->u->data[row * HIDDEN + c];
	sublayer_norm(in, out, y);
}

static const struct {
	const char *json;
	struct part part[MOST];
	int n;
	double temperature;
	char reads; /* h, x, or n for the normed sum */
} formulas[] = {
	{ "{\"adapters\": [\"one\", \"two\"]}",
	  { { "one", 1, false }, { "two", 1, true } },
	  2,
	  1,
	  'n' },
	{ "{\"adapters\": [\"two\", \"three\", \"one\"], \"fusion\": \"static\"}",
	  { { "two", 1, true }, { "three", 2, false }, { "one", 1, false } },
	  3,
	  1,
	  'n' },
	{ "{\"adapters\": [\"wide\", \"side\"], \"temperature\": true}",
	  { { "wide", 4, false }, { "side", 1, false } },
	  2,
	  50,
	  'x' },
};

static void numbers_of_a_sublayer(void)
{
	static const struct pass reading = { .train = false };

	for (size_t i = 0; i < COUNT(formulas); i++) {
		double worst = 0, want[HIDDEN], z[HIDDEN];
		struct sublayer in;
		struct tensor *y;
		struct bench b;

		CHECK_NAMED(bench_open(&b, "adapter_fusion", formulas[i].json, TASK_SEQ_CLS) ==
				    TT_OK,
			    formulas[i].json);
		bench_shake(&b, 0.5f);
		graph_begin(b.graph, &reading, NULL, 0);
		in = sublayer_make(&b, OUTPUT ".LayerNorm");
		y = site_sublayer(b.graph, b.method->site[b.method->nsite - 1], &in);
		for (int64_t row = 0; y && row < ROWS; row++) {
			for (int c = 0; c < HIDDEN; c++)
				z[c] = formulas[i].reads == 'x'
					       ? (double)in.x->data[row * HIDDEN + c]
					       : (double)in.h->data[row * HIDDEN + c] +
							 (double)in.u->data[row * HIDDEN + c];
			if (formulas[i].reads == 'n')
				sublayer_norm(&in, z, z);
			expected(&b, formulas[i].part, formulas[i].n, formulas[i].temperature, &in,
				 row, z, want);
			for (int c = 0; c < HIDDEN; c++)
				worst = fmax(worst,
					     fabs(want[c] - (double)y->data[row * HIDDEN + c]));
		}
		/* fp32 sums through a softmax of scores up to ten, divided by their deviation */
		if (!CHECK_NAMED(y && worst < 1e-5, formulas[i].json))
			printf("# %g\n", worst);
		bench_close(&b);
	}
}

/* ---- first values and the penalty ---- */

static void first_values(void)
{
	const struct tensor *value, *query;
	double most = 0;
	struct bench b;

	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"two\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	value = tensor(&b, FUSION "value.weight");
	query = tensor(&b, FUSION "query.weight");
	for (int i = 0; i < HIDDEN * HIDDEN; i++) {
		CHECK(value->data[i] == (i / HIDDEN == i % HIDDEN ? 1 : 1e-6f));
		most = fmax(most, fabs((double)query->data[i]));
	}
	CHECK(most > 0.03 && most < 0.1); /* 64 normal numbers of deviation 0.02 */
	/* query, key, value of two layers, 8 x 8 each, and two biases of 8; the head has 18 */
	CHECK(method_param_count(b.method) == 2 * (3 * 64 + 2 * 8) + 18);
	/* the adapters are counted, but do not train: 3 x 8 + 3 + 8 x 3 + 8, and 2 x 8 + 2 + 8 x 2 + 8 + 8 */
	CHECK(method_extra_count(b.method) == 2 * (3 * 64 + 2 * 8) + 2 * (59 + 50));
	bench_close(&b);
}

/* 0.01 |I - W|^2 over both layers, and its gradient 0.02 (W - I). */
static void penalty(void)
{
	struct tensor *value;
	double with, before;
	float grad[2];
	struct bench b;

	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"two\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	value = tensor(&b, FUSION "value.weight");
	value->data[0] = 4; /* 3 from the identity */
	value->data[1] = 2;
	with = bench_loss(&b);
	grad[0] = value->grad[0];
	grad[1] = value->grad[1];
	bench_close(&b);
	CHECK(bench_open(&b, "adapter_fusion",
			 "{\"adapters\": [\"one\", \"two\"], \"regularization\": false}",
			 TASK_SEQ_CLS) == TT_OK);
	value = tensor(&b, FUSION "value.weight");
	value->data[0] = 4;
	value->data[1] = 2;
	before = bench_loss(&b);
	CHECK_NEAR(with - before, 0.01 * (9 + 4), 1e-6);
	CHECK_NEAR(grad[0] - value->grad[0], 0.02 * 3, 1e-6);
	CHECK_NEAR(grad[1] - value->grad[1], 0.02 * 2, 1e-6);
	bench_close(&b);
}

/* From 50 down by 0.05 a step, not below 1; without the setting there is none. */
static void temperature(void)
{
	const struct tensor *t;
	struct bench b;

	CHECK(bench_open(&b, "adapter_fusion",
			 "{\"adapters\": [\"one\", \"two\"], \"temperature\": true}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(b.method->kept.n == 1);
	t = b.method->kept.item[0];
	CHECK(t == tensor(&b, "adapter_fusion.temperature") && t->data[0] == 50);
	for (int i = 1; i <= 10; i++)
		CHECK(stage_done(b.method, i) == TT_OK);
	CHECK_NEAR(t->data[0], 49.5, 1e-4);
	for (int i = 11; i <= 2000; i++)
		stage_done(b.method, i);
	CHECK(t->data[0] == 1);
	bench_close(&b);
	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"two\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(b.method->kept.n == 0 && !tensor(&b, "adapter_fusion.temperature"));
	bench_close(&b);
}

/* ---- where adapters come from ---- */

static void adapters_stay_as_they_are(void)
{
	struct bench b;
	float was;

	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"three\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	/* three has none in the first layer */
	CHECK(!tensor(&b, "bert.encoder.layer.0.output.adapters.three.adapter_up.bias"));
	CHECK(tensor(&b, "bert.encoder.layer.0.output.adapters.one.adapter_up.bias") != NULL);
	was = of_adapter(&b, "one", "adapter_up.weight")->data[3];
	for (int i = 0; i < 5; i++)
		bench_train(&b, 0.05);
	CHECK(of_adapter(&b, "one", "adapter_up.weight")->data[3] == was);
	bench_close(&b);
}

/* A name is the folder's; twice the same gets a number, and a run's own "adapter" the name above. */
static void names(void)
{
	char dir[PATH_MAX + 32], json[2 * PATH_MAX];
	struct bench b;

	snprintf(dir, sizeof(dir), "%s/run.7/adapter", bench_base);
	CHECK(bench_open(&b, "adapter", row_adapters[0].json, TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_save(b.method, dir, "toy") == TT_OK);
	bench_close(&b);
	snprintf(json, sizeof(json), "{\"adapters\": [\"one\", \"one\", \"run.7/adapter\"]}");
	CHECK(bench_open(&b, "adapter_fusion", json, TASK_SEQ_CLS) == TT_OK);
	CHECK(of_adapter(&b, "one", "adapter_up.bias") &&
	      of_adapter(&b, "one_2", "adapter_up.bias") &&
	      of_adapter(&b, "run_7", "adapter_up.bias"));
	bench_close(&b);
}

/* The folder of a fusion holds its adapters: another fusion starts from it, the first ones gone. */
static void a_fusion_needs_no_other_folder(void)
{
	char dir[PATH_MAX + 32];
	float *live, *again;
	int64_t n = 0;
	struct bench a, b;

	CHECK(bench_open(&a, "adapter_fusion", "{\"adapters\": [\"two\", \"one\", \"three\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	bench_shake(&a, 0.2f);
	live = bench_logits(&a, &n);
	snprintf(dir, sizeof(dir), "%s/fused", bench_base);
	CHECK(adapter_save(a.method, dir, "toy") == TT_OK);
	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"fused\"]}", TASK_SEQ_CLS) ==
	      TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_OK);
	again = bench_logits(&b, &n);
	CHECK(live && again && bench_same(live, again, n, 0));
	free(live);
	free(again);
	bench_close(&a);
	bench_close(&b);
}

static const struct {
	const char *json;
	int code;
	const char *says; /* what comes after the path, which is the test's own */
} refused[] = {
	{ "{}", TT_INVALID, "peft.adapters is missing; it must be an array of paths" },
	{ "{\"adapters\": \"one\"}", TT_INVALID, "it must be an array of paths" },
	{ "{\"adapters\": []}", TT_INVALID,
	  "peft.adapters gives 0 adapters; fusion mixes two or more" },
	{ "{\"adapters\": [\"one\"]}", TT_INVALID,
	  "peft.adapters gives 1 adapter; fusion mixes two or more" },
	{ "{\"adapters\": [\"one\", \"none\"]}", TT_NOTFOUND,
	  "/none is no adapter folder: it has no adapter_config.json" },
	{ "{\"adapters\": [\"one\", \"tall\"]}", TT_INVALID, "only adapters of one placement mix" },
	{ "{\"adapters\": [\"one\", \"lora\"]}", TT_INVALID,
	  "/lora/adapter_config.json: peft_type is none that can be mixed; method 'adapter' "
	  "writes such folders" },
	{ "{\"adapters\": [\"one\", \"two\"], \"fusion\": \"gated\"}", TT_INVALID,
	  "it must be one of dynamic, static" },
};

static void nonsense_is_refused(void)
{
	char dir[PATH_MAX + 32];
	struct bench b;

	snprintf(dir, sizeof(dir), "%s/lora", bench_base);
	CHECK(bench_open(&b, "lora", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_save(b.method, dir, "toy") == TT_OK);
	bench_close(&b);
	for (size_t i = 0; i < COUNT(refused); i++) {
		CHECK_NAMED(bench_open(&b, "adapter_fusion", refused[i].json, TASK_SEQ_CLS) ==
				    refused[i].code,
			    refused[i].json);
		if (!CHECK_NAMED(strstr(err_text(), refused[i].says) != NULL, refused[i].json))
			printf("# %s\n", err_text());
		bench_close(&b);
	}
}

/* An adapter of another model: its layers are there, its sizes are not. */
static void adapters_of_another_model(void)
{
	char dir[PATH_MAX + 32];
	struct bench b;

	snprintf(dir, sizeof(dir), "%s/other", bench_base);
	CHECK(bench_open(&b, "adapter", "{\"bottleneck_size\": 3}", TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < b.method->nparam; i++) {
		if (strstr(b.method->param[i]->name, "adapter_up.weight"))
			b.method->param[i]->dim[0] = HIDDEN / 2;
	}
	CHECK(adapter_save(b.method, dir, "toy") == TT_OK);
	bench_close(&b);
	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"other\"]}",
			 TASK_SEQ_CLS) == TT_INVALID);
	CHECK(strstr(err_text(), "/other: 'bert.encoder.layer.0.output.adapters.adapter_up.weight' "
				 "is missing or does not fit this model"));
	bench_close(&b);
}

/* ---- files ---- */

static const char *const config_lines[] = {
	"{",
	"  \"adapters\": [",
	"    {",
	"      \"name\": \"low\",",
	"      \"placement\": \"houlsby\",",
	"      \"bottleneck_size\": 2,",
	"      \"non_linearity\": \"swish\",",
	"      \"scaling\": 1.0,",
	"      \"dropout\": 0.0,",
	"      \"init_weights\": \"bert\",",
	"      \"leave_out\": []",
	"    },",
	"    {",
	"      \"name\": \"tall\",",
	"      \"placement\": \"houlsby\",",
	"      \"bottleneck_size\": 3,",
	"      \"non_linearity\": \"swish\",",
	"      \"scaling\": \"learned\",",
	"      \"dropout\": 0.0,",
	"      \"init_weights\": \"bert\",",
	"      \"leave_out\": []",
	"    }",
	"  ],",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"toy\",",
	"  \"dropout_prob\": 0.1,",
	"  \"fusion\": \"static\",",
	"  \"inference_mode\": true,",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"peft_type\": \"TRIMTAB_ADAPTER_FUSION\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"regularization\": true,",
	"  \"revision\": null,",
	"  \"task_type\": \"SEQ_CLS\",",
	"  \"temperature\": false",
	"}",
};

static void files(void)
{
	static const char *const name[] = {
		"base_model.model.bert.encoder.layer.0.attention.output.adapter_fusion_layer.query."
		"weight",
		"base_model.model.bert.encoder.layer.0.output.adapter_fusion_layer.key.bias",
		"base_model.model.bert.encoder.layer.1.output.adapters.tall.scaling",
		"base_model.model.bert.encoder.layer.1.attention.output.adapters.low.adapter_down."
		"0.weight",
	};
	char dir[PATH_MAX], path[PATH_MAX + 32];
	struct st_file *f = NULL;
	struct bench b;

	CHECK(bench_open(&b, "adapter_fusion",
			 "{\"adapters\": [\"low\", \"tall\"], \"fusion\": \"static\", "
			 "\"dropout_prob\": 0.1}",
			 TASK_SEQ_CLS) == TT_OK);
	told_config(&b, config_lines, COUNT(config_lines));
	snprintf(path, sizeof(path), "%s/adapter_model.safetensors",
		 told_folder(&b, dir, sizeof(dir)));
	CHECK(st_open(path, &f) == TT_OK);
	/* four sublayers: q and k with biases; two adapters of four tensors, one with a scale; the head */
	CHECK(f && st_count(f) == 4 * (4 + 4 + 5) + 2);
	for (size_t i = 0; f && i < COUNT(name); i++)
		CHECK_NAMED(st_find(f, name[i]) != NULL, name[i]);
	st_close(f);
	bench_close(&b);
}

#define FILE_OF(rest) "{\"peft_type\": \"TRIMTAB_ADAPTER_FUSION\", " rest "}"
#define ONE "{\"placement\": \"pfeiffer\", \"non_linearity\": \"relu\", \"bottleneck_size\": 3}"

static const struct {
	const char *text, *says;
} configs[] = {
	{ FILE_OF("\"fusion\": \"dynamic\", \"adapters\": [" ONE ", " ONE "]"), NULL },
	{ FILE_OF("\"fusion\": \"static\", \"adapters\": [" ONE ", " ONE "]"),
	  "fusion is not \"dynamic\", as the recipe says" },
	{ FILE_OF("\"fusion\": \"dynamic\", \"adapters\": [" ONE "]"),
	  "it mixes 1 adapters, and the recipe 2" },
	{ FILE_OF("\"fusion\": \"dynamic\", \"adapters\": [" ONE
		  ", {\"placement\": \"pfeiffer\", \"non_linearity\": \"gelu\", "
		  "\"bottleneck_size\": 3}]"),
	  "adapters.1: non_linearity is \"gelu\", and the recipe says \"relu\"" },
	{ FILE_OF("\"fusion\": \"dynamic\", \"residual_before\": true"),
	  "residual_before is set, which may change what the adapter computes and is not "
	  "supported" },
};

static void configs_are_judged(void)
{
	struct bench b;

	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"one\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(configs); i++) {
		const int code = adapter_check_config(b.method, configs[i].text,
						      strlen(configs[i].text));

		CHECK_NAMED(code == (configs[i].says ? TT_INVALID : TT_OK), configs[i].text);
		if (configs[i].says)
			CHECK_STR(err_text(), configs[i].says);
	}
	bench_close(&b);
}

/* ---- the panel ---- */

static void panel(void)
{
	struct tensor *key;
	struct told h;
	struct bench b;
	int64_t n;

	CHECK(bench_open(&b, "adapter_fusion", "{\"adapters\": [\"one\", \"two\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	for (int layer = 0; layer < 2; layer++) {
		char name[120];

		snprintf(name, sizeof(name),
			 "bert.encoder.layer.%d.output.adapter_fusion_layer.query.weight", layer);
		memset(tensor(&b, name)->data, 0, 64 * sizeof(float));
	}
	key = tensor(&b, FUSION "value.weight");
	key->data[0] = 5;
	told_panel(&b, &h);
	CHECK(isnan(told_value(&h, "method/adapter_fusion/attention/one"))); /* nobody has looked */
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	/* without a query both get a half: entropy log 2 */
	CHECK_NEAR(told_value(&h, "method/adapter_fusion/attention/one"), 0.5, 1e-6);
	CHECK_NEAR(told_value(&h, "method/adapter_fusion/attention/layer_1/two"), 0.5, 1e-6);
	CHECK_NEAR(told_value(&h, "method/adapter_fusion/entropy_mean"), log(2), 1e-6);
	CHECK_NEAR(told_value(&h, "method/adapter_fusion/value_drift_max"), 4, 1e-6);
	CHECK_NEAR(told_value(&h, "method/adapter_fusion/penalty"), 0.16, 1e-6);
	CHECK(h.n == 2 * 3 + 2 + 2 + 1 && !*h.alarm);
	bench_close(&b);
}

int main(void)
{
	CHECK(adapters_make() == TT_OK);
	numbers_of_a_sublayer();
	first_values();
	penalty();
	temperature();
	adapters_stay_as_they_are();
	names();
	a_fusion_needs_no_other_folder();
	nonsense_is_refused();
	adapters_of_another_model();
	files();
	configs_are_judged();
	panel();
	return bench_done();
}
