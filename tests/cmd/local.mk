check_PROGRAMS += %D%/test_ls
%C%_test_ls_SOURCES = %D%/test_ls.c tests/db/home.h
%C%_test_ls_LDADD = $(CMD_LIBS)
