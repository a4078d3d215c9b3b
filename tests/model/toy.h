#ifndef TESTS_MODEL_TOY_H
#define TESTS_MODEL_TOY_H

/*
 * A toy BERT in a folder: config.json, vocab.txt and model.safetensors with
 * every weight of a pre-trained model and, when labels > 0, a classifier.
 * Nothing in it is zero, so that every gradient shows. Positions: 64.
 *
 * vocab.txt: [PAD] [UNK] [CLS] [SEP] [MASK], then a..z, ##a..##z as far as they
 * fit, then w57, w58, ...; vocab must be at least 6.
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/rng.h"
#include "model/safetensors.h"

struct toy {
	struct arena *arena;
	struct st_writer *writer;
	uint64_t seed;
	uint32_t count;
	int rc;
};

/* One stored tensor [d0,d1], or [d0] with d1 0: mean + spread * N(0, 1). */
static inline void toy_tensor(struct toy *t, const char *name, int64_t d0, int64_t d1, float mean,
			      float spread)
{
	const int64_t dim[2] = { d0, d1 }, n = d1 ? d0 * d1 : d0;
	float *data = arena_zero(t->arena, (size_t)n, sizeof(*data));
	struct rng rng;

	if (!data)
		t->rc = TT_NOMEM;
	if (t->rc)
		return;
	rng_init(&rng, t->seed, RNG_TEST, t->count++);
	for (int64_t i = 0; i < n; i++)
		data[i] = mean + spread * rng_normal(&rng);
	t->rc = st_writer_add(t->writer, name, "F32", d1 ? 2 : 1, dim, data);
}

static inline void toy_linear(struct toy *t, const char *name, int64_t out, int64_t in)
{
	char text[160];

	snprintf(text, sizeof(text), "%s.weight", name);
	toy_tensor(t, text, out, in, 0, 0.2f);
	snprintf(text, sizeof(text), "%s.bias", name);
	toy_tensor(t, text, out, 0, 0, 0.1f);
}

static inline void toy_norm(struct toy *t, const char *name, int64_t n)
{
	char text[160];

	snprintf(text, sizeof(text), "%s.weight", name);
	toy_tensor(t, text, n, 0, 1, 0.1f);
	snprintf(text, sizeof(text), "%s.bias", name);
	toy_tensor(t, text, n, 0, 0, 0.1f);
}

static inline void toy_block(struct toy *t, int layer, int hidden, int ffn)
{
	static const struct {
		const char *name;
		int out, in; /* 0: hidden, 1: ffn, -1: a norm */
	} part[] = {
		{ "attention.self.query", 0, 0 },
		{ "attention.self.key", 0, 0 },
		{ "attention.self.value", 0, 0 },
		{ "attention.output.dense", 0, 0 },
		{ "attention.output.LayerNorm", 0, -1 },
		{ "intermediate.dense", 1, 0 },
		{ "output.dense", 0, 1 },
		{ "output.LayerNorm", 0, -1 },
	};
	char name[120];

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		snprintf(name, sizeof(name), "bert.encoder.layer.%d.%s", layer, part[i].name);
		if (part[i].in < 0)
			toy_norm(t, name, hidden);
		else
			toy_linear(t, name, part[i].out ? ffn : hidden, part[i].in ? ffn : hidden);
	}
}

static inline int toy_weights(struct toy *t, const char *dir, int layers, int hidden, int ffn,
			      int vocab, int labels)
{
	char path[PATH_MAX];

	toy_tensor(t, "bert.embeddings.word_embeddings.weight", vocab, hidden, 0, 0.5f);
	toy_tensor(t, "bert.embeddings.position_embeddings.weight", 64, hidden, 0, 0.3f);
	toy_tensor(t, "bert.embeddings.token_type_embeddings.weight", 2, hidden, 0, 0.3f);
	toy_norm(t, "bert.embeddings.LayerNorm", hidden);
	for (int i = 0; i < layers; i++)
		toy_block(t, i, hidden, ffn);
	toy_linear(t, "bert.pooler.dense", hidden, hidden);
	toy_linear(t, "cls.predictions.transform.dense", hidden, hidden);
	toy_norm(t, "cls.predictions.transform.LayerNorm", hidden);
	toy_tensor(t, "cls.predictions.bias", vocab, 0, 0, 0.1f);
	if (labels > 0)
		toy_linear(t, "classifier", labels, hidden);
	if (t->rc)
		return t->rc;
	fs_join(path, sizeof(path), dir, "model.safetensors");
	return st_write(t->writer, path);
}

static inline int toy_vocab(const char *dir, int vocab)
{
	static const char *const special[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };
	char path[PATH_MAX];
	struct buf out;
	int rc;

	buf_init(&out, (size_t)vocab * 16);
	for (int i = 0; i < vocab; i++) {
		if (i < 5)
			buf_printf(&out, "%s\n", special[i]);
		else if (i < 31)
			buf_printf(&out, "%c\n", 'a' + i - 5);
		else if (i < 57)
			buf_printf(&out, "##%c\n", 'a' + i - 31);
		else
			buf_printf(&out, "w%d\n", i);
	}
	fs_join(path, sizeof(path), dir, "vocab.txt");
	rc = buf_check(&out, "vocab.txt");
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

static inline int toy_config(const char *dir, int layers, int hidden, int heads, int ffn, int vocab,
			     int labels)
{
	char path[PATH_MAX];
	struct buf out;
	int rc;

	buf_init(&out, 1 << 20);
	buf_printf(&out,
		   "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"bert\",\n  "
		   "\"hidden_act\": \"gelu\",\n",
		   labels > 0 ? "BertForSequenceClassification" : "BertForPreTraining");
	buf_printf(&out,
		   "  \"hidden_size\": %d,\n  \"num_hidden_layers\": %d,\n  "
		   "\"num_attention_heads\": %d,\n",
		   hidden, layers, heads);
	buf_printf(&out,
		   "  \"intermediate_size\": %d,\n  \"vocab_size\": %d,\n  "
		   "\"max_position_embeddings\": 64,\n",
		   ffn, vocab);
	buf_text(&out, "  \"type_vocab_size\": 2,\n  \"pad_token_id\": 0,\n  \"layer_norm_eps\": "
		       "1e-12,\n");
	buf_text(&out,
		 "  \"hidden_dropout_prob\": 0.1,\n  \"attention_probs_dropout_prob\": 0.1,\n");
	buf_text(&out, "  \"torch_dtype\": \"float32\"\n}\n");
	fs_join(path, sizeof(path), dir, "config.json");
	rc = buf_check(&out, "config.json");
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

/* TT_OK, or err_text says why. The folder is created when absent. */
static inline int toy_bert(const char *dir, int layers, int hidden, int heads, int ffn, int vocab,
			   int labels, uint64_t seed)
{
	struct toy t = { .arena = arena_new(), .seed = seed };
	int rc = t.arena ? fs_mkdirs(dir) : err_set(TT_NOMEM, "not enough memory for a toy model");

	if (!rc)
		rc = st_writer_new(&t.writer);
	if (!rc)
		rc = toy_weights(&t, dir, layers, hidden, ffn, vocab, labels);
	if (!rc)
		rc = toy_config(dir, layers, hidden, heads, ffn, vocab, labels);
	if (!rc)
		rc = toy_vocab(dir, vocab);
	st_writer_free(t.writer);
	arena_free(t.arena);
	return rc;
}

/* A new temporary folder below $TMPDIR, for the caller to fs_remove_tree. Returns ret, or NULL. */
static inline const char *toy_folder(char *ret, size_t size)
{
	const char *base = getenv("TMPDIR");
	const int n = snprintf(ret, size, "%s/trimtab-test-XXXXXX", base && *base ? base : "/tmp");

	return n > 0 && (size_t)n < size && mkdtemp(ret) ? ret : NULL;
}

#endif
