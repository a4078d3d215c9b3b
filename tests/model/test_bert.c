/*
 * BERT against two judges: numbers that transformers computed (logits, loss and
 * the norm of every gradient), and a forward pass written out in double here,
 * which knows no packing and no row pruning.
 */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "model/model.h"
#include "tensor/leaves.h"
#include "tests/model/pack.h"
#include "tests/model/toy.h"

static const char *fixture(char *ret, size_t size, const char *name)
{
	const char *top = getenv("top_srcdir");

	snprintf(ret, size, "%s/tests/fixtures/bert/%s", top ? top : ".", name);
	return ret;
}

static struct model *open_model(const char *dir, enum head head, int64_t labels,
				const struct gemm *gm)
{
	const struct model_options how = {
		.folder = dir, .head = head, .n_labels = labels, .dropout = 0, .seed = 1, .gemm = gm
	};
	struct model *m = NULL;

	if (!CHECK(model_open(&how, &m) == TT_OK))
		printf("# %s\n", err_text());
	return m;
}

/* ---- the fixtures ---- */

/* Integers of a JSON list; returns how many. */
static int ints(const struct json *list, int32_t *ret, int max)
{
	int n = 0;

	for (const struct json *j = json_first(list); j && n < max; j = json_next(j)) {
		int64_t v = -1;

		json_int(j, &v);
		ret[n++] = (int32_t)v;
	}
	return n;
}

static int32_t nth(const struct json *list, int i)
{
	int32_t v[PACK_SEQS] = { 0 };

	return ints(list, v, PACK_SEQS) > i ? v[i] : -1;
}

/* The sequences of a fixture; each has one row: its first token, or its mask. */
static void pack_fixture(struct pack *p, const struct json *e)
{
	const struct json *id = json_first(json_get(e, "ids")),
			  *type = json_first(json_get(e, "types"));

	pack_begin(p);
	for (int s = 0; id && type; s++, id = json_next(id), type = json_next(type)) {
		int32_t ids[64], types[64];
		const int n = ints(id, ids, 64);

		ints(type, types, 64);
		pack_add(p, ids, types, n, s);
		pack_row(p, json_get(e, "mask") ? nth(json_get(e, "mask"), s) : 0,
			 nth(json_get(e, "labels"), s));
	}
}

/* Largest distance from the listed logits; column k of the list is column word[k] of y. */
static double logits_distance(const struct tensor *y, const struct json *e)
{
	const struct json *row = json_first(json_get(e, "logits"));
	double worst = 0;
	int64_t r = 0;

	for (; row; row = json_next(row), r++) {
		int k = 0;

		for (const struct json *j = json_first(row); j; j = json_next(j), k++) {
			const int64_t col = json_get(e, "words") ? nth(json_get(e, "words"), k) : k;

			worst = fmax(worst, fabs(json_number(j) -
						 (double)y->data[r * tensor_cols(y) + col]));
		}
	}
	return r == tensor_rows(y) ? worst : INFINITY;
}

static struct json *expected(const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct json *e = NULL;

	fs_join(path, sizeof(path), fixture(dir, sizeof(dir), name), "expected.json");
	return CHECK(json_load(path, 1 << 20, &e) == TT_OK) ? e : NULL;
}

static void fixture_logits(const char *name, enum head head, int64_t labels, const struct gemm *gm,
			   bool prepared)
{
	static struct pack p;
	const struct pass pass = { .train = false };
	char dir[PATH_MAX], what[64];
	struct model *m = open_model(fixture(dir, sizeof(dir), name), head, labels, gm);
	struct json *e = expected(name);
	struct graph *g = NULL;
	const struct tensor *y;

	if (m && e && CHECK(graph_new(gm, &g) == TT_OK)) {
		if (prepared)
			CHECK(model_prepare(m, false) == TT_OK);
		pack_fixture(&p, e);
		graph_begin(g, &pass, NULL, 0);
		y = model_forward(m, g, &p.batch);
		snprintf(what, sizeof(what), "%s by %s%s", name, gemm_name(gm),
			 prepared ? ", prepared" : "");
		CHECK_NAMED(y && logits_distance(y, e) <= 1e-5, what);
	}
	graph_free(g);
	json_free(e);
	model_close(m);
}

/* Loss and the norm of every parameter's gradient, all of them training. */
static void fixture_gradients(const struct gemm *gm)
{
	static struct pack p;
	const struct pass pass = { .train = true };
	char dir[PATH_MAX];
	struct model *m = open_model(fixture(dir, sizeof(dir), "classes"), HEAD_SEQ_CLS, 3, gm);
	struct json *e = expected("classes");
	struct leaves *l = NULL;
	struct graph *g = NULL;
	struct loss loss = { 0, 0 };
	size_t seen = 0;

	if (!m || !e)
		goto out;
	for (size_t i = 0; i < m->nparam; i++)
		CHECK(model_train_param(m, m->param[i]) == TT_OK);
	pack_fixture(&p, e);
	if (!CHECK(graph_new(gm, &g) == TT_OK &&
		   leaves_new(m->arena, m->param, m->nparam, &l) == TT_OK))
		goto out;
	CHECK(leaves_begin(l, 1) == TT_OK);
	graph_begin(g, &pass, l, 0);
	CHECK(graph_backward(g, op_cross_entropy(g, model_forward(m, g, &p.batch), p.label, 0, 8,
						 &loss)) == TT_OK);
	leaves_finish(l);
	CHECK_NEAR(loss.sum / 8, json_number(json_get(e, "loss")), 1e-5);
	for (const struct json *j = json_first(json_get(e, "gradient_norms")); j;
	     j = json_next(j), seen++) {
		const struct tensor *t = model_param(m, json_key(j));
		double sum = 0;

		for (int64_t i = 0; t && i < tensor_count(t); i++)
			sum += (double)t->grad[i] * (double)t->grad[i];
		/* a key bias has no gradient but rounding */
		CHECK_NAMED(t && fabs(sqrt(sum) - json_number(j)) <= 1e-4 * json_number(j) + 1e-7,
			    json_key(j));
	}
	CHECK(seen == m->nparam);
out:
	leaves_free(l);
	graph_free(g);
	json_free(e);
	model_close(m);
}

/* ---- the reference in double, one sequence at a time, everything computed ---- */

enum { REF_TOKENS = 24, REF_WIDE = 64 };

static const float *ref_param(const struct model *m, const char *module, const char *leaf)
{
	char name[200];

	snprintf(name, sizeof(name), "%s.%s", module, leaf);
	return model_param(m, name)->data;
}

static void ref_linear(const struct model *m, const char *module, int n, int out, int in,
		       double (*x)[REF_WIDE], double (*y)[REF_WIDE])
{
	const float *w = ref_param(m, module, "weight"), *b = ref_param(m, module, "bias");

	for (int t = 0; t < n; t++)
		for (int o = 0; o < out; o++) {
			y[t][o] = (double)b[o];
			for (int i = 0; i < in; i++)
				y[t][o] += (double)w[o * in + i] * x[t][i];
		}
}

static void ref_norm(const struct model *m, const char *module, int n, int h, double (*x)[REF_WIDE])
{
	const float *w = ref_param(m, module, "weight"), *b = ref_param(m, module, "bias");

	for (int t = 0; t < n; t++) {
		double mean = 0, var = 0;

		for (int i = 0; i < h; i++)
			mean += x[t][i] / h;
		for (int i = 0; i < h; i++)
			var += (x[t][i] - mean) * (x[t][i] - mean) / h;
		for (int i = 0; i < h; i++)
			x[t][i] = (x[t][i] - mean) / sqrt(var + m->hp.layer_norm_eps) *
					  (double)w[i] +
				  (double)b[i];
	}
}

static void ref_add(int n, int h, double (*y)[REF_WIDE], double (*x)[REF_WIDE])
{
	for (int t = 0; t < n; t++)
		for (int i = 0; i < h; i++)
			y[t][i] += x[t][i];
}

static void ref_gelu(int n, int h, double (*x)[REF_WIDE])
{
	for (int t = 0; t < n; t++)
		for (int i = 0; i < h; i++)
			x[t][i] *= 0.5 * (1 + erf(x[t][i] / sqrt(2)));
}

static void ref_attention(int n, int h, int heads, double (*q)[REF_WIDE], double (*k)[REF_WIDE],
			  double (*v)[REF_WIDE], double (*y)[REF_WIDE])
{
	const int d = h / heads;

	for (int a = 0; a < heads; a++)
		for (int t = 0; t < n; t++) {
			double p[REF_TOKENS], sum = 0;

			for (int u = 0; u < n; u++) {
				double s = 0;

				for (int i = a * d; i < (a + 1) * d; i++)
					s += q[t][i] * k[u][i];
				p[u] = exp(s / sqrt(d));
				sum += p[u];
			}
			for (int i = a * d; i < (a + 1) * d; i++) {
				y[t][i] = 0;
				for (int u = 0; u < n; u++)
					y[t][i] += p[u] / sum * v[u][i];
			}
		}
}

static void ref_block(const struct model *m, int layer, int n, double (*x)[REF_WIDE])
{
	static double q[REF_TOKENS][REF_WIDE], k[REF_TOKENS][REF_WIDE], v[REF_TOKENS][REF_WIDE];
	static double y[REF_TOKENS][REF_WIDE], f[REF_TOKENS][REF_WIDE];
	const int h = (int)m->hp.hidden_size, wide = (int)m->hp.intermediate_size;
	char name[7][160];
	static const char *const part[7] = {
		"attention.self.query",   "attention.self.key",         "attention.self.value",
		"attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
		"output.dense",
	};

	for (int i = 0; i < 7; i++)
		snprintf(name[i], sizeof(name[i]), "bert.encoder.layer.%d.%s", layer, part[i]);
	ref_linear(m, name[0], n, h, h, x, q);
	ref_linear(m, name[1], n, h, h, x, k);
	ref_linear(m, name[2], n, h, h, x, v);
	ref_attention(n, h, (int)m->hp.num_attention_heads, q, k, v, y);
	ref_linear(m, name[3], n, h, h, y, q);
	ref_add(n, h, x, q);
	ref_norm(m, name[4], n, h, x);
	ref_linear(m, name[5], n, wide, h, x, f);
	ref_gelu(n, wide, f);
	ref_linear(m, name[6], n, h, wide, f, y);
	ref_add(n, h, x, y);
	snprintf(name[0], sizeof(name[0]), "bert.encoder.layer.%d.output.LayerNorm", layer);
	ref_norm(m, name[0], n, h, x);
}

static void ref_encode(const struct model *m, const struct batch *b, int64_t seq,
		       double (*x)[REF_WIDE])
{
	const int h = (int)m->hp.hidden_size, n = (int)(b->start[seq + 1] - b->start[seq]);
	const float *word = ref_param(m, "bert.embeddings.word_embeddings", "weight");
	const float *pos = ref_param(m, "bert.embeddings.position_embeddings", "weight");
	const float *type = ref_param(m, "bert.embeddings.token_type_embeddings", "weight");

	for (int t = 0; t < n; t++)
		for (int i = 0; i < h; i++)
			x[t][i] = (double)word[b->id[b->start[seq] + t] * h + i] +
				  (double)pos[t * h + i] +
				  (double)type[b->type[b->start[seq] + t] * h + i];
	ref_norm(m, "bert.embeddings.LayerNorm", n, h, x);
	for (int i = 0; i < m->hp.num_hidden_layers; i++)
		ref_block(m, i, n, x);
}

/* The head's output for one row [cols]. */
static void ref_head(const struct model *m, double *x, int64_t cols, double *ret)
{
	static double a[1][REF_WIDE], y[1][REF_WIDE];
	const int h = (int)m->hp.hidden_size;
	const bool mlm = m->head == HEAD_MLM;
	const float *w = mlm ? ref_param(m, "bert.embeddings.word_embeddings", "weight")
			     : ref_param(m, "classifier", "weight");
	const float *b = mlm ? ref_param(m, "cls.predictions", "bias")
			     : ref_param(m, "classifier", "bias");

	memcpy(a[0], x, sizeof(a[0]));
	ref_linear(m, mlm ? "cls.predictions.transform.dense" : "bert.pooler.dense", 1, h, h, a, y);
	if (mlm) {
		ref_gelu(1, h, y);
		ref_norm(m, "cls.predictions.transform.LayerNorm", 1, h, y);
	}
	for (int64_t c = 0; c < cols; c++) {
		ret[c] = (double)b[c];
		for (int i = 0; i < h; i++)
			ret[c] += (double)w[c * h + i] * (mlm ? y[0][i] : tanh(y[0][i]));
	}
}

/* Largest distance between y and the reference, over all rows of the batch. */
static double ref_distance(const struct model *m, const struct batch *b, const struct tensor *y)
{
	static double x[REF_TOKENS][REF_WIDE];
	double out[REF_WIDE], worst = 0;
	int64_t seq = -1;

	for (int64_t r = 0; r < b->rows; r++) {
		if (b->row_seq[r] != seq) {
			seq = b->row_seq[r];
			ref_encode(m, b, seq, x);
		}
		ref_head(m, x[b->row[r] - b->start[seq]], tensor_cols(y), out);
		for (int64_t c = 0; c < tensor_cols(y); c++)
			worst = fmax(worst, fabs(out[c] - (double)y->data[r * tensor_cols(y) + c]));
	}
	return worst;
}

/* Sequences of 1 to 24 tokens; for tokens' heads some rows, with a sequence that has none. */
static void pack_toy(struct pack *p, enum head head, int vocab)
{
	static const int length[] = { 7, 1, 24, 2, 13 };
	struct rng rng;

	rng_init(&rng, 3, RNG_TEST, 0);
	pack_begin(p);
	for (int s = 0; s < 5; s++) {
		int32_t id[REF_TOKENS], type[REF_TOKENS];

		for (int i = 0; i < length[s]; i++) {
			id[i] = (int32_t)rng_below(&rng, (uint32_t)vocab);
			type[i] = i > length[s] / 2;
		}
		pack_add(p, id, type, length[s], 10 + s);
		if (head != HEAD_MLM)
			pack_row(p, 0, s % 2);
		for (int i = 0; head == HEAD_MLM && s != 3 && i < length[s]; i += 3)
			pack_row(p, i, s);
	}
}

static void toy_against_reference(const char *dir, enum head head, const struct gemm *gm)
{
	static struct pack p;
	const struct pass pass = { .train = false };
	struct model *m = open_model(dir, head, 3, gm);
	struct graph *g = NULL;
	const struct tensor *y;

	if (m && CHECK(graph_new(gm, &g) == TT_OK)) {
		pack_toy(&p, head, (int)m->hp.vocab_size);
		graph_begin(g, &pass, NULL, 0);
		y = model_forward(m, g, &p.batch);
		CHECK(y && tensor_rows(y) == p.batch.rows);
		CHECK(y && ref_distance(m, &p.batch, y) <=
				   1e-5); /* fp32 against double, values of order 1 */
	}
	graph_free(g);
	model_close(m);
}

/* ---- dropout, memory, limits ---- */

/* Sum of the head's output with dropout, of the sequences from first on. */
static bool run_part(struct model *m, struct graph *g, const struct batch *b, float *ret, size_t n,
		     int64_t step)
{
	const struct pass pass = { .train = true, .seed = 9, .step = step };
	const struct tensor *y;

	graph_begin(g, &pass, NULL, 0);
	y = model_forward(m, g, b);
	if (!y || (size_t)tensor_count(y) != n)
		return false;
	memcpy(ret, y->data, n * sizeof(*ret));
	graph_end(g);
	return true;
}

/* Dropout hits a row alike whatever it is packed with, and changes with the step. */
static void dropout_follows_the_example(const char *dir, const struct gemm *gm)
{
	static struct pack all, one;
	const struct model_options how = {
		.folder = dir, .head = HEAD_SEQ_CLS, .n_labels = 3, .dropout = 0.3, .gemm = gm
	};
	float whole[15], again[15], alone[3];
	struct model *m = NULL;
	struct graph *g = NULL;

	if (CHECK(model_open(&how, &m) == TT_OK && graph_new(gm, &g) == TT_OK)) {
		const int64_t from = 8, n = 24; /* the third sequence */

		pack_toy(&all, HEAD_SEQ_CLS, (int)m->hp.vocab_size);
		pack_begin(&one);
		pack_add(&one, all.id + from, all.type + from, n, 12);
		pack_row(&one, 0, 0);
		CHECK(run_part(m, g, &all.batch, whole, 15, 1) &&
		      run_part(m, g, &one.batch, alone, 3, 1));
		for (int i = 0; i < 3; i++)
			CHECK_NEAR(whole[6 + i], alone[i], 2e-6);
		CHECK(run_part(m, g, &all.batch, again, 15, 1) &&
		      !memcmp(whole, again, sizeof(whole)));
		CHECK(run_part(m, g, &all.batch, again, 15, 2) &&
		      memcmp(whole, again, sizeof(whole)));
	}
	graph_free(g);
	model_close(m);
}

/* Evaluation of twelve layers needs no more memory than of two. */
static void evaluation_reuses_memory(const char *shallow, const char *deep, const struct gemm *gm)
{
	static struct pack p;
	const struct pass pass = { .train = false };
	size_t bytes[2] = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		struct model *m = open_model(i ? deep : shallow, HEAD_SEQ_CLS, 3, gm);
		struct graph *g = NULL;

		if (!m || !CHECK(graph_new(gm, &g) == TT_OK))
			continue;
		pack_begin(&p);
		for (int s = 0; s < 40; s++) {
			pack_add(&p, (int32_t[50]){ 2, 7, 9 }, NULL, 50, s);
			pack_row(&p, 0, 0);
		}
		graph_begin(g, &pass, NULL, 0);
		CHECK(model_forward(m, g, &p.batch) != NULL);
		bytes[i] = graph_bytes(g);
		graph_free(g);
		model_close(m);
	}
	CHECK(bytes[0] && bytes[1] <= bytes[0]);
}

static void refused(struct model *m, struct graph *g, const struct batch *b, const char *says)
{
	const struct pass pass = { .train = false };

	graph_begin(g, &pass, NULL, 0);
	CHECK_NAMED(!model_forward(m, g, b) && strstr(err_text(), says), says);
}

static void limits(const char *dir, const struct gemm *gm)
{
	static struct pack p;
	struct model *m = open_model(dir, HEAD_MLM, 0, gm);
	const struct pass pass = { .train = false };
	struct graph *g = NULL;
	const struct tensor *y;
	int32_t id[65] = { 2 }, type[65] = { 0 };

	if (m && CHECK(graph_new(gm, &g) == TT_OK)) {
		pack_begin(&p);
		pack_add(&p, id, type, 65, 0);
		pack_row(&p, 0, 1);
		refused(m, g, &p.batch, "a row has more than 64 tokens");
		pack_begin(&p);
		id[1] = (int32_t)m->hp.vocab_size;
		pack_add(&p, id, type, 2, 0);
		pack_row(&p, 0, 1);
		refused(m, g, &p.batch, "not in the model's vocabulary of 60");
		p.id[1] = -1;
		refused(m, g, &p.batch, "token id -1");
		p.id[1] = 0;
		p.type[1] = 2;
		refused(m, g, &p.batch, "token type 2");
		p.type[1] = 1;
		p.batch.rows = 0;
		graph_begin(g, &pass, NULL, 0);
		y = model_forward(m, g, &p.batch);
		CHECK(y && tensor_rows(y) == 0 && tensor_cols(y) == 60);
	}
	graph_free(g);
	model_close(m);
}

int main(void)
{
	char dir[PATH_MAX], toy[PATH_MAX], deep[PATH_MAX];
	const struct gemm_ops *const *ops = gemm_all();

	if (!CHECK(toy_folder(dir, sizeof(dir)) != NULL))
		return check_done();
	fs_join(toy, sizeof(toy), dir, "toy");
	fs_join(deep, sizeof(deep), dir, "deep");
	CHECK(toy_bert(toy, 2, 16, 4, 40, 60, 3, 5) == TT_OK &&
	      toy_bert(deep, 12, 16, 4, 40, 60, 3, 5) == TT_OK);
	for (; *ops; ops++) {
		struct gemm *gm = NULL;

		if (!CHECK(gemm_open((*ops)->name, &gm) == TT_OK))
			continue;
		for (int prepared = 0; prepared < 2; prepared++) {
			fixture_logits("classes", HEAD_SEQ_CLS, 3, gm, prepared);
			fixture_logits("cloze", HEAD_MLM, 0, gm, prepared);
		}
		fixture_gradients(gm);
		toy_against_reference(toy, HEAD_SEQ_CLS, gm);
		toy_against_reference(toy, HEAD_MLM, gm);
		toy_against_reference(deep, HEAD_MLM, gm);
		dropout_follows_the_example(toy, gm);
		if (!ops[1]) {
			evaluation_reuses_memory(toy, deep, gm);
			limits(toy, gm);
		}
		gemm_close(gm);
	}
	fs_remove_tree(dir);
	return check_done();
}
