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

struct tensor *site_embed(struct graph *g, struct site *s, const int32_t *id, struct tensor *e)
{
	if (s->hooks && s->hooks->embed)
		return s->hooks->embed(g, s, id, e);
	return e;
}
