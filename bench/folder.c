/* Folders that the step benchmarks train: random BERTs and rows of text. */
#include "bench/folder.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/rng.h"
#include "model/safetensors.h"

enum { VOCAB = 30522, POSITIONS = 512, WORDS_FROM = 10000 };

const struct shape folder_shapes[SHAPES] = {
	[SHAPE_MINILM] = { "minilm-6x384", 6, 384, 12, 1536, 0 },
	[SHAPE_BASE] = { "bert-base", 12, 768, 12, 3072, 0 },
	[SHAPE_LARGE] = { "bert-large", 24, 1024, 16, 4096, 0 },
};

const struct lengths folder_lengths[] = {
	[LENGTHS_SST2] = { "sst2",
			   "sst2/train.jsonl.gz",
			   32,
			   128,
			   25,
			   60,
			   { "negative", "positive" },
			   0 },
	[LENGTHS_RTE] = { "rte",
			  "rte/train.jsonl",
			  16,
			  256,
			  75,
			  250,
			  { "entailment", "not_entailment" },
			  0 },
	[LENGTHS_BOOLQ] = { "boolq", "boolq/dev.jsonl.gz", 8, 256, 160, 256, { "no", "yes" }, 0 },
};

/*
 * All tensors are cut from three arrays, so that the largest model costs the memory
 * of its largest matrix: matrices from the noise, norms from the ones, biases zero.
 */
struct weights {
	struct st_writer *writer;
	float *noise, *one, *zero;
	int rc;
};

static int positions(const struct shape *s) { return s->positions ? s->positions : POSITIONS; }

static void add(struct weights *w, const char *name, int64_t d0, int64_t d1, const float *data)
{
	const int64_t dim[2] = { d0, d1 };

	if (!w->rc)
		w->rc = st_writer_add(w->writer, name, "F32", d1 ? 2 : 1, dim, data);
}

static void add_linear(struct weights *w, const char *name, int64_t out, int64_t in)
{
	char text[160];

	snprintf(text, sizeof(text), "%s.weight", name);
	add(w, text, out, in, w->noise);
	snprintf(text, sizeof(text), "%s.bias", name);
	add(w, text, out, 0, w->zero);
}

static void add_norm(struct weights *w, const char *name, int64_t n)
{
	char text[160];

	snprintf(text, sizeof(text), "%s.weight", name);
	add(w, text, n, 0, w->one);
	snprintf(text, sizeof(text), "%s.bias", name);
	add(w, text, n, 0, w->zero);
}

static void add_block(struct weights *w, int layer, const struct shape *s)
{
	static const char *const square[] = { "attention.self.query", "attention.self.key",
					      "attention.self.value", "attention.output.dense" };
	static const char *const norm[] = { "attention.output.LayerNorm", "output.LayerNorm" };
	char name[120];

	for (size_t i = 0; i < COUNT(square); i++) {
		snprintf(name, sizeof(name), "bert.encoder.layer.%d.%s", layer, square[i]);
		add_linear(w, name, s->hidden, s->hidden);
	}
	for (size_t i = 0; i < COUNT(norm); i++) {
		snprintf(name, sizeof(name), "bert.encoder.layer.%d.%s", layer, norm[i]);
		add_norm(w, name, s->hidden);
	}
	snprintf(name, sizeof(name), "bert.encoder.layer.%d.intermediate.dense", layer);
	add_linear(w, name, s->ffn, s->hidden);
	snprintf(name, sizeof(name), "bert.encoder.layer.%d.output.dense", layer);
	add_linear(w, name, s->hidden, s->ffn);
}

/*
 * A file that was just written lies in the page cache in large pieces, of which the
 * system maps whole ones. Read from the disk it lies there as files do that were
 * downloaded some day.
 */
static int settle(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	char part[1 << 16];
	ssize_t n;

	if (fd < 0)
		return err_set(TT_IO, "cannot open %s", path);
	if (!fsync(fd))
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	do
		n = read(fd, part, sizeof(part));
	while (n > 0);
	close(fd);
	return n ? err_set(TT_IO, "cannot read %s", path) : TT_OK;
}

static int write_weights(struct weights *w, const char *dir, const struct shape *s)
{
	char path[PATH_MAX];

	add(w, "bert.embeddings.word_embeddings.weight", VOCAB, s->hidden, w->noise);
	add(w, "bert.embeddings.position_embeddings.weight", positions(s), s->hidden, w->noise);
	add(w, "bert.embeddings.token_type_embeddings.weight", 2, s->hidden, w->noise);
	add_norm(w, "bert.embeddings.LayerNorm", s->hidden);
	for (int i = 0; i < s->layers; i++)
		add_block(w, i, s);
	add_linear(w, "bert.pooler.dense", s->hidden, s->hidden);
	if (!w->rc)
		w->rc = fs_join(path, sizeof(path), dir, "model.safetensors");
	if (!w->rc)
		w->rc = st_write(w->writer, path);
	return w->rc ? w->rc : settle(path);
}

static int weights(const char *dir, const struct shape *s)
{
	const size_t n = (size_t)VOCAB * (size_t)s->hidden;
	struct weights w = { .noise = calloc(n, sizeof(float)),
			     .one = calloc((size_t)s->ffn, sizeof(float)),
			     .zero = calloc((size_t)s->ffn, sizeof(float)) };
	struct rng r;

	w.rc = w.noise && w.one && w.zero ? st_writer_new(&w.writer)
					  : err_set(TT_NOMEM, "not enough memory for a model");
	rng_init(&r, 1, RNG_TEST, 0);
	for (size_t i = 0; !w.rc && i < n; i++)
		w.noise[i] = 0.02f * rng_normal(&r);
	for (int i = 0; !w.rc && i < s->ffn; i++)
		w.one[i] = 1;
	if (!w.rc)
		w.rc = write_weights(&w, dir, s);
	st_writer_free(w.writer);
	free(w.noise);
	free(w.one);
	free(w.zero);
	return w.rc;
}

static int write_text(const char *dir, const char *name, struct buf *text)
{
	char path[PATH_MAX];
	int rc = buf_check(text, name);

	if (!rc)
		rc = fs_join(path, sizeof(path), dir, name);
	if (!rc)
		rc = fs_write_atomic(path, text->data, text->size);
	buf_done(text);
	return rc;
}

static int config(const char *dir, const struct shape *s)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	buf_printf(&out,
		   "{\"architectures\": [\"BertModel\"], \"model_type\": \"bert\", "
		   "\"hidden_act\": \"gelu\", \"vocab_size\": %d,\n"
		   "\"hidden_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
		   "\"intermediate_size\": %d,\n"
		   "\"max_position_embeddings\": %d, \"type_vocab_size\": 2, \"pad_token_id\": 0, "
		   "\"layer_norm_eps\": 1e-12,\n"
		   "\"hidden_dropout_prob\": 0.1, \"attention_probs_dropout_prob\": 0.1}\n",
		   VOCAB, s->hidden, s->layers, s->heads, s->ffn, positions(s));
	return write_text(dir, "config.json", &out);
}

/* The given words first; the rest are wN, which made-up texts are written in. */
static int vocabulary(const char *dir, const char *from)
{
	static const char *const special[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };
	struct buf out, given = { 0 };
	int lines = 0;

	buf_init(&out, (size_t)4 << 20);
	if (from) {
		const int rc = fs_read(from, (size_t)4 << 20, &given);

		if (rc)
			return rc;
		buf_add(&out, given.data, given.size);
		for (size_t i = 0; i < given.size; i++)
			lines += given.data[i] == '\n';
		buf_done(&given);
	}
	for (; lines < VOCAB; lines++) {
		if (lines < (int)COUNT(special))
			buf_printf(&out, "%s\n", special[lines]);
		else
			buf_printf(&out, "w%d\n", lines);
	}
	return write_text(dir, "vocab.txt", &out);
}

int folder_bert(const char *dir, const struct shape *s, const char *vocab)
{
	int rc = fs_mkdirs(dir);

	if (!rc)
		rc = config(dir, s);
	if (!rc)
		rc = vocabulary(dir, vocab);
	return rc ? rc : weights(dir, s);
}

/*
 * A length for row i: between 4 and max, skewed so that the mean is right:
 * 4 + (max - 4) u^k has the mean 4 + (max - 4) / (k + 1).
 */
static int draw(const struct lengths *l, struct rng *r)
{
	const double span = l->max - 4, k = span / (l->mean - 4) - 1;

	if (l->constant)
		return l->constant;
	return 4 + (int)lround(span * pow((double)rng_uniform(r), k > 0 ? k : 1));
}

static int make_up(const char *dir, const char *name, const struct lengths *l, int rows)
{
	struct buf out;
	struct rng r;

	buf_init(&out, (size_t)64 << 20);
	rng_init(&r, 7, RNG_TEST, 1);
	for (int i = 0; i < rows; i++) {
		const int tokens = draw(l, &r);

		buf_text(&out, "{\"text_a\": \"");
		for (int k = 0; k < tokens - 2; k++) /* one token a word */
			buf_printf(&out, "%sw%d", k ? " " : "",
				   WORDS_FROM + (int)rng_below(&r, VOCAB - WORDS_FROM));
		buf_printf(&out, "\", \"text_b\": null, \"label\": \"%s\"}\n", l->labels[i % 2]);
	}
	return write_text(dir, name, &out);
}

int folder_data(const char *dir, const struct lengths *l, const char *data, int rows, char *ret)
{
	char name[64];
	int rc;

	if (data && !l->constant) {
		rc = fs_join(ret, PATH_MAX, data, l->file);
		if (rc || fs_exists(ret))
			return rc;
	}
	snprintf(name, sizeof(name), "%s-%d.jsonl", l->name, l->constant);
	rc = make_up(dir, name, l, rows);
	return rc ? rc : fs_join(ret, PATH_MAX, dir, name);
}
