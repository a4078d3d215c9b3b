#ifndef TESTS_METHOD_ROWS_H
#define TESTS_METHOD_ROWS_H

/*
 * The settings that every method is tried with: alone (test_conformance.c) and
 * over whole runs (tests/train/test_methods.c). A new method adds its rows here;
 * both suites refuse a method without one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/*
 * json: settings as in a recipe but without "method". An array is a combination,
 * ["NAME", {...}, "NAME", {...}], and stands under a method whose claims it shares.
 */
struct method_row {
	const char *method, *json;
};

/* Adapters that others start from, in folders of these names beside the model or the recipe. */
static const struct row_adapter {
	const char *folder, *json;
} row_adapters[] = {
	{ "one", "{\"bottleneck_size\": 3}" },
	{ "two",
	  "{\"bottleneck_size\": 2, \"non_linearity\": \"tanh\", \"scaling\": \"channel\"}" },
	{ "three", "{\"bottleneck_size\": 4, \"scaling\": 2, \"leave_out\": [0]}" },
	{ "tall",
	  "{\"placement\": \"houlsby\", \"bottleneck_size\": 3, \"scaling\": \"learned\"}" },
	{ "low", "{\"placement\": \"houlsby\", \"bottleneck_size\": 2}" },
	{ "wide", "{\"placement\": \"scaled_parallel\", \"bottleneck_size\": 3}" },
	{ "side", "{\"placement\": \"parallel\", \"bottleneck_size\": 2}" },
};

enum { ROW_ADAPTERS = sizeof(row_adapters) / sizeof(row_adapters[0]) };

static const struct method_row method_rows[] = {
	{ "adapter", "{}" },
	{ "adapter",
	  "{\"placement\": \"houlsby\", \"bottleneck_size\": 3, \"scaling\": \"channel\", "
	  "\"init_weights\": \"houlsby\"}" },
	{ "adapter",
	  "{\"placement\": \"pfeiffer\", \"reduction_factor\": 2, \"scaling\": \"learned\", "
	  "\"non_linearity\": \"tanh\", \"dropout\": 0.2, \"leave_out\": 0}" },
	{ "adapter",
	  "{\"placement\": \"parallel\", \"bottleneck_size\": 5, \"non_linearity\": \"gelu\", "
	  "\"modules_to_save\": [\"pooler\"]}" },
	{ "adapter", "{\"placement\": \"scaled_parallel\", \"init_weights\": \"mam_adapter\", "
		     "\"non_linearity\": \"gelu_new\"}" },
	{ "adapter_fusion", "{\"adapters\": [\"one\", \"two\", \"three\"]}" },
	{ "adapter_fusion", "{\"adapters\": [\"tall\", \"low\"], \"fusion\": \"static\", "
			    "\"modules_to_save\": [\"pooler\"]}" },
	{ "adapter_fusion", "{\"adapters\": [\"side\", \"wide\", \"side\"], \"temperature\": true, "
			    "\"regularization\": false, \"dropout_prob\": 0.2}" },
	{ "adalora", "{}" },
	{ "adalora",
	  "{\"init_r\": 4, \"target_r\": 2, \"tinit\": 1, \"tfinal\": 2, \"deltaT\": 2, "
	  "\"lora_alpha\": 6, \"lora_dropout\": 0.2, \"target_modules\": \"all-linear\", "
	  "\"bias\": \"all\"}" },
	{ "adalora", "{\"init_r\": 3, \"target_r\": 1, \"total_step\": 6, \"lora_alpha\": 0, "
		     "\"bias\": \"lora_only\", \"orth_reg_weight\": 0}" },
	{ "adalora",
	  "[\"adalora\", {\"target_modules\": [\"query\"], \"init_r\": 3, \"target_r\": 2}, "
	  "\"adalora\", {\"target_modules\": [\"value\"], \"init_r\": 2, \"target_r\": 1, "
	  "\"tinit\": 3}, \"bitfit\", {}]" },
	{ "bitfit", "{}" },
	{ "bitfit", "{\"bias_terms\": \"query_intermediate\"}" },
	{ "dora", "{}" },
	{ "dora", "{\"r\": 2, \"lora_alpha\": 6, \"target_modules\": \"all-linear\", "
		  "\"use_rslora\": true, \"bias\": \"all\"}" },
	{ "dora", "{\"r\": 2, \"lora_alpha\": 3, \"target_modules\": [\"word_embeddings\", "
		  "\"token_type_embeddings\", \"key\"]}" },
	{ "dora", "{\"r\": 3, \"lora_alpha\": 6, \"lora_dropout\": 0.3, \"bias\": \"lora_only\", "
		  "\"target_modules\": [\"intermediate.dense\", \"query\"]}" },
	{ "dora", "{\"init_lora_weights\": \"pissa_niter_2\", \"r\": 2, \"lora_alpha\": 3, "
		  "\"target_modules\": [\"query\", \"position_embeddings\"]}" },
	{ "diff_pruning", "{}" },
	{ "diff_pruning", "{\"structured\": false, \"alpha_init\": 0.5, \"fixed_mask_ratio\": 0.6, "
			  "\"target_sparsity\": 0.2}" },
	{ "delta_lora", "{\"start_steps\": 2}" },
	{ "delta_lora", "{\"start_steps\": 0, \"update_ratio\": 1.5, \"r\": 2, \"lora_alpha\": 6, "
			"\"target_modules\": \"all-linear\", \"bias\": \"all\"}" },
	{ "delta_lora",
	  "[\"delta_lora\", {\"start_steps\": 5, \"r\": 2, \"lora_bias\": true, "
	  "\"target_modules\": [\"query\"]}, \"lora\", {\"target_modules\": [\"value\"]}]" },
	{ "lora_drop", "{}" },
	{ "lora_drop",
	  "{\"sample_ratio\": 0.5, \"sample_epochs\": 2, \"threshold\": 0.3, \"r\": 2, "
	  "\"lora_alpha\": 6, \"lora_dropout\": 0.2, \"lora_bias\": true, \"bias\": "
	  "\"lora_only\", \"target_modules\": [\"query\", \"key\", \"dense\"]}" },
	{ "lora_drop", "[\"lora_drop\", {\"target_modules\": [\"query\"], \"r\": 2, \"threshold\": "
		       "0.2}, \"lora\", {\"target_modules\": [\"value\"]}, \"lora_drop\", "
		       "{\"target_modules\": [\"key\"], \"threshold\": 0.4}]" },
	{ "full", "{}" },
	{ "head", "{}" },
	{ "ia3", "{}" },
	{ "ia3", "{\"target_modules\": \"all-linear\", \"feedforward_modules\": "
		 "\".*(intermediate|query).*\", \"init_ia3_weights\": false}" },
	{ "ia3", "{\"target_modules\": [\"query\", \"output.dense\"], \"feedforward_modules\": [], "
		 "\"modules_to_save\": [\"pooler\"]}" },
	{ "lora", "{}" },
	{ "lora", "{\"r\": 2, \"lora_alpha\": 6, \"target_modules\": \"all-linear\", "
		  "\"use_rslora\": true, \"bias\": \"all\"}" },
	{ "lora", "{\"r\": 2, \"lora_alpha\": 6, \"lora_bias\": true, \"bias\": \"lora_only\", "
		  "\"target_modules\": "
		  "[\"dense\"]}" },
	{ "lora", "{\"r\": 2, \"target_modules\": [\"word_embeddings\", \"token_type_embeddings\", "
		  "\"key\"]}" },
	{ "lora", "{\"r\": 3, \"lora_alpha\": 6, \"lora_dropout\": 0.3, \"modules_to_save\": "
		  "[\"pooler\"]}" },
	{ "lora", "{\"init_lora_weights\": \"pissa\", \"r\": 2, \"lora_alpha\": 3}" },
	{ "lora", "{\"init_lora_weights\": \"olora\", \"r\": 2, \"use_rslora\": true}" },
	{ "lora", "[\"lora\", {\"target_modules\": [\"query\"], \"r\": 2}, "
		  "\"lora\", {\"target_modules\": [\"value\"], \"r\": 3, \"lora_alpha\": 4}, "
		  "\"bitfit\", {}]" },
	{ "lora", "{\"init_lora_weights\": \"pissa_niter_2\", \"r\": 2, \"lora_alpha\": 3, "
		  "\"target_modules\": [\"query\", \"position_embeddings\"], "
		  "\"rank_pattern\": {\"layer.1.*query\": 3}}" },
	{ "p_tuning", "{\"num_virtual_tokens\": 6}" },
	{ "p_tuning", "{\"num_virtual_tokens\": 6, \"encoder_reparameterization_type\": "
		      "\"LSTM\", \"encoder_hidden_size\": 4, \"encoder_dropout\": 0.1}" },
	{ "p_tuning", "{\"num_virtual_tokens\": 6, \"encoder_reparameterization_type\": "
		      "\"LSTM\", \"encoder_hidden_size\": 3, \"encoder_num_layers\": 1}" },
	{ "p_tuning_v2", "{\"num_virtual_tokens\": 3}" },
	{ "p_tuning_v2", "{\"num_virtual_tokens\": 3, \"prefix_projection\": true, "
			 "\"prefix_hidden_size\": 5}" },
	{ "prefix", "{\"num_virtual_tokens\": 3}" },
	{ "prefix", "{\"num_virtual_tokens\": 2, \"prefix_projection\": true, "
		    "\"encoder_hidden_size\": 5}" },
	{ "prefix", "{\"num_virtual_tokens\": 2, \"init_weights\": \"zero\", "
		    "\"prefix_projection\": true}" },
	{ "prefix", "[\"prefix\", {\"num_virtual_tokens\": 2, \"prefix_projection\": true}, "
		    "\"lora\", {\"r\": 2}]" },
	{ "mam", "{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, \"bottleneck_size\": 3, "
		 "\"non_linearity\": \"gelu\"}" },
	{ "mam",
	  "{\"num_virtual_tokens\": 3, \"prefix_projection\": false, \"bottleneck_size\": 2, "
	  "\"non_linearity\": \"tanh\", \"scaling\": \"learned\", \"dropout\": 0.1, "
	  "\"modules_to_save\": [\"pooler\"]}" },
	{ "mam", "[\"ia3\", {}, \"mam\", {\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, "
		 "\"bottleneck_size\": 2, \"non_linearity\": \"gelu\"}]" },
	{ "unipelt", "{\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, \"r\": 2, "
		     "\"reduction_factor\": 4, \"non_linearity\": \"tanh\"}" },
	{ "unipelt",
	  "{\"num_virtual_tokens\": 3, \"prefix_projection\": false, \"r\": 3, \"lora_dropout\": "
	  "0.3, "
	  "\"target_modules\": [\"key\", \"dense\"], \"bottleneck_size\": 3, "
	  "\"non_linearity\": \"gelu\", \"dropout\": 0.2, \"modules_to_save\": [\"classifier\"]}" },
	{ "unipelt",
	  "[\"unipelt\", {\"num_virtual_tokens\": 2, \"encoder_hidden_size\": 3, "
	  "\"r\": 2, \"bottleneck_size\": 2, \"non_linearity\": \"tanh\"}, \"bitfit\", {}]" },
	{ "mask", "{\"density\": 0.1}" },
	{ "mask", "{\"density\": 0.2, \"selection\": \"magnitude\", \"structure\": \"rows\"}" },
	{ "mask", "{\"density\": 0.3, \"selection\": \"random\", \"structure\": \"heads\", "
		  "\"target_modules\": [\"query\", \"key\", \"value\"]}" },
	{ "mask", "[\"mask\", {\"density\": 0.5, \"selection\": \"pafi\", \"target_modules\": "
		  "[\"intermediate.dense\"]}, \"lora\", {}]" },
	{ "lora_fa", "{}" },
	{ "lora_fa", "{\"r\": 2, \"lora_alpha\": 6, \"target_modules\": \"all-linear\", "
		     "\"use_rslora\": true, \"bias\": \"all\"}" },
	{ "lora_fa", "{\"r\": 3, \"lora_alpha\": 5, \"lora_dropout\": 0.3, \"rank_pattern\": "
		     "{\"layer.1.*query\": 2}}" },
	{ "lora_fa", "{\"init_lora_weights\": \"pissa_niter_2\", \"r\": 2, \"lora_alpha\": 3, "
		     "\"bias\": \"lora_only\"}" },
	{ "vera", "{}" },
	{ "vera",
	  "{\"r\": 5, \"projection_prng_key\": 7, \"target_modules\": [\"query\", \"value\", "
	  "\"intermediate.dense\"], \"bias\": \"vera_only\", \"vera_dropout\": 0.3}" },
	{ "vera", "{\"r\": 12, \"d_initial\": 0.5, \"save_projection\": false, \"target_modules\": "
		  "\"all-linear\", \"bias\": \"all\", \"modules_to_save\": [\"pooler\"]}" },
	{ "prompt", "{\"num_virtual_tokens\": 6}" },
	{ "prompt", "{\"num_virtual_tokens\": 5, \"prompt_tuning_init\": \"CLASS_LABELS\", "
		    "\"modules_to_save\": [\"pooler\"]}" },
	{ "prompt", "[\"prompt\", {\"num_virtual_tokens\": 2, \"prompt_tuning_init\": "
		    "\"UNIFORM\"}, \"prefix\", {\"num_virtual_tokens\": 3}]" },
};

enum { METHOD_ROWS = sizeof(method_rows) / sizeof(method_rows[0]) };

static inline bool method_has_row(const char *method)
{
	for (size_t i = 0; i < METHOD_ROWS; i++) {
		if (!strcmp(method_rows[i].method, method))
			return true;
	}
	return false;
}

/* One method with its settings, as a recipe has it. */
static inline void row_method(struct jsonw *w, const char *name, const struct json *settings)
{
	jsonw_object(w);
	jsonw_key(w, "method");
	jsonw_text(w, name);
	for (const struct json *j = json_first(settings); j; j = json_next(j)) {
		jsonw_key(w, json_key(j));
		jsonw_json(w, j);
	}
	jsonw_end(w, '}');
}

/* A row as a setting of a recipe: peft={"method": ...}, or peft=[...]. */
static inline int row_setting(const struct method_row *row, struct buf *out)
{
	struct json *doc;
	struct jsonw w;
	const int code = json_parse(row->json, strlen(row->json), &doc);

	if (code)
		return code;
	buf_text(out, "peft=");
	jsonw_init(&w, out, 0);
	if (json_type(doc) == JSON_OBJECT) {
		row_method(&w, row->method, doc);
	} else {
		jsonw_array(&w);
		for (const struct json *j = json_first(doc); j; j = json_next(json_next(j)))
			row_method(&w, json_text(j), json_next(j));
		jsonw_end(&w, ']');
	}
	json_free(doc);
	return buf_check(out, "a row");
}

#endif
