/*
 * BERT (Devlin et al. 2019), a post-norm encoder:
 *
 *     h = drop(LN(word[id] + position[pos] + type[t]))
 *     layer:   a = LN(h + drop(O attention(Q h, K h, V h)))      h = LN(a + drop(F2 act(F1 a)))
 *     classes: W drop(tanh(P h[first]))
 *     tokens:  LN(act(T h)) word^T + bias                        tied to the word embeddings
 *
 * A head reads few rows, so in the last layer everything behind K and V is
 * computed for those rows alone; a row's result depends on no other row's there,
 * so it is exact. While nothing trains below, a block's working memory is given
 * back as soon as its output is known.
 */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { NAME_ROOM = 128 };

struct block {
	struct site *query, *key, *value, *out, *out_norm, *up, *down, *norm;
};

struct bert {
	struct site *word, *position, *type, *norm;
	struct block *block;
	struct site *pooler, *classifier;                  /* classification, regression */
	struct site *transform, *transform_norm, *decoder; /* masked language modelling */
};

/* ---- shape ---- */

static bool is_true(const struct json *config, const char *key)
{
	return json_bool(json_get(config, key));
}

static int bert_shape(struct model *m)
{
	const char *kind = json_text(json_get(m->config, "position_embedding_type"));
	const struct json *tie = json_get(m->config, "tie_word_embeddings");
	char shown[48];

	if (kind && strcmp(kind, "absolute"))
		return err_set(TT_INVALID,
			       "config.json: position_embedding_type '%s' is not supported, only "
			       "'absolute'",
			       st_printable(kind, shown, sizeof(shown)));
	if (is_true(m->config, "is_decoder") || is_true(m->config, "add_cross_attention"))
		return err_set(TT_INVALID, "config.json: BERT as a decoder is not supported");
	if (m->head == HEAD_MLM && tie && json_type(tie) == JSON_BOOL && !json_bool(tie))
		return err_set(TT_INVALID, "config.json: masked language modelling with "
					   "tie_word_embeddings false is not supported");
	return TT_OK;
}

/* ---- sites ---- */

static struct site *declare_linear(struct model *m, const char *name, unsigned flags, unsigned kind,
				   int layer, int64_t out, int64_t in)
{
	char text[NAME_ROOM + sizeof(".weight")];
	struct tensor *w, *b;

	snprintf(text, sizeof(text), "%s.weight", name);
	w = model_declare(m, text, flags, out, in);
	snprintf(text, sizeof(text), "%s.bias", name);
	b = model_declare(m, text, flags, out, 0);
	return b ? model_declare_site(m, name, SITE_LINEAR | kind, layer, w, b) : NULL;
}

static struct site *declare_norm(struct model *m, const char *name, unsigned flags, int layer)
{
	char text[NAME_ROOM + sizeof(".weight")];
	struct tensor *w, *b;

	snprintf(text, sizeof(text), "%s.weight", name);
	w = model_declare(m, text, flags, m->hp.hidden_size, 0);
	snprintf(text, sizeof(text), "%s.bias", name);
	b = model_declare(m, text, flags, m->hp.hidden_size, 0);
	return b ? model_declare_site(m, name, SITE_NORM, layer, w, b) : NULL;
}

static struct site *declare_table(struct model *m, const char *name, int64_t rows)
{
	char text[NAME_ROOM];

	snprintf(text, sizeof(text), "%s.weight", name);
	return model_declare_site(m, name, SITE_EMBED, -1,
				  model_declare(m, text, 0, rows, m->hp.hidden_size), NULL);
}

static int declare_embeddings(struct model *m, struct bert *b)
{
	b->word = declare_table(m, "bert.embeddings.word_embeddings", m->hp.vocab_size);
	b->position = declare_table(m, "bert.embeddings.position_embeddings",
				    m->hp.max_position_embeddings);
	b->type = declare_table(m, "bert.embeddings.token_type_embeddings", m->hp.type_vocab_size);
	b->norm = declare_norm(m, "bert.embeddings.LayerNorm", 0, -1);
	return b->word && b->position && b->type && b->norm ? TT_OK : TT_NOMEM;
}

/* A linear layer or (with in 0) a norm inside block number `layer`. */
static struct site *declare_inside(struct model *m, int layer, const char *name, int64_t out,
				   int64_t in)
{
	char text[NAME_ROOM];

	snprintf(text, sizeof(text), "bert.encoder.layer.%d.%s", layer, name);
	return in ? declare_linear(m, text, 0, 0, layer, out, in) : declare_norm(m, text, 0, layer);
}

static int declare_block(struct model *m, struct block *b, int layer)
{
	const int64_t h = m->hp.hidden_size, wide = m->hp.intermediate_size;

	b->query = declare_inside(m, layer, "attention.self.query", h, h);
	b->key = declare_inside(m, layer, "attention.self.key", h, h);
	b->value = declare_inside(m, layer, "attention.self.value", h, h);
	b->out = declare_inside(m, layer, "attention.output.dense", h, h);
	b->out_norm = declare_inside(m, layer, "attention.output.LayerNorm", h, 0);
	b->up = declare_inside(m, layer, "intermediate.dense", wide, h);
	b->down = declare_inside(m, layer, "output.dense", h, wide);
	b->norm = declare_inside(m, layer, "output.LayerNorm", h, 0);
	return b->query && b->key && b->value && b->out && b->out_norm && b->up && b->down &&
			       b->norm
		       ? TT_OK
		       : TT_NOMEM;
}

static int declare_classifier(struct model *m, struct bert *b)
{
	const int64_t h = m->hp.hidden_size;

	b->pooler = declare_linear(m, "bert.pooler.dense", PARAM_MAY_MISS, 0, -1, h, h);
	b->classifier = declare_linear(m, "classifier", PARAM_MAY_MISS | PARAM_LABELS, SITE_HEAD,
				       -1, m->n_labels, h);
	return b->pooler && b->classifier ? TT_OK : TT_NOMEM;
}

static int declare_decoder(struct model *m, struct bert *b)
{
	struct tensor *bias;

	b->transform = declare_linear(m, "cls.predictions.transform.dense", PARAM_MAY_MISS, 0, -1,
				      m->hp.hidden_size, m->hp.hidden_size);
	b->transform_norm = declare_norm(m, "cls.predictions.transform.LayerNorm", PARAM_MAY_MISS,
					 -1);
	bias = model_declare(m, "cls.predictions.bias", PARAM_MAY_MISS, m->hp.vocab_size, 0);
	if (bias)
		b->decoder = model_declare_site(m, "cls.predictions.decoder",
						SITE_LINEAR | SITE_HEAD, -1, b->word->weight, bias);
	return b->transform && b->transform_norm && b->decoder ? TT_OK : TT_NOMEM;
}

static int bert_sites(struct model *m)
{
	struct bert *b = arena_zero(m->arena, 1, sizeof(*b));
	int rc;

	if (!b)
		return TT_NOMEM;
	b->block = arena_zero(m->arena, (size_t)m->hp.num_hidden_layers, sizeof(*b->block));
	if (!b->block)
		return TT_NOMEM;
	m->state = b;
	rc = declare_embeddings(m, b);
	for (int i = 0; !rc && i < m->hp.num_hidden_layers; i++)
		rc = declare_block(m, &b->block[i], i);
	if (rc)
		return rc;
	return m->head == HEAD_MLM ? declare_decoder(m, b) : declare_classifier(m, b);
}

/* ---- forward ---- */

/* Who each packed token is. */
static struct origin *token_origin(struct graph *g, const struct batch *b)
{
	uint32_t *example = graph_alloc(g, (size_t)b->tokens * sizeof(*example));
	uint32_t *pos = graph_alloc(g, (size_t)b->tokens * sizeof(*pos));
	struct origin *o = graph_alloc(g, sizeof(*o));

	if (!example || !pos || !o)
		return NULL;
	for (int64_t s = 0; s < b->seqs; s++)
		for (int64_t i = b->start[s]; i < b->start[s + 1]; i++)
			example[i] = (uint32_t)b->example[s];
	for (int64_t i = 0; i < b->tokens; i++)
		pos[i] = (uint32_t)b->pos[i];
	*o = (struct origin){ example, pos };
	return o;
}

/* Where each sequence's rows begin among the rows that the head reads. */
static int64_t *row_starts(struct graph *g, const struct batch *b)
{
	int64_t *start = graph_alloc(g, (size_t)(b->seqs + 1) * sizeof(*start));
	int64_t r = 0;

	if (!start)
		return NULL;
	for (int64_t s = 0; s < b->seqs; s++) {
		start[s] = r;
		while (r < b->rows && b->row_seq[r] == s)
			r++;
	}
	start[b->seqs] = r;
	return start;
}

static struct tensor *norm(const struct model *m, struct graph *g, const struct site *s,
			   struct tensor *x, struct tensor *r)
{
	return op_layer_norm(g, x, r, s->weight, s->bias, (float)m->hp.layer_norm_eps);
}

static struct tensor *embed(struct model *m, struct graph *g, const struct batch *b,
			    const struct origin *origin)
{
	const struct bert *e = m->state;
	struct tensor *x = op_embedding(g, e->word->weight, e->position->weight, e->type->weight,
					b->id, b->pos, b->type, b->tokens,
					(int32_t)m->hp.pad_token_id, origin);

	x = site_embed(g, e->word, b->id, x);
	x = site_embed(g, e->position, b->pos, x);
	x = site_embed(g, e->type, b->type, x);
	return op_dropout(g, norm(m, g, e->norm, x, NULL), (float)m->hp.hidden_dropout_prob);
}

/* Which rows of a block are wanted: all (row NULL), or `rows` of them, those of sequence s from start[s] on. */
struct wanted {
	const int32_t *row;
	int64_t rows;
	const int64_t *start;
};

static struct tensor *attend(struct model *m, struct graph *g, const struct batch *b,
			     const struct block *k, struct tensor *x, const struct wanted *want)
{
	const struct attention how = {
		.seqs = b->seqs,
		.heads = m->hp.num_attention_heads,
		.qstart = want->start,
		.kstart = b->start,
		.dropout = (float)m->hp.attention_probs_dropout_prob,
	};
	struct tensor *read = want->row ? op_gather(g, x, want->row, want->rows) : x;
	struct tensor *query = site_linear(g, k->query, read), *key = site_linear(g, k->key, x);
	struct tensor *value = site_linear(g, k->value, x), *y;

	y = site_linear(g, k->out, op_attention(g, query, key, value, &how));
	return norm(m, g, k->out_norm, op_dropout(g, y, (float)m->hp.hidden_dropout_prob), read);
}

static struct tensor *feed_forward(struct model *m, struct graph *g, const struct block *k,
				   struct tensor *x)
{
	struct tensor *y = op_activation(g, site_linear(g, k->up, x), m->hp.hidden_act);

	y = op_dropout(g, site_linear(g, k->down, y), (float)m->hp.hidden_dropout_prob);
	return norm(m, g, k->norm, y, x);
}

/* The rows that the head reads, out of the last block. */
static struct tensor *encode(struct model *m, struct graph *g, const struct batch *b)
{
	const struct bert *e = m->state;
	const struct origin *origin = token_origin(g, b);
	const struct wanted every = { NULL, b->tokens, b->start },
			    some = { b->row, b->rows, row_starts(g, b) };
	const int64_t last = m->hp.num_hidden_layers - 1;
	const struct arena_mark mark = graph_mark(g);
	struct tensor *x;

	if (!origin || !some.start)
		return NULL;
	x = graph_keep(g, mark, embed(m, g, b, origin));
	for (int64_t i = 0; i <= last; i++) {
		x = graph_keep(g, mark,
			       attend(m, g, b, &e->block[i], x, i == last ? &some : &every));
		x = graph_keep(g, mark, feed_forward(m, g, &e->block[i], x));
	}
	return x;
}

static struct tensor *bert_forward(struct model *m, struct graph *g, const struct batch *b)
{
	const struct bert *e = m->state;
	const double drop = isnan(m->hp.classifier_dropout) ? m->hp.hidden_dropout_prob
							    : m->hp.classifier_dropout;
	struct tensor *x = encode(m, g, b);

	if (m->head == HEAD_MLM) {
		x = op_activation(g, site_linear(g, e->transform, x), m->hp.hidden_act);
		return site_linear(g, e->decoder, norm(m, g, e->transform_norm, x, NULL));
	}
	x = op_activation(g, site_linear(g, e->pooler, x), ACT_TANH);
	return site_linear(g, e->classifier, op_dropout(g, x, (float)drop));
}

static const struct alias aliases[] = { { "cls.predictions.decoder.weight",
					  "bert.embeddings.word_embeddings.weight" },
					{ "cls.predictions.decoder.bias", "cls.predictions.bias" },
					{ NULL, NULL } };

static const char *const ignored[] = { "embeddings.position_ids", "embeddings.token_type_ids",
				       NULL };

const struct model_ops model_bert = {
	.name = "bert",
	.title = "BERT",
	.prefix = "bert.",
	.aliases = aliases,
	.ignored = ignored,
	.architectures = {
		[HEAD_SEQ_CLS] = "BertForSequenceClassification",
		[HEAD_REGRESSION] = "BertForSequenceClassification",
		[HEAD_MLM] = "BertForMaskedLM",
	},
	.defaults = {
		.vocab_size = 30522, .hidden_size = 768, .num_hidden_layers = 12, .num_attention_heads = 12,
		.intermediate_size = 3072, .max_position_embeddings = 512, .type_vocab_size = 2, .pad_token_id = 0,
		.hidden_act = ACT_GELU, .hidden_dropout_prob = 0.1, .attention_probs_dropout_prob = 0.1,
		.classifier_dropout = NAN, .layer_norm_eps = 1e-12, .initializer_range = 0.02,
	},
	.shape = bert_shape,
	.sites = bert_sites,
	.forward = bert_forward,
};
