# Each target links with libFuzzer under --enable-fuzzing (clang), else with a plain main that replays and mutates the corpus.
fuzz_programs = %D%/fuzz_adapter %D%/fuzz_recipe %D%/fuzz_rows %D%/fuzz_safetensors %D%/fuzz_store %D%/fuzz_tokenizer \
	%D%/fuzz_where
check_PROGRAMS += $(fuzz_programs)
EXTRA_DIST += %D%/corpus
if FUZZING
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = %D%/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
endif
%C%_fuzz_adapter_SOURCES = %D%/fuzz_adapter.c $(fuzz_main)
%C%_fuzz_adapter_LDADD = $(METHOD_LIBS)
%C%_fuzz_adapter_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_recipe_SOURCES = %D%/fuzz_recipe.c $(fuzz_main)
%C%_fuzz_recipe_LDADD = $(BASE_LIBS)
%C%_fuzz_recipe_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_rows_SOURCES = %D%/fuzz_rows.c $(fuzz_main)
%C%_fuzz_rows_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_fuzz_rows_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_safetensors_SOURCES = %D%/fuzz_safetensors.c $(fuzz_main)
%C%_fuzz_safetensors_LDADD = $(MODEL_LIBS)
%C%_fuzz_safetensors_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_store_SOURCES = %D%/fuzz_store.c $(fuzz_main)
%C%_fuzz_store_LDADD = db/libdb.a $(SQLITE_LIBS) $(BASE_LIBS)
%C%_fuzz_store_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_tokenizer_SOURCES = %D%/fuzz_tokenizer.c $(fuzz_main)
%C%_fuzz_tokenizer_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_fuzz_tokenizer_LDFLAGS = $(fuzz_ldflags)
%C%_fuzz_where_SOURCES = %D%/fuzz_where.c $(fuzz_main)
%C%_fuzz_where_LDADD = db/libdb.a $(SQLITE_LIBS) $(BASE_LIBS)
%C%_fuzz_where_LDFLAGS = $(fuzz_ldflags)
fuzz: $(fuzz_programs)
