noinst_LIBRARIES += %D%/libdata.a
tokenizer_families = %D%/wordpiece.c
%C%_libdata_a_SOURCES = \
	%D%/added.c %D%/added.h \
	%D%/batch.c %D%/batch.h \
	%D%/dataset.c %D%/dataset.h \
	%D%/family.c %D%/family.h \
	%D%/input.c %D%/input.h \
	%D%/normalizer.c %D%/normalizer.h \
	%D%/order.c %D%/order.h \
	%D%/pattern.c %D%/pattern.h \
	%D%/pretokenizer.c %D%/pretokenizer.h \
	%D%/regex.c %D%/regex.h \
	%D%/rows.c %D%/rows.h %D%/rows_inside.h %D%/jsonl.c %D%/tsv.c \
	%D%/shard.c %D%/shard.h \
	%D%/task.c %D%/task.h \
	%D%/template.c %D%/template.h \
	%D%/text.c %D%/text.h \
	%D%/tokenizer.c %D%/tokenizer.h %D%/tokenizer_inside.h %D%/tokenizer_open.c \
	%D%/unicode.c %D%/unicode.h %D%/unicode_tables.h \
	%D%/verbalizer.c %D%/verbalizer.h \
	%D%/vocab.c %D%/vocab.h \
	$(tokenizer_families)
%C%_libdata_a_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CFLAGS) $(UTF8PROC_CFLAGS) $(ZLIB_CFLAGS)
DATA_LIBS = src/data/libdata.a $(PCRE2_LIBS) $(UTF8PROC_LIBS) $(ZLIB_LIBS)
BUILT_SOURCES += %D%/list.inc
CLEANFILES    += %D%/list.inc
%D%/list.inc: tools/list.sh Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(top_srcdir)/tools/list.sh $(tokenizer_families) > $@
# BUILT_SOURCES helps `make all` only; this helps `make src/data/libdata.a`.
%D%/libdata_a-family.$(OBJEXT): %D%/list.inc
EXTRA_DIST += %D%/README.md
