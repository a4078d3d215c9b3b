noinst_LIBRARIES += %D%/libdb.a
migrations = %D%/schema/0001_init.sql
EXTRA_DIST += $(migrations)
%C%_libdb_a_SOURCES = %D%/store.c %D%/store.h
%C%_libdb_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
BUILT_SOURCES += %D%/schema.inc
CLEANFILES    += %D%/schema.inc
%D%/schema.inc: $(migrations) tools/embed-sql.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && (cd $(srcdir) && $(SHELL) tools/embed-sql.sh $(migrations)) > $@
