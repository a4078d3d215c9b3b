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
#include "model/prompt.h"

enum { NAME_ROOM = 128 };

struct block {
	struct site *attention, *after_attention, *after_feed; /* groups */
	struct site *query, *key, *value, *out, *out_norm, *up, *down, *norm;
};

struct bert {
	struct site *input, *word, *position, *type, *norm;
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
	if (head_masks(m->head) && tie && json_type(tie) == JSON_BOOL && !json_bool(tie))
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
	b->input = model_declare_site(m, "bert.embeddings", SITE_INPUT, -1, NULL, NULL);
	b->word = declare_table(m, "bert.embeddings.word_embeddings", m->hp.vocab_size);
	b->position = declare_table(m, "bert.embeddings.position_embeddings",
				    m->hp.max_position_embeddings);
	b->type = declare_table(m, "bert.embeddings.token_type_embeddings", m->hp.type_vocab_size);
	b->norm = declare_norm(m, "bert.embeddings.LayerNorm", 0, -1);
	return b->input && b->word && b->position && b->type && b->norm ? TT_OK : TT_NOMEM;
}

/* A linear layer or (with in 0) a norm inside block number `layer`. */
static struct site *declare_inside(struct model *m, int layer, const char *name, int64_t out,
				   int64_t in)
{
	char text[NAME_ROOM];

	snprintf(text, sizeof(text), "bert.encoder.layer.%d.%s", layer, name);
	return in ? declare_linear(m, text, 0, 0, layer, out, in) : declare_norm(m, text, 0, layer);
}

static struct site *declare_group(struct model *m, int layer, const char *name, unsigned kind)
{
	char text[NAME_ROOM];

	snprintf(text, sizeof(text), "bert.encoder.layer.%d.%s", layer, name);
	return model_declare_site(m, text, kind, layer, NULL, NULL);
}

static int declare_block(struct model *m, struct block *b, int layer)
{
	const int64_t h = m->hp.hidden_size, wide = m->hp.intermediate_size;

	b->attention = declare_group(m, layer, "attention.self", SITE_ATTENTION);
	b->query = declare_inside(m, layer, "attention.self.query", h, h);
	b->key = declare_inside(m, layer, "attention.self.key", h, h);
	b->value = declare_inside(m, layer, "attention.self.value", h, h);
	b->out = declare_inside(m, layer, "attention.output.dense", h, h);
	b->after_attention = declare_group(m, layer, "attention.output", SITE_SUBLAYER);
	b->out_norm = declare_inside(m, layer, "attention.output.LayerNorm", h, 0);
	b->up = declare_inside(m, layer, "intermediate.dense", wide, h);
	b->down = declare_inside(m, layer, "output.dense", h, wide);
	b->after_feed = declare_group(m, layer, "output", SITE_SUBLAYER);
	b->norm = declare_inside(m, layer, "output.LayerNorm", h, 0);
	return b->attention && b->after_attention && b->after_feed && b->query && b->key &&
			       b->value && b->out && b->out_norm && b->up && b->down && b->norm
		       ? TT_OK
		       : TT_NOMEM;
}

static int declare_classifier(struct model *m, struct bert *b)
{
	const int64_t h = m->hp.hidden_size;

	if (head_pools(m->head))
		b->pooler = declare_linear(m, "bert.pooler.dense", PARAM_MAY_MISS, 0, -1, h, h);
	b->classifier = declare_linear(m, "classifier", PARAM_MAY_MISS | PARAM_LABELS, SITE_HEAD,
				       -1, m->n_labels, h);
	return (b->pooler || !head_pools(m->head)) && b->classifier ? TT_OK : TT_NOMEM;
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
	return head_masks(m->head) ? declare_decoder(m, b) : declare_classifier(m, b);
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

static struct tensor *norm(const struct model *m, struct graph *g, struct site *s, struct tensor *x,
			   struct tensor *r)
{
	return site_norm(g, s, x, 0, r, (float)m->hp.layer_norm_eps);
}

/* y was made of x, which nobody else reads. */
static struct tensor *spend(struct graph *g, struct tensor *x, struct tensor *y)
{
	if (y != x)
		graph_done(g, x);
	return y;
}

static struct tensor *dropout(const struct model *m, struct graph *g, struct tensor *x)
{
	return spend(g, x, op_dropout(g, x, (float)m->hp.hidden_dropout_prob));
}

/* What goes in: the text's tokens, and before every sequence a soft prompt when there is one. */
struct input {
	const struct batch *text;
	struct tensor *prompt; /* [n,H], or [seqs * n,H]; NULL: none */
	int64_t n;
	struct batch batch;       /* of text and prompt; positions as they are looked up */
	const int64_t *row_start; /* [seqs+1] among the rows that the head reads */
	const struct origin *origin, *text_origin; /* who batch's tokens are, and text's */
};

/* Positions that begin at an offset. */
static bool shift_positions(struct graph *g, int64_t by, struct batch *b)
{
	int32_t *pos = by ? graph_alloc(g, (size_t)b->tokens * sizeof(*pos)) : NULL;

	for (int64_t i = 0; pos && i < b->tokens; i++)
		pos[i] = b->pos[i] + (int32_t)by;
	if (pos)
		b->pos = pos;
	return pos || !by;
}

/* With a prompt the head of a classifier reads its first row, as in PEFT; masked tokens stay where they are. */
static bool input_make(const struct model *m, struct graph *g, const struct batch *b,
		       struct input *ret)
{
	struct site *s = ((const struct bert *)m->state)->input;
	int64_t n = 0;

	*ret = (struct input){ .text = b, .batch = *b };
	if (site_has_prompt(s)) {
		ret->prompt = site_prompt(g, s, b, &n);
		if (!ret->prompt)
			return false;
		if (prompt_batch(g, b, n, head_pools(m->head), &ret->batch))
			return false;
	}
	if (!shift_positions(g, m->position_offset - n, &ret->batch))
		return false;
	ret->n = n;
	ret->row_start = row_starts(g, &ret->batch);
	ret->origin = token_origin(g, &ret->batch);
	ret->text_origin = n ? token_origin(g, b) : ret->origin;
	return ret->row_start && ret->origin && ret->text_origin;
}

/*
 * A prompt stands where word embeddings do, so positions and types are added to
 * it as to words, in one pass more.
 */
static struct tensor *embed_prompt(struct model *m, struct graph *g, const struct input *in)
{
	const struct bert *e = m->state;
	const struct batch *b = &in->batch;
	const struct prepend how = {
		.seqs = b->seqs,
		.n = in->n,
		.start = in->text->start,
		.origin = in->origin,
	};
	struct tensor *x, *r;

	x = op_embedding(g, e->word->weight, NULL, NULL, in->text->id, NULL, NULL, in->text->tokens,
			 (int32_t)m->hp.pad_token_id, in->text_origin);
	x = op_prepend(g, site_embed(g, e->word, in->text->id, x), in->prompt, &how);
	r = op_embedding(g, NULL, e->position->weight, e->type->weight, NULL, b->pos, b->type,
			 b->tokens, -1, in->origin);
	r = site_embed(g, e->position, b->pos, r);
	return op_add(g, x, site_embed(g, e->type, b->type, r));
}

static struct tensor *embed(struct model *m, struct graph *g, const struct input *in)
{
	const struct bert *e = m->state;
	const struct batch *b = &in->batch;
	struct tensor *x;

	if (in->prompt) {
		x = embed_prompt(m, g, in);
	} else {
		x = op_embedding(g, e->word->weight, e->position->weight, e->type->weight, b->id,
				 b->pos, b->type, b->tokens, (int32_t)m->hp.pad_token_id,
				 in->origin);
		x = spend(g, x, site_embed(g, e->word, b->id, x));
		x = spend(g, x, site_embed(g, e->position, b->pos, x));
		x = spend(g, x, site_embed(g, e->type, b->type, x));
	}
	return dropout(m, g, spend(g, x, norm(m, g, e->norm, x, NULL)));
}

/* Which rows of a block are wanted: all (row NULL), or `rows` of them, those of sequence s from start[s] on. */
struct wanted {
	const int32_t *row;
	int64_t rows;
	const int64_t *start;
};

/* The end of a sublayer that read x and made h. */
static struct tensor *sublayer(const struct model *m, struct graph *g, struct site *s,
			       struct tensor *h, struct tensor *x, struct site *norm)
{
	const struct sublayer in = {
		.h = h,
		.u = x,
		.x = x,
		.norm = norm,
		.eps = (float)m->hp.layer_norm_eps,
		.dropout = (float)m->hp.hidden_dropout_prob,
	};

	return site_sublayer(g, s, &in);
}

static struct tensor *attend(struct model *m, struct graph *g, const struct batch *b,
			     const struct block *k, struct tensor *x, const struct wanted *want)
{
	struct attention how = {
		.seqs = b->seqs,
		.heads = m->hp.num_attention_heads,
		.qstart = want->start,
		.dropout = (float)m->hp.attention_probs_dropout_prob,
	};
	struct tensor *read = want->row ? op_gather(g, x, want->row, want->rows) : x;
	struct tensor *query = site_linear(g, k->query, read), *key = site_linear(g, k->key, x);
	struct tensor *value = site_linear(g, k->value, x), *y;
	struct attended at = {
		b->seqs, m->hp.num_attention_heads, b->start, x, key, value, want->start, query,
	};

	if (!site_attend(g, k->attention, &at))
		return NULL;
	how.kstart = at.start;
	y = op_attention(g, query, at.k, at.v, &how);
	graph_done(g, query);
	graph_done(g, spend(g, key, at.k));
	graph_done(g, spend(g, value, at.v));
	y = spend(g, y, site_linear(g, k->out, y));
	y = spend(g, y, sublayer(m, g, k->after_attention, y, read, k->out_norm));
	return read == x ? y : spend(g, read, y);
}

static struct tensor *feed_forward(struct model *m, struct graph *g, const struct block *k,
				   struct tensor *x)
{
	struct tensor *y = site_linear(g, k->up, x);

	y = spend(g, y, op_activation_over(g, y, m->hp.hidden_act));
	y = spend(g, y, site_linear(g, k->down, y));
	return spend(g, y, sublayer(m, g, k->after_feed, y, x, k->norm));
}

/* One block, for graph_segment. */
struct block_call {
	struct model *m;
	const struct batch *b;
	const struct block *k;
	struct wanted want;
};

static struct tensor *run_block(struct graph *g, struct tensor *x, void *arg)
{
	const struct block_call *c = arg;
	const struct arena_mark mark = graph_mark(g);

	x = graph_keep(g, mark, attend(c->m, g, c->b, c->k, x, &c->want));
	return spend(g, x, feed_forward(c->m, g, c->k, x));
}

/* The calls of every block; they and what they refer to live as long as the pass. */
static struct block_call *block_calls(struct model *m, struct graph *g, const struct input *in)
{
	const struct bert *e = m->state;
	const struct batch *b = &in->batch;
	const int64_t last = m->hp.num_hidden_layers - 1;
	struct block_call *call = graph_alloc(g, (size_t)(last + 1) * sizeof(*call));

	for (int64_t i = 0; call && i <= last; i++) {
		call[i] = (struct block_call){ m, b, &e->block[i], { NULL, b->tokens, b->start } };
		if (i == last && !m->whole_rows)
			call[i].want = (struct wanted){ b->row, b->rows, in->row_start };
	}
	return call;
}

/*
 * Stages: k below the last is what enters block k, `layers` what leaves the last
 * block (the rows that the head reads), one more what leaves the pooler. Forward
 * from stage `from`, whose result x is (NULL: from the start), up to stage `to`.
 */
static struct tensor *encode(struct model *m, struct graph *g, const struct batch *text,
			     struct tensor *x, int64_t from, int64_t to)
{
	const struct bert *e = m->state;
	const int64_t layers = m->hp.num_hidden_layers;
	struct input *in = graph_alloc(g, sizeof(*in));
	struct block_call *call;
	struct arena_mark mark;

	if (!in || !input_make(m, g, text, in))
		return NULL;
	call = block_calls(m, g, in);
	if (!call)
		return NULL;
	mark = graph_mark(g);
	if (!x)
		x = graph_keep(g, mark, embed(m, g, in));
	for (int64_t i = from; i < to && i < layers; i++) {
		struct tensor *y = graph_segment(g, x, run_block, &call[i]);

		x = graph_keep(g, mark, i > from ? spend(g, x, y) : y);
	}
	if (m->whole_rows && from < layers && to >= layers)
		x = graph_keep(g, mark, op_gather(g, x, in->batch.row, in->batch.rows));
	if (to > layers && from <= layers)
		x = graph_keep(g, mark, op_activation(g, site_linear(g, e->pooler, x), ACT_TANH));
	return x;
}

/* The scores of the labels at the masks, by those of their words alone. */
static struct tensor *label_scores(const struct model *m, struct graph *g, struct tensor *x)
{
	static const enum pool_scores how[] = {
		[AGGREGATE_MEAN_LOGIT] = POOL_MEAN,
		[AGGREGATE_SUM_PROB] = POOL_LOG_SUM,
		[AGGREGATE_MAX] = POOL_MAX,
	};
	const struct bert *e = m->state;
	const struct verbalizer *v = m->verbalizer;

	x = op_word_scores(g, x, e->decoder->weight, e->decoder->bias, v->word, v->words);
	return op_pool_scores(g, x, v->start, v->labels, how[v->aggregate]);
}

/* From the rows that the head reads (or what the pooler made of them) to its output. */
static struct tensor *answer(struct model *m, struct graph *g, struct tensor *x)
{
	const struct bert *e = m->state;
	const double drop = isnan(m->hp.classifier_dropout) ? m->hp.hidden_dropout_prob
							    : m->hp.classifier_dropout;

	if (head_masks(m->head)) {
		x = op_activation(g, site_linear(g, e->transform, x), m->hp.hidden_act);
		x = norm(m, g, e->transform_norm, x, NULL);
		return m->head == HEAD_MLM ? site_linear(g, e->decoder, x) : label_scores(m, g, x);
	}
	return site_linear(g, e->classifier, op_dropout(g, x, (float)drop));
}

static int64_t last_stage(const struct model *m)
{
	return m->hp.num_hidden_layers + head_pools(m->head);
}

static struct tensor *bert_forward(struct model *m, struct graph *g, const struct batch *b)
{
	return answer(m, g, encode(m, g, b, NULL, 0, last_stage(m)));
}

/* ---- in two parts ---- */

static bool bert_cut(const struct model *m, const struct site *first, struct model_cut *ret)
{
	const struct bert *e = m->state;
	const int64_t layers = m->hp.num_hidden_layers;
	int64_t stage = 0;

	if (!first || first == e->classifier)
		stage = last_stage(m);
	else if (first == e->pooler || first->layer < 0) /* behind the layers */
		stage = first->kind & (SITE_INPUT | SITE_EMBED) || first == e->norm ? 0 : layers;
	else if (first->layer >= 0)
		stage = first->layer;
	*ret = (struct model_cut){ stage, m->hp.hidden_size, stage >= layers };
	return stage > 0;
}

static struct tensor *bert_lower(struct model *m, struct graph *g, const struct batch *b,
				 const struct model_cut *cut)
{
	return encode(m, g, b, NULL, 0, cut->stage);
}

/* Who the rows that the head reads are. */
static const struct origin *row_origin(struct graph *g, const struct batch *b)
{
	uint32_t *example = graph_alloc(g, (size_t)b->rows * sizeof(*example));
	uint32_t *pos = graph_alloc(g, (size_t)b->rows * sizeof(*pos));
	struct origin *o = graph_alloc(g, sizeof(*o));

	if (!example || !pos || !o)
		return NULL;
	for (int64_t i = 0; i < b->rows; i++) {
		example[i] = (uint32_t)b->example[b->row_seq[i]];
		pos[i] = (uint32_t)b->pos[b->row[i]];
	}
	*o = (struct origin){ example, pos };
	return o;
}

static struct tensor *bert_upper(struct model *m, struct graph *g, const struct batch *b,
				 const struct model_cut *cut, struct tensor *x)
{
	if (!x)
		return NULL;
	x->origin = cut->picked ? row_origin(g, b) : token_origin(g, b);
	return x->origin ? answer(m, g, encode(m, g, b, x, cut->stage, last_stage(m))) : NULL;
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
		[HEAD_TOKEN_CLS] = "BertForTokenClassification",
		[HEAD_MLM] = "BertForMaskedLM",
		[HEAD_CLOZE] = "BertForMaskedLM",
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
	.cut = bert_cut,
	.lower = bert_lower,
	.upper = bert_upper,
};
