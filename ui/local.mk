noinst_LIBRARIES += %D%/libui.a
screen_plugins = %D%/screen/runs.c %D%/screen/run.c %D%/screen/compare.c %D%/screen/answers.c %D%/screen/columns.c \
	%D%/screen/output.c %D%/screen/help.c
%C%_libui_a_SOURCES = %D%/answers.c %D%/answers.h %D%/app.c %D%/app.h %D%/columns.c %D%/columns.h %D%/compare.c %D%/compare.h \
	%D%/compare_table.c %D%/compare_table.h %D%/compare_write.c %D%/complete.c %D%/complete.h %D%/csv.c %D%/csv.h %D%/ema.c %D%/ema.h %D%/export.c %D%/export.h %D%/keymap.c %D%/keymap.h \
	%D%/marks.c %D%/marks.h %D%/overlay.c %D%/overlay.h %D%/pareto.c %D%/pareto.h %D%/pencil.c %D%/pencil.h \
	%D%/picture.c %D%/picture.h %D%/plot_file.c %D%/plot_file.h %D%/prompt.c %D%/prompt.h \
	%D%/runs.h %D%/runs_draw.c %D%/runs_read.c %D%/screen.h %D%/sheet.c %D%/sheet.h %D%/tail.c %D%/tail.h %D%/terminal.c %D%/theme.c %D%/theme.h \
	%D%/trainer.c %D%/trainer.h %D%/verbs.c %D%/verbs.h \
	%D%/widget/bar.c %D%/widget/bar.h \
	%D%/widget/plot.c %D%/widget/plot.h \
	%D%/widget/scatter.c %D%/widget/scatter.h \
	%D%/widget/table.c %D%/widget/table.h %D%/widget/text.c %D%/widget/text.h \
	$(screen_plugins)
%C%_libui_a_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS) $(CAIRO_CFLAGS)
UI_DEPS = ui/libui.a db/libdb.a src/base/libbase.a
UI_LIBS = ui/libui.a db/libdb.a $(BASE_LIBS) $(CURSES_LIBS) $(SQLITE_LIBS)
EXTRA_DIST += %D%/README.md
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(screen_plugins) > $@
