/*
 * Products in bf16 by oneDNN's matmul primitive.
 *
 * A frozen weight lies in the layout that the primitive asks for (97 % of the
 * processor's bf16 peak where plain rows reach 75 to 90 %). A product runs in
 * blocks of BLOCK rows: the rounded rows then stay in the cache, and every weight
 * needs the primitives of CLASSES row counts only. The last block has a multiple
 * of STEP rows: it begins a few rows early and computes those again or, where it
 * must add or there are none, is filled up with zeros and goes by way of a buffer.
 *
 * Weights that train change every step: they are rounded for each product, and run
 * through primitives that are told the number of tokens when they run. (With every
 * size left open oneDNN falls back to plain loops.)
 */
#include "tensor/gemm_narrow.h"

#include <assert.h>
#include <dnnl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tensor/kernel.h"
#include "tensor/kernel_pairs.h"

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
/* Of OpenMP's own header, which not every compiler finds. It speaks of the calling thread only. */
void omp_set_num_threads(int n);
#endif

enum { BLOCK = 128, STEP = 8, CLASSES = BLOCK / STEP, SPACES = 64, ALIGN = 64 };
enum kind { PLAIN, BIAS, SUM, KINDS };

/* A primitive and what its arguments look like. */
struct product {
	dnnl_primitive_t run;
	dnnl_memory_desc_t x, y, scratch;
};

/* Weights of one shape share their primitives; each is made when it is first needed. */
struct shape {
	struct shape *next;
	int64_t in, out;
	dnnl_memory_desc_t weight;
	_Atomic(struct product *) product[KINDS][CLASSES];
};

struct narrow_weight {
	struct shape *shape;
	void *packed;
};

/* A product of a weight that trains; the tokens are the rows of a, or with ta the sum's length. */
struct open_product {
	struct open_product *next;
	bool ta, tb, sum;
	int64_t fixed, n; /* of m and k the one that is not the tokens; n */
	struct product *product;
};

/* What a thread needs during one product. */
struct space {
	dnnl_stream_t stream;
	char *data;
	size_t size;
};

struct narrow {
	dnnl_engine_t engine;
	struct shape *shapes;
	_Atomic(struct open_product *) opened; /* only ever grows at its head */
	_Atomic(struct space *) space[SPACES]; /* not in use */
};

static void alone(void)
{
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
	omp_set_num_threads(1);
#endif
}

/* ---- spaces ---- */

static void space_free(struct space *s)
{
	if (!s)
		return;
	if (s->stream)
		dnnl_stream_destroy(s->stream);
	free(s->data);
	free(s);
}

static struct space *space_new(struct narrow *n)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s && dnnl_stream_create(&s->stream, n->engine, dnnl_stream_default_flags)) {
		s->stream = NULL;
		space_free(s);
		s = NULL;
	}
	return s;
}

/* One with at least size bytes that nobody else has; NULL without memory. */
static struct space *space_take(struct narrow *n, size_t size)
{
	struct space *s = NULL;

	for (int i = 0; i < SPACES && !s; i++)
		s = atomic_exchange(&n->space[i], NULL);
	if (!s)
		s = space_new(n);
	if (s && s->size < size) {
		size = (size + ALIGN - 1) / ALIGN * ALIGN;
		free(s->data);
		s->data = aligned_alloc(ALIGN, size);
		s->size = s->data ? size : 0;
		if (!s->data) {
			space_free(s);
			s = NULL;
		}
	}
	return s;
}

static void space_give(struct narrow *n, struct space *s)
{
	for (int i = 0; i < SPACES; i++) {
		struct space *none = NULL;

		if (atomic_compare_exchange_strong(&n->space[i], &none, s))
			return;
	}
	space_free(s);
}

static size_t padded(size_t size) { return (size + ALIGN - 1) / ALIGN * ALIGN; }

/* ---- primitives ---- */

static int refused(void)
{
	return err_set(TT_NOMEM, "oneDNN cannot prepare a product in bf16: not enough memory");
}

/* A dense or transposed matrix; rows or cols may be DNNL_RUNTIME_DIM_VAL. */
static dnnl_memory_desc_t matrix(int64_t rows, int64_t cols, bool transposed, dnnl_data_type_t type)
{
	const dnnl_dims_t dim = { rows, cols };
	const dnnl_dims_t stride = { transposed ? 1 : cols, transposed ? rows : 1 };
	dnnl_memory_desc_t md;

	if (dnnl_memory_desc_init_by_strides(&md, 2, dim, type, stride))
		memset(&md, 0, sizeof(md));
	return md;
}

static dnnl_primitive_attr_t new_attr(enum kind kind)
{
	dnnl_primitive_attr_t attr = NULL;
	dnnl_post_ops_t after = NULL;
	bool good;

	if (dnnl_primitive_attr_create(&attr))
		return NULL;
	good = !dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (good && kind == SUM) {
		good = !dnnl_post_ops_create(&after) && !dnnl_post_ops_append_sum(after, 1) &&
		       !dnnl_primitive_attr_set_post_ops(attr, after);
		if (after)
			dnnl_post_ops_destroy(after);
	}
	if (good)
		return attr;
	dnnl_primitive_attr_destroy(attr);
	return NULL;
}

static dnnl_primitive_desc_t describe(struct narrow *n, enum kind kind, const dnnl_memory_desc_t *x,
				      const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *y)
{
	dnnl_primitive_attr_t attr = new_attr(kind);
	const dnnl_dims_t dim = { 1, y->dims[1] }, stride = { y->dims[1], 1 };
	dnnl_primitive_desc_t pd = NULL;
	dnnl_memory_desc_t bias;
	dnnl_matmul_desc_t d;

	if (!attr)
		return NULL;
	if (dnnl_memory_desc_init_by_strides(&bias, 2, dim, dnnl_f32, stride) ||
	    dnnl_matmul_desc_init(&d, x, w, kind == BIAS ? &bias : NULL, y) ||
	    dnnl_primitive_desc_create(&pd, &d, attr, n->engine, NULL))
		pd = NULL;
	dnnl_primitive_attr_destroy(attr);
	return pd;
}

static void product_free(struct product *p)
{
	if (!p)
		return;
	dnnl_primitive_destroy(p->run);
	free(p);
}

static struct product *product_new(struct narrow *n, enum kind kind, const dnnl_memory_desc_t *x,
				   const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *y)
{
	dnnl_primitive_desc_t pd = describe(n, kind, x, w, y);
	struct product *p = pd ? calloc(1, sizeof(*p)) : NULL;

	if (p) {
		p->x = *x;
		p->y = *y;
		p->scratch = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
		if (dnnl_primitive_create(&p->run, pd)) {
			free(p);
			p = NULL;
		}
	}
	if (pd)
		dnnl_primitive_desc_destroy(pd);
	return p;
}

/* p becomes the one in its place, unless another thread was quicker. */
static struct product *settle(_Atomic(struct product *) *place, struct product *p)
{
	struct product *there = NULL;

	if (!p || atomic_compare_exchange_strong(place, &there, p))
		return p;
	product_free(p);
	return there;
}

/* For rows, a multiple of STEP up to BLOCK. NULL without memory. */
static struct product *shape_product(struct narrow *n, struct shape *s, enum kind kind,
				     int64_t rows)
{
	_Atomic(struct product *) *place = &s->product[kind][rows / STEP - 1];
	struct product *p = atomic_load(place);

	if (!p) {
		const dnnl_memory_desc_t x = matrix(rows, s->in, false, dnnl_bf16);
		const dnnl_memory_desc_t y = matrix(rows, s->out, false, dnnl_f32);

		p = settle(place, product_new(n, kind, &x, &s->weight, &y));
	}
	return p;
}

static struct open_product *open_find(struct open_product *o, const struct narrow_product *c)
{
	const int64_t fixed = c->ta ? c->m : c->k;

	while (o && !(o->ta == c->ta && o->tb == c->tb && o->sum == (c->beta != 0.0f) &&
		      o->fixed == fixed && o->n == c->n))
		o = o->next;
	return o;
}

static struct open_product *open_new(struct narrow *n, const struct narrow_product *c)
{
	const int64_t m = c->ta ? c->m : DNNL_RUNTIME_DIM_VAL,
		      k = c->ta ? DNNL_RUNTIME_DIM_VAL : c->k;
	const dnnl_memory_desc_t a = matrix(m, k, c->ta, dnnl_bf16),
				 b = matrix(k, c->n, c->tb, dnnl_bf16);
	const dnnl_memory_desc_t y = matrix(m, c->n, false, dnnl_f32);
	struct open_product *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	*o = (struct open_product){ NULL, c->ta, c->tb, c->beta != 0.0f, c->ta ? c->m : c->k,
				    c->n, NULL };
	o->product = product_new(n, o->sum ? SUM : PLAIN, &a, &b, &y);
	if (o->product)
		return o;
	free(o);
	return NULL;
}

/* Two threads may both make the first of a kind: then the list holds two alike, and both serve. */
static const struct product *open_product(struct narrow *n, const struct narrow_product *c)
{
	struct open_product *head = atomic_load(&n->opened), *o = open_find(head, c);

	if (o)
		return o->product;
	o = open_new(n, c);
	if (!o)
		return NULL;
	do
		o->next = head;
	while (!atomic_compare_exchange_weak(&n->opened, &head, o));
	return o->product;
}

/* ---- preparing ---- */

/* Asks for the layout that a whole block likes best; smaller blocks take it too. */
static struct shape *shape_new(struct narrow *n, int64_t in, int64_t out)
{
	const dnnl_memory_desc_t x = matrix(BLOCK, in, false, dnnl_bf16);
	const dnnl_memory_desc_t y = matrix(BLOCK, out, false, dnnl_f32);
	const dnnl_dims_t dim = { in, out };
	struct shape *s = calloc(1, sizeof(*s));
	dnnl_primitive_desc_t pd = NULL;
	dnnl_memory_desc_t w;

	if (s && !dnnl_memory_desc_init_by_tag(&w, 2, dim, dnnl_bf16, dnnl_format_tag_any))
		pd = describe(n, PLAIN, &x, &w, &y);
	if (!pd) {
		free(s);
		return NULL;
	}
	s->in = in;
	s->out = out;
	s->weight = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
	s->next = n->shapes;
	n->shapes = s;
	dnnl_primitive_desc_destroy(pd);
	return s;
}

static struct shape *find_shape(struct narrow *n, int64_t in, int64_t out)
{
	for (struct shape *s = n->shapes; s; s = s->next)
		if (s->in == in && s->out == out)
			return s;
	return shape_new(n, in, out);
}

/* from, as w stands in rows, into the layout of to. */
static int reorder(struct narrow *n, struct space *space, const dnnl_memory_desc_t *from, void *to,
		   const dnnl_memory_desc_t *layout)
{
	dnnl_exec_arg_t arg[] = { { DNNL_ARG_FROM, NULL }, { DNNL_ARG_TO, NULL } };
	dnnl_primitive_desc_t pd = NULL;
	dnnl_primitive_t p = NULL;
	const bool good = !dnnl_memory_create(&arg[0].memory, from, n->engine, space->data) &&
			  !dnnl_memory_create(&arg[1].memory, layout, n->engine, to) &&
			  !dnnl_reorder_primitive_desc_create(&pd, from, n->engine, layout,
							      n->engine, NULL) &&
			  !dnnl_primitive_create(&p, pd) &&
			  !dnnl_primitive_execute(p, space->stream, 2, arg) &&
			  !dnnl_stream_wait(space->stream);

	if (p)
		dnnl_primitive_destroy(p);
	if (pd)
		dnnl_primitive_desc_destroy(pd);
	for (int i = 0; i < 2; i++)
		if (arg[i].memory)
			dnnl_memory_destroy(arg[i].memory);
	return good ? TT_OK : refused();
}

static int pack(struct narrow *n, struct narrow_weight *to, const float *w, int64_t rows,
		int64_t cols, bool transposed)
{
	const dnnl_memory_desc_t md = matrix(to->shape->in, to->shape->out, transposed, dnnl_bf16);
	const size_t size = (size_t)(rows * cols) * sizeof(uint16_t);
	struct space *space = space_take(n, size);
	int code;

	if (!space)
		return refused();
	kernel_pairs_round((uint16_t *)(void *)space->data, w, rows * cols);
	code = reorder(n, space, &md, to->packed, &to->shape->weight);
	space_free(space); /* larger than any product's */
	return code;
}

int narrow_prepare(struct narrow *n, struct arena *a, const float *w, int64_t rows, int64_t cols,
		   bool transposed, struct narrow_weight **ret)
{
	struct narrow_weight *p = arena_zero(a, 1, sizeof(*p));
	int code;

	if (!p)
		return TT_NOMEM;
	alone();
	p->shape = find_shape(n, transposed ? cols : rows, transposed ? rows : cols);
	if (!p->shape)
		return refused();
	/* bytes that fill the layout up must be 0, or they would become part of a sum */
	p->packed = arena_zero(a, dnnl_memory_desc_get_size(&p->shape->weight), 1);
	if (!p->packed)
		return TT_NOMEM;
	code = pack(n, p, w, rows, cols, transposed);
	if (!code && !shape_product(n, p->shape, PLAIN, BLOCK))
		code = refused();
	if (!code)
		*ret = p;
	return code;
}

/* ---- running ---- */

/* Where the arguments of one execution lie; bias may be NULL. */
struct operands {
	const dnnl_memory_desc_t *x, *w, *y;
	const void *x_at, *w_at;
	const float *bias;
	void *y_at, *scratch;
};

static bool attach(dnnl_memory_t *ret, const dnnl_memory_desc_t *md, struct narrow *n,
		   const void *at)
{
	return !dnnl_memory_create(ret, md, n->engine, (void *)(uintptr_t)at);
}

static bool execute(struct narrow *n, struct space *s, const struct product *p,
		    const struct operands *o)
{
	const dnnl_memory_desc_t row = matrix(1, o->y->dims[1], false, dnnl_f32);
	dnnl_exec_arg_t arg[] = { { DNNL_ARG_SRC, NULL },
				  { DNNL_ARG_WEIGHTS, NULL },
				  { DNNL_ARG_DST, NULL },
				  { DNNL_ARG_SCRATCHPAD, NULL },
				  { DNNL_ARG_BIAS, NULL } };
	const bool good = attach(&arg[0].memory, o->x, n, o->x_at) &&
			  attach(&arg[1].memory, o->w, n, o->w_at) &&
			  attach(&arg[2].memory, o->y, n, o->y_at) &&
			  attach(&arg[3].memory, &p->scratch, n, o->scratch) &&
			  (!o->bias || attach(&arg[4].memory, &row, n, o->bias)) &&
			  !dnnl_primitive_execute(p->run, s->stream, o->bias ? 5 : 4, arg) &&
			  !dnnl_stream_wait(s->stream);

	for (int i = 0; i < 5; i++)
		if (arg[i].memory)
			dnnl_memory_destroy(arg[i].memory);
	return good;
}

static void fail(float *y, int64_t rows, int64_t cols, int64_t ldy)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < cols; j++)
			y[i * ldy + j] = NAN;
}

/* The parts of a space during a product with a prepared weight. */
struct parts {
	uint16_t *x; /* [BLOCK,in] */
	float *y;    /* [BLOCK,out], for rows that cannot go to their place at once */
	void *scratch;
	size_t scratch_size;
};

static struct parts parts_at(struct space *s, const struct shape *shape)
{
	const size_t x = padded((size_t)(BLOCK * shape->in) * sizeof(uint16_t));
	const size_t y = padded((size_t)(BLOCK * shape->out) * sizeof(float));

	return (struct parts){ (uint16_t *)(void *)s->data, (float *)(void *)(s->data + x),
			       s->data + x + y, s->size - x - y };
}

/* The rows of a block of `rows`. */
static int64_t full_rows(int64_t rows) { return (rows + STEP - 1) / STEP * STEP; }

/* Some rows, at most BLOCK, from `at` on. */
static bool run_block(struct narrow *n, struct space *s, const struct narrow_weight *w,
		      const struct narrow_call *c, int64_t at, int64_t rows)
{
	struct shape *shape = w->shape;
	const struct parts part = parts_at(s, shape);
	const int64_t in = shape->in, out = shape->out, full = full_rows(rows);
	const bool direct = full == rows && c->ldy == out;
	const enum kind kind = c->bias ? BIAS : direct && c->beta != 0.0f ? SUM : PLAIN;
	const struct product *p = shape_product(n, shape, kind, full);
	float *y = c->y + at * c->ldy;
	struct operands o;

	if (!p || dnnl_memory_desc_get_size(&p->scratch) > part.scratch_size)
		return false;
	if (c->ldx == in)
		kernel_pairs_round(part.x, c->x + at * in, rows * in);
	for (int64_t i = 0; i < rows && c->ldx != in; i++)
		kernel_pairs_round(part.x + i * in, c->x + (at + i) * c->ldx, in);
	memset(part.x + rows * in, 0, (size_t)((full - rows) * in) * sizeof(*part.x));
	o = (struct operands){ &p->x,   &shape->weight,      &p->y,       part.x, w->packed,
			       c->bias, direct ? y : part.y, part.scratch };
	if (!execute(n, s, p, &o))
		return false;
	for (int64_t i = 0; i < rows && !direct; i++)
		kernel_axpby(y + i * c->ldy, c->beta, 1, part.y + i * out, out);
	return true;
}

/* Rounded rows, rows in waiting, and the library's own, at most as large as the latter. */
static size_t block_size(const struct shape *s)
{
	return padded((size_t)(BLOCK * s->in) * sizeof(uint16_t)) +
	       3 * padded((size_t)(BLOCK * s->out) * sizeof(float)) + (1 << 17);
}

void narrow_prepared(struct narrow *n, const struct narrow_weight *w, const struct narrow_call *c)
{
	struct space *s = space_take(n, block_size(w->shape));

	assert(c->beta == 0.0f || (c->beta == 1.0f && !c->bias));
	alone();
	for (int64_t at = 0; at < c->m; at += BLOCK) {
		const int64_t rows = c->m - at < BLOCK ? c->m - at : BLOCK, full = full_rows(rows);
		const int64_t early = c->beta == 0.0f && full <= at + rows ? full - rows : 0;

		if (!s || !run_block(n, s, w, c, at - early, rows + early))
			fail(c->y + at * c->ldy, rows, w->shape->out, c->ldy);
	}
	if (s)
		space_give(n, s);
}

/* Both factors rounded into the space, one after the other. */
static bool run_open(struct narrow *n, struct space *s, const struct product *p,
		     const struct narrow_product *c)
{
	const dnnl_memory_desc_t ma = matrix(c->m, c->k, c->ta, dnnl_bf16);
	const dnnl_memory_desc_t mb = matrix(c->k, c->n, c->tb, dnnl_bf16);
	const dnnl_memory_desc_t mc = matrix(c->m, c->n, false, dnnl_f32);
	char *b = s->data + padded((size_t)(c->m * c->k) * sizeof(uint16_t));
	const struct operands o = { &ma,  &mb,
				    &mc,  s->data,
				    b,    NULL,
				    c->c, b + padded((size_t)(c->k * c->n) * sizeof(uint16_t)) };

	kernel_pairs_round((uint16_t *)(void *)s->data, c->a, c->m * c->k);
	kernel_pairs_round((uint16_t *)(void *)b, c->b, c->k * c->n);
	return execute(n, s, p, &o);
}

void narrow_run(struct narrow *n, const struct narrow_product *c)
{
	const struct product *p;
	struct space *s = NULL;

	assert(c->beta == 0.0f || c->beta == 1.0f);
	if (c->m <= 0 || c->n <= 0)
		return;
	alone();
	if (c->k <= 0) {
		for (int64_t i = 0; c->beta == 0.0f && i < c->m * c->n; i++)
			c->c[i] = 0;
		return;
	}
	p = open_product(n, c);
	if (p)
		s = space_take(n, padded((size_t)(c->m * c->k) * sizeof(uint16_t)) +
					  padded((size_t)(c->k * c->n) * sizeof(uint16_t)) +
					  padded(dnnl_memory_desc_get_size(&p->scratch)));
	if (!s || !run_open(n, s, p, c))
		fail(c->c, c->m, c->n, c->n);
	if (s)
		space_give(n, s);
}

/* ---- open and close ---- */

int narrow_open(struct narrow **ret)
{
	const unsigned need = dnnl_cpu_isa_avx512_core_bf16;
	struct narrow *n;

	if (((unsigned)dnnl_get_effective_cpu_isa() & need) != need)
		return err_set(TT_INVALID, "compute.precision bf16 needs a processor with bf16 "
					   "instructions (AVX512_BF16 or AMX), "
					   "and this one has none; fp32 runs everywhere");
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(TT_NOMEM, "not enough memory for a backend");
	alone();
	if (dnnl_engine_create(&n->engine, dnnl_cpu, 0)) {
		free(n);
		return refused();
	}
	*ret = n;
	return TT_OK;
}

void narrow_close(struct narrow *n)
{
	struct open_product *o;

	if (!n)
		return;
	o = atomic_load(&n->opened);
	while (n->shapes) {
		struct shape *next = n->shapes->next;

		for (int i = 0; i < KINDS * CLASSES; i++)
			product_free(atomic_load(&n->shapes->product[i / CLASSES][i % CLASSES]));
		free(n->shapes);
		n->shapes = next;
	}
	while (o) {
		struct open_product *next = o->next;

		product_free(o->product);
		free(o);
		o = next;
	}
	for (int i = 0; i < SPACES; i++)
		space_free(atomic_load(&n->space[i]));
	dnnl_engine_destroy(n->engine);
	free(n);
}
