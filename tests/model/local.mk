# tests of model
EXTRA_DIST += %D%/pack.h %D%/toy.h
check_PROGRAMS += %D%/test_safetensors %D%/test_site %D%/test_model %D%/test_bert %D%/test_conformance
%C%_test_safetensors_LDADD = $(MODEL_LIBS)
%C%_test_site_LDADD = $(MODEL_LIBS)
%C%_test_model_LDADD = $(MODEL_LIBS)
%C%_test_bert_LDADD = $(MODEL_LIBS)
%C%_test_conformance_LDADD = $(MODEL_LIBS)
EXTRA_DIST += tests/fixtures/bert/README.md \
	tests/fixtures/bert/classes/config.json tests/fixtures/bert/classes/model.safetensors \
	tests/fixtures/bert/classes/expected.json \
	tests/fixtures/bert/cloze/config.json tests/fixtures/bert/cloze/model.safetensors \
	tests/fixtures/bert/cloze/expected.json
