/*
 * Every kernel that is compiled once per instruction set: name, parameters, their
 * names; KERNEL_VALUE: those that return something. No guard: each user includes it
 * with its own two macros.
 */
KERNEL(exp, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(tanh, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(erf, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(gelu, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(gelu_tanh, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(silu, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(relu, (float *y, const float *x, int64_t n), (y, x, n))
KERNEL(gelu_back,
	(float *dx, float beta, const float *x, const float *dy, int64_t n),
	(dx, beta, x, dy, n))
KERNEL(gelu_tanh_back,
	(float *dx, float beta, const float *x, const float *dy, int64_t n),
	(dx, beta, x, dy, n))
KERNEL(silu_back,
	(float *dx, float beta, const float *x, const float *dy, int64_t n),
	(dx, beta, x, dy, n))
KERNEL(relu_back,
	(float *dx, float beta, const float *x, const float *dy, int64_t n),
	(dx, beta, x, dy, n))
KERNEL(tanh_back,
	(float *dx, float beta, const float *x, const float *dy, int64_t n),
	(dx, beta, x, dy, n))
KERNEL(softmax,
	(float *y, const float *x, float scale, int64_t rows, int64_t cols),
	(y, x, scale, rows, cols))
KERNEL(softmax_back,
	(float *dx, const float *y, const float *dy, float scale, int64_t rows, int64_t cols),
	(dx, y, dy, scale, rows, cols))
KERNEL_VALUE(float, exp_sum,
	(float *y, const float *x, float scale, float shift, int64_t n),
	(y, x, scale, shift, n))
KERNEL_VALUE(float, max, (const float *x, int64_t n), (x, n))
KERNEL_VALUE(double, exp_total, (const float *x, float from, int64_t n), (x, from, n))
KERNEL(layer_norm, (const struct kernel_norm *k), (k))
KERNEL(layer_norm_back, (const struct kernel_norm_back *k), (k))
KERNEL(axpby, (float *y, float beta, float s, const float *x, int64_t n), (y, beta, s, x, n))
KERNEL(add, (float *y, const float *a, const float *b, int64_t n), (y, a, b, n))
KERNEL(mul, (float *y, const float *a, const float *b, int64_t n), (y, a, b, n))
KERNEL(add_rows, (float *y, const float *b, int64_t rows, int64_t cols), (y, b, rows, cols))
KERNEL(column_sums,
	(float *y, float beta, const float *x, int64_t rows, int64_t cols),
	(y, beta, x, rows, cols))
KERNEL_VALUE(float, dot, (const float *a, const float *b, int64_t n), (a, b, n))
KERNEL_VALUE(double, sum, (const float *x, int64_t n), (x, n))
KERNEL_VALUE(double, sum_squares, (const float *x, int64_t n), (x, n))
KERNEL(dropout,
	(float *y, float beta, const float *x, const struct kernel_drop_run *o),
	(y, beta, x, o))
KERNEL(from_bf16, (float *y, const uint16_t *x, int64_t n), (y, x, n))
KERNEL(from_f16, (float *y, const uint16_t *x, int64_t n), (y, x, n))
KERNEL(adamw,
	(float *p, float *m, float *v, const float *grad, const struct kernel_adamw *k, int64_t n),
	(p, m, v, grad, k, n))
KERNEL(sgd,
	(float *p, float *velocity, const float *grad, const struct kernel_sgd *k, int64_t n),
	(p, velocity, grad, k, n))
KERNEL(tile,
	(const struct kernel_tile *t, int64_t rows, const float *a, float *c),
	(t, rows, a, c))
