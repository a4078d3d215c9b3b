/*
 * (IA)^3: which side of which layer is scaled, the numbers of a scaled layer, PEFT's
 * config word for word, folding in with the bias, and the panel.
 */
#include "tests/method/told.h"

#include "base/array.h"

#define LAYER "bert.encoder.layer.1."

static const struct tensor *factors(const struct bench *b, const char *module)
{
	for (size_t i = 0; i < b->method->nparam; i++) {
		const struct tensor *t = b->method->param[i];
		const size_t n = strlen(module);

		if (!strncmp(t->name, module, n) && !strcmp(t->name + n, ".ia3_l"))
			return t;
	}
	return NULL;
}

/* Hidden size 8, feed-forward 12. rows and cols of the factors; 0: the module has none. */
static const struct {
	const char *json, *module;
	int64_t rows, cols;
} sides[] = {
	{ "{}", LAYER "attention.self.key", 8, 1 },
	{ "{}", LAYER "attention.self.value", 8, 1 },
	{ "{}", LAYER "attention.self.query", 0, 0 },
	{ "{}", LAYER "output.dense", 1, 12 },
	/* the end of the name picks it too, as in PEFT */
	{ "{}", LAYER "attention.output.dense", 1, 8 },
	{ "{}", LAYER "intermediate.dense", 0, 0 },
	{ "{\"target_modules\": [\"dense\"], \"feedforward_modules\": [\"dense\"]}",
	  LAYER "intermediate.dense", 1, 8 },
	{ "{\"target_modules\": [\"dense\"], \"feedforward_modules\": []}",
	  LAYER "intermediate.dense", 12, 1 },
	/* absent, the usual ones are plain ends: "output.dense" without the dot before it */
	{ "{\"target_modules\": [\"dense\"]}", LAYER "attention.output.dense", 1, 8 },
	{ "{\"target_modules\": [\"dense\"]}", LAYER "intermediate.dense", 12, 1 },
	{ "{\"target_modules\": \".*dense\", \"feedforward_modules\": [\"te.dense\"]}",
	  LAYER "intermediate.dense", 1, 8 },
	/* an expression must match the whole path */
	{ "{\"target_modules\": \".*dense\", \"feedforward_modules\": \"intermediate\"}",
	  LAYER "intermediate.dense", 12, 1 },
	{ "{\"target_modules\": \".*dense\", \"feedforward_modules\": \".*intermediate.*\"}",
	  LAYER "intermediate.dense", 1, 8 },
	{ "{\"exclude_modules\": [\"value\"]}", LAYER "attention.self.value", 0, 0 },
};

static void sides_of_layers(void)
{
	for (size_t i = 0; i < COUNT(sides); i++) {
		const struct tensor *t;
		struct bench b;

		CHECK_NAMED(bench_open(&b, "ia3", sides[i].json, TASK_SEQ_CLS) == TT_OK,
			    sides[i].json);
		t = factors(&b, sides[i].module);
		CHECK_NAMED(!t == !sides[i].rows, sides[i].json);
		CHECK_NAMED(!t || (t->rank == 2 && t->dim[0] == sides[i].rows &&
				   t->dim[1] == sides[i].cols),
			    sides[i].json);
		bench_close(&b);
	}
}

/* The sum for one output of a layer, by the formula in double. */
static double output_of(const struct site *s, const float *x, const struct tensor *l, int64_t o)
{
	const int64_t in = s->weight->dim[1];
	const bool feeds = l->dim[0] == 1;
	double y = (double)s->bias->data[o];

	for (int64_t k = 0; k < in; k++)
		y += (double)x[k] * (feeds ? (double)l->data[k] : 1) *
		     (double)s->weight->data[o * in + k];
	return feeds ? y : y * (double)l->data[o];
}

static void numbers_of_a_layer(void)
{
	static const char *const module[] = { LAYER "attention.self.value", LAYER "output.dense" };
	static const struct pass reading = { .train = false };
	struct bench b;

	CHECK(bench_open(&b, "ia3", "{}", TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.5f);
	for (size_t i = 0; i < COUNT(module); i++) {
		struct site *s = model_site(b.model, module[i]);
		const struct tensor *l = factors(&b, module[i]);
		struct tensor *x, *y;

		graph_begin(b.graph, &reading, NULL, 0);
		x = graph_tensor(b.graph, 2, s->weight->dim[1], false);
		for (int64_t k = 0; k < tensor_count(x); k++)
			x->data[k] = (float)sin((double)k);
		y = site_linear(b.graph, s, x);
		for (int64_t k = 0; k < tensor_count(y); k++)
			CHECK_NEAR(y->data[k],
				   output_of(s, x->data + k / 8 * s->weight->dim[1], l, k % 8),
				   2e-6);
	}
	bench_close(&b);
}

/* As PEFT 0.21 writes it for the same settings. */
static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"toy\",",
	"  \"exclude_modules\": null,",
	"  \"fan_in_fan_out\": false,",
	"  \"feedforward_modules\": [",
	"    \"output.dense\"",
	"  ],",
	"  \"inference_mode\": true,",
	"  \"init_ia3_weights\": true,",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"peft_type\": \"IA3\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"revision\": null,",
	"  \"target_modules\": [",
	"    \"key\",",
	"    \"output.dense\",",
	"    \"value\"",
	"  ],",
	"  \"task_type\": \"SEQ_CLS\"",
	"}",
};

static void config_is_that_of_peft(void)
{
	struct bench b;

	CHECK(bench_open(&b, "ia3", "{}", TASK_SEQ_CLS) == TT_OK);
	told_config(&b, config_lines, COUNT(config_lines));
	bench_close(&b);
}

static const struct {
	const char *text, *says;
} configs[] = {
	{ "{\"peft_type\": \"IA3\", \"target_modules\": [\"key\"], \"feedforward_modules\": []}",
	  NULL },
	{ "{\"peft_type\": \"IA3\", \"layers_to_transform\": null}", NULL },
	{ "{\"peft_type\": \"IA3\", \"per_head\": true}",
	  "per_head is set, which may change what the adapter computes and is not supported" },
	{ "{\"peft_type\": \"LORA\"}", "peft_type is \"LORA\", and method 'ia3' reads \"IA3\"" },
};

static void configs_are_judged(void)
{
	struct bench b;

	CHECK(bench_open(&b, "ia3", "{}", TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(configs); i++) {
		const int code = adapter_check_config(b.method, configs[i].text,
						      strlen(configs[i].text));

		CHECK_NAMED(code == (configs[i].says ? TT_INVALID : TT_OK), configs[i].text);
		if (configs[i].says)
			CHECK_STR(err_text(), configs[i].says);
	}
	bench_close(&b);
}

static const struct {
	const char *json;
	int task;
	const char *says;
} refused[] = {
	{ "{\"target_modules\": [\"key\"], \"feedforward_modules\": [\"output.dense\"]}",
	  TASK_SEQ_CLS,
	  "peft.feedforward_modules names 'output.dense', which is not among "
	  "peft.target_modules" },
	{ "{\"target_modules\": \".*dense\", \"feedforward_modules\": \"(\"}", TASK_SEQ_CLS, NULL },
	{ "{\"target_modules\": [\"word_embeddings\"]}", TASK_SEQ_CLS,
	  "peft.target_modules picks 'bert.embeddings.word_embeddings', a lookup layer, which "
	  "method 'ia3' cannot adapt" },
	{ "{\"r\": 4}", TASK_SEQ_CLS, NULL },
};

static void nonsense_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, "ia3", refused[i].json, refused[i].task) == TT_INVALID,
			    refused[i].json);
		if (refused[i].says)
			CHECK_STR(err_text(), refused[i].says);
		bench_close(&b);
	}
}

/* The bias goes along with the output, and stays when the input is scaled. */
static void bias_is_folded(void)
{
	struct site *value, *dense;
	float was[2], factor;
	struct bench b;

	CHECK(bench_open(&b, "ia3", "{}", TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.5f);
	value = model_site(b.model, LAYER "attention.self.value");
	dense = model_site(b.model, LAYER "output.dense");
	was[0] = value->bias->data[3];
	was[1] = dense->bias->data[3];
	factor = factors(&b, LAYER "attention.self.value")->data[3];
	CHECK(method_merge(b.method) == TT_OK);
	CHECK(value->bias->data[3] == was[0] * factor && dense->bias->data[3] == was[1]);
	bench_close(&b);
}

/* The output layer of a masked language model is the table of words. */
static void tied_weight_is_not_merged(void)
{
	struct bench b;

	CHECK(bench_open(&b, "ia3",
			 "{\"target_modules\": [\"decoder\"], \"feedforward_modules\": []}",
			 TASK_MLM) == TT_OK);
	CHECK(method_merge(b.method) == TT_INVALID);
	CHECK(strstr(err_text(), "'cls.predictions.decoder' shares its weight with "));
	bench_close(&b);
}

static void panel_tells_the_change(void)
{
	struct told h;
	struct tensor *key;
	struct bench b;

	CHECK(bench_open(&b, "ia3",
			 "{\"target_modules\": [\"key\", \"value\"], "
			 "\"feedforward_modules\": []}",
			 TASK_SEQ_CLS) == TT_OK);
	key = (struct tensor *)(uintptr_t)factors(&b, LAYER "attention.self.key");
	for (int i = 0; i < 8; i++)
		key->data[i] = i < 2 ? -1 : 1.5f;
	told_panel(&b, &h);
	/* |l - 1|: 2, 2, and six times 0.5: 7 of the key's 8 numbers, of 16 of its kind, of 32 in all */
	CHECK_NEAR(told_value(&h, "method/ia3/change/attention.self.key"), 7.0 / 16, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/change/attention.self.value"), 0, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/change/layer_0"), 0, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/change/layer_1"), 7.0 / 16, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/change_mean"), 7.0 / 32, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/change_max"), 7.0 / 8, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/least"), -1, 0);
	CHECK_NEAR(told_value(&h, "method/ia3/most"), 1.5, 0);
	CHECK_NEAR(told_value(&h, "method/ia3/flipped"), 2.0 / 32, 1e-9);
	CHECK_NEAR(told_value(&h, "method/ia3/near_one"), 24.0 / 32, 1e-9);
	CHECK(h.n == 10 && !*h.alarm);
	key->data[0] = 11;
	told_panel(&b, &h);
	CHECK_STR(h.alarm, "ia3: factors are from -1 to 11; lower train.learning_rate");
	told_panel(&b, &h);
	CHECK(!*h.alarm); /* once is enough */
	bench_close(&b);
}

int main(void)
{
	sides_of_layers();
	numbers_of_a_layer();
	config_is_that_of_peft();
	configs_are_judged();
	nonsense_is_refused();
	bias_is_folded();
	tied_weight_is_not_merged();
	panel_tells_the_change();
	return bench_done();
}
