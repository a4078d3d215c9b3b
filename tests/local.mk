LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
TEST_EXTENSIONS = .sh
TESTS = $(check_PROGRAMS) $(dist_check_SCRIPTS)
AM_TESTS_ENVIRONMENT = top_srcdir='$(abs_top_srcdir)'; top_builddir='$(abs_top_builddir)'; \
	LSAN_OPTIONS='suppressions=$(abs_top_srcdir)/tests/lsan.supp:print_suppressions=0'; \
	export top_srcdir top_builddir LSAN_OPTIONS;
EXTRA_DIST += %D%/check.h %D%/lsan.supp %D%/memory.h %D%/nfs.h
MEMORY_WRAPS = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc \
	-Wl,--wrap=strdup,--wrap=fopen,--wrap=opendir,--wrap=mmap

include tests/base/local.mk
include tests/data/local.mk
include tests/tensor/local.mk
include tests/model/local.mk
include tests/method/local.mk
include tests/train/local.mk
include tests/db/local.mk
include tests/engine/local.mk
include tests/ui/local.mk
include tests/cmd/local.mk
include tests/cli/local.mk
include tests/lint/local.mk
include tests/fuzz/local.mk
