libexec_PROGRAMS += trimtab-engine
verb_plugins = %D%/adapter.c %D%/describe.c %D%/estimate.c %D%/eval.c %D%/export.c %D%/fill.c \
	%D%/predict.c %D%/resume.c %D%/tokenize.c %D%/run.c
trimtab_engine_SOURCES = %D%/main.c %D%/answers.c %D%/answers.h %D%/engine.h %D%/estimate.h %D%/launch.c %D%/launch.h \
	%D%/mixing.c %D%/mixing.h %D%/mixing_options.inc \
	%D%/reader.c %D%/reader.h %D%/output.c %D%/output.h %D%/runlog.c %D%/runlog.h %D%/session.c \
	%D%/session.h $(verb_plugins)
trimtab_engine_LDADD = $(TRAIN_LIBS) db/libdb.a $(SQLITE_LIBS) $(BASE_LIBS)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(verb_plugins) > $@
EXTRA_DIST += %D%/README.md
