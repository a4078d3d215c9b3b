/*
 * Optimizers. AdamW (but for ADAMW_TRANSFORMERS) and SGD are torch's, Adafactor is transformers' with
 * scale_parameter and relative_step off (formats-and-models 6.1 to 6.4).
 *
 * Every parameter is cut into pieces of PIECE numbers; the pool takes pieces in
 * any order, but what a piece computes is its own, and the norm's partial sums
 * are added in the order of the pieces. Adafactor needs means over rows and
 * columns, so there one parameter is one piece.
 */
#include "train/optim.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fs.h"
#include "tensor/kernel.h"
#include "tensor/leaves.h"
#include "tensor/sparse.h"

enum { PIECE = 1 << 16, STATES = 2 };

/* The state of one parameter. AdamW: m, v. SGD: velocity. Adafactor: row and column means, or v. */
struct slot {
	float *state[STATES];
	int64_t count[STATES];
	struct fs_room room[STATES]; /* what holds a big one */
	const char *kind[STATES];
};

struct piece {
	size_t param;
	int64_t from, n;
};

struct optim {
	struct arena *arena;
	const struct train_settings *how;
	struct tensor *const *param;
	struct optim_rule *rule;
	struct slot *slot;
	size_t n;
	struct piece *piece;
	double *sum; /* [pieces] of squares */
	size_t pieces;
	/* What the pool is at work on. */
	double lr, by;
	int64_t step;
};

/* ---- making ---- */

/* Leading dimensions, rows and columns as Adafactor sees them. */
struct shape {
	int64_t lead, rows, cols;
};

static struct shape shape_of(const struct tensor *t)
{
	struct shape s = { 1, 1, 1 };

	if (t->rank < 2)
		return (struct shape){ 1, 1, tensor_count(t) };
	s.cols = t->dim[t->rank - 1];
	s.rows = t->dim[t->rank - 2];
	for (int i = 0; i < t->rank - 2; i++)
		s.lead *= t->dim[i];
	return s;
}

static int slot_add(struct optim *o, struct slot *s, int at, const char *kind, int64_t n)
{
	s->kind[at] = kind;
	s->count[at] = n;
	if (n > LEAF_BIG) {
		if (fs_room_open(NULL, (size_t)n * sizeof(float), &s->room[at]))
			return err_in("the optimizer's state");
		s->state[at] = s->room[at].data;
		return TT_OK;
	}
	s->state[at] = arena_zero(o->arena, (size_t)n, sizeof(float));
	return s->state[at] ? TT_OK : err_in("the optimizer's state");
}

static int slot_make(struct optim *o, struct slot *s, const struct tensor *t)
{
	const struct shape shape = shape_of(t);
	int rc = TT_OK;

	switch (o->how->optim) {
	case OPTIM_ADAMW:
		rc = slot_add(o, s, 0, "m", tensor_count(t));
		return rc ? rc : slot_add(o, s, 1, "v", tensor_count(t));
	case OPTIM_SGD:
		return o->how->sgd_momentum != 0 ? slot_add(o, s, 0, "velocity", tensor_count(t))
						 : TT_OK;
	case OPTIM_ADAFACTOR:
		if (t->rank < 2)
			return slot_add(o, s, 0, "v", tensor_count(t));
		rc = slot_add(o, s, 0, "row", shape.lead * shape.rows);
		return rc ? rc : slot_add(o, s, 1, "column", shape.lead * shape.cols);
	default:
		return err_set(
			TT_INVALID,
			"train.optim adamw_8bit is not in this version; adamw and adafactor are");
	}
}

int64_t optim_numbers(const struct train_settings *how, const struct tensor *t)
{
	const struct shape shape = shape_of(t);

	switch (how->optim) {
	case OPTIM_SGD: return how->sgd_momentum != 0 ? tensor_count(t) : 0;
	case OPTIM_ADAFACTOR:
		return t->rank < 2 ? tensor_count(t) : shape.lead * (shape.rows + shape.cols);
	default: return 2 * tensor_count(t);
	}
}

static size_t cut(const struct optim *o, struct piece *ret)
{
	size_t pieces = 0;

	for (size_t i = 0; i < o->n; i++) {
		const int64_t all = tensor_count(o->param[i]);

		for (int64_t from = 0; from < all; from += PIECE) {
			if (ret)
				ret[pieces] = (struct piece){ i, from,
							      all - from < PIECE ? all - from
										 : PIECE };
			pieces++;
		}
	}
	return pieces;
}

static int make(struct optim *o, const struct optim_rule *rule)
{
	o->pieces = cut(o, NULL);
	o->rule = arena_zero(o->arena, o->n, sizeof(*o->rule));
	o->slot = arena_zero(o->arena, o->n, sizeof(*o->slot));
	o->piece = arena_zero(o->arena, o->pieces, sizeof(*o->piece));
	o->sum = arena_zero(o->arena, o->pieces, sizeof(*o->sum));
	if (!o->rule || !o->slot || !o->piece || !o->sum)
		return err_in("the optimizer");
	cut(o, o->piece);
	for (size_t i = 0; i < o->n; i++) {
		const int rc = slot_make(o, &o->slot[i], o->param[i]);

		if (rc)
			return rc;
		o->rule[i] = rule[i];
	}
	return TT_OK;
}

int optim_new(const struct train_settings *how, struct tensor *const *param,
	      const struct optim_rule *rule, size_t n, struct optim **ret)
{
	struct optim *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return err_set(TT_NOMEM, "not enough memory for the optimizer");
	o->how = how;
	o->param = param;
	o->n = n;
	o->arena = arena_new();
	rc = o->arena ? make(o, rule) : err_set(TT_NOMEM, "not enough memory for the optimizer");
	if (rc) {
		optim_free(o);
		return rc;
	}
	*ret = o;
	return TT_OK;
}

void optim_free(struct optim *o)
{
	if (!o)
		return;
	for (size_t i = 0; o->slot && i < o->n; i++)
		for (int k = 0; k < STATES; k++)
			fs_room_close(&o->slot[i].room[k]);
	arena_free(o->arena);
	free(o);
}

/* ---- gradients ---- */

static void square_piece(void *arg, int i, int thread)
{
	struct optim *o = arg;
	const struct piece *p = &o->piece[i];

	(void)thread;
	o->sum[i] = kernel_sum_squares(o->param[p->param]->grad + p->from, p->n);
}

double optim_norm(struct optim *o, struct pool *pool)
{
	double sum = 0;

	pool_run(pool, (int)o->pieces, square_piece, o);
	for (size_t i = 0; i < o->pieces; i++)
		sum += o->sum[i];
	return sqrt(sum);
}

static void scale_piece(void *arg, int i, int thread)
{
	struct optim *o = arg;
	const struct piece *p = &o->piece[i];
	float *grad = o->param[p->param]->grad + p->from;
	const float by = (float)o->by;

	(void)thread;
	for (int64_t at = 0; at < p->n; at += SPARSE_PART) {
		float *part = grad + at;
		const int64_t n = sparse_part(at, p->n);

		if (sparse_rests(part, n))
			continue;
		for (int64_t k = 0; k < n; k++)
			part[k] *= by;
	}
}

void optim_scale(struct optim *o, struct pool *pool, double by)
{
	o->by = by;
	pool_run(pool, (int)o->pieces, scale_piece, o);
}

/* ---- updates ---- */

/* Gradient and moments of a part are 0: they will be afterwards, and need not be written. */
static bool adamw_rests(const struct tensor *t, const struct slot *s, int64_t from, int64_t n)
{
	return sparse_rests(t->grad + from, n) && sparse_rests(s->state[0] + from, n) &&
	       sparse_rests(s->state[1] + from, n);
}

/* The parameter alone, which may decay. */
static void adamw_resting(const struct tensor *t, int64_t from, int64_t n,
			  const struct kernel_adamw *how)
{
	float still[2][SPARSE_PART] = { { 0 } };

	kernel_adamw(t->data + from, still[0], still[1], t->grad + from, how, n);
}

static void adamw_range(const struct tensor *t, const struct slot *s, int64_t from, int64_t to,
			const struct kernel_adamw *how)
{
	int64_t end;

	for (int64_t at = from; at < to; at = end) {
		end = at + sparse_part(at, to);
		if (adamw_rests(t, s, at, end - at)) {
			adamw_resting(t, at, end - at, how);
			continue;
		}
		while (end < to && !adamw_rests(t, s, end, sparse_part(end, to)))
			end += sparse_part(end, to);
		kernel_adamw(t->data + at, s->state[0] + at, s->state[1] + at, t->grad + at, how,
			     end - at);
	}
}

/* The only epsilon that ADAMW_TRANSFORMERS is ever given. */
static const double transformers_eps = 1e-6;

static void adamw_piece(void *arg, int i, int thread)
{
	const struct optim *o = arg;
	const struct piece *p = &o->piece[i];
	const struct tensor *t = o->param[p->param];
	const struct slot *s = &o->slot[p->param];
	const struct optim_rule *rule = &o->rule[p->param];
	const bool late = rule->form == ADAMW_TRANSFORMERS;
	const struct kernel_adamw how = {
		.lr = o->lr * rule->scale,
		.beta1 = o->how->adam_beta1,
		.beta2 = o->how->adam_beta2,
		.eps = late ? transformers_eps : o->how->adam_epsilon,
		.decay = rule->decay,
		.grad_scale = 1,
		.step = o->step,
		.late = late,
	};

	(void)thread;
	adamw_range(t, s, p->from, p->from + p->n, &how);
}

static void sgd_piece(void *arg, int i, int thread)
{
	const struct optim *o = arg;
	const struct piece *p = &o->piece[i];
	const struct tensor *t = o->param[p->param];
	const struct slot *s = &o->slot[p->param];
	const struct optim_rule *rule = &o->rule[p->param];
	const struct kernel_sgd how = {
		.lr = o->lr * rule->scale,
		.momentum = o->how->sgd_momentum,
		.decay = rule->decay,
		.grad_scale = 1,
		.step = o->step,
	};

	(void)thread;
	kernel_sgd(t->data + p->from, s->state[0] ? s->state[0] + p->from : NULL, t->grad + p->from,
		   &how, p->n);
}

/* Adafactor's constants: transformers' defaults. */
static const double factor_eps = 1e-30, factor_clip = 1.0, factor_decay = -0.8;

/* Move the running means of rows and columns towards those of grad^2, for one matrix. */
static void factor_means(float *row, float *column, const float *grad, const struct shape *s,
			 double keep)
{
	for (int64_t i = 0; i < s->rows; i++) {
		double sum = 0;

		for (int64_t j = 0; j < s->cols; j++)
			sum += (double)grad[i * s->cols + j] * (double)grad[i * s->cols + j] +
			       factor_eps;
		row[i] = (float)(keep * (double)row[i] + (1 - keep) * sum / (double)s->cols);
	}
	for (int64_t j = 0; j < s->cols; j++) {
		double sum = 0;

		for (int64_t i = 0; i < s->rows; i++)
			sum += (double)grad[i * s->cols + j] * (double)grad[i * s->cols + j] +
			       factor_eps;
		column[j] = (float)(keep * (double)column[j] + (1 - keep) * sum / (double)s->rows);
	}
}

/*
 * grad becomes the update of one matrix, before its own clipping; returns the sum of
 * its squares.
 */
static double factor_update(float *grad, const float *row, const float *column,
			    const struct shape *s)
{
	double mean = 0, squares = 0;

	for (int64_t i = 0; i < s->rows; i++)
		mean += (double)row[i] / (double)s->rows;
	for (int64_t i = 0; i < s->rows; i++) {
		const double by_row = 1 / sqrt((double)row[i] / mean);

		for (int64_t j = 0; j < s->cols; j++) {
			const double u = (double)grad[i * s->cols + j] * by_row /
					 sqrt((double)column[j]);

			grad[i * s->cols + j] = (float)u;
			squares += u * u;
		}
	}
	return squares;
}

/* The same for a vector, whose squares are kept one by one. */
static double factor_vector(float *grad, float *v, int64_t n, double keep)
{
	double squares = 0;

	for (int64_t i = 0; i < n; i++) {
		const double g = (double)grad[i];
		double u;

		v[i] = (float)(keep * (double)v[i] + (1 - keep) * (g * g + factor_eps));
		u = g / sqrt((double)v[i]);
		grad[i] = (float)u;
		squares += u * u;
	}
	return squares;
}

/* A whole parameter; the gradient is used up. */
static void adafactor_param(void *arg, int at, int thread)
{
	const struct optim *o = arg;
	const struct tensor *t = o->param[at];
	const struct slot *slot = &o->slot[at];
	const struct shape s = shape_of(t);
	const int64_t n = tensor_count(t);
	const double lr = o->lr * o->rule[at].scale, keep = 1 - pow((double)o->step, factor_decay);
	double squares = 0, by;

	(void)thread;
	if (t->rank < 2)
		squares = factor_vector(t->grad, slot->state[0], n, keep);
	for (int64_t m = 0; t->rank >= 2 && m < s.lead; m++) {
		float *grad = t->grad + m * s.rows * s.cols;
		float *row = slot->state[0] + m * s.rows, *column = slot->state[1] + m * s.cols;

		factor_means(row, column, grad, &s, keep);
		squares += factor_update(grad, row, column, &s);
	}
	by = lr / fmax(1, sqrt(squares / (double)n) / factor_clip);
	for (int64_t i = 0; i < n; i++) {
		const double p = (double)t->data[i];

		t->data[i] = (float)(p - o->rule[at].decay * lr * p - by * (double)t->grad[i]);
	}
}

void optim_step(struct optim *o, struct pool *pool, double lr, int64_t step)
{
	o->lr = lr;
	o->step = step;
	switch (o->how->optim) {
	case OPTIM_SGD: pool_run(pool, (int)o->pieces, sgd_piece, o); break;
	case OPTIM_ADAFACTOR: pool_run(pool, (int)o->n, adafactor_param, o); break;
	default: pool_run(pool, (int)o->pieces, adamw_piece, o);
	}
}

void optim_reset(struct optim *o)
{
	for (size_t i = 0; i < optim_state_count(o); i++) {
		const struct optim_state s = optim_state(o, i);

		sparse_clear(s.data, s.n);
	}
}

/* ---- state ---- */

size_t optim_state_count(const struct optim *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		for (int k = 0; k < STATES; k++)
			n += o->slot[i].state[k] != NULL;
	return n;
}

struct optim_state optim_state(const struct optim *o, size_t i)
{
	for (size_t at = 0; at < o->n; at++)
		for (int k = 0; k < STATES; k++)
			if (o->slot[at].state[k] && !i--)
				return (struct optim_state){ o->param[at], o->slot[at].kind[k],
							     o->slot[at].state[k],
							     o->slot[at].count[k] };
	return (struct optim_state){ 0 };
}

/* ---- decay ---- */

static bool ends_with(const char *s, size_t n, const char *end)
{
	const size_t m = strlen(end);

	return n >= m && !memcmp(s + n - m, end, m);
}

bool optim_decays(const char *name)
{
	char low[512];
	size_t n = 0;

	for (; name[n] && n + 1 < sizeof(low); n++)
		low[n] = (char)tolower((unsigned char)name[n]);
	low[n] = 0;
	if (strstr(low, "bias") || strstr(low, "layernorm") || strstr(low, "rmsnorm"))
		return false;
	/* a part between dots that is "norm" or ends in "_norm" */
	for (const char *part = low; *part;) {
		const size_t size = strcspn(part, ".");

		if ((size == 4 && !memcmp(part, "norm", 4)) || ends_with(part, size, "_norm"))
			return false;
		part += size;
		part += *part == '.';
	}
	return true;
}
