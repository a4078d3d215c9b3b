noinst_LIBRARIES += %D%/libmodel.a
model_plugins = %D%/bert.c
%C%_libmodel_a_SOURCES = %D%/model.c %D%/model.h %D%/prompt.c %D%/prompt.h %D%/resident.c %D%/resident.h %D%/save.c \
	%D%/safetensors.c %D%/safetensors.h \
	%D%/safetensors_header.c %D%/safetensors_header.h %D%/safetensors_write.c \
	%D%/site.c %D%/site.h $(model_plugins)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(model_plugins) > $@
MODEL_LIBS = src/model/libmodel.a $(DATA_LIBS) $(TENSOR_LIBS)
EXTRA_DIST += %D%/README.md
