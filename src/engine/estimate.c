/*
 * estimate: parameters and memory of a run before it starts.
 *
 * Nothing is guessed from the shape. Weights: what model_prepare made, and what is
 * read of the file (model/resident.h). Activations: the tapes of the largest pieces
 * of work, laid out dry (train/layout.h), one a thread. Gradients and optimizer:
 * as leaves and optimizer make them. Left over are the program itself and what the
 * libraries take for their products; those were measured. bench/estimate compares
 * all of it with runs.
 */
#include "engine/estimate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "model/resident.h"
#include "train/feature.h"
#include "train/layout.h"
#include "train/optim.h"

/* Code, libraries, vocabulary, the run log and its queue; and buffers of the libraries for each thread. */
static const int64_t runtime_bytes = (int64_t)24 << 20, thread_bytes = (int64_t)1 << 20;

/* ---- what is looked up ---- */

static void look_up(const struct dataset *d, struct lookups *l, int64_t words)
{
	for (size_t i = 0; d && i < dataset_count(d); i++) {
		const struct example ex = dataset_example(d, i);

		for (int32_t k = 0; k < ex.n; k++)
			if (ex.id[k] >= 0 && ex.id[k] < words)
				l->word[ex.id[k]] = 1;
		l->positions = ex.n > l->positions ? ex.n : l->positions;
	}
}

/* Without data all that the model has, and with masks any word. The caller frees ret->word. */
static int lookups_of(const struct session *s, struct lookups *ret)
{
	const struct hparams *h = &s->model->hp;

	*ret = (struct lookups){ calloc((size_t)h->vocab_size, 1), 0 };
	if (!ret->word)
		return err_set(TT_NOMEM, "not enough memory for an estimate");
	look_up(s->train, ret, h->vocab_size);
	look_up(s->other, ret, h->vocab_size);
	ret->positions += s->model->position_offset;
	if (!s->train)
		ret->positions = h->max_position_embeddings;
	if (!s->train || s->recipe->task.type == TASK_MLM)
		memset(ret->word, 1, (size_t)h->vocab_size);
	return TT_OK;
}

/* ---- what methods add ---- */

static int64_t bytes_of(const struct tensors *t)
{
	int64_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += tensor_count(t->item[i]);
	return 4 * n;
}

/* First values that do not lie in the file, so that a copy is kept for drift and for export. */
static int64_t first_values(const struct session *s)
{
	const struct method *m = s->method;
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		if (m->before[i] && !(s->model->file && st_maps(s->model->file, m->before[i])))
			n += tensor_count(m->param[i]);
	return 4 * n;
}

/* What is trained, and in how many shards. */
struct trained {
	struct tensor *const *item;
	size_t n;
	const struct lookups *lookups;
	int64_t shards;
};

/* Big leaves have one buffer, small ones one more for each shard and for the step's tape (leaves.h). */
static int64_t gradient_bytes(const struct session *s, const struct trained *t)
{
	int64_t all = 0, small = 0;

	for (size_t i = 0; i < t->n; i++) {
		const int64_t n = tensor_count(t->item[i]);

		all += n > LEAF_BIG ? model_written(s->model, t->lookups, t->item[i]) : n;
		small += n > LEAF_BIG ? 0 : n;
	}
	return 4 * (all + small * (t->shards + 1));
}

static int64_t optimizer_bytes(const struct session *s, const struct trained *t)
{
	const struct train_settings *how = &s->recipe->train;
	int64_t numbers = 0;

	for (size_t i = 0; i < t->n; i++) {
		const int64_t all = tensor_count(t->item[i]), n = optim_numbers(how, t->item[i]);

		if (how->optim == OPTIM_ADAMW && all > LEAF_BIG)
			numbers += n / all * model_written(s->model, t->lookups, t->item[i]);
		else
			numbers += n;
	}
	return 4 * numbers;
}

/* What the frozen layers make of the examples, where it is kept. */
static int64_t feature_bytes(const struct session *s)
{
	const struct trainer t = { .recipe = s->recipe, .model = s->model };

	return (s->train ? features_bytes(&t, s->train, true) : 0) +
	       (s->other ? features_bytes(&t, s->other, false) : 0);
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

/* ---- all of it ---- */

/* Threads that ever have work; evaluations and features are many pieces. */
static int64_t tapes(const struct session *s, const struct layout *l)
{
	const int64_t threads = pool_threads(s->pool);

	return !s->other && l->shards < threads ? l->shards : threads;
}

static struct trainer trainer_of(const struct session *s)
{
	return (struct trainer){
		.recipe = s->recipe,
		.tokenizer = s->tokenizer,
		.model = s->model,
		.method = s->method,
		.gemm = s->gemm,
		.pool = s->pool,
		.train = s->train,
		.validation = s->other,
	};
}

static int64_t runtime(const struct session *s, const struct layout *l)
{
	const int threads = pool_threads(s->pool);

	return runtime_bytes + threads * (thread_bytes + rounding_bytes(s, l->tokens)) +
	       (s->train ? (int64_t)dataset_bytes(s->train) : 0) +
	       (s->other ? (int64_t)dataset_bytes(s->other) : 0) + feature_bytes(s);
}

/* What is put back behind a layout of full fine-tuning. */
struct found {
	struct tensor *param;       /* [nparam] */
	const struct hooks **hooks; /* [nsite] */
};

/* Every weight trains, and no method is plugged in. */
static void train_all(struct model *m, const struct found *f)
{
	for (size_t i = 0; i < m->nparam; i++) {
		f->param[i] = *m->param[i];
		m->param[i]->needs = m->param[i]->trainable = true;
	}
	for (size_t i = 0; i < m->nsite; i++) {
		f->hooks[i] = m->site[i].hooks;
		m->site[i].hooks = NULL;
	}
}

static void as_it_was(struct model *m, const struct found *f)
{
	for (size_t i = 0; i < m->nparam; i++)
		*m->param[i] = f->param[i];
	for (size_t i = 0; i < m->nsite; i++)
		m->site[i].hooks = f->hooks[i];
}

/* The total if every weight trained and nothing else. */
static int full_finetune(struct session *s, const struct lookups *look, int64_t *ret)
{
	const struct trainer t = trainer_of(s);
	struct model *m = s->model;
	struct trained all = { m->param, m->nparam, look, 0 };
	const struct found f = { calloc(m->nparam + 1, sizeof(*f.param)),
				 calloc(m->nsite + 1, sizeof(*f.hooks)) };
	struct layout l;
	int code;

	if (f.param && f.hooks) {
		train_all(m, &f);
		code = layout_make(&t, &l);
		all.shards = l.shards;
		*ret = 4 * model_param_count(m) + gradient_bytes(s, &all) +
		       optimizer_bytes(s, &all) + tapes(s, &l) * l.tape + runtime(s, &l);
		as_it_was(m, &f);
	} else {
		code = err_set(TT_NOMEM, "not enough memory for an estimate");
	}
	free(f.param);
	free(f.hooks);
	return code;
}

static int make(struct session *s, const struct lookups *look, struct estimate *ret)
{
	const struct method *m = s->method;
	const struct trainer t = trainer_of(s);
	const int64_t trains = method_param_count(m);
	struct trained param = { m->param, m->nparam, look, 0 };
	struct trained leaves = { m->leaves.item, m->leaves.n, look, 0 };
	struct layout l;
	int code = layout_make(&t, &l);

	if (code)
		return code;
	leaves.shards = l.shards;
	*ret = (struct estimate){
		.total_params = model_param_count(s->model) + method_extra_count(m),
		.trainable_params = trains,
		.trainable = 4 * trains,
		.gradients = gradient_bytes(s, &leaves),
		.optimizer = optimizer_bytes(s, &param),
		.activations = tapes(s, &l) * l.tape,
		.runtime = runtime(s, &l),
	};
	code = model_resident(s->model, look, &ret->weights);
	ret->weights += first_values(s) + bytes_of(&m->kept) + bytes_of(&m->fixed);
	return code ? code : full_finetune(s, look, &ret->full_finetune);
}

int estimate_make(struct session *s, struct estimate *ret)
{
	struct estimate e = { 0 };
	struct lookups look;
	int code = lookups_of(s, &look);

	if (code)
		return code;
	code = make(s, &look, &e);
	free(look.word);
	e.total = e.weights + e.trainable + e.gradients + e.optimizer + e.activations + e.runtime;
	if (!code)
		*ret = e;
	return code;
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
	if (!code && s.recipe->data.validation && fs_exists(s.recipe->data.validation))
		code = session_dataset(&s, s.recipe->data.validation, true, false, &s.other);
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
