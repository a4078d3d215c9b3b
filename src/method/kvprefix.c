/*
 * A prefix of keys and values in every attention:
 *
 *     K' = [P_k; K]      V' = [P_v; V]      [P_k, P_v] = n rows and 2 H columns of P [n, 2 L H]
 *
 * P trains itself, or P = W2 tanh(W0 E + b0) + b2 with an embedding E [n, H]. It
 * depends on parameters alone, so it is made once a step. Each layer gets its
 * columns as a leaf of its own: so small a leaf has a buffer in every shard, and
 * shards need not wait for one another in backward.
 *
 * How much attention the prefix gets (He et al. 2022: the output is (1 - m) of
 * the text's and m of the prefix's) is looked at in evaluations, on their first
 * rows: each row has a place of its own, whatever thread it is in.
 */
#include "method/kvprefix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/log.h"
#include "method/gating.h"
#include "method/panel.h"
#include "tensor/kernel.h"
#include "tensor/op.h"

enum {
	LOOKED = 32, /* rows of an evaluation whose attention is looked at */
	PANEL = 27   /* numbers of single layers that a panel has room for */
};

static const double too_little = 0.001, too_much = 0.9;

/* One attention. */
struct layer {
	struct kvprefix *of;
	struct site *site;
	struct tensor *rows; /* [n, 2 H], made every step */
	struct gating *gate; /* NULL: none */
	double *mass;        /* [LOOKED, heads]: what the prefix gets of a row's attention */
	bool seen[LOOKED];
	bool warned;
};

struct kvprefix {
	struct softprompt table;
	struct kvprefix_how how;
	int64_t layers, cols, heads;
	struct layer *layer;
	struct softprompt_linear first, second; /* of the encoder */
};

/* ---- how much attention ---- */

/* Of one query, over all keys; the prefix's are the first n. scores [keys] is scratch. */
static double mass_of(const float *q, const float *k, int64_t keys, int64_t n, int64_t cols,
		      int64_t depth, double *scores)
{
	const double scale = 1 / sqrt((double)depth);
	double most = -INFINITY, all = 0, some = 0;

	for (int64_t i = 0; i < keys; i++) {
		scores[i] = scale * (double)kernel_dot(q, k + i * cols, depth);
		most = fmax(most, scores[i]);
	}
	for (int64_t i = 0; i < keys; i++) {
		const double e = exp(scores[i] - most);

		all += e;
		some += i < n ? e : 0;
	}
	return some / all;
}

/* The mean over a sequence's queries, head by head. */
static void look_at(struct layer *l, const struct attended *at, int64_t s, uint32_t row,
		    double *scores)
{
	const int64_t cols = l->of->cols, heads = l->of->heads, depth = cols / heads;
	const int64_t keys = at->start[s + 1] - at->start[s], from = at->qstart[s],
		      queries = at->qstart[s + 1] - from;

	for (int64_t h = 0; h < heads; h++) {
		double sum = 0;

		for (int64_t i = 0; i < queries; i++)
			sum += mass_of(at->q->data + (from + i) * cols + h * depth,
				       at->k->data + at->start[s] * cols + h * depth, keys,
				       l->of->how.n, cols, depth, scores);
		l->mass[row * heads + h] = queries ? sum / (double)queries : 0;
	}
	l->seen[row] = queries > 0;
}

/* text: the offsets of what x holds, to know who a sequence is; at has the longer keys. */
static bool look(struct graph *g, struct layer *l, const struct attended *at, const int64_t *text)
{
	const struct origin *who = at->x->origin;

	if (graph_pass(g)->train || !who || !at->q)
		return true;
	for (int64_t s = 0; s < at->seqs; s++) {
		const uint32_t row = who->example[text[s]];
		double *scores;

		if (row >= LOOKED)
			continue;
		scores = graph_alloc(g,
				     (size_t)(at->start[s + 1] - at->start[s]) * sizeof(*scores));
		if (!scores)
			return false;
		look_at(l, at, s, row, scores);
	}
	return true;
}

/* ---- in an attention ---- */

/* The copies for each sequence are told apart by its example and their place. */
static const struct origin *copies(struct graph *g, const struct attended *at, int64_t n)
{
	const size_t rows = (size_t)(at->seqs * n);
	uint32_t *example = graph_alloc(g, rows * sizeof(*example)),
		 *place = graph_alloc(g, rows * sizeof(*place));
	struct origin *o = graph_alloc(g, sizeof(*o));

	if (!example || !place || !o)
		return NULL;
	for (size_t i = 0; i < rows; i++) {
		example[i] = at->x->origin->example[at->start[i / (size_t)n]];
		place[i] = (uint32_t)(i % (size_t)n);
	}
	*o = (struct origin){ example, place };
	return o;
}

/* What stands before the sequences: the layer's rows, or of them a copy for each that differs from the others'. */
static struct tensor *rows_for(struct graph *g, const struct layer *l, const struct attended *at)
{
	const struct kvprefix_how *how = &l->of->how;
	const bool drops = graph_pass(g)->train && how->dropout > 0;
	struct tensor *gate = l->gate ? gating_seqs(g, l->gate, at->x) : NULL;
	const struct origin *origin = NULL;

	if (!at->x || (l->gate && !gate))
		return NULL;
	if (!drops && !gate)
		return l->rows;
	if (drops) {
		origin = copies(g, at, how->n);
		if (!origin)
			return NULL;
	}
	return op_dropout(g, op_repeat(g, l->rows, gate, at->seqs, origin), how->dropout);
}

static bool attend(struct graph *g, struct site *s, struct attended *at)
{
	struct layer *l = s->state;
	struct tensor *rows = rows_for(g, l, at);
	struct prepend how = { .seqs = at->seqs, .n = l->of->how.n, .start = at->start };
	const int64_t *start = prepend_starts(g, &how);

	if (!rows || !start)
		return false;
	at->k = op_prepend(g, at->k, rows, &how);
	how.at = l->of->cols;
	at->v = op_prepend(g, at->v, rows, &how);
	at->start = start;
	return at->k && at->v && look(g, l, at, how.start);
}

static const struct hooks hooks = { .attend = attend };

/* ---- making it ---- */

static int new_encoder(struct method *m, struct kvprefix *p)
{
	const int code = softprompt_linear(m, "transform.0", p->how.hidden, p->cols, false,
					   &p->first);

	return code ? code
		    : softprompt_linear(m, "transform.2", p->layers * 2 * p->cols, p->how.hidden,
					p->how.zero, &p->second);
}

static int new_layer(struct method *m, struct kvprefix *p, struct site *s, struct layer *l)
{
	const int64_t dim[2] = { p->how.n, 2 * p->cols };
	const char *name = arena_printf(m->model->arena, "%s.prefix", s->name);
	int code = TT_OK;

	*l = (struct layer){ .of = p, .site = s };
	l->rows = name ? method_new_made(m, name, 2, dim) : NULL;
	l->mass = method_alloc(m, (size_t)(LOOKED * p->heads) * sizeof(*l->mass));
	if (!l->rows || !l->mass)
		return TT_NOMEM;
	if (p->how.gated)
		code = gating_new(m, name, p->cols, &l->gate);
	return code ? code : method_plug(m, s, &hooks, l);
}

static int64_t count_layers(const struct model *m)
{
	int64_t n = 0;

	for (const struct site *s = NULL; (s = model_group(m, SITE_ATTENTION, s));)
		n++;
	return n;
}

static int new_table(struct method *m, struct kvprefix *p)
{
	const struct softprompt_how how = {
		.rows = p->how.n,
		.wide = p->layers * 2 * p->cols,
		.encoded = p->how.hidden > 0,
		.init = p->how.zero ? INIT_ZERO : INIT_NORMAL,
		.bound = 1,
	};
	int code = p->how.in_place ? TT_OK : softprompt_shift(m, p->how.n);

	if (!code)
		code = softprompt_new(m, &how, &p->table);
	return code || !how.encoded ? code : new_encoder(m, p);
}

int kvprefix_begin(struct method *m, const struct kvprefix_how *how)
{
	struct kvprefix *p = method_alloc(m, sizeof(*p));
	struct site *s = NULL;
	int code;

	if (!p)
		return TT_NOMEM;
	*p = (struct kvprefix){
		.how = *how,
		.layers = count_layers(m->model),
		.cols = m->model->hp.hidden_size,
		.heads = m->model->hp.num_attention_heads,
	};
	if (!p->layers)
		return err_set(TT_INVALID, "method '%s' finds no attention in models of type '%s'",
			       m->ops->name, m->model->hp.model_type);
	code = new_table(m, p);
	p->layer = method_alloc(m, (size_t)p->layers * sizeof(*p->layer));
	if (!code && !p->layer)
		code = TT_NOMEM;
	for (int64_t i = 0; !code && i < p->layers; i++) {
		s = model_group(m->model, SITE_ATTENTION, s);
		code = new_layer(m, p, s, &p->layer[i]);
	}
	if (!code)
		m->state = p;
	return code;
}

static struct tensor *encode(struct graph *step, const struct kvprefix *p)
{
	struct tensor *h = softprompt_apply(step, p->table.embedding, &p->first);

	return softprompt_apply(step, op_activation(step, h, ACT_TANH), &p->second);
}

int kvprefix_before_step(struct method *m, struct graph *step)
{
	struct kvprefix *p = m->state;
	struct tensor *made = softprompt_encodes(&p->table) ? encode(step, p) : NULL;
	struct tensor *rows = softprompt_rows(&p->table, made);
	int code = TT_OK;

	for (int64_t i = 0; !code && i < p->layers; i++)
		code = method_make(m, p->layer[i].rows,
				   op_columns(step, rows, i * 2 * p->cols, 2 * p->cols));
	return code;
}

int kvprefix_after_step(struct method *m, int64_t step)
{
	struct kvprefix *p = m->state;

	(void)step;
	softprompt_note(m, &p->table);
	return TT_OK;
}

struct softprompt *kvprefix_table(struct kvprefix *p) { return &p->table; }

/* ---- adapter_config.json ---- */

int kvprefix_config(const struct method *m, struct jsonw *w, bool projected, int64_t hidden,
		    bool zero)
{
	jsonw_key(w, "encoder_hidden_size");
	jsonw_int(w, hidden);
	jsonw_key(w, "init_weights");
	jsonw_text(w, zero ? "zero" : NULL);
	jsonw_key(w, "prefix_projection");
	jsonw_bool(w, projected);
	return softprompt_config(m, w);
}

/* The prefix in a file is the same however it was made. */
int kvprefix_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "encoder_hidden_size", "init_weights",
					     "prefix_projection" };

	return softprompt_agrees(m, config, known, COUNT(known));
}

/* ---- the panel ---- */

/* A number of every layer; the name of the site tells which. */
static void watch_layers(const struct kvprefix *p, const char *name, const char *what, bool brief,
			 double (*number)(const struct layer *l), const struct watch *out)
{
	char key[96];
	struct panel panel = { .out = out, .key = key, .brief = brief };

	snprintf(key, sizeof(key), "method/%s/%s", name, what);
	for (int64_t i = 0; i < p->layers; i++) {
		const double value = number(&p->layer[i]);

		if (!isnan(value))
			panel_add(&panel, p->layer[i].site->name, value);
	}
	panel_end(&panel);
}

/* The mean length of the columns from `from` on. */
static double mean_norm(const struct layer *l, int64_t from)
{
	const int64_t n = l->of->how.n, cols = l->of->cols;
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += sqrt(kernel_sum_squares(l->rows->data + i * 2 * cols + from, cols));
	return sum / (double)n;
}

static double key_norm(const struct layer *l) { return mean_norm(l, 0); }

static double value_norm(const struct layer *l) { return mean_norm(l, l->of->cols); }

/* Over rows and heads; NAN: no evaluation came by. */
static double mean_mass(const struct layer *l)
{
	const int64_t heads = l->of->heads;
	double sum = 0;
	int64_t n = 0;

	for (int64_t row = 0; row < LOOKED; row++) {
		for (int64_t h = 0; l->seen[row] && h < heads; h++, n++)
			sum += l->mass[row * heads + h];
	}
	return n ? sum / (double)n : (double)NAN;
}

static void warn(struct layer *l)
{
	const double mass = mean_mass(l);

	if (l->warned || isnan(mass) || (mass >= too_little && mass <= too_much))
		return;
	l->warned = true;
	log_line("the prefix in %s gets %.2g %% of the attention: %s", l->site->name, 100 * mass,
		 mass < too_little ? "it does hardly anything" : "hardly any is left for the text");
}

void kvprefix_watch(struct kvprefix *p, const char *name, const struct watch *out)
{
	const bool brief = 3 * p->layers > PANEL;

	watch_layers(p, name, "attention", p->layers > PANEL, mean_mass, out);
	watch_layers(p, name, "key_norm", brief, key_norm, out);
	watch_layers(p, name, "value_norm", brief, value_norm, out);
	softprompt_watch(&p->table, name, out);
	for (int64_t i = 0; i < p->layers; i++)
		warn(&p->layer[i]);
}

void kvprefix_watch_gates(struct method *m, const struct kvprefix *p, const struct watch *out)
{
	struct gating_panel panel;

	gating_panel_begin(&panel, m, out);
	for (int64_t i = 0; p->how.gated && i < p->layers; i++)
		gating_panel_add(&panel, p->layer[i].gate);
	gating_panel_end(&panel, 0);
}
