noinst_LIBRARIES += %D%/libui.a
screen_plugins = %D%/screen/runs.c
%C%_libui_a_SOURCES = %D%/app.c %D%/app.h %D%/screen.h $(screen_plugins)
%C%_libui_a_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(screen_plugins) > $@
