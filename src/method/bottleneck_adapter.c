/*
 * Bottleneck adapters: a narrow layer beside the result of a sublayer.
 *
 *     a(x) = S (f(x d^T + b_d) u^T + b_u)
 *
 *     houlsby            LN(h + a(h) + u), after attention and after feed-forward
 *     pfeiffer           LN(h + a(LN(h + u)) + u), after feed-forward
 *     parallel           LN(h + a(x) + u), beside feed-forward; x is what that reads
 *     scaled_parallel    the same with S = 4 (He et al. 2022)
 *
 * h is the sublayer's result after dropout, u its residual; LN is the model's own,
 * in `pfeiffer` twice the same. PEFT has no such method: names and defaults are
 * those of AdapterHub. (The method's name is adapter; adapter.c is about folders.)
 */
#include "method/bottleneck.h"

#include <stddef.h>

#include "base/err.h"
#include "method/gating.h"

#define AT(member) offsetof(struct bottleneck_settings, member)

static const struct knob knobs[] = {
	{ "placement", KNOB_CHOICE, AT(placement), PLACE_PFEIFFER, 0, 3, 0,
	  "houlsby|pfeiffer|parallel|scaled_parallel", NULL,
	  "where adapters sit, what they read and what they are added to" },
	{ "reduction_factor", KNOB_REAL, AT(reduction_factor), 0, 0, 65536,
	  KNOB_OPTIONAL | KNOB_OPEN_MIN, NULL, NULL,
	  "the model's hidden size over the adapter's; absent: 16, or 2 where parallel" },
	{ "bottleneck_size", KNOB_INT, AT(bottleneck_size), 0, 1, 65536, KNOB_OPTIONAL, NULL, NULL,
	  "the adapter's own hidden size, instead of reduction_factor" },
	{ "non_linearity", KNOB_CHOICE, AT(non_linearity), 6, 0, 5, KNOB_OPTIONAL,
	  "relu|gelu|gelu_new|swish|silu|tanh", NULL,
	  "what is between the two layers; absent: swish for houlsby, else relu" },
	{ "scaling", KNOB_JSON, AT(scaling), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "factor of what is added: a number, learned, or channel (learned, one a column); absent: "
	  "4 for scaled_parallel, else 1" },
	{ "dropout", KNOB_REAL, AT(dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout on what is added" },
	{ "init_weights", KNOB_CHOICE, AT(init_weights), BOTTLENECK_BERT, 0, 2, 0,
	  "bert|mam_adapter|houlsby", NULL,
	  "first values: small normal, as LoRA's (nothing is added at first), or smaller" },
	{ "leave_out", KNOB_INTS, AT(leave_out), 0, 0, 65535, KNOB_OPTIONAL, NULL, NULL,
	  "numbers of the layers that get no adapter" },
	{ "modules_to_save", KNOB_TEXTS, AT(targeting.modules_to_save), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL,
	  "modules that train wholly and are saved with the adapter, beside the task's head" },
	{ 0 }
};

struct adapters {
	struct bottleneck_how how;
	struct bottleneck **item;
	size_t n;
};

static struct tensor *adapt(struct graph *g, struct site *s, const struct sublayer *in)
{
	const struct bottleneck *b = s->state;

	return bottleneck_add(g, b, in->h, bottleneck_input(g, b->how->place, in));
}

static const struct hooks hooks = { .output = adapt };

static int adapter_begin(struct method *m)
{
	struct adapters *a = method_alloc(m, sizeof(*a));
	struct site *s = NULL;
	int code;

	if (!a)
		return TT_NOMEM;
	m->state = a;
	a->item = method_alloc(m, m->model->nsite * sizeof(struct bottleneck *));
	if (!a->item)
		return TT_NOMEM;
	code = bottleneck_resolve(m->settings, m->model, &a->how);
	while (!code && (s = bottleneck_site(m->model, &a->how, s))) {
		const char *module = arena_printf(m->model->arena, "%s.adapters", s->name);

		code = module ? bottleneck_new(m, &a->how, module, &a->item[a->n]) : TT_NOMEM;
		if (!code)
			code = method_plug(m, s, &hooks, a->item[a->n++]);
	}
	if (!code && !a->n)
		return err_set(TT_INVALID, "method 'adapter' finds no sublayer to adapt in this "
					   "model, or peft.leave_out leaves none");
	return code;
}

static int adapter_config(const struct method *m, struct jsonw *w)
{
	const struct adapters *a = m->state;

	bottleneck_config(&a->how, w);
	return TT_OK;
}

static int adapter_agrees(const struct method *m, const struct json *config)
{
	const struct adapters *a = m->state;

	return bottleneck_agrees(&a->how, config);
}

static void adapter_watch(struct method *m, const struct watch *out)
{
	const struct adapters *a = m->state;
	struct gating_panel p;

	bottleneck_watch(m, a->item, a->n, "adapter", out);
	gating_panel_begin(&p, m, out);
	for (size_t i = 0; a->how.gated && i < a->n; i++)
		gating_panel_add(&p, a->item[i]->gate);
	gating_panel_end(&p, BOTTLENECK_ALARMS);
}

const struct method_ops method_bottleneck_adapter = {
	.name = "adapter",
	.title = "Bottleneck adapters",
	.cite = "Houlsby et al. 2019, Pfeiffer et al. 2020",
	.peft_type = "TRIMTAB_ADAPTER",
	.takes_modules_to_save = true,
	.seated = true,
	.knobs = knobs,
	.settings_size = sizeof(struct bottleneck_settings),
	.targeting_at = offsetof(struct bottleneck_settings, targeting),
	.begin = adapter_begin,
	.config = adapter_config,
	.agrees = adapter_agrees,
	.watch = adapter_watch,
};
