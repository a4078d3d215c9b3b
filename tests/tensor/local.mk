check_PROGRAMS += %D%/test_gemm
%C%_test_gemm_LDADD = $(TENSOR_LIBS)
check_PROGRAMS += %D%/test_pool
%C%_test_pool_LDADD = $(TENSOR_LIBS)
check_PROGRAMS += %D%/test_leaves
%C%_test_leaves_LDADD = $(TENSOR_LIBS)
check_PROGRAMS += %D%/test_kernel
%C%_test_kernel_LDADD = $(TENSOR_LIBS)
