/*
 * Rows of several methods in one pass.
 *
 * A host is one more model of the shared parameters. Where the parts differ (one of
 * them has hooks in a site, or a weight of its own) the host's site takes its rows
 * apart, one piece a part, lets each piece through the part's own site, and puts the
 * results together again. Everywhere else the rows stay together, so most products
 * have all of them, and base weights are read once for all parts. A row's part
 * follows from its origin, which activations have from the embedding on.
 *
 * Rows of an evaluation depend on no other rows, so each comes out as it does alone.
 */
#include "method/mixed.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "method/stages.h"

struct host {
	struct mixed *of;
	struct model *model;
	int like; /* the first of its parts */
};

/* The state of a host's site. */
struct fork {
	const struct host *host;
	size_t at; /* in model->site, the same in every model */
};

struct mixed {
	const struct model *base;
	const struct mixed_part *part;
	int n;
	const int32_t *who;
	struct host *host; /* [hosts] */
	int hosts;
	int *host_of; /* [n] */
};

static struct site *seat(const struct fork *f, int part)
{
	return &f->host->of->part[part].model->site[f->at];
}

/* ---- taking rows apart ---- */

static int whose(const struct fork *f, const struct tensor *x, int64_t row)
{
	return (int)f->host->of->who[x->origin->example[row]];
}

/* One past the last row, from `from` on, that has the same part. */
static int64_t piece_end(const struct fork *f, const struct tensor *x, int64_t from)
{
	const int part = whose(f, x, from);
	int64_t end = from + 1;

	while (end < tensor_rows(x) && whose(f, x, end) == part)
		end++;
	return end;
}

/* Rows of x where they are. Nobody may take their place while x is needed. */
static struct tensor *rows_of(struct graph *g, const struct tensor *x, int64_t from, int64_t n)
{
	struct tensor *t = graph_alloc(g, sizeof(*t));
	struct origin *o = graph_alloc(g, sizeof(*o));

	if (!t || !o)
		return NULL;
	*t = *x;
	t->rank = 2;
	t->dim[0] = n;
	t->dim[1] = tensor_cols(x);
	t->data += from * t->dim[1];
	t->kept = true;
	t->origin = NULL;
	if (x->origin) {
		*o = (struct origin){ x->origin->example + from, x->origin->pos + from };
		t->origin = o;
	}
	return t;
}

static void put_rows(struct tensor *to, int64_t from, const struct tensor *x)
{
	const int64_t cols = tensor_cols(to);

	memcpy(to->data + from * cols, x->data, (size_t)(tensor_rows(x) * cols) * sizeof(float));
}

/* What a part's site makes of a piece of x, which begins at row `from`. */
typedef struct tensor *piece(struct graph *g, struct site *s, struct tensor *x, int64_t from,
			     const void *arg);

static struct tensor *by_pieces(struct graph *g, struct site *s, struct tensor *x, piece *make,
				const void *arg)
{
	const struct fork *f = s->state;
	const int64_t rows = x ? tensor_rows(x) : 0;
	struct tensor *out = NULL;

	for (int64_t from = 0, end; from < rows; from = end) {
		struct tensor *in, *y;

		end = piece_end(f, x, from);
		if (end - from == rows)
			return make(g, seat(f, whose(f, x, 0)), x, 0, arg);
		in = rows_of(g, x, from, end - from);
		y = in ? make(g, seat(f, whose(f, x, from)), in, from, arg) : NULL;
		if (y && !out)
			out = graph_tensor_like(g, x, tensor_cols(y), false);
		if (!y || !out)
			return NULL;
		put_rows(out, from, y);
		if (y != in)
			graph_done(g, y);
	}
	return out;
}

static struct tensor *piece_linear(struct graph *g, struct site *s, struct tensor *x, int64_t from,
				   const void *arg)
{
	(void)from;
	(void)arg;
	return site_linear(g, s, x);
}

static struct tensor *mixed_linear(struct graph *g, struct site *s, struct tensor *x)
{
	return by_pieces(g, s, x, piece_linear, NULL);
}

static struct tensor *piece_embed(struct graph *g, struct site *s, struct tensor *e, int64_t from,
				  const void *arg)
{
	return site_embed(g, s, (const int32_t *)arg + from, e);
}

static struct tensor *mixed_embed(struct graph *g, struct site *s, const int32_t *id,
				  struct tensor *e)
{
	return by_pieces(g, s, e, piece_embed, id);
}

struct norm_call {
	struct tensor *r;
	float dropout, eps;
};

static struct tensor *piece_norm(struct graph *g, struct site *s, struct tensor *x, int64_t from,
				 const void *arg)
{
	const struct norm_call *c = arg;
	struct tensor *r = c->r ? rows_of(g, c->r, from, tensor_rows(x)) : NULL;

	return c->r && !r ? NULL : site_norm(g, s, x, c->dropout, r, c->eps);
}

static struct tensor *mixed_norm(struct graph *g, struct site *s, struct tensor *x, float dropout,
				 struct tensor *r, float eps)
{
	const struct norm_call call = { r, dropout, eps };

	return by_pieces(g, s, x, piece_norm, &call);
}

/* in, and where its norm is among the sites. */
struct sublayer_call {
	const struct fork *fork;
	const struct sublayer *in;
};

static struct tensor *piece_output(struct graph *g, struct site *s, struct tensor *h, int64_t from,
				   const void *arg)
{
	const struct sublayer_call *c = arg;
	struct site *first = s - c->fork->at; /* of the part's model */
	const int64_t n = tensor_rows(h);
	struct sublayer in = *c->in;

	if (!s->hooks || !s->hooks->output)
		return h;
	in.h = h;
	in.norm = first + (c->in->norm - c->fork->host->model->site);
	in.u = rows_of(g, c->in->u, from, n);
	in.x = c->in->x == c->in->u ? in.u : rows_of(g, c->in->x, from, n);
	return in.u && in.x ? s->hooks->output(g, s, &in) : NULL;
}

static struct tensor *mixed_output(struct graph *g, struct site *s, const struct sublayer *in)
{
	const struct sublayer_call call = { s->state, in };

	return by_pieces(g, s, in->h, piece_output, &call);
}

/* ---- prompts and attentions: by sequences ---- */

static struct tensor *mixed_prompts(struct graph *g, struct site *s, const struct batch *b)
{
	const struct fork *f = s->state;
	struct tensor *out = NULL;
	int64_t most = 0, n;

	for (int64_t i = 0; i < b->seqs; i++) {
		struct site *own = seat(f, (int)f->host->of->who[b->example[i]]);
		const struct tensor *rows = site_prompt(g, own, b, &n);

		if (rows && !out) {
			most = n;
			out = graph_tensor(g, b->seqs * n, tensor_cols(rows), false);
		}
		if (!rows || !out)
			return NULL;
		if (n != most) {
			err_set(TT_INVALID,
				"prompts of %lld and of %lld rows cannot be in one batch with "
				"prefixes that make up for it",
				(long long)most, (long long)n);
			return NULL;
		}
		put_rows(out, i * n, rows);
	}
	return out;
}

/* Sequences seq .. seq + at.seqs - 1, of one part. */
struct stretch {
	int64_t seq;
	struct attended at;
};

static int64_t *rebased(struct graph *g, const int64_t *start, int64_t n)
{
	int64_t *to = graph_alloc(g, (size_t)(n + 1) * sizeof(*to));

	for (int64_t i = 0; to && i <= n; i++)
		to[i] = start[i] - start[0];
	return to;
}

static bool take_stretch(struct graph *g, const struct attended *at, struct stretch *ret)
{
	const int64_t n = ret->at.seqs, *start = at->start + ret->seq, *q = at->qstart + ret->seq;

	ret->at.heads = at->heads;
	ret->at.start = rebased(g, start, n);
	ret->at.qstart = rebased(g, q, n);
	ret->at.x = rows_of(g, at->x, start[0], start[n] - start[0]);
	ret->at.k = rows_of(g, at->k, start[0], start[n] - start[0]);
	ret->at.v = rows_of(g, at->v, start[0], start[n] - start[0]);
	ret->at.q = rows_of(g, at->q, q[0], q[n] - q[0]);
	return ret->at.start && ret->at.qstart && ret->at.x && ret->at.k && ret->at.v && ret->at.q;
}

/* Keys and values of all stretches as those of one attention. */
static bool join(struct graph *g, const struct stretch *part, int64_t n, struct attended *at)
{
	int64_t *start = graph_alloc(g, (size_t)(at->seqs + 1) * sizeof(*start)), rows = 0;
	const int64_t cols = tensor_cols(at->k);
	struct tensor *k, *v;

	for (int64_t i = 0; start && i < n; i++) {
		for (int64_t s = 0; s < part[i].at.seqs; s++)
			start[part[i].seq + s] = rows + part[i].at.start[s];
		rows += part[i].at.start[part[i].at.seqs];
	}
	k = graph_tensor(g, rows, cols, false);
	v = graph_tensor(g, rows, cols, false);
	if (!start || !k || !v)
		return false;
	start[at->seqs] = rows;
	for (int64_t i = 0; i < n; i++) {
		put_rows(k, start[part[i].seq], part[i].at.k);
		put_rows(v, start[part[i].seq], part[i].at.v);
	}
	at->start = start;
	at->k = k;
	at->v = v;
	return true;
}

static int whose_sequence(const struct fork *f, const struct attended *at, int64_t seq)
{
	return whose(f, at->x, at->start[seq]);
}

static bool mixed_attend(struct graph *g, struct site *s, struct attended *at)
{
	const struct fork *f = s->state;
	struct stretch *part;
	int64_t n = 0;

	if (!at->x || !at->k || !at->v || !at->q)
		return false;
	part = graph_alloc(g, (size_t)at->seqs * sizeof(*part));
	for (int64_t i = 0, end; part && i < at->seqs; i = end, n++) {
		struct site *own = seat(f, whose_sequence(f, at, i));

		end = i + 1;
		while (end < at->seqs && whose_sequence(f, at, end) == whose_sequence(f, at, i))
			end++;
		if (end - i == at->seqs)
			return site_attend(g, own, at);
		part[n] = (struct stretch){ .seq = i, .at = { .seqs = end - i } };
		if (!take_stretch(g, at, &part[n]) || !site_attend(g, own, &part[n].at))
			return false;
	}
	return part && join(g, part, n, at);
}

static const struct hooks hooks = {
	.linear = mixed_linear,
	.embed = mixed_embed,
	.norm = mixed_norm,
	.attend = mixed_attend,
	.output = mixed_output,
};

static const struct hooks hooks_with_prompts = { .prompts = mixed_prompts };

/* ---- which sites ---- */

static bool other_numbers(const struct tensor *a, const struct tensor *b)
{
	return a && a->data != b->data;
}

/* Does a part's site do anything else than the base's? */
static bool differs(const struct site *base, const struct site *own)
{
	return own->hooks || other_numbers(own->weight, base->weight) ||
	       other_numbers(own->bias, base->bias);
}

/* Numbers that a model reads without asking the site. */
static int refuse_hidden(const struct mixed *x, const struct site *base, const struct mixed_part *p,
			 const struct site *own)
{
	const bool read = own->kind & SITE_EMBED ||
			  (own->kind & SITE_HEAD && x->base->head == HEAD_CLOZE);
	const struct tensor *t = other_numbers(own->weight, base->weight) ? own->weight : own->bias;

	if (!read ||
	    !(other_numbers(own->weight, base->weight) || other_numbers(own->bias, base->bias)))
		return TT_OK;
	return err_set(TT_INVALID,
		       "'%s' changes %s, which rows of several adapters cannot have each their "
		       "own of; use it alone",
		       p->name, t->name);
}

static int plug(const struct mixed *x, const struct host *h, size_t at)
{
	const struct site *base = &x->base->site[at];
	struct site *s = &h->model->site[at];
	struct fork *f;
	bool any = false;

	for (int i = 0; i < x->n; i++) {
		const struct site *own = &x->part[i].model->site[at];
		const int code = refuse_hidden(x, base, &x->part[i], own);

		if (code)
			return code;
		any = any || (&x->host[x->host_of[i]] == h && differs(base, own));
	}
	if (!any)
		return TT_OK;
	f = arena_alloc(h->model->arena, sizeof(*f));
	if (!f)
		return TT_NOMEM;
	*f = (struct fork){ h, at };
	return site_plug(s, s->kind & SITE_INPUT ? &hooks_with_prompts : &hooks, f);
}

/* ---- hosts ---- */

static bool prompts(const struct model *m)
{
	const struct site *s = model_group(m, SITE_INPUT, NULL);

	return s && site_has_prompt(s);
}

/* Can sequences of both be in one batch? */
static bool alike(const struct model *a, const struct model *b)
{
	return a->position_offset == b->position_offset && a->whole_rows == b->whole_rows &&
	       prompts(a) == prompts(b);
}

static int host_for(struct mixed *x, int part)
{
	const struct model *like = x->part[part].model;
	struct host *h = &x->host[x->hosts];
	int code;

	for (int i = 0; i < x->hosts; i++) {
		if (alike(like, x->part[x->host[i].like].model)) {
			x->host_of[part] = i;
			return TT_OK;
		}
	}
	*h = (struct host){ .of = x, .like = part };
	code = model_share(x->base, &h->model);
	if (code)
		return code;
	h->model->position_offset = like->position_offset;
	h->model->whole_rows = like->whole_rows;
	x->host_of[part] = x->hosts++;
	return model_prepare(h->model, false);
}

int mixed_new(const struct model *base, const struct mixed_part *part, int n, struct mixed **ret)
{
	struct mixed *x = calloc(1, sizeof(*x));
	int code = TT_OK;

	if (!x)
		return err_set(TT_NOMEM, "not enough memory for %d adapters", n);
	*x = (struct mixed){ .base = base, .part = part, .n = n };
	x->host = calloc((size_t)n, sizeof(*x->host));
	x->host_of = calloc((size_t)n, sizeof(*x->host_of));
	if (!x->host || !x->host_of)
		code = err_set(TT_NOMEM, "not enough memory for %d adapters", n);
	for (int i = 0; !code && i < n; i++)
		code = host_for(x, i);
	for (int k = 0; !code && k < x->hosts; k++)
		for (size_t at = 0; !code && at < base->nsite; at++)
			code = plug(x, &x->host[k], at);
	if (code)
		mixed_free(x);
	else
		*ret = x;
	return code;
}

void mixed_free(struct mixed *x)
{
	if (!x)
		return;
	for (int i = 0; x->host && i < x->hosts; i++)
		model_close(x->host[i].model);
	free(x->host);
	free(x->host_of);
	free(x);
}

int mixed_count(const struct mixed *x) { return x->n; }

int mixed_refresh(struct mixed *x)
{
	for (int i = 0; i < x->n; i++) {
		if (stage_refresh(x->part[i].method))
			return err_in("%s", x->part[i].name);
	}
	return TT_OK;
}

void mixed_assign(struct mixed *x, const int32_t *who) { x->who = who; }

struct model *mixed_host(const struct mixed *x, int part)
{
	return x->host[x->host_of[part]].model;
}
