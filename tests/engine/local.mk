# What the engine is made of without its verbs: a test names the files that it needs.
check_PROGRAMS += %D%/test_runlog
%C%_test_runlog_SOURCES = %D%/test_runlog.c src/engine/runlog.c
%C%_test_runlog_LDFLAGS = $(AM_LDFLAGS) $(MEMORY_WRAPS)
%C%_test_runlog_LDADD = $(TRAIN_LIBS) $(DB_LIBS) $(BASE_LIBS)
check_PROGRAMS += %D%/test_session
%C%_test_session_SOURCES = %D%/test_session.c src/engine/session.c
%C%_test_session_LDADD = $(TRAIN_LIBS) $(DB_LIBS) $(BASE_LIBS)
