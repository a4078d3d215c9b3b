/* What a step must compute, and how quick this machine multiplies at best. */
#include "bench/flops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/err.h"
#include "tensor/gemm.h"

/* ---- what a method needs ---- */

struct counts {
	const struct hparams *h;
	double tokens, squares, rows; /* sum of T, of T^2, and how many rows the head reads */
	double learned;               /* keys before those of every sequence */
	int64_t lowest;               /* layer that a gradient must reach; layers: none */
	bool embeddings, keys;        /* do they train? */
};

/* -1: not in a layer. */
static int64_t layer_of(const char *name)
{
	const char *at = strstr(name, ".layer.");

	return at ? strtol(at + 7, NULL, 10) : -1;
}

/* Learned rows before the text make every sequence longer, or the keys that it sees more. */
static void count_learned(const struct method *m, struct counts *c)
{
	const double n = (double)m->model->position_offset;

	for (size_t i = 0; i < m->nsite; i++) {
		if (m->site[i]->kind & SITE_INPUT) {
			c->squares += 2 * n * c->tokens + n * n * c->rows;
			c->tokens += n * c->rows;
			c->embeddings = true;
		} else if (m->site[i]->kind & SITE_ATTENTION) {
			c->learned = n;
			c->keys = true;
			if (m->site[i]->layer < c->lowest)
				c->lowest = m->site[i]->layer;
		}
	}
}

static struct counts count(const struct method *m, const int32_t *length, size_t n)
{
	struct counts c = { .h = &m->model->hp, .lowest = m->model->hp.num_hidden_layers };

	for (size_t i = 0; i < n; i++) {
		c.tokens += length[i];
		c.squares += (double)length[i] * length[i];
	}
	c.rows = (double)n;
	count_learned(m, &c);
	for (size_t i = 0; i < m->nparam; i++) {
		const char *name = m->param[i]->name;
		const int64_t layer = layer_of(name);

		if (layer >= 0 && layer < c.lowest)
			c.lowest = layer;
		c.embeddings = c.embeddings || strstr(name, "embeddings.");
	}
	if (c.embeddings)
		c.lowest = 0;
	for (size_t i = 0; i < m->nparam; i++)
		c.keys = c.keys || (layer_of(m->param[i]->name) == c.lowest &&
				    strstr(m->param[i]->name, ".key."));
	return c;
}

/*
 * The frozen part of one layer: k, v; q, out, ffn; scores. Only the rows that the
 * head reads go through the last layer, after its keys and values.
 */
static double layer_forward(const struct counts *c, int64_t layer)
{
	const double d = (double)c->h->hidden_size, f = (double)c->h->intermediate_size;
	const bool last = layer + 1 == c->h->num_hidden_layers;
	const double rows = last ? c->rows : c->tokens;
	const double pairs = (last ? c->tokens : c->squares) + c->learned * rows;

	return 2 * c->tokens * 2 * d * d + 2 * rows * (2 * d * d + 2 * d * f) + 4 * d * pairs;
}

/* Back to the layer's input; in the lowest one only to what trains. */
static double layer_backward(const struct counts *c, int64_t layer)
{
	const double d = (double)c->h->hidden_size, f = (double)c->h->intermediate_size;
	const bool last = layer + 1 == c->h->num_hidden_layers;
	const double rows = last ? c->rows : c->tokens;
	const double pairs = (last ? c->tokens : c->squares) + c->learned * rows;
	const bool through = layer > c->lowest || c->embeddings;
	double sum = 2 * rows * (d * d + 2 * d * f);

	sum += (through || c->keys ? 8 : 6) * d * pairs;
	if (through)
		sum += 2 * c->tokens * 2 * d * d + 2 * rows * d * d;
	return sum;
}

/* A matrix that trains: its gradient, and when it is a method's own its product both ways. */
static double param_flops(const struct counts *c, const struct tensor *t, bool own)
{
	const int64_t layer = layer_of(t->name);
	const bool last = layer + 1 == c->h->num_hidden_layers;
	const bool keys = strstr(t->name, ".key.") || strstr(t->name, ".value.");
	const double rows = layer < 0 || (last && !keys) ? c->rows : c->tokens;
	const double once = 2 * rows * (double)tensor_count(t);
	double times = 1;

	/* a prompt is looked up, and its encoder runs once a step whatever the batch */
	if (t->rank != 2 || strstr(t->name, "embeddings") || strstr(t->name, "prompt_encoder."))
		return 0;
	if (own) /* A of the lowest layer has nobody below to pass a gradient to */
		times = layer > c->lowest || !strstr(t->name, ".lora_A") ? 3 : 2;
	return times * once;
}

double flops_needed(const struct method *m, const int32_t *length, size_t n)
{
	const struct counts c = count(m, length, n);
	const double d = (double)c.h->hidden_size;
	const bool below = c.lowest < c.h->num_hidden_layers;
	double sum = 2 * c.rows * d * d * (below ? 2 : 1); /* the pooler */

	for (int64_t i = 0; i < c.h->num_hidden_layers; i++) {
		sum += layer_forward(&c, i);
		if (i >= c.lowest)
			sum += layer_backward(&c, i);
	}
	for (size_t i = 0; i < m->nparam; i++)
		sum += param_flops(&c, m->param[i], !m->before[i]);
	return sum;
}

/* ---- the peak ---- */

enum { ROWS = 512, TIMES = 12 };

struct peak {
	const struct gemm *gm;
	const struct tensor *weight;
	const struct prepared *ready; /* NULL: the plain product */
	float *x, *y;                 /* [threads][ROWS, most] */
	int64_t most;
	double best[64]; /* FLOP/s of each thread */
};

static double thread_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(void *arg, int i, int thread)
{
	struct peak *p = arg;
	const int64_t out = p->weight->dim[0], in = p->weight->dim[1];
	float *x = p->x + i * ROWS * p->most, *y = p->y + i * ROWS * p->most;

	(void)thread;
	for (int k = 0; k < TIMES; k++) {
		const double start = thread_now();
		double speed;

		if (p->ready)
			gemm_prepared(p->gm, p->ready, ROWS, x, in, 0, y, out);
		else
			gemm_run(p->gm, false, true, ROWS, out, in, 1, x, in, p->weight->data, in,
				 0, y, out);
		speed = 2.0 * (double)(ROWS * in * out) / (thread_now() - start);
		if (speed > p->best[i])
			p->best[i] = speed;
	}
}

/* Of one kind of product by p->weight. */
static double together(struct peak *p, struct pool *pool, int threads)
{
	double sum = 0;

	memset(p->best, 0, sizeof(p->best));
	pool_run(pool, threads, measure, p);
	for (int i = 0; i < threads; i++)
		sum += p->best[i];
	return sum;
}

double flops_peak(const struct model *m, struct pool *pool)
{
	static const char *const part[] = { "attention.output.dense", "intermediate.dense",
					    "output.dense" };
	const int threads = pool_threads(pool) < 64 ? pool_threads(pool) : 64;
	struct peak p = { .gm = m->gemm, .most = m->hp.intermediate_size };
	struct arena *own = arena_new(); /* of weights that train, which nobody else prepares */
	double best = 0;

	p.x = calloc((size_t)(threads * ROWS * p.most), sizeof(float));
	p.y = calloc((size_t)(threads * ROWS * p.most), sizeof(float));
	for (int64_t i = 0; p.x && i < threads * ROWS * p.most; i++)
		p.x[i] = 0.01f * (float)(i % 201 - 100);
	for (size_t i = 0; own && p.x && p.y && i < COUNT(part); i++) {
		char name[120];

		snprintf(name, sizeof(name), "bert.encoder.layer.0.%s.weight", part[i]);
		p.weight = model_param(m, name);
		if (!p.weight)
			continue;
		for (int plain = 0; plain < 2; plain++) {
			double speed;

			p.ready = plain ? NULL : p.weight->forward;
			if (!plain && !p.ready &&
			    gemm_prepare(m->gemm, own, p.weight, GEMM_FORWARD, &p.ready))
				continue;
			speed = together(&p, pool, threads);
			best = speed > best ? speed : best;
		}
	}
	free(p.x);
	free(p.y);
	arena_free(own);
	return best;
}
