noinst_LIBRARIES += %D%/libdata.a
%C%_libdata_a_SOURCES = %D%/batch.c %D%/batch.h
DATA_LIBS = src/data/libdata.a $(PCRE2_LIBS) $(UTF8PROC_LIBS) $(ZLIB_LIBS)
