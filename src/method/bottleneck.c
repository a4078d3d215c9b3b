/*
 * Bottleneck adapters: where they sit, their parameters and their part of a pass.
 */
#include "method/bottleneck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "method/gating.h"
#include "method/look.h"
#include "method/panel.h"
#include "tensor/kernel.h"

struct bottleneck_look {
	double added[LOOKED], beside[LOOKED]; /* sums of squares: of a(x), of h */
	bool seen[LOOKED];
	bool *alive; /* [LOOKED, k]: the unit did something; NULL: it always does */
};

/* ---- where ---- */

/* The last sublayer of a layer is its feed-forward part. */
static bool feeds_forward(const struct model *m, const struct site *s)
{
	const struct site *next = model_group(m, SITE_SUBLAYER, s);

	return !next || next->layer != s->layer;
}

static bool left_out(const struct bottleneck_how *how, int layer)
{
	for (size_t i = 0; i < how->leave_out.n; i++) {
		if (how->leave_out.item[i] == layer)
			return true;
	}
	return false;
}

struct site *bottleneck_site(const struct model *m, const struct bottleneck_how *how,
			     const struct site *after)
{
	struct site *s = model_group(m, SITE_SUBLAYER, after);

	while (s &&
	       (left_out(how, s->layer) || (how->place != PLACE_HOULSBY && !feeds_forward(m, s))))
		s = model_group(m, SITE_SUBLAYER, s);
	return s;
}

/* ---- parameters ---- */

/* A parameter, or (frozen) a tensor of zeros that does not train. */
static struct tensor *tensor(struct method *m, const struct bottleneck *b, const char *leaf,
			     int64_t rows, int64_t cols, enum method_init how, double bound)
{
	const int64_t dim[2] = { rows, cols };
	const int rank = cols ? 2 : 1;

	return b->frozen ? method_fixed(m, b->site, leaf, rank, dim, INIT_ZERO, 0, true)
			 : method_param(m, b->site, leaf, rank, dim, how, bound);
}

static int new_scale(struct method *m, struct bottleneck *b)
{
	const int64_t n = b->how->scaling == SCALING_CHANNEL ? m->model->hp.hidden_size : 1;

	if (b->how->scaling == SCALING_FIXED)
		return TT_OK;
	b->scale = tensor(m, b, "scaling", n, 0, INIT_ZERO, 0);
	for (int64_t i = 0; b->scale && i < n; i++)
		b->scale->data[i] = 1;
	return b->scale ? TT_OK : TT_NOMEM;
}

static int new_tensors(struct method *m, struct bottleneck *b)
{
	static const enum method_init hows[] = { [BOTTLENECK_BERT] = INIT_NORMAL,
						 [BOTTLENECK_MAM] = INIT_UNIFORM,
						 [BOTTLENECK_HOULSBY] = INIT_CUT_NORMAL };
	const enum bottleneck_init init = b->how->init;
	const int64_t hidden = m->model->hp.hidden_size, k = b->how->size;
	const double bound = init == BOTTLENECK_BERT  ? 0.02
			     : init == BOTTLENECK_MAM ? 1 / sqrt((double)hidden)
						      : 0.01;

	b->down = tensor(m, b, "adapter_down.0.weight", k, hidden, hows[init], bound);
	b->down_bias = tensor(m, b, "adapter_down.0.bias", k, 0, INIT_ZERO, 0);
	b->up = tensor(m, b, "adapter_up.weight", hidden, k,
		       init == BOTTLENECK_MAM ? INIT_ZERO : hows[init], bound);
	b->up_bias = tensor(m, b, "adapter_up.bias", hidden, 0, INIT_ZERO, 0);
	return b->down && b->down_bias && b->up && b->up_bias ? new_scale(m, b) : TT_NOMEM;
}

int bottleneck_frozen(struct method *m, const struct bottleneck_how *how, const char *module,
		      struct bottleneck **ret)
{
	struct bottleneck *b = method_alloc(m, sizeof(*b));

	if (!b)
		return TT_NOMEM;
	*b = (struct bottleneck){ .how = how, .frozen = true };
	b->site = arena_text(m->model->arena, module);
	*ret = b;
	return b->site ? new_tensors(m, b) : TT_NOMEM;
}

int bottleneck_new(struct method *m, const struct bottleneck_how *how, const char *module,
		   struct bottleneck **ret)
{
	struct bottleneck *b = method_alloc(m, sizeof(*b));
	int code;

	if (!b)
		return TT_NOMEM;
	*b = (struct bottleneck){ .how = how, .look = method_alloc(m, sizeof(*b->look)) };
	b->site = arena_text(m->model->arena, module);
	code = b->look && b->site ? new_tensors(m, b) : TT_NOMEM;
	if (!code && how->kind == ACT_RELU) {
		b->look->alive = method_alloc(m, (size_t)(LOOKED * how->size));
		code = b->look->alive ? TT_OK : TT_NOMEM;
	}
	if (!code && how->gated)
		code = gating_new(m, module, m->model->hp.hidden_size, &b->gate);
	if (!code)
		*ret = b;
	return code;
}

/* ---- a pass ---- */

struct tensor *bottleneck_input(struct graph *g, enum bottleneck_place place,
				const struct sublayer *in)
{
	switch (place) {
	case PLACE_HOULSBY: return in->h;
	case PLACE_PFEIFFER:
		return op_layer_norm(g, in->h, in->u, in->norm->weight, in->norm->bias, in->eps);
	default: return in->x;
	}
}

/* What is looked at: h, the adapter's inner numbers t, and h with what was added. */
struct sight {
	const struct bottleneck *b;
	const struct tensor *h, *t, *y;
};

static void look_at(void *arg, int64_t from, int64_t to, uint32_t place)
{
	const struct sight *v = arg;
	const int64_t cols = tensor_cols(v->h), k = tensor_cols(v->t);
	struct bottleneck_look *l = v->b->look;

	l->seen[place] = true;
	l->added[place] = 0;
	l->beside[place] = kernel_sum_squares(v->h->data + from * cols, (to - from) * cols);
	for (int64_t i = from * cols; i < to * cols; i++) {
		const double a = (double)v->y->data[i] - (double)v->h->data[i];

		l->added[place] += a * a;
	}
	for (int64_t c = 0; l->alive && c < k; c++) {
		bool *alive = l->alive + place * k + c;

		*alive = false;
		for (int64_t i = from; i < to && !*alive; i++)
			*alive = v->t->data[i * k + c] > 0;
	}
}

struct tensor *bottleneck_add(struct graph *g, const struct bottleneck *b, struct tensor *h,
			      struct tensor *x)
{
	struct tensor *gate = b->gate ? gating_rows(g, b->gate, x) : NULL;
	const struct add_linear how = {
		.w = b->up,
		.b = b->up_bias,
		.scale = b->scale,
		.gate = gate,
		.by = (float)b->how->by,
		.dropout = (float)b->how->dropout,
	};
	struct tensor *t = op_activation_over(g, op_linear(g, x, b->down, b->down_bias),
					      b->how->kind);
	struct tensor *y = b->gate && !gate ? NULL : op_add_linear(g, h, t, &how);

	if (y)
		look(g, h, look_at, &(struct sight){ b, h, t, y });
	return y;
}

/* ---- the panel ---- */

/* |a(x)| / |h| over the rows that were looked at; NAN: none was. */
static double ratio(const struct bottleneck_look *l)
{
	double added = 0, beside = 0;

	for (int row = 0; row < LOOKED; row++) {
		added += l->seen[row] ? l->added[row] : 0;
		beside += l->seen[row] ? l->beside[row] : 0;
	}
	return beside > 0 ? sqrt(added / beside) : (double)NAN;
}

/* How many units did nothing on any of these rows. */
static int64_t dead_units(const struct bottleneck *b)
{
	int64_t dead = 0;

	for (int64_t c = 0; c < b->how->size; c++) {
		bool alive = false;

		for (int row = 0; row < LOOKED && !alive; row++)
			alive = b->look->seen[row] && b->look->alive[row * b->how->size + c];
		dead += !alive;
	}
	return dead;
}

static void say(const struct watch *out, const char *name, const char *what, double value)
{
	char key[128];

	snprintf(key, sizeof(key), "method/%s/%s", name, what);
	out->metric(out->arg, key, value);
}

static void watch_scales(struct bottleneck *const *b, size_t n, const char *name,
			 const struct watch *out)
{
	double least = INFINITY, most = -INFINITY, sum = 0;
	int64_t all = 0;

	for (size_t i = 0; i < n; i++) {
		const struct tensor *s = b[i]->scale;

		for (int64_t k = 0; s && k < tensor_count(s); k++, all++) {
			least = fmin(least, (double)s->data[k]);
			most = fmax(most, (double)s->data[k]);
			sum += (double)s->data[k];
		}
	}
	if (!all)
		return;
	say(out, name, "scale_mean", sum / (double)all);
	say(out, name, "scale_min", least);
	say(out, name, "scale_max", most);
}

void bottleneck_watch(struct method *m, struct bottleneck *const *b, size_t n, const char *name,
		      const struct watch *out)
{
	char key[128];
	struct panel p = { .out = out, .key = key };
	int64_t dead = 0, units = 0;

	snprintf(key, sizeof(key), "method/%s/ratio", name);
	for (size_t i = 0; i < n; i++) {
		const double r = ratio(b[i]->look);

		if (isnan(r))
			continue;
		if (r > 1)
			panel_alarm(m, out, BOTTLENECK_ALARM_RATIO,
				    "%s: '%s' adds %.3g times as much as is there; lower "
				    "train.learning_rate or peft.scaling",
				    name, b[i]->site, r);
		panel_add(&p, b[i]->site, r);
		dead += b[i]->look->alive ? dead_units(b[i]) : 0;
		units += b[i]->look->alive ? b[i]->how->size : 0;
	}
	panel_end(&p);
	if (units)
		say(out, name, "dead_units", (double)dead / (double)units);
	watch_scales(b, n, name, out);
}
