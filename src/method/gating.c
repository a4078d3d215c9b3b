/* Gates: their parameters, their part of a pass and of a panel. */
#include "method/gating.h"

#include <math.h>
#include <stdio.h>

#include "base/err.h"
#include "method/look.h"

struct gating {
	const char *module;
	struct tensor *w, *b;
	double *value; /* [LOOKED]; NAN: not seen */
};

static const double nearly_shut = 0.05, nearly_open = 0.95, stuck = 0.02;

int gating_new(struct method *m, const char *module, int64_t cols, struct gating **ret)
{
	const int64_t dim[2] = { 1, cols };
	struct gating *g = method_alloc(m, sizeof(*g));

	if (!g)
		return TT_NOMEM;
	g->module = arena_text(m->model->arena, module);
	g->w = method_param(m, module, "gate.weight", 2, dim, INIT_NORMAL, 0.02);
	g->b = method_param(m, module, "gate.bias", 1, dim, INIT_ZERO, 0);
	g->value = method_alloc(m, LOOKED * sizeof(*g->value));
	if (!g->module || !g->w || !g->b || !g->value)
		return TT_NOMEM;
	for (int i = 0; i < LOOKED; i++)
		g->value[i] = (double)NAN;
	/* a mean over the rows that one position's result needs would be another one */
	m->model->whole_rows = true;
	*ret = g;
	return TT_OK;
}

/* ---- a pass ---- */

struct sight {
	const struct gating *gate;
	const float *row; /* [N] */
};

static void look_at(void *arg, int64_t from, int64_t to, uint32_t place)
{
	const struct sight *s = arg;

	(void)to;
	s->gate->value[place] = (double)s->row[from];
}

struct tensor *gating_seqs(struct graph *g, const struct gating *gate, struct tensor *x)
{
	struct tensor *seqs = op_gate(g, x, gate->w, gate->b);
	const struct tensor *rows = graph_pass(g)->train ? seqs : op_gate_rows(g, seqs, x);

	if (rows)
		look(g, x, look_at, &(struct sight){ gate, rows->data });
	return rows ? seqs : NULL;
}

struct tensor *gating_rows(struct graph *g, const struct gating *gate, struct tensor *x)
{
	struct tensor *rows = op_gate_rows(g, op_gate(g, x, gate->w, gate->b), x);

	if (rows)
		look(g, x, look_at, &(struct sight){ gate, rows->data });
	return rows;
}

/* ---- the panel ---- */

void gating_panel_begin(struct gating_panel *p, struct method *m, const struct watch *out)
{
	*p = (struct gating_panel){ .m = m, .out = out };
	snprintf(p->key, sizeof(p->key), "method/%s/gate", m->ops->name);
	p->mean = (struct panel){ .out = out,
				  .key = p->key,
				  .brief = m->model->hp.num_hidden_layers > 12 };
}

void gating_panel_add(struct gating_panel *p, const struct gating *gate)
{
	double sum = 0, square = 0;
	int64_t n = 0;

	for (int i = 0; i < LOOKED; i++) {
		const double v = gate->value[i];

		if (isnan(v))
			continue;
		sum += v;
		square += v * v;
		p->shut += v < nearly_shut;
		p->open += v > nearly_open;
		n++;
	}
	if (!n)
		return;
	sum /= (double)n;
	panel_add(&p->mean, gate->module, sum);
	p->spread += sqrt(fmax(square / (double)n - sum * sum, 0));
	p->examples += n;
	p->gates++;
}

static void say(const struct gating_panel *p, const char *what, double value)
{
	char key[96];

	snprintf(key, sizeof(key), "%s_%s", p->key, what);
	p->out->metric(p->out->arg, key, value);
}

void gating_panel_end(struct gating_panel *p, int alarm)
{
	const double most = p->mean.most;

	if (!p->gates)
		return;
	panel_end(&p->mean);
	say(p, "std", p->spread / (double)p->gates);
	say(p, "shut", (double)p->shut / (double)p->examples);
	say(p, "open", (double)p->open / (double)p->examples);
	if (most < stuck)
		panel_alarm(p->m, p->out, alarm,
			    "%s: no gate lets through more than %.2g of what it has; leave the "
			    "method out, or lower train.learning_rate",
			    p->m->ops->name, most);
}
