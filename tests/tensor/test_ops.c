/*
 * Every op against plain code in double, and its backward against central
 * differences, on every backend, for 1, 3 and 17 rows. Dropout: one mask per
 * example and position however the rows are cut.
 */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "tensor/gradcheck.h"
#include "tensor/op.h"
#include "tests/tensor/world.h"

enum { MOST = 17, IN = 6, OUT = 5, RANK = 2, WORDS = 7 };

/* What a case is made of: tensors that may train, and all else that builders take. */
struct world {
	struct arena *a;
	struct rng r;
	const struct gemm *gemm;
	int64_t n; /* rows */
	struct tensor *t[8];
	int tensors;
	bool through; /* the rows come from another op: not a leaf itself */
	int32_t id[MOST], pos[MOST], type[MOST];
	uint32_t example[MOST], place[MOST], query_example[MOST], query_place[MOST];
	struct origin origin, query_origin;
	float value[MOST];
	struct attention how;
	int64_t qstart[5], kstart[5];
	struct low_rank low;
	struct magnitude mag;
	struct vector_step vectors;
	float norm[OUT];
	struct add_linear plus;
	struct fusion mix;
	enum activation kind;
	double smoothing;
	enum pool_scores pool;
};

struct test {
	const char *name;
	void (*setup)(struct world *w);
	struct tensor *(*build)(struct graph *g, void *w);
	void (*naive)(const struct world *w, double *y);
};

static double num(const struct tensor *t, int64_t i, int64_t j)
{
	return (double)t->data[i * tensor_cols(t) + j];
}

static struct tensor *add(struct world *w, int64_t rows, int64_t cols)
{
	return w->t[w->tensors++] = world_tensor(w->a, &w->r, rows, cols, 0.7);
}

/* An input that is an activation in a model. */
static struct tensor *rows_of(struct graph *g, const struct world *w, int k)
{
	return w->through ? op_scale(g, w->t[k], 1) : w->t[k];
}

/* Linear. */

static void linear_setup(struct world *w)
{
	add(w, w->n, IN);
	add(w, OUT, IN);
	add(w, OUT, 0);
}

static void linear_setup_bare(struct world *w)
{
	add(w, w->n, IN);
	add(w, OUT, IN);
}

static struct tensor *linear_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_linear(g, rows_of(g, w, 0), w->t[1], w->t[2]);
}

static double linear_at(const struct world *w, int64_t i, int64_t o)
{
	double y = w->t[2] ? (double)w->t[2]->data[o] : 0;

	for (int64_t k = 0; k < IN; k++)
		y += num(w->t[0], i, k) * num(w->t[1], o, k);
	return y;
}

static void linear_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++)
			y[i * OUT + o] = linear_at(w, i, o);
}

static void prepare(struct world *w, struct tensor *t)
{
	t->trainable = t->needs = false;
	if (gemm_prepare(w->gemm, w->a, t, GEMM_FORWARD, &t->forward) ||
	    gemm_prepare(w->gemm, w->a, t, GEMM_BACKWARD, &t->backward))
		abort();
}

static void linear_setup_prepared(struct world *w)
{
	linear_setup(w);
	prepare(w, w->t[1]);
}

/* Linear with factors: t = x, w, b, l. */

static void scaled_setup_out(struct world *w)
{
	linear_setup(w);
	add(w, OUT, 1);
}

static void scaled_setup_in(struct world *w)
{
	linear_setup(w);
	add(w, 1, IN);
}

static void scaled_setup_out_prepared(struct world *w)
{
	scaled_setup_out(w);
	prepare(w, w->t[1]);
}

static void scaled_setup_in_prepared(struct world *w)
{
	scaled_setup_in(w);
	prepare(w, w->t[1]);
}

static struct tensor *scaled_build_out(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_linear_scaled_out(g, rows_of(g, w, 0), w->t[1], w->t[2], w->t[3]);
}

static struct tensor *scaled_build_in(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_linear_scaled_in(g, rows_of(g, w, 0), w->t[1], w->t[2], w->t[3]);
}

/* Twice the same x: the second gradient is added to the first. */
static struct tensor *scaled_build_twice(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct tensor *x = rows_of(g, w, 0);

	return op_add(g, op_linear_scaled_in(g, x, w->t[1], w->t[2], w->t[3]),
		      op_linear_scaled_in(g, x, w->t[1], w->t[2], w->t[3]));
}

static void scaled_naive_out(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++)
			y[i * OUT + o] = linear_at(w, i, o) * (double)w->t[3]->data[o];
}

static void scaled_naive_in(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++) {
			double *to = y + i * OUT + o;

			*to = (double)w->t[2]->data[o];
			for (int64_t k = 0; k < IN; k++)
				*to += num(w->t[0], i, k) * (double)w->t[3]->data[k] *
				       num(w->t[1], o, k);
		}
}

static void scaled_naive_twice(const struct world *w, double *y)
{
	scaled_naive_in(w, y);
	for (int64_t i = 0; i < w->n * OUT; i++)
		y[i] *= 2;
}

/* Linear with a low-rank step: t = x, w, b, a, b2, c, z; e is the last where there is one. */

static void low_rank_setup(struct world *w)
{
	linear_setup(w);
	w->low.a = add(w, RANK, IN);
	w->low.b = add(w, OUT, RANK);
	w->low.c = add(w, OUT, 0);
	w->low.scale = 1.5F;
}

static void low_rank_setup_z(struct world *w)
{
	low_rank_setup(w);
	add(w, w->n, IN);
	w->low.c = NULL;
	w->t[5]->needs = false;
}

static void low_rank_setup_prepared(struct world *w)
{
	low_rank_setup(w);
	prepare(w, w->t[1]);
}

static void low_rank_setup_e(struct world *w)
{
	low_rank_setup_z(w);
	w->low.e = add(w, RANK, 1);
}

static struct tensor *low_rank_build(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct tensor *x = rows_of(g, w, 0);

	return op_linear_low_rank(g, x, w->t[6] ? rows_of(g, w, 6) : x, w->t[1], w->t[2], &w->low);
}

static void low_rank_naive(const struct world *w, double *y)
{
	const struct tensor *z = w->t[6] ? w->t[6] : w->t[0];

	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++) {
			double step = w->low.c ? (double)w->low.c->data[o] : 0;

			for (int64_t r = 0; r < RANK; r++)
				for (int64_t k = 0; k < IN; k++)
					step += num(z, i, k) * num(w->low.a, r, k) *
						(w->low.e ? (double)w->low.e->data[r] : 1) *
						num(w->low.b, o, r);
			y[i * OUT + o] = linear_at(w, i, o) + 1.5 * step;
		}
}

/* Linear with a step and a magnitude: t = x, w, b, a, b2, m, z. The norms are any numbers here. */

static void magnitude_add(struct world *w)
{
	for (int o = 0; o < OUT; o++)
		w->norm[o] = 0.5f + 0.25f * (float)o;
	w->low.c = NULL;
	w->mag = (struct magnitude){ .m = add(w, OUT, 0), .norm = w->norm };
}

static void magnitude_setup(struct world *w)
{
	linear_setup(w);
	w->t[1]->trainable = w->t[1]->needs = false;
	w->low = (struct low_rank){ .a = add(w, RANK, IN), .b = add(w, OUT, RANK), .scale = 1.5F };
	magnitude_add(w);
}

static void magnitude_setup_z(struct world *w)
{
	magnitude_setup(w);
	add(w, w->n, IN);
}

static void magnitude_setup_prepared(struct world *w)
{
	magnitude_setup(w);
	prepare(w, w->t[1]);
}

static struct tensor *magnitude_build(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct tensor *x = rows_of(g, w, 0);

	return op_linear_magnitude(g, x, w->t[6] ? rows_of(g, w, 6) : x, w->t[1], w->t[2], &w->low,
				   &w->mag);
}

static void magnitude_naive(const struct world *w, double *y)
{
	const struct tensor *z = w->t[6] ? w->t[6] : w->t[0];

	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++) {
			const double c = (double)w->mag.m->data[o] / (double)w->norm[o];
			double own = 0, step = 0;

			for (int64_t k = 0; k < IN; k++)
				own += num(z, i, k) * num(w->t[1], o, k);
			for (int64_t r = 0; r < RANK; r++)
				for (int64_t k = 0; k < IN; k++)
					step += num(z, i, k) * num(w->low.a, r, k) *
						num(w->low.b, o, r);
			y[i * OUT + o] = linear_at(w, i, o) + (c - 1) * own + c * 1.5 * step;
		}
}

/* Linear beside what is there: t = h, x, w, and b, scale, gate where there are. */

static void plus_setup_bare(struct world *w)
{
	add(w, w->n, OUT)->origin = &w->origin;
	add(w, w->n, IN);
	w->plus = (struct add_linear){ .w = add(w, OUT, IN), .by = 1 };
}

static void plus_setup(struct world *w)
{
	plus_setup_bare(w);
	w->plus.b = add(w, OUT, 0);
}

static void plus_setup_by(struct world *w)
{
	plus_setup(w);
	w->plus.by = 4;
}

static void plus_setup_number(struct world *w)
{
	plus_setup(w);
	w->plus.by = 2;
	w->plus.scale = add(w, 1, 0);
}

/* A factor of one is none, but it learns. */
static void plus_setup_one(struct world *w)
{
	plus_setup(w);
	w->plus.scale = add(w, 1, 0);
	w->plus.scale->data[0] = 1;
}

static void plus_setup_columns(struct world *w)
{
	plus_setup(w);
	w->plus.scale = add(w, OUT, 0);
}

static void plus_setup_gate(struct world *w)
{
	plus_setup_number(w);
	w->plus.gate = add(w, w->n, 1);
}

static void plus_setup_all(struct world *w)
{
	plus_setup_columns(w);
	w->plus.by = 0.5F;
	w->plus.gate = add(w, w->n, 1);
	w->plus.dropout = 0.4F;
}

static void plus_setup_prepared(struct world *w)
{
	plus_setup_by(w);
	prepare(w, w->t[2]);
}

static struct tensor *plus_build(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct add_linear how = w->plus;

	if (how.gate)
		how.gate = rows_of(g, w, 5);
	return op_add_linear(g, rows_of(g, w, 0), rows_of(g, w, 1), &how);
}

static double plus_at(const struct world *w, int64_t i, int64_t o)
{
	const struct add_linear *p = &w->plus;
	double y = p->b ? (double)p->b->data[o] : 0;

	for (int64_t k = 0; k < IN; k++)
		y += num(w->t[1], i, k) * num(p->w, o, k);
	if (p->scale)
		y *= (double)p->scale->data[tensor_count(p->scale) > 1 ? o : 0];
	return num(w->t[0], i, o) + (double)p->by * (p->gate ? num(p->gate, i, 0) : 1) * y;
}

static void plus_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * OUT; i++)
		y[i] = plus_at(w, i / OUT, i % OUT);
}

/* What is added to is what is multiplied: h and x are one. */
static void plus_setup_same(struct world *w)
{
	add(w, w->n, IN);
	w->plus = (struct add_linear){ .w = add(w, IN, IN), .b = add(w, IN, 0), .by = 2 };
}

static struct tensor *plus_build_same(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct tensor *x = rows_of(g, w, 0);

	return op_add_linear(g, x, x, &w->plus);
}

static void plus_naive_same(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++) {
		double sum = (double)w->t[2]->data[i % IN];

		for (int64_t k = 0; k < IN; k++)
			sum += num(w->t[0], i / IN, k) * num(w->t[1], i % IN, k);
		y[i] = (double)w->t[0]->data[i] + 2 * sum;
	}
}

/* Linear with vectors between frozen matrices that are larger than it: t = x, w, b, a, b2, d, l, z. */

static void vectors_setup(struct world *w)
{
	linear_setup(w);
	w->vectors.a = add(w, RANK, IN + 2);
	w->vectors.b = add(w, OUT + 1, RANK);
	w->t[3]->trainable = w->t[3]->needs = w->t[4]->trainable = w->t[4]->needs = false;
	w->vectors.d = add(w, RANK, 0);
	w->vectors.l = add(w, OUT, 0);
}

static void vectors_setup_z(struct world *w)
{
	vectors_setup(w);
	add(w, w->n, IN);
}

static struct tensor *vectors_build(struct graph *g, void *arg)
{
	struct world *w = arg;
	struct tensor *x = rows_of(g, w, 0);

	return op_linear_vectors(g, x, w->t[7] ? rows_of(g, w, 7) : x, w->t[1], w->t[2],
				 &w->vectors);
}

static void vectors_naive(const struct world *w, double *y)
{
	const struct tensor *z = w->t[7] ? w->t[7] : w->t[0];

	for (int64_t i = 0; i < w->n; i++)
		for (int64_t o = 0; o < OUT; o++) {
			double step = 0;

			for (int64_t r = 0; r < RANK; r++)
				for (int64_t k = 0; k < IN; k++)
					step += num(z, i, k) * num(w->t[3], r, k) *
						(double)w->t[5]->data[r] * num(w->t[4], o, r);
			y[i * OUT + o] = linear_at(w, i, o) + (double)w->t[6]->data[o] * step;
		}
}

/*
 * Fusion of adapters of 2 and 3 numbers: t = z, q, key, its bias; the adapters do not train. Their
 * second halves and the biases of these lie in one matrix.
 */
enum { PARTS = 2, FIRST = 2, SECOND = 3, STACK = FIRST + 1 + SECOND + 1 };

static const struct fusion_part fusion_parts[PARTS] = { { FIRST, ACT_TANH }, { SECOND, ACT_GELU } };

static void fusion_setup(struct world *w)
{
	add(w, w->n, IN);
	add(w, w->n, OUT)->origin = &w->origin;
	w->mix = (struct fusion){
		.n = PARTS,
		.part = fusion_parts,
		.down = world_frozen(w->a, &w->r, STACK, IN, 0.7),
		.down_bias = world_frozen(w->a, &w->r, STACK, 0, 0.7),
		.up = world_frozen(w->a, &w->r, IN, STACK, 0.7),
		.key = add(w, OUT, IN),
		.key_bias = add(w, OUT, 0),
		.temperature = 1,
	};
	/* added to all scores alike, it has no gradient until dropout takes some of them */
	w->mix.key_bias->trainable = w->mix.key_bias->needs = false;
}

static void fusion_setup_warm(struct world *w)
{
	fusion_setup(w);
	w->mix.key_bias->trainable = w->mix.key_bias->needs = true;
	w->mix.temperature = 2;
	w->mix.dropout = 0.4F;
}

static struct tensor *fusion_build(struct graph *g, void *arg)
{
	struct world *w = arg;
	const float *p = NULL;

	return op_fusion(g, rows_of(g, w, 0), rows_of(g, w, 1), &w->mix, &p);
}

static double activate(enum activation kind, double x);

/* u_i of row r, and its score. */
static double fusion_part(const struct world *w, int64_t r, int i, double *u)
{
	const struct fusion *f = &w->mix;
	const int64_t from = i ? FIRST + 1 : 0, k = f->part[i].size;
	double score = 0;

	for (int64_t j = 0; j < IN; j++)
		u[j] = num(f->up, j, from + k);
	for (int64_t c = from; c < from + k; c++) {
		double a = (double)f->down_bias->data[c];

		for (int64_t j = 0; j < IN; j++)
			a += num(w->t[0], r, j) * num(f->down, c, j);
		a = activate(f->part[i].kind, a);
		for (int64_t j = 0; j < IN; j++)
			u[j] += a * num(f->up, j, c);
	}
	for (int64_t o = 0; o < OUT; o++) {
		double key = (double)f->key_bias->data[o];

		for (int64_t j = 0; j < IN; j++)
			key += u[j] * num(f->key, o, j);
		score += num(w->t[1], r, o) * key;
	}
	return score / (double)f->temperature;
}

static void fusion_naive(const struct world *w, double *y)
{
	for (int64_t r = 0; r < w->n; r++) {
		double u[PARTS][IN], p[PARTS], sum = 0;

		for (int i = 0; i < PARTS; i++) {
			p[i] = exp(fusion_part(w, r, i, u[i]));
			sum += p[i];
		}
		for (int64_t j = 0; j < IN; j++) {
			y[r * IN + j] = 0;
			for (int i = 0; i < PARTS; i++)
				y[r * IN + j] += p[i] / sum * u[i][j];
		}
	}
}

/* A gate a sequence: t = x, w, b. Sequences of three rows, as the origin says; the last may be shorter. */

static void gate_setup(struct world *w)
{
	add(w, w->n, IN)->origin = &w->origin;
	add(w, 1, IN);
	add(w, 1, 0);
}

static struct tensor *gate_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_gate(g, rows_of(g, w, 0), w->t[1], w->t[2]);
}

static struct tensor *gate_rows_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_gate_rows(g, gate_build(g, w), w->t[0]);
}

static double gate_at(const struct world *w, int64_t s)
{
	const int64_t to = 3 * s + 3 < w->n ? 3 * s + 3 : w->n;
	double sum = 0;

	for (int64_t i = 3 * s; i < to; i++) {
		double v = (double)w->t[2]->data[0];

		for (int64_t k = 0; k < IN; k++)
			v += num(w->t[0], i, k) * num(w->t[1], 0, k);
		sum += 1 / (1 + exp(-v));
	}
	return sum / (double)(to - 3 * s);
}

static void gate_naive(const struct world *w, double *y)
{
	for (int64_t s = 0; 3 * s < w->n; s++)
		y[s] = gate_at(w, s);
}

static void gate_rows_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		y[i] = gate_at(w, i / 3);
}

/* A matrix that is not far from the identity. */
static void identity_setup(struct world *w) { add(w, IN, IN); }

static struct tensor *identity_build(struct graph *g, void *arg)
{
	return op_near_identity(g, rows_of(g, arg, 0), 0.1F);
}

static void identity_naive(const struct world *w, double *y)
{
	*y = 0;
	for (int64_t i = 0; i < IN * IN; i++)
		*y += 0.1 * pow(num(w->t[0], i / IN, i % IN) - (i / IN == i % IN), 2);
}

/* Embeddings. */

static void embedding_setup(struct world *w)
{
	add(w, WORDS, OUT);
	add(w, MOST, OUT);
	add(w, 2, OUT);
}

static void embedding_setup_word(struct world *w) { add(w, WORDS, OUT); }

static struct tensor *embedding_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_embedding(g, w->t[0], w->t[1], w->t[2], w->id, w->pos, w->type, w->n, -1,
			    &w->origin);
}

static void embedding_naive(const struct world *w, double *y)
{
	const int32_t *const number[] = { w->id, w->pos, w->type };

	for (int64_t i = 0; i < w->n; i++)
		for (int64_t j = 0; j < OUT; j++) {
			y[i * OUT + j] = 0;
			for (int k = 0; k < w->tensors; k++)
				y[i * OUT + j] += num(w->t[k], number[k][i], j);
		}
}

static void embedding_low_rank_setup(struct world *w)
{
	add(w, w->n, OUT);
	w->low.a = add(w, RANK, WORDS);
	w->low.b = add(w, OUT, RANK);
	w->low.scale = 0.5F;
}

static struct tensor *embedding_low_rank_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_embedding_low_rank(g, rows_of(g, w, 0), w->id, &w->low);
}

static void embedding_low_rank_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t j = 0; j < OUT; j++) {
			y[i * OUT + j] = num(w->t[0], i, j);
			for (int64_t r = 0; r < RANK; r++)
				y[i * OUT + j] += 0.5 * num(w->low.a, r, w->id[i]) *
						  num(w->low.b, j, r);
		}
}

/* t = e, table, a, b, m. */
static void embedding_magnitude_setup(struct world *w)
{
	add(w, w->n, OUT);
	add(w, WORDS, OUT);
	w->t[1]->trainable = w->t[1]->needs = false;
	w->low = (struct low_rank){ .a = add(w, RANK, WORDS),
				    .b = add(w, OUT, RANK),
				    .scale = 0.5F };
	magnitude_add(w);
}

static struct tensor *embedding_magnitude_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_embedding_magnitude(g, rows_of(g, w, 0), w->id, w->t[1], &w->low, &w->mag);
}

static void embedding_magnitude_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t j = 0; j < OUT; j++) {
			const double c = (double)w->mag.m->data[j] / (double)w->norm[j];

			y[i * OUT + j] = num(w->t[0], i, j) + (c - 1) * num(w->t[1], w->id[i], j);
			for (int64_t r = 0; r < RANK; r++)
				y[i * OUT + j] += c * 0.5 * num(w->low.a, r, w->id[i]) *
						  num(w->low.b, j, r);
		}
}

/* Attention. Sequences of 1, 3, and of 1, 9, 7 rows; a subset of queries leaves one sequence without. */

static void attention_starts(struct world *w)
{
	static const int64_t starts[][5] = { { 0, 1, 1, 1, 1 },
					     { 0, 1, 3, 3, 3 },
					     { 0, 1, 10, 17, 17 } };
	const int size = w->n == 1 ? 0 : w->n == 3 ? 1 : 2;

	memcpy(w->kstart, starts[size], sizeof(w->kstart));
	memcpy(w->qstart, starts[size], sizeof(w->qstart));
	w->how = (struct attention){
		.seqs = size + 1,
		.heads = 2,
		.qstart = w->qstart,
		.kstart = w->kstart,
	};
	for (int s = 0; s <= size; s++)
		for (int64_t i = w->kstart[s]; i < w->kstart[s + 1]; i++) {
			w->query_example[i] = w->example[i] = (uint32_t)(40 + s);
			w->query_place[i] = w->place[i] = (uint32_t)(i - w->kstart[s]);
		}
}

static void attention_tensors(struct world *w)
{
	add(w, w->qstart[w->how.seqs], IN)->origin = &w->query_origin;
	add(w, w->n, IN)->origin = &w->origin;
	add(w, w->n, IN)->origin = &w->origin;
}

static void attention_setup(struct world *w)
{
	attention_starts(w);
	attention_tensors(w);
}

static void attention_setup_one_head(struct world *w)
{
	attention_starts(w);
	w->how.heads = 1;
	attention_tensors(w);
}

static void attention_setup_dropout(struct world *w)
{
	attention_starts(w);
	w->how.dropout = 0.3F;
	attention_tensors(w);
}

/* The first sequence keeps none of its queries, the others their last one and, where they can, their first. */
static void attention_setup_subset(struct world *w)
{
	int64_t n = 0;

	attention_setup_dropout(w);
	for (int s = 0; s < w->how.seqs; s++) {
		const int64_t from = w->kstart[s], to = w->kstart[s + 1];

		w->qstart[s] = n;
		if (s == 0 && w->how.seqs > 1)
			continue;
		w->query_example[n] = w->example[from];
		w->query_place[n++] = w->place[from];
		if (to - from > 1) {
			w->query_example[n] = w->example[to - 1];
			w->query_place[n++] = w->place[to - 1];
		}
	}
	w->qstart[w->how.seqs] = n;
	w->t[0]->dim[0] = n;
}

static struct tensor *attention_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_attention(g, rows_of(g, w, 0), rows_of(g, w, 1), rows_of(g, w, 2), &w->how);
}

/* The probabilities of one query and head over the keys k0 .. k1. */
static void naive_probabilities(const struct world *w, int64_t i, int64_t head, int64_t k0,
				int64_t k1, double *p)
{
	const int64_t depth = tensor_cols(w->t[0]) / w->how.heads;
	double sum = 0;

	for (int64_t k = k0; k < k1; k++) {
		double s = 0;

		for (int64_t j = head * depth; j < (head + 1) * depth; j++)
			s += num(w->t[0], i, j) * num(w->t[1], k, j);
		p[k - k0] = exp(s / sqrt((double)depth));
		sum += p[k - k0];
	}
	for (int64_t k = k0; k < k1; k++)
		p[k - k0] /= sum;
}

static void attention_naive(const struct world *w, double *y)
{
	const int64_t cols = tensor_cols(w->t[0]), depth = cols / w->how.heads;
	double p[512];

	for (int64_t s = 0; s < w->how.seqs; s++)
		for (int64_t i = w->how.qstart[s]; i < w->how.qstart[s + 1]; i++)
			for (int64_t j = 0; j < cols; j++) {
				naive_probabilities(w, i, j / depth, w->how.kstart[s],
						    w->how.kstart[s + 1], p);
				y[i * cols + j] = 0;
				for (int64_t k = w->how.kstart[s]; k < w->how.kstart[s + 1]; k++)
					y[i * cols + j] += p[k - w->how.kstart[s]] *
							   num(w->t[2], k, j);
			}
}

/* Activations. */

static void activation_setup(struct world *w)
{
	struct tensor *t = add(w, w->n, IN);

	/* relu has no derivative at 0: keep the differences off it */
	for (int64_t i = 0; i < tensor_count(t); i++) {
		t->data[i] *= 3;
		if (fabsf(t->data[i]) < 0.05F)
			t->data[i] = 0.05F;
	}
}

static void gelu_setup(struct world *w)
{
	activation_setup(w);
	w->kind = ACT_GELU;
}
static void gelu_tanh_setup(struct world *w)
{
	activation_setup(w);
	w->kind = ACT_GELU_TANH;
}
static void relu_setup(struct world *w)
{
	activation_setup(w);
	w->kind = ACT_RELU;
}
static void silu_setup(struct world *w)
{
	activation_setup(w);
	w->kind = ACT_SILU;
}
static void tanh_setup(struct world *w)
{
	activation_setup(w);
	w->kind = ACT_TANH;
}

static struct tensor *activation_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_activation(g, rows_of(g, w, 0), w->kind);
}

/* Of something that nobody else reads. */
static struct tensor *activation_over_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_activation_over(g, op_scale(g, rows_of(g, w, 0), 1), w->kind);
}

static double activate(enum activation kind, double x)
{
	switch (kind) {
	case ACT_GELU: return x * 0.5 * (1 + erf(x / sqrt(2)));
	case ACT_GELU_TANH:
		return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
	case ACT_RELU: return x > 0 ? x : 0;
	case ACT_SILU: return x / (1 + exp(-x));
	case ACT_TANH: return tanh(x);
	}
	return (double)NAN;
}

static void activation_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++)
		y[i] = activate(w->kind, (double)w->t[0]->data[i]);
}

/* Rows: dropout, gather, add, scale, layer norm. */

static void rows_setup(struct world *w) { add(w, w->n, IN)->origin = &w->origin; }

static struct tensor *dropout_build(struct graph *g, void *arg)
{
	return op_dropout(g, rows_of(g, arg, 0), 0.4F);
}

static void same_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++)
		y[i] = (double)w->t[0]->data[i];
}

static void gather_setup(struct world *w) { add(w, WORDS, IN); }

static struct tensor *gather_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_gather(g, rows_of(g, w, 0), w->id, w->n);
}

static void gather_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++)
		y[i] = num(w->t[0], w->id[i / IN], i % IN);
}

/* Two sequences, two rows before each: columns 2 to 4 of a wider tensor, shared or not. */
enum { PREFIX = 2, NARROW = 3, WIDE = 7, AT = 2 };

static void prepend_start(struct world *w)
{
	add(w, w->n, NARROW);
	w->kstart[0] = 0;
	w->kstart[1] = w->n / 2;
	w->kstart[2] = w->n;
}

static void prepend_setup(struct world *w)
{
	prepend_start(w);
	add(w, PREFIX, WIDE);
}

static void prepend_setup_own(struct world *w)
{
	prepend_start(w);
	add(w, PREFIX * 2, WIDE);
}

static struct tensor *prepend_build(struct graph *g, void *arg)
{
	const struct world *w = arg;

	return op_prepend(g, rows_of(g, w, 0), w->t[1],
			  &(struct prepend){ 2, PREFIX, AT, w->kstart, NULL });
}

static void prepend_naive(const struct world *w, double *y)
{
	const bool own = tensor_rows(w->t[1]) > PREFIX;

	for (int64_t s = 0; s < 2; s++) {
		for (int64_t i = 0; i < PREFIX; i++)
			for (int64_t c = 0; c < NARROW; c++)
				*y++ = num(w->t[1], i + (own ? s * PREFIX : 0), AT + c);
		for (int64_t i = w->kstart[s]; i < w->kstart[s + 1]; i++)
			for (int64_t c = 0; c < NARROW; c++)
				*y++ = num(w->t[0], i, c);
	}
}

/* Words of a vocabulary, and labels of words: one of one, one of two, one of one. */
static const int32_t scored[] = { 4, 0, 6, 1 };
static const int64_t labels_of[] = { 0, 1, 3, 4 };

static void words_setup(struct world *w)
{
	add(w, w->n, IN);
	add(w, WORDS, IN);
	w->t[w->tensors++] = world_tensor(w->a, &w->r, 1, WORDS, 0.7);
}

static struct tensor *words_build(struct graph *g, void *arg)
{
	const struct world *w = arg;

	return op_word_scores(g, rows_of(g, w, 0), w->t[1], w->t[2], scored, 4);
}

static void words_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++) {
		for (int k = 0; k < 4; k++, y++) {
			*y = (double)w->t[2]->data[scored[k]];
			for (int64_t c = 0; c < IN; c++)
				*y += num(w->t[0], i, c) * num(w->t[1], scored[k], c);
		}
	}
}

static void pool_setup_mean(struct world *w)
{
	add(w, w->n, 4);
	w->pool = POOL_MEAN;
}

static void pool_setup_sum(struct world *w)
{
	add(w, w->n, 4);
	w->pool = POOL_LOG_SUM;
}

static void pool_setup_max(struct world *w)
{
	add(w, w->n, 4);
	w->pool = POOL_MAX;
	for (int64_t i = 0; i < w->n; i++) /* far apart, so that a small step changes no order */
		w->t[0]->data[i * 4 + 1] = i % 2 ? 3.0F : -3.0F;
}

static struct tensor *pool_build(struct graph *g, void *arg)
{
	const struct world *w = arg;

	return op_pool_scores(g, rows_of(g, w, 0), labels_of, 3, w->pool);
}

static void pool_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++) {
		const double a = num(w->t[0], i, 1), b = num(w->t[0], i, 2);

		*y++ = num(w->t[0], i, 0);
		*y++ = w->pool == POOL_MEAN  ? (a + b) / 2
		       : w->pool == POOL_MAX ? fmax(a, b)
					     : log(exp(a) + exp(b));
		*y++ = num(w->t[0], i, 3);
	}
}

/* Some rows for two sequences, by factors or as they are. */

static void repeat_setup(struct world *w) { add(w, PREFIX, NARROW); }

static void repeat_setup_by(struct world *w)
{
	repeat_setup(w);
	add(w, 2, 1);
}

static struct tensor *repeat_build(struct graph *g, void *arg)
{
	const struct world *w = arg;

	return op_repeat(g, rows_of(g, w, 0), w->t[1] ? rows_of(g, w, 1) : NULL, 2, NULL);
}

static void repeat_naive(const struct world *w, double *y)
{
	for (int64_t s = 0; s < 2; s++)
		for (int64_t i = 0; i < PREFIX * NARROW; i++)
			*y++ = (w->t[1] ? num(w->t[1], s, 0) : 1) * (double)w->t[0]->data[i];
}

/* Two overlapping ranges of columns: what one leaves alone the other one adds to. */
static void columns_setup(struct world *w) { add(w, w->n, IN); }

static struct tensor *columns_build(struct graph *g, void *arg)
{
	struct tensor *x = rows_of(g, arg, 0);

	return op_add(g, op_columns(g, x, 0, NARROW), op_columns(g, x, AT, NARROW));
}

static void columns_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++)
		for (int64_t c = 0; c < NARROW; c++)
			*y++ = num(w->t[0], i, c) + num(w->t[0], i, AT + c);
}

static void beside_setup(struct world *w)
{
	add(w, w->n, NARROW);
	add(w, w->n, 2);
}

static struct tensor *beside_build(struct graph *g, void *arg)
{
	return op_beside(g, rows_of(g, arg, 0), rows_of(g, arg, 1));
}

static void beside_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++) {
		for (int64_t c = 0; c < NARROW; c++)
			*y++ = num(w->t[0], i, c);
		for (int64_t c = 0; c < 2; c++)
			*y++ = num(w->t[1], i, c);
	}
}

/* An LSTM of two cells: t = x, w_ih, w_hh, b_ih, b_hh. */
enum { CELLS = 2, GATES = 4 };

static void lstm_setup(struct world *w)
{
	add(w, w->n, NARROW);
	add(w, GATES * CELLS, NARROW);
	add(w, GATES * CELLS, CELLS);
	add(w, GATES * CELLS, 0);
	add(w, GATES * CELLS, 0);
}

static struct tensor *lstm_run(struct graph *g, struct world *w, bool reverse)
{
	const struct lstm l = { w->t[1], w->t[2], w->t[3], w->t[4] };

	return op_lstm(g, rows_of(g, w, 0), &l, reverse);
}

static struct tensor *lstm_build(struct graph *g, void *arg) { return lstm_run(g, arg, false); }

static struct tensor *lstm_build_reverse(struct graph *g, void *arg)
{
	return lstm_run(g, arg, true);
}

static double lstm_sum(const struct world *w, int64_t row, const double *h, int64_t gate)
{
	double sum = (double)w->t[3]->data[gate] + (double)w->t[4]->data[gate];

	for (int64_t k = 0; k < NARROW; k++)
		sum += num(w->t[1], gate, k) * num(w->t[0], row, k);
	for (int64_t k = 0; k < CELLS; k++)
		sum += num(w->t[2], gate, k) * h[k];
	return sum;
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }

static void lstm_walk(const struct world *w, bool reverse, double *y)
{
	double h[CELLS] = { 0 }, c[CELLS] = { 0 };

	for (int64_t t = 0; t < w->n; t++) {
		const int64_t row = reverse ? w->n - 1 - t : t;

		for (int64_t j = 0; j < CELLS; j++) {
			const double i = logistic(lstm_sum(w, row, h, j)),
				     f = logistic(lstm_sum(w, row, h, CELLS + j)),
				     g = tanh(lstm_sum(w, row, h, 2 * CELLS + j)),
				     o = logistic(lstm_sum(w, row, h, 3 * CELLS + j));

			c[j] = f * c[j] + i * g;
			y[row * CELLS + j] = o * tanh(c[j]);
		}
		for (int64_t j = 0; j < CELLS; j++)
			h[j] = y[row * CELLS + j];
	}
}

static void lstm_naive(const struct world *w, double *y) { lstm_walk(w, false, y); }

static void lstm_naive_reverse(const struct world *w, double *y) { lstm_walk(w, true, y); }

static void two_setup(struct world *w)
{
	rows_setup(w);
	rows_setup(w);
}

static struct tensor *add_build(struct graph *g, void *arg)
{
	return op_add(g, rows_of(g, arg, 0), rows_of(g, arg, 1));
}

static void add_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++)
		y[i] = (double)w->t[0]->data[i] + (double)w->t[1]->data[i];
}

static struct tensor *scale_build(struct graph *g, void *arg)
{
	return op_scale(g, rows_of(g, arg, 0), -2.5F);
}

static void scale_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n * IN; i++)
		y[i] = -2.5 * (double)w->t[0]->data[i];
}

static struct tensor *orthogonal_rows_build(struct graph *g, void *arg)
{
	return op_orthogonality(g, rows_of(g, arg, 0), true, 0.4F);
}

static struct tensor *orthogonal_columns_build(struct graph *g, void *arg)
{
	return op_orthogonality(g, rows_of(g, arg, 0), false, 0.4F);
}

static void orthogonal_rows_naive(const struct world *w, double *y)
{
	double sum = 0;

	for (int64_t i = 0; i < w->n; i++)
		for (int64_t j = 0; j < w->n; j++) {
			double d = i == j ? -1 : 0;

			for (int64_t k = 0; k < IN; k++)
				d += num(w->t[0], i, k) * num(w->t[0], j, k);
			sum += d * d;
		}
	*y = 0.4 * sqrt(sum);
}

static void orthogonal_columns_naive(const struct world *w, double *y)
{
	double sum = 0;

	for (int64_t i = 0; i < IN; i++)
		for (int64_t j = 0; j < IN; j++) {
			double d = i == j ? -1 : 0;

			for (int64_t k = 0; k < w->n; k++)
				d += num(w->t[0], k, i) * num(w->t[0], k, j);
			sum += d * d;
		}
	*y = 0.4 * sqrt(sum);
}

static void norm_setup(struct world *w)
{
	rows_setup(w);
	add(w, IN, 0);
	add(w, IN, 0);
}

static void norm_setup_sum(struct world *w)
{
	norm_setup(w);
	rows_setup(w);
}

static struct tensor *norm_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_layer_norm(g, rows_of(g, w, 0), w->t[3] ? rows_of(g, w, 3) : NULL, w->t[1],
			     w->t[2], 1e-3F);
}

static struct tensor *norm_build_dropped(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_layer_norm_dropped(g, rows_of(g, w, 0), 0.4F, rows_of(g, w, 3), w->t[1], w->t[2],
				     1e-3F);
}

static void norm_naive(const struct world *w, double *y)
{
	for (int64_t i = 0; i < w->n; i++) {
		double x[IN], mean = 0, var = 0;

		for (int64_t j = 0; j < IN; j++) {
			x[j] = num(w->t[0], i, j) + (w->t[3] ? num(w->t[3], i, j) : 0);
			mean += x[j] / IN;
		}
		for (int64_t j = 0; j < IN; j++)
			var += (x[j] - mean) * (x[j] - mean) / IN;
		for (int64_t j = 0; j < IN; j++)
			y[i * IN + j] = (x[j] - mean) / sqrt(var + (double)1e-3F) *
						(double)w->t[1]->data[j] +
					(double)w->t[2]->data[j];
	}
}

/* Losses. */

static void entropy_setup(struct world *w) { add(w, w->n, WORDS); }

static void entropy_setup_smooth(struct world *w)
{
	entropy_setup(w);
	w->smoothing = 0.2;
}

static struct tensor *entropy_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_cross_entropy(g, rows_of(g, w, 0), w->id, w->smoothing, 20, NULL);
}

static void entropy_naive(const struct world *w, double *y)
{
	*y = 0;
	for (int64_t i = 0; i < w->n; i++) {
		double sum = 0, all = 0;

		for (int64_t j = 0; j < WORDS; j++)
			sum += exp(num(w->t[0], i, j));
		for (int64_t j = 0; j < WORDS; j++)
			all += (log(sum) - num(w->t[0], i, j)) / WORDS;
		*y += (1 - w->smoothing) * (log(sum) - num(w->t[0], i, w->id[i])) / 20 +
		      w->smoothing * all / 20;
	}
}

/* A label is one of some columns: here of the first two, or of the others. */
static const struct span halves[] = { { 0, 2 },     { 0, 2 },     { 2, WORDS },
				      { 2, WORDS }, { 2, WORDS }, { 2, WORDS },
				      { 2, WORDS }, { 2, WORDS }, { 2, WORDS } };

static struct tensor *among_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_cross_entropy_among(g, rows_of(g, w, 0), w->id, halves, w->smoothing, 20, NULL);
}

static void among_naive(const struct world *w, double *y)
{
	*y = 0;
	for (int64_t i = 0; i < w->n; i++) {
		const struct span at = halves[w->id[i]];
		double sum = 0, all = 0;

		for (int64_t j = at.first; j < at.end; j++)
			sum += exp(num(w->t[0], i, j));
		for (int64_t j = at.first; j < at.end; j++)
			all += (log(sum) - num(w->t[0], i, j)) / (at.end - at.first);
		*y += (1 - w->smoothing) * (log(sum) - num(w->t[0], i, w->id[i])) / 20 +
		      w->smoothing * all / 20;
	}
}

static void mse_setup(struct world *w) { add(w, w->n, 1); }

static struct tensor *mse_build(struct graph *g, void *arg)
{
	struct world *w = arg;

	return op_mse(g, rows_of(g, w, 0), w->value, 20, NULL);
}

static void mse_naive(const struct world *w, double *y)
{
	*y = 0;
	for (int64_t i = 0; i < w->n; i++)
		*y += pow((double)w->t[0]->data[i] - (double)w->value[i], 2) / 20;
}

static const struct test tests[] = {
	{ "linear", linear_setup, linear_build, linear_naive },
	{ "linear without bias", linear_setup_bare, linear_build, linear_naive },
	{ "linear, prepared", linear_setup_prepared, linear_build, linear_naive },
	{ "linear, its output scaled", scaled_setup_out, scaled_build_out, scaled_naive_out },
	{ "linear, its input scaled", scaled_setup_in, scaled_build_in, scaled_naive_in },
	{ "linear, output scaled, prepared", scaled_setup_out_prepared, scaled_build_out,
	  scaled_naive_out },
	{ "linear, input scaled, prepared", scaled_setup_in_prepared, scaled_build_in,
	  scaled_naive_in },
	{ "linear, input scaled, twice", scaled_setup_in, scaled_build_twice, scaled_naive_twice },
	{ "low rank", low_rank_setup, low_rank_build, low_rank_naive },
	{ "low rank, own input", low_rank_setup_z, low_rank_build, low_rank_naive },
	{ "low rank, prepared", low_rank_setup_prepared, low_rank_build, low_rank_naive },
	{ "magnitude", magnitude_setup, magnitude_build, magnitude_naive },
	{ "magnitude, own input", magnitude_setup_z, magnitude_build, magnitude_naive },
	{ "magnitude, prepared", magnitude_setup_prepared, magnitude_build, magnitude_naive },
	{ "low rank, scaled", low_rank_setup_e, low_rank_build, low_rank_naive },
	{ "added linear, no bias", plus_setup_bare, plus_build, plus_naive },
	{ "added linear", plus_setup, plus_build, plus_naive },
	{ "added linear by four", plus_setup_by, plus_build, plus_naive },
	{ "added linear, a scale", plus_setup_number, plus_build, plus_naive },
	{ "added linear, a scale of one", plus_setup_one, plus_build, plus_naive },
	{ "added linear, scaled columns", plus_setup_columns, plus_build, plus_naive },
	{ "added linear, gated", plus_setup_gate, plus_build, plus_naive },
	{ "added linear, everything", plus_setup_all, plus_build, plus_naive },
	{ "added linear, prepared", plus_setup_prepared, plus_build, plus_naive },
	{ "added linear, to itself", plus_setup_same, plus_build_same, plus_naive_same },
	{ "vectors", vectors_setup, vectors_build, vectors_naive },
	{ "vectors, own input", vectors_setup_z, vectors_build, vectors_naive },
	{ "fusion", fusion_setup, fusion_build, fusion_naive },
	{ "fusion, warm, dropout", fusion_setup_warm, fusion_build, fusion_naive },
	{ "gate", gate_setup, gate_build, gate_naive },
	{ "gate of rows", gate_setup, gate_rows_build, gate_rows_naive },
	{ "near the identity", identity_setup, identity_build, identity_naive },
	{ "embedding", embedding_setup, embedding_build, embedding_naive },
	{ "embedding, one table", embedding_setup_word, embedding_build, embedding_naive },
	{ "embedding, low rank", embedding_low_rank_setup, embedding_low_rank_build,
	  embedding_low_rank_naive },
	{ "embedding, magnitude", embedding_magnitude_setup, embedding_magnitude_build,
	  embedding_magnitude_naive },
	{ "attention", attention_setup, attention_build, attention_naive },
	{ "attention, one head", attention_setup_one_head, attention_build, attention_naive },
	{ "attention, dropout", attention_setup_dropout, attention_build, attention_naive },
	{ "attention, some queries", attention_setup_subset, attention_build, attention_naive },
	{ "gelu", gelu_setup, activation_build, activation_naive },
	{ "gelu over its input", gelu_setup, activation_over_build, activation_naive },
	{ "silu over its input", silu_setup, activation_over_build, activation_naive },
	{ "gelu_tanh", gelu_tanh_setup, activation_build, activation_naive },
	{ "relu", relu_setup, activation_build, activation_naive },
	{ "silu", silu_setup, activation_build, activation_naive },
	{ "tanh", tanh_setup, activation_build, activation_naive },
	{ "dropout", rows_setup, dropout_build, same_naive },
	{ "gather", gather_setup, gather_build, gather_naive },
	{ "prepend", prepend_setup, prepend_build, prepend_naive },
	{ "prepend, rows of their own", prepend_setup_own, prepend_build, prepend_naive },
	{ "word scores", words_setup, words_build, words_naive },
	{ "pooled scores, mean", pool_setup_mean, pool_build, pool_naive },
	{ "pooled scores, log-sum", pool_setup_sum, pool_build, pool_naive },
	{ "pooled scores, largest", pool_setup_max, pool_build, pool_naive },
	{ "repeat", repeat_setup, repeat_build, repeat_naive },
	{ "repeat, by factors", repeat_setup_by, repeat_build, repeat_naive },
	{ "columns", columns_setup, columns_build, columns_naive },
	{ "beside", beside_setup, beside_build, beside_naive },
	{ "lstm", lstm_setup, lstm_build, lstm_naive },
	{ "lstm, from the last row", lstm_setup, lstm_build_reverse, lstm_naive_reverse },
	{ "add", two_setup, add_build, add_naive },
	{ "scale", rows_setup, scale_build, scale_naive },
	{ "orthogonality", rows_setup, orthogonal_rows_build, orthogonal_rows_naive },
	{ "orthogonality of columns", rows_setup, orthogonal_columns_build,
	  orthogonal_columns_naive },
	{ "layer norm", norm_setup, norm_build, norm_naive },
	{ "layer norm of a sum", norm_setup_sum, norm_build, norm_naive },
	{ "layer norm, dropout", norm_setup_sum, norm_build_dropped, norm_naive },
	{ "cross entropy", entropy_setup, entropy_build, entropy_naive },
	{ "cross entropy, smoothed", entropy_setup_smooth, entropy_build, entropy_naive },
	{ "cross entropy among some", entropy_setup, among_build, among_naive },
	{ "cross entropy among some, smoothed", entropy_setup_smooth, among_build, among_naive },
	{ "squared error", mse_setup, mse_build, mse_naive },
};

static void world_init(struct world *w, struct arena *a, const struct gemm *gm, int64_t n,
		       const struct test *t)
{
	*w = (struct world){ .a = a, .gemm = gm, .n = n };
	w->origin = (struct origin){ w->example, w->place };
	w->query_origin = (struct origin){ w->query_example, w->query_place };
	rng_init(&w->r, 5, RNG_TEST, (uint32_t)n);
	for (int i = 0; i < MOST; i++) {
		w->id[i] = (int32_t)rng_below(&w->r, WORDS);
		w->pos[i] = i;
		w->type[i] = i % 2;
		w->example[i] = w->query_example[i] = (uint32_t)(i / 3);
		w->place[i] = w->query_place[i] = (uint32_t)(i % 3);
		w->value[i] = rng_normal(&w->r);
	}
	t->setup(w);
}

static void forward_agrees(struct world *w, const struct test *t)
{
	static const struct pass reading = { .train = false };
	double want[MOST * WORDS], worst = 0;
	struct tensor *y;
	struct graph *g;

	if (graph_new(w->gemm, &g))
		abort();
	graph_begin(g, &reading, NULL, 0);
	y = t->build(g, w);
	t->naive(w, want);
	for (int64_t i = 0; y && i < tensor_count(y); i++)
		worst = fmax(worst, fabs((double)y->data[i] - want[i]) / (1 + fabs(want[i])));
	/* fp32 sums of at most a few dozen terms of size one */
	CHECK_NAMED(y && worst < 3e-6, t->name);
	graph_free(g);
}

static double gradients(struct world *w, const struct test *t)
{
	struct tensor *leaf[8];
	size_t n = 0;

	for (int i = 0; i < w->tensors; i++)
		if (w->t[i]->needs)
			leaf[n++] = w->t[i];
	return gradcheck_gemm(w->gemm, t->build, w, leaf, n, 1e-2);
}

/* Each tensor alone: what the others would have computed must not be relied on. */
static void gradients_alone(struct world *w, const struct test *t)
{
	for (int k = 0; k < w->tensors; k++) {
		bool needs[8];

		if (!w->t[k]->needs)
			continue;
		for (int i = 0; i < w->tensors; i++) {
			needs[i] = w->t[i]->needs;
			w->t[i]->needs = w->t[i]->trainable = i == k;
		}
		CHECK_NAMED(gradients(w, t) < 3e-3, t->name);
		for (int i = 0; i < w->tensors; i++)
			w->t[i]->needs = w->t[i]->trainable = needs[i];
	}
}

static void run_test(const struct test *t, const struct gemm *gm)
{
	static const int64_t rows[] = { 1, 3, MOST };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *a = arena_new();
		struct world w;

		world_init(&w, a, gm, rows[i], t);
		forward_agrees(&w, t);
		/* h^2 / 6 of the third derivative, and rounding: both about 1e-3 here */
		CHECK_NAMED(gradients(&w, t) < 3e-3, t->name);
		w.through = true;
		CHECK_NAMED(gradients(&w, t) < 3e-3, t->name);
		if (rows[i] == 3)
			gradients_alone(&w, t);
		arena_free(a);
	}
}

/* 300 keys are more than one block of queries: against the formulas in double. */
static void long_attention(const struct gemm *gm)
{
	enum { T = 300, D = 4 };
	static const struct pass pass = { .train = true };
	static const int64_t start[] = { 0, T };
	struct world w = { .a = arena_new(), .gemm = gm, .n = T };
	double *want = world_alloc(w.a, T * D, sizeof(*want)),
	       *want_k = world_alloc(w.a, T * D, sizeof(*want));
	double *want_q = world_alloc(w.a, T * D, sizeof(*want)),
	       *want_v = world_alloc(w.a, T * D, sizeof(*want));
	double worst = 0, worst_q = 0, worst_k = 0, worst_v = 0;
	struct tensor *y, *up;
	struct leaves *l;
	struct graph *g;

	w.how = (struct attention){ .seqs = 1, .heads = 1, .qstart = start, .kstart = start };
	rng_init(&w.r, 8, RNG_TEST, 0);
	for (int i = 0; i < 3; i++)
		add(&w, T, D);
	up = world_frozen(w.a, &w.r, T, D, 1);
	if (graph_new(gm, &g) || leaves_new(w.a, w.t, 3, &l) || leaves_begin(l, 1))
		abort();
	graph_begin(g, &pass, l, 0);
	y = attention_build(g, &w);
	attention_naive(&w, want);
	for (int64_t i = 0; y && i < T * D; i++)
		worst = fmax(worst, fabs((double)y->data[i] - want[i]));
	y->grad = up->data;
	y->has_grad = true;
	CHECK(graph_backward(g, NULL) == TT_OK);
	leaves_finish(l);
	for (int64_t i = 0; i < T; i++) {
		double p[T], dp[T], dot = 0;

		naive_probabilities(&w, i, 0, 0, T, p);
		for (int64_t k = 0; k < T; k++) {
			dp[k] = 0;
			for (int64_t j = 0; j < D; j++) {
				dp[k] += num(up, i, j) * num(w.t[2], k, j);
				want_v[k * D + j] += p[k] * num(up, i, j);
			}
			dot += dp[k] * p[k];
		}
		for (int64_t k = 0; k < T; k++)
			for (int64_t j = 0; j < D; j++) {
				const double ds = p[k] * (dp[k] - dot) / 2;

				want_q[i * D + j] += ds * num(w.t[1], k, j);
				want_k[k * D + j] += ds * num(w.t[0], i, j);
			}
	}
	for (int64_t i = 0; i < T * D; i++) {
		worst_q = fmax(worst_q, fabs(want_q[i] - (double)w.t[0]->grad[i]));
		worst_k = fmax(worst_k, fabs(want_k[i] - (double)w.t[1]->grad[i]));
		worst_v = fmax(worst_v, fabs(want_v[i] - (double)w.t[2]->grad[i]));
	}
	CHECK(worst < 1e-6);
	CHECK(worst_q < 1e-5 && worst_k < 1e-5 && worst_v < 1e-5);
	graph_free(g);
	leaves_free(l);
	arena_free(w.a);
}

/* No backend in the rest: a mask is not a product. */

struct drops {
	struct arena *a;
	struct graph *g;
	struct gemm *gemm;
	struct rng r;
};

static const struct pass training = { .train = true, .seed = 4, .step = 10 };

static struct drops drops_new(const struct pass *pass)
{
	struct drops d = { .a = arena_new() };

	rng_init(&d.r, 6, RNG_TEST, 0);
	if (!d.a || gemm_open("ref", &d.gemm) || graph_new(d.gemm, &d.g))
		abort();
	graph_begin(d.g, pass, NULL, 0);
	return d;
}

static void drops_free(struct drops *d)
{
	graph_free(d->g);
	gemm_close(d->gemm);
	arena_free(d->a);
}

/* x of ones whose rows are these. */
static struct tensor *ones(struct drops *d, int64_t rows, int64_t cols, const uint32_t *example,
			   const uint32_t *pos)
{
	struct tensor *x = world_frozen(d->a, &d->r, rows, cols, 0);
	struct origin *o = world_alloc(d->a, 1, sizeof(*o));

	*o = (struct origin){ example, pos };
	x->origin = o;
	for (int64_t i = 0; i < rows * cols; i++)
		x->data[i] = 1;
	return x;
}

static bool same_row(const struct tensor *a, int64_t i, const struct tensor *b, int64_t j)
{
	const int64_t cols = tensor_cols(a);

	return !memcmp(a->data + i * cols, b->data + j * cols, (size_t)cols * sizeof(float));
}

static void dropout_follows_the_example(void)
{
	enum { COLS = 100 };
	static const uint32_t example[] = { 7, 7, 7, 9, 9 }, pos[] = { 0, 1, 2, 0, 1 };
	static const uint32_t some[] = { 9, 7 }, some_pos[] = { 1, 2 };
	static const int32_t row[] = { 4, 2 };
	static const struct pass later = { .train = true, .seed = 4, .step = 11 };
	static const struct pass other = { .train = true, .seed = 5, .step = 10 };
	struct drops d = drops_new(&training);
	struct tensor *x = ones(&d, 5, COLS, example, pos), *all = op_dropout(d.g, x, 0.5F);
	struct tensor *next = op_dropout(d.g, x, 0.5F), *y;
	struct drops e = drops_new(&training);

	y = op_dropout(e.g, ones(&e, 2, COLS, some, some_pos), 0.5F);
	CHECK(same_row(y, 0, all, 4) && same_row(y, 1, all, 2));
	graph_begin(e.g, &training, NULL, 3);
	y = op_dropout(e.g, op_gather(e.g, x, row, 2), 0.5F);
	CHECK(same_row(y, 0, all, 4) && same_row(y, 1, all, 2));
	CHECK(!same_row(all, 0, all, 1) && !same_row(all, 0, all, 3) && !same_row(all, 0, next, 0));
	graph_begin(e.g, &later, NULL, 0);
	CHECK(!same_row(all, 0, op_dropout(e.g, x, 0.5F), 0));
	graph_begin(e.g, &other, NULL, 0);
	CHECK(!same_row(all, 0, op_dropout(e.g, x, 0.5F), 0));
	drops_free(&e);
	drops_free(&d);
}

/* One op, or two: the same numbers, and the next site draws the same. */
static void norm_drops_as_dropout_does(void)
{
	enum { COLS = 45 };
	static const uint32_t example[] = { 7, 7, 9 }, pos[] = { 0, 1, 0 };
	struct drops d = drops_new(&training), e = drops_new(&training);
	struct tensor *x = ones(&d, 3, COLS, example, pos), *r = ones(&d, 3, COLS, example, pos);
	struct tensor *one = ones(&d, 1, COLS, example, pos), *y, *z;

	for (int i = 0; i < 3 * COLS; i++) {
		x->data[i] = (float)(i % 17);
		r->data[i] = (float)(i % 5);
	}
	one->rank = 1;
	one->dim[0] = COLS;
	y = op_layer_norm(d.g, op_dropout(d.g, x, 0.3F), r, one, one, 1e-5F);
	z = op_layer_norm_dropped(e.g, x, 0.3F, r, one, one, 1e-5F);
	CHECK(!memcmp(y->data, z->data, (size_t)tensor_count(y) * sizeof(float)));
	CHECK(same_row(op_dropout(d.g, x, 0.5F), 0, op_dropout(e.g, x, 0.5F), 0));
	drops_free(&e);
	drops_free(&d);
}

static void dropout_keeps_the_mean(void)
{
	enum { ROWS = 500, COLS = 203 };
	static const struct pass reading = { .train = false };
	uint32_t example[ROWS], pos[ROWS];
	struct drops d = drops_new(&training);
	struct tensor *x, *y;
	double sum = 0;
	int gone = 0;

	for (uint32_t i = 0; i < ROWS; i++)
		example[i] = i / 9, pos[i] = i % 9;
	x = ones(&d, ROWS, COLS, example, pos);
	y = op_dropout(d.g, x, 0.1F);
	for (int64_t i = 0; i < tensor_count(y); i++) {
		sum += (double)y->data[i];
		gone += y->data[i] == 0;
	}
	/* five standard deviations of the mean of 101 500 draws: 5 sqrt(p / (1 - p) / n) = 0.0052 */
	CHECK_NEAR(sum / (ROWS * COLS), 1, 0.0053);
	CHECK_NEAR((double)gone / (ROWS * COLS), 0.1, 0.0048);
	CHECK(op_dropout(d.g, x, 0) == x);
	graph_begin(d.g, &reading, NULL, 0);
	CHECK(op_dropout(d.g, x, 0.1F) == x);
	drops_free(&d);
}

/* Equal scores and V = 1: the sum of a row's kept probabilities. With V the identity, the probabilities themselves. */
static void attention_drops_by_example(void)
{
	enum { T = 6, H = 2 * T };
	static const uint32_t example[] = { 3, 3, 8, 8, 8, 8, 8, 8 },
			      pos[] = { 0, 1, 0, 1, 2, 3, 4, 5 };
	static const int64_t both[] = { 0, 2, 8 }, alone[] = { 0, 6 }, one[] = { 0, 1 };
	static const struct pass reading = { .train = false };
	const struct attention how = { 2, 2, both, both, 0.4F },
			       single = { 1, 2, alone, alone, 0.4F };
	const struct attention row = { 1, 2, one, alone, 0.4F };
	struct drops d = drops_new(&training), e = drops_new(&training);
	struct tensor *q = ones(&d, 8, H, example, pos), *k = ones(&d, 8, H, example, pos);
	struct tensor *v = world_frozen(d.a, &d.r, 8, H, 0),
		      *late = world_frozen(d.a, &d.r, 6, H, 0), *y, *z;
	int gone = 0;

	for (int i = 0; i < 6; i++)
		for (int h = 0; h < 2; h++)
			v->data[(2 + i) * H + h * T + i] = late->data[i * H + h * T + i] = 1;
	y = op_attention(d.g, q, k, v, &how);
	for (int i = 2 * H; i < 8 * H; i++) {
		gone += y->data[i] == 0;
		CHECK(y->data[i] == 0 || fabs((double)y->data[i] - 1 / 0.6 / 6) < 1e-6);
	}
	CHECK(gone > 10 && gone < 50);
	for (int i = gone = 0; i < 6; i++)
		gone += memcmp(y->data + (2 + i) * H, y->data + (2 + i) * H + T,
			       T * sizeof(float)) != 0;
	CHECK(gone > 2); /* the heads have masks of their own */
	z = op_attention(e.g, ones(&e, 6, H, example + 2, pos + 2),
			 ones(&e, 6, H, example + 2, pos + 2), late, &single);
	for (int i = 0; i < 6; i++)
		CHECK(same_row(y, 2 + i, z, i));
	graph_begin(e.g, &training, NULL, 0);
	z = op_attention(e.g, ones(&e, 1, H, example + 5, pos + 5),
			 ones(&e, 6, H, example + 2, pos + 2), late, &row);
	CHECK(same_row(y, 5, z, 0));
	graph_begin(e.g, &reading, NULL, 0);
	z = op_attention(e.g, ones(&e, 1, H, example + 5, pos + 5),
			 ones(&e, 6, H, example + 2, pos + 2), late, &row);
	for (int i = 0; i < H; i++)
		CHECK_NEAR(z->data[i], 1.0 / 6, 1e-6);
	drops_free(&e);
	drops_free(&d);
}

/*
 * What forward and backward hold grows in line with the length: three blocks of 64
 * rows of scores, and the tensors; an arena may hold twice that, and a little.
 */
static void attention_holds_no_square(void)
{
	enum { H = 8, ROWS = 64 };

	for (int64_t n = 512; n <= 2048; n *= 2) {
		struct drops d = drops_new(&training);
		uint32_t *example = world_alloc(d.a, (size_t)n, sizeof(*example)),
			 *pos = world_alloc(d.a, (size_t)n, sizeof(*pos));
		const struct origin origin = { example, pos };
		const int64_t start[] = { 0, n };
		const struct attention how = { 1, 1, start, start, 0.1F };
		struct tensor *const leaf[] = { world_tensor(d.a, &d.r, n, H, 1),
						world_tensor(d.a, &d.r, n, H, 1),
						world_tensor(d.a, &d.r, n, H, 1) };
		struct tensor *y;
		struct leaves *l;
		size_t bytes;

		for (uint32_t i = 0; i < n; i++)
			pos[i] = i;
		if (leaves_new(d.a, leaf, 3, &l) || leaves_begin(l, 1))
			abort();
		graph_begin(d.g, &training, l, 0);
		leaf[0]->origin = &origin;
		y = op_attention(d.g, leaf[0], leaf[1], leaf[2], &how);
		y->grad = leaf[0]->data;
		y->has_grad = true;
		CHECK(graph_backward(d.g, NULL) == TT_OK);
		bytes = graph_bytes(d.g);
		CHECK(bytes < 2 * (size_t)n * (3 * ROWS + H) * sizeof(float) + (1 << 19));
		leaves_free(l);
		drops_free(&d);
	}
}

/*
 * Three heads whose scores are too many for one piece: a query has the same
 * answer, mask included, as when it is asked alone.
 */
static void heads_are_bunched(void)
{
	enum { T = 120, H = 12, HEADS = 3 };
	static const int64_t all[] = { 0, T }, one[] = { 0, 1 };
	const struct attention how = { 1, HEADS, all, all, 0.4F },
			       single = { 1, HEADS, one, all, 0.4F };
	uint32_t example[T], pos[T];
	struct drops d = drops_new(&training), e = drops_new(&training);
	struct tensor *x[3], *y, *z;

	for (uint32_t i = 0; i < T; i++) {
		example[i] = 5;
		pos[i] = i;
	}
	for (int i = 0; i < 3; i++) {
		x[i] = world_frozen(d.a, &d.r, T, H, 1);
		x[i]->origin = ones(&d, T, H, example, pos)->origin;
	}
	y = op_attention(d.g, x[0], x[1], x[2], &how);
	for (int i = 0; i < T; i += 7) {
		struct tensor query = *x[0];
		const struct origin who = { example + i, pos + i };

		query.dim[0] = 1;
		query.data += i * H;
		query.origin = &who;
		graph_begin(e.g, &training, NULL, 0);
		z = op_attention(e.g, &query, x[1], x[2], &single);
		for (int k = 0; k < H; k++)
			CHECK_NEAR(y->data[i * H + k], z->data[k], 1e-5);
	}
	drops_free(&e);
	drops_free(&d);
}

static void pad_rows_get_no_gradient(void)
{
	static const int32_t id[] = { 0, 2, 0, 1, 2 };
	static const float value[] = { 1, 2, 3, 4, 5 };
	struct drops d = drops_new(&training);
	struct tensor *table = world_tensor(d.a, &d.r, 3, 1, 1);
	struct leaves *l;

	if (leaves_new(d.a, &table, 1, &l) || leaves_begin(l, 1))
		abort();
	graph_begin(d.g, &training, l, 0);
	CHECK(graph_backward(
		      d.g,
		      op_mse(d.g, op_embedding(d.g, table, NULL, NULL, id, NULL, NULL, 5, 0, NULL),
			     value, 1, NULL)) == TT_OK);
	leaves_finish(l);
	CHECK(table->grad[0] == 0);
	CHECK_NEAR(table->grad[1], 2 * ((double)table->data[1] - 4), 1e-5);
	CHECK_NEAR(table->grad[2], 4 * (double)table->data[2] - 14, 1e-5);
	leaves_free(l);
	drops_free(&d);
}

static void losses_report_and_stay_finite(void)
{
	static const int32_t label[] = { 0, 1 };
	static const float value[] = { 1, 2 };
	static const float big[] = { 1000, -1000, 0, 900, 1000, -1000 };
	struct drops d = drops_new(&training);
	struct tensor *x = world_tensor(d.a, &d.r, 2, 3, 1),
		      *pred = world_tensor(d.a, &d.r, 2, 1, 0);
	struct loss loss;
	struct tensor *y;

	memcpy(x->data, big, sizeof(big));
	y = op_cross_entropy(d.g, x, label, 0, 4, &loss);
	CHECK(loss.rows == 2 && fabs(loss.sum) < 1e-6 && y->data[0] == (float)(loss.sum / 4));
	y = op_cross_entropy(d.g, x, label, 0.5, 4, &loss);
	CHECK_NEAR(loss.sum, 0.5 * (1000.0 + 1000 - 300), 1e-3);
	y = op_mse(d.g, pred, value, 10, &loss);
	CHECK(loss.rows == 2 && loss.sum == 5 && y->data[0] == 0.5F);
	y = op_mse(d.g, world_tensor(d.a, &d.r, 0, 1, 0), value, 10, &loss);
	CHECK(y && loss.rows == 0 && loss.sum == 0 && y->data[0] == 0);
	drops_free(&d);
}

/* Where nothing is apart the norm has no derivative: no gradient, and nothing divided by zero. */
static void orthonormal_rows_get_no_gradient(void)
{
	struct drops d = drops_new(&training);
	struct tensor *x = world_tensor(d.a, &d.r, 2, 3, 0), *y;
	struct leaves *l;

	x->data[0] = x->data[4] = 1;
	if (leaves_new(d.a, &x, 1, &l) || leaves_begin(l, 1))
		abort();
	graph_begin(d.g, &training, l, 0);
	y = op_orthogonality(d.g, x, true, 2);
	CHECK(y && y->data[0] == 0 && graph_backward(d.g, y) == TT_OK);
	leaves_finish(l);
	for (int i = 0; i < 6; i++)
		CHECK(x->grad[i] == 0);
	leaves_free(l);
	drops_free(&d);
}

enum { BROAD = 40, TALL = 24 }; /* of a weight, in and out */

/* Gradient of a weight that two layers share, over two shards. */
static void weight_gradient(const struct gemm *gm, const struct tensor_rows *rows, float *ret)
{
	const struct pass pass = { .train = true };
	struct arena *a = arena_new();
	struct rng r;
	struct tensor *w, *x[2];
	struct leaves *l;
	struct graph *g;

	rng_init(&r, 5, RNG_TEST, 0);
	w = world_tensor(a, &r, TALL, BROAD, 0.5);
	x[0] = world_frozen(a, &r, MOST, BROAD, 1);
	x[1] = world_frozen(a, &r, MOST - 3, BROAD, 1);
	w->grad_rows = rows;
	if (graph_new(gm, &g) || leaves_new(a, &w, 1, &l) || leaves_begin(l, 2))
		abort();
	for (int shard = 0; shard < 2; shard++) {
		graph_begin(g, &pass, l, shard);
		for (int i = 0; i < 2; i++) {
			struct tensor *y = op_linear(g, x[i], w, NULL);

			y->grad = graph_alloc(g, (size_t)tensor_count(y) * sizeof(float));
			for (int64_t k = 0; k < tensor_count(y); k++)
				y->grad[k] = rng_normal(&r);
			y->has_grad = true;
		}
		CHECK(graph_backward(g, NULL) == TT_OK);
	}
	leaves_finish(l);
	memcpy(ret, w->grad, TALL * BROAD * sizeof(*ret));
	leaves_free(l);
	graph_free(g);
	arena_free(a);
}

/*
 * The rows that are wanted are those of the whole gradient: plain C adds in the same
 * order, a library in one of its own, which shows in the last of 24 bits.
 */
static void rows_of_a_gradient(const struct gemm *gm)
{
	static const int64_t row[] = { 0, 3, 4, 11, 23 };
	const struct tensor_rows some = { row, COUNT(row) }, one = { row + 3, 1 };
	float whole[TALL * BROAD], part[TALL * BROAD], single[TALL * BROAD];
	const bool same = !strcmp(gemm_name(gm), "ref");
	bool good = true;

	weight_gradient(gm, NULL, whole);
	weight_gradient(gm, &some, part);
	weight_gradient(gm, &one, single);
	for (size_t i = 0; i < COUNT(row); i++)
		for (int64_t k = row[i] * BROAD; k < (row[i] + 1) * BROAD; k++)
			good = good &&
			       (same ? part[k] == whole[k] : fabsf(part[k] - whole[k]) < 2e-5F);
	for (int64_t k = row[3] * BROAD; k < (row[3] + 1) * BROAD; k++)
		good = good && fabsf(single[k] - whole[k]) < 2e-5F;
	CHECK_NAMED(good, gemm_name(gm));
}

static void activation_names(void)
{
	static const struct {
		const char *name;
		enum activation kind;
	} cases[] = {
		{ "gelu", ACT_GELU },
		{ "gelu_new", ACT_GELU_TANH },
		{ "gelu_pytorch_tanh", ACT_GELU_TANH },
		{ "gelu_fast", ACT_GELU_TANH },
		{ "relu", ACT_RELU },
		{ "silu", ACT_SILU },
		{ "swish", ACT_SILU },
		{ "tanh", ACT_TANH },
	};
	enum activation kind;

	for (size_t i = 0; i < COUNT(cases); i++) {
		kind = cases[i].kind == ACT_RELU ? ACT_TANH : ACT_RELU;
		CHECK_NAMED(activation_parse(cases[i].name, &kind) == TT_OK &&
				    kind == cases[i].kind,
			    cases[i].name);
	}
	kind = ACT_SILU;
	CHECK(activation_parse("mish", &kind) == TT_INVALID && kind == ACT_SILU);
	CHECK(strstr(err_text(), "'mish'") && strstr(err_text(), "gelu_new"));
}

int main(void)
{
	for (int i = 0; gemm_all()[i]; i++) {
		struct gemm *gm;

		if (gemm_open(gemm_all()[i]->name, &gm))
			abort();
		printf("# %s\n", gemm_name(gm));
		for (size_t k = 0; k < COUNT(tests); k++)
			run_test(&tests[k], gm);
		long_attention(gm);
		rows_of_a_gradient(gm);
		gemm_close(gm);
	}
	dropout_follows_the_example();
	norm_drops_as_dropout_does();
	dropout_keeps_the_mean();
	attention_drops_by_example();
	attention_holds_no_square();
	heads_are_bunched();
	pad_rows_get_no_gradient();
	losses_report_and_stay_finite();
	orthonormal_rows_get_no_gradient();
	activation_names();
	return check_done();
}
