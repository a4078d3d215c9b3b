/*
 * Adapter folders: adapter_config.json and adapter_model.safetensors, as PEFT
 * 0.21 writes them.
 *
 * One list of entries says what a folder holds; saving writes all of it, and
 * loading wants all of it but the spare ones. Names in the file:
 *
 *     a method's own tensor        base_model.model.MODULE.lora_A.weight
 *     a module that trains wholly  base_model.model.MODULE.weight
 *     the bias of an adapted layer base_model.model.MODULE.base_layer.bias
 *
 * An encoder whose result the file holds lies in a file of its own beside it
 * (method_ops.encoder_name). PEFT has no such file and so cannot train on.
 *
 * With bias "all" PEFT stores every bias of its module tree, and in that tree a
 * wholly trained module stands three times: under its own name, and as
 * modules_to_save and original_module, all three with the trained value. The last
 * two are spare, and so are second names of one tensor.
 */
#include "method/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "method/heads.h"
#include "method/stages.h"
#include "model/safetensors.h"

enum { LIST_MAX = 5 /* names that a sentence lists */ };

static const char prefix[] = "base_model.model.";
static const char adapter_file[] = "adapter_model.safetensors";
static const char encoder_file[] = "prompt_encoder.safetensors";

enum entry_use {
	ENTRY_WANTED, /* loading fills it */
	ENTRY_FIXED,  /* must be there, and hold what the base holds */
	ENTRY_SPARE,  /* may be there; not looked into */
	ENTRY_PASSED  /* the same, whatever its shape: a head of other labels */
};

struct entry {
	const char *name;
	const struct tensor *tensor; /* shape, and where loading puts it */
	struct tensor *packed_from;  /* the method's tensor that it stands for; NULL: itself */
	const float *data;           /* what saving writes */
	bool whole;                  /* they are int64_t */
	enum entry_use use;
};

struct entries {
	struct entry *item;
	size_t n, room;
	struct arena *arena; /* names */
};

/* ---- what a folder holds ---- */

static int entry_add(struct entries *e, enum entry_use use, const struct tensor *t,
		     const float *data, const char *name)
{
	if (!name)
		return TT_NOMEM;
	if (e->n == e->room) {
		const size_t room = e->room ? 2 * e->room : 128;
		struct entry *item = realloc(e->item, room * sizeof(*item));

		if (!item)
			return err_set(TT_NOMEM, "no memory to list an adapter's tensors");
		e->item = item;
		e->room = room;
	}
	e->item[e->n++] = (struct entry){ .name = name, .tensor = t, .data = data, .use = use };
	return TT_OK;
}

static bool is_bias(const char *name)
{
	const size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".bias");
}

/* The wholly trained module a parameter lies in, or NULL. */
static const char *saved_module(const struct method *m, const char *name)
{
	for (size_t i = 0; i < m->nsaved; i++) {
		const size_t n = strlen(m->saved[i]);

		if (!strncmp(name, m->saved[i], n) && name[n] == '.')
			return m->saved[i];
	}
	return NULL;
}

/* A base parameter's name in PEFT's tree: an adapted layer holds the old one as base_layer. */
static const char *base_name(struct arena *a, const struct method *m, const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < m->nsite; i++) {
		const char *site = m->site[i]->name;
		const size_t n = strlen(site);

		if (n == (size_t)(dot - name) && !strncmp(site, name, n))
			return arena_printf(a, "%s%s.base_layer%s", prefix, site, dot);
	}
	return arena_printf(a, "%s%s", prefix, name);
}

/* The two spare copies of a bias in a wholly trained module. */
static int add_copies(struct entries *e, const struct tensor *t, const char *module)
{
	const char *rest = t->name + strlen(module) + 1;
	/* PEFT takes the adapter's name out of the last but one place only */
	const char *infix = strchr(rest, '.') ? "default." : "";
	int code = entry_add(
		e, ENTRY_SPARE, t, t->data,
		arena_printf(e->arena, "%s%s.modules_to_save.%s%s", prefix, module, infix, rest));

	if (!code)
		code = entry_add(
			e, ENTRY_SPARE, t, t->data,
			arena_printf(e->arena, "%s%s.original_module.%s", prefix, module, rest));
	return code;
}

/* Bias "all": every bias that no parameter of the method's is, and the spare copies. */
static int add_biases(struct entries *e, const struct method *m)
{
	const struct model *model = m->model;
	int code = TT_OK;

	for (size_t i = 0; !code && i < model->nparam; i++) {
		const struct tensor *t = model->param[i];
		const char *module = saved_module(m, t->name);

		if (!is_bias(t->name))
			continue;
		if (!method_before(m, t))
			code = entry_add(e, ENTRY_FIXED, t, t->data,
					 base_name(e->arena, m, t->name));
		if (!code && module)
			code = add_copies(e, t, module);
	}
	/* a tied bias stands in the tree under the name of every module that has it */
	for (size_t i = 0; !code && i < model->nsite; i++) {
		const struct site *s = &model->site[i];
		const size_t n = strlen(s->name);

		if (s->bias && (strncmp(s->bias->name, s->name, n) != 0 ||
				strcmp(s->bias->name + n, ".bias") != 0))
			code = entry_add(e, ENTRY_SPARE, s->bias, s->bias->data,
					 arena_printf(e->arena, "%s%s.bias", prefix, s->name));
	}
	return code;
}

/* A tensor of the method, or (base) one of the model that it trains. */
static int add_own(struct entries *e, const struct method *m, struct tensor *t, bool base)
{
	const struct method *owner = method_owner(m, t);
	const struct method_ops *ops = owner->ops;
	const struct tensor *stored = !base && ops->pack ? ops->pack(owner, t, e->arena) : t;
	const char *name = ops->file_name ? ops->file_name(owner, t, e->arena) : NULL;
	int code;

	if (!stored)
		return TT_NOMEM;
	if (!name)
		name = base ? base_name(e->arena, m, t->name)
			    : arena_printf(e->arena, "%s%s", prefix, t->name);
	if (name && !*name)
		return TT_OK;
	code = entry_add(e, ENTRY_WANTED, stored, stored->data, name);
	if (code)
		return code;
	if (stored != t)
		e->item[e->n - 1].packed_from = t;
	e->item[e->n - 1].whole = ops->holds_whole && ops->holds_whole(owner, t);
	return TT_OK;
}

/* A parameter's name in the encoder's file; NULL: it is none of an encoder. */
static const char *encoder_name(const struct method *m, const struct tensor *t, struct arena *a)
{
	const struct method *owner = method_owner(m, t);

	return owner->ops->encoder_name ? owner->ops->encoder_name(owner, t, a) : NULL;
}

static int encoder_entries_new(const struct method *m, struct entries *ret)
{
	int code = TT_OK;

	*ret = (struct entries){ .arena = arena_new() };
	if (!ret->arena)
		return err_set(TT_NOMEM, "no memory to list an adapter's tensors");
	for (size_t i = 0; !code && i < m->nparam; i++) {
		const struct tensor *t = m->param[i];
		const char *name = encoder_name(m, t, ret->arena);

		if (name)
			code = entry_add(ret, ENTRY_WANTED, t, t->data, name);
	}
	return code;
}

static int entries_new(const struct method *m, struct entries *ret)
{
	int code = TT_OK;

	*ret = (struct entries){ .arena = arena_new() };
	if (!ret->arena)
		return err_set(TT_NOMEM, "no memory to list an adapter's tensors");
	for (size_t i = 0; !code && i < m->nparam; i++) {
		if (!encoder_name(m, m->param[i], ret->arena))
			code = add_own(ret, m, m->param[i], m->before[i] != NULL);
	}
	for (size_t i = 0; !code && i < m->fixed.n; i++)
		code = add_own(ret, m, m->fixed.item[i], false);
	if (!code && m->saves_biases)
		code = add_biases(ret, m);
	return code;
}

static void entries_free(struct entries *e)
{
	free(e->item);
	arena_free(e->arena);
}

/* ---- saving ---- */

static int entries_write(const struct entries *e, const char *path)
{
	struct st_writer *w;
	int code = st_writer_new(&w);

	if (code)
		return code;
	for (size_t i = 0; !code && i < e->n; i++)
		code = st_writer_add(w, e->item[i].name, e->item[i].whole ? "I64" : "F32",
				     e->item[i].tensor->rank, e->item[i].tensor->dim,
				     e->item[i].data);
	if (!code)
		code = st_write(w, path);
	st_writer_free(w);
	return code;
}

static int tensors_write(const struct method *m, const char *dir)
{
	char path[4096];
	struct entries e;
	int code = entries_new(m, &e);

	if (!code)
		code = fs_join(path, sizeof(path), dir, adapter_file);
	if (!code)
		code = entries_write(&e, path);
	entries_free(&e);
	return code;
}

/* Without an encoder there must be no file of one, of an export before. */
static int encoder_write(const struct method *m, const char *dir)
{
	char path[4096];
	struct entries e;
	int code = encoder_entries_new(m, &e);

	if (!code)
		code = fs_join(path, sizeof(path), dir, encoder_file);
	if (!code)
		code = e.n ? entries_write(&e, path) : fs_remove_tree(path);
	entries_free(&e);
	return code;
}

int adapter_save(struct method *m, const char *dir, const char *base)
{
	int code;

	if (m->ops->saves_model || !m->ops->config)
		return err_set(TT_INVALID, "method '%s' changes the whole model; export it merged",
			       m->ops->name);
	code = stage_refresh(m);
	if (!code)
		code = fs_mkdirs(dir);
	if (!code)
		code = tensors_write(m, dir);
	if (!code)
		code = encoder_write(m, dir);
	if (!code && m->ops->leaves_heads)
		code = heads_write(m, dir);
	if (!code)
		code = adapter_side_save(m, dir);
	return code ? code : adapter_write_config(m, dir, base);
}

/* ---- loading ---- */

/* Names for a sentence: the first few of them, without the prefix that all have. */
struct names {
	char text[640];
	size_t n;
};

static void names_add(struct names *l, const char *name)
{
	char shown[112];
	const size_t used = strlen(l->text);

	if (!strncmp(name, prefix, sizeof(prefix) - 1))
		name += sizeof(prefix) - 1;
	if (l->n < LIST_MAX)
		snprintf(l->text + used, sizeof(l->text) - used, "%s%s", l->n ? ", " : "",
			 st_printable(name, shown, sizeof(shown)));
	l->n++;
}

static bool same_shape(const struct st_tensor *f, const struct tensor *t)
{
	if (f->rank != t->rank)
		return false;
	for (int i = 0; i < t->rank; i++) {
		if (f->dim[i] != t->dim[i])
			return false;
	}
	return true;
}

/* The base as the file has it: exactly, or to what half precision keeps. */
static int check_base(const struct st_tensor *f, const struct tensor *t, const float *base,
		      const char *path)
{
	const double slack = strcmp(f->dtype, "F32") != 0 ? 0.01 : 0;
	const int64_t n = tensor_count(t);
	float *x = malloc((size_t)(n ? n : 1) * sizeof(*x));
	int code = x ? st_read_f32(f, x) : err_set(TT_NOMEM, "no memory to read '%s'", path);

	for (int64_t i = 0; !code && i < n; i++) {
		if (!(fabs((double)x[i] - (double)base[i]) <=
		      slack * (1e-3 + fabs((double)base[i]))))
			code = err_set(TT_INVALID,
				       "%s: '%s' is not as in the base model, and this method does "
				       "not train it",
				       path, f->name);
	}
	free(x);
	return code;
}

/* PEFT stores the base weight of an adapted lookup table as well (embed_tokens, lm_head). */
static int spare_base(const struct method *m, const struct st_tensor *f, const char *path,
		      bool *ret)
{
	static const char layer[] = ".base_layer.weight";
	const size_t n = strlen(f->name), k = sizeof(layer) - 1, p = sizeof(prefix) - 1;

	*ret = false;
	if (n <= p + k || strncmp(f->name, prefix, p) != 0 || strcmp(f->name + n - k, layer) != 0)
		return TT_OK;
	for (size_t i = 0; i < m->nsite; i++) {
		const struct site *s = m->site[i];

		if (strlen(s->name) != n - p - k || strncmp(s->name, f->name + p, n - p - k) != 0 ||
		    !s->weight)
			continue;
		if (!same_shape(f, s->weight))
			return TT_OK;
		*ret = true;
		return check_base(f, s->weight, s->weight->data, path);
	}
	return TT_OK;
}

static int by_entry(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int find_extra(const struct method *m, const struct entries *e, const struct st_file *f,
		      const char *path, struct names *ret)
{
	for (size_t i = 0; i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);
		const struct entry key = { .name = t->name };
		bool spare;
		int code;

		if (bsearch(&key, e->item, e->n, sizeof(key), by_entry))
			continue;
		code = spare_base(m, t, path, &spare);
		if (code)
			return code;
		if (!spare)
			names_add(ret, t->name);
	}
	return TT_OK;
}

static int shape_error(const struct st_tensor *f, const struct tensor *t, const char *path)
{
	char has[96] = "", wants[96] = "", shown[112];

	for (int i = 0; i < f->rank; i++)
		snprintf(has + strlen(has), sizeof(has) - strlen(has), "%s%lld", i ? "," : "",
			 (long long)f->dim[i]);
	for (int i = 0; i < t->rank; i++)
		snprintf(wants + strlen(wants), sizeof(wants) - strlen(wants), "%s%lld",
			 i ? "," : "", (long long)t->dim[i]);
	return err_set(TT_INVALID, "%s: '%s' has shape [%s], and the model and recipe make it [%s]",
		       path, st_printable(f->name, shown, sizeof(shown)), has, wants);
}

/* Everything is checked before anything is written. */
static int check_tensors(const struct method *m, const struct entries *e, const struct st_file *f,
			 const char *path)
{
	struct names missing = { .text = "" }, extra = { .text = "" };
	int code = TT_OK;

	for (size_t i = 0; i < e->n; i++) {
		if (e->item[i].use < ENTRY_SPARE && !st_find(f, e->item[i].name))
			names_add(&missing, e->item[i].name);
	}
	code = find_extra(m, e, f, path, &extra);
	if (code)
		return code;
	if (missing.n || extra.n)
		return err_set(TT_INVALID,
			       "%s does not fit the recipe: missing %zu%s%s%s; too many %zu%s%s%s",
			       path, missing.n, missing.n ? " (" : "", missing.text,
			       missing.n > LIST_MAX ? ", ...)"
			       : missing.n          ? ")"
						    : "",
			       extra.n, extra.n ? " (" : "", extra.text,
			       extra.n > LIST_MAX ? ", ...)"
			       : extra.n          ? ")"
						  : "");
	for (size_t i = 0; !code && i < e->n; i++) {
		const struct st_tensor *t = st_find(f, e->item[i].name);

		if (t && e->item[i].use != ENTRY_PASSED && !same_shape(t, e->item[i].tensor))
			code = shape_error(t, e->item[i].tensor, path);
		if (!code && t && e->item[i].use == ENTRY_FIXED)
			code = check_base(t, e->item[i].tensor, e->item[i].tensor->data, path);
	}
	return code;
}

static int read_whole(const struct st_tensor *f, const struct tensor *to)
{
	if (strcmp(f->dtype, "I64") != 0)
		return err_set(TT_INVALID, "'%s' is of type %s, not I64", f->name, f->dtype);
	memcpy(to->data, f->data, f->size);
	return TT_OK;
}

/* The head of a file that knows other labels, or another number of them, is left where it is. */
static bool pass_over_heads(const struct method *m, struct entries *e, const struct st_file *f,
			    const struct texts *theirs)
{
	bool other = heads_differ(m, theirs);

	for (size_t i = 0; i < e->n; i++) {
		const struct st_tensor *t = st_find(f, e->item[i].name);

		other = other || (t && heads_have(m, e->item[i].tensor) &&
				  !same_shape(t, e->item[i].tensor));
	}
	for (size_t i = 0; other && i < e->n; i++) {
		if (heads_have(m, e->item[i].tensor))
			e->item[i].use = ENTRY_PASSED;
	}
	return other;
}

/* ... but for the rows of labels that both know. */
static int take_heads(struct method *m, const struct entries *e, const struct st_file *f,
		      const struct texts *theirs, const char *dir)
{
	int64_t taken = 0;

	for (size_t i = 0; i < e->n; i++) {
		const struct st_tensor *t = st_find(f, e->item[i].name);
		const int64_t n = e->item[i].use == ENTRY_PASSED && t
					  ? heads_take(m, theirs, t, e->item[i].tensor)
					  : 0;

		if (n < 0)
			return (int)n;
		taken = n > taken ? n : taken;
	}
	if (taken)
		method_note(m,
			    "%s: the adapter is of other labels; of its head %lld stay, those of "
			    "labels that are there again",
			    dir, (long long)taken);
	else
		method_note(m,
			    "%s: the adapter is of other labels; its head stays behind, and a new "
			    "one begins",
			    dir);
	return TT_OK;
}

static int entries_fill(const struct method *m, const struct entries *e, const struct st_file *f)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < e->n; i++) {
		struct entry *x = &e->item[i];

		if (x->use != ENTRY_WANTED)
			continue;
		code = x->whole ? read_whole(st_find(f, x->name), x->tensor)
				: st_read_f32(st_find(f, x->name), x->tensor->data);
		if (!code && x->packed_from) {
			struct method *owner = method_owner(m, x->packed_from);

			code = owner->ops->unpack(owner, x->packed_from, x->tensor);
		}
	}
	return code;
}

/* dir: of the adapter, whose head may be another's; NULL: of an encoder. */
static int entries_load(struct method *m, struct entries *e, const char *path, const char *dir)
{
	const bool may_differ = dir && m->ops->leaves_heads;
	struct texts theirs = { 0 };
	bool other = false;
	struct st_file *f;
	int code = st_open(path, &f);

	if (code)
		return code;
	qsort(e->item, e->n, sizeof(*e->item), by_entry);
	if (may_differ)
		code = heads_read(dir, e->arena, &theirs);
	if (!code && may_differ)
		other = pass_over_heads(m, e, f, &theirs);
	if (!code)
		code = check_tensors(m, e, f, path);
	if (!code)
		code = entries_fill(m, e, f);
	if (!code && other)
		code = take_heads(m, e, f, &theirs, dir);
	st_close(f);
	return code;
}

static int tensors_load(struct method *m, const char *path, const char *dir)
{
	struct entries e;
	int code = entries_new(m, &e);

	if (!code)
		code = entries_load(m, &e, path, dir);
	entries_free(&e);
	return code;
}

/* The encoder's file, when the method has an encoder and the folder the file. */
static int encoder_load(struct method *m, const char *dir, bool *ret)
{
	char path[4096];
	struct entries e;
	int code = encoder_entries_new(m, &e);

	*ret = false;
	if (!code)
		code = fs_join(path, sizeof(path), dir, encoder_file);
	if (!code && fs_exists(path)) {
		*ret = e.n;
		if (e.n)
			code = entries_load(m, &e, path, NULL);
		else
			method_note(m, "%s is not used: the recipe has no encoder", path);
	}
	entries_free(&e);
	return code;
}

int adapter_load(struct method *m, const char *dir)
{
	char path[4096];
	bool encoder = false;
	int code;

	if (m->ops->saves_model || !m->ops->agrees)
		return err_set(TT_INVALID,
			       "method '%s' has no adapters; start it from a model folder",
			       m->ops->name);
	code = adapter_read_config(m, dir);
	if (!code)
		code = adapter_side_load(m, dir);
	if (!code)
		code = fs_join(path, sizeof(path), dir, adapter_file);
	if (!code && !fs_exists(path))
		return err_set(TT_NOTFOUND,
			       "'%s' has no adapter_model.safetensors (a pickle, "
			       "adapter_model.bin, is not read: it can "
			       "run programs)",
			       dir);
	if (!code)
		code = tensors_load(m, path, dir);
	if (!code)
		code = encoder_load(m, dir, &encoder);
	if (code)
		return code;
	return stage_loaded(m, encoder) ? err_in("%s", dir) : TT_OK;
}
