/* The tape: what is recorded, what is kept, who may add to a leaf when, and that threads leave no trace. */
#include "tests/check.h"

#include "base/err.h"
#include "tensor/op.h"
#include "tensor/pool.h"
#include "tests/tensor/world.h"

static const struct pass training = { .train = true, .seed = 9, .step = 2 };
static const struct pass reading = { .train = false };

/* The same for every test: a backend, a tape, memory, a seed. */
struct bench {
	struct gemm *gemm;
	struct graph *g;
	struct arena *a;
	struct rng r;
};

static struct bench bench_new(const char *backend)
{
	struct bench b = { 0 };

	b.a = arena_new();
	rng_init(&b.r, 11, RNG_TEST, 0);
	if (!b.a || gemm_open(backend, &b.gemm) || graph_new(b.gemm, &b.g))
		abort();
	return b;
}

static void bench_free(struct bench *b)
{
	graph_free(b->g);
	gemm_close(b->gemm);
	arena_free(b->a);
}

static struct leaves *leaves_of(struct bench *b, struct tensor *const *leaf, size_t n, int shards)
{
	struct leaves *l;

	if (leaves_new(b->a, leaf, n, &l) || leaves_begin(l, shards))
		abort();
	return l;
}

static double sum(const struct tensor *t)
{
	double s = 0;

	for (int64_t i = 0; i < tensor_count(t); i++)
		s += (double)t->grad[i];
	return s;
}

/* The scalar sum of the squares of x [N,1] with total 1: dloss/dx = 2x. */
static struct tensor *squares(struct graph *g, struct tensor *x)
{
	static const float zero[64];

	return op_mse(g, x, zero, 1, NULL);
}

static void null_goes_through(void)
{
	struct bench b = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, 3, 4, 1);
	const struct low_rank none = { 0 };
	const struct attention how = { .heads = 1 };

	graph_begin(b.g, &reading, NULL, 0);
	CHECK(!op_add(b.g, NULL, x) && !op_add(b.g, x, NULL) && !op_scale(b.g, NULL, 1));
	CHECK(!op_linear(b.g, NULL, x, NULL) && !op_linear(b.g, x, NULL, NULL));
	CHECK(!op_linear_low_rank(b.g, x, x, x, NULL, &none) &&
	      !op_embedding_low_rank(b.g, NULL, NULL, &none));
	CHECK(!op_attention(b.g, x, NULL, x, &how) && !op_layer_norm(b.g, NULL, NULL, x, x, 0));
	CHECK(!op_activation(b.g, NULL, ACT_RELU) && !op_dropout(b.g, NULL, 0.5F) &&
	      !op_gather(b.g, NULL, NULL, 0));
	CHECK(!op_cross_entropy(b.g, NULL, NULL, 0, 1, NULL) && !op_mse(b.g, NULL, NULL, 1, NULL));
	bench_free(&b);
}

static void what_needs_no_gradient_is_not_recorded(void)
{
	struct bench b = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, 5, 3, 1), *w = world_frozen(b.a, &b.r, 4, 3, 1);
	struct tensor *leaf = world_tensor(b.a, &b.r, 1, 4, 1), *y, *loss;
	struct leaves *l = leaves_of(&b, &leaf, 1, 1);

	graph_begin(b.g, &training, l, 0);
	y = op_linear(b.g, x, w, NULL);
	CHECK(y && !y->needs);
	loss = squares(b.g, op_linear(b.g, y, leaf, NULL));
	CHECK(loss && loss->needs);
	CHECK(graph_backward(b.g, loss) == TT_OK);
	CHECK(!y->grad && !y->has_grad);
	leaves_finish(l);
	CHECK(fabs(sum(leaf)) > 0.01);

	graph_begin(b.g, &reading, l, 0);
	y = op_linear(b.g, op_linear(b.g, x, w, NULL), leaf, NULL);
	CHECK(y && !y->needs);

	/* nothing trains: backward has nothing to do and says so by success */
	graph_begin(b.g, &training, NULL, 0);
	CHECK(graph_backward(b.g, squares(b.g, op_linear(b.g, x, world_frozen(b.a, &b.r, 1, 3, 1),
							 NULL))) == TT_OK);
	leaves_free(l);
	bench_free(&b);
}

/* y = x + x + 3x: the gradient of x is five times that of y, by copy, by taking over, by adding. */
static void gradients_of_one_tensor_add_up(void)
{
	struct bench b = bench_new("ref");
	struct tensor *leaf = world_tensor(b.a, &b.r, 4, 1, 1), *x, *y;
	struct leaves *l = leaves_of(&b, &leaf, 1, 1);

	graph_begin(b.g, &training, l, 0);
	x = op_scale(b.g, leaf, 1);
	y = op_add(b.g, op_add(b.g, x, x), op_scale(b.g, x, 3));
	CHECK(graph_backward(b.g, squares(b.g, y)) == TT_OK);
	leaves_finish(l);
	for (int i = 0; i < 4; i++)
		CHECK_NEAR(leaf->grad[i], 50 * (double)leaf->data[i], 1e-4);

	/* the leaf itself, used three times in one op and another */
	leaves_begin(l, 1);
	graph_begin(b.g, &training, l, 0);
	y = op_add(b.g, op_add(b.g, leaf, leaf), leaf);
	CHECK(graph_backward(b.g, squares(b.g, y)) == TT_OK);
	leaves_finish(l);
	for (int i = 0; i < 4; i++)
		CHECK_NEAR(leaf->grad[i], 18 * (double)leaf->data[i], 1e-4);
	leaves_free(l);
	bench_free(&b);
}

/* The step tape: backward starts from gradients that came from elsewhere. */
static void backward_starts_from_given_gradients(void)
{
	struct bench b = bench_new("ref");
	struct tensor *leaf = world_tensor(b.a, &b.r, 2, 2, 1), *y;
	struct leaves *l = leaves_of(&b, &leaf, 1, 1);
	float given[] = { 1, 2, 3, 4 };

	graph_begin(b.g, &training, l, 0);
	y = op_scale(b.g, op_scale(b.g, leaf, 2), 5);
	y->grad = given;
	y->has_grad = true;
	CHECK(graph_backward(b.g, NULL) == TT_OK);
	leaves_finish(l);
	for (int i = 0; i < 4; i++)
		CHECK_NEAR(leaf->grad[i], 10 * (i + 1), 0);
	CHECK(y->grad == given && given[3] == 4);
	leaves_free(l);
	bench_free(&b);
}

/* On one thread a turn that was not passed on would block for ever. */
static void every_turn_is_passed_on(void)
{
	struct bench b = bench_new("ref");
	struct tensor *const leaf[] = {
		world_tensor(b.a, &b.r, LEAF_BIG + 8, 1, 1),
		world_tensor(b.a, &b.r, LEAF_BIG + 8, 1, 1),
	};
	static const int32_t row[] = { 3, 3, 1 };
	struct leaves *l = leaves_of(&b, leaf, 2, 4);

	graph_begin(b.g, &training, l,
		    0); /* uses the first only, and a branch that leads nowhere */
	op_scale(b.g, op_gather(b.g, leaf[1], row, 3), 2);
	CHECK(graph_backward(b.g, squares(b.g, op_gather(b.g, leaf[0], row, 3))) == TT_OK);
	graph_begin(b.g, &training, l, 1); /* fails */
	op_gather(b.g, leaf[1], row, 3);
	graph_end(b.g);
	graph_end(b.g);
	graph_begin(b.g, &training, l, 2); /* uses the second only */
	CHECK(graph_backward(b.g, squares(b.g, op_gather(b.g, leaf[1], row + 1, 2))) == TT_OK);
	graph_begin(b.g, &training, l, 3); /* computes nothing */
	CHECK(graph_backward(b.g, NULL) == TT_OK);
	leaves_finish(l);
	CHECK_NEAR(leaf[0]->grad[3], 4 * (double)leaf[0]->data[3], 1e-5);
	CHECK_NEAR(leaf[1]->grad[1], 2 * (double)leaf[1]->data[1], 1e-5);
	CHECK_NEAR(leaf[1]->grad[3], 2 * (double)leaf[1]->data[3], 1e-5);
	CHECK(leaf[0]->grad[0] == 0 && leaf[1]->grad[0] == 0);
	leaves_free(l);
	bench_free(&b);
}

/* y = x, whose backward runs the next shard, on this thread, before it returns. */
static void next_forward(struct node *n)
{
	memcpy(n->out->data, n->in[0]->data, (size_t)tensor_count(n->out) * sizeof(float));
}

struct next {
	struct bench *b;
	struct leaves *leaves;
	struct tensor *big;
	int code;
};

static void next_backward(struct node *n)
{
	static const int32_t row[] = { 5 };
	struct next *next = n->arg;

	graph_begin(next->b->g, &training, next->leaves, 1);
	next->code = graph_backward(next->b->g,
				    squares(next->b->g, op_gather(next->b->g, next->big, row, 1)));
	graph_grad_done(n->graph, n->in[0]);
}

/* The second shard may add as soon as the first one's last use of the leaf ran backward, long before the first ends. */
static void a_leaf_is_released_after_its_last_use(void)
{
	static const struct op op = { "next", next_forward, next_backward };
	static const int32_t row[] = { 5, 0 };
	struct bench b = bench_new("ref"), other = bench_new("ref");
	struct tensor *const leaf[] = {
		world_tensor(b.a, &b.r, LEAF_BIG + 1, 1, 1),
		world_tensor(b.a, &b.r, 2, 1, 1),
	};
	struct leaves *l = leaves_of(&b, leaf, 2, 2);
	struct next next = { &other, l, leaf[0], TT_INVALID };
	struct tensor *x = leaf[1], *y;

	graph_begin(b.g, &training, l, 0);
	y = graph_record(b.g, &op, graph_tensor(b.g, 2, 1, true), &x, 1, &next);
	y = op_add(b.g, y, op_gather(b.g, leaf[0], row, 2));
	CHECK(graph_backward(b.g, squares(b.g, op_add(b.g, y, op_gather(b.g, leaf[0], row, 2)))) ==
	      TT_OK);
	CHECK(next.code == TT_OK);
	leaves_finish(l);
	CHECK_NEAR(leaf[0]->grad[5], 10 * (double)leaf[0]->data[5] + 4 * (double)leaf[1]->data[0],
		   1e-4);
	leaves_free(l);
	bench_free(&other);
	bench_free(&b);
}

/* Keeping must survive overlap, other blocks and the origin's move. */
static void keep_moves_the_numbers(void)
{
	static const int64_t rows[] = { 1, 3, 200, 5000, 40000 };
	struct bench b = bench_new("ref");

	for (int i = 0; i < 25; i++) {
		const int64_t before = rows[i % 5], n = rows[i / 5];
		int32_t *row = world_alloc(b.a, (size_t)n, sizeof(*row));
		uint32_t *name = world_alloc(b.a, 7, sizeof(*name));
		const struct origin o = { name, name };
		struct tensor *x = world_frozen(b.a, &b.r, 7, 9, 1), *y, *old;
		struct arena_mark mark;
		bool same = true;

		for (uint32_t k = 0; k < 7; k++)
			name[k] = 100 + k;
		for (int64_t k = 0; k < n; k++)
			row[k] = (int32_t)(k % 7);
		x->origin = &o;
		graph_begin(b.g, &training, NULL, 0);
		old = graph_tensor(b.g, before, 1, false);
		memset(old->data, 1, (size_t)before * sizeof(float));
		mark = graph_mark(b.g);
		y = op_scale(b.g, op_gather(b.g, x, row, n), 2);
		y = graph_keep(b.g, mark, y);
		mark = graph_mark(b.g);
		graph_alloc(b.g, 4000); /* what comes next takes the freed memory */
		y = graph_keep(b.g, mark, op_scale(b.g, y, 2));
		same = y && tensor_rows(y) == n && y->origin;
		for (int64_t k = 0; same && k < n; k++) {
			same = y->origin->example[k] == name[k % 7] &&
			       y->origin->pos[k] == name[k % 7];
			for (int64_t j = 0; j < 9; j++)
				same = same && y->data[k * 9 + j] == 4 * x->data[k % 7 * 9 + j];
		}
		for (int64_t k = 0; k < before * 4; k++)
			same = same && ((char *)old->data)[k] == 1;
		CHECK(same);
	}
	bench_free(&b);
}

static void keep_saves_memory_and_spares_what_trains(void)
{
	struct bench b = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, 400, 50, 1),
		      *leaf = world_tensor(b.a, &b.r, 1, 50, 1), *y = x, *z, *y2;
	struct leaves *l = leaves_of(&b, &leaf, 1, 1);
	struct arena_mark mark, full;
	size_t few;

	graph_begin(b.g, &training, l, 0);
	mark = graph_mark(b.g);
	for (int i = 0; i < 50; i++)
		y = graph_keep(b.g, mark, op_add(b.g, op_scale(b.g, y, 0.5F), x));
	few = graph_bytes(b.g);
	CHECK(y && few < 10 * 400 * 50 * sizeof(float));
	CHECK_NEAR(y->data[77], 2 * (double)x->data[77], 1e-5);

	mark = graph_mark(b.g);
	z = op_linear(b.g, y, leaf, NULL);
	CHECK(graph_keep(b.g, mark, z) == z);
	y2 = op_scale(b.g, x, 3);
	full = graph_mark(b.g);
	CHECK(graph_keep(b.g, mark, y2) == y2); /* z must stay for backward */
	CHECK(graph_mark(b.g).block == full.block && graph_mark(b.g).used == full.used);
	mark = graph_mark(b.g);
	y = op_add(b.g, op_scale(b.g, x, 2), x);
	full = graph_mark(b.g);
	y = graph_keep(b.g, mark, y);
	CHECK_NEAR(y->data[77], 3 * (double)x->data[77], 1e-5);
	CHECK(graph_mark(b.g).block < full.block || graph_mark(b.g).used < full.used);
	CHECK(graph_backward(b.g, op_mse(b.g, z, x->data, 1, NULL)) == TT_OK);
	CHECK(!graph_keep(b.g, mark, NULL));
	leaves_free(l);
	bench_free(&b);
}

/* A small language model with a big table that is used twice, as shards of a step. */
enum { WORDS = 1100, WIDTH = 64, SHARDS = 9, MOST = 23, BLOCKS = 3 };

struct lm {
	struct tensor *table, *gamma, *beta, *w, *bias, *a, *b, *wq;
	struct tensor *leaf[8];
	struct leaves *leaves;
	struct graph *graph[4];
	struct loss loss[SHARDS];
	int32_t id[SHARDS][MOST], label[SHARDS][MOST];
	uint32_t example[SHARDS][MOST], pos[MOST];
	int64_t start[SHARDS][3];
	int code[SHARDS];
	struct lm_call {
		struct lm *m;
		int shard;
	} call[SHARDS];
	bool recompute;
};

static int64_t shard_rows(int i) { return 1 + (i * 7) % MOST; }

/* The rows at x are tokens; the table is looked into once more, so that every block uses it. */
static struct tensor *lm_block(struct graph *g, struct tensor *x, void *arg)
{
	const struct lm_call *c = arg;
	const struct lm *m = c->m;
	const int64_t *start = m->start[c->shard];
	const struct attention how = { .seqs = 2, .heads = 2, start, start, .dropout = 0.1F };
	const struct low_rank step = { .a = m->a, .b = m->b, .scale = 2 };
	struct tensor *h = op_dropout(g, x, 0.2F);

	h = op_attention(g, op_linear_low_rank(g, x, h, m->wq, NULL, &step), op_scale(g, x, 0.5F),
			 h, &how);
	h = op_activation_over(g, op_linear(g, h, m->w, m->bias), ACT_GELU);
	h = op_add(g, h,
		   op_embedding(g, m->table, NULL, NULL, m->label[c->shard], NULL, NULL,
				tensor_rows(x), 0, x->origin));
	return op_layer_norm(g, h, x, m->gamma, m->beta, 1e-5F);
}

static struct tensor *lm_loss(struct lm *m, struct graph *g, int i, const struct origin *o)
{
	struct tensor *x;

	m->call[i] = (struct lm_call){ m, i };
	x = op_embedding(g, m->table, NULL, NULL, m->id[i], NULL, NULL, shard_rows(i), 0, o);
	x = op_layer_norm(g, x, NULL, m->gamma, m->beta, 1e-5F);
	for (int k = 0; k < BLOCKS; k++)
		x = graph_segment(g, x, lm_block, &m->call[i]);
	x = op_dropout(g, x, 0.1F);
	return op_cross_entropy(g, op_linear(g, x, m->table, NULL), m->label[i], 0.1, 100,
				&m->loss[i]);
}

static void lm_shard(void *arg, int i, int thread)
{
	struct lm *m = arg;
	struct graph *g = m->graph[thread];
	const struct origin o = { m->example[i], m->pos };
	struct pass pass = training;

	pass.recompute = m->recompute;
	graph_begin(g, &pass, m->leaves, i);
	m->code[i] = graph_backward(g, lm_loss(m, g, i, &o));
}

static struct lm *lm_new(struct bench *b)
{
	struct lm *m = world_alloc(b->a, 1, sizeof(*m));
	struct tensor *const leaf[] = {
		world_tensor(b->a, &b->r, WORDS, WIDTH, 0.1),
		world_tensor(b->a, &b->r, WIDTH, 0, 1),
		world_tensor(b->a, &b->r, WIDTH, 0, 0.1),
		world_tensor(b->a, &b->r, WIDTH, WIDTH, 0.1),
		world_tensor(b->a, &b->r, WIDTH, 0, 0.1),
		world_tensor(b->a, &b->r, 4, WIDTH, 0.1),
		world_tensor(b->a, &b->r, WIDTH, 4, 0.1),
		world_tensor(b->a, &b->r, WIDTH, WIDTH, 0.1),
	};

	memcpy(m->leaf, leaf, sizeof(leaf));
	m->table = leaf[0], m->gamma = leaf[1], m->beta = leaf[2], m->w = leaf[3];
	m->bias = leaf[4], m->a = leaf[5], m->b = leaf[6], m->wq = leaf[7];
	for (int i = 0; i < SHARDS; i++) {
		m->start[i][1] = shard_rows(i) / 2;
		m->start[i][2] = shard_rows(i);
		for (int k = 0; k < MOST; k++) {
			m->id[i][k] = (int32_t)rng_below(&b->r, 20); /* few, so that shards meet */
			m->label[i][k] = (int32_t)rng_below(&b->r, WORDS);
			m->example[i][k] = (uint32_t)(2 * i + (k >= m->start[i][1]));
			m->pos[k] = (uint32_t)k;
		}
	}
	m->leaves = leaves_of(b, m->leaf, 8, SHARDS);
	for (int i = 0; i < 4; i++)
		if (graph_new(b->gemm, &m->graph[i]))
			abort();
	return m;
}

static void lm_free(struct lm *m)
{
	for (int i = 0; i < 4; i++)
		graph_free(m->graph[i]);
	leaves_free(m->leaves);
}

/*
 * One step on so many threads, with blocks kept or built again; the gradients and
 * losses are copied out.
 */
static void lm_step(struct lm *m, struct arena *a, int threads, float *ret_grad[8],
		    double *ret_loss)
{
	struct pool *p;

	if (leaves_begin(m->leaves, SHARDS) || pool_new(threads, &p))
		abort();
	pool_run(p, SHARDS, lm_shard, m);
	leaves_finish(m->leaves);
	pool_free(p);
	*ret_loss = 0;
	for (int i = 0; i < SHARDS; i++) {
		CHECK(m->code[i] == TT_OK && m->loss[i].rows == shard_rows(i));
		*ret_loss += m->loss[i].sum;
	}
	for (int i = 0; i < 8; i++) {
		const size_t size = (size_t)tensor_count(m->leaf[i]) * sizeof(float);

		ret_grad[i] = memcpy(world_alloc(a, 1, size), m->leaf[i]->grad, size);
	}
}

/* Neither does it which thread ran a shard, nor whether its blocks were kept or built again. */
static void threads_leave_no_trace(const char *backend)
{
	struct bench b = bench_new(backend);
	struct lm *m = lm_new(&b);
	float *one[8], *more[8];
	double loss, again;

	CHECK(tensor_count(m->table) > LEAF_BIG);
	lm_step(m, b.a, 1, one, &loss);
	CHECK(isfinite(loss) && loss > 0);
	for (int i = 0; i < 8; i++) {
		double most = 0;

		for (int64_t k = 0; k < tensor_count(m->leaf[i]); k++)
			most = fmax(most, fabs((double)one[i][k]));
		CHECK(most > 1e-6 && isfinite(most));
	}
	for (int round = 0; round < 8; round++) {
		bool same = true;

		m->recompute = round % 2 == 1;
		lm_step(m, b.a, 1 + round / 2, more, &again);
		for (int i = 0; i < 8; i++)
			same = same && !memcmp(one[i], more[i],
					       (size_t)tensor_count(m->leaf[i]) * sizeof(float));
		CHECK_NAMED(same && again == loss, backend);
	}
	lm_free(m);
	bench_free(&b);
}

static void steady_state_allocates_nothing(void)
{
	for (int recompute = 0; recompute < 2; recompute++) {
		struct bench b = bench_new("ref");
		struct lm *m = lm_new(&b);
		size_t bytes = 0;

		m->recompute = recompute;
		for (int step = 0; step < 5; step++) {
			leaves_begin(m->leaves, SHARDS);
			for (int i = 0; i < SHARDS; i++)
				lm_shard(m, i, 0);
			leaves_finish(m->leaves);
			if (step == 0)
				bytes = graph_bytes(m->graph[0]);
		}
		CHECK(bytes > 0 && graph_bytes(m->graph[0]) == bytes);
		lm_free(m);
		bench_free(&b);
	}
}

/* What one tape ran, another one can run without asking for more; so can it run less. */
static void room_is_shared(void)
{
	struct bench b = bench_new("ref");
	struct lm *m = lm_new(&b);

	leaves_begin(m->leaves, SHARDS);
	for (int i = 0; i < SHARDS; i++)
		lm_shard(m, i, 0);
	leaves_finish(m->leaves);
	CHECK(graph_bytes(m->graph[1]) < graph_bytes(m->graph[0]));
	CHECK(graph_share_room(m->graph, 4) == TT_OK);
	for (int thread = 0; thread < 4; thread++) {
		const size_t bytes = graph_bytes(m->graph[thread]);

		leaves_begin(m->leaves, SHARDS);
		for (int i = 0; i < SHARDS; i++)
			lm_shard(m, i, thread);
		leaves_finish(m->leaves);
		CHECK(graph_bytes(m->graph[thread]) == bytes);
	}
	lm_free(m);
	bench_free(&b);
}

/* ---- segments ---- */

enum { DEEP = 40, TALL = 2000 };

struct links {
	struct tensor *leaf;
	int built;
};

/* Ten tensors as large as x. */
static struct tensor *ten_links(struct graph *g, struct tensor *x, void *arg)
{
	struct links *l = arg;

	l->built++;
	for (int i = 0; i < 9; i++)
		x = op_scale(g, x, 1.01F);
	return op_layer_norm(g, x, NULL, l->leaf, l->leaf, 1e-5F);
}

/* The bytes of a chain; its gradient is left in the leaf. */
static size_t chain(struct bench *b, struct links *l, const struct pass *pass, bool frozen_first)
{
	struct tensor *x = world_frozen(b->a, &b->r, TALL, 16, 1), *y = x;
	struct tensor *w = world_frozen(b->a, &b->r, 1, 16, 1);
	struct leaves *leaves = leaves_of(b, &l->leaf, 1, 1);
	struct graph *g;
	struct arena_mark mark;
	size_t bytes;

	if (graph_new(b->gemm, &g))
		abort();
	graph_begin(g, pass, leaves, 0);
	mark = graph_mark(g);
	l->leaf->needs = !frozen_first;
	for (int i = 0; i < DEEP; i++) {
		y = graph_keep(g, mark, graph_segment(g, y, ten_links, l));
		if (i == DEEP / 2)
			l->leaf->needs = true;
	}
	CHECK(graph_backward(g, op_mse(g, op_linear(g, y, w, NULL), x->data, TALL, NULL)) == TT_OK);
	bytes = graph_bytes(g);
	leaves_finish(leaves);
	leaves_free(leaves);
	graph_free(g);
	return bytes;
}

/* Of a segment that trains its result stays; of a frozen one nothing does, and it is built once. */
static void a_segment_keeps_its_result(void)
{
	struct pass again = training;

	again.recompute = true;
	for (int frozen = 0; frozen < 2; frozen++) {
		const int trained = frozen ? DEEP - DEEP / 2 - 1 : DEEP;
		struct bench b = bench_new("ref");
		struct links l = { world_tensor(b.a, &b.r, 16, 0, 1), 0 };
		size_t kept, built;
		float grad[16];

		kept = chain(&b, &l, &training, frozen);
		CHECK(l.built == DEEP);
		memcpy(grad, l.leaf->grad, sizeof(grad));
		rng_init(&b.r, 11, RNG_TEST, 0); /* the same x */
		l.leaf = world_tensor(b.a, &b.r, 16, 0, 1);
		l.built = 0;
		built = chain(&b, &l, &again, frozen);
		CHECK(l.built == DEEP + trained);
		CHECK(!memcmp(grad, l.leaf->grad, sizeof(grad)));
		/* what stays is one of eleven; blocks of memory are up to twice too large */
		CHECK(built * 3 < kept);
		bench_free(&b);
	}
}

/* Outside of training, and where nothing comes of it, a segment is what it builds. */
static void a_segment_is_what_it_builds(void)
{
	struct bench b = bench_new("ref");
	struct links l = { world_tensor(b.a, &b.r, 16, 0, 1), 0 };
	struct tensor *x = world_frozen(b.a, &b.r, 3, 16, 1), *y;
	struct pass again = reading;
	float plain[48];

	again.recompute = true;
	graph_begin(b.g, &reading, NULL, 0);
	y = ten_links(b.g, x, &l);
	memcpy(plain, y->data, sizeof(plain));
	graph_begin(b.g, &again, NULL, 0);
	y = graph_segment(b.g, x, ten_links, &l);
	CHECK(y && !memcmp(plain, y->data, sizeof(plain)) && l.built == 2);
	CHECK(!graph_segment(b.g, NULL, ten_links, &l) && l.built == 2);
	bench_free(&b);
}

/* Gradients of a deep chain take turns in few buffers: memory grows by the activations alone. */
static void gradients_share_buffers(void)
{
	enum { LONG = 200, ROWS = 1000, COLS = 16 };
	struct bench b = bench_new("ref");
	struct tensor *leaf = world_tensor(b.a, &b.r, COLS, 0, 1),
		      *x = world_frozen(b.a, &b.r, ROWS, COLS, 1);
	struct tensor *w = world_frozen(b.a, &b.r, 1, COLS, 1), *y;
	struct leaves *l = leaves_of(&b, &leaf, 1, 1);
	size_t forward;

	graph_begin(b.g, &training, l, 0);
	y = op_layer_norm(b.g, x, NULL, leaf, leaf, 1e-5F);
	for (int i = 0; i < LONG; i++)
		y = op_scale(b.g, y, 1.01F);
	y = op_mse(b.g, op_linear(b.g, y, w, NULL), x->data, ROWS, NULL);
	forward = graph_bytes(b.g);
	CHECK(graph_backward(b.g, y) == TT_OK);
	CHECK(graph_bytes(b.g) - forward < forward / 2);
	leaves_free(l);
	bench_free(&b);
}

static void what_is_done_gives_its_place_away(void)
{
	struct bench b = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, 8, 4, 1), *y, *z;
	const struct arena_mark mark = { 0, 0 };
	const float *place;

	graph_begin(b.g, &reading, NULL, 0);
	graph_done(b.g, NULL);
	graph_done(b.g, x); /* not an op's */
	CHECK(x->data);
	y = op_scale(b.g, x, 2);
	place = y->data;
	z = op_scale(b.g, y, 3);
	graph_done(b.g, y);
	CHECK(!y->data);
	y = op_scale(b.g, z, 0.5F);
	CHECK(y->data == place);
	CHECK_NEAR(y->data[5], 3 * (double)x->data[5], 1e-5);
	/* much larger than what is needed: it would be missed */
	graph_done(b.g, z);
	CHECK(op_gather(b.g, y, (int32_t[]){ 1 }, 1)->data != z->data);

	/* what a rewind took is not given away */
	graph_begin(b.g, &reading, NULL, 0);
	y = graph_keep(b.g, mark, op_scale(b.g, op_scale(b.g, x, 1), 2));
	z = op_scale(b.g, y, 1);
	CHECK(z->data != y->data);
	CHECK_NEAR(y->data[3], 2 * (double)x->data[3], 1e-6);
	bench_free(&b);
}

/* Norm, a layer that trains or not, activation, sum: done of each as soon as that may be, or never. */
static struct tensor *spared(struct bench *b, struct tensor *x, struct tensor *gain,
			     struct tensor *w, bool spare)
{
	static const int32_t row[] = { 0, 3 };
	static const float zero[2];
	struct tensor *y = op_layer_norm(b->g, x, NULL, gain, gain, 1e-5F), *next;

	for (int i = 0; i < 6; i++) {
		next = i % 2 ? op_activation_over(b->g, y, ACT_GELU) : op_linear(b->g, y, w, NULL);
		if (spare)
			graph_done(b->g, y);
		y = op_add(b->g, next, x);
		if (spare)
			graph_done(b->g, next);
	}
	return op_mse(b->g, op_gather(b->g, y, row, 2), zero, 2, NULL);
}

static void what_backward_reads_stays(void)
{
	enum { N = 8 };
	struct bench b = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, N, 1, 1),
		      *gain = world_tensor(b.a, &b.r, 1, 0, 1);
	struct tensor *w = world_tensor(b.a, &b.r, 1, 1, 1), *leaf[] = { gain, w };

	for (int trains = 0; trains < 2; trains++) {
		struct leaves *l = leaves_of(&b, leaf, trains ? 2 : 1, 1);
		float was[2] = { 0, 0 };
		size_t reached[2];

		w->needs = w->trainable = trains;
		for (int spare = 0; spare < 2; spare++) {
			graph_free(b.g);
			if (graph_new(b.gemm, &b.g) || leaves_begin(l, 1))
				abort();
			graph_begin(b.g, &training, l, 0);
			CHECK(graph_backward(b.g, spared(&b, x, gain, w, spare)) == TT_OK);
			leaves_finish(l);
			reached[spare] = graph_reached(b.g);
			CHECK(!spare || gain->grad[0] == was[0]);
			CHECK(!spare || !trains || w->grad[0] == was[1]);
			was[0] = gain->grad[0];
			was[1] = trains ? w->grad[0] : 0;
		}
		CHECK(reached[1] < reached[0]);
		leaves_free(l);
	}
	bench_free(&b);
}

/* Laid out dry a pass reaches as far as when it computes, and touches nothing. */
static void a_dry_pass_reaches_as_far(void)
{
	enum { N = 64 };
	const struct pass dry = { .train = true, .dry = true };
	struct bench b = bench_new("ref"), c = bench_new("ref");
	struct tensor *x = world_frozen(b.a, &b.r, N, 1, 1),
		      *gain = world_tensor(b.a, &b.r, 1, 0, 1);
	struct tensor *w = world_tensor(b.a, &b.r, 1, 1, 1), *leaf[] = { gain, w };
	struct leaves *l;

	graph_begin(c.g, &dry, NULL, 0);
	CHECK(graph_backward(c.g, spared(&c, x, gain, w, true)) == TT_OK);
	l = leaves_of(&b, leaf, 2, 1);
	graph_begin(b.g, &training, l, 0);
	CHECK(graph_backward(b.g, spared(&b, x, gain, w, true)) == TT_OK);
	CHECK(graph_reached(c.g) == graph_reached(b.g));
	leaves_free(l);
	bench_free(&b);
	bench_free(&c);
}

int main(void)
{
	what_is_done_gives_its_place_away();
	what_backward_reads_stays();
	a_dry_pass_reaches_as_far();
	null_goes_through();
	what_needs_no_gradient_is_not_recorded();
	gradients_of_one_tensor_add_up();
	backward_starts_from_given_gradients();
	every_turn_is_passed_on();
	a_leaf_is_released_after_its_last_use();
	keep_moves_the_numbers();
	keep_saves_memory_and_spares_what_trains();
	gradients_share_buffers();
	steady_state_allocates_nothing();
	room_is_shared();
	a_segment_keeps_its_result();
	a_segment_is_what_it_builds();
	for (int i = 0; gemm_all()[i]; i++)
		threads_leave_no_trace(gemm_all()[i]->name);
	return check_done();
}
