recipedir = $(pkgdatadir)/recipes
dist_recipe_DATA = %D%/mr-adalora.json %D%/mr-adapter.json %D%/mr-adapter-fusion.json %D%/mr-bitfit.json \
	%D%/mr-delta-lora.json %D%/mr-diff-pruning.json %D%/mr-mask.json %D%/mr-dora.json %D%/mr-cloze-lora.json \
	%D%/mr-cloze-zero-shot.json %D%/mr-full.json %D%/mr-head.json %D%/mr-ia3.json %D%/mr-lora.json \
	%D%/mr-lora-drop.json %D%/mr-lora-fa.json %D%/mr-mam.json %D%/mr-p_tuning.json %D%/mr-p_tuning_v2.json %D%/mr-vera.json %D%/mr-prefix.json %D%/mr-prompt.json \
	%D%/mr-unipelt.json %D%/mr-zero-shot.json
EXTRA_DIST += %D%/README.md
# what mr-adapter-fusion mixes
labelsadapterdir = $(recipedir)/adapters/mr-labels
dist_labelsadapter_DATA = %D%/adapters/mr-labels/adapter_config.json %D%/adapters/mr-labels/adapter_model.safetensors
wordsadapterdir = $(recipedir)/adapters/mr-words
dist_wordsadapter_DATA = %D%/adapters/mr-words/adapter_config.json %D%/adapters/mr-words/adapter_model.safetensors
