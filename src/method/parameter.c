/*
 * The tensors of a method: what trains, what it makes anew for every step, what
 * checkpoints and adapter files hold besides. What a part of a combination adds
 * is added to the whole as well, so the trainer looks at one list.
 */
#include "method/method.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

void *method_alloc(struct method *m, size_t size)
{
	return arena_zero(m->model->arena, 1, size ? size : 1);
}

/* Room for one element more of an array in the run's arena; the old ones are copied. */
static int room_for(struct method *m, void *array, size_t n, size_t *room, size_t size)
{
	void **at = array;
	void *more;

	if (n < *room)
		return TT_OK;
	more = arena_zero(m->model->arena, *room ? 2 * *room : 64, size);
	if (!more)
		return TT_NOMEM;
	if (n)
		memcpy(more, *at, n * size);
	*at = more;
	*room = *room ? 2 * *room : 64;
	return TT_OK;
}

static int tensors_add(struct method *m, struct tensors *to, struct tensor *t)
{
	const int code = room_for(m, &to->item, to->n, &to->room, sizeof(struct tensor *));

	if (!code)
		to->item[to->n++] = t;
	return code;
}

static bool tensors_have(const struct tensors *l, const struct tensor *t)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->item[i] == t)
			return true;
	}
	return false;
}

/* ---- what trains ---- */

static bool param_at(const struct method *m, const struct tensor *t, size_t *ret)
{
	for (size_t i = 0; i < m->nparam; i++) {
		if (m->param[i] == t) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static int param_add(struct method *m, struct tensor *t, const float *before)
{
	size_t room = m->room, at;
	int code;

	if (param_at(m, t, &at)) /* two parts of a combination train it */
		return TT_OK;
	code = room_for(m, &m->param, m->nparam, &room, sizeof(struct tensor *));
	if (!code)
		code = room_for(m, &m->before, m->nparam, &m->room, sizeof(float *));
	if (!code)
		code = tensors_add(m, &m->leaves, t);
	if (code)
		return code;
	m->before[m->nparam] = before;
	m->param[m->nparam++] = t;
	return m->whole ? param_add(m->whole, t, before) : TT_OK;
}

const float *method_before(const struct method *m, const struct tensor *t)
{
	size_t i;

	return param_at(m, t, &i) ? m->before[i] : NULL;
}

/* What any part knows of it: the first values, before another part trained it. */
static const float *first_values(const struct method *m, const struct tensor *t)
{
	while (m->whole)
		m = m->whole;
	return method_before(m, t);
}

int method_train_base(struct method *m, struct tensor *t)
{
	const float *before = first_values(m, t);
	const float *data = t->data;
	size_t at;
	int code;

	if (t->trainable && param_at(m, t, &at))
		return TT_OK;
	if (before)
		return param_add(m, t, before);
	if (t->needs)
		return err_set(TT_INVALID,
			       "'%s' cannot train by method '%s': another method makes it", t->name,
			       m->ops->name);
	code = model_train_param(m->model, t);
	if (code)
		return code;
	before = data;
	if (data == t->data) {
		/* it was writable already, so nothing keeps the first values for us */
		const size_t size = (size_t)tensor_count(t) * sizeof(float);
		float *copy = arena_alloc(m->model->arena, size);

		if (!copy)
			return TT_NOMEM;
		memcpy(copy, t->data, size);
		before = copy;
	}
	return param_add(m, t, before);
}

static bool is_bias(const char *name)
{
	const size_t n = strlen(name);

	return !strcmp(name, "bias") || (n > 5 && !strcmp(name + n - 5, ".bias"));
}

int method_train_biases(struct method *m)
{
	int code = TT_OK;

	m->saves_biases = true;
	for (size_t i = 0; !code && i < m->model->nparam; i++) {
		if (is_bias(m->model->param[i]->name))
			code = method_train_base(m, m->model->param[i]);
	}
	return code;
}

/* FNV-1a: names give keys that are far apart. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001B3u;
	return h;
}

void method_rng(const struct method *m, const char *name, struct rng *ret)
{
	rng_init(ret, m->seed ^ hash(name), RNG_INIT, 0);
}

/* One number; those that are not wanted are drawn again. */
static double draw_number(struct rng *r, enum method_init how, double bound)
{
	double x;

	if (how == INIT_UNIFORM)
		return (2.0 * (double)rng_uniform(r) - 1.0) * bound;
	do
		x = (double)rng_normal(r);
	while (how == INIT_CUT_NORMAL && fabs(x) > 2);
	return x * bound;
}

/* A new tensor "MODULE.leaf", drawn; module NULL: just "leaf". */
static struct tensor *draw(struct method *m, const char *module, const char *leaf, int rank,
			   const int64_t *dim, enum method_init how, double bound)
{
	const char *name = module ? arena_printf(m->model->arena, "%s.%s", module, leaf) : leaf;
	struct tensor *t = name ? model_new_tensor(m->model, name, rank, dim) : NULL;
	struct rng r;
	int64_t n;

	if (!t)
		return NULL;
	n = tensor_count(t);
	method_rng(m, name, &r);
	for (int64_t i = 0; how != INIT_ZERO && i < n; i++)
		t->data[i] = (float)draw_number(&r, how, bound);
	return t;
}

struct tensor *method_param(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound)
{
	struct tensor *t = draw(m, module, leaf, rank, dim, how, bound);

	if (!t)
		return NULL;
	t->trainable = t->needs = true;
	return param_add(m, t, NULL) ? NULL : t;
}

static void tensors_drop(struct tensors *from, const struct tensor *t)
{
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++) {
		if (from->item[i] != t)
			from->item[n++] = from->item[i];
	}
	from->n = n;
}

static void param_drop(struct method *m, const struct tensor *t)
{
	size_t at;

	if (!param_at(m, t, &at))
		return;
	m->nparam--;
	memmove(m->param + at, m->param + at + 1, (m->nparam - at) * sizeof(*m->param));
	memmove(m->before + at, m->before + at + 1, (m->nparam - at) * sizeof(*m->before));
	tensors_drop(&m->leaves, t);
}

int method_tie(struct method *m, struct tensor *t, struct tensor *to)
{
	int code = TT_OK;

	assert(t != to && tensor_count(t) == tensor_count(to));
	for (; !code && m; m = m->whole) {
		param_drop(m, t);
		code = tensors_add(m, &m->fixed, t);
	}
	t->trainable = t->needs = false;
	t->slot = -1;
	t->data = to->data;
	t->grad = NULL;
	return code;
}

int64_t method_param_count(const struct method *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		n += tensor_count(m->param[i]);
	return n;
}

int64_t method_extra_count(const struct method *m)
{
	int64_t n = m->fixed_counted;

	for (size_t i = 0; i < m->nparam; i++)
		n += m->before[i] ? 0 : tensor_count(m->param[i]);
	return n;
}

/* ---- what does not ---- */

struct tensor *method_fixed(struct method *m, const char *module, const char *leaf, int rank,
			    const int64_t *dim, enum method_init how, double bound, bool counted)
{
	struct tensor *t = draw(m, module, leaf, rank, dim, how, bound);

	for (struct method *to = m; t && to; to = to->whole) {
		if (tensors_add(to, &to->fixed, t))
			return NULL;
		to->fixed_counted += counted ? tensor_count(t) : 0;
	}
	return t;
}

struct tensor *method_keep(struct method *m, const char *name, int rank, const int64_t *dim)
{
	struct tensor *t = model_new_tensor(m->model, name, rank, dim);

	return t && !method_keep_too(m, t) ? t : NULL;
}

int method_keep_too(struct method *m, struct tensor *t)
{
	int code = TT_OK;

	for (; !code && m; m = m->whole)
		code = tensors_add(m, &m->kept, t);
	return code;
}

int method_store(struct method *m, struct tensor *t)
{
	int code = TT_OK;

	for (; !code && m; m = m->whole)
		code = tensors_add(m, &m->fixed, t);
	return code;
}

/* ---- what is made anew ---- */

static int made_add(struct method *m, struct tensor *t)
{
	int code = room_for(m, &m->made, m->nmade, &m->made_room, sizeof(struct made));

	if (!code && !tensors_have(&m->leaves, t))
		code = tensors_add(m, &m->leaves, t);
	if (code)
		return code;
	m->made[m->nmade++] = (struct made){ .leaf = t };
	return m->whole ? made_add(m->whole, t) : TT_OK;
}

struct tensor *method_new_made(struct method *m, const char *name, int rank, const int64_t *dim)
{
	struct tensor *t = model_new_tensor(m->model, name, rank, dim);

	if (!t || made_add(m, t))
		return NULL;
	t->needs = true;
	return t;
}

int method_make_base(struct method *m, struct tensor *t)
{
	int code;

	if (t->needs)
		return err_set(TT_INVALID,
			       "'%s' cannot be made by method '%s': another method trains it",
			       t->name, m->ops->name);
	code = model_own_param(m->model, t);
	if (code)
		return code;
	t->needs = true;
	return made_add(m, t);
}

int method_make(struct method *m, struct tensor *leaf, struct tensor *value)
{
	if (!value)
		return TT_NOMEM;
	for (; m; m = m->whole) {
		for (size_t i = 0; i < m->nmade; i++) {
			if (m->made[i].leaf == leaf)
				m->made[i].value = value;
		}
	}
	memcpy(leaf->data, value->data, (size_t)tensor_count(leaf) * sizeof(float));
	return TT_OK;
}

/* ---- notes ---- */

/* Without memory there is none: it is no reason to fail. */
void method_note(struct method *m, const char *fmt, ...)
{
	char text[512];
	const char *copy;
	va_list args;

	while (m->whole)
		m = m->whole;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	copy = arena_text(m->model->arena, text);
	if (copy && !room_for(m, &m->note, m->nnotes, &m->note_room, sizeof(*m->note)))
		m->note[m->nnotes++] = copy;
}

/* ---- whose ---- */

struct method *method_owner(const struct method *m, const struct tensor *t)
{
	size_t at;

	for (size_t i = 0; i < m->nparts; i++) {
		struct method *owner = method_owner(m->part[i], t);

		if (owner)
			return owner;
	}
	if (param_at(m, t, &at) || tensors_have(&m->fixed, t) || tensors_have(&m->leaves, t))
		return (struct method *)(uintptr_t)m;
	return NULL;
}

struct method *method_sitter(const struct method *m, const struct site *s)
{
	for (size_t i = 0; i < m->nparts; i++) {
		struct method *sitter = method_sitter(m->part[i], s);

		if (sitter)
			return sitter;
	}
	for (size_t i = 0; i < m->nsite; i++) {
		if (m->site[i] == s)
			return (struct method *)(uintptr_t)m;
	}
	return NULL;
}
