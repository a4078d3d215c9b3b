# nothing yet
EXTRA_PROGRAMS += %D%/gemm
%C%_gemm_LDADD = $(TENSOR_LIBS)
