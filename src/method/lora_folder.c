/*
 * LoRA adapters without their model: pairs of factors by module name. Files come
 * from outside, so shapes are checked against each other and against the config
 * before anything is computed.
 */
#include "method/lora_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "method/adapter.h"
#include "method/lowrank.h"
#include "model/safetensors.h"

enum { CONFIG_MAX = 1 << 20, PATH_ROOM = 4096 };

static const char prefix[] = "base_model.model.";

/* ---- names ---- */

enum leaf { LEAF_A, LEAF_B, LEAF_C, LEAF_OTHER };

static const struct {
	const char *end;
	enum leaf leaf;
	bool embed;
} leaves[] = {
	{ ".lora_A.weight", LEAF_A, false },   { ".lora_B.weight", LEAF_B, false },
	{ ".lora_B.bias", LEAF_C, false },     { ".lora_embedding_A", LEAF_A, true },
	{ ".lora_embedding_B", LEAF_B, true },
};

static bool ends(const char *text, const char *end)
{
	const size_t n = strlen(text), k = strlen(end);

	return n > k && !strcmp(text + n - k, end);
}

/* Which part of which module; LEAF_OTHER: none of ours. */
static enum leaf leaf_of(struct arena *a, const char *name, const char **ret_module,
			 bool *ret_embed)
{
	const size_t p = sizeof(prefix) - 1;

	if (strncmp(name, prefix, p) != 0)
		return LEAF_OTHER;
	for (size_t i = 0; i < COUNT(leaves); i++) {
		if (!ends(name, leaves[i].end))
			continue;
		*ret_module = arena_printf(
			a, "%.*s", (int)(strlen(name) - strlen(leaves[i].end) - p), name + p);
		*ret_embed = leaves[i].embed;
		return leaves[i].leaf;
	}
	return LEAF_OTHER;
}

/* ---- reading ---- */

static struct lora_pair *pair_of(struct lora_folder *f, const char *module)
{
	for (size_t i = 0; i < f->npair; i++) {
		if (!strcmp(f->pair[i].module, module))
			return &f->pair[i];
	}
	f->pair[f->npair] = (struct lora_pair){ .module = module };
	return &f->pair[f->npair++];
}

static float *numbers(struct lora_folder *f, const struct st_tensor *t)
{
	size_t n = 1;
	float *x;

	for (int i = 0; i < t->rank; i++)
		n *= (size_t)t->dim[i];
	x = arena_alloc(f->arena, (n ? n : 1) * sizeof(*x));
	return x && !st_read_f32(t, x) ? x : NULL;
}

static int take_other(struct lora_folder *f, const struct st_tensor *t)
{
	struct lora_other *o = &f->other[f->nother];
	char shown[112];

	if (ends(t->name, ".lora_magnitude_vector"))
		return err_set(TT_INVALID,
			       "it is a DoRA adapter (%s), whose steps depend on the base weights "
			       "and do not add up",
			       st_printable(t->name, shown, sizeof(shown)));
	if (strstr(t->name, ".lora_") || strstr(t->name, ".base_layer.") || t->rank < 1 ||
	    t->rank > 4)
		return err_set(TT_INVALID, "its tensor %s is none of plain LoRA",
			       st_printable(t->name, shown, sizeof(shown)));
	*o = (struct lora_other){ .name = arena_text(f->arena, t->name),
				  .rank = t->rank,
				  .data = numbers(f, t) };
	memcpy(o->dim, t->dim, (size_t)t->rank * sizeof(*o->dim));
	if (!o->name || !o->data)
		return TT_NOMEM;
	f->nother++;
	return TT_OK;
}

static int take_tensor(struct lora_folder *f, const struct st_tensor *t)
{
	const char *module = NULL;
	bool embed = false;
	const enum leaf leaf = leaf_of(f->arena, t->name, &module, &embed);
	struct lora_pair *p;
	float *data;

	if (leaf == LEAF_OTHER)
		return take_other(f, t);
	if (!module)
		return TT_NOMEM;
	if (t->rank != (leaf == LEAF_C ? 1 : 2))
		return err_set(TT_INVALID, "'%s' has %d dimensions", t->name, t->rank);
	p = pair_of(f, module);
	data = numbers(f, t);
	if (!data)
		return TT_INVALID;
	p->embed = embed;
	if (leaf == LEAF_A) {
		p->a = data;
		p->r = t->dim[0];
		p->in = t->dim[1];
	} else if (leaf == LEAF_B) {
		p->b = data;
		p->out = t->dim[0];
		/* checked against A below */
		p->scale = (double)t->dim[1];
	} else {
		p->c = data;
	}
	return TT_OK;
}

static double number_or(const struct json *config, const char *key, double otherwise)
{
	const struct json *j = json_get(config, key);

	return j && json_type(j) == JSON_NUMBER ? json_number(j) : otherwise;
}

static const struct json *map_or_null(const struct json *config, const char *key)
{
	const struct json *j = json_get(config, key);

	return j && json_type(j) == JSON_OBJECT ? j : NULL;
}

/* Both halves, one rank, and the scale that the config gives them. */
static int finish_pair(const struct lora_folder *f, struct lora_pair *p)
{
	const struct json *rslora = json_get(f->config, "use_rslora");
	double r, alpha;
	int code;

	if (!p->a || !p->b)
		return err_set(TT_INVALID, "'%s' has no lora_%s", p->module, p->a ? "B" : "A");
	if (!(fabs(p->scale - (double)p->r) < 0.5) || p->r < 1 || p->in < 1 || p->out < 1)
		return err_set(TT_INVALID, "'%s': lora_A has rank %lld, lora_B %lld", p->module,
			       (long long)p->r, (long long)p->scale);
	code = lowrank_setting(map_or_null(f->config, "rank_pattern"), "rank_pattern", p->module,
			       number_or(f->config, "r", 8), &r);
	if (!code)
		code = lowrank_setting(map_or_null(f->config, "alpha_pattern"), "alpha_pattern",
				       p->module, number_or(f->config, "lora_alpha", 8), &alpha);
	if (code)
		return code;
	if (!(fabs(r - (double)p->r) < 0.5))
		return err_set(TT_INVALID, "'%s' has rank %lld, and the config says %g", p->module,
			       (long long)p->r, r);
	p->scale = lowrank_scale(r, alpha, rslora && json_bool(rslora));
	return isfinite(p->scale) ? TT_OK
				  : err_set(TT_INVALID, "'%s' has no finite scale", p->module);
}

static int check_config(const struct lora_folder *f)
{
	static const char *const known[] = {
		"alpha_pattern",       "bias",
		"corda_config",        "eva_config",
		"exclude_modules",     "fan_in_fan_out",
		"init_lora_weights",   "layers_pattern",
		"layers_to_transform", "loftq_config",
		"lora_alpha",          "lora_bias",
		"lora_dropout",        "lora_ga_config",
		"megatron_core",       "modules_to_save",
		"qalora_group_size",   "r",
		"rank_pattern",        "target_modules",
		"use_rslora",          "velora_config",
	};
	const char *type = json_text(json_get(f->config, "peft_type"));
	const char *bias = json_text(json_get(f->config, "bias"));
	const char *init = json_text(json_get(f->config, "init_lora_weights"));
	char shown[64];

	if (json_type(f->config) != JSON_OBJECT || !type)
		return err_set(TT_INVALID, "its config has no peft_type");
	if (strcmp(type, "LORA") != 0)
		return err_set(TT_INVALID,
			       "it has peft_type %s, and only LORA adapters can be added",
			       st_printable(type, shown, sizeof(shown)));
	if (bias && strcmp(bias, "none") != 0)
		return err_set(TT_INVALID,
			       "it changes biases of the base model (bias %s), which do not add up",
			       st_printable(bias, shown, sizeof(shown)));
	if (init &&
	    (!strncmp(init, "pissa", 5) || !strcmp(init, "olora") || !strcmp(init, "corda")))
		return err_set(TT_INVALID,
			       "it started by taking a step out of the base weights "
			       "(init_lora_weights %s); convert it to plain LoRA first",
			       st_printable(init, shown, sizeof(shown)));
	return adapter_refuse_others(f->config, known, COUNT(known));
}

static int by_module(const void *a, const void *b)
{
	const struct lora_pair *x = a, *y = b;

	return strcmp(x->module, y->module);
}

static int read_config(struct lora_folder *f)
{
	char path[PATH_ROOM];
	int code = fs_join(path, sizeof(path), f->dir, "adapter_config.json");

	if (!code && !fs_exists(path))
		return err_set(TT_NOTFOUND,
			       "it is no adapter folder: it has no adapter_config.json");
	if (!code)
		code = json_load(path, CONFIG_MAX, &f->config);
	return code ? code : check_config(f);
}

static int read_tensors(struct lora_folder *f)
{
	char path[PATH_ROOM];
	struct st_file *file;
	int code = fs_join(path, sizeof(path), f->dir, "adapter_model.safetensors");

	if (!code)
		code = st_open(path, &file);
	if (code)
		return code;
	f->pair = arena_zero(f->arena, st_count(file) + 1, sizeof(*f->pair));
	f->other = arena_zero(f->arena, st_count(file) + 1, sizeof(*f->other));
	if (!f->pair || !f->other)
		code = TT_NOMEM;
	for (size_t i = 0; !code && i < st_count(file); i++)
		code = take_tensor(f, st_at(file, i));
	for (size_t i = 0; !code && i < f->npair; i++)
		code = finish_pair(f, &f->pair[i]);
	st_close(file);
	if (!code && !f->npair)
		code = err_set(TT_INVALID, "it adapts no module");
	if (!code)
		qsort(f->pair, f->npair, sizeof(*f->pair), by_module);
	return code;
}

int lora_folder_read(const char *dir, struct lora_folder **ret)
{
	struct arena *a = arena_new();
	struct lora_folder *f = a ? arena_zero(a, 1, sizeof(*f)) : NULL;
	int code = TT_OK;

	if (!f) {
		arena_free(a);
		return err_set(TT_NOMEM, "not enough memory to read %s", dir);
	}
	f->arena = a;
	f->dir = arena_text(a, dir);
	if (!f->dir)
		code = TT_NOMEM;
	if (!code)
		code = read_config(f);
	if (!code)
		code = read_tensors(f);
	if (code) {
		lora_folder_free(f);
		return err_in("%s", dir);
	}
	*ret = f;
	return TT_OK;
}

void lora_folder_free(struct lora_folder *f)
{
	if (!f)
		return;
	json_free(f->config);
	arena_free(f->arena);
}

/* ---- writing ---- */

/* The rank that most pairs have: the config's own; the others go into the patterns. */
static int64_t common_rank(const struct lora_folder *f)
{
	int64_t best = f->pair[0].r;
	size_t most = 0;

	for (size_t i = 0; i < f->npair; i++) {
		size_t n = 0;

		for (size_t k = 0; k < f->npair; k++)
			n += f->pair[k].r == f->pair[i].r;
		if (n > most) {
			most = n;
			best = f->pair[i].r;
		}
	}
	return best;
}

/* {"^MODULE": value} for pairs of another rank; a name's dots are meant. */
static void write_pattern(const struct lora_folder *f, const char *key, int64_t common, bool alpha,
			  struct jsonw *w)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t i = 0; i < f->npair; i++) {
		const struct lora_pair *p = &f->pair[i];

		if (p->r == common && fabs(p->scale - 1) < 1e-12)
			continue;
		jsonw_key(w, p->module);
		if (alpha)
			jsonw_real(w, (double)p->r * p->scale);
		else
			jsonw_int(w, p->r);
	}
	jsonw_end(w, '}');
}

static void write_targets(const struct lora_folder *f, struct jsonw *w)
{
	jsonw_key(w, "target_modules");
	jsonw_array(w);
	for (size_t i = 0; i < f->npair; i++)
		jsonw_text(w, f->pair[i].module);
	jsonw_end(w, ']');
}

static void write_members(const struct lora_folder *f, struct jsonw *w)
{
	static const char *const anew[] = {
		"alpha_pattern",  "init_lora_weights",   "lora_alpha", "exclude_modules",
		"layers_pattern", "layers_to_transform", "r",          "rank_pattern",
		"target_modules", "use_rslora"
	};
	static const char *const nulls[] = { "exclude_modules", "layers_pattern",
					     "layers_to_transform" };
	const int64_t r = common_rank(f);

	for (const struct json *j = json_first(f->config); j; j = json_next(j)) {
		bool written = false;

		for (size_t i = 0; i < COUNT(anew); i++)
			written = written || !strcmp(json_key(j), anew[i]);
		if (written)
			continue;
		jsonw_key(w, json_key(j));
		jsonw_json(w, j);
	}
	jsonw_key(w, "r");
	jsonw_int(w, r);
	jsonw_key(w, "lora_alpha");
	jsonw_int(w, r);
	jsonw_key(w, "use_rslora");
	jsonw_bool(w, false);
	jsonw_key(w, "init_lora_weights");
	jsonw_bool(w, true);
	for (size_t i = 0; i < COUNT(nulls); i++) {
		jsonw_key(w, nulls[i]);
		jsonw_null(w);
	}
	write_pattern(f, "rank_pattern", r, false, w);
	write_pattern(f, "alpha_pattern", r, true, w);
	write_targets(f, w);
}

static int write_config(const struct lora_folder *f, const char *dir)
{
	char path[PATH_ROOM];
	struct buf plain, sorted;
	struct jsonw w;
	int code;

	buf_init(&plain, CONFIG_MAX);
	buf_init(&sorted, CONFIG_MAX);
	jsonw_init(&w, &plain, 2);
	jsonw_object(&w);
	write_members(f, &w);
	jsonw_end(&w, '}');
	code = buf_check(&plain, "adapter_config.json");
	if (!code)
		code = adapter_sort_members(plain.data, &sorted);
	if (!code)
		code = fs_join(path, sizeof(path), dir, "adapter_config.json");
	if (!code)
		code = fs_write_atomic(path, sorted.data, sorted.size);
	buf_done(&plain);
	buf_done(&sorted);
	return code;
}

static int add_half(struct st_writer *w, struct arena *a, const struct lora_pair *p, bool is_b)
{
	const int64_t dim[] = { is_b ? p->out : p->r, is_b ? p->r : p->in };
	const char *leaf = p->embed ? (is_b ? "lora_embedding_B" : "lora_embedding_A")
				    : (is_b ? "lora_B.weight" : "lora_A.weight");
	const char *name = arena_printf(a, "%s%s.%s", prefix, p->module, leaf);

	return name ? st_writer_add(w, name, "F32", 2, dim, is_b ? p->b : p->a) : TT_NOMEM;
}

static int add_pair(struct st_writer *w, struct arena *a, const struct lora_pair *p)
{
	const char *name = arena_printf(a, "%s%s.lora_B.bias", prefix, p->module);
	int code = add_half(w, a, p, false);

	if (!code)
		code = add_half(w, a, p, true);
	if (!code && p->c)
		code = name ? st_writer_add(w, name, "F32", 1, &p->out, p->c) : TT_NOMEM;
	return code;
}

static int write_tensors(const struct lora_folder *f, const char *dir)
{
	char path[PATH_ROOM];
	struct st_writer *w = NULL;
	int code = fs_join(path, sizeof(path), dir, "adapter_model.safetensors");

	if (!code)
		code = st_writer_new(&w);
	for (size_t i = 0; !code && i < f->npair; i++)
		code = add_pair(w, f->arena, &f->pair[i]);
	for (size_t i = 0; !code && i < f->nother; i++)
		code = st_writer_add(w, f->other[i].name, "F32", f->other[i].rank, f->other[i].dim,
				     f->other[i].data);
	if (!code)
		code = st_write(w, path);
	st_writer_free(w);
	return code;
}

int lora_folder_write(const struct lora_folder *f, const char *dir)
{
	int code = fs_mkdirs(dir);

	if (!code)
		code = write_tensors(f, dir);
	return code ? code : write_config(f, dir);
}
