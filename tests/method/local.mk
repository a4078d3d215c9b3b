# tests of method
EXTRA_DIST += %D%/adapters.h %D%/bench.h %D%/folder.h %D%/rows.h %D%/sublayer.h %D%/told.h
check_PROGRAMS += %D%/test_target %D%/test_decompose %D%/test_arithmetic %D%/test_diff_pruning \
	%D%/test_mask %D%/test_method %D%/test_stages %D%/test_lora %D%/test_dora %D%/test_adalora \
	%D%/test_delta_lora %D%/test_lora_drop %D%/test_rank_budget %D%/test_vera %D%/test_lora_fa %D%/test_ia3 %D%/test_bottleneck \
	%D%/test_adapter %D%/test_adapter_fusion %D%/test_combined %D%/test_mam %D%/test_mixed %D%/test_unipelt %D%/test_prefix %D%/test_prompt %D%/test_p_tuning %D%/test_p_tuning_v2 %D%/test_conformance
%C%_test_target_LDADD = $(METHOD_LIBS)
%C%_test_decompose_LDADD = $(METHOD_LIBS)
%C%_test_method_LDADD = $(METHOD_LIBS)
%C%_test_lora_LDADD = $(METHOD_LIBS)
%C%_test_dora_LDADD = $(METHOD_LIBS)
%C%_test_vera_LDADD = $(METHOD_LIBS)
%C%_test_lora_fa_LDADD = $(METHOD_LIBS)
%C%_test_ia3_LDADD = $(METHOD_LIBS)
%C%_test_bottleneck_LDADD = $(METHOD_LIBS)
%C%_test_adapter_fusion_LDADD = $(METHOD_LIBS)
%C%_test_combined_LDADD = $(METHOD_LIBS)
%C%_test_mam_LDADD = $(METHOD_LIBS)
%C%_test_unipelt_LDADD = $(METHOD_LIBS)
%C%_test_stages_LDADD = $(METHOD_LIBS)
%C%_test_diff_pruning_LDADD = $(METHOD_LIBS)
%C%_test_mask_LDADD = $(METHOD_LIBS)
%C%_test_arithmetic_LDADD = $(METHOD_LIBS)
%C%_test_adapter_LDADD = $(METHOD_LIBS)
%C%_test_delta_lora_LDADD = $(METHOD_LIBS)
%C%_test_lora_drop_LDADD = $(METHOD_LIBS)
%C%_test_adalora_LDADD = $(METHOD_LIBS)
%C%_test_rank_budget_LDADD = $(METHOD_LIBS)
%C%_test_prefix_LDADD = $(METHOD_LIBS)
%C%_test_prompt_LDADD = $(METHOD_LIBS)
%C%_test_p_tuning_LDADD = $(METHOD_LIBS)
%C%_test_p_tuning_v2_LDADD = $(METHOD_LIBS)
%C%_test_mixed_LDADD = $(METHOD_LIBS)
%C%_test_conformance_LDADD = $(METHOD_LIBS)
