/* Opening what a recipe or a run names. */
#include "engine/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/place.h"
#include "method/adapter.h"
#include "train/checkpoint.h"

int home_path(const char *below, char *ret, size_t size)
{
	char home[PATH_MAX];
	int code = fs_home(home, sizeof(home));

	return code ? code : fs_join(ret, size, home, below);
}

/* A run of the run log; its recipe lies in its folder. */
static int open_run(const char *what, struct run *run, char *recipe, size_t size)
{
	char path[PATH_MAX];
	struct store *store;
	int code = home_path("runs.db", path, sizeof(path));

	if (code)
		return code;
	code = store_open_read(path, &store);
	if (code == TT_NOTFOUND)
		return err_set(TT_NOTFOUND,
			       "there is no run '%s', and no recipe that `trimtab recipes` lists",
			       what);
	if (code)
		return code;
	code = run_find(store, what, run);
	store_close(store);
	return code ? code : fs_join(recipe, size, run->dir, "recipe.json");
}

/* With the recipe's path known, or with the error that there is none. */
static int open_at(int code, const char *path, const char *const *set, size_t n_set,
		   struct session *s)
{
	if (!code)
		code = recipe_load(path, set, n_set, method_table(), &s->recipe);
	if (code)
		session_close(s);
	return code;
}

int session_open_recipe(const char *what, const char *const *set, size_t n_set, struct session *ret)
{
	char path[PATH_MAX];

	memset(ret, 0, sizeof(*ret));
	return open_at(place_recipe(what, path, sizeof(path)), path, set, n_set, ret);
}

int session_open_run(const char *what, struct session *ret)
{
	char path[PATH_MAX];

	memset(ret, 0, sizeof(*ret));
	return open_at(open_run(what, &ret->run, path, sizeof(path)), path, NULL, 0, ret);
}

static bool is_file_name(const char *what)
{
	const size_t n = strlen(what);

	return (fs_exists(what) && !fs_is_dir(what)) || strchr(what, '/') ||
	       (n > 5 && !strcmp(what + n - 5, ".json"));
}

int session_open(const char *what, const char *const *set, size_t n_set, struct session *ret)
{
	char path[PATH_MAX];
	int code;

	if (is_file_name(what))
		return session_open_recipe(what, set, n_set, ret);
	memset(ret, 0, sizeof(*ret));
	code = open_run(what, &ret->run, path, sizeof(path));
	if (code && !place_recipe(what, path, sizeof(path)))
		code = TT_OK;
	else if (code) /* say again what is wrong with it as a run */
		code = open_run(what, &ret->run, path, sizeof(path));
	return open_at(code, path, set, n_set, ret);
}

void session_close(struct session *s)
{
	dataset_free(s->train);
	dataset_free(s->other);
	model_close(s->model);
	labels_free(s->labels);
	pattern_close(s->pattern);
	tokenizer_close(s->tokenizer);
	pool_free(s->pool);
	gemm_times_free(s->times);
	gemm_close(s->gemm);
	recipe_free(s->recipe);
	run_done(&s->run);
	memset(s, 0, sizeof(*s));
}

static const char *backend_name(int backend)
{
	static const char *const name[] = {
		[BACKEND_AUTO] = "auto",
		[BACKEND_OPENBLAS] = "openblas",
		[BACKEND_ONEDNN] = "onednn",
		[BACKEND_REF] = "ref",
	};

	return name[backend];
}

static int task_head(const struct recipe *r, enum head *ret)
{
	switch (r->task.type) {
	case TASK_SEQ_CLS: *ret = HEAD_SEQ_CLS; return TT_OK;
	case TASK_REGRESSION: *ret = HEAD_REGRESSION; return TT_OK;
	case TASK_TOKEN_CLS: *ret = HEAD_TOKEN_CLS; return TT_OK;
	case TASK_MLM: *ret = HEAD_MLM; return TT_OK;
	case TASK_CLOZE: *ret = HEAD_CLOZE; return TT_OK;
	default:
		return err_set(TT_INVALID,
			       "%s: task.type is %s, which this version cannot train yet; it can "
			       "train seq_cls, regression, token_cls, cloze and mlm",
			       r->path, recipe_task_name(r->task.type));
	}
}

/* What the recipe may say, but this version cannot do: refused, never ignored. */
static int refuse_unsupported(const struct recipe *r)
{
	if (r->compute.base_quant != QUANT_NONE)
		return err_set(TT_INVALID, "%s: compute.base_quant is not supported yet; none is",
			       r->path);
	if (r->compute.executor != 0)
		return err_set(TT_INVALID, "%s: compute.executor is not supported yet; local is",
			       r->path);
	return TT_OK;
}

static bool has_classes(const struct recipe *r)
{
	return r->task.type == TASK_SEQ_CLS || r->task.type == TASK_TOKEN_CLS ||
	       r->task.type == TASK_CLOZE;
}

/* What a cloze task needs besides: the pattern, and the labels' words. */
static int load_prompt(struct session *s)
{
	const struct recipe *r = s->recipe;
	const struct prompt_settings *p = &r->prompting;
	int code;

	if (r->task.type != TASK_CLOZE)
		return TT_OK;
	if (p->patterns || p->distill || p->ipet || p->mlm_weight > 0 || p->calibration)
		return err_set(TT_INVALID,
			       "%s: prompt.patterns, distill, ipet, mlm_weight and calibration are "
			       "not supported yet; pattern, verbalizer and aggregate are",
			       r->path);
	if (!p->pattern)
		return err_set(
			TT_INVALID,
			"%s: prompt.pattern is missing; task cloze fills it in, such as \"{a} "
			"¦ It was {mask} .\"",
			r->path);
	code = pattern_open(p->pattern, s->tokenizer, &s->pattern);
	if (!code)
		code = verbalizer_load(p->verbalizer, (enum aggregate)p->aggregate, &r->task.labels,
				       s->tokenizer, r->arena, &s->verbalizer);
	return code ? err_in("%s", r->path) : TT_OK;
}

/* The classes, and the recipe told of them, so that the recipe as run says what the indices mean. */
static int load_labels(struct session *s)
{
	struct recipe *r = s->recipe;
	const struct row_columns columns = { r->data.text_a, r->data.text_b, r->data.label };
	const struct labels_options from = { &r->task.labels, r->data.train, &columns,
					     r->task.type == TASK_TOKEN_CLS };
	const char **name;
	size_t n;
	int code;

	if (!has_classes(r))
		return TT_OK;
	if (!r->task.labels.item && !r->data.train)
		return err_set(
			TT_INVALID,
			"%s: task.labels is missing, and there is no data.train to take them from",
			r->path);
	code = labels_load(&from, &s->labels);
	if (code)
		return code;
	n = (size_t)labels_count(s->labels);
	if (n < 2)
		return err_set(TT_INVALID,
			       "%s: classification needs two labels or more; %s has %zu", r->path,
			       labels_origin(s->labels), n);
	name = arena_zero(r->arena, n, sizeof(*name));
	if (!name)
		return TT_NOMEM;
	for (size_t i = 0; i < n; i++) {
		name[i] = arena_text(r->arena, labels_name(s->labels, (int32_t)i));
		if (!name[i])
			return TT_NOMEM;
	}
	r->task.labels = (struct texts){ name, n, true };
	return TT_OK;
}

static int time_sites(struct session *s)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < s->model->nsite; i++) {
		const struct site *at = &s->model->site[i];
		const struct tensor *w = at->weight;

		if (!(at->kind & SITE_LINEAR) || at->kind & SITE_HEAD)
			continue;
		code = gemm_times_add(s->times, w->dim[0], w->dim[1], GEMM_FORWARD);
		if (!code)
			code = gemm_times_add(s->times, w->dim[0], w->dim[1], GEMM_BACKWARD);
	}
	return code;
}

/*
 * One backend for the whole run, the quickest for the model's own layers, and
 * written into the recipe as run: so a resume, or the same recipe with other
 * threads, has the same bits whatever became of the timings. (A backend a layer
 * would gain a few per cent and make the run depend on a table.)
 */
static int choose_backend(struct session *s)
{
	struct compute_settings *c = &s->recipe->compute;
	char path[PATH_MAX];
	int code = TT_OK;

	if (c->precision == PRECISION_AUTO)
		c->precision = PRECISION_FP32;
	if (c->backend != BACKEND_AUTO)
		return TT_OK;
	if (c->precision == PRECISION_FP32) {
		code = home_path("backends.json", path, sizeof(path));
		if (!code)
			code = gemm_times_open(path, &s->times);
		if (!code)
			code = time_sites(s);
		if (!code)
			code = gemm_switch(s->gemm, gemm_times_best(s->times));
	}
	for (int i = 0; i <= BACKEND_REF; i++)
		if (!strcmp(backend_name(i), gemm_name(s->gemm)))
			c->backend = i;
	return code;
}

static int keep_times(const struct gemm_times *t)
{
	char home[PATH_MAX], path[PATH_MAX];
	int code = fs_home(home, sizeof(home));

	if (!code)
		code = fs_mkdirs(home);
	if (!code)
		code = fs_join(path, sizeof(path), home, "backends.json");
	return code ? code : gemm_times_save(t, path);
}

void session_keep_times(const struct session *s)
{
	if (s->times && keep_times(s->times)) {
		err_in("the backends' timings are not kept");
		log_line("%s", err_text());
	}
}

/* A cloze task asks for the scores of single words, which an adapter of the whole output layer would not change. */
static int check_output(const struct model *m)
{
	for (size_t i = 0; m->head == HEAD_CLOZE && i < m->nsite; i++)
		if (m->site[i].kind & SITE_HEAD && m->site[i].hooks)
			return err_set(TT_INVALID,
				       "peft.target_modules picks '%s', the output layer, of which "
				       "a cloze task reads single words; leave it out",
				       m->site[i].name);
	return TT_OK;
}

/* What stands before the text takes positions, so the longest text must leave them: said before anything runs. */
static int check_positions(const struct session *s, const struct model *m)
{
	const int64_t most = m->hp.max_position_embeddings - m->position_offset;

	if (!m->position_offset || s->recipe->data.max_length <= most)
		return TT_OK;
	return err_set(
		TT_INVALID,
		"%s: data.max_length is %lld, and beside the %lld positions of the method the "
		"model has %lld; set data.max_length to %lld or less",
		s->recipe->path, (long long)s->recipe->data.max_length,
		(long long)m->position_offset, (long long)most, (long long)most);
}

int session_attach(const struct session *s, const struct recipe *r, struct model *m,
		   struct method **ret)
{
	const struct method_options how = {
		.peft = r->peft,
		.n_peft = r->n_peft,
		.model = m,
		.task = r->task.type,
		.seed = (uint64_t)r->train.seed,
		.tokenizer = s->tokenizer,
		.labels = r->task.type == TASK_SEQ_CLS ? r->task.labels : (struct texts){ 0 },
	};
	int code = method_open(&how, ret);

	if (!code)
		code = check_output(m);
	return code ? err_in("%s", r->path) : check_positions(s, m);
}

static int open_model(struct session *s)
{
	const struct recipe *r = s->recipe;
	struct model_options how = {
		.folder = s->model_dir,
		.n_labels = has_classes(r) ? (int64_t)r->task.labels.n : 1,
		.verbalizer = &s->verbalizer,
		.labels = r->task.labels,
		.dropout = r->train.dropout,
		.seed = (uint64_t)r->train.seed,
		.gemm = s->gemm,
	};
	int code = task_head(r, &how.head);

	if (!code)
		code = model_open(&how, &s->model);
	return code ? code : choose_backend(s);
}

/* The folder. A name that comes with trimtab is written as its path, so that the recipe as run says all. */
static int find_model(struct session *s)
{
	struct recipe *r = s->recipe;
	int code = place_model(r->base_model, s->model_dir, sizeof(s->model_dir));

	if (!code && !strchr(r->base_model, '/') && *s->model_dir == '/') {
		r->base_model = arena_text(r->arena, s->model_dir);
		code = r->base_model ? TT_OK : TT_NOMEM;
	}
	return code;
}

/* bf16 is oneDNN's alone, so a recipe that names another library asks for two things at once. */
static int open_gemm(struct session *s)
{
	const struct recipe *r = s->recipe;
	const int backend = r->compute.backend;
	int code;

	if (r->compute.precision != PRECISION_BF16)
		return gemm_open(backend_name(backend), &s->gemm);
	if (backend != BACKEND_AUTO && backend != BACKEND_ONEDNN)
		return err_set(TT_INVALID,
			       "%s: compute.precision bf16 needs compute.backend onednn or auto, "
			       "not %s",
			       r->path, backend_name(backend));
	code = gemm_open_bf16(backend_name(backend), &s->gemm);
	return code ? err_in("%s", r->path) : TT_OK;
}

int session_load_texts(struct session *s)
{
	const struct recipe *r = s->recipe;
	int code = refuse_unsupported(r);

	if (code)
		return code;
	code = find_model(s);
	if (code)
		return err_in("%s: base_model", r->path);
	code = load_labels(s);
	if (!code)
		code = tokenizer_open(s->model_dir, &s->tokenizer);
	return code ? code : load_prompt(s);
}

int session_load_base(struct session *s)
{
	const struct recipe *r = s->recipe;
	const int threads = r->compute.threads ? (int)r->compute.threads : pool_cores();
	int code = open_gemm(s);

	if (!code)
		code = pool_new(threads, &s->pool);
	return code ? code : open_model(s);
}

int session_load_model(struct session *s, bool train)
{
	int code = session_load_base(s);

	if (!code)
		code = session_attach(s, s->recipe, s->model, &s->method);
	if (!code && s->recipe->init_adapter)
		code = adapter_load(s->method, s->recipe->init_adapter);
	return code ? code : model_prepare(s->model, train);
}

int session_load(struct session *s, bool train)
{
	const int code = session_load_texts(s);

	return code ? code : session_load_model(s, train);
}

int session_restore(struct session *s, const char *which)
{
	char dir[PATH_MAX];
	int code;

	if (!s->run.id)
		return TT_OK;
	code = fs_join(dir, sizeof(dir), s->run.dir, "checkpoints");
	if (!code)
		code = checkpoint_load_params(dir, which, s->method);
	return code ? err_in("run %s", s->run.id) : TT_OK;
}

struct dataset_options session_dataset_how(const struct session *s, const char *path, bool eval,
					   bool label_optional)
{
	const struct recipe *r = s->recipe;

	return (struct dataset_options){
		.tokenizer = s->tokenizer,
		.path = path,
		.columns = { r->data.text_a, r->data.text_b, r->data.label },
		.task = r->task.type,
		.labels = s->labels,
		.pattern = s->pattern,
		.max_length = r->data.max_length,
		.limit = eval ? r->data.eval_limit : r->data.limit,
		.per_label_limit = eval ? 0 : r->data.per_label_limit,
		.label_optional = label_optional,
	};
}

int session_dataset(struct session *s, const char *path, bool eval, bool label_optional,
		    struct dataset **ret)
{
	const struct dataset_options how = session_dataset_how(s, path, eval, label_optional);

	return dataset_load(&how, ret);
}

int session_text(struct session *s, const char *a, const char *b, struct dataset **ret)
{
	const struct dataset_options how = session_dataset_how(s, "--text", true, true);

	return dataset_of_text(&how, a, b, ret);
}

void session_say_notes(const struct session *s)
{
	for (size_t i = 0; s->method && i < s->method->nnotes; i++)
		log_line("%s", s->method->note[i]);
}

int session_evaluator(struct session *s, struct trainer *ret)
{
	session_say_notes(s);
	*ret = (struct trainer){
		.recipe = s->recipe,
		.tokenizer = s->tokenizer,
		.model = s->model,
		.method = s->method,
		.gemm = s->gemm,
		.pool = s->pool,
	};
	return train_open(ret);
}
