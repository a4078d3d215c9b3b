recipedir = $(pkgdatadir)/recipes
dist_recipe_DATA = %D%/mr-adalora.json %D%/mr-adapter.json %D%/mr-bitfit.json %D%/mr-delta-lora.json \
	%D%/mr-diff-pruning.json %D%/mr-mask.json %D%/mr-dora.json %D%/mr-cloze-lora.json \
	%D%/mr-cloze-zero-shot.json %D%/mr-full.json %D%/mr-head.json %D%/mr-ia3.json %D%/mr-lora.json \
	%D%/mr-lora-fa.json %D%/mr-p_tuning.json %D%/mr-p_tuning_v2.json %D%/mr-vera.json %D%/mr-prefix.json %D%/mr-prompt.json \
	%D%/mr-zero-shot.json
EXTRA_DIST += %D%/README.md
