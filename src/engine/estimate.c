/*
 * estimate: parameters and memory of a run before it starts.
 *
 * Activations follow from what the shards keep: a shard of T tokens keeps, for
 * every layer above the lowest trainable parameter, the outputs of its ops;
 * below, one layer's worth is reused. With gradient_checkpointing one layer is
 * kept at a time, and of each the row that enters it. Every thread works on one
 * shard at a time, and the largest shard comes from the lengths of the training rows. The
 * numbers a token were fitted to the arenas of the encoder and checked against
 * the resident size of runs (bench/).
 */
#include "engine/estimate.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "data/shard.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "train/feature.h"

/* Code, libraries and their buffers, the run log and its queue. */
static const int64_t runtime_bytes = (int64_t)20 << 20;

/* The lowest block a gradient must reach: 0 with a trainable parameter in the embeddings, all blocks when only the head trains. */
static int64_t lowest_layer(const struct session *s)
{
	const struct model *m = s->model;
	int64_t lowest = m->hp.num_hidden_layers;

	for (size_t i = 0; i < s->method->nsite; i++) {
		const struct site *at = s->method->site[i];

		if (at->kind & SITE_INPUT)
			return 0;
		if (at->layer >= 0 && at->layer < lowest)
			lowest = at->layer;
	}
	for (size_t i = 0; i < s->method->nparam; i++) {
		const char *name = s->method->param[i]->name;
		const char *at = strstr(name, ".layer.");
		long long layer;

		if (at && sscanf(at, ".layer.%lld.", &layer) == 1)
			lowest = layer < lowest ? layer : lowest;
		else if (strstr(name, "embeddings"))
			return 0;
	}
	return lowest;
}

/* Numbers a token that a block keeps for backward, and those in flight whatever is kept. */
static int64_t kept_numbers(const struct hparams *h)
{
	return 12 * h->hidden_size + 4 * h->intermediate_size;
}

static int64_t flight_numbers(const struct hparams *h)
{
	return 10 * h->hidden_size + 3 * h->intermediate_size;
}

static int64_t largest_of(const int32_t *length, size_t n, struct arena *scratch)
{
	struct shards s;
	int64_t most = 0;

	arena_rewind(scratch, (struct arena_mark){ 0, 0 });
	if (shard_deal(scratch, length, n, &s))
		return 0;
	for (size_t i = 0, at = 0; i < s.n; i++) {
		int64_t tokens = 0;

		while (at < s.end[i])
			tokens += length[s.order[at++]];
		most = tokens > most ? tokens : most;
	}
	return most;
}

/* Tokens of the largest shard of an epoch in file order; without data the most that could be. */
static int64_t largest_shard(const struct session *s, struct arena *scratch)
{
	const struct hparams *h = &s->model->hp;
	const struct train_settings *t = &s->recipe->train;
	const size_t window = (size_t)(t->per_device_train_batch_size *
				       t->gradient_accumulation_steps);
	const int64_t longest = s->recipe->data.max_length < h->max_position_embeddings
					? s->recipe->data.max_length
					: h->max_position_embeddings;
	int64_t most = 0;

	if (!s->train)
		return longest > SHARD_TOKENS ? longest : SHARD_TOKENS;
	for (size_t at = 0; at < dataset_count(s->train); at += window) {
		const size_t left = dataset_count(s->train) - at;
		const int64_t tokens = largest_of(dataset_lengths(s->train) + at,
						  left < window ? left : window, scratch);

		most = tokens > most ? tokens : most;
	}
	return most;
}

/* Who puts keys and values before those of the text keeps both once more. */
static bool longer_keys(const struct method *m)
{
	for (size_t i = 0; i < m->nsite; i++) {
		if (m->site[i]->kind & SITE_ATTENTION)
			return true;
	}
	return false;
}

static int64_t shard_bytes(const struct session *s, int64_t tokens, int64_t layers_kept)
{
	const struct hparams *h = &s->model->hp;
	const int64_t head = s->model->head == HEAD_MLM ? 2 * tokens * 15 / 100 * h->vocab_size : 0;
	const int64_t each = kept_numbers(h) + (longer_keys(s->method) ? 2 * h->hidden_size : 0);
	int64_t kept = layers_kept * each;

	if (s->recipe->train.gradient_checkpointing && layers_kept > 0)
		kept = each + layers_kept * h->hidden_size;
	return 4 * (tokens * (flight_numbers(h) + kept) + head);
}

static int64_t optimizer_numbers(const struct recipe *r, int64_t trainable)
{
	switch (r->train.optim) {
	case OPTIM_SGD: return r->train.sgd_momentum > 0 ? trainable : 0;
	default: return 2 * trainable;
	}
}

/* The base parameters that train: their first values are kept too, for drift and for export. */
static int64_t trained_base(const struct session *s)
{
	return method_param_count(s->method) - method_extra_count(s->method);
}

/* What the frozen layers make of the examples, where it is kept. */
static int64_t feature_bytes(const struct session *s)
{
	const struct trainer t = { .recipe = s->recipe, .model = s->model };

	return (s->train ? features_bytes(&t, s->train, true) : 0) +
	       (s->other ? features_bytes(&t, s->other, false) : 0);
}

/* The copies that products read, less what their originals in the file give back. */
static int64_t prepared_weights(const struct model *m)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		const struct tensor *t = m->param[i];

		bytes += prepared_bytes(t->forward) + prepared_bytes(t->backward);
		if (m->info[i].idle)
			bytes -= 4 * tensor_count(t);
	}
	return bytes;
}

/* In bf16 a thread rounds both factors of a product: the largest weight that trains, or a block of rows, and its rows. */
static int64_t rounding_bytes(const struct session *s, int64_t tokens)
{
	const struct hparams *h = &s->model->hp;
	bool trains = false;

	if (!gemm_is_bf16(s->gemm))
		return 0;
	for (size_t i = 0; i < s->model->nsite; i++)
		trains = trains ||
			 (s->model->site[i].kind & SITE_LINEAR && s->model->site[i].weight->needs);
	return trains ? 2 * (h->hidden_size + tokens) * h->intermediate_size
		      : 1024 * h->intermediate_size;
}

int estimate_make(struct session *s, struct estimate *ret)
{
	const int64_t base = model_param_count(s->model), trains = method_param_count(s->method);
	const int64_t extra = method_extra_count(s->method);
	const int64_t layers = s->model->hp.num_hidden_layers;
	const int threads = pool_threads(s->pool);
	struct arena *scratch = arena_new();
	const int64_t tokens = scratch ? largest_shard(s, scratch) : 0;
	struct estimate e = { .total_params = base + extra, .trainable_params = trains };

	arena_free(scratch);
	if (!scratch)
		return err_set(TT_NOMEM, "not enough memory for an estimate");
	e.weights = 4 * (base + extra - trains + trained_base(s)) + prepared_weights(s->model);
	e.trainable = 4 * trains;
	e.gradients = 4 * trains;
	e.optimizer = 4 * optimizer_numbers(s->recipe, trains);
	e.activations = threads * shard_bytes(s, tokens, layers - lowest_layer(s));
	e.runtime = runtime_bytes + threads * rounding_bytes(s, tokens) +
		    (s->train ? (int64_t)dataset_bytes(s->train) : 0);
	e.runtime += feature_bytes(s);
	e.total = e.weights + e.trainable + e.gradients + e.optimizer + e.activations + e.runtime;
	e.full_finetune = 4 * (3 * base + optimizer_numbers(s->recipe, base)) +
			  threads * shard_bytes(s, tokens, layers) + e.runtime;
	*ret = e;
	return TT_OK;
}

static void write_json(const struct estimate *e, struct buf *out)
{
	const struct {
		const char *name;
		int64_t value;
	} bytes[] = {
		{ "weights", e->weights },
		{ "trainable", e->trainable },
		{ "gradients", e->gradients },
		{ "optimizer", e->optimizer },
		{ "activations", e->activations },
		{ "runtime", e->runtime },
		{ "total", e->total },
	};
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "total_params");
	jsonw_int(&w, e->total_params);
	jsonw_key(&w, "trainable_params");
	jsonw_int(&w, e->trainable_params);
	jsonw_key(&w, "trainable_percent");
	jsonw_real(&w, 100.0 * (double)e->trainable_params / (double)e->total_params);
	jsonw_key(&w, "bytes");
	jsonw_object(&w);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		jsonw_key(&w, bytes[i].name);
		jsonw_int(&w, bytes[i].value);
	}
	jsonw_end(&w, '}');
	jsonw_key(&w, "full_finetune_bytes");
	jsonw_int(&w, e->full_finetune);
	jsonw_end(&w, '}');
}

static double mib(int64_t bytes) { return (double)bytes / (1 << 20); }

static void write_plain(const struct estimate *e, struct buf *out)
{
	buf_printf(out, "parameters   %lld, of which %lld train (%.3f %%)\n",
		   (long long)e->total_params, (long long)e->trainable_params,
		   100.0 * (double)e->trainable_params / (double)e->total_params);
	buf_printf(out, "weights      %9.1f MiB\n", mib(e->weights));
	buf_printf(out, "trainable    %9.1f MiB\n", mib(e->trainable));
	buf_printf(out, "gradients    %9.1f MiB\n", mib(e->gradients));
	buf_printf(out, "optimizer    %9.1f MiB\n", mib(e->optimizer));
	buf_printf(out, "activations  %9.1f MiB\n", mib(e->activations));
	buf_printf(out, "runtime      %9.1f MiB\n", mib(e->runtime));
	buf_printf(out, "total        %9.1f MiB (full fine-tuning: %.1f MiB)", mib(e->total),
		   mib(e->full_finetune));
}

static int estimate(const struct args *a)
{
	const char *set[ARGS_MAX];
	const size_t n = args_values(a, "--set", set, ARGS_MAX);
	struct estimate e;
	struct session s;
	struct buf out;
	int code = session_open_recipe(a->pos[0], set, n, &s);

	if (code)
		return code;
	code = session_load(&s, true);
	if (!code && s.recipe->data.train && fs_exists(s.recipe->data.train))
		code = session_dataset(&s, s.recipe->data.train, false, false, &s.train);
	if (!code)
		code = estimate_make(&s, &e);
	session_close(&s);
	if (code)
		return code;
	buf_init(&out, 1 << 16);
	(args_has(a, "--json") ? write_json : write_plain)(&e, &out);
	puts(out.data);
	buf_done(&out);
	return TT_OK;
}

static const struct arg options[] = { { "--set", 0, "PATH=VALUE",
					"change a setting of the recipe; may be repeated" },
				      { "--json", 0, NULL, "one JSON document" },
				      { 0 } };

const struct command verb_estimate = {
	.name = "estimate",
	.usage = "RECIPE [--set PATH=VALUE]... [--json]",
	.summary = "Count parameters and memory of a run before it starts.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = estimate,
};
