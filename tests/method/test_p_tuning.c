/*
 * P-Tuning: the parameters of both encoders, what they make, and the folder with
 * the encoder beside the adapter. The numbers of torch are those of the fixtures.
 */
#include "tests/method/folder.h"

enum { HIDDEN = 8, N = 3 };

#define MLP "{\"num_virtual_tokens\": 3, \"encoder_hidden_size\": 5}"
#define LSTM                                                                          \
	"{\"num_virtual_tokens\": 3, \"encoder_reparameterization_type\": \"LSTM\", " \
	"\"encoder_hidden_size\": 4, \"encoder_dropout\": 0.5}"

/* PEFT's PromptEncoder has as many parameters. */
static void parameters_are_counted(void)
{
	struct bench b;
	const int64_t h = 4,
		      layer[2] = { 2 * 4 * h * (HIDDEN + h + 2), 2 * 4 * h * (2 * h + h + 2) };

	CHECK(bench_open(&b, "p_tuning", MLP, TASK_MLM) == TT_OK);
	CHECK(method_param_count(b.method) ==
	      N * HIDDEN + 5 * HIDDEN + 5 + 5 * 5 + 5 + HIDDEN * 5 + HIDDEN);
	bench_close(&b);
	CHECK(bench_open(&b, "p_tuning", LSTM, TASK_MLM) == TT_OK);
	CHECK(method_param_count(b.method) ==
	      N * HIDDEN + layer[0] + layer[1] + 2 * h * (2 * h + 1) + HIDDEN * (2 * h + 1));
	bench_close(&b);
	/* an MLP has its three layers, whatever is said */
	CHECK(bench_open(&b, "p_tuning",
			 "{\"num_virtual_tokens\": 3, \"encoder_hidden_size\": 5, "
			 "\"encoder_num_layers\": 7}",
			 TASK_MLM) == TT_OK);
	CHECK(method_param_count(b.method) ==
	      N * HIDDEN + 5 * HIDDEN + 5 + 5 * 5 + 5 + HIDDEN * 5 + HIDDEN);
	bench_close(&b);
}

static void first_values_are_torchs(void)
{
	static const char *const names[] = { "prompt_encoder.lstm_head.weight_hh_l1_reverse",
					     "prompt_encoder.lstm_head.bias_ih_l0",
					     "prompt_encoder.mlp_head.0.weight",
					     "prompt_encoder.mlp_head.2.bias" };
	/* 1 / sqrt of the hidden size; of what goes in */
	const double bound[] = { 0.5, 0.5, 1 / sqrt(8), 1 / sqrt(8) };
	struct bench b;

	CHECK(bench_open(&b, "p_tuning", LSTM, TASK_SEQ_CLS) == TT_OK);
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct tensor *t = bench_param(&b, names[i]);
		double most = 0;

		if (!CHECK_NAMED(t != NULL, names[i]))
			continue;
		for (int64_t k = 0; k < tensor_count(t); k++)
			most = fmax(most, fabs((double)t->data[k]));
		CHECK_NAMED(most <= bound[i] && most > 0.7 * bound[i], names[i]);
	}
	bench_close(&b);
}

/* Without parameters behind it a row is the last bias; the MLP by hand. */
static void the_mlp_by_hand(void)
{
	const struct tensor *e, *w[3], *bias[3], *made;
	struct bench b;

	CHECK(bench_open(&b, "p_tuning", MLP, TASK_SEQ_CLS) == TT_OK);
	CHECK(stage_refresh(b.method) == TT_OK);
	e = bench_param(&b, "prompt_encoder.embedding.weight");
	for (int i = 0; i < 3; i++) {
		char name[64];

		snprintf(name, sizeof(name), "prompt_encoder.mlp_head.%d.weight", 2 * i);
		w[i] = bench_param(&b, name);
		snprintf(name, sizeof(name), "prompt_encoder.mlp_head.%d.bias", 2 * i);
		bias[i] = bench_param(&b, name);
	}
	made = b.method->made[0].leaf;
	for (int64_t row = 0; row < N; row++) {
		double x[HIDDEN], y[HIDDEN];

		for (int k = 0; k < HIDDEN; k++)
			x[k] = (double)e->data[row * HIDDEN + k];
		for (int i = 0; i < 3; i++) {
			const int64_t out = w[i]->dim[0], in = w[i]->dim[1];

			for (int64_t o = 0; o < out; o++) {
				y[o] = (double)bias[i]->data[o];
				for (int64_t k = 0; k < in; k++)
					y[o] += (double)w[i]->data[o * in + k] * x[k];
				if (i < 2)
					y[o] = fmax(y[o], 0);
			}
			memcpy(x, y, sizeof(x));
		}
		for (int k = 0; k < HIDDEN; k++)
			CHECK_NEAR(made->data[row * HIDDEN + k], x[k], 1e-5);
	}
	/* what is saved is what was made */
	CHECK(!memcmp(made->data, b.method->fixed.item[0]->data, N * HIDDEN * sizeof(float)));
	bench_close(&b);
}

/* Dropout lies between the layers of an LSTM and is off in evaluations: each pass makes the same. */
static void dropout_is_for_training(void)
{
	float first[N * HIDDEN];
	struct bench b;

	CHECK(bench_open(&b, "p_tuning", LSTM, TASK_SEQ_CLS) == TT_OK);
	CHECK(stage_refresh(b.method) == TT_OK);
	memcpy(first, b.method->made[0].leaf->data, sizeof(first));
	CHECK(isfinite(bench_loss(&b)));
	CHECK(memcmp(first, b.method->made[0].leaf->data, sizeof(first)) != 0);
	CHECK(stage_refresh(b.method) == TT_OK);
	CHECK(!memcmp(first, b.method->made[0].leaf->data, sizeof(first)));
	bench_close(&b);
}

static const char *const config_lines[] = {
	"{",
	"  \"auto_mapping\": null,",
	"  \"base_model_name_or_path\": \"../model\",",
	"  \"encoder_dropout\": 0.5,",
	"  \"encoder_hidden_size\": 4,",
	"  \"encoder_num_layers\": 2,",
	"  \"encoder_reparameterization_type\": \"LSTM\",",
	"  \"inference_mode\": true,",
	"  \"modules_to_save\": [",
	"    \"classifier\",",
	"    \"score\",",
	"    \"classifier\",",
	"    \"score\"",
	"  ],",
	"  \"num_attention_heads\": 2,",
	"  \"num_layers\": 2,",
	"  \"num_transformer_submodules\": 1,",
	"  \"num_virtual_tokens\": 3,",
	"  \"peft_type\": \"P_TUNING\",",
	"  \"peft_version\": \"0.21.0\",",
	"  \"revision\": null,",
	"  \"task_type\": \"SEQ_CLS\",",
	"  \"token_dim\": 8",
	"}",
};

static void folder_is_as_peft_writes_it(void)
{
	static const char *const names[] = { "prompt_embeddings", "base_model.classifier.weight",
					     "base_model.classifier.bias" };
	static const char *const encoder[] = {
		"embedding.weight",
		"lstm_head.weight_ih_l0",
		"lstm_head.weight_hh_l0",
		"lstm_head.bias_ih_l0",
		"lstm_head.bias_hh_l0",
		"lstm_head.weight_ih_l0_reverse",
		"lstm_head.weight_hh_l0_reverse",
		"lstm_head.bias_ih_l0_reverse",
		"lstm_head.bias_hh_l0_reverse",
		"lstm_head.weight_ih_l1",
		"lstm_head.weight_hh_l1",
		"lstm_head.bias_ih_l1",
		"lstm_head.bias_hh_l1",
		"lstm_head.weight_ih_l1_reverse",
		"lstm_head.weight_hh_l1_reverse",
		"lstm_head.bias_ih_l1_reverse",
		"lstm_head.bias_hh_l1_reverse",
		"mlp_head.0.weight",
		"mlp_head.0.bias",
		"mlp_head.2.weight",
		"mlp_head.2.bias",
	};
	struct bench b;

	CHECK(bench_open(&b, "p_tuning", LSTM, TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_save(&b) == TT_OK);
	folder_config_is(&b, config_lines, COUNT(config_lines));
	folder_holds(&b, "adapter_model.safetensors", names, COUNT(names));
	folder_holds(&b, "prompt_encoder.safetensors", encoder, COUNT(encoder));
	bench_close(&b);
}

/* Another encoder than the recipe's is refused by its shapes; without the file any prompt evaluates. */
static void encoders_that_differ(void)
{
	char path[PATH_MAX];
	struct bench a, b;

	CHECK(bench_open(&a, "p_tuning", LSTM, TASK_SEQ_CLS) == TT_OK && folder_save(&a) == TT_OK);
	CHECK(bench_open(&b, "p_tuning", MLP, TASK_SEQ_CLS) == TT_OK);
	CHECK(folder_load(&b, &a) == TT_INVALID);
	CHECK(strstr(err_text(), "prompt_encoder.safetensors does not fit the recipe"));
	folder_path(&a, "prompt_encoder.safetensors", path);
	CHECK(fs_remove_tree(path) == TT_OK);
	CHECK(folder_load(&b, &a) == TT_OK && b.method->untrainable);
	bench_close(&a);
	bench_close(&b);
}

static const struct bad_setting bad[] = {
	{ "{}", "num_virtual_tokens" },
	{ "{\"num_virtual_tokens\": 64}", "none is left for the text" },
	{ "{\"num_virtual_tokens\": 4, \"encoder_reparameterization_type\": \"GRU\"}",
	  "encoder_reparameterization_type" },
	{ "{\"num_virtual_tokens\": 4, \"encoder_num_layers\": 17}", "encoder_num_layers" },
	{ "{\"num_virtual_tokens\": 4, \"encoder_dropout\": 1}", "encoder_dropout" },
};

int main(void)
{
	parameters_are_counted();
	first_values_are_torchs();
	the_mlp_by_hand();
	dropout_is_for_training();
	folder_is_as_peft_writes_it();
	encoders_that_differ();
	refuses_all("p_tuning", TASK_SEQ_CLS, bad, COUNT(bad));
	return bench_done();
}
