/* Sockets: one owner each, the base path when nobody sits there, and hooks that see what they should. */
#include "tests/check.h"

#include "base/err.h"
#include "model/site.h"

static struct tensor *twice(struct graph *g, struct site *s, struct tensor *x)
{
	return op_scale(g, site_base(g, s, x), 2);
}

static struct tensor *add_one_row(struct graph *g, struct site *s, const int32_t *id,
				  struct tensor *e)
{
	struct tensor *t = graph_tensor(g, tensor_rows(e), tensor_cols(e), false);

	if (!t)
		return NULL;
	for (int64_t i = 0; i < tensor_count(t); i++)
		t->data[i] = (float)id[i / tensor_cols(t)] + *(const float *)s->state;
	return op_add(g, e, t);
}

static void second_method_is_refused(void)
{
	static const struct hooks hooks = { .linear = twice };
	struct site s = { .name = "layer.0.attn.q" };
	int state = 7;

	CHECK(site_plug(&s, &hooks, &state) == TT_OK);
	CHECK(s.state == &state);
	CHECK(site_plug(&s, &hooks, NULL) == TT_INVALID);
	CHECK_STR(err_text(), "site 'layer.0.attn.q' already carries a method");
	CHECK(s.state == &state);
	site_unplug(&s);
	CHECK(!s.hooks && !s.state);
	CHECK(site_plug(&s, &hooks, NULL) == TT_OK);
}

static void paths(struct graph *g)
{
	static const struct hooks linear = { .linear = twice }, embed = { .embed = add_one_row };
	float w_data[] = { 1, 2, 3, 4, 5, 6 }, b_data[] = { 10, 20 }, x_data[] = { 1, 0, -1 };
	struct tensor w = { .rank = 2, .dim = { 2, 3 }, .data = w_data, .slot = -1 };
	struct tensor b = { .rank = 1, .dim = { 2 }, .data = b_data, .slot = -1 };
	struct tensor x = { .rank = 2, .dim = { 1, 3 }, .data = x_data, .slot = -1 };
	struct site s = { .name = "s", .kind = SITE_LINEAR, .weight = &w, .bias = &b };
	const struct pass pass = { .train = false };
	const int32_t id[] = { 4 };
	float one = 1;
	const struct tensor *y;

	graph_begin(g, &pass, NULL, 0);
	y = site_linear(g, &s, &x);
	CHECK(y && y->data[0] == 8 && y->data[1] == 18);
	CHECK(site_embed(g, &s, id, &x) == &x);
	CHECK(site_plug(&s, &linear, NULL) == TT_OK);
	y = site_linear(g, &s, &x);
	CHECK(y && y->data[0] == 16 && y->data[1] == 36);
	CHECK(site_embed(g, &s, id, &x) == &x); /* a hook that is absent means the base path */
	site_unplug(&s);
	CHECK(site_plug(&s, &embed, &one) == TT_OK);
	y = site_embed(g, &s, id, &x);
	CHECK(y && y->data[0] == 6 && y->data[1] == 5 && y->data[2] == 4);
	y = site_linear(g, &s, &x);
	CHECK(y && y->data[0] == 8);
}

int main(void)
{
	struct gemm *gm = NULL;
	struct graph *g = NULL;

	second_method_is_refused();
	if (CHECK(gemm_open("ref", &gm) == TT_OK && graph_new(gm, &g) == TT_OK))
		paths(g);
	graph_free(g);
	gemm_close(gm);
	return check_done();
}
