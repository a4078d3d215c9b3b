check_PROGRAMS += %D%/test_schedule %D%/test_optim %D%/test_metrics %D%/test_checkpoint %D%/test_train
%C%_test_schedule_LDADD = $(TRAIN_LIBS)
%C%_test_optim_LDADD = $(TRAIN_LIBS)
%C%_test_metrics_LDADD = $(TRAIN_LIBS)
%C%_test_checkpoint_LDADD = $(TRAIN_LIBS)
%C%_test_train_LDADD = $(TRAIN_LIBS)
EXTRA_DIST += %D%/world.h
