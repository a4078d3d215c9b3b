#ifndef TENSOR_ACTIVATION_H
#define TENSOR_ACTIVATION_H

#include "tensor/op.h"

/* Activations for ops that have one inside: y = f(x), y may be x; dx = beta dx + f'(x) dy, dx may be dy when beta is 0. */
void activation_run(enum activation kind, float *y, const float *x, int64_t n);
void activation_back(enum activation kind, float *dx, float beta, const float *x, const float *dy,
		     int64_t n);

#endif
