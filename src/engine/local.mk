libexec_PROGRAMS += trimtab-engine
trimtab_engine_SOURCES = %D%/main.c
trimtab_engine_LDADD = $(TRAIN_LIBS) db/libdb.a $(SQLITE_LIBS) $(BASE_LIBS)
