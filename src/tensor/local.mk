EXTRA_DIST += %D%/README.md
noinst_LIBRARIES += %D%/libtensor.a
%C%_libtensor_a_SOURCES = %D%/tensor.h %D%/activation.h %D%/attention.h %D%/attention_pairs.c %D%/drop.c %D%/drop.h \
	%D%/gemm.c %D%/gemm.h %D%/gemm_narrow.h %D%/gemm_ref.c %D%/gemm_time.c %D%/gemm_time.h \
	%D%/gradcheck.c %D%/gradcheck.h %D%/graph.c %D%/graph.h %D%/kernel.c %D%/kernel.h %D%/kernel_base.c \
	%D%/kernel_body.inc %D%/kernel_list.inc %D%/kernel_table.h %D%/kernel_v3.c %D%/kernel_v4.c \
	%D%/lanes.inc %D%/leaves.c %D%/leaves.h %D%/kernel_pairs.c %D%/kernel_pairs.h %D%/linear.h \
	%D%/magnitude.c %D%/magnitude.h %D%/op.h %D%/op_activation.c %D%/op_add.c %D%/op_add_linear.c \
	%D%/op_attention.c %D%/op_beside.c %D%/op_columns.c %D%/op_cross_entropy.c %D%/op_dropout.c \
	%D%/op_embedding.c %D%/op_embedding_low_rank.c %D%/op_fusion.c %D%/op_gate.c %D%/op_gather.c %D%/op_layer_norm.c \
	%D%/op_linear.c %D%/op_linear_low_rank.c %D%/op_lstm.c %D%/op_linear_magnitude.c %D%/op_linear_vectors.c \
	%D%/op_linear_scaled.c %D%/op_mse.c %D%/op_near_identity.c %D%/op_orthogonality.c %D%/op_pool_scores.c \
	%D%/op_prepend.c %D%/op_repeat.c %D%/op_scale.c %D%/op_word_scores.c %D%/pool.c %D%/pool.h %D%/sparse.h
%C%_libtensor_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS)
%C%_libtensor_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENBLAS_CFLAGS)
if HAVE_OPENBLAS
%C%_libtensor_a_SOURCES += %D%/gemm_blas.c
endif
if HAVE_ONEDNN
%C%_libtensor_a_SOURCES += %D%/gemm_dnnl.c
TENSOR_OMP = -lgomp
endif
if HAVE_ONEDNN_BF16
%C%_libtensor_a_SOURCES += %D%/gemm_dnnl_bf16.c
endif
TENSOR_LIBS = src/tensor/libtensor.a $(OPENBLAS_LIBS) $(DNNL_LIBS) $(TENSOR_OMP) $(BASE_LIBS)
