# nothing yet
EXTRA_PROGRAMS += %D%/gemm
%C%_gemm_LDADD = $(TENSOR_LIBS)
EXTRA_PROGRAMS += %D%/runlog
%C%_runlog_SOURCES = %D%/runlog.c
%C%_runlog_LDADD = $(DB_LIBS) $(BASE_LIBS)
EXTRA_PROGRAMS += %D%/screen
%C%_screen_SOURCES = %D%/screen.c
%C%_screen_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_screen_LDADD = $(UI_LIBS) -lutil
