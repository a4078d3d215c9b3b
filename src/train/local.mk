noinst_LIBRARIES += %D%/libtrain.a
%C%_libtrain_a_SOURCES = %D%/checkpoint.c %D%/checkpoint.h %D%/eval.c %D%/feature.c %D%/feature.h %D%/groups.c %D%/groups.h %D%/layout.c %D%/layout.h %D%/metrics.c %D%/metrics.h \
	%D%/optim.c %D%/optim.h %D%/prime.c %D%/prime.h %D%/run.c %D%/schedule.c %D%/schedule.h %D%/sink.h %D%/step.c %D%/step.h \
	%D%/train.c %D%/train.h %D%/usage.c %D%/usage.h
TRAIN_LIBS = src/train/libtrain.a $(METHOD_LIBS)
EXTRA_DIST += %D%/README.md
