/* From folder to parameters and back: names, shapes, dtypes, new heads, broken folders, and what is saved. */
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "model/model.h"
#include "tests/model/pack.h"
#include "tests/model/toy.h"

static char base[PATH_MAX]; /* the temporary folder of this program */
static struct gemm *gm;

static const char *in(const char *dir, const char *name)
{
	static char path[4][PATH_MAX];
	static int turn;

	turn = (turn + 1) % 4;
	fs_join(path[turn], sizeof(path[turn]), dir, name);
	return path[turn];
}

static int open_as(const char *name, enum head head, int64_t labels, uint64_t seed,
		   struct model **ret)
{
	const struct model_options how = { .folder = in(base, name),
					   .head = head,
					   .n_labels = labels,
					   .dropout = NAN,
					   .seed = seed,
					   .gemm = gm };

	return model_open(&how, ret);
}

static bool opens(const char *name, enum head head, int64_t labels)
{
	struct model *m = NULL;
	const int rc = open_as(name, head, labels, 1, &m);

	if (rc)
		printf("# %s\n", err_text());
	model_close(m);
	return !rc;
}

static void refused(const char *name, enum head head, int64_t labels, int code, const char *says)
{
	struct model *m = NULL;
	const int rc = open_as(name, head, labels, 1, &m);
	const bool ok = rc == code && strstr(err_text(), says);

	CHECK_NAMED(ok, says);
	if (!ok)
		printf("# %d %s\n", rc, rc ? err_text() : "was taken");
	if (!rc)
		model_close(m);
}

/* ---- copies of a toy with other weights or another config ---- */

/* What a copy does with a stored tensor: new name in ret, or false to leave it out. */
typedef bool (*change)(const char *name, char *ret, size_t size);

static bool as_is(const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s", name);
	return true;
}

static bool bare(const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s", name + 5);
	return !strncmp(name, "bert.", 5);
}

static bool old_names(const char *name, char *ret, size_t size)
{
	const char *norm = strstr(name, "LayerNorm.");

	as_is(name, ret, size);
	if (norm)
		snprintf(ret + (norm - name) + 10, size - (size_t)(norm - name) - 10, "%s",
			 !strcmp(norm + 10, "weight") ? "gamma" : "beta");
	return true;
}

static bool without_pooler(const char *name, char *ret, size_t size)
{
	return as_is(name, ret, size) && !strstr(name, "pooler");
}

static bool without_classifier(const char *name, char *ret, size_t size)
{
	return as_is(name, ret, size) && !strstr(name, "classifier");
}

static bool without_key_bias(const char *name, char *ret, size_t size)
{
	return as_is(name, ret, size) &&
	       strcmp(name, "bert.encoder.layer.1.attention.self.key.bias");
}

/* Only the tied names, as some writers leave them. */
static bool other_ties(const char *name, char *ret, size_t size)
{
	as_is(name, ret, size);
	if (!strcmp(name, "bert.embeddings.word_embeddings.weight"))
		snprintf(ret, size, "cls.predictions.decoder.weight");
	if (!strcmp(name, "cls.predictions.bias"))
		snprintf(ret, size, "cls.predictions.decoder.bias");
	return true;
}

static void narrow(const struct st_tensor *t, uint16_t *out)
{
	for (size_t i = 0; i < t->size / 4; i++)
		memcpy(&out[i], t->data + 4 * i + 2, 2); /* bf16, cut */
}

/* Write the weights of toy `from` to folder `to`, changed; extra: one more tensor of that name. */
static void copy_weights(const char *from, const char *to, change how, const char *dtype,
			 const char *extra)
{
	const int64_t dim[1] = { 4 };
	const float four[4] = { 1, 2, 3, 4 };
	struct arena *a = arena_new();
	struct st_file *f = NULL;
	struct st_writer *w = NULL;
	bool ok = a && !st_open_folder(in(base, from), &f) && !st_writer_new(&w) &&
		  !fs_mkdirs(in(base, to));

	for (size_t i = 0; ok && i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);
		uint16_t *half = arena_alloc(a, t->size);
		char name[200];

		narrow(t, half);
		if (how(t->name, name, sizeof(name)))
			ok = !st_writer_add(w, name, dtype, t->rank, t->dim,
					    strcmp(dtype, "BF16") ? (const void *)t->data : half);
	}
	if (ok && extra)
		ok = !st_writer_add(w, extra, "F32", 1, dim, four);
	CHECK_NAMED(ok && !st_write(w, in(in(base, to), "model.safetensors")), to);
	CHECK(fs_exists(in(in(base, to), "config.json")) ||
	      !fs_copy(in(in(base, from), "config.json"), in(in(base, to), "config.json")));
	st_writer_free(w);
	st_close(f);
	arena_free(a);
}

/* Copy the toy's config.json to folder `to` with one member set (value as JSON), and no weights. */
static void copy_config(const char *to, const char *key, const char *value)
{
	struct json *config = NULL;
	char *text = NULL;

	if (CHECK(!fs_mkdirs(in(base, to)) &&
		  !json_load(in(in(base, "toy"), "config.json"), 1 << 20, &config) &&
		  !json_set(config, key, value))) {
		text = json_print(config, true);
		CHECK(text &&
		      !fs_write_atomic(in(in(base, to), "config.json"), text, strlen(text)));
	}
	free(text);
	json_free(config);
}

/* ---- tests ---- */

static void same_data(const struct model *a, const struct model *b, double tolerance,
		      const char *what)
{
	double worst = a->nparam == b->nparam ? 0 : INFINITY;

	for (size_t i = 0; i < a->nparam && worst < 1e9; i++) {
		const struct tensor *x = a->param[i], *y = model_param(b, x->name);

		if (!y || tensor_count(x) != tensor_count(y)) {
			worst = INFINITY;
			break;
		}
		for (int64_t k = 0; k < tensor_count(x); k++)
			worst = fmax(worst, fabs((double)x->data[k] - (double)y->data[k]) /
						    (1e-6 + fabs((double)x->data[k])));
	}
	CHECK_NAMED(worst <= tolerance, what);
}

static void names(void)
{
	static const struct {
		const char *to;
		change how;
		const char *dtype;
		enum head head;
		double tolerance;
	} table[] = {
		{ "old", old_names, "F32", HEAD_SEQ_CLS, 0 },
		{ "ties", other_ties, "F32", HEAD_MLM, 0 },
		{ "bf16", as_is, "BF16", HEAD_MLM, 0.008 },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct model *want = NULL, *have = NULL;

		copy_weights("toy", table[i].to, table[i].how, table[i].dtype,
			     "bert.embeddings.position_ids");
		if (CHECK(!open_as("toy", table[i].head, 3, 1, &want) &&
			  !open_as(table[i].to, table[i].head, 3, 1, &have)))
			same_data(want, have, table[i].tolerance, table[i].to);
		model_close(want);
		model_close(have);
	}
}

/* A bare backbone gets a head, drawn alike for one seed. */
static void new_head(void)
{
	struct model *m[3] = { NULL };
	const struct tensor *w, *same, *other, *bias;
	double sum = 0;

	copy_weights("toy", "bare", bare, "F32", NULL);
	copy_weights("toy", "headless", without_classifier, "F32", NULL);
	if (!CHECK(!open_as("bare", HEAD_SEQ_CLS, 200, 5, &m[0]) &&
		   !open_as("headless", HEAD_SEQ_CLS, 200, 5, &m[1]) &&
		   !open_as("bare", HEAD_SEQ_CLS, 200, 6, &m[2])))
		goto out;
	w = model_param(m[0], "classifier.weight");
	same = model_param(m[1], "classifier.weight");
	other = model_param(m[2], "classifier.weight");
	bias = model_param(m[0], "classifier.bias");
	CHECK(w->dim[0] == 200 && w->dim[1] == 16);
	CHECK(!memcmp(w->data, same->data, sizeof(float) * 3200) &&
	      memcmp(w->data, other->data, sizeof(float) * 3200));
	for (int i = 0; i < 3200; i++)
		sum += (double)w->data[i] * (double)w->data[i];
	CHECK_NEAR(sqrt(sum / 3200), 0.02, 0.001); /* initializer_range */
	CHECK(bias->data[0] == 0 && bias->data[199] == 0);
	CHECK(!memcmp(model_param(m[0], "bert.pooler.dense.weight")->data,
		      model_param(m[2], "bert.pooler.dense.weight")->data, sizeof(float) * 256));
out:
	for (int i = 0; i < 3; i++)
		model_close(m[i]);
}

static void heads(void)
{
	struct model *m = NULL;

	copy_weights("toy", "poolerless", without_pooler, "F32", NULL);
	CHECK(opens("poolerless", HEAD_SEQ_CLS, 3) && opens("poolerless", HEAD_MLM, 0));
	if (CHECK(!open_as("bare", HEAD_MLM, 0, 5, &m))) {
		CHECK(model_param(m, "cls.predictions.transform.LayerNorm.weight")->data[3] == 1);
		CHECK(model_param(m, "cls.predictions.bias")->data[3] == 0);
		CHECK(model_param(m, "cls.predictions.transform.dense.weight")->data[3] != 0);
		CHECK(!model_param(m, "bert.pooler.dense.weight") &&
		      !model_param(m, "cls.predictions.decoder.weight"));
		CHECK(model_site(m, "cls.predictions.decoder")->weight ==
		      model_param(m, "bert.embeddings.word_embeddings.weight"));
	}
	model_close(m);
	m = NULL;
	/* the toy has 3 classes; asked for 5, its classifier is drawn anew */
	if (CHECK(!open_as("toy", HEAD_SEQ_CLS, 5, 5, &m)))
		CHECK(model_param(m, "classifier.weight")->dim[0] == 5 &&
		      model_param(m, "classifier.bias")->data[0] == 0);
	model_close(m);
	m = NULL;
	if (CHECK(!open_as("toy", HEAD_REGRESSION, 9, 5, &m)))
		CHECK(m->n_labels == 1 && model_param(m, "classifier.weight")->dim[0] == 1);
	model_close(m);
}

static void broken_weights(void)
{
	copy_weights("toy", "keyless", without_key_bias, "F32", NULL);
	refused("keyless", HEAD_SEQ_CLS, 3, TT_INVALID,
		"tensor 'bert.encoder.layer.1.attention.self.key.bias' is missing");
	copy_weights("wide", "crossed", as_is, "F32", NULL);
	CHECK(!fs_copy(in(in(base, "toy"), "config.json"), in(in(base, "crossed"), "config.json")));
	refused("crossed", HEAD_SEQ_CLS, 3, TT_INVALID,
		"has shape [60,24]; by config.json it should be [60,16]");
	copy_weights("toy", "headed", without_classifier, "F32", "classifier.weight");
	refused("headed", HEAD_SEQ_CLS, 3, TT_INVALID, "'classifier.weight' has shape [4]");
	copy_weights("toy", "double", old_names, "F32", "embeddings.LayerNorm.weight");
	refused("double", HEAD_SEQ_CLS, 3, TT_INVALID, "are both bert.embeddings.LayerNorm.weight");
	copy_weights("toy", "extra", as_is, "F32",
		     "embeddings.LayerNorm.weight"); /* the full name wins */
	CHECK(opens("extra", HEAD_SEQ_CLS, 3));
}

static void broken_folders(void)
{
	refused("nowhere", HEAD_SEQ_CLS, 3, TT_NOTFOUND, "was it moved or deleted?");
	refused("toy/vocab.txt", HEAD_SEQ_CLS, 3, TT_INVALID, "is not a folder");
	CHECK(!fs_mkdirs(in(base, "void")));
	refused("void", HEAD_SEQ_CLS, 3, TT_NOTFOUND, "holds no config.json");
	CHECK(!fs_write_atomic(in(in(base, "void"), "config.json"), "{", 1));
	refused("void", HEAD_SEQ_CLS, 3, TT_INVALID, "config.json");
	CHECK(!fs_write_atomic(in(in(base, "void"), "config.json"), "[]", 2));
	refused("void", HEAD_SEQ_CLS, 3, TT_INVALID, "does not say its model_type");
	copy_config("weightless", "note", "1");
	refused("weightless", HEAD_SEQ_CLS, 3, TT_NOTFOUND, "holds no weights");
	CHECK(!fs_write_atomic(in(in(base, "weightless"), "pytorch_model.bin"), "", 0));
	refused("weightless", HEAD_SEQ_CLS, 3, TT_INVALID, "pytorch_model.bin only, a pickle");
	refused("toy", HEAD_SEQ_CLS, 0, TT_INVALID, "0 labels");
}

static void broken_configs(void)
{
	static const struct {
		const char *key, *value, *says;
	} table[] = {
		{ "model_type", "\"gpt9\"",
		  "models of type 'gpt9' are not supported; supported: bert" },
		{ "model_type", "7", "does not say its model_type" },
		{ "hidden_size", "0", "hidden_size must be a whole number" },
		{ "hidden_size", "-16", "hidden_size must be a whole number" },
		{ "hidden_size", "16.5", "hidden_size must be a whole number" },
		{ "hidden_size", "\"16\"", "hidden_size must be a whole number" },
		{ "hidden_size", "1e300", "hidden_size must be a whole number" },
		{ "hidden_size", "18",
		  "hidden_size 18 is not a multiple of num_attention_heads 4" },
		{ "vocab_size", "9007199254740992", "vocab_size must be a whole number" },
		{ "num_hidden_layers", "1000000", "num_hidden_layers must be a whole number" },
		{ "intermediate_size", "4294967296", "intermediate_size must be" },
		{ "max_position_embeddings", "0", "max_position_embeddings must be" },
		{ "type_vocab_size", "0", "type_vocab_size must be" },
		{ "hidden_dropout_prob", "1", "hidden_dropout_prob must be a number" },
		{ "layer_norm_eps", "-1", "layer_norm_eps must be a number" },
		{ "initializer_range", "true", "initializer_range must be a number" },
		{ "hidden_act", "\"swoosh\"", "hidden_act" },
		{ "hidden_act", "{}", "hidden_act must be a string" },
		{ "position_embedding_type", "\"relative_key\"",
		  "'relative_key' is not supported" },
		{ "is_decoder", "true", "as a decoder is not supported" },
		{ "quantization_config", "{\"bits\":4}", "quantized weights are not supported" },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		copy_config("config", table[i].key, table[i].value);
		refused("config", HEAD_SEQ_CLS, 3, TT_INVALID, table[i].says);
	}
	copy_config("config", "tie_word_embeddings", "false");
	refused("config", HEAD_MLM, 0, TT_INVALID, "tie_word_embeddings false is not supported");
}

static void defaults_and_dropout(void)
{
	const struct model_options how = { .folder = in(base, "plain"),
					   .head = HEAD_SEQ_CLS,
					   .n_labels = 3,
					   .dropout = 0.25,
					   .gemm = gm };
	struct model_options wrong = how;
	struct model *m = NULL;

	copy_weights("toy", "plain", as_is, "F32", NULL);
	copy_config("plain", "hidden_act", "null");
	if (CHECK(!open_as("plain", HEAD_SEQ_CLS, 3, 1, &m))) {
		CHECK(m->hp.hidden_act == ACT_GELU && m->hp.hidden_dropout_prob == 0.1 &&
		      isnan(m->hp.classifier_dropout));
		CHECK(m->hp.layer_norm_eps == 1e-12 && m->hp.initializer_range == 0.02 &&
		      m->hp.pad_token_id == 0);
	}
	model_close(m);
	m = NULL;
	if (CHECK(!model_open(&how, &m)))
		CHECK(m->hp.hidden_dropout_prob == 0.25 &&
		      m->hp.attention_probs_dropout_prob == 0.25 &&
		      m->hp.classifier_dropout == 0.25);
	model_close(m);
	wrong.dropout = 1;
	CHECK(model_open(&wrong, &m) == TT_INVALID);
}

/* Frozen weights lie in the mapping; one that trains or is to be changed gets a copy of its own. */
static void ownership(void)
{
	const int64_t dim[2] = { 2, 3 };
	struct model *m = NULL;
	struct tensor *t, *u, *n;
	struct site *s;
	const float *mapped;

	if (!CHECK(!open_as("toy", HEAD_SEQ_CLS, 3, 1, &m)))
		return;
	t = model_param(m, "bert.encoder.layer.0.attention.self.query.weight");
	u = model_param(m, "bert.encoder.layer.1.attention.self.query.weight");
	s = model_site(m, "bert.encoder.layer.0.attention.self.query");
	mapped = st_map_f32(st_find(m->file, t->name));
	CHECK(mapped && t->data == mapped && !t->needs && !t->trainable && s->weight == t &&
	      s->layer == 0);
	CHECK(model_train_param(m, t) == TT_OK);
	CHECK(t->data != mapped && t->trainable && t->needs &&
	      !memcmp(t->data, mapped, sizeof(float) * 256));
	t->data[0] = 5;
	CHECK(model_prepare(m, true) == TT_OK);
	CHECK(!t->forward && !t->backward && u->forward && u->backward);
	CHECK(model_own_param(m, u) == TT_OK);
	CHECK(!u->forward && !u->backward && !u->needs);
	u->data[0] = 7;
	CHECK(model_own_param(m, u) == TT_OK && u->data[0] == 7);
	CHECK(model_prepare(m, false) == TT_OK && u->forward && !u->backward);
	n = model_new_tensor(m, "x", 2, dim);
	CHECK(n && n->data[5] == 0 && n->slot == -1 && !model_param(m, "x"));
	CHECK(model_own_param(m, n) == TT_INVALID);
	model_close(m);
}

/*
 * No gradient flows below the first site that trains, so nothing is prepared for it; and through
 * that site only when what sits there says so.
 */
static void prepared_for_backward(void)
{
	static const struct hooks through = { .through = true };
	struct model *m = NULL;

	if (!CHECK(!open_as("toy", HEAD_SEQ_CLS, 3, 1, &m)))
		return;
	CHECK(!model_train_param(
		m, model_param(m, "bert.encoder.layer.1.attention.output.dense.bias")));
	CHECK(model_prepare(m, true) == TT_OK);
	CHECK(!model_site(m, "bert.encoder.layer.0.output.dense")->weight->backward);
	CHECK(!model_site(m, "bert.encoder.layer.1.attention.output.dense")->weight->backward);
	CHECK(model_site(m, "bert.encoder.layer.1.attention.output.dense")->weight->forward !=
	      NULL);
	CHECK(model_site(m, "bert.encoder.layer.1.intermediate.dense")->weight->backward != NULL);
	CHECK(model_site(m, "classifier")->weight->backward != NULL);
	CHECK(!site_plug(model_site(m, "bert.encoder.layer.0.output.dense"), &through, NULL));
	CHECK(model_prepare(m, true) == TT_OK);
	CHECK(model_site(m, "bert.encoder.layer.0.output.dense")->weight->backward != NULL);
	CHECK(!model_site(m, "bert.encoder.layer.0.intermediate.dense")->weight->backward);
	model_close(m);
}

static const char *config_text(const char *folder, const char *key, struct json **config)
{
	json_free(*config);
	*config = NULL;
	return json_load(in(in(base, folder), "config.json"), 1 << 20, config)
		       ? NULL
		       : json_text(json_get(*config, key));
}

static void saved(void)
{
	static const char *const labels[] = { "no", "yes", "per\"haps" };
	struct model_options how = { .folder = in(base, "toy"),
				     .head = HEAD_SEQ_CLS,
				     .n_labels = 3,
				     .labels = { labels, 3, true },
				     .dropout = NAN,
				     .gemm = gm };
	struct model *m = NULL, *again = NULL;
	struct json *config = NULL;
	const char *text;
	int64_t two = 0;

	if (!CHECK(!model_open(&how, &m)))
		return;
	CHECK(!model_train_param(m, m->param[0]));
	m->param[0]->data[0] = 123;
	CHECK(model_save(m, in(base, "toy")) == TT_INVALID && strstr(err_text(), "own folder"));
	CHECK(model_save(m, in(base, "saved/deep")) == TT_OK);
	if (CHECK(!open_as("saved/deep", HEAD_SEQ_CLS, 3, 1, &again))) {
		same_data(m, again, 0, "saved");
		CHECK(again->param[0]->data[0] == 123 && st_count(again->file) == m->nparam);
		CHECK_STR(st_metadata(again->file, "format"), "pt");
	}
	model_close(again);
	text = config_text("saved/deep", "problem_type", &config);
	CHECK_STR(text ? text : "", "single_label_classification");
	CHECK_STR(json_text(json_get(json_get(config, "id2label"), "2")), "per\"haps");
	CHECK(json_int(json_get(json_get(config, "label2id"), "per\"haps"), &two) && two == 2);
	CHECK_STR(json_text(json_first(json_get(config, "architectures"))),
		  "BertForSequenceClassification");
	CHECK_STR(json_text(json_get(config, "dtype")), "float32");
	CHECK_STR(json_text(json_get(config, "torch_dtype")), "float32");
	CHECK(json_int(json_get(config, "hidden_size"), &two) && two == 16);
	CHECK(fs_exists(in(in(base, "saved/deep"), "vocab.txt")) &&
	      !fs_exists(in(in(base, "saved/deep"), "tokenizer.json")));
	how.n_labels = 2;
	CHECK(model_open(&how, &again) == TT_INVALID &&
	      strstr(err_text(), "3 label names for 2 labels"));
	json_free(config);
	model_close(m);
}

static void saved_heads(void)
{
	struct model *m = NULL, *again = NULL;
	struct json *config = NULL;
	const char *text;

	if (CHECK(!open_as("toy", HEAD_MLM, 0, 1, &m) && !model_save(m, in(base, "mlm"))) &&
	    CHECK(!open_as("mlm", HEAD_MLM, 0, 1, &again))) {
		same_data(m, again, 0, "masked language model");
		CHECK(!st_find(again->file, "cls.predictions.decoder.weight") &&
		      st_find(again->file, "cls.predictions.bias"));
		text = config_text("mlm", "problem_type", &config);
		CHECK(!text && !json_get(config, "id2label"));
		CHECK_STR(json_text(json_first(json_get(config, "architectures"))),
			  "BertForMaskedLM");
	}
	model_close(m);
	model_close(again);
	m = NULL;
	if (CHECK(!open_as("toy", HEAD_REGRESSION, 1, 1, &m) &&
		  !model_save(m, in(base, "regression")))) {
		text = config_text("regression", "problem_type", &config);
		CHECK_STR(text ? text : "", "regression");
		CHECK_STR(json_text(json_get(json_get(config, "id2label"), "0")), "LABEL_0");
	}
	model_close(m);
	json_free(config);
}

/* 16 wide, 40 between, 60 words, 64 positions, 2 layers, 3 classes. */
static void counts(void)
{
	const int64_t tables = (60 + 64 + 2) * 16 + 32,
		      block = 4 * 272 + 32 + 16 * 40 + 40 + 16 * 40 + 16 + 32;
	struct model *m = NULL;

	if (CHECK(!open_as("toy", HEAD_SEQ_CLS, 3, 1, &m)))
		CHECK(model_param_count(m) == tables + 2 * block + 272 + 3 * 17);
	model_close(m);
	m = NULL;
	if (CHECK(!open_as("toy", HEAD_MLM, 0, 1, &m)))
		CHECK(model_param_count(m) == tables + 2 * block + 272 + 32 + 60);
	model_close(m);
}

int main(void)
{
	if (!CHECK(toy_folder(base, sizeof(base)) != NULL) ||
	    !CHECK(gemm_open("ref", &gm) == TT_OK))
		return check_done();
	CHECK(!toy_bert(in(base, "toy"), 2, 16, 4, 40, 60, 3, 11) &&
	      !toy_bert(in(base, "wide"), 2, 24, 4, 40, 60, 3, 11));
	names();
	new_head();
	heads();
	broken_weights();
	broken_folders();
	broken_configs();
	defaults_and_dropout();
	ownership();
	prepared_for_backward();
	saved();
	saved_heads();
	counts();
	gemm_close(gm);
	fs_remove_tree(base);
	return check_done();
}
