/*
 * Rows that are learned for a frozen model to read: what their methods share.
 *
 * PEFT's adapter files hold the rows alone, under the name prompt_embeddings,
 * and a head one step nearer to the root than with other methods
 * (base_model.classifier.weight). Rows that an encoder makes are in the file as
 * it made them; the encoder is beside it, so that training can go on.
 */
#include "method/softprompt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "method/adapter.h"
#include "method/stages.h"
#include "tensor/kernel.h"
#include "tensor/op.h"

static const char table_name[] = "prompt_embeddings";
static const char encoder_mark[] = "prompt_encoder.";

/* ---- settings ---- */

/* What PEFT notes of the base model. */
struct count {
	const char *name;
	int64_t given, is; /* by the recipe (KNOB_NONE: not), and by the model */
};

enum { COUNTS = 4 };

static void counts_of(const struct method *m, struct count *ret)
{
	const struct softprompt_settings *set = m->settings;
	const struct hparams *h = &m->model->hp;

	ret[0] = (struct count){ "token_dim", set->token_dim, h->hidden_size };
	ret[1] = (struct count){ "num_layers", set->num_layers, h->num_hidden_layers };
	ret[2] = (struct count){ "num_attention_heads", set->num_attention_heads,
				 h->num_attention_heads };
	ret[3] = (struct count){ "num_transformer_submodules", set->num_transformer_submodules, 1 };
}

int softprompt_check(const struct method *m)
{
	struct count count[COUNTS];

	counts_of(m, count);
	for (int i = 0; i < COUNTS; i++) {
		if (count[i].given != KNOB_NONE && count[i].given != count[i].is)
			return err_set(TT_INVALID, "peft.%s is %lld, and the model's is %lld",
				       count[i].name, (long long)count[i].given,
				       (long long)count[i].is);
	}
	return TT_OK;
}

int softprompt_shift(struct method *m, int64_t n)
{
	struct model *model = m->model;
	const int64_t left = model->hp.max_position_embeddings - model->position_offset;

	if (n >= left)
		return err_set(TT_INVALID,
			       "peft.num_virtual_tokens is %lld, and the model has %lld positions: "
			       "none is left for the text",
			       (long long)n, (long long)left);
	model->position_offset += n;
	return TT_OK;
}

/* Lookups come in the order of use, words first. */
const struct tensor *softprompt_words(const struct method *m)
{
	return model_group(m->model, SITE_EMBED, NULL)->weight;
}

int softprompt_sit(struct method *m, int64_t n, const struct hooks *hooks, void *state)
{
	struct site *s = model_group(m->model, SITE_INPUT, NULL);
	const int64_t wide = m->model->hp.hidden_size;
	int code;

	if (!s || !model_group(m->model, SITE_EMBED, NULL))
		return err_set(TT_INVALID, "method '%s' finds no input in models of type '%s'",
			       m->ops->name, m->model->hp.model_type);
	if (tensor_cols(softprompt_words(m)) != wide)
		return err_set(TT_INVALID,
			       "method '%s' needs words as wide as the layers; this model's are "
			       "%lld wide, its layers %lld",
			       m->ops->name, (long long)tensor_cols(softprompt_words(m)),
			       (long long)wide);
	code = softprompt_shift(m, n);
	return code ? code : method_plug(m, s, hooks, state);
}

/* ---- the table ---- */

/* Two methods of a combination may have a table each. */
static const char *whose(const struct method *m) { return m->whole ? m->ops->name : NULL; }

static int new_table(struct method *m, const struct softprompt_how *how, struct softprompt *s)
{
	const int64_t dim[2] = { how->rows, how->wide };

	if (!how->encoded) {
		s->table = method_param(m, whose(m), table_name, 2, dim, how->init, how->bound);
		return s->table ? TT_OK : TT_NOMEM;
	}
	s->table = method_fixed(m, whose(m), table_name, 2, dim, INIT_ZERO, 0, false);
	s->embedding = softprompt_param(m, "embedding.weight", 2,
					(int64_t[]){ how->rows, m->model->hp.hidden_size },
					INIT_NORMAL, 1);
	return s->table && s->embedding ? TT_OK : TT_NOMEM;
}

/* What is learned of each row, and its first values. */
static struct tensor *learned(const struct softprompt *s)
{
	return s->embedding ? s->embedding : s->table;
}

void softprompt_remember(struct softprompt *s)
{
	memcpy(s->first, learned(s)->data, (size_t)tensor_count(learned(s)) * sizeof(float));
}

int softprompt_new(struct method *m, const struct softprompt_how *how, struct softprompt *ret)
{
	const char *kept = arena_printf(m->model->arena, "%s.gradient_norm", m->ops->name);

	*ret = (struct softprompt){ .scratch = method_alloc(m, (size_t)how->wide * sizeof(float)) };
	if (!kept || !ret->scratch || new_table(m, how, ret))
		return TT_NOMEM;
	ret->gradient = method_keep(m, kept, 1, (int64_t[]){ 1 });
	ret->first = method_alloc(m, (size_t)tensor_count(learned(ret)) * sizeof(float));
	if (!ret->gradient || !ret->first)
		return TT_NOMEM;
	softprompt_remember(ret);
	return TT_OK;
}

bool softprompt_encodes(const struct softprompt *s) { return s->embedding && !s->stored; }

struct tensor *softprompt_rows(struct softprompt *s, struct tensor *made)
{
	if (!softprompt_encodes(s))
		return s->table;
	if (made)
		memcpy(s->table->data, made->data, (size_t)tensor_count(s->table) * sizeof(float));
	return made;
}

/* ---- the panel ---- */

void softprompt_note(const struct method *m, struct softprompt *s)
{
	double sum = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		const struct tensor *t = m->param[i];

		if (t == s->table || strstr(t->name, encoder_mark))
			sum += kernel_sum_squares(t->grad, tensor_count(t));
	}
	s->gradient->data[0] = (float)sqrt(sum);
}

static double distance(const float *a, const float *b, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
	return sqrt(sum);
}

/*
 * The mean cosine between two rows: near 1, they are one row many times. By the
 * sum of the unit rows, whose square has every pair twice.
 */
static double likeness(const struct softprompt *s)
{
	const int64_t n = tensor_rows(s->table), cols = tensor_cols(s->table);

	if (n < 2)
		return 1;
	memset(s->scratch, 0, (size_t)cols * sizeof(float));
	for (int64_t i = 0; i < n; i++) {
		const float *row = s->table->data + i * cols;
		const double norm = sqrt(kernel_sum_squares(row, cols));

		kernel_axpby(s->scratch, 1, norm > 0 ? (float)(1 / norm) : 0, row, cols);
	}
	return (kernel_sum_squares(s->scratch, cols) - (double)n) / (double)(n * (n - 1));
}

void softprompt_watch(const struct softprompt *s, const char *name, const struct watch *out)
{
	const struct tensor *t = learned(s);
	const struct {
		const char *what;
		double value;
	} table[] = { { "cosine", likeness(s) },
		      { "change", distance(t->data, s->first, tensor_count(t)) },
		      { "grad_norm", (double)s->gradient->data[0] } };
	char key[128];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(key, sizeof(key), "method/%s/%s", name, table[i].what);
		out->metric(out->arg, key, table[i].value);
	}
}

/* ---- the encoder ---- */

struct tensor *softprompt_param(struct method *m, const char *name, int rank, const int64_t *dim,
				enum method_init how, double bound)
{
	const char *leaf = arena_printf(m->model->arena, "%s%s", encoder_mark, name);

	return leaf ? method_param(m, whose(m), leaf, rank, dim, how, bound) : NULL;
}

int softprompt_linear(struct method *m, const char *name, int64_t out, int64_t in, bool cleared,
		      struct softprompt_linear *ret)
{
	const enum method_init how = cleared ? INIT_ZERO : INIT_UNIFORM;
	const double bound = 1 / sqrt((double)in);
	const char *w = arena_printf(m->model->arena, "%s.weight", name),
		   *b = arena_printf(m->model->arena, "%s.bias", name);

	if (!w || !b)
		return TT_NOMEM;
	ret->w = softprompt_param(m, w, 2, (int64_t[]){ out, in }, how, bound);
	ret->b = softprompt_param(m, b, 1, (int64_t[]){ out }, how, bound);
	return ret->w && ret->b ? TT_OK : TT_NOMEM;
}

struct tensor *softprompt_apply(struct graph *step, struct tensor *x,
				const struct softprompt_linear *l)
{
	return op_linear(step, x, l->w, l->b);
}

/* ---- adapter folders ---- */

const char *softprompt_file_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	return method_before(m, t) ? arena_printf(a, "base_model.%s", t->name) : t->name;
}

const char *softprompt_encoder_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	const char *mark = strstr(t->name, encoder_mark);

	if (!mark || method_before(m, t))
		return NULL;
	return arena_printf(a, "%.*s%s", (int)(mark - t->name), t->name,
			    mark + sizeof(encoder_mark) - 1);
}

/* A hundredth of the largest number: what half precision leaves is far below, another encoder far above. */
static int check_made(struct method *m, struct softprompt *s)
{
	const size_t n = (size_t)tensor_count(s->table);
	float *file = method_alloc(m, n * sizeof(*file));
	double most = 0, apart = 0;

	if (!file)
		return TT_NOMEM;
	memcpy(file, s->table->data, n * sizeof(*file));
	if (stage_refresh(m))
		return err_in("the encoder");
	for (size_t i = 0; i < n; i++) {
		most = fmax(most, fabs((double)file[i]));
		apart = fmax(apart, fabs((double)file[i] - (double)s->table->data[i]));
	}
	if (apart <= 0.01 * most)
		return TT_OK;
	return err_set(TT_INVALID,
		       "prompt_encoder.safetensors does not make the prompt_embeddings of the "
		       "adapter: they are up to %.3g apart; the two files do not belong together",
		       apart);
}

int softprompt_loaded(struct method *m, struct softprompt *s, bool encoder, const char *advice)
{
	const char *why;
	int code = TT_OK;

	if (s->embedding && encoder) {
		code = check_made(m, s);
	} else if (s->embedding) {
		why = arena_printf(
			m->model->arena,
			"init_adapter holds a prompt without the encoder that made it "
			"(prompt_encoder.safetensors), so training cannot go on from it; %s",
			advice);
		s->stored = true;
		for (struct method *to = m; to; to = to->whole)
			to->untrainable = why;
		code = why ? TT_OK : TT_NOMEM;
	}
	softprompt_remember(s);
	return code;
}

int softprompt_config(const struct method *m, struct jsonw *w)
{
	const struct softprompt_settings *set = m->settings;
	struct count count[COUNTS];

	counts_of(m, count);
	for (int i = 0; i < COUNTS; i++) {
		jsonw_key(w, count[i].name);
		jsonw_int(w, count[i].is);
	}
	jsonw_key(w, "num_virtual_tokens");
	jsonw_int(w, set->num_virtual_tokens);
	return TT_OK;
}

/* A count of a file; absent or null is fine where PEFT finds it by itself. */
static int check_count(const struct json *config, const char *name, int64_t is, bool wanted)
{
	const struct json *j = json_get(config, name);
	int64_t has;

	if (!wanted && (!j || json_type(j) == JSON_NULL))
		return TT_OK;
	if (!j || !json_int(j, &has) || has != is)
		return err_set(TT_INVALID, "%s is not %lld, as model and recipe make it", name,
			       (long long)is);
	return TT_OK;
}

int softprompt_agrees(const struct method *m, const struct json *config, const char *const *known,
		      size_t n)
{
	static const char *const ours[] = { "modules_to_save",    "num_attention_heads",
					    "num_layers",         "num_transformer_submodules",
					    "num_virtual_tokens", "token_dim" };
	const struct softprompt_settings *set = m->settings;
	const char *all[32];
	struct count count[COUNTS];
	int code;

	if (COUNT(ours) + n > COUNT(all))
		return err_set(TT_NOMEM, "too many keys to look at");
	memcpy(all, ours, sizeof(ours));
	if (n)
		memcpy(all + COUNT(ours), known, n * sizeof(*known));
	code = adapter_refuse_others(config, all, COUNT(ours) + n);
	counts_of(m, count);
	for (int i = 0; !code && i < COUNTS; i++)
		code = check_count(config, count[i].name, count[i].is, false);
	return code ? code
		    : check_count(config, "num_virtual_tokens", set->num_virtual_tokens, true);
}
