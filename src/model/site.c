/* The sockets: who sits in them, and what happens when nobody does. */
#include "model/site.h"

#include "base/err.h"

int site_plug(struct site *s, const struct hooks *hooks, void *state)
{
	if (s->hooks)
		return err_set(TT_INVALID, "site '%s' already carries a method", s->name);
	s->hooks = hooks;
	s->state = state;
	return TT_OK;
}

void site_unplug(struct site *s)
{
	s->hooks = NULL;
	s->state = NULL;
}

struct tensor *site_base(struct graph *g, struct site *s, struct tensor *x)
{
	return op_linear(g, x, s->weight, s->bias);
}

struct tensor *site_linear(struct graph *g, struct site *s, struct tensor *x)
{
	if (s->hooks && s->hooks->linear)
		return s->hooks->linear(g, s, x);
	return site_base(g, s, x);
}

bool site_has_prompt(const struct site *s)
{
	return s->hooks && (s->hooks->prompt || s->hooks->prompts);
}

struct tensor *site_prompt(struct graph *g, struct site *s, const struct batch *b, int64_t *ret_n)
{
	struct tensor *rows;

	if (!site_has_prompt(s))
		return NULL;
	rows = s->hooks->prompts ? s->hooks->prompts(g, s, b) : s->hooks->prompt(g, s);
	if (rows)
		*ret_n = tensor_rows(rows) / (s->hooks->prompts ? b->seqs : 1);
	return rows;
}

struct tensor *site_norm(struct graph *g, struct site *s, struct tensor *x, float dropout,
			 struct tensor *r, float eps)
{
	if (s->hooks && s->hooks->norm)
		return s->hooks->norm(g, s, x, dropout, r, eps);
	return op_layer_norm_dropped(g, x, dropout, r, s->weight, s->bias, eps);
}

bool site_attend(struct graph *g, struct site *s, struct attended *at)
{
	if (s->hooks && s->hooks->attend)
		return s->hooks->attend(g, s, at);
	return true;
}

struct tensor *site_sublayer(struct graph *g, struct site *s, const struct sublayer *in)
{
	struct sublayer at = *in;
	struct tensor *y;

	if (s->hooks && s->hooks->output) {
		at.h = op_dropout(g, in->h, in->dropout);
		at.dropout = 0;
		at.h = s->hooks->output(g, s, &at);
	}
	y = site_norm(g, at.norm, at.h, at.dropout, at.u, at.eps);
	if (at.h != in->h)
		graph_done(g, at.h);
	return y;
}

struct tensor *site_embed(struct graph *g, struct site *s, const int32_t *id, struct tensor *e)
{
	if (s->hooks && s->hooks->embed)
		return s->hooks->embed(g, s, id, e);
	return e;
}
