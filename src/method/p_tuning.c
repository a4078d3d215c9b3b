/*
 * P-Tuning: a soft prompt that a small network makes out of an embedding.
 *
 *     MLP     P = W4 relu(W2 relu(W0 E + b0) + b2) + b4
 *     LSTM    P = W2 relu(W0 [forward(E), backward(E)] + b0) + b2
 *
 * The LSTM runs over the prompt's own rows, in both directions and
 * encoder_num_layers deep, with dropout between its layers. P depends on
 * parameters alone, so it is made once a step, backward through time included.
 * It stands before the text as with prompt tuning; the paper's own places inside
 * a template are not PEFT's.
 */
#include "method/softprompt.h"

#include <math.h>
#include <stdio.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"
#include "method/nearest.h"
#include "tensor/op.h"

enum { MLP, LSTM };
enum { LAYERS_DEFAULT = 2, LAYERS_MAX = 16, HEAD_MAX = 3 };

struct p_tuning_settings {
	struct softprompt_settings common;
	int encoder_reparameterization_type;
	int64_t encoder_hidden_size; /* KNOB_NONE: the model's hidden size */
	int64_t encoder_num_layers;
	double encoder_dropout;
};

struct p_tuning {
	struct softprompt rows;
	struct nearest *nearest;
	struct tensor *made; /* what the shards read */
	struct lstm lstm[LAYERS_MAX][2];
	struct softprompt_linear head[HEAD_MAX];
	struct origin origin; /* of the rows, for dropout */
};

#define AT(member) offsetof(struct p_tuning_settings, member)

static const struct knob knobs[] = {
#include "method/softprompt_knobs.inc"
	{ "encoder_reparameterization_type", KNOB_CHOICE, AT(encoder_reparameterization_type), MLP,
	  0, LSTM, 0, "MLP|LSTM", NULL, "the network that makes the prompt" },
	{ "encoder_hidden_size", KNOB_INT, AT(encoder_hidden_size), 0, 1, 65536, KNOB_OPTIONAL,
	  NULL, NULL, "its hidden size; absent: the model's" },
	{ "encoder_num_layers", KNOB_INT, AT(encoder_num_layers), LAYERS_DEFAULT, 1, LAYERS_MAX, 0,
	  NULL, NULL, "layers of an LSTM; an MLP always has three" },
	{ "encoder_dropout", KNOB_REAL, AT(encoder_dropout), 0, 0, 1, KNOB_OPEN_MAX, NULL, NULL,
	  "dropout between the layers of an LSTM; an MLP has none" },
	{ 0 }
};

static int64_t hidden_size(const struct method *m)
{
	const struct p_tuning_settings *set = m->settings;

	return set->encoder_hidden_size == KNOB_NONE ? m->model->hp.hidden_size
						     : set->encoder_hidden_size;
}

/* ---- its parameters ---- */

static struct tensor *lstm_param(struct method *m, const char *what, int layer, int way, int rank,
				 int64_t d0, int64_t d1)
{
	const char *name = arena_printf(m->model->arena, "lstm_head.%s_l%d%s", what, layer,
					way ? "_reverse" : "");

	return name ? softprompt_param(m, name, rank, (int64_t[]){ d0, d1 }, INIT_UNIFORM,
				       1 / sqrt((double)hidden_size(m)))
		    : NULL;
}

static int new_lstm(struct method *m, struct p_tuning *p)
{
	const struct p_tuning_settings *set = m->settings;
	const int64_t h = hidden_size(m);

	for (int i = 0; i < (int)set->encoder_num_layers; i++) {
		const int64_t in = i ? 2 * h : m->model->hp.hidden_size;

		for (int way = 0; way < 2; way++) {
			struct lstm *l = &p->lstm[i][way];

			l->w_ih = lstm_param(m, "weight_ih", i, way, 2, 4 * h, in);
			l->w_hh = lstm_param(m, "weight_hh", i, way, 2, 4 * h, h);
			l->b_ih = lstm_param(m, "bias_ih", i, way, 1, 4 * h, 0);
			l->b_hh = lstm_param(m, "bias_hh", i, way, 1, 4 * h, 0);
			if (!l->w_ih || !l->w_hh || !l->b_ih || !l->b_hh)
				return TT_NOMEM;
		}
	}
	return TT_OK;
}

/* The linear layers; in PEFT's list every second place is a ReLU. */
static int new_head(struct method *m, struct p_tuning *p, const int64_t *size, int n)
{
	int code = TT_OK;

	for (int i = 0; !code && i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "mlp_head.%d", 2 * i);
		code = softprompt_linear(m, name, size[i + 1], size[i], false, &p->head[i]);
	}
	return code;
}

static int new_encoder(struct method *m, struct p_tuning *p)
{
	const struct p_tuning_settings *set = m->settings;
	const int64_t h = hidden_size(m), wide = m->model->hp.hidden_size;
	int code;

	if (set->encoder_reparameterization_type == MLP) {
		if (set->encoder_num_layers != LAYERS_DEFAULT)
			method_note(m, "peft.encoder_num_layers is not used: an MLP has three "
				       "layers");
		return new_head(m, p, (int64_t[]){ wide, h, h, wide }, 3);
	}
	code = new_lstm(m, p);
	return code ? code : new_head(m, p, (int64_t[]){ 2 * h, 2 * h, wide }, 2);
}

/* No row of a data set has such a number, so no mask of the model is drawn again here. */
static int new_origin(struct method *m, int64_t n, struct origin *ret)
{
	uint32_t *example = method_alloc(m, (size_t)n * sizeof(*example)),
		 *place = method_alloc(m, (size_t)n * sizeof(*place));

	if (!example || !place)
		return TT_NOMEM;
	for (int64_t i = 0; i < n; i++) {
		example[i] = UINT32_MAX;
		place[i] = (uint32_t)i;
	}
	*ret = (struct origin){ example, place };
	return TT_OK;
}

/* ---- the method ---- */

static struct tensor *p_tuning_rows(struct graph *g, struct site *s)
{
	const struct p_tuning *p = s->state;

	(void)g;
	return p->made;
}

static const struct hooks hooks = { .prompt = p_tuning_rows };

static int p_tuning_begin(struct method *m)
{
	const struct p_tuning_settings *set = m->settings;
	const int64_t n = set->common.num_virtual_tokens, wide = m->model->hp.hidden_size;
	struct p_tuning *p = method_alloc(m, sizeof(*p));
	int code = p ? softprompt_check(m) : TT_NOMEM;

	m->state = p;
	if (!code)
		code = softprompt_sit(m, n, &hooks, p);
	if (!code)
		code = softprompt_new(
			m, &(struct softprompt_how){ .rows = n, .wide = wide, .encoded = true },
			&p->rows);
	if (!code)
		code = new_encoder(m, p);
	if (!code)
		code = new_origin(m, n, &p->origin);
	if (code)
		return code;
	p->made = method_new_made(m, "prompt", 2, (int64_t[]){ n, wide });
	return p->made ? nearest_new(m, &p->nearest) : TT_NOMEM;
}

/* Both directions of every layer, with dropout before each but the first. */
static struct tensor *run_lstm(struct graph *step, const struct p_tuning *p,
			       const struct p_tuning_settings *set)
{
	struct tensor *x = p->rows.embedding;

	for (int i = 0; i < (int)set->encoder_num_layers; i++) {
		if (i)
			x = op_dropout(step, x, (float)set->encoder_dropout);
		x = op_beside(step, op_lstm(step, x, &p->lstm[i][0], false),
			      op_lstm(step, x, &p->lstm[i][1], true));
		if (x)
			x->origin = &p->origin;
	}
	return x;
}

static struct tensor *encode(struct method *m, struct graph *step)
{
	const struct p_tuning_settings *set = m->settings;
	const bool mlp = set->encoder_reparameterization_type == MLP;
	struct p_tuning *p = m->state;
	struct tensor *x = mlp ? p->rows.embedding : run_lstm(step, p, set);

	for (int i = 0; i < HEAD_MAX && p->head[i].w; i++) {
		if (i)
			x = op_activation(step, x, ACT_RELU);
		x = softprompt_apply(step, x, &p->head[i]);
	}
	return x;
}

static int p_tuning_before_step(struct method *m, struct graph *step)
{
	struct p_tuning *p = m->state;
	struct tensor *made = softprompt_encodes(&p->rows) ? encode(m, step) : NULL;

	return method_make(m, p->made, softprompt_rows(&p->rows, made));
}

static int p_tuning_after_step(struct method *m, int64_t step)
{
	struct p_tuning *p = m->state;

	(void)step;
	softprompt_note(m, &p->rows);
	return TT_OK;
}

static int p_tuning_loaded(struct method *m, bool encoder)
{
	struct p_tuning *p = m->state;

	return softprompt_loaded(m, &p->rows, encoder,
				 "only trimtab writes that file, PEFT does not");
}

static int p_tuning_config(const struct method *m, struct jsonw *w)
{
	static const char *const type[] = { "MLP", "LSTM" };
	const struct p_tuning_settings *set = m->settings;

	jsonw_key(w, "encoder_dropout");
	adapter_write_float(w, set->encoder_dropout);
	jsonw_key(w, "encoder_hidden_size");
	jsonw_int(w, hidden_size(m));
	jsonw_key(w, "encoder_num_layers");
	jsonw_int(w, set->encoder_num_layers);
	jsonw_key(w, "encoder_reparameterization_type");
	jsonw_text(w, type[set->encoder_reparameterization_type]);
	return softprompt_config(m, w);
}

/* The encoder's file says by its names and shapes what it is; without it, it does not matter. */
static int p_tuning_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "encoder_dropout", "encoder_hidden_size",
					     "encoder_num_layers",
					     "encoder_reparameterization_type" };

	return softprompt_agrees(m, config, known, COUNT(known));
}

static void p_tuning_watch(struct method *m, const struct watch *out)
{
	struct p_tuning *p = m->state;

	nearest_watch(p->nearest, p->rows.table, m->ops->name, out);
	softprompt_watch(&p->rows, m->ops->name, out);
}

const struct method_ops method_p_tuning = {
	.name = "p_tuning",
	.title = "P-Tuning",
	.cite = "Liu et al. 2021",
	.peft_type = "P_TUNING",
	.lists_heads_twice = true,
	.knobs = knobs,
	.settings_size = sizeof(struct p_tuning_settings),
	.takes_modules_to_save = true,
	.seated = true,
	.begin = p_tuning_begin,
	.before_step = p_tuning_before_step,
	.after_step = p_tuning_after_step,
	.config = p_tuning_config,
	.agrees = p_tuning_agrees,
	.file_name = softprompt_file_name,
	.encoder_name = softprompt_encoder_name,
	.loaded = p_tuning_loaded,
	.watch = p_tuning_watch,
};
