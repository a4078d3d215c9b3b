noinst_LIBRARIES += %D%/libcmd.a
command_plugins = %D%/checkpoint.c %D%/eval_now.c %D%/ls.c %D%/metrics.c %D%/note.c %D%/pause.c %D%/resume.c \
	%D%/rm.c %D%/run.c %D%/set.c %D%/show.c %D%/stop.c %D%/tag.c
%C%_libcmd_a_SOURCES = %D%/ask.c %D%/cmd.c %D%/cmd.h %D%/describe_run.c %D%/follow.c %D%/start.c $(command_plugins)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(command_plugins) > $@
