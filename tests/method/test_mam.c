/* MAM adapters: they are the array of a prefix and scaled parallel adapters, their folder, their first values. */
#include "base/array.h"
#include "tensor/kernel.h"
#include "tests/method/told.h"

#define SETTINGS                                                                           \
	"{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, \"bottleneck_size\": 5, " \
	"\"non_linearity\": \"gelu\"}"

static const char array[] = "[\"adapter\", {\"placement\": \"scaled_parallel\", \"scaling\": 4, "
			    "\"bottleneck_size\": 5, "
			    "\"init_weights\": \"mam_adapter\", \"non_linearity\": \"gelu\"}, "
			    "\"prefix\", {\"num_virtual_tokens\": 2, \"prefix_projection\": true, "
			    "\"encoder_hidden_size\": 3}]";

static bool same_params(const struct method *a, const struct method *b)
{
	bool same = a->nparam == b->nparam;

	for (size_t i = 0; same && i < a->nparam; i++)
		same = !strcmp(a->param[i]->name, b->param[i]->name) &&
		       tensor_count(a->param[i]) == tensor_count(b->param[i]) &&
		       !memcmp(a->param[i]->data, b->param[i]->data,
			       (size_t)tensor_count(a->param[i]) * sizeof(float));
	return same;
}

/* Bit for bit, at first and after training, when the array's text keeps its positions, too. */
static void is_an_array(void)
{
	struct bench a, b;

	CHECK(bench_open(&a, "mam", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_open(&b, "", array, TASK_SEQ_CLS) == TT_OK);
	CHECK(a.model->position_offset == 0 && b.model->position_offset == 2);
	b.model->position_offset = 0;
	CHECK(same_params(a.method, b.method));
	for (int i = 0; i < 3; i++) {
		const double loss = bench_train(&a, 0.01);

		CHECK(loss > 0 && fabs(loss - bench_train(&b, 0.01)) <= 0);
	}
	CHECK(same_params(a.method, b.method));
	bench_close(&a);
	bench_close(&b);
}

/* 30 rows by an MLP of 800, and 512 numbers in adapters whose second halves are 0. */
static void defaults(void)
{
	/* E, two layers and their biases; of both blocks d, u and biases; the head */
	const int64_t prefix = 30 * 8 + (800 * 8 + 800) + (2 * 2 * 8 * 800 + 2 * 2 * 8),
		      adapters = 2 * (512 * 8 + 512 + 8 * 512 + 8), head = 8 * 2 + 2;
	const struct tensor *down = NULL;
	double most = 0;
	struct bench b;

	CHECK(bench_open(&b, "mam", "{}", TASK_SEQ_CLS) == TT_OK);
	CHECK(method_param_count(b.method) == prefix + adapters + head);
	for (size_t i = 0; i < b.method->nparam; i++) {
		const struct tensor *t = b.method->param[i];

		if (strstr(t->name, "adapter_up"))
			CHECK_NAMED(kernel_sum_squares(t->data, tensor_count(t)) <= 0, t->name);
		if (strstr(t->name, "adapter_down.0.weight"))
			down = t;
	}
	for (int64_t i = 0; down && i < tensor_count(down); i++)
		most = fmax(most, fabs((double)down->data[i]));
	CHECK(most > 0.34 && most <= 1 / sqrt(8)); /* U(-1/sqrt(d), 1/sqrt(d)) */
	CHECK(!method_mergeable(b.method));
	bench_close(&b);
}

static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"toy\",",
	"  \"inference_mode\": true,",
	"  \"methods\": [",
	"    {",
	"      \"method\": \"adapter\",",
	"      \"peft_type\": \"TRIMTAB_ADAPTER\",",
	"      \"placement\": \"scaled_parallel\",",
	"      \"bottleneck_size\": 5,",
	"      \"non_linearity\": \"gelu\",",
	"      \"scaling\": 4.0,",
	"      \"dropout\": 0.0,",
	"      \"init_weights\": \"mam_adapter\",",
	"      \"leave_out\": []",
	"    },",
	"    {",
	"      \"method\": \"prefix\",",
	"      \"peft_type\": \"PREFIX_TUNING\",",
	"      \"encoder_hidden_size\": 3,",
	"      \"init_weights\": null,",
	"      \"prefix_projection\": true,",
	"      \"token_dim\": 8,",
	"      \"num_layers\": 2,",
	"      \"num_attention_heads\": 2,",
	"      \"num_transformer_submodules\": 1,",
	"      \"num_virtual_tokens\": 2",
	"    }",
	"  ],",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"peft_type\": \"TRIMTAB_MAM\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"revision\": null,",
	"  \"task_type\": \"SEQ_CLS\"",
	"}",
};

/* An array's folder is none of MAM, nor is one with other sizes: each is refused by name. */
static void folders(void)
{
	char dir[PATH_MAX];
	struct bench a, b;

	CHECK(bench_open(&a, "mam", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	told_config(&a, config_lines, COUNT(config_lines));
	told_folder(&a, dir, sizeof(dir));
	CHECK(bench_open(&b, "", array, TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_INVALID);
	CHECK(strstr(err_text(), "peft_type is \"TRIMTAB_MAM\""));
	bench_close(&b);
	CHECK(bench_open(&b, "mam",
			 "{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, "
			 "\"bottleneck_size\": 5, \"non_linearity\": \"tanh\"}",
			 TASK_SEQ_CLS) == TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_INVALID);
	if (!CHECK(strstr(err_text(), "methods.0: non_linearity")))
		printf("# %s\n", err_text());
	bench_close(&b);
	bench_close(&a);
}

/* The panels of both parts. */
static void panel(void)
{
	struct told h;
	struct bench b;
	int64_t n;

	CHECK(bench_open(&b, "mam", SETTINGS, TASK_SEQ_CLS) == TT_OK);
	bench_shake(&b, 0.1f);
	free(bench_logits(&b, &n));
	told_panel(&b, &h);
	CHECK(told_value(&h, "method/adapter/ratio/layer_1") > 0);
	CHECK(told_value(&h, "method/prefix/attention/layer_0") > 0);
	CHECK(isnan(told_value(&h, "method/prefix/gate_mean")));
	bench_close(&b);
}

int main(void)
{
	is_an_array();
	defaults();
	folders();
	panel();
	return bench_done();
}
