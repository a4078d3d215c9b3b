bin_PROGRAMS += trimtab
trimtab_SOURCES = %D%/main.c
trimtab_LDADD = src/cmd/libcmd.a ui/libui.a db/libdb.a $(BASE_LIBS) $(CURSES_LIBS) $(SQLITE_LIBS)
