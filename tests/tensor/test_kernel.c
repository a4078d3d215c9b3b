/* The elementwise kernels against libm in double, against plain loops, and against the counter generator. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/rng.h"
#include "tensor/kernel_table.h"

enum { MANY = 1 << 16, ROW = 77 };

static double exact_exp(double x) { return exp(x); }
static double exact_tanh(double x) { return tanh(x); }
static double exact_erf(double x) { return erf(x); }
static double cdf(double x) { return 0.5 * erfc(-x * sqrt(0.5)); }
static double exact_gelu(double x) { return x * cdf(x); }
static double gelu_slope(double x) { return cdf(x) + x * exp(-0.5 * x * x) / sqrt(2 * acos(-1.0)); }
static double tanh_arg(double x) { return sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x); }
static double exact_gelu_tanh(double x) { return 0.5 * x * (1 + tanh(tanh_arg(x))); }
static double exact_silu(double x) { return x / (1 + exp(-x)); }
static double exact_relu(double x) { return x > 0 ? x : 0; }
static double relu_slope(double x) { return x > 0 ? 1 : 0; }
static double tanh_slope(double x) { return 1 - tanh(x) * tanh(x); }

static double gelu_tanh_slope(double x)
{
	const double t = tanh(tanh_arg(x));

	return 0.5 * (1 + t) +
	       0.5 * x * (1 - t * t) * sqrt(2 / acos(-1.0)) * (1 + 0.134145 * x * x);
}

static double silu_slope(double x)
{
	const double s = 1 / (1 + exp(-x));

	return s * (1 + x * (1 - s));
}

/*
 * The error counts relative to |exact|, or to floor where that is larger. exp, tanh
 * and erf have the bounds that kernel.h states; for the others 6e-8 is half a unit in
 * the last place, and the left tail of a GELU multiplies the rounding of x^2 by x^2.
 */
static const struct {
	const char *name;
	void (*run)(float *y, const float *x, int64_t n);
	double (*exact)(double x);
	double low, high, floor, bound;
} maps[] = {
	{ "exp", kernel_exp, exact_exp, -87.3, 88.7, 0, 1.5e-7 },
	{ "exp below the normal numbers", kernel_exp, exact_exp, -104, -87.3, 1.2e-38, 1.5e-7 },
	{ "tanh", kernel_tanh, exact_tanh, -12, 12, 1, 3e-7 },
	{ "tanh near zero", kernel_tanh, exact_tanh, -0.7, 0.7, 0, 3e-7 },
	{ "erf", kernel_erf, exact_erf, -6, 6, 1, 3e-7 },
	{ "erf near zero", kernel_erf, exact_erf, -0.7, 0.7, 0, 3e-7 },
	{ "gelu", kernel_gelu, exact_gelu, -6, 6, 0.01, 7e-7 },
	{ "gelu far out", kernel_gelu, exact_gelu, -40, 40, 1, 3e-7 },
	{ "gelu_tanh", kernel_gelu_tanh, exact_gelu_tanh, -6, 6, 0.01, 1.2e-6 },
	{ "gelu_tanh far out", kernel_gelu_tanh, exact_gelu_tanh, -1000, 1000, 1, 3e-7 },
	{ "silu", kernel_silu, exact_silu, -80, 80, 1e-3, 3e-7 },
	{ "relu", kernel_relu, exact_relu, -5, 5, 0, 0 },
};

static const struct {
	const char *name;
	void (*run)(float *dx, float beta, const float *x, const float *dy, int64_t n);
	double (*exact)(double x);
	double low, high, bound;
} backs[] = {
	{ "gelu_back", kernel_gelu_back, gelu_slope, -30, 30, 4e-7 },
	{ "gelu_tanh_back", kernel_gelu_tanh_back, gelu_tanh_slope, -30, 30, 5e-7 },
	{ "silu_back", kernel_silu_back, silu_slope, -130, 130, 4e-7 },
	{ "relu_back", kernel_relu_back, relu_slope, -5, 5, 0 },
	{ "tanh_back", kernel_tanh_back, tanh_slope, -12, 12, 6e-7 },
};

static float x[MANY], y[MANY], z[MANY], w[MANY];

static void fill_range(double low, double high)
{
	for (int i = 0; i < MANY; i++)
		x[i] = (float)(low + (high - low) * i / (MANY - 1));
}

static void fill_normal(float *to, int n, uint32_t stream)
{
	struct rng r;

	rng_init(&r, 11, RNG_TEST, stream);
	for (int i = 0; i < n; i++)
		to[i] = rng_normal(&r);
}

static bool close_to(double got, double exact, double floor, double bound, double *worst)
{
	const double size = fabs(exact) > floor ? fabs(exact) : floor;
	const double error = got == exact ? 0 : fabs(got - exact) / size;

	if (!(error <= *worst))
		*worst = error;
	return error <= bound;
}

static void maps_are_close(void)
{
	for (size_t k = 0; k < COUNT(maps); k++) {
		double worst = 0;
		bool good = true;

		fill_range(maps[k].low, maps[k].high);
		maps[k].run(y, x, MANY);
		for (int i = 0; i < MANY; i++)
			good &= close_to(y[i], maps[k].exact(x[i]), maps[k].floor, maps[k].bound,
					 &worst);
		CHECK_NAMED(good, maps[k].name);
		printf("# %s: largest error %.2g\n", maps[k].name, worst);
	}
}

static void slopes_are_close(void)
{
	for (size_t k = 0; k < COUNT(backs); k++) {
		double worst = 0;
		bool good = true, added = true;

		fill_range(backs[k].low, backs[k].high);
		for (int i = 0; i < MANY; i++)
			w[i] = i % 3 ? 1 : -2;
		backs[k].run(y, 0, x, w, MANY);
		for (int i = 0; i < MANY; i++) {
			good &= close_to(y[i] / w[i], backs[k].exact(x[i]), 1, backs[k].bound,
					 &worst);
			z[i] = 3;
		}
		backs[k].run(z, 1, x, w, MANY);
		for (int i = 0; i < MANY; i++)
			added &= fabsf(z[i] - 3 - y[i]) <= 1e-6f;
		backs[k].run(w, 0, x, w, MANY);
		CHECK_NAMED(good, backs[k].name);
		CHECK_NAMED(added, backs[k].name);
		CHECK_NAMED(!memcmp(w, y, sizeof(w)), backs[k].name);
		printf("# %s: largest error %.2g\n", backs[k].name, worst);
	}
}

static float one(void (*run)(float *, const float *, int64_t), float v)
{
	float r;

	run(&r, &v, 1);
	return r;
}

static void extremes(void)
{
	CHECK(one(kernel_exp, INFINITY) == INFINITY);
	CHECK(one(kernel_exp, 89) == INFINITY);
	CHECK(one(kernel_exp, 3e38f) == INFINITY);
	CHECK(one(kernel_exp, -INFINITY) == 0);
	CHECK(one(kernel_exp, -104) == 0);
	CHECK(one(kernel_exp, 0) == 1);
	CHECK(one(kernel_tanh, INFINITY) == 1);
	CHECK(one(kernel_tanh, -INFINITY) == -1);
	CHECK(signbit(one(kernel_tanh, -0.0f)));
	CHECK(one(kernel_tanh, 1e-30f) == 1e-30f);
	CHECK(one(kernel_erf, INFINITY) == 1);
	CHECK(one(kernel_erf, -INFINITY) == -1);
	CHECK(one(kernel_gelu, 1e30f) == 1e30f);
	CHECK(one(kernel_gelu, -1e30f) == 0);
	CHECK(one(kernel_gelu_tanh, 1e30f) == 1e30f);
	CHECK(one(kernel_silu, 1e30f) == 1e30f);
	CHECK(one(kernel_silu, -1e30f) == 0);
	for (size_t k = 0; k < COUNT(maps); k++)
		CHECK_NAMED(isnan(one(maps[k].run, NAN)), maps[k].name);
	for (size_t k = 0; k < COUNT(backs); k++) {
		const float in[4] = { 1e30f, -1e30f, 300, -300 }, ones[4] = { 1, 1, 1, 1 };
		const float end = k == 4 ? 0 : 1;
		float r[4];

		backs[k].run(r, 0, in, ones, 4);
		CHECK_NAMED(r[0] == end && r[2] == end, backs[k].name);
		CHECK_NAMED(fabsf(r[1]) < 1e-18f && fabsf(r[3]) < 1e-18f, backs[k].name);
	}
}

/* Value and slope together are the numbers of the two kernels, also in place of x and at the end of a row. */
static void gelu_and_its_slope(void)
{
	enum { N = 1003 };
	static float ones[N];

	fill_range(-12, 12);
	for (int n = 1; n <= N; n += n < 40 ? 1 : 321) {
		for (int i = 0; i < n; i++)
			ones[i] = 1;
		memcpy(w, x, (size_t)n * sizeof(*w));
		kernel_gelu_slope(y, w, w, n);
		kernel_gelu(z, x, n);
		CHECK(!memcmp(y, z, (size_t)n * sizeof(*y)));
		kernel_gelu_back(z, 0, x, ones, n);
		CHECK(!memcmp(w, z, (size_t)n * sizeof(*w)));
	}
}

/* Spot values from another implementation (fp32). */
static void known_values(void)
{
	static const float at[] = { -3, -1, -0.5f, 0.5f, 1, 2, 3 };
	static const double gelu[] = { -0.004049867, -0.158655286, -0.154268786, 0.345731199,
				       0.841344714,  1.954499960,  2.995950222 };
	static const double form[] = { -0.003637433, -0.158807993, -0.154285997, 0.345714003,
				       0.841192007,  1.954597712,  2.996362686 };
	static const double silu[] = { -0.142277613, -0.268941432, -0.188770339, 0.311229676,
				       0.731058598,  1.761594057,  2.857722521 };

	for (size_t i = 0; i < COUNT(at); i++) {
		CHECK_NEAR(one(kernel_gelu, at[i]), gelu[i], 3e-7);
		CHECK_NEAR(one(kernel_gelu_tanh, at[i]), form[i], 4e-7);
		CHECK_NEAR(one(kernel_silu, at[i]), silu[i], 3e-7);
	}
}

/* A value's result is the same in every place, also at the ragged end. */
static void place_does_not_matter(void)
{
	for (size_t k = 0; k < COUNT(maps); k++) {
		bool same = true;

		fill_normal(x, ROW, 3);
		maps[k].run(y, x, ROW);
		for (int from = 1; from < ROW; from++) {
			maps[k].run(z, x + from, ROW - from);
			same &= !memcmp(z, y + from, (size_t)(ROW - from) * sizeof(*z));
		}
		for (int i = 0; i < ROW; i++)
			same &= one(maps[k].run, x[i]) == y[i];
		CHECK_NAMED(same, maps[k].name);
	}
}

static void softmax_rows(void)
{
	bool good = true, back = true;

	fill_normal(x, 3 * ROW, 1);
	fill_normal(w, 3 * ROW, 2);
	for (int n = 1; n <= ROW; n++) {
		kernel_softmax(y, x, 2.5f, 3, n);
		kernel_softmax_back(z, y, w, 2.5f, 3, n);
		for (int r = 0; r < 3; r++) {
			double sum = 0, dot = 0;

			for (int i = 0; i < n; i++)
				sum += exp(2.5 * x[r * n + i]);
			for (int i = 0; i < n; i++)
				dot += exp(2.5 * x[r * n + i]) / sum * w[r * n + i];
			for (int i = 0; i < n; i++) {
				const double p = exp(2.5 * x[r * n + i]) / sum;

				good &= fabs(y[r * n + i] - p) <= 1e-6 * p;
				back &= fabs(z[r * n + i] - 2.5 * p * (w[r * n + i] - dot)) <= 2e-6;
			}
		}
	}
	CHECK(good);
	CHECK(back);
	x[0] = 3e38f;
	x[1] = -3e38f;
	x[2] = -INFINITY;
	kernel_softmax(x, x, 1, 1, 3);
	CHECK(x[0] == 1 && x[1] == 0 && x[2] == 0);
}

static void sums_of_exponentials(void)
{
	double sum = 0;

	fill_normal(x, MANY, 5);
	for (int i = 0; i < MANY; i++)
		sum += exp(x[i]);
	CHECK_NEAR(kernel_log_sum_exp(x, MANY), log(sum), 2e-7);
	x[7] = 500;
	CHECK_NEAR(kernel_log_sum_exp(x, MANY), 500, 1e-12);
	CHECK(kernel_max(x, MANY) == 500);
	CHECK(kernel_max(x, 7) < 500);
	CHECK(kernel_max(x, 0) == -INFINITY);
	x[0] = 1;
	x[1] = 2;
	CHECK_NEAR(kernel_exp_sum(y, x, 0.5f, 1, 2), exp(-0.5) + 1, 2e-7);
	CHECK_NEAR(y[0], exp(-0.5), 1e-7);
}

/* One row of width n at `at` against double. */
/* keep: of x; gradients of x where it is dropped are nothing. */
static bool norm_row(int n, const float *dy, const float *gamma, const float *beta, const float *r,
		     const uint8_t *keep)
{
	const float gain = 1.25f;
	double mean = 0, var = 0, rstd, g = 0, gx = 0;
	bool good = true;
	float rs, xhat[ROW], out[ROW], dx[ROW], dr[ROW], dgamma[ROW] = { 0 }, dbeta[ROW] = { 0 };
	double sum[ROW], part[ROW]; /* drop(x) + r; what an x contributes */
	const struct kernel_norm k = { .rows = 1,
				       .cols = n,
				       .x = x,
				       .r = r,
				       .keep = keep,
				       .gain = gain,
				       .gamma = gamma,
				       .beta = beta,
				       .eps = 1e-5f,
				       .y = out,
				       .xhat = xhat,
				       .rstd = &rs };
	const struct kernel_norm_back b = { .rows = 1,
					    .cols = n,
					    .dy = dy,
					    .xhat = xhat,
					    .rstd = &rs,
					    .gamma = gamma,
					    .keep = keep,
					    .gain = gain,
					    .dx = dx,
					    .dr = dr,
					    .dr_beta = 1,
					    .dgamma = dgamma,
					    .dbeta = dbeta };

	for (int i = 0; i < n; i++) {
		part[i] = keep ? (double)(keep[i / 8] >> i % 8 & 1) * gain : 1;
		sum[i] = part[i] * x[i] + r[i];
		mean += sum[i] / n;
		dr[i] = 1;
	}
	for (int i = 0; i < n; i++)
		var += (sum[i] - mean) * (sum[i] - mean) / n;
	rstd = 1 / sqrt(var + (double)1e-5f);
	for (int i = 0; i < n; i++) {
		g += (double)dy[i] * gamma[i] / n;
		gx += (double)dy[i] * gamma[i] * (sum[i] - mean) * rstd / n;
	}
	kernel_layer_norm(&k);
	kernel_layer_norm_back(&b);
	for (int i = 0; i < n; i++) {
		const double h = (sum[i] - mean) * rstd,
			     d = rstd * ((double)dy[i] * gamma[i] - g - h * gx);
		const double wide = 1 +
				    rstd; /* rows of one or two numbers can have a tiny deviation */

		good &= fabs(xhat[i] - h) <= 3e-6 * wide &&
			fabs(out[i] - (h * gamma[i] + beta[i])) <= 6e-6 * wide;
		good &= fabs(dx[i] - part[i] * d) <= 3e-5 * wide &&
			fabs(dr[i] - 1 - d) <= 2e-5 * wide;
		good &= fabs(dgamma[i] - dy[i] * h) <= 6e-6 * wide && dbeta[i] == dy[i];
	}
	return good;
}

static void layer_norm(void)
{
	static const uint8_t keep[] = { 0x5e, 0xff, 0, 0x81, 0x3c, 0xf0, 0x0f, 0xaa, 0x7f, 1 };
	static float dy[ROW], gamma[ROW], beta[ROW], r[ROW];
	bool good = true;

	fill_normal(dy, ROW, 1);
	fill_normal(gamma, ROW, 2);
	fill_normal(beta, ROW, 3);
	fill_normal(r, ROW, 4);
	fill_normal(x, ROW, 5);
	for (int n = 1; n <= ROW; n++)
		good &= norm_row(n, dy, gamma, beta, r, NULL) &&
			norm_row(n, dy, gamma, beta, r, keep);
	CHECK(good);
}

static void layer_norm_known(void)
{
	static const float in[4] = { 1, 2, 3, 4 }, ones[4] = { 1, 1, 1, 1 }, none[4];
	struct kernel_norm k = {
		.rows = 1, .cols = 4, .x = in, .gamma = ones, .beta = none, .eps = 1e-12f, .y = y
	};

	kernel_layer_norm(&k);
	CHECK_NEAR(y[0], -1.341640830, 3e-7);
	CHECK_NEAR(y[3], 1.341640711, 3e-7);
	for (int i = 0; i < 4; i++)
		x[i] = in[i] + 10000; /* one pass over squares would lose the variance here */
	k.x = x;
	k.y = x;
	kernel_layer_norm(&k);
	CHECK_NEAR(x[1], -0.447213650, 3e-7);
}

static void sums(void)
{
	double sum = 0, squares = 0, dot = 0;
	bool good = true;

	fill_normal(x, MANY, 1);
	fill_normal(w, MANY, 2);
	for (int i = 0; i < MANY; i++) {
		sum += x[i];
		squares += (double)x[i] * x[i];
		dot += (double)x[i] * w[i];
	}
	CHECK_NEAR(kernel_sum(x, MANY), sum, 1e-9);
	CHECK_NEAR(kernel_sum_squares(x, MANY), squares, 1e-9 * squares);
	CHECK_NEAR(kernel_dot(x, w, MANY), dot, 0.01);
	for (int n = 0; n < 2 * ROW; n++) {
		float b[2 * ROW];

		memcpy(b, w, sizeof(b));
		for (int i = 0; i < n; i++)
			y[i] = w[i];
		kernel_axpby(y, 0.5f, 2, x, n);
		kernel_add(z, x, w, n);
		kernel_mul(b, b, x, n);
		for (int i = 0; i < n; i++)
			good &= fabsf(y[i] - (0.5f * w[i] + 2 * x[i])) < 1e-6f &&
				z[i] == x[i] + w[i] && b[i] == x[i] * w[i];
		good &= n == 2 * ROW || b[n] == w[n]; /* nothing past the end */
	}
	CHECK(good);
	y[0] = NAN;
	kernel_axpby(y, 0, 1, x, 1);
	CHECK(y[0] == x[0]);
}

static void rows_and_columns(void)
{
	bool good = true;

	fill_normal(x, 5 * ROW, 1);
	fill_normal(w, ROW, 2);
	memcpy(y, x, 5 * ROW * sizeof(*y));
	kernel_add_rows(y, w, 5, ROW);
	kernel_set_rows(z, w, 5, ROW);
	for (int i = 0; i < 5 * ROW; i++)
		good &= y[i] == x[i] + w[i % ROW] && z[i] == w[i % ROW];
	CHECK(good);
	for (int i = 0; i < ROW; i++)
		z[i] = NAN;
	kernel_column_sums(z, 0, x, 5, ROW);
	memcpy(y, w, ROW * sizeof(*y));
	kernel_column_sums(y, 1, x, 5, ROW);
	for (int i = 0; i < ROW; i++) {
		float sum = 0;

		for (int r = 0; r < 5; r++)
			sum += x[r * ROW + i];
		good &= z[i] == sum && y[i] == w[i] + sum;
	}
	CHECK(good);
}

/* Factors for columns: z = s x, y += s (y - b), and column sums of products. */
static void columns_are_scaled(void)
{
	static float b[ROW], dot[ROW], was[5 * ROW], own[5 * ROW];
	bool good = true;

	fill_normal(x, 5 * ROW, 1);
	fill_normal(was, 5 * ROW, 2);
	fill_normal(w, ROW, 3);
	fill_normal(b, ROW, 4);
	for (int i = 0; i < 5 * ROW; i++)
		z[i] = NAN;
	memcpy(y, was, sizeof(was));
	kernel_scale_rows(z, 0, w, x, 5, ROW);
	kernel_scale_rows(y, 1, w, x, 5, ROW);
	for (int i = 0; i < 5 * ROW; i++)
		good &= z[i] == w[i % ROW] * x[i] && fabsf(y[i] - (was[i] + z[i])) < 1e-5f;
	CHECK(good);
	for (int bare = 0; bare < 2; bare++) {
		memcpy(y, was, sizeof(was));
		memcpy(z, was, sizeof(was));
		kernel_stretch_rows(y, own, w, bare ? NULL : b, 5, ROW);
		kernel_stretch_rows(z, NULL, w, bare ? NULL : b, 5, ROW);
		for (int i = 0; i < 5 * ROW; i++)
			good &= own[i] == (bare ? was[i] : was[i] - b[i % ROW]) && y[i] == z[i] &&
				fabsf(y[i] - (was[i] + w[i % ROW] * own[i])) < 1e-5f;
		CHECK(good);
	}
	memset(w, 0, ROW * sizeof(*w)); /* no factor leaves no trace, whatever b is */
	memcpy(y, was, sizeof(was));
	kernel_stretch_rows(y, own, w, b, 5, ROW);
	CHECK(!memcmp(y, was, sizeof(was)));
	memcpy(dot, b, sizeof(b));
	kernel_dot_columns(dot, 1, x, was, 5, ROW);
	kernel_dot_columns(z, 0, x, was, 5, ROW);
	for (int i = 0; i < ROW; i++) {
		double sum = 0;

		for (int r = 0; r < 5; r++)
			sum += (double)x[r * ROW + i] * (double)was[r * ROW + i];
		good &= fabs((double)z[i] - sum) < 1e-5 &&
			fabs((double)dot[i] - sum - (double)b[i]) < 1e-5;
	}
	CHECK(good);
}

/* Back from z = s x: both gradients, each alone, in place. */
static void factors_of_columns(void)
{
	float ds[ROW + 1];
	bool good = true;

	fill_normal(x, 5 * ROW, 1);
	fill_normal(w, ROW, 2);
	fill_normal(y, 5 * ROW, 3);
	for (int n = 1; n <= ROW; n++) {
		struct kernel_scale_back k = {
			.rows = 5, .cols = n, .dy = y, .x = x, .s = w, .dx = z, .ds = ds
		};

		for (int i = 0; i < 5 * n; i++)
			z[i] = NAN;
		for (int i = 0; i <= n; i++)
			ds[i] = 7;
		kernel_scale_rows_back(&k);
		for (int i = 0; i < 5 * n; i++)
			good &= z[i] == y[i] * w[i % n];
		for (int i = 0; i < n; i++) {
			double sum = 7;

			for (int r = 0; r < 5; r++)
				sum += (double)x[r * n + i] * (double)y[r * n + i];
			good &= fabs((double)ds[i] - sum) < 1e-5;
		}
		good &= ds[n] == 7; /* nothing past the end */
		k.dx_beta = 1;
		k.ds = NULL;
		kernel_scale_rows_back(&k);
		for (int i = 0; i < 5 * n; i++)
			good &= z[i] == y[i] * w[i % n] + y[i] * w[i % n];
		k.dy = k.dx = z; /* in place */
		k.dx_beta = 0;
		kernel_scale_rows_back(&k);
		for (int i = 0; i < 5 * n; i++)
			good &= z[i] == (y[i] * w[i % n] + y[i] * w[i % n]) * w[i % n];
	}
	CHECK(good);
}

/* What one element should become, straight from base/rng.h. */
static bool kept(const struct kernel_drop *d, uint32_t c1, uint32_t c0, int col)
{
	uint32_t word[4];
	const uint32_t below = (uint32_t)lrintf(d->p * 65536.0f);

	rng_block(d->key, d->c3, d->c2, c1, c0 + (uint32_t)col / 8, word);
	return (word[col % 8 / 2] >> (col % 2 * 16) & 0xffff) >= below;
}

static void dropout_follows_the_counter(void)
{
	const struct kernel_drop d = { 0x123456789abcdef0, kernel_drop_site(5), 77, 0.1f };
	static uint8_t bits[2][20 * (ROW / 8 + 1)];
	const float scale = kernel_drop_scale(&d);
	uint32_t example[20], pos[20];
	bool rows = true, block = true, added = true;

	CHECK(d.c3 == ((uint32_t)RNG_DROPOUT << 24 | 5));
	for (uint32_t r = 0; r < 20; r++) {
		example[r] = 1000 - r / 7;
		pos[r] = r * 3 % 7;
	}
	fill_normal(x, 20 * ROW, 1);
	x[3] = INFINITY;
	for (int n = 1; n <= ROW; n += 4) {
		const uint32_t each = ((uint32_t)n + 7) / 8;

		kernel_drop_rows(bits[0], &d, example, pos, 20, n);
		kernel_drop_blocks(bits[1], &d, 9, UINT32_MAX - 5, 20 * each);
		kernel_keep(y, 0, x, bits[0], scale, 20, n);
		kernel_keep(z, 0, x, bits[1], scale, 20, n);
		for (int i = 0; i < 20 * n; i++) {
			const uint32_t r = (uint32_t)(i / n);
			const float whole = x[i] * (1.0f / (1.0f - 0.1f));

			rows &= y[i] == (kept(&d, example[r], pos[r] * each, i % n) ? whole : 0);
			block &= z[i] ==
				 (kept(&d, 9, UINT32_MAX - 5 + r * each, i % n) ? whole : 0);
			w[i] = 2;
		}
		kernel_keep(w, 1, x, bits[0], scale, 20, n);
		for (int i = 0; i < 20 * n; i++)
			added &= w[i] == y[i] + 2;
	}
	CHECK(rows);
	CHECK(block);
	CHECK(added);
}

static void dropout_share(void)
{
	struct kernel_drop d = { 42, kernel_drop_site(1), 3, 0.1f };
	static uint8_t bits[MANY / 8];
	int gone = 0;

	for (int i = 0; i < MANY; i++)
		x[i] = 1;
	kernel_drop_blocks(bits, &d, 0, 0, MANY / 8);
	kernel_keep(y, 0, x, bits, kernel_drop_scale(&d), 1, MANY);
	for (int i = 0; i < MANY; i++)
		gone += y[i] == 0;
	CHECK(abs(gone - MANY / 10) <
	      4 * 77); /* four standard deviations of sqrt(n p (1 - p)) = 77 */
	d.p = 0;
	kernel_drop_blocks(bits, &d, 0, 0, MANY / 8);
	kernel_keep(y, 0, x, bits, kernel_drop_scale(&d), 1, MANY);
	CHECK(!memcmp(x, y, sizeof(x)));
	d.p = 1;
	kernel_drop_blocks(bits, &d, 0, 0, MANY / 8);
	kernel_keep(x, 0, x, bits, kernel_drop_scale(&d), 1, MANY);
	CHECK(kernel_sum_squares(x, MANY) == 0);
}

static double half_value(unsigned h)
{
	const int e = (int)(h >> 10 & 31), f = (int)(h & 1023);
	const double v = e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);

	return h & 0x8000 ? -v : v;
}

static void narrow_types(void)
{
	static uint16_t in[MANY];
	bool half = true, brain = true;

	for (int i = 0; i < MANY; i++)
		in[i] = (uint16_t)i;
	kernel_from_f16(y, in, MANY);
	kernel_from_bf16(z, in, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t u;

		memcpy(&u, z + i, sizeof(u));
		brain &= u == i << 16;
		if ((i >> 10 & 31) == 31)
			half &= i & 1023 ? isnan(y[i])
					 : y[i] == (i & 0x8000 ? -INFINITY : INFINITY);
		else
			half &= (double)y[i] == half_value(i) && !signbit(y[i]) == !(i & 0x8000);
	}
	CHECK(half);
	CHECK(brain);
}

/* To the nearest of the two neighbours, halfway to the even one; what bf16 holds stays; NaN stays NaN. */
static void to_brain(void)
{
	static uint16_t out[MANY];
	bool nearest = true, same = true;

	for (unsigned i = 0; i < MANY; i++) {
		const uint32_t u = (i << 15) | (i % 3 == 1) | (i % 3 == 2 ? 0x7fffu : 0);

		memcpy(x + i, &u, sizeof(u));
	}
	kernel_to_bf16(out, x, MANY);
	kernel_from_bf16(y, out, MANY);
	for (int i = 0; i < MANY; i++) {
		uint32_t u;
		double low, high;

		memcpy(&u, x + i, sizeof(u));
		if (isnan(x[i])) {
			nearest &= isnan(y[i]);
			continue;
		}
		low = (double)u - (double)(u & 0xffff0000u);
		high = 65536 - low;
		nearest &= low < high   ? out[i] == u >> 16
			   : high < low ? out[i] == (u >> 16) + 1
					: out[i] == (u >> 16) + (u >> 16 & 1);
	}
	CHECK(nearest);
	for (unsigned i = 0; i < MANY; i++) {
		const uint32_t u = i << 16;

		memcpy(x + i, &u, sizeof(u));
	}
	kernel_to_bf16(out, x, MANY);
	for (unsigned i = 0; i < MANY; i++)
		same &= isnan(x[i]) || out[i] == i;
	CHECK(same);
}

/* Three steps against another implementation's numbers (fp32). */
static void adamw_known(void)
{
	static const float grad[3][2] = { { 0.5f, -1 }, { 0.1f, 0 }, { -0.2f, 3 } };
	static const double want[3][2] = { { 0.899000049, -1.898000002 },
					   { 0.817796946, -1.829096198 },
					   { 0.782543778, -1.871511936 } };
	struct kernel_adamw k = {
		.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01, .grad_scale = 1
	};
	float p[2] = { 1, -2 }, m[2] = { 0 }, v[2] = { 0 };

	for (int t = 0; t < 3; t++) {
		k.step = t + 1;
		kernel_adamw(p, m, v, grad[t], &k, 2);
		CHECK_NEAR(p[0], want[t][0], 2.5e-7);
		CHECK_NEAR(p[1], want[t][1], 5e-7);
	}
}

static void sgd_known(void)
{
	static const float grad[3][2] = { { 0.5f, -1 }, { 0.1f, 0 }, { -0.2f, 3 } };
	static const double want[3][2] = { { 0.903100014, -1.806200027 },
					   { 0.841074109, -1.720148206 },
					   { 0.831465542, -2.211058855 } };
	struct kernel_sgd k = {
		.lr = 0.1, .momentum = 0.9, .decay = 0.01, .grad_scale = 1, .nesterov = 1
	};
	float p[2] = { 1, -2 }, velocity[2] = { NAN, NAN };

	for (int t = 0; t < 3; t++) {
		k.step = t + 1;
		kernel_sgd(p, velocity, grad[t], &k, 2);
		CHECK_NEAR(p[0], want[t][0], 2.5e-7);
		CHECK_NEAR(p[1], want[t][1], 5e-7);
	}
	k = (struct kernel_sgd){ .lr = 0.5, .grad_scale = 0.5, .step = 4 };
	kernel_sgd(p, NULL, (const float[]){ 4, 8 }, &k, 1);
	CHECK_NEAR(p[0], 0.831465542 - 1, 3e-7);
	CHECK_NEAR(p[1], -2.211058855, 5e-7);
}

/*
 * Every instruction set that this processor runs gives what the best one gives, up
 * to rounding; the tests above are about the best one. Lengths go over all remainders.
 */
static bool near(const float *got, const float *want, int n)
{
	bool good = true;

	for (int i = 0; i < n; i++)
		good &= fabsf(got[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i]));
	return good;
}

static bool maps_match(const struct kernel_table *a, const struct kernel_table *b, int n)
{
	void (*const map[][2])(float *, const float *, int64_t) = {
		{ a->exp, b->exp },   { a->tanh, b->tanh },           { a->erf, b->erf },
		{ a->gelu, b->gelu }, { a->gelu_tanh, b->gelu_tanh }, { a->silu, b->silu },
		{ a->relu, b->relu },
	};
	void (*const back[][2])(float *, float, const float *, const float *, int64_t) = {
		{ a->gelu_back, b->gelu_back }, { a->gelu_tanh_back, b->gelu_tanh_back },
		{ a->silu_back, b->silu_back }, { a->relu_back, b->relu_back },
		{ a->tanh_back, b->tanh_back },
	};
	bool good = true;

	for (size_t k = 0; k < COUNT(map); k++) {
		map[k][0](y, x, n);
		map[k][1](z, x, n);
		good &= near(y, z, n);
	}
	for (size_t k = 0; k < COUNT(back); k++) {
		back[k][0](y, 1, x, w, n);
		back[k][1](z, 1, x, w, n);
		good &= near(y, z, n);
	}
	return good;
}

static bool rows_match(const struct kernel_table *a, const struct kernel_table *b, int n)
{
	static float xhat[2][ROW * 3], d[2][ROW * 3], dgamma[2][ROW], dbeta[2][ROW], rstd[2][3];
	bool good = true;

	memset(d, 0, sizeof(d));
	memset(dgamma, 0, sizeof(dgamma));
	memset(dbeta, 0, sizeof(dbeta));
	for (int k = 0; k < 2; k++) {
		const struct kernel_table *t = k ? b : a;
		const struct kernel_norm f = { .rows = 3,
					       .cols = n,
					       .x = x,
					       .r = w,
					       .gamma = w,
					       .beta = x,
					       .eps = 0.1f,
					       .y = k ? z : y,
					       .xhat = xhat[k],
					       .rstd = rstd[k] };
		const struct kernel_norm_back g = { .rows = 3,
						    .cols = n,
						    .dy = x,
						    .xhat = xhat[k],
						    .rstd = rstd[k],
						    .gamma = w,
						    .dx = d[k],
						    .dx_beta = 1,
						    .dgamma = dgamma[k],
						    .dbeta = dbeta[k] };

		t->layer_norm(&f);
		t->layer_norm_back(&g);
	}
	good &= near(y, z, 3 * n) && near(d[0], d[1], 3 * n);
	good &= near(dgamma[0], dgamma[1], n) && near(dbeta[0], dbeta[1], n);
	a->softmax(y, x, 2, 3, n);
	b->softmax(z, x, 2, 3, n);
	good &= near(y, z, 3 * n);
	a->softmax_back(d[0], y, w, 2, 3, n);
	b->softmax_back(d[1], y, w, 2, 3, n);
	good &= near(d[0], d[1], 3 * n);
	a->column_sums(y, 1, x, 3, n);
	b->column_sums(z, 1, x, 3, n);
	good &= near(y, z, n);
	a->dot_columns(y, 1, x, w, 3, n);
	b->dot_columns(z, 1, x, w, 3, n);
	good &= near(y, z, n);
	a->scale_rows(y, 1, w, x, 3, n);
	b->scale_rows(z, 1, w, x, 3, n);
	a->stretch_rows(y, d[0], w, x, 3, n);
	b->stretch_rows(z, d[1], w, x, 3, n);
	good &= near(y, z, 3 * n) && near(d[0], d[1], 3 * n);
	for (int k = 0; k < 2; k++) {
		const struct kernel_scale_back f = { .rows = 3,
						     .cols = n,
						     .dy = x,
						     .x = w,
						     .s = w,
						     .dx = d[k],
						     .dx_beta = 1,
						     .ds = dgamma[k] };

		(k ? b : a)->scale_rows_back(&f);
	}
	good &= near(d[0], d[1], 3 * n) && near(dgamma[0], dgamma[1], n);
	return good && fabs(a->sum(x, n) - b->sum(x, n)) < 1e-9 &&
	       fabs(a->sum_squares(x, n) - b->sum_squares(x, n)) < 1e-9 &&
	       fabsf(a->dot(x, w, n) - b->dot(x, w, n)) < 1e-4f && a->max(x, n) == b->max(x, n) &&
	       fabs(a->exp_total(x, 1, n) - b->exp_total(x, 1, n)) < 1e-4;
}

/* Masks are exact in all of them, and so is what an optimizer leaves alone past the end. */
static bool draws_match(const struct kernel_table *a, const struct kernel_table *b, int n)
{
	const struct kernel_drop d = { 99, kernel_drop_site(2), 1, 0.3f };
	const struct kernel_adamw k = {
		.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .grad_scale = 1, .step = 1
	};
	const int64_t blocks = 3 * ((n + 7) / 8);
	uint8_t bits[2][3 * (ROW / 8 + 1)];
	float p[2][ROW + 1], m[2][ROW + 1] = { { 0 } }, v[2][ROW + 1] = { { 0 } };
	bool good = true;

	memset(y, 0, sizeof(y));
	memset(z, 0, sizeof(z));
	a->drop_blocks(bits[0], &d, 4, 7, blocks);
	b->drop_blocks(bits[1], &d, 4, 7, blocks);
	good &= !memcmp(bits[0], bits[1], (size_t)blocks);
	a->keep(y, 1, x, bits[0], 2, 3, n);
	b->keep(z, 1, x, bits[0], 2, 3, n);
	good &= !memcmp(y, z, sizeof(y));
	memcpy(p[0], x, sizeof(p[0]));
	memcpy(p[1], x, sizeof(p[1]));
	a->adamw(p[0], m[0], v[0], w, &k, n);
	b->adamw(p[1], m[1], v[1], w, &k, n);
	return good && near(p[0], p[1], n + 1) && near(v[0], v[1], n + 1) && p[1][n] == x[n];
}

static bool tiles_match(const struct kernel_table *a, const struct kernel_table *b, int n)
{
	const struct kernel_tile t = { .panel = w,
				       .deep = 40,
				       .cols = n % KERNEL_TILE_COLS + 1,
				       .row = 40,
				       .col = 1,
				       .ldc = KERNEL_TILE_COLS + 1,
				       .alpha = 0.5f,
				       .beta = n & 1 ? 2.0f : 0.0f };
	const int rows = n % 15, all = 15 * (KERNEL_TILE_COLS + 1);

	memcpy(y, x, sizeof(y));
	memcpy(z, x, sizeof(z));
	a->tile(&t, rows, x, y);
	b->tile(&t, rows, x, z);
	return near(y, z, all);
}

static void tables_agree(void)
{
	const struct kernel_table *table[KERNEL_TABLES];
	const int n = kernel_tables(table);

	fill_normal(x, MANY, 21);
	fill_normal(w, MANY, 22);
	CHECK(n >= 1);
	CHECK_STR(table[0]->isa, kernel_isa());
	for (int k = 1; k < n; k++) {
		bool maps_good = true, rows_good = true, draws_good = true, tiles_good = true;

		for (int i = 1; i <= ROW; i++) {
			maps_good &= maps_match(table[k], table[0], i);
			rows_good &= rows_match(table[k], table[0], i);
			draws_good &= draws_match(table[k], table[0], i);
			tiles_good &= tiles_match(table[k], table[0], i);
		}
		CHECK_NAMED(maps_good, table[k]->isa);
		CHECK_NAMED(rows_good, table[k]->isa);
		CHECK_NAMED(draws_good, table[k]->isa);
		CHECK_NAMED(tiles_good, table[k]->isa);
	}
}

int main(void)
{
	printf("# kernels run as %s\n", kernel_isa());
	maps_are_close();
	slopes_are_close();
	extremes();
	known_values();
	gelu_and_its_slope();
	place_does_not_matter();
	softmax_rows();
	sums_of_exponentials();
	layer_norm();
	layer_norm_known();
	sums();
	rows_and_columns();
	columns_are_scaled();
	factors_of_columns();
	dropout_follows_the_counter();
	dropout_share();
	narrow_types();
	to_brain();
	adamw_known();
	sgd_known();
	tables_agree();
	return check_done();
}
