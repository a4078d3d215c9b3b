noinst_LIBRARIES += %D%/libdb.a
migrations = %D%/schema/0001_init.sql
EXTRA_DIST += $(migrations) %D%/README.md
%C%_libdb_a_SOURCES = \
	%D%/curve.h \
	%D%/event.c %D%/event.h \
	%D%/metric.c %D%/metric.h %D%/metric_add.c %D%/metric_bucket.c \
	%D%/note.c %D%/note.h \
	%D%/run.c %D%/run.h %D%/run_column.c %D%/run_column.h %D%/run_field.c %D%/run_filter.c %D%/run_filter.h %D%/run_find.c %D%/run_index.c \
	%D%/run_list.c %D%/run_row.c %D%/run_row.h %D%/run_values.c %D%/run_walk.c \
	%D%/setting.c %D%/setting.h %D%/sql.c %D%/sql.h \
	%D%/store.c %D%/store.h \
	%D%/where.c %D%/where.h %D%/where_sql.c %D%/where_tree.h
%C%_libdb_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
DB_LIBS = db/libdb.a $(SQLITE_LIBS)
BUILT_SOURCES += %D%/schema.inc
CLEANFILES    += %D%/schema.inc
%D%/schema.inc: $(migrations) tools/embed-sql.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && (cd $(srcdir) && $(SHELL) tools/embed-sql.sh $(migrations)) > $@
