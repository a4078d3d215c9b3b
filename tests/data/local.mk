check_PROGRAMS += %D%/test_batch %D%/test_dataset %D%/test_normalizer %D%/test_order %D%/test_pattern \
	%D%/test_pretokenizer %D%/test_regex %D%/test_rows \
	%D%/test_shard %D%/test_task %D%/test_text %D%/test_tokenizer %D%/test_tokenizer_open \
	%D%/test_unicode %D%/test_verbalizer %D%/test_vocab
%C%_test_batch_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_dataset_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_normalizer_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_pattern_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_verbalizer_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_order_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_pretokenizer_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_regex_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_rows_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_shard_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_task_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_text_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_tokenizer_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_tokenizer_open_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_unicode_LDADD = $(DATA_LIBS) $(BASE_LIBS)
%C%_test_vocab_LDADD = $(DATA_LIBS) $(BASE_LIBS)
EXTRA_DIST += %D%/scratch.h tests/fixtures/tokenizers
