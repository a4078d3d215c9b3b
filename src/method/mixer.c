/*
 * Adapter fusion in one sublayer.
 *
 *     q = z Wq^T + bq      k_i = u_i Wk^T + bk      v_i = u_i Wv^T
 *     p = softmax(q . k_i / T)                      h + sum_i p_i v_i takes h's place
 *
 * z is what the adapters read, u_i what they make of it without their residual.
 * There is no 1/sqrt(d), and dropout falls on the scores. Wv begins as the
 * identity, with 1e-6 beside the diagonal.
 *
 * The adapters' tensors stay as they were read, for the method's own folder; for
 * the op they are put side by side, their scales in them.
 */
#include "method/mixer.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "method/look.h"
#include "tensor/kernel.h"

struct mixer_inside {
	struct bottleneck **item; /* [fusion.n] */
	size_t *which;            /* [fusion.n] of all adapters */
	struct fusion fusion;
	struct tensor *down, *down_bias, *up; /* the adapters side by side: fusion's */
	struct tensor *query, *query_bias;
	double *share;         /* [LOOKED, fusion.n] the mean of p over an example's rows */
	double spread[LOOKED]; /* the mean entropy of p */
	bool seen[LOOKED];
};

/* ---- a pass ---- */

/* p [N,n] of the rows of z. */
struct sight {
	struct mixer_inside *in;
	const float *p;
};

static void look_at(void *arg, int64_t from, int64_t to, uint32_t place)
{
	const struct sight *v = arg;
	const int64_t n = v->in->fusion.n;
	double *share = v->in->share + place * n, spread = 0;

	memset(share, 0, (size_t)n * sizeof(*share));
	for (int64_t i = from * n; i < to * n; i++) {
		const double p = (double)v->p[i];

		share[i % n] += p / (double)(to - from);
		spread -= p > 0 ? p * log(p) / (double)(to - from) : 0;
	}
	v->in->spread[place] = spread;
	v->in->seen[place] = true;
}

static struct tensor *mix(struct graph *g, struct site *s, const struct sublayer *in)
{
	const struct mixer *x = s->state;
	struct mixer_inside *own = x->inside;
	struct tensor *z = bottleneck_input(g, x->how->trained->item[0].how.place, in);
	struct fusion fusion = own->fusion;
	const float *p = NULL;
	struct tensor *y;

	fusion.temperature = x->how->temperature ? x->how->temperature->data[0] : 1;
	y = op_fusion(g, z, op_linear(g, z, own->query, own->query_bias), &fusion, &p);
	if (y)
		look(g, z, look_at, &(struct sight){ own, p });
	return x->value ? op_add_linear(g, in->h, y, &(struct add_linear){ .w = x->value, .by = 1 })
			: op_add(g, in->h, y);
}

static const struct hooks hooks = { .output = mix };

/* ---- the adapters ---- */

/* Those that have a part here. */
static int read_adapters(struct method *m, const struct trained_list *all, struct mixer_inside *x,
			 const char *module)
{
	struct fusion_part *part = method_alloc(m, all->n * sizeof(*part));
	int code = TT_OK;

	x->item = method_alloc(m, all->n * sizeof(struct bottleneck *));
	x->which = method_alloc(m, all->n * sizeof(*x->which));
	if (!part || !x->item || !x->which)
		return TT_NOMEM;
	x->fusion.part = part;
	for (size_t i = 0; !code && i < all->n; i++) {
		const struct trained *t = &all->item[i];
		const char *own = arena_printf(m->model->arena, "%s.%s", module, t->name);

		if (!own)
			return TT_NOMEM;
		if (!trained_has(t, module))
			continue;
		code = bottleneck_frozen(m, &t->how, own, &x->item[x->fusion.n]);
		if (!code)
			code = trained_read(t, module, x->item[x->fusion.n]);
		part[x->fusion.n] = (struct fusion_part){ t->how.size, t->how.kind };
		x->which[x->fusion.n++] = i;
	}
	return code;
}

/* What column c of an adapter's result is multiplied by. */
static float scale_of(const struct bottleneck *b, int64_t column)
{
	if (!b->scale)
		return (float)b->how->by;
	return b->scale->data[tensor_count(b->scale) > 1 ? column : 0];
}

void mixer_follow(const struct mixer *x)
{
	const struct mixer_inside *own = x->inside;
	const int64_t hidden = own->down->dim[1], wide = own->up->dim[1];
	int64_t at = 0;

	for (int64_t i = 0; i < own->fusion.n; i++) {
		const struct bottleneck *b = own->item[i];
		const int64_t k = b->how->size;

		memcpy(own->down->data + at * hidden, b->down->data,
		       (size_t)(k * hidden) * sizeof(float));
		memcpy(own->down_bias->data + at, b->down_bias->data, (size_t)k * sizeof(float));
		for (int64_t o = 0; o < hidden; o++) {
			float *up = own->up->data + o * wide + at;

			kernel_axpby(up, 0, scale_of(b, o), b->up->data + o * k, k);
			up[k] = scale_of(b, o) * b->up_bias->data[o];
		}
		at += k + 1;
	}
}

static int new_stacks(struct method *m, struct mixer *x)
{
	struct mixer_inside *own = x->inside;
	const int64_t hidden = m->model->hp.hidden_size;
	int64_t wide = 0;

	for (int64_t i = 0; i < own->fusion.n; i++)
		wide += own->fusion.part[i].size + 1;
	own->down = model_new_tensor(m->model, x->site, 2, (int64_t[]){ wide, hidden });
	own->down_bias = model_new_tensor(m->model, x->site, 1, (int64_t[]){ wide });
	own->up = model_new_tensor(m->model, x->site, 2, (int64_t[]){ hidden, wide });
	if (!own->down || !own->down_bias || !own->up)
		return TT_NOMEM;
	own->fusion.down = own->down;
	own->fusion.down_bias = own->down_bias;
	own->fusion.up = own->up;
	mixer_follow(x);
	return TT_OK;
}

/* ---- what is learned ---- */

static int new_attention(struct method *m, struct mixer *x, const char *module)
{
	struct mixer_inside *own = x->inside;
	const int64_t d = m->model->hp.hidden_size, square[2] = { d, d };

	own->query = method_param(m, module, "query.weight", 2, square, INIT_NORMAL, 0.02);
	own->query_bias = method_param(m, module, "query.bias", 1, &d, INIT_ZERO, 0);
	own->fusion.key = method_param(m, module, "key.weight", 2, square, INIT_NORMAL, 0.02);
	own->fusion.key_bias = method_param(m, module, "key.bias", 1, &d, INIT_ZERO, 0);
	if (!own->query || !own->query_bias || !own->fusion.key || !own->fusion.key_bias)
		return TT_NOMEM;
	if (!x->how->has_value)
		return TT_OK;
	x->value = method_param(m, module, "value.weight", 2, square, INIT_ZERO, 0);
	for (int64_t i = 0; x->value && i < d * d; i++)
		x->value->data[i] = i / d == i % d ? 1 : 1e-6f;
	return x->value ? TT_OK : TT_NOMEM;
}

/* With its adapters read; none has a part here: fusion.n is 0. */
static int new_inside(struct method *m, const struct mixer_how *how, const char *site,
		      struct mixer_inside **ret)
{
	struct mixer_inside *own = method_alloc(m, sizeof(*own));
	const char *module = arena_printf(m->model->arena, "%s.adapters", site);
	int code;

	if (!own || !module)
		return TT_NOMEM;
	own->fusion.dropout = how->dropout;
	code = read_adapters(m, how->trained, own, module);
	own->share = method_alloc(m, (size_t)(LOOKED * own->fusion.n) * sizeof(*own->share));
	*ret = own;
	return !code && !own->share ? TT_NOMEM : code;
}

int mixer_new(struct method *m, const struct mixer_how *how, struct site *s, struct mixer **ret)
{
	struct mixer *x = method_alloc(m, sizeof(*x));
	const char *module = arena_printf(m->model->arena, "%s.adapter_fusion_layer", s->name);
	int code;

	*ret = NULL;
	if (!x || !module)
		return TT_NOMEM;
	*x = (struct mixer){ .how = how, .site = s->name };
	code = new_inside(m, how, s->name, &x->inside);
	if (code || !x->inside->fusion.n)
		return code;
	code = new_stacks(m, x);
	if (!code)
		code = new_attention(m, x, module);
	if (!code)
		code = method_plug(m, s, &hooks, x);
	if (!code)
		*ret = x;
	return code;
}

/* ---- for a panel ---- */

/* Over the examples that were looked at; NAN: none was. */
static double mean_of(const struct mixer_inside *x, const double *value, int64_t stride)
{
	double sum = 0;
	int n = 0;

	for (int place = 0; place < LOOKED; place++) {
		if (!x->seen[place])
			continue;
		sum += value[place * stride];
		n++;
	}
	return n ? sum / n : (double)NAN;
}

double mixer_share(const struct mixer *x, size_t adapter)
{
	const struct mixer_inside *own = x->inside;

	for (int64_t i = 0; i < own->fusion.n; i++) {
		if (own->which[i] == adapter)
			return mean_of(own, own->share + i, own->fusion.n);
	}
	return (double)NAN;
}

double mixer_entropy(const struct mixer *x) { return mean_of(x->inside, x->inside->spread, 1); }

double mixer_drift(const struct mixer *x)
{
	double square = 0;

	if (!x->value)
		return 0;
	square = kernel_sum_squares(x->value->data, tensor_count(x->value));
	for (int64_t i = 0; i < x->value->dim[0]; i++)
		square += 1 - 2 * (double)x->value->data[i * (x->value->dim[1] + 1)];
	return sqrt(fmax(square, 0));
}
