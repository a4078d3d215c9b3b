/* fill: the most likely tokens at every mask of a text (LAMA-style probing). */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/place.h"
#include "data/batch.h"
#include "data/tokenizer.h"
#include "engine/engine.h"
#include "model/model.h"

struct fill {
	struct tokenizer *tokenizer;
	struct gemm *gemm;
	struct model *model;
	struct graph *graph;
	struct encoding text;
	struct arena *arena;
};

struct guess {
	int32_t id;
	double prob;
};

static int open_all(const char *name, struct fill *f)
{
	char dir[PATH_MAX];
	int code = place_model(name, dir, sizeof(dir));

	if (!code)
		code = tokenizer_open(dir, &f->tokenizer);
	if (!code)
		code = gemm_open("auto", &f->gemm);
	if (!code) {
		const struct model_options how = {
			.folder = dir, .head = HEAD_MLM, .dropout = 0, .gemm = f->gemm
		};

		code = model_open(&how, &f->model);
	}
	if (!code)
		code = model_prepare(f->model, false);
	if (!code)
		code = graph_new(f->gemm, &f->graph);
	f->arena = arena_new();
	return code ? code : f->arena ? TT_OK : err_set(TT_NOMEM, "not enough memory");
}

static void close_all(struct fill *f)
{
	encoding_done(&f->text);
	arena_free(f->arena);
	graph_free(f->graph);
	model_close(f->model);
	gemm_close(f->gemm);
	tokenizer_close(f->tokenizer);
}

/* The text as a batch whose rows are its masks. */
static int pack(struct fill *f, const char *text, struct batch *ret)
{
	const struct encode_options how = { .special_tokens = true };
	const int32_t mask = tokenizer_roles(f->tokenizer)->mask;
	int32_t *row, *row_seq;
	struct example ex;
	int code = tokenizer_encode(f->tokenizer, text, strlen(text), NULL, 0, &how, &f->text);

	if (code)
		return code;
	if (mask < 0)
		return err_set(TT_INVALID, "this model's tokenizer has no mask token");
	ex = (struct example){ .id = f->text.id,
			       .type = f->text.type,
			       .n = (int32_t)f->text.n,
			       .label = -1,
			       .value = NAN };
	code = batch_pack(f->arena, &ex, 1, ret);
	if (code)
		return code;
	row = arena_zero(f->arena, f->text.n, sizeof(*row));
	row_seq = arena_zero(f->arena, f->text.n, sizeof(*row_seq));
	if (!row || !row_seq)
		return TT_NOMEM;
	ret->rows = 0;
	for (size_t i = 0; i < f->text.n; i++)
		if (f->text.id[i] == mask)
			row[ret->rows++] = (int32_t)i;
	ret->row = row;
	ret->row_seq = row_seq;
	if (!ret->rows)
		return err_set(TT_INVALID, "the text has no %s to fill",
			       tokenizer_token(f->tokenizer, mask));
	return TT_OK;
}

static int by_prob(const void *a, const void *b)
{
	const struct guess *x = a, *y = b;

	if (x->prob != y->prob)
		return x->prob < y->prob ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

/* All tokens of one mask, the most likely first. */
static void rank(const float *logits, int64_t n, struct guess *ret)
{
	double top = (double)logits[0], sum = 0;

	for (int64_t i = 1; i < n; i++)
		top = fmax(top, (double)logits[i]);
	for (int64_t i = 0; i < n; i++) {
		ret[i] = (struct guess){ (int32_t)i, exp((double)logits[i] - top) };
		sum += ret[i].prob;
	}
	for (int64_t i = 0; i < n; i++)
		ret[i].prob /= sum;
	qsort(ret, (size_t)n, sizeof(*ret), by_prob);
}

static void write_mask(const struct fill *f, const struct guess *g, int64_t k, struct jsonw *w)
{
	jsonw_array(w);
	for (int64_t i = 0; i < k; i++) {
		jsonw_object(w);
		jsonw_key(w, "token");
		jsonw_text(w, tokenizer_token(f->tokenizer, g[i].id));
		jsonw_key(w, "id");
		jsonw_int(w, g[i].id);
		jsonw_key(w, "prob");
		jsonw_real(w, g[i].prob);
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
}

static int answer(struct fill *f, const struct tensor *logits, int64_t k, bool json)
{
	const int64_t vocab = tensor_cols(logits), rows = tensor_rows(logits);
	struct guess *g = arena_zero(f->arena, (size_t)vocab, sizeof(*g));
	struct buf out;
	struct jsonw w;
	int code;

	if (!g)
		return TT_NOMEM;
	k = k < vocab ? k : vocab;
	buf_init(&out, (size_t)64 << 20);
	jsonw_init(&w, &out, 0);
	if (json)
		jsonw_array(&w);
	for (int64_t i = 0; i < rows; i++) {
		rank(logits->data + i * vocab, vocab, g);
		if (json)
			write_mask(f, g, k, &w);
		for (int64_t j = 0; !json && j < k; j++)
			buf_printf(&out, "%lld\t%s\t%.4f\n", (long long)(i + 1),
				   tokenizer_token(f->tokenizer, g[j].id), g[j].prob);
	}
	if (json) {
		jsonw_end(&w, ']');
		buf_char(&out, '\n');
	}
	code = buf_check(&out, "the answer");
	if (!code)
		fputs(out.data, stdout);
	buf_done(&out);
	return code;
}

static int fill(const struct args *a)
{
	const struct pass pass = { .train = false };
	struct fill f = { 0 };
	struct tensor *logits;
	struct batch batch;
	long long k;
	int code = args_int(a, "-k", 1, 1000000, 5, &k);

	if (code)
		return err_set(TT_USAGE, "%s", err_text());
	encoding_init(&f.text);
	code = open_all(a->pos[0], &f);
	if (!code)
		code = pack(&f, a->pos[1], &batch);
	if (!code) {
		graph_begin(f.graph, &pass, NULL, 0);
		logits = model_forward(f.model, f.graph, &batch);
		code = logits ? answer(&f, logits, k, args_has(a, "--json")) : err_in("fill");
	}
	close_all(&f);
	return code;
}

static const struct arg options[] = { { "-k", 'k', "N", "how many tokens a mask (5)" },
				      { "--json", 0, NULL,
					"[[{\"token\",\"id\",\"prob\"}...]...], one list a mask" },
				      { 0 } };

const struct command verb_fill = {
	.name = "fill",
	.usage = "MODEL TEXT [-k N] [--json]",
	.summary = "Fill the [MASK]s of a text with the model's most likely tokens.",
	.options = options,
	.min_args = 2,
	.max_args = 2,
	.run = fill,
};
