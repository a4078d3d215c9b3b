#ifndef TENSOR_GEMM_TIME_H
#define TENSOR_GEMM_TIME_H

#include <stddef.h>

#include "tensor/gemm.h"

/*
 * Which backend is the quickest for a model's linear layers in fp32: every
 * product of weight and side, or its like of a few hundred rows and columns, is
 * timed once on this machine, and the figures can be kept in a file, which holds
 * for one processor and the versions of the libraries. A file that is absent,
 * damaged or of another machine is as none.
 *
 * The figures are of one thread: a choice that depended on the number of threads
 * would cost a run its bits when that number changes.
 */
struct gemm_times;

int gemm_times_open(const char *path, struct gemm_times **ret);
void gemm_times_free(struct gemm_times *t); /* NULL is fine */
/* Another weight [out,in] on one side: every backend is timed, unless its like is known. */
int gemm_times_add(struct gemm_times *t, int64_t out, int64_t in, enum gemm_side side);
/*
 * The backend with the smallest sum over what was added since opening. The order
 * of gemm_all is the preference: a later one must be quicker by a fifth, so that
 * a busy moment does not change what the next run computes with.
 */
const char *gemm_times_best(const struct gemm_times *t);
int gemm_times_save(const struct gemm_times *t,
		    const char *path); /* nothing new: nothing is written */

#endif
