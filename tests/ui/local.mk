ui_tests = %D%/test_columns %D%/test_compare %D%/test_comparing %D%/test_ema %D%/test_marks %D%/test_pareto %D%/test_picture %D%/test_pictures %D%/test_plot %D%/test_plot_file \
	%D%/test_run %D%/test_scatter %D%/test_screens %D%/test_table %D%/test_tail \
	%D%/test_text %D%/test_theme %D%/test_trainer %D%/test_verbs %D%/test_workbench
check_PROGRAMS += $(ui_tests)
EXTRA_DIST += %D%/answers.keys %D%/answers.screen %D%/compare.keys %D%/compare.screen %D%/compare-ascii.keys %D%/compare-ascii.screen \
	%D%/compare-none.keys %D%/compare-none.screen %D%/compare-pareto.keys %D%/compare-pareto.screen %D%/compare-runs.keys %D%/compare-runs.screen \
	%D%/compare-wide.keys %D%/compare-wide.screen
EXTRA_DIST += %D%/contest.h %D%/stage.h %D%/help.keys %D%/help.screen %D%/run.keys %D%/run.screen %D%/run-ascii.keys %D%/run-ascii.screen \
	%D%/run-block.keys %D%/run-block.screen %D%/run-log.keys %D%/run-log.screen %D%/run-nan.keys %D%/run-nan.screen \
	%D%/run-small.keys %D%/run-small.screen %D%/run-wide.keys %D%/run-wide.screen %D%/runs.keys %D%/runs.screen \
	%D%/runs-ascii.keys %D%/runs-ascii.screen %D%/runs-delete.keys %D%/runs-delete.screen \
	%D%/runs-empty.keys %D%/runs-empty.screen %D%/runs-filter.keys %D%/runs-filter.screen \
	%D%/runs-tests.keys %D%/runs-tests.screen %D%/runs-wrong.keys %D%/runs-wrong.screen \
	%D%/runs-wrong-small.keys %D%/runs-wrong-small.screen \
	%D%/runs-columns.keys %D%/runs-columns.screen %D%/runs-seeds.keys %D%/runs-seeds.screen \
	%D%/runs-seeds-small.keys %D%/runs-seeds-small.screen %D%/runs-group.keys %D%/runs-group.screen \
	%D%/runs-marks.keys %D%/runs-marks.screen %D%/runs-tags.keys %D%/runs-tags.screen \
	%D%/command.keys %D%/command.screen %D%/command-small.keys %D%/command-small.screen \
	%D%/columns.keys %D%/columns.screen %D%/columns-small.keys %D%/columns-small.screen \
	%D%/runs-wide.keys %D%/runs-wide.screen %D%/small.keys %D%/small.screen
%C%_test_columns_LDADD = $(UI_LIBS)
%C%_test_compare_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_compare_LDADD = $(UI_LIBS)
%C%_test_comparing_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_comparing_LDADD = $(UI_LIBS)
%C%_test_marks_LDADD = $(UI_LIBS)
%C%_test_pareto_LDADD = $(UI_LIBS)
%C%_test_scatter_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_scatter_LDADD = $(UI_LIBS)
%C%_test_ema_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_ema_LDADD = $(UI_LIBS)
%C%_test_picture_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS) $(CAIRO_CFLAGS)
%C%_test_picture_LDADD = $(UI_LIBS) $(CAIRO_LIBS)
%C%_test_plot_file_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_plot_file_LDADD = $(UI_LIBS)
%C%_test_plot_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_plot_LDADD = $(UI_LIBS)
%C%_test_table_LDADD = $(UI_LIBS)
%C%_test_tail_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_tail_LDADD = $(UI_LIBS)
%C%_test_text_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_text_LDADD = $(UI_LIBS)
%C%_test_theme_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_theme_LDADD = $(UI_LIBS)
%C%_test_verbs_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_verbs_LDADD = $(UI_LIBS)
%C%_test_run_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_run_LDADD = $(UI_LIBS)
%C%_test_screens_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_screens_LDADD = $(UI_LIBS)
%C%_test_pictures_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_pictures_LDADD = $(UI_LIBS)
%C%_test_trainer_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_trainer_LDADD = $(UI_LIBS)
%C%_test_workbench_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_test_workbench_LDADD = $(UI_LIBS) -lutil
%C%_test_workbench_DEPENDENCIES = trimtab $(UI_DEPS)
update-screens: %D%/test_pictures
	UPDATE_SCREENS=1 top_srcdir='$(abs_top_srcdir)' %D%/test_pictures
