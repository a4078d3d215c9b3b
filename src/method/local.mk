noinst_LIBRARIES += %D%/libmethod.a
method_plugins = %D%/adalora.c %D%/adapter_fusion.c %D%/bitfit.c %D%/bottleneck_adapter.c \
	%D%/delta_lora.c %D%/diff_pruning.c %D%/dora.c %D%/full.c %D%/head.c %D%/ia3.c %D%/lora.c \
	%D%/lora_drop.c %D%/lora_fa.c %D%/mam.c %D%/mask.c %D%/p_tuning.c %D%/p_tuning_v2.c %D%/prefix.c \
	%D%/prompt.c %D%/unipelt.c %D%/vera.c
%C%_libmethod_a_SOURCES = %D%/adalora.h %D%/adalora_file.c %D%/adalora_rank.c %D%/adapter.c \
	%D%/adapter.h %D%/adapter_config.c %D%/adapter_side.c %D%/arithmetic.c %D%/arithmetic.h %D%/bottleneck.c \
	%D%/bottleneck.h %D%/bottleneck_config.c %D%/combined.c %D%/combined.h %D%/decompose.c \
	%D%/decompose.h %D%/gating.c %D%/gating.h %D%/heads.c %D%/heads.h %D%/kvprefix.c %D%/kvprefix.h %D%/look.c %D%/look.h %D%/lora_drop.h %D%/lora_drop_share.c %D%/lora_folder.c \
	%D%/lora_folder.h %D%/lowrank.c %D%/lowrank.h %D%/lowrank_common.inc %D%/lowrank_config.c \
	%D%/lowrank_knobs.inc %D%/lowrank_plus.inc %D%/method.c %D%/method.h %D%/mixed.c %D%/mixed.h %D%/mixer.c %D%/mixer.h \
	%D%/nearest.c %D%/nearest.h %D%/panel.c %D%/panel.h %D%/parameter.c %D%/rank_budget.c \
	%D%/rank_budget.h %D%/saved.c %D%/saved.h %D%/softprompt.c %D%/softprompt.h \
	%D%/softprompt_knobs.inc %D%/stages.c %D%/stages.h %D%/target.c %D%/target.h %D%/topk.c \
	%D%/topk.h %D%/trained.c %D%/trained.h $(method_plugins)
%C%_libmethod_a_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CFLAGS)
EXTRA_DIST += %D%/README.md
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(method_plugins) > $@
METHOD_LIBS = src/method/libmethod.a $(PCRE2_LIBS) $(MODEL_LIBS)
