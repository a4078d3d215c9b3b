/*
 * GFLOPS of every backend for matrix products: plain and prepared, on one thread
 * and on all cores at once, each thread with its own product. "bf16" is the
 * product of linear layers with compute.precision bf16: plain for a weight that
 * trains, prepared for a frozen one; the rounding of what goes in is part of it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "tensor/pool.h"

/* y[m,out] = x[m,in] W^T: shapes of BERT-like layers, and of a low-rank factor. */
static const struct shape {
	int64_t m, in, out;
} shapes[] = {
	{ 512, 384, 384 }, { 512, 384, 1536 }, { 512, 1536, 384 },
	{ 512, 768, 768 }, { 512, 768, 3072 }, { 512, 3072, 768 },
	{ 512, 768, 8 },   { 512, 8, 768 },    { 25, 768, 768 },
};

static const double seconds = 0.1; /* of each measurement; the best repetition counts */

struct trial {
	const struct gemm *gm;
	struct shape s;
	const struct prepared *ready; /* NULL: the plain product */
	const float *x, *w;
	float **y;      /* one a thread */
	double *gflops; /* one a thread */
};

/* Of this thread alone, so that a busy machine counts less. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void once(const struct trial *t, float *y)
{
	const struct shape s = t->s;

	if (t->ready)
		gemm_prepared(t->gm, t->ready, s.m, t->x, s.in, 0, y, s.out);
	else
		gemm_weight_forward(t->gm, &(struct gemm_weight){ t->w, s.out, s.in }, s.m, t->x, 0,
				    y);
}

static void measure(void *arg, int i, int thread)
{
	struct trial *t = arg;
	const double flops = 2.0 * (double)(t->s.m * t->s.in * t->s.out), start = now();
	double best = 1e9;

	(void)thread;
	once(t, t->y[i]);
	while (now() - start < seconds) {
		const double from = now();
		double took;

		once(t, t->y[i]);
		took = now() - from;
		if (took < best)
			best = took;
	}
	t->gflops[i] = flops / best * 1e-9;
}

static void fill(float *to, int64_t n)
{
	struct rng r;

	rng_init(&r, 1, RNG_TEST, 0);
	for (int64_t i = 0; i < n; i++)
		to[i] = rng_normal(&r);
}

static const char *backend_name(const struct gemm *gm)
{
	return gemm_is_bf16(gm) ? "bf16" : gemm_name(gm);
}

static void print_row(const struct trial *t, double one, double all, bool json)
{
	const struct shape s = t->s;
	const char *kind = t->ready ? "prepared" : "plain";

	if (json)
		printf("{\"backend\":\"%s\",\"kind\":\"%s\",\"m\":%d,\"in\":%d,\"out\":%d,"
		       "\"gflops\":%.1f,\"gflops_all_cores\":%.1f}\n",
		       backend_name(t->gm), kind, (int)s.m, (int)s.in, (int)s.out, one, all);
	else
		printf("%-9s %-9s %4dx%-4d x %-5d %8.1f %8.1f\n", backend_name(t->gm), kind,
		       (int)s.m, (int)s.in, (int)s.out, one, all);
}

static void run_trial(struct pool *p, struct trial *t, bool json)
{
	double one, all = 0;

	measure(t, 0, 0);
	one = t->gflops[0];
	pool_run(p, pool_threads(p), measure, t);
	for (int i = 0; i < pool_threads(p); i++)
		all += t->gflops[i];
	print_row(t, one, all, json);
}

static int bench(struct pool *p, struct arena *a, struct gemm *gm, bool json)
{
	const int threads = pool_threads(p);
	int rc = TT_OK;

	for (size_t i = 0; !rc && i < COUNT(shapes); i++) {
		const struct shape s = shapes[i];
		const struct arena_mark mark = arena_mark(a);
		float *x = arena_zero(a, (size_t)(s.m * s.in), sizeof(*x));
		float *w = arena_zero(a, (size_t)(s.in * s.out), sizeof(*w));
		const struct tensor weight = {
			.name = "w", .rank = 2, .dim = { s.out, s.in }, .data = w
		};
		struct trial t = { .gm = gm, .s = s, .x = x, .w = w };

		t.y = arena_zero(a, (size_t)threads, sizeof(*t.y));
		t.gflops = arena_zero(a, (size_t)threads, sizeof(*t.gflops));
		if (!x || !w || !t.y || !t.gflops)
			return TT_NOMEM;
		for (int k = 0; k < threads; k++) {
			t.y[k] = arena_zero(a, (size_t)(s.m * s.out), sizeof(**t.y));
			if (!t.y[k])
				return TT_NOMEM;
		}
		fill(x, s.m * s.in);
		fill(w, s.in * s.out);
		run_trial(p, &t, json);
		rc = gemm_prepare(gm, a, &weight, GEMM_FORWARD, &t.ready);
		if (!rc)
			run_trial(p, &t, json);
		arena_rewind(a, mark);
	}
	gemm_close(gm);
	return rc;
}

int main(int argc, char **argv)
{
	const bool json = argc > 1 && !strcmp(argv[1], "--json");
	struct arena *a = arena_new();
	struct pool *p = NULL;
	struct gemm *gm;
	int rc = a ? pool_new(pool_cores(), &p) : TT_NOMEM;

	if (!rc && !json)
		printf("%-9s %-9s %-17s %8s %6s x%d\n", "backend", "weight", "rows x in x out",
		       "GFLOPS", "GFLOPS", pool_threads(p));
	for (int i = 0; !rc && gemm_all()[i]; i++) {
		rc = gemm_open(gemm_all()[i]->name, &gm);
		if (!rc)
			rc = bench(p, a, gm, json);
	}
	if (!rc && !gemm_open_bf16("auto", &gm))
		rc = bench(p, a, gm, json);
	if (rc)
		fprintf(stderr, "bench/gemm: %s\n", err_text());
	pool_free(p);
	arena_free(a);
	return rc ? 1 : 0;
}
