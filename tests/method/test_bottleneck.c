/*
 * Bottleneck adapters: the formula of every placement against plain code in double,
 * first values, sizes, which layers, names and words in files, and the panel.
 */
#include "tests/method/told.h"

#include "base/array.h"
#include "tests/method/sublayer.h"

#define OUTPUT "bert.encoder.layer.1.output"
#define ADAPTER OUTPUT ".adapters"

enum { HIDDEN = SUBLAYER_HIDDEN, ROWS = SUBLAYER_ROWS, MOST = 16 };

static struct tensor *param(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		if (!strcmp(b->method->param[i]->name, name))
			return b->method->param[i];
	}
	return NULL;
}

/* ---- the formulas ---- */

static double act(const char *kind, double x)
{
	if (!strcmp(kind, "relu"))
		return x > 0 ? x : 0;
	if (!strcmp(kind, "tanh"))
		return tanh(x);
	if (!strcmp(kind, "gelu"))
		return x / 2 * (1 + erf(x / sqrt(2)));
	return x / (1 + exp(-x)); /* swish */
}

static double scale_of(const struct bench *b, double by, int column)
{
	const struct tensor *s = param(b, ADAPTER ".scaling");

	return s ? (double)s->data[tensor_count(s) > 1 ? column : 0] : by;
}

/* a(x) of one row. */
static void bottleneck(const struct bench *b, const char *kind, double by, const double *x,
		       double *y)
{
	const struct tensor *down = param(b, ADAPTER ".adapter_down.0.weight"),
			    *down_bias = param(b, ADAPTER ".adapter_down.0.bias"),
			    *up = param(b, ADAPTER ".adapter_up.weight"),
			    *up_bias = param(b, ADAPTER ".adapter_up.bias");
	const int64_t size = down->dim[0];
	double t[MOST];

	for (int64_t k = 0; k < size; k++) {
		t[k] = (double)down_bias->data[k];
		for (int i = 0; i < HIDDEN; i++)
			t[k] += x[i] * (double)down->data[k * HIDDEN + i];
		t[k] = act(kind, t[k]);
	}
	for (int o = 0; o < HIDDEN; o++) {
		y[o] = (double)up_bias->data[o];
		for (int64_t k = 0; k < size; k++)
			y[o] += t[k] * (double)up->data[o * size + k];
		y[o] *= scale_of(b, by, o);
	}
}

/* What leaves the sublayer, of one row: LN(h + a(...) + u). */
static void expected(const struct bench *b, const char *place, const char *kind, double by,
		     const struct sublayer *in, int64_t row, double *y)
{
	double h[HIDDEN], u[HIDDEN], x[HIDDEN], sum[HIDDEN], read[HIDDEN], a[HIDDEN];

	for (int i = 0; i < HIDDEN; i++) {
		h[i] = (double)in->h->data[row * HIDDEN + i];
		u[i] = (double)in->u->data[row * HIDDEN + i];
		x[i] = (double)in->x->data[row * HIDDEN + i];
		sum[i] = h[i] + u[i];
		read[i] = !strcmp(place, "houlsby") ? h[i] : x[i];
	}
	if (!strcmp(place, "pfeiffer"))
		sublayer_norm(in, sum, read);
	bottleneck(b, kind, by, read, a);
	for (int i = 0; i < HIDDEN; i++)
		sum[i] += a[i];
	sublayer_norm(in, sum, y);
}

static const struct {
	const char *json, *place, *kind;
	double by;
} formulas[] = {
	{ "{\"placement\": \"houlsby\", \"bottleneck_size\": 4}", "houlsby", "swish", 1 },
	{ "{\"bottleneck_size\": 5}", "pfeiffer", "relu", 1 },
	{ "{\"bottleneck_size\": 2, \"scaling\": 0.25, \"non_linearity\": \"gelu\"}", "pfeiffer",
	  "gelu", 0.25 },
	{ "{\"placement\": \"parallel\"}", "parallel", "relu", 1 },
	{ "{\"placement\": \"scaled_parallel\", \"non_linearity\": \"tanh\"}", "parallel", "tanh",
	  4 },
	{ "{\"placement\": \"scaled_parallel\", \"scaling\": \"learned\"}", "parallel", "relu", 1 },
	{ "{\"placement\": \"houlsby\", \"scaling\": \"channel\"}", "houlsby", "swish", 1 },
};

static void numbers_of_a_sublayer(void)
{
	static const struct pass reading = { .train = false };

	for (size_t i = 0; i < COUNT(formulas); i++) {
		double worst = 0, want[HIDDEN];
		struct sublayer in;
		struct tensor *y;
		struct bench b;

		CHECK_NAMED(bench_open(&b, "adapter", formulas[i].json, TASK_SEQ_CLS) == TT_OK,
			    formulas[i].json);
		bench_shake(&b, 0.5f);
		graph_begin(b.graph, &reading, NULL, 0);
		in = sublayer_make(&b, OUTPUT ".LayerNorm");
		y = site_sublayer(b.graph,
				  (struct site *)(uintptr_t)b.method->site[b.method->nsite - 1],
				  &in);
		for (int64_t row = 0; y && row < ROWS; row++) {
			expected(&b, formulas[i].place, formulas[i].kind, formulas[i].by, &in, row,
				 want);
			for (int k = 0; k < HIDDEN; k++)
				worst = fmax(worst,
					     fabs(want[k] - (double)y->data[row * HIDDEN + k]));
		}
		/* fp32 sums of two dozen terms of size one, divided by their deviation */
		CHECK_NAMED(y && worst < 5e-6, formulas[i].json);
		bench_close(&b);
	}
}

/* ---- what is made ---- */

/* Adapters of two layers, numbers that train in each, beside the head's 18. */
static const struct {
	const char *json;
	int64_t adapters, each;
} sizes[] = {
	/* k = 8 / 16 is none, so 1: 8 + 1 + 8 + 8 */
	{ "{}", 2, 25 },
	{ "{\"placement\": \"houlsby\"}", 4, 25 },
	{ "{\"placement\": \"parallel\"}", 2, 4 * 8 + 4 + 8 * 4 + 8 },
	{ "{\"reduction_factor\": 3}", 2, 2 * 8 + 2 + 8 * 2 + 8 },
	{ "{\"reduction_factor\": 0.5}", 2, 16 * 8 + 16 + 8 * 16 + 8 },
	{ "{\"bottleneck_size\": 3, \"scaling\": \"learned\"}", 2, 3 * 8 + 3 + 8 * 3 + 8 + 1 },
	{ "{\"bottleneck_size\": 3, \"scaling\": \"channel\"}", 2, 3 * 8 + 3 + 8 * 3 + 8 + 8 },
	{ "{\"leave_out\": [0]}", 1, 25 },
	{ "{\"placement\": \"houlsby\", \"leave_out\": 1}", 2, 25 },
};

static void sizes_and_layers(void)
{
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, "adapter", sizes[i].json, TASK_SEQ_CLS) == TT_OK,
			    sizes[i].json);
		CHECK_NAMED((int64_t)b.method->nsite == sizes[i].adapters, sizes[i].json);
		CHECK_NAMED(method_param_count(b.method) == sizes[i].adapters * sizes[i].each + 18,
			    sizes[i].json);
		CHECK_NAMED(method_extra_count(b.method) == sizes[i].adapters * sizes[i].each,
			    sizes[i].json);
		bench_close(&b);
	}
}

static double largest(const struct tensor *t)
{
	double most = 0;

	for (int64_t i = 0; i < tensor_count(t); i++)
		most = fmax(most, fabs((double)t->data[i]));
	return most;
}

static const struct {
	const char *init;
	double down_least, down_most, up_most;
} firsts[] = {
	/* of 128 normal numbers the largest is between two and five deviations */
	{ "bert", 0.04, 0.1, 0.1 },
	/* 1 / sqrt(8) */
	{ "mam_adapter", 0.3, 0.3536, 0 },
	{ "houlsby", 0.015, 0.02, 0.02 },
};

static void first_values(void)
{
	for (size_t i = 0; i < COUNT(firsts); i++) {
		const struct tensor *down, *up;
		char json[128];
		struct bench b;

		snprintf(json, sizeof(json), "{\"bottleneck_size\": 16, \"init_weights\": \"%s\"}",
			 firsts[i].init);
		CHECK_NAMED(bench_open(&b, "adapter", json, TASK_SEQ_CLS) == TT_OK, json);
		down = param(&b, ADAPTER ".adapter_down.0.weight");
		up = param(&b, ADAPTER ".adapter_up.weight");
		CHECK_NAMED(largest(down) >= firsts[i].down_least &&
				    largest(down) <= firsts[i].down_most,
			    json);
		CHECK_NAMED(largest(up) <= firsts[i].up_most, json);
		CHECK_NAMED(largest(param(&b, ADAPTER ".adapter_down.0.bias")) <= 0 &&
				    largest(param(&b, ADAPTER ".adapter_up.bias")) <= 0,
			    json);
		bench_close(&b);
	}
}

/* With u = 0 nothing is added: every placement begins as the base model, Pfeiffer's second norm included. */
static void nothing_is_added_at_first(void)
{
	static const char *const place[] = { "houlsby", "pfeiffer", "parallel", "scaled_parallel" };

	for (size_t i = 0; i < COUNT(place); i++) {
		float *before, *after;
		char json[128];
		struct bench b;
		int64_t n = 0;

		snprintf(json, sizeof(json),
			 "{\"placement\": \"%s\", \"init_weights\": \"mam_adapter\"}", place[i]);
		CHECK_NAMED(bench_model(&b, TASK_SEQ_CLS) == TT_OK, json);
		before = bench_logits(&b, &n);
		CHECK_NAMED(bench_attach(&b, "adapter", json, TASK_SEQ_CLS, 42) == TT_OK, json);
		after = bench_logits(&b, &n);
		CHECK_NAMED(before && after && bench_same(before, after, n, 0), json);
		free(before);
		free(after);
		bench_close(&b);
	}
}

/* ---- refused ---- */

static const struct {
	const char *json, *says;
} refused[] = {
	{ "{\"bottleneck_size\": 4, \"reduction_factor\": 2}",
	  "peft.bottleneck_size and peft.reduction_factor say the same thing twice; leave one of "
	  "them out" },
	{ "{\"scaling\": \"lerned\"}",
	  "peft.scaling is \"lerned\"; it takes a number, \"learned\" or \"channel\"" },
	{ "{\"scaling\": [1]}",
	  "peft.scaling is an array; it takes a number, \"learned\" or \"channel\"" },
	{ "{\"leave_out\": [0, 2]}", "peft.leave_out names layer 2, and the model's are 0 to 1" },
	{ "{\"leave_out\": [1, 0]}",
	  "method 'adapter' finds no sublayer to adapt in this model, or peft.leave_out leaves "
	  "none" },
	{ "{\"reduction_factor\": 0}", NULL },
	{ "{\"placement\": \"seq_bn\"}", NULL },
	{ "{\"non_linearity\": \"mish\"}", NULL },
};

static void nonsense_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, "adapter", refused[i].json, TASK_SEQ_CLS) == TT_INVALID,
			    refused[i].json);
		if (refused[i].says)
			CHECK_STR(err_text(), refused[i].says);
		bench_close(&b);
	}
}

/* Two methods that want one sublayer. */
static void sublayers_take_one(void)
{
	struct bench b;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_attach(&b, "",
			   "[\"adapter\", {}, \"adapter\", {\"placement\": \"houlsby\", "
			   "\"leave_out\": [0]}]",
			   TASK_SEQ_CLS, 42) == TT_INVALID);
	CHECK_STR(err_text(),
		  "peft.1: 'bert.encoder.layer.1.output' already carries a method, 'adapter', and "
		  "a place takes one only");
	bench_close(&b);
}

/* ---- files ---- */

static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"toy\",",
	"  \"bottleneck_size\": 3,",
	"  \"dropout\": 0.1,",
	"  \"inference_mode\": true,",
	"  \"init_weights\": \"bert\",",
	"  \"leave_out\": [",
	"    0",
	"  ],",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"non_linearity\": \"swish\",",
	"  \"peft_type\": \"TRIMTAB_ADAPTER\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"placement\": \"houlsby\",",
	"  \"revision\": null,",
	"  \"scaling\": \"channel\",",
	"  \"task_type\": \"SEQ_CLS\"",
	"}",
};

static const char *const tensor_names[] = {
	"base_model.model.bert.encoder.layer.1.attention.output.adapters.adapter_down.0.bias",
	"base_model.model.bert.encoder.layer.1.attention.output.adapters.adapter_down.0.weight",
	"base_model.model.bert.encoder.layer.1.attention.output.adapters.adapter_up.bias",
	"base_model.model.bert.encoder.layer.1.attention.output.adapters.adapter_up.weight",
	"base_model.model.bert.encoder.layer.1.attention.output.adapters.scaling",
	"base_model.model.bert.encoder.layer.1.output.adapters.adapter_down.0.bias",
	"base_model.model.bert.encoder.layer.1.output.adapters.adapter_down.0.weight",
	"base_model.model.bert.encoder.layer.1.output.adapters.adapter_up.bias",
	"base_model.model.bert.encoder.layer.1.output.adapters.adapter_up.weight",
	"base_model.model.bert.encoder.layer.1.output.adapters.scaling",
	"base_model.model.classifier.bias",
	"base_model.model.classifier.weight",
};

static void files(void)
{
	char dir[PATH_MAX], path[PATH_MAX + 32];
	struct st_file *f = NULL;
	struct bench b;

	CHECK(bench_open(&b, "adapter",
			 "{\"placement\": \"houlsby\", \"bottleneck_size\": 3, \"dropout\": 0.1, "
			 "\"non_linearity\": \"silu\", \"scaling\": \"channel\", \"leave_out\": 0}",
			 TASK_SEQ_CLS) == TT_OK);
	told_config(&b, config_lines, COUNT(config_lines));
	snprintf(path, sizeof(path), "%s/adapter_model.safetensors",
		 told_folder(&b, dir, sizeof(dir)));
	CHECK(st_open(path, &f) == TT_OK && st_count(f) == COUNT(tensor_names));
	for (size_t i = 0; f && i < COUNT(tensor_names); i++)
		CHECK_NAMED(st_find(f, tensor_names[i]) != NULL, tensor_names[i]);
	st_close(f);
	bench_close(&b);
}

#define FILE_OF(rest) "{\"peft_type\": \"TRIMTAB_ADAPTER\", \"bottleneck_size\": 4, " rest "}"

/* Against a scaled parallel adapter with S = 4. */
static const struct {
	const char *text, *says;
} configs[] = {
	{ FILE_OF("\"placement\": \"scaled_parallel\", \"non_linearity\": \"relu\", \"scaling\": "
		  "4"),
	  NULL },
	{ FILE_OF("\"placement\": \"parallel\", \"non_linearity\": \"relu\", \"scaling\": 4.0"),
	  NULL },
	{ FILE_OF("\"placement\": \"houlsby\", \"non_linearity\": \"relu\", \"scaling\": 4"),
	  "placement is \"houlsby\", and the recipe says \"scaled_parallel\"" },
	{ FILE_OF("\"placement\": \"parallel\", \"non_linearity\": \"silu\", \"scaling\": 4"),
	  "non_linearity is \"swish\", and the recipe says \"relu\"" },
	{ FILE_OF("\"placement\": \"parallel\", \"non_linearity\": \"relu\""),
	  "scaling is not what the recipe says" },
	{ FILE_OF("\"placement\": \"parallel\", \"non_linearity\": \"relu\", \"scaling\": "
		  "\"channel\""),
	  "scaling is not what the recipe says" },
	{ FILE_OF("\"placement\": \"parallel\", \"scaling\": 4"), "non_linearity is missing" },
	{ FILE_OF("\"non_linearity\": \"relu\", \"scaling\": 4"),
	  "placement is no word that this version knows" },
	{ FILE_OF("\"placement\": \"parallel\", \"non_linearity\": \"relu\", \"scaling\": 4, "
		  "\"phm_layer\": true"),
	  "phm_layer is set, which may change what the adapter computes and is not supported" },
	{ "{\"peft_type\": \"TRIMTAB_ADAPTER\", \"placement\": \"parallel\", "
	  "\"non_linearity\": \"relu\", \"scaling\": 4, \"bottleneck_size\": 0}",
	  "bottleneck_size is missing, or no size" },
};

static void configs_are_judged(void)
{
	struct bench b;

	CHECK(bench_open(&b, "adapter", "{\"placement\": \"scaled_parallel\"}", TASK_SEQ_CLS) ==
	      TT_OK);
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

/* Nothing of the first layer is added; a unit of the second never wakes up, the others always do. */
static void panel(void)
{
	struct told h;
	struct tensor *bias;
	struct bench b;
	int64_t n;

	CHECK(bench_open(&b, "adapter",
			 "{\"bottleneck_size\": 4, \"init_weights\": \"mam_adapter\", \"scaling\": "
			 "\"learned\"}",
			 TASK_SEQ_CLS) == TT_OK);
	told_panel(&b, &h);
	CHECK(h.n == 3); /* the scales: nobody has looked at an evaluation yet */
	bias = param(&b, ADAPTER ".adapter_down.0.bias");
	for (int i = 0; i < 4; i++)
		bias->data[i] = i ? 1000 : -1000;
	bias = param(&b, "bert.encoder.layer.0.output.adapters.adapter_down.0.bias");
	for (int i = 0; i < 4; i++)
		bias->data[i] = 1000;
	param(&b, ADAPTER ".adapter_up.bias")->data[0] = 1;
	param(&b, ADAPTER ".scaling")->data[0] = 3;
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	CHECK_NEAR(told_value(&h, "method/adapter/ratio/layer_0"), 0, 0);
	CHECK(told_value(&h, "method/adapter/ratio/layer_1") > 0.1);
	CHECK_NEAR(told_value(&h, "method/adapter/ratio_max"),
		   told_value(&h, "method/adapter/ratio/layer_1"), 0);
	CHECK_NEAR(told_value(&h, "method/adapter/dead_units"), 1.0 / 8, 0);
	CHECK_NEAR(told_value(&h, "method/adapter/scale_mean"), 2, 1e-9);
	CHECK_NEAR(told_value(&h, "method/adapter/scale_min"), 1, 0);
	CHECK_NEAR(told_value(&h, "method/adapter/scale_max"), 3, 0);
	CHECK(told_value(&h, "method/adapter/ratio_max") > 1 &&
	      !strncmp(h.alarm, "adapter: '" ADAPTER "' adds ", sizeof(ADAPTER) + 16));
	told_panel(&b, &h);
	CHECK(!*h.alarm); /* once is enough */
	bench_close(&b);
}

int main(void)
{
	numbers_of_a_sublayer();
	sizes_and_layers();
	first_values();
	nothing_is_added_at_first();
	nonsense_is_refused();
	sublayers_take_one();
	files();
	configs_are_judged();
	panel();
	return bench_done();
}
