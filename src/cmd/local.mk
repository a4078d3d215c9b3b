noinst_LIBRARIES += %D%/libcmd.a
command_plugins = %D%/run.c %D%/ls.c %D%/show.c %D%/metrics.c %D%/compare.c %D%/plot.c %D%/logs.c %D%/stop.c %D%/pause.c \
	%D%/resume.c %D%/set.c %D%/checkpoint.c %D%/eval_now.c %D%/rm.c %D%/tag.c %D%/note.c %D%/recipes.c \
	%D%/methods.c %D%/models.c %D%/doctor.c
%C%_libcmd_a_SOURCES = %D%/ask.c %D%/catalogue.c %D%/catalogue.h %D%/cmd.c %D%/cmd.h %D%/column.c %D%/describe_run.c \
	%D%/follow.c %D%/start.c $(command_plugins)
CMD_LIBS = src/cmd/libcmd.a $(UI_LIBS)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(command_plugins) > $@
EXTRA_DIST += %D%/README.md
