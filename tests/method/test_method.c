/*
 * Opening a method: what trains, in which order, what is counted, and what is
 * refused in which words.
 */
#include "tests/method/bench.h"

#include "base/array.h"

static const struct {
	const char *method, *json;
	int task;
	int64_t trains, extra;
} counts[] = {
	/* hidden 8, feed-forward 12, two layers, two labels: the classifier has 8 * 2 + 2 = 18 */
	{ "head", "{}", TASK_SEQ_CLS, 18, 0 },
	{ "head", "{}", TASK_REGRESSION, 9, 0 },
	/* biases: 8 (embeddings) + 2 * (6 * 8 + 12 + 8) + 8 (pooler), and the classifier */
	{ "bitfit", "{}", TASK_SEQ_CLS, 8 + 2 * 68 + 8 + 18, 0 },
	{ "bitfit", "{\"bias_terms\": \"query_intermediate\"}", TASK_SEQ_CLS, 2 * (8 + 12) + 18,
	  0 },
	{ "bitfit", "{}", TASK_MLM, 8 + 2 * 68 + 8 + 8 + 40, 0 },
	/* query and value of two layers: 4 * (r * 8 + 8 * r) */
	{ "lora", "{}", TASK_SEQ_CLS, 4 * 128 + 18, 4 * 128 },
	{ "lora", "{\"r\": 2}", TASK_REGRESSION, 4 * 32 + 9, 4 * 32 },
	{ "lora", "{\"r\": 2}", TASK_MLM, 4 * 32, 4 * 32 },
	{ "lora", "{\"r\": 2, \"layers_to_transform\": 1, \"target_modules\": [\"query\"]}",
	  TASK_SEQ_CLS, 32 + 18, 32 },
	{ "lora", "{\"r\": 1, \"target_modules\": \"dummy-target-modules\"}", TASK_SEQ_CLS, 18, 0 },
	/* four 8 x 8, one 12 x 8 and one 8 x 12 a layer, and the pooler */
	{ "lora", "{\"r\": 1, \"target_modules\": \"All-Linear\"}", TASK_SEQ_CLS,
	  2 * (4 * 16 + 2 * 20) + 16 + 18, 2 * (4 * 16 + 2 * 20) + 16 },
	{ "lora", "{\"r\": 1, \"target_modules\": \"all-linear\"}", TASK_MLM,
	  2 * (4 * 16 + 2 * 20) + 16, 2 * (4 * 16 + 2 * 20) + 16 },
	{ "lora", "{\"r\": 1, \"target_modules\": [\"word_embeddings\"]}", TASK_SEQ_CLS, 48 + 18,
	  48 },
	{ "lora", "{\"r\": 1, \"target_modules\": [\"query\"], \"lora_bias\": true}", TASK_SEQ_CLS,
	  2 * 24 + 18, 2 * 24 },
	{ "lora", "{\"r\": 1, \"target_modules\": [\"query\"], \"bias\": \"lora_only\"}",
	  TASK_SEQ_CLS, 2 * 16 + 2 * 8 + 18, 2 * 16 },
	{ "lora", "{\"r\": 1, \"target_modules\": [\"query\"], \"bias\": \"all\"}", TASK_SEQ_CLS,
	  2 * 16 + 8 + 2 * 68 + 8 + 18, 2 * 16 },
	{ "lora", "{\"r\": 1, \"target_modules\": [\"query\"], \"modules_to_save\": [\"pooler\"]}",
	  TASK_SEQ_CLS, 2 * 16 + 72 + 18, 2 * 16 },
	{ "lora",
	  "{\"r\": 1, \"rank_pattern\": {\"layer.1.*query\": 3}, \"target_modules\": [\"query\"]}",
	  TASK_SEQ_CLS, 16 + 48 + 18, 16 + 48 },
};

static void parameters_are_counted(void)
{
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct bench b;
		char what[120];

		snprintf(what, sizeof(what), "%s %.100s", counts[i].method, counts[i].json);
		CHECK_NAMED(bench_open(&b, counts[i].method, counts[i].json, counts[i].task) ==
				    TT_OK,
			    what);
		if (!b.method) {
			printf("# %s\n", err_text());
		} else {
			CHECK_NAMED(method_param_count(b.method) == counts[i].trains, what);
			CHECK_NAMED(method_extra_count(b.method) == counts[i].extra, what);
		}
		bench_close(&b);
	}
}

static void full_trains_the_model(void)
{
	static const int tasks[] = { TASK_SEQ_CLS, TASK_MLM };

	for (size_t i = 0; i < COUNT(tasks); i++) {
		struct bench b;

		CHECK(bench_open(&b, "full", "{}", tasks[i]) == TT_OK);
		CHECK(b.method && method_param_count(b.method) == model_param_count(b.model));
		CHECK(b.method && method_extra_count(b.method) == 0);
		bench_close(&b);
	}
}

static const struct {
	const char *method, *json;
	int task;
	const char *says;
} refused[] = {
	{ "head", "{}", TASK_MLM,
	  "method 'head' needs a task with a classifier; task 'mlm' has none" },
	{ "lora", "{\"use_dora\": true}", TASK_SEQ_CLS,
	  "peft.use_dora: DoRA is a method of its own here; write \"method\": \"dora\"" },
	{ "lora", "{\"target_modules\": [\"q_proj\"]}", TASK_SEQ_CLS,
	  "peft.target_modules: no module of the model matches "
	  "'q_proj'; they have names like 'bert.encoder.layer.0.attention.self.query'" },
	{ "lora", "{\"target_modules\": [\"LayerNorm\"]}", TASK_SEQ_CLS,
	  "peft.target_modules picks "
	  "'bert.embeddings.LayerNorm', a normalisation layer, which method 'lora' cannot adapt" },
	{ "lora", "{\"target_modules\": [\"attention\", \"query\"]}", TASK_SEQ_CLS,
	  "peft.target_modules picks "
	  "'bert.encoder.layer.0.attention', which is a group of modules; name the layers in it" },
	{ "lora", "{\"modules_to_save\": [\"poller\"]}", TASK_SEQ_CLS,
	  "peft.modules_to_save: no module of the model ends with 'poller'" },
	{ "lora", "{\"modules_to_save\": [\"uery\"]}", TASK_SEQ_CLS,
	  "peft.modules_to_save picks "
	  "'bert.encoder.layer.0.attention.self.query', but "
	  "'bert.encoder.layer.0.attention.self.query' in it carries an "
	  "adapter" },
	{ "lora", "{\"modules_to_save\": [\"word_embeddings\"]}", TASK_MLM,
	  "peft.modules_to_save picks "
	  "'bert.embeddings.word_embeddings', but 'cls.predictions.decoder' and "
	  "'bert.embeddings.word_embeddings.weight' "
	  "share one weight and cannot train apart" },
	{ "lora", "{\"target_modules\": [\"word_embeddings\"], \"lora_bias\": true}", TASK_SEQ_CLS,
	  "peft.lora_bias does not work on 'bert.embeddings.word_embeddings', a lookup table" },
	{ "lora", "{\"lora_bias\": true, \"init_lora_weights\": \"pissa\"}", TASK_SEQ_CLS,
	  "peft.lora_bias goes with init_lora_weights true or false only" },
	{ "lora", "{\"init_lora_weights\": \"eva\"}", TASK_SEQ_CLS,
	  "peft.init_lora_weights is \"eva\"; it takes true, false, "
	  "\"gaussian\", \"orthogonal\", \"pissa\", \"pissa_niter_N\" (N up to 1000) and "
	  "\"olora\"" },
	{ "lora", "{\"init_lora_weights\": \"pissa_niter_\"}", TASK_SEQ_CLS, NULL },
	{ "lora", "{\"init_lora_weights\": 1}", TASK_SEQ_CLS,
	  "peft.init_lora_weights is a number; it takes true, false, "
	  "\"gaussian\", \"orthogonal\", \"pissa\", \"pissa_niter_N\" (N up to 1000) and "
	  "\"olora\"" },
	{ "lora", "{\"init_lora_weights\": \"orthogonal\", \"r\": 3}", TASK_SEQ_CLS, NULL },
	{ "lora", "{\"init_lora_weights\": \"pissa\", \"r\": 9}", TASK_SEQ_CLS,
	  "peft.r 9 is more than "
	  "'bert.encoder.layer.0.attention.self.query' "
	  "[8,8] has" },
	{ "lora", "{\"rank_pattern\": {\"query\": 0}}", TASK_SEQ_CLS,
	  "peft.rank_pattern: 'query' needs a whole number above 0" },
	{ "lora", "{\"rank_pattern\": {\"query\": 1.5}}", TASK_SEQ_CLS, NULL },
	{ "lora", "{\"alpha_pattern\": {\"query\": \"8\"}}", TASK_SEQ_CLS,
	  "peft.alpha_pattern: 'query' needs a number above 0" },
	{ "lora", "{\"rank_pattern\": [1]}", TASK_SEQ_CLS,
	  "peft.rank_pattern is an array; it takes an object from patterns to numbers" },
	{ "lora", "{\"r\": 0}", TASK_SEQ_CLS, NULL },
	{ "lora", "{\"lora_dropout\": 1}", TASK_SEQ_CLS, NULL },
	{ "bitfit", "{\"bias_terms\": \"key\"}", TASK_SEQ_CLS, NULL },
};

static void nonsense_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct bench b;

		CHECK_NAMED(bench_open(&b, refused[i].method, refused[i].json, refused[i].task) ==
				    TT_INVALID,
			    refused[i].json);
		if (refused[i].says)
			CHECK_STR(err_text(), refused[i].says);
		bench_close(&b);
	}
}

/* Values belong to names: another target, another order, and the tensor is the same. */
static void values_belong_to_names(void)
{
	struct bench one, two, other;
	const struct tensor *a, *b;

	CHECK(bench_open(&one, "lora", "{\"target_modules\": [\"value\"]}", TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&two, "lora", "{\"target_modules\": [\"value\", \"query\"]}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(!bench_model(&other, TASK_SEQ_CLS) &&
	      !bench_attach(&other, "lora", "{\"target_modules\": [\"value\"]}", TASK_SEQ_CLS, 43));
	a = one.method->param[0];
	b = two.method->param[2];
	CHECK_STR(a->name, "bert.encoder.layer.0.attention.self.value.lora_A.weight");
	CHECK_STR(b->name, a->name);
	CHECK(!memcmp(a->data, b->data, (size_t)tensor_count(a) * sizeof(float)));
	CHECK(memcmp(a->data, other.method->param[0]->data,
		     (size_t)tensor_count(a) * sizeof(float)));
	CHECK(memcmp(a->data, two.method->param[0]->data, (size_t)tensor_count(a) * sizeof(float)));
	bench_close(&one);
	bench_close(&two);
	bench_close(&other);
}

static void what_was_before_is_known(void)
{
	struct bench b;
	const struct tensor *t;
	float first;

	CHECK(bench_open(&b, "bitfit", "{}", TASK_SEQ_CLS) == TT_OK);
	t = b.method->param[0];
	first = t->data[0];
	bench_shake(&b, 0.5f);
	CHECK(fabs((double)(t->data[0] - first)) > 1e-6);
	CHECK(method_before(b.method, t) &&
	      fabs((double)(method_before(b.method, t)[0] - first)) <= 0);
	CHECK(!method_before(b.method, model_param(b.model, "bert.pooler.dense.weight")));
	bench_close(&b);
}

static const struct {
	const char *name, *part;
} parts[] = {
	{ "bert.encoder.layer.11.output.dense.weight", "layer_11" },
	{ "bert.embeddings.word_embeddings.weight", "embeddings" },
	{ "bert.pooler.dense.bias", "pooler" },
	{ "classifier.weight", "classifier" },
	{ "classifier", "classifier" },
	{ "cls.predictions.bias", "predictions" },
};

static void parts_have_names(void)
{
	char part[64];

	for (size_t i = 0; i < COUNT(parts); i++)
		CHECK_STR(method_part(parts[i].name, part, sizeof(part)), parts[i].part);
}

static void the_table_is_the_registry(void)
{
	const struct recipe_method *t = method_table();
	size_t n = 0;

	for (; t[n].name; n++) {
		CHECK_NAMED(method_find(t[n].name) == method_all()[n], t[n].name);
		CHECK_NAMED(t[n].knobs == method_all()[n]->knobs, t[n].name);
	}
	CHECK(n >= 4 && !method_all()[n]);
	CHECK(!method_find("nothing"));
}

int main(void)
{
	parameters_are_counted();
	full_trains_the_model();
	nonsense_is_refused();
	values_belong_to_names();
	what_was_before_is_known();
	parts_have_names();
	the_table_is_the_registry();
	return bench_done();
}
