/*
 * A model folder becomes declared parameters and sites.
 *
 *     config.json -> hparams -> the architecture declares -> the file's tensors are matched by name -> data
 *
 * Nothing of the file is trusted before it is checked: sizes in config.json are
 * bounded, and every stored tensor must have the shape that they make. Memory is
 * taken only after that.
 */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"

enum {
	CONFIG_MAX = 4 << 20, /* bytes of config.json: thousands of labels fit */
	LABELS_MAX = 1 << 16
};

#define ITEM(n) extern const struct model_ops model_##n;
#include "model/list.inc"
#undef ITEM

static const struct model_ops *const all[] = {
#define ITEM(n) &model_##n,
#include "model/list.inc"
#undef ITEM
	NULL
};

const struct model_ops *const *model_all(void) { return all; }

/* ---- config.json ---- */

static int config_int(const struct json *config, const char *key, int64_t min, int64_t max,
		      int64_t *ret)
{
	const struct json *j = json_get(config, key);

	if (!j || json_type(j) == JSON_NULL)
		return TT_OK; /* ret holds the default */
	if (!json_int(j, ret) || *ret < min || *ret > max)
		return err_set(TT_INVALID,
			       "config.json: %s must be a whole number from %lld to %lld", key,
			       (long long)min, (long long)max);
	return TT_OK;
}

static int config_real(const struct json *config, const char *key, double min, double below,
		       double *ret)
{
	const struct json *j = json_get(config, key);
	const double v = j ? json_number(j) : NAN;

	if (!j || json_type(j) == JSON_NULL)
		return TT_OK;
	if (!(v >= min && v < below))
		return err_set(TT_INVALID, "config.json: %s must be a number from %g to below %g",
			       key, min, below);
	*ret = v;
	return TT_OK;
}

/* The sizes that every encoder has. */
static int read_sizes(struct model *m)
{
	struct hparams *h = &m->hp;
	const struct {
		const char *key;
		int64_t min, max, *ret;
	} table[] = {
		{ "vocab_size", 1, 1 << 24, &h->vocab_size },
		{ "hidden_size", 1, 1 << 16, &h->hidden_size },
		{ "num_hidden_layers", 1, 1024, &h->num_hidden_layers },
		{ "num_attention_heads", 1, 1024, &h->num_attention_heads },
		{ "intermediate_size", 1, 1 << 20, &h->intermediate_size },
		{ "max_position_embeddings", 1, 1 << 20, &h->max_position_embeddings },
		{ "type_vocab_size", 1, 1 << 16, &h->type_vocab_size },
		{ "pad_token_id", -1, INT32_MAX, &h->pad_token_id },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		const int rc = config_int(m->config, table[i].key, table[i].min, table[i].max,
					  table[i].ret);

		if (rc)
			return rc;
	}
	if (h->hidden_size % h->num_attention_heads)
		return err_set(TT_INVALID,
			       "config.json: hidden_size %lld is not a multiple of "
			       "num_attention_heads %lld",
			       (long long)h->hidden_size, (long long)h->num_attention_heads);
	return TT_OK;
}

static int read_rates(struct model *m, double dropout)
{
	struct hparams *h = &m->hp;
	const struct json *act = json_get(m->config, "hidden_act");
	const struct {
		const char *key;
		double min, below, *ret;
	} table[] = {
		{ "hidden_dropout_prob", 0, 1, &h->hidden_dropout_prob },
		{ "attention_probs_dropout_prob", 0, 1, &h->attention_probs_dropout_prob },
		{ "classifier_dropout", 0, 1, &h->classifier_dropout },
		{ "layer_norm_eps", 0, 1, &h->layer_norm_eps },
		{ "initializer_range", 0, 100, &h->initializer_range },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		const int rc = config_real(m->config, table[i].key, table[i].min, table[i].below,
					   table[i].ret);

		if (rc)
			return rc;
	}
	if (!isnan(dropout)) {
		if (!(dropout >= 0 && dropout < 1))
			return err_set(TT_INVALID, "a dropout of %g is not from 0 to below 1",
				       dropout);
		h->hidden_dropout_prob = h->attention_probs_dropout_prob = h->classifier_dropout =
			dropout;
	}
	if (!act || json_type(act) == JSON_NULL)
		return TT_OK;
	if (!json_text(act))
		return err_set(TT_INVALID, "config.json: hidden_act must be a string");
	if (activation_parse(json_text(act), &h->hidden_act))
		return err_in("config.json: hidden_act");
	return TT_OK;
}

static int find_ops(struct model *m)
{
	const char *type = json_text(json_get(m->config, "model_type"));
	char have[200] = "", shown[80];
	size_t at = 0;

	if (!type)
		return err_set(TT_INVALID, "config.json does not say its model_type");
	for (int i = 0; all[i]; i++)
		if (!strcmp(all[i]->name, type)) {
			m->ops = all[i];
			m->hp = all[i]->defaults;
			m->hp.model_type = all[i]->name;
			return TT_OK;
		}
	for (int i = 0; all[i] && at < sizeof(have); i++)
		at += (size_t)snprintf(have + at, sizeof(have) - at, "%s%s", i ? ", " : "",
				       all[i]->name);
	return err_set(TT_INVALID,
		       "config.json: models of type '%s' are not supported; supported: %s",
		       st_printable(type, shown, sizeof(shown)), have);
}

static int read_config(struct model *m, double dropout)
{
	const struct json *quantized;
	int rc = find_ops(m);

	if (rc)
		return rc;
	quantized = json_get(m->config, "quantization_config");
	if (quantized && json_type(quantized) != JSON_NULL)
		return err_set(
			TT_INVALID,
			"config.json: quantization_config: quantized weights are not supported");
	rc = read_sizes(m);
	if (!rc)
		rc = read_rates(m, dropout);
	return rc ? rc : m->ops->shape(m);
}

/* ---- declaring ---- */

struct tensor *model_declare(struct model *m, const char *name, unsigned flags, int64_t d0,
			     int64_t d1)
{
	struct tensor *t = arena_zero(m->arena, 1, sizeof(*t));

	if (!t)
		return NULL;
	if (m->nparam == m->param_room) {
		err_set(TT_INVALID, "the model has more parameters than its layers can have");
		return NULL;
	}
	t->name = arena_text(m->arena, name);
	t->rank = d1 ? 2 : 1;
	t->dim[0] = d0;
	t->dim[1] = d1;
	t->slot = -1;
	if (!t->name)
		return NULL;
	m->info[m->nparam].flags = flags;
	m->param[m->nparam++] = t;
	return t;
}

struct site *model_declare_site(struct model *m, const char *name, unsigned kind, int layer,
				struct tensor *weight, struct tensor *bias)
{
	struct site *s = &m->site[m->nsite];
	const char *copy = arena_text(m->arena, name);

	if ((!weight && kind & SITE_MODULES) || !copy)
		return NULL;
	if (m->nsite == m->site_room) {
		err_set(TT_INVALID, "the model has more modules than its layers can have");
		return NULL;
	}
	*s = (struct site){
		.name = copy, .kind = kind, .layer = layer, .weight = weight, .bias = bias
	};
	m->nsite++;
	return s;
}

/* Arrays that never move, so that a site can be pointed to: generous for any block. */
static int make_room(struct model *m)
{
	m->site_room = 32 * ((size_t)m->hp.num_hidden_layers + 2);
	m->param_room = 2 * m->site_room;
	m->site = arena_zero(m->arena, m->site_room, sizeof(*m->site));
	m->param = arena_zero(m->arena, m->param_room, sizeof(*m->param));
	m->info = arena_zero(m->arena, m->param_room, sizeof(*m->info));
	return m->site && m->param && m->info ? TT_OK : TT_NOMEM;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct param_name *)a)->name, ((const struct param_name *)b)->name);
}

/* After declaring. */
static int sort_names(struct model *m)
{
	m->by_name = arena_zero(m->arena, m->nparam, sizeof(*m->by_name));
	if (!m->by_name)
		return TT_NOMEM;
	for (size_t i = 0; i < m->nparam; i++)
		m->by_name[i] = (struct param_name){ m->param[i]->name, (int)i };
	qsort(m->by_name, m->nparam, sizeof(*m->by_name), name_order);
	return TT_OK;
}

enum { NO_PARAM = -1 };

static int param_at(const struct model *m, const char *name)
{
	const struct param_name *hit = bsearch(&(struct param_name){ .name = name }, m->by_name,
					       m->nparam, sizeof(*m->by_name), name_order);

	return hit ? hit->at : NO_PARAM;
}

struct tensor *model_param(const struct model *m, const char *name)
{
	const int i = param_at(m, name);

	return i < 0 ? NULL : m->param[i];
}

struct site *model_site(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->nsite; i++)
		if (m->site[i].kind & SITE_MODULES && !strcmp(m->site[i].name, name))
			return &m->site[i];
	return NULL;
}

struct site *model_group(const struct model *m, unsigned kind, const struct site *after)
{
	for (size_t i = after ? (size_t)(after - m->site) + 1 : 0; i < m->nsite; i++)
		if (m->site[i].kind & kind)
			return &m->site[i];
	return NULL;
}

static struct param_info *info_of(const struct model *m, const struct tensor *t)
{
	for (size_t i = 0; i < m->nparam; i++)
		if (m->param[i] == t)
			return &m->info[i];
	return NULL;
}

/* ---- names of the file -> names of the model ---- */

static bool ends_with(const char *text, const char *end)
{
	const size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcmp(text + n - k, end);
}

static bool is_ignored(const struct model_ops *ops, const char *name)
{
	for (const char *const *end = ops->ignored; *end; end++)
		if (ends_with(name, *end))
			return true;
	return false;
}

/* LayerNorm.gamma and .beta are the names of old files. The result fits ret, or is cut and then matches nothing. */
static void modern_name(const char *stored, char *ret, size_t size)
{
	const size_t n = strlen(stored);

	if (ends_with(stored, ".gamma"))
		snprintf(ret, size, "%.*sweight", (int)(n - 5), stored);
	else if (ends_with(stored, ".beta"))
		snprintf(ret, size, "%.*sbias", (int)(n - 4), stored);
	else
		snprintf(ret, size, "%s", stored);
}

/* Which parameter a stored tensor is; *ret_exact: under its very name, not under another one. */
static int match(const struct model *m, const char *stored, bool *ret_exact)
{
	const struct model_ops *ops = m->ops;
	const size_t k = strlen(ops->prefix);
	char name[1100], prefixed[1200];
	int i = param_at(m, stored);

	*ret_exact = i >= 0;
	if (i >= 0)
		return i;
	modern_name(stored, name, sizeof(name));
	i = param_at(m, name);
	if (i < 0) {
		snprintf(prefixed, sizeof(prefixed), "%s%s", ops->prefix, name);
		i = param_at(m, prefixed);
	}
	if (i < 0 && !strncmp(name, ops->prefix, k))
		i = param_at(m, name + k);
	return i;
}

static int match_alias(const struct model *m, const char *stored)
{
	for (const struct alias *a = m->ops->aliases; a->stored; a++)
		if (!strcmp(a->stored, stored))
			return param_at(m, a->name);
	return NO_PARAM;
}

/* Names for one sentence. */
struct listing {
	char text[600];
	size_t at, n;
	bool cut;
};

static void listing_add(struct listing *l, const char *name)
{
	char shown[200];
	const size_t room = sizeof(l->text) - l->at;
	const int size = snprintf(l->text + l->at, room, "%s%s", l->n ? ", " : "",
				  st_printable(name, shown, sizeof(shown)));

	l->n++;
	if (!l->cut && size >= 0 && (size_t)size < room)
		l->at += (size_t)size;
	else
		l->cut = true;
	l->text[l->at] = 0;
}

/* The listing as a sentence in the arena; NULL when it is empty. */
static int listing_text(const struct listing *l, struct arena *a, const char *what,
			const char **ret)
{
	*ret = NULL;
	if (l->n)
		*ret = arena_printf(a, "%zu %s: %s%s", l->n, what, l->text, l->cut ? ", ..." : "");
	return l->n && !*ret ? TT_NOMEM : TT_OK;
}

/*
 * found[i] becomes the stored tensor of parameter i. A name that is the
 * parameter's own wins over one that only means it; two of the latter are
 * refused. Aliases come last: a tied tensor is often stored twice.
 */
static int match_all(struct model *m, const struct st_tensor **found, struct listing *unused)
{
	bool *exact = arena_zero(m->arena, m->nparam, sizeof(*exact));

	if (!exact)
		return TT_NOMEM;
	for (size_t k = 0; k < st_count(m->file); k++) {
		const struct st_tensor *t = st_at(m->file, k);
		bool own;
		const int i = match(m, t->name, &own);
		char a[96], b[96];

		if (i < 0) {
			if (!is_ignored(m->ops, t->name) && match_alias(m, t->name) < 0)
				listing_add(unused, t->name);
		} else if (!found[i] || (own && !exact[i])) {
			if (found[i])
				listing_add(unused, found[i]->name);
			found[i] = t;
			exact[i] = own;
		} else if (exact[i]) {
			listing_add(unused, t->name);
		} else {
			return err_set(TT_INVALID, "tensors '%s' and '%s' are both %s",
				       st_printable(found[i]->name, a, sizeof(a)),
				       st_printable(t->name, b, sizeof(b)), m->param[i]->name);
		}
	}
	for (size_t k = 0; k < st_count(m->file); k++) {
		const int i = match_alias(m, st_at(m->file, k)->name);

		if (i >= 0 && !found[i])
			found[i] = st_at(m->file, k);
	}
	return TT_OK;
}

/* ---- data ---- */

static void print_shape(int rank, const int64_t *dim, char *ret, size_t size)
{
	size_t at = (size_t)snprintf(ret, size, "[");

	for (int i = 0; i < rank && at < size; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%lld", i ? "," : "",
				       (long long)dim[i]);
	if (at < size)
		snprintf(ret + at, size - at, "]");
}

/* Does the stored tensor fit? A head of another number of labels does not, and is not an error: *ret_fresh. */
static int check_stored(const struct tensor *t, const struct st_tensor *stored, unsigned flags,
			bool *ret_fresh)
{
	bool same = stored->rank == t->rank, rest = same;
	char have[200], want[200], shown[96];

	for (int i = 0; same && i < t->rank; i++)
		if (stored->dim[i] != t->dim[i]) {
			same = false;
			rest = rest && i == 0;
		}
	for (int i = 1; rest && i < t->rank; i++)
		rest = stored->dim[i] == t->dim[i];
	if (!same && !(rest && flags & PARAM_LABELS)) {
		print_shape(stored->rank, stored->dim, have, sizeof(have));
		print_shape(t->rank, t->dim, want, sizeof(want));
		return err_set(TT_INVALID,
			       "tensor '%s' has shape %s; by config.json it should be %s",
			       st_printable(stored->name, shown, sizeof(shown)), have, want);
	}
	if (strcmp(stored->dtype, "F32") && strcmp(stored->dtype, "F16") &&
	    strcmp(stored->dtype, "BF16"))
		return err_set(TT_INVALID,
			       "tensor '%s' is stored as %s; only F32, F16 and BF16 can be used",
			       st_printable(stored->name, shown, sizeof(shown)), stored->dtype);
	*ret_fresh = !same;
	return TT_OK;
}

/* FNV-1a. */
static uint64_t name_hash(const char *name)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001B3u;
	return h;
}

/*
 * A parameter that the file lacks, as transformers begins it: biases 0, norms 1,
 * matrices N(0, initializer_range). The draw depends on seed and name alone.
 */
static int draw_param(struct model *m, struct tensor *t, uint64_t seed)
{
	const int64_t n = tensor_count(t);
	struct rng rng;

	t->data = arena_zero(m->arena, (size_t)n, sizeof(*t->data));
	if (!t->data)
		return TT_NOMEM;
	rng_init(&rng, seed ^ name_hash(t->name), RNG_INIT, 0);
	for (int64_t i = 0; i < n && !ends_with(t->name, ".bias"); i++)
		t->data[i] = t->rank == 1 ? 1 : (float)m->hp.initializer_range * rng_normal(&rng);
	return TT_OK;
}

/* The numbers of a file of another type, where they can be freed once a bf16 copy stands in their place. */
static int convert_param(const struct model *m, struct tensor *t, struct param_info *info)
{
	t->data = info->heap = malloc((size_t)tensor_count(t) * sizeof(*t->data));
	if (!t->data)
		return err_set(TT_NOMEM, "not enough memory for %s", t->name);
	if (st_read_f32(info->stored, t->data))
		return TT_INVALID;
	if (m->file)
		st_forget(m->file, info->stored->data, info->stored->size);
	return TT_OK;
}

/*
 * From the mapping, without a copy where that can be. A vector is copied: it is small,
 * and a look at it in the file would bring in the pages around it for good.
 */
static int take_param(struct model *m, struct tensor *t, const struct st_tensor *stored,
		      struct param_info *info)
{
	const float *map = t->rank == 1 ? NULL : st_map_f32(stored);
	int rc;

	info->owned = !map;
	if (map) {
		/* frozen: written only after model_own_param has put a copy in its place */
		t->data = (float *)(uintptr_t)map;
		return TT_OK;
	}
	if (gemm_is_bf16(m->gemm) && t->rank == 2) {
		info->stored = stored;
		return convert_param(m, t, info);
	}
	t->data = arena_alloc(m->arena, (size_t)tensor_count(t) * sizeof(*t->data));
	rc = t->data ? st_read_f32(stored, t->data) : TT_NOMEM;
	st_forget_around(m->file, stored->data);
	return rc;
}

/* First check all, then take memory. found[i] NULL: to be drawn. */
static int check_params(struct model *m, const struct st_tensor **found, struct listing *fresh)
{
	for (size_t i = 0; i < m->nparam; i++) {
		bool draw = false;

		if (!found[i] && !(m->info[i].flags & PARAM_MAY_MISS))
			return err_set(TT_INVALID, "tensor '%s' is missing from the weights",
				       m->param[i]->name);
		if (found[i]) {
			const int rc = check_stored(m->param[i], found[i], m->info[i].flags, &draw);

			if (rc)
				return rc;
		}
		if (found[i] && !draw)
			continue;
		found[i] = NULL;
		listing_add(fresh, m->param[i]->name);
	}
	return TT_OK;
}

static int load_params(struct model *m, uint64_t seed)
{
	const struct st_tensor **found = arena_zero(m->arena, m->nparam, sizeof(*found));
	bool mapped = false;
	struct listing unused = { .n = 0 }, fresh = { .n = 0 };
	int rc;

	if (!found)
		return TT_NOMEM;
	rc = match_all(m, found, &unused);
	if (!rc)
		rc = check_params(m, found, &fresh);
	for (size_t i = 0; !rc && i < m->nparam; i++) {
		m->info[i].owned = true;
		rc = found[i] ? take_param(m, m->param[i], found[i], &m->info[i])
			      : draw_param(m, m->param[i], seed);
		mapped = mapped || !m->info[i].owned || m->info[i].stored;
	}
	if (!mapped) { /* nothing lies in the file: let go of its pages */
		st_close(m->file);
		m->file = NULL;
	}
	if (!rc)
		rc = listing_text(&unused, m->arena, "stored tensors are not used", &m->unused);
	if (!rc)
		rc = listing_text(&fresh, m->arena, "parameters are new, drawn from the seed",
				  &m->fresh);
	return rc;
}

/* ---- open and close ---- */

static int copy_labels(struct model *m, const struct texts *labels)
{
	const char **item;

	if (!labels->n)
		return TT_OK;
	if ((int64_t)labels->n != m->n_labels)
		return err_set(TT_INVALID, "%zu label names for %lld labels", labels->n,
			       (long long)m->n_labels);
	item = arena_zero(m->arena, labels->n, sizeof(*item));
	if (!item)
		return TT_NOMEM;
	for (size_t i = 0; i < labels->n; i++) {
		item[i] = arena_text(m->arena, labels->item[i]);
		if (!item[i])
			return TT_NOMEM;
	}
	m->labels = (struct texts){ item, labels->n, true };
	return TT_OK;
}

static int take_options(struct model *m, const struct model_options *how)
{
	m->gemm = how->gemm;
	m->head = how->head;
	m->verbalizer = how->verbalizer;
	m->n_labels = how->head == HEAD_SEQ_CLS || how->head == HEAD_TOKEN_CLS ? how->n_labels
		      : how->head == HEAD_CLOZE ? how->verbalizer->labels
						: 1;
	m->folder = arena_text(m->arena, how->folder);
	if (!m->folder)
		return TT_NOMEM;
	if (m->n_labels < 1 || m->n_labels > LABELS_MAX)
		return err_set(TT_INVALID, "%lld labels; a classifier takes 1 to %d",
			       (long long)m->n_labels, LABELS_MAX);
	return how->head == HEAD_SEQ_CLS || how->head == HEAD_TOKEN_CLS
		       ? copy_labels(m, &how->labels)
		       : TT_OK;
}

static int load_config(struct model *m)
{
	char path[4096];
	int rc;

	if (!fs_exists(m->folder))
		return err_set(TT_NOTFOUND,
			       "the model folder %s is not there; was it moved or deleted?",
			       m->folder);
	if (!fs_is_dir(m->folder))
		return err_set(TT_INVALID,
			       "%s is not a folder; a model is a folder with config.json and "
			       "model.safetensors",
			       m->folder);
	rc = fs_join(path, sizeof(path), m->folder, "config.json");
	if (rc)
		return rc;
	if (!fs_exists(path))
		return err_set(TT_NOTFOUND, "%s holds no config.json, so it is not a model folder",
			       m->folder);
	return json_load(path, CONFIG_MAX, &m->config);
}

/* Everything but the numbers. */
static int declare_all(struct model *m, const struct model_options *how)
{
	int rc = take_options(m, how);

	if (!rc)
		rc = load_config(m);
	if (rc)
		return rc;
	rc = read_config(m, how->dropout);
	if (!rc)
		rc = make_room(m);
	if (!rc)
		rc = m->ops->sites(m);
	if (!rc)
		rc = sort_names(m);
	return rc ? err_in("%s", m->folder) : TT_OK;
}

static int load(struct model *m, const struct model_options *how)
{
	int rc = declare_all(m, how);

	if (rc)
		return rc;
	rc = st_open_folder(m->folder, &m->file);
	if (rc)
		return rc;
	rc = load_params(m, how->seed);
	return rc ? err_in("%s", m->folder) : TT_OK;
}

static int model_new(struct model **ret)
{
	struct arena *a = arena_new();
	struct model *m = a ? arena_zero(a, 1, sizeof(*m)) : NULL;

	if (!m) {
		arena_free(a);
		return err_set(TT_NOMEM, "not enough memory for a model");
	}
	m->arena = a;
	*ret = m;
	return TT_OK;
}

int model_open(const struct model_options *how, struct model **ret)
{
	struct model *m;
	int rc = model_new(&m);

	if (rc)
		return rc;
	rc = load(m, how);
	if (rc)
		model_close(m);
	else
		*ret = m;
	return rc;
}

/* They were declared in the same order. Until a parameter is copied its numbers are the base's. */
static void share_params(struct model *m)
{
	for (size_t i = 0; i < m->nparam; i++) {
		m->param[i]->data = m->shared->param[i]->data;
		m->info[i].stored = m->shared->info[i].stored;
	}
}

int model_share(const struct model *base, struct model **ret)
{
	const struct model_options how = {
		.folder = base->folder,
		.head = base->head,
		.n_labels = base->n_labels,
		.labels = base->labels,
		.verbalizer = base->verbalizer,
		.dropout = NAN,
		.gemm = base->gemm,
	};
	struct model *m;
	int rc = model_new(&m);

	if (rc)
		return rc;
	rc = declare_all(m, &how);
	if (rc) {
		model_close(m);
		return rc;
	}
	m->hp = base->hp;
	m->shared = base;
	share_params(m);
	*ret = m;
	return TT_OK;
}

void model_close(struct model *m)
{
	if (!m)
		return;
	st_close(m->file);
	json_free(m->config);
	for (size_t i = 0; m->info && i < m->nparam; i++)
		free(m->info[i].heap);
	arena_free(m->arena);
}

/* ---- what methods do ---- */

int model_own_param(struct model *m, struct tensor *t)
{
	struct param_info *info = info_of(m, t);
	float *data;

	if (!info)
		return err_set(TT_INVALID, "'%s' is not a parameter of the base model", t->name);
	t->forward = t->backward = NULL;
	if (!t->data && convert_param(m, t, info))
		return err_in("%s", m->folder);
	info->idle = false;
	info->stored = NULL; /* from now on the file may have other numbers */
	if (info->owned)
		return TT_OK;
	data = arena_alloc(m->arena, (size_t)tensor_count(t) * sizeof(*data));
	if (!data)
		return TT_NOMEM;
	memcpy(data, t->data, (size_t)tensor_count(t) * sizeof(*data));
	model_forget(m, t->data, tensor_count(t));
	t->data = data;
	info->owned = true;
	return TT_OK;
}

void model_forget(const struct model *m, const float *data, int64_t n)
{
	if (m->file)
		st_forget(m->file, data, (size_t)n * sizeof(*data));
}

int model_train_param(struct model *m, struct tensor *t)
{
	const int rc = model_own_param(m, t);

	if (!rc)
		t->trainable = t->needs = true;
	return rc;
}

struct tensor *model_new_tensor(struct model *m, const char *name, int rank, const int64_t *dim)
{
	struct tensor *t = arena_zero(m->arena, 1, sizeof(*t));

	if (!t || rank < 0 || rank > 4)
		return NULL;
	t->name = arena_text(m->arena, name);
	t->rank = rank;
	t->slot = -1;
	for (int i = 0; i < rank; i++)
		t->dim[i] = dim[i];
	t->data = arena_zero(m->arena, (size_t)tensor_count(t), sizeof(*t->data));
	return t->name && t->data ? t : NULL;
}

static bool site_trains(const struct site *s)
{
	return s->hooks || (s->weight && s->weight->needs) || (s->bias && s->bias->needs);
}

/* Does a gradient go through the weight: to something that trains below, or to what sits here? */
static bool passed_through(const struct site *s, bool below)
{
	return below || (s->hooks && s->hooks->through);
}

static bool is_table(const struct model *m, const struct tensor *w)
{
	for (size_t i = 0; i < m->nsite; i++)
		if (m->site[i].weight == w && !(m->site[i].kind & SITE_LINEAR))
			return true;
	return false;
}

/* A weight that the run reads through copies alone need not be held once more. */
static void give_back(struct model *m, struct tensor *w)
{
	struct param_info *info = info_of(m, w);

	if (!info || info->idle || !w->forward || !prepared_is_copy(w->forward) ||
	    (w->backward && !prepared_is_copy(w->backward)) || is_table(m, w))
		return;
	if (info->stored) {
		free(info->heap);
		info->heap = NULL;
		w->data = NULL;
		info->idle = true;
	} else if (!info->owned) {
		model_forget(m, w->data, tensor_count(w));
		info->idle = true;
	}
}

static int prepare_side(struct model *m, struct tensor *w, enum gemm_side side,
			const struct prepared **ret)
{
	struct param_info *info = info_of(m, w);

	if (*ret)
		return TT_OK;
	if (!w->data) { /* prepared for the other side before, and given back */
		const int rc = convert_param(m, w, info);

		if (rc)
			return rc;
		info->idle = false;
	}
	return gemm_prepare(m->gemm, m->arena, w, side, ret);
}

/* Whoever read a neighbour has brought back some pages of what was given back. */
static void rest_idle(const struct model *m)
{
	for (size_t i = 0; i < m->nparam; i++)
		if (m->info[i].idle && m->param[i]->data)
			model_forget(m, m->param[i]->data, tensor_count(m->param[i]));
}

/* What was not copied is read through what the base has prepared. */
static void take_prepared(const struct model *m)
{
	for (size_t i = 0; m->shared && i < m->nparam; i++) {
		const struct tensor *from = m->shared->param[i];
		struct tensor *t = m->param[i];

		if (m->info[i].owned)
			continue;
		t->data = from->data;
		t->forward = from->forward;
		t->backward = from->backward;
		m->info[i].idle = m->shared->info[i].idle;
	}
}

int model_prepare(struct model *m, bool train)
{
	bool below = false; /* does something train before this site? */

	take_prepared(m);
	for (size_t i = 0; i < m->nsite; i++) {
		const struct site *s = &m->site[i];
		struct tensor *w = s->weight;

		if (s->kind & SITE_LINEAR && !w->needs) {
			int rc = prepare_side(m, w, GEMM_FORWARD, &w->forward);

			if (!rc && train && passed_through(s, below))
				rc = prepare_side(m, w, GEMM_BACKWARD, &w->backward);
			if (rc)
				return err_in("%s", s->name);
			give_back(m, w);
		}
		below = below || site_trains(s);
	}
	rest_idle(m);
	return TT_OK;
}

int64_t model_param_count(const struct model *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++)
		n += tensor_count(m->param[i]);
	return n;
}

/* ---- forward ---- */

static int check_batch(const struct model *m, const struct batch *b)
{
	const struct hparams *h = &m->hp;
	const int64_t most = h->max_position_embeddings - m->position_offset;

	for (int64_t i = 0; i < b->tokens; i++) {
		if (b->id[i] < 0 || b->id[i] >= h->vocab_size)
			return err_set(TT_INVALID,
				       "token id %d is not in the model's vocabulary of %lld: "
				       "tokenizer and model do not belong together",
				       (int)b->id[i], (long long)h->vocab_size);
		if (b->pos[i] < 0 || b->pos[i] >= most)
			return err_set(TT_INVALID,
				       "a row has more than %lld tokens, and the model has no more "
				       "positions%s; set data.max_length to %lld or less",
				       (long long)most,
				       m->position_offset ? " beside those of the method" : "",
				       (long long)most);
		if (b->type[i] < 0 || b->type[i] >= h->type_vocab_size)
			return err_set(TT_INVALID,
				       "token type %d of a pair of texts is not among the model's "
				       "%lld types",
				       (int)b->type[i], (long long)h->type_vocab_size);
	}
	return TT_OK;
}

struct tensor *model_forward(struct model *m, struct graph *g, const struct batch *b)
{
	if (check_batch(m, b))
		return NULL;
	if (!b->rows) /* masked language modelling that chose nothing: no row, no loss */
		return graph_tensor(g, 0, m->head == HEAD_MLM ? m->hp.vocab_size : m->n_labels,
				    false);
	return m->ops->forward(m, g, b);
}

bool model_cut(const struct model *m, bool train, struct model_cut *ret)
{
	const struct site *first = NULL;

	if (!m->ops->cut || m->head == HEAD_MLM) /* which tokens are masked differs each time */
		return false;
	if (train && (m->hp.hidden_dropout_prob > 0 || m->hp.attention_probs_dropout_prob > 0))
		return false;
	for (size_t i = m->nsite; i-- > 0;)
		if (site_trains(&m->site[i]))
			first = &m->site[i];
	return m->ops->cut(m, first, ret);
}

struct tensor *model_lower(struct model *m, struct graph *g, const struct batch *b,
			   const struct model_cut *cut)
{
	return check_batch(m, b) ? NULL : m->ops->lower(m, g, b, cut);
}

struct tensor *model_upper(struct model *m, struct graph *g, const struct batch *b,
			   const struct model_cut *cut, struct tensor *x)
{
	return m->ops->upper(m, g, b, cut, x);
}
