/* Checkpoints: one safetensors file a step, with its own hash in the metadata. */
#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "method/stages.h"
#include "model/safetensors.h"

enum { FORMAT = 1, STEP_NAME = 64, META_MAX = 1 << 16 };

/* ---- hash ---- */

/* Word by word: each step is a bijection of h, so one changed word always changes the result. */
static uint64_t hash_word(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
	return h ^ (h >> 32);
}

uint64_t hash_bytes(uint64_t h, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t word;
	size_t i = 0;

	for (; i + 8 <= size; i += 8) {
		memcpy(&word, p + i, 8);
		h = hash_word(h, word);
	}
	word = 0;
	if (i < size)
		memcpy(&word, p + i, size - i);
	return hash_word(hash_word(h, word), size);
}

/* Independent of the order of the tensors: their hashes are added. */
static uint64_t hash_tensor(const char *name, int rank, const int64_t *dim, const void *data,
			    size_t size)
{
	uint64_t h = hash_bytes(HASH_START, name, strlen(name));

	h = hash_bytes(h, dim, (size_t)rank * sizeof(*dim));
	return hash_bytes(h, data, size);
}

static uint64_t hash_meta(const char *meta) { return hash_bytes(HASH_START, meta, strlen(meta)); }

/* ---- names ---- */

static int step_path(const char *dir, int64_t step, const char *ending, char *ret)
{
	char name[STEP_NAME];

	snprintf(name, sizeof(name), "step-%08" PRId64 "%s", step, ending);
	return fs_join(ret, PATH_MAX, dir, name);
}

/* The step of a file's name; -1 when it is none of ours. */
static int64_t step_of(const char *name)
{
	int64_t step = 0;
	size_t n = 5;

	if (strncmp(name, "step-", 5))
		return -1;
	for (; name[n] >= '0' && name[n] <= '9' && n < 5 + 15; n++)
		step = step * 10 + (name[n] - '0');
	return n >= 5 + 8 && !strcmp(name + n, ".safetensors") ? step : -1;
}

static int newest_first(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x > y ? -1 : x < y;
}

static int list_read(DIR *d, int64_t **ret_step, size_t *ret_n)
{
	const struct dirent *e;
	int64_t *step = NULL;
	size_t n = 0, room = 0;

	for (;;) {
		e = readdir(d);
		if (!e)
			break;
		if (step_of(e->d_name) < 0)
			continue;
		if (n == room) {
			int64_t *more = realloc(step, (room * 2 + 8) * sizeof(*step));

			if (!more) {
				free(step);
				return err_set(TT_NOMEM,
					       "not enough memory to list the checkpoints");
			}
			step = more;
			room = room * 2 + 8;
		}
		step[n++] = step_of(e->d_name);
	}
	if (n)
		qsort(step, n, sizeof(*step), newest_first);
	*ret_step = step;
	*ret_n = n;
	return TT_OK;
}

int checkpoint_list(const char *dir, int64_t **ret_step, size_t *ret_n)
{
	DIR *d = opendir(dir);
	int rc;

	if (!d && errno != ENOENT)
		return err_set(TT_IO, "cannot read the folder %s: %s", dir, strerror(errno));
	if (!d) {
		*ret_step = NULL;
		*ret_n = 0;
		return TT_OK;
	}
	rc = list_read(d, ret_step, ret_n);
	closedir(d);
	return rc;
}

/* ---- metadata ---- */

static int meta_write(const struct checkpoint *c, struct buf *ret)
{
	char hex[24];
	struct jsonw w;

	snprintf(hex, sizeof(hex), "%016" PRIx64, c->recipe);
	jsonw_init(&w, ret, 0);
	jsonw_object(&w);
	jsonw_key(&w, "format");
	jsonw_int(&w, FORMAT);
	jsonw_key(&w, "step");
	jsonw_int(&w, c->step);
	jsonw_key(&w, "epoch");
	jsonw_real(&w, c->epoch);
	jsonw_key(&w, "cursor");
	jsonw_int(&w, c->cursor);
	jsonw_key(&w, "learning_rate");
	jsonw_real(&w, c->learning_rate);
	jsonw_key(&w, "evaluated");
	jsonw_int(&w, c->evaluated);
	jsonw_key(&w, "best_step");
	jsonw_int(&w, c->best_step);
	jsonw_key(&w, "best");
	jsonw_real(&w, c->best);
	jsonw_key(&w, "since_best");
	jsonw_int(&w, c->since_best);
	jsonw_key(&w, "loss_sum");
	jsonw_real(&w, c->loss_sum);
	jsonw_key(&w, "loss_steps");
	jsonw_int(&w, c->loss_steps);
	jsonw_key(&w, "recipe");
	jsonw_text(&w, hex);
	jsonw_end(&w, '}');
	return buf_check(ret, "a checkpoint's metadata");
}

static int meta_fields(const struct json *j, struct checkpoint *ret)
{
	const struct {
		const char *key;
		int64_t *at;
	} whole[] = {
		{ "step", &ret->step },
		{ "cursor", &ret->cursor },
		{ "evaluated", &ret->evaluated },
		{ "best_step", &ret->best_step },
		{ "since_best", &ret->since_best },
		{ "loss_steps", &ret->loss_steps },
	};
	const char *recipe = json_text(json_get(j, "recipe"));

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (!json_get(j, whole[i].key) || !json_int(json_get(j, whole[i].key), whole[i].at))
			return err_set(TT_INVALID, "its metadata lacks the number %s",
				       whole[i].key);
	ret->epoch = json_number(json_get(j, "epoch"));
	ret->learning_rate = json_number(json_get(j, "learning_rate"));
	ret->best = json_number(json_get(j, "best"));
	ret->loss_sum = json_number(json_get(j, "loss_sum"));
	if (!recipe || ret->step < 0 || !(ret->learning_rate >= 0))
		return err_set(TT_INVALID, "its metadata is not a checkpoint's");
	ret->recipe = strtoull(recipe, NULL, 16);
	return TT_OK;
}

static int meta_read(const char *text, struct checkpoint *ret)
{
	struct json *j;
	int64_t format = 0;
	int rc = json_parse(text, strlen(text), &j);

	if (rc)
		return rc;
	if (!json_get(j, "format") || !json_int(json_get(j, "format"), &format) || format != FORMAT)
		rc = err_set(TT_INVALID, "it has checkpoint format %lld, this program reads %d",
			     (long long)format, FORMAT);
	else
		rc = meta_fields(j, ret);
	json_free(j);
	return rc;
}

/* ---- the parts, one by one ---- */

struct part {
	char name[600];
	int rank;
	const int64_t *dim;
	int64_t flat; /* dim of an optimizer's array */
	float *data;
	int64_t n;
};

static size_t part_count(const struct checkpoint_parts *p)
{
	return p->n + p->kept.n + (p->optim ? optim_state_count(p->optim) : 0);
}

static int part_at(const struct checkpoint_parts *p, size_t i, struct part *ret)
{
	int n;

	if (i < p->n + p->kept.n) {
		const bool is_param = i < p->n;
		const struct tensor *t = is_param ? p->param[i] : p->kept.item[i - p->n];

		ret->rank = t->rank;
		ret->dim = t->dim;
		ret->data = t->data;
		ret->n = tensor_count(t);
		n = snprintf(ret->name, sizeof(ret->name), "%s/%s", is_param ? "param" : "method",
			     t->name);
	} else {
		const struct optim_state s = optim_state(p->optim, i - p->n - p->kept.n);

		ret->rank = 1;
		ret->flat = s.n;
		ret->dim = &ret->flat;
		ret->data = s.data;
		ret->n = s.n;
		n = snprintf(ret->name, sizeof(ret->name), "state/%s/%s", s.kind, s.param->name);
	}
	if (n < 0 || (size_t)n >= sizeof(ret->name))
		return err_set(TT_INVALID, "the name of a parameter is too long for a checkpoint");
	return TT_OK;
}

/* ---- writing ---- */

static int write_parts(struct st_writer *w, const struct checkpoint_parts *parts,
		       uint64_t *ret_hash)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < part_count(parts); i++) {
		struct part p;
		int rc = part_at(parts, i, &p);

		if (!rc)
			rc = st_writer_add(w, p.name, "F32", p.rank, p.dim, p.data);
		if (rc)
			return rc;
		hash += hash_tensor(p.name, p.rank, p.dim, p.data, (size_t)p.n * sizeof(float));
	}
	*ret_hash = hash;
	return TT_OK;
}

static int write_file(const char *path, const struct checkpoint_parts *parts, const char *meta)
{
	struct st_writer *w = NULL;
	char hex[24];
	uint64_t hash = 0;
	int rc = st_writer_new(&w);

	if (!rc)
		rc = write_parts(w, parts, &hash);
	snprintf(hex, sizeof(hex), "%016" PRIx64, hash + hash_meta(meta));
	if (!rc)
		rc = st_writer_metadata(w, "trimtab", meta);
	if (!rc)
		rc = st_writer_metadata(w, "hash", hex);
	if (!rc)
		rc = st_write(w, path);
	st_writer_free(w);
	return rc;
}

int checkpoint_write(const char *dir, const struct checkpoint *c,
		     const struct checkpoint_parts *parts)
{
	char path[PATH_MAX];
	struct buf meta;
	int rc = fs_mkdirs(dir);

	if (!rc)
		rc = step_path(dir, c->step, ".safetensors", path);
	if (rc)
		return rc;
	buf_init(&meta, META_MAX);
	rc = meta_write(c, &meta);
	if (!rc)
		rc = write_file(path, parts, meta.data);
	buf_done(&meta);
	return rc ? err_in("the checkpoint of step %lld was not written", (long long)c->step)
		  : TT_OK;
}

/* ---- reading ---- */

static int check_hash(const struct st_file *f, const char *meta)
{
	const char *hex = st_metadata(f, "hash");
	uint64_t hash = hash_meta(meta);

	for (size_t i = 0; i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);

		hash += hash_tensor(t->name, t->rank, t->dim, t->data, t->size);
	}
	if (!hex || strtoull(hex, NULL, 16) != hash)
		return err_set(TT_INVALID, "it is damaged: its hash is not that of its contents");
	return TT_OK;
}

static int check_part(const struct st_file *f, const struct part *p)
{
	const struct st_tensor *t = st_find(f, p->name);

	if (!t)
		return err_set(TT_INVALID, "it holds no %s", p->name);
	if (strcmp(t->dtype, "F32") || t->rank != p->rank ||
	    memcmp(t->dim, p->dim, (size_t)p->rank * sizeof(*p->dim)))
		return err_set(TT_INVALID, "its %s has another shape than this run's", p->name);
	return TT_OK;
}

/* Check everything before anything is changed. */
static int restore(const struct st_file *f, const struct checkpoint_parts *parts)
{
	const size_t n = part_count(parts);
	struct part p;

	if (parts->optim && st_count(f) != n)
		return err_set(TT_INVALID, "it holds %zu tensors, this run has %zu", st_count(f),
			       n);
	for (size_t i = 0; i < n; i++) {
		int rc = part_at(parts, i, &p);

		if (!rc)
			rc = check_part(f, &p);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < n; i++)
		if (!part_at(parts, i, &p))
			memcpy(p.data, st_find(f, p.name)->data, (size_t)p.n * sizeof(float));
	return TT_OK;
}

/* Is the file whole, and what does it say? The mapping stays open. */
static int open_whole(const char *path, struct st_file **ret_file, struct checkpoint *ret)
{
	struct st_file *f;
	const char *meta;
	int rc = st_open(path, &f);

	if (rc)
		return rc;
	meta = st_metadata(f, "trimtab");
	if (!meta)
		rc = err_set(TT_INVALID, "%s is not a checkpoint of trimtab", path);
	else
		rc = check_hash(f, meta);
	if (!rc)
		rc = meta_read(meta, ret);
	if (rc) {
		st_close(f);
		return err_in("%s", path);
	}
	*ret_file = f;
	return TT_OK;
}

static int read_step(const char *dir, int64_t step, const struct checkpoint_parts *parts,
		     struct checkpoint *ret)
{
	char path[PATH_MAX];
	struct checkpoint c = { 0 };
	struct st_file *f;
	int rc = step_path(dir, step, ".safetensors", path);

	if (!rc && !fs_exists(path))
		rc = err_set(TT_NOTFOUND, "there is no checkpoint of step %lld in %s",
			     (long long)step, dir);
	if (!rc)
		rc = open_whole(path, &f, &c);
	if (rc)
		return rc;
	rc = restore(f, parts);
	if (rc)
		err_in("%s", path);
	else
		*ret = c;
	st_close(f);
	return rc;
}

/* What the newest whole one says, without restoring it. */
static int newest(const char *dir, struct checkpoint *ret)
{
	char path[PATH_MAX];
	struct st_file *f;
	int64_t *step = NULL;
	size_t n = 0;
	int rc = checkpoint_list(dir, &step, &n);

	if (!rc)
		rc = TT_NOTFOUND;
	for (size_t i = 0; i < n && rc; i++) {
		if (step_path(dir, step[i], ".safetensors", path) || open_whole(path, &f, ret))
			continue;
		st_close(f);
		rc = TT_OK;
	}
	free(step);
	return rc == TT_NOTFOUND ? err_set(rc, "there is no whole checkpoint in %s", dir) : rc;
}

int checkpoint_newest(const char *dir, int64_t *ret_step)
{
	struct checkpoint c;
	const int rc = newest(dir, &c);

	if (!rc)
		*ret_step = c.step;
	return rc;
}

int checkpoint_read(const char *dir, int64_t which, const struct checkpoint_parts *parts,
		    struct checkpoint *ret)
{
	struct checkpoint c;
	int rc;

	if (which >= 0)
		return read_step(dir, which, parts, ret);
	rc = newest(dir, &c);
	if (rc)
		return rc;
	if (which == CHECKPOINT_BEST && c.best_step < 0)
		return err_set(TT_NOTFOUND, "no evaluation has named a best checkpoint in %s", dir);
	return read_step(dir, which == CHECKPOINT_BEST ? c.best_step : c.step, parts, ret);
}

static int which_step(const char *which, int64_t *ret)
{
	char *end;
	long long step;

	*ret = CHECKPOINT_LAST;
	if (!strcmp(which, "last"))
		return TT_OK;
	*ret = CHECKPOINT_BEST;
	if (!strcmp(which, "best"))
		return TT_OK;
	errno = 0;
	step = strtoll(which, &end, 10);
	if (*end || end == which || errno || step < 0)
		return err_set(TT_INVALID, "'%s' names no checkpoint: it is best, last or a step",
			       which);
	*ret = step;
	return TT_OK;
}

int checkpoint_load_params(const char *dir, const char *which, struct method *m)
{
	struct checkpoint_parts parts = { .kept = m->kept };
	struct checkpoint c;
	int64_t step;
	int rc = which_step(which, &step);

	if (!rc && stage_reties(m)) {
		rc = checkpoint_read(dir, step, &parts, &c);
		if (!rc)
			rc = stage_retie(m);
	}
	parts.param = m->param;
	parts.n = m->nparam;
	if (!rc)
		rc = checkpoint_read(dir, step, &parts, &c);
	return rc ? rc : stage_restored(m);
}

/* ---- going on ---- */

/* A writer that was killed leaves its temporary file (fs.h); nobody else writes here. */
static void remove_remains(const char *dir)
{
	const struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	for (;;) {
		size_t n;

		e = readdir(d);
		if (!e)
			break;
		n = strlen(e->d_name);
		if (!strncmp(e->d_name, ".tt-", 4) && n > 8 && !strcmp(e->d_name + n - 4, ".tmp"))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

static void set_aside(const char *dir, int64_t step)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (step_path(dir, step, ".safetensors", from) || step_path(dir, step, ".damaged", to))
		return;
	if (rename(from, to))
		log_line("cannot rename %s: %s", from, strerror(errno));
}

static int fits(const char *dir, int64_t step, uint64_t recipe, const struct checkpoint *c)
{
	if (c->recipe == recipe && c->step == step)
		return TT_OK;
	return err_set(
		TT_INVALID,
		"the checkpoint of step %lld in %s was written with other settings or other data; "
		"start a new run",
		(long long)step, dir);
}

/* 1: this one cannot be used, try an older one. */
static int resume_step(const char *dir, int64_t step, uint64_t recipe,
		       const struct checkpoint_parts *parts, struct checkpoint *ret)
{
	char path[PATH_MAX];
	struct checkpoint c = { 0 };
	struct st_file *f;
	int rc = step_path(dir, step, ".safetensors", path);

	if (rc)
		return rc;
	rc = open_whole(path, &f, &c);
	if (rc == TT_NOMEM)
		return rc;
	if (rc) {
		log_line("the checkpoint of step %lld is passed over: %s", (long long)step,
			 err_text());
		if (rc == TT_INVALID)
			set_aside(dir, step);
		return 1;
	}
	rc = fits(dir, step, recipe, &c);
	if (!rc && restore(f, parts))
		rc = err_in("%s", path);
	st_close(f);
	if (!rc)
		*ret = c;
	return rc;
}

int checkpoint_resume(const char *dir, uint64_t recipe, const struct checkpoint_parts *parts,
		      struct checkpoint *ret)
{
	int64_t *step = NULL;
	size_t n = 0;
	int rc;

	remove_remains(dir);
	rc = checkpoint_list(dir, &step, &n);
	if (rc)
		return rc;
	rc = 1;
	for (size_t i = 0; i < n && rc == 1; i++)
		rc = resume_step(dir, step[i], recipe, parts, ret);
	free(step);
	if (rc == 1)
		return err_set(TT_NOTFOUND,
			       "there is no whole checkpoint in %s to resume from; "
			       "start a new run",
			       dir);
	return rc;
}

int checkpoint_start(const char *dir)
{
	int64_t *step = NULL;
	size_t n = 0;
	int64_t whole;
	int rc = checkpoint_newest(dir, &whole);

	if (!rc)
		return err_set(
			TT_INVALID,
			"%s holds the checkpoint of step %lld already; resume that run, or use "
			"another folder",
			dir, (long long)whole);
	if (rc != TT_NOTFOUND)
		return rc;
	remove_remains(dir);
	rc = checkpoint_list(dir, &step, &n);
	for (size_t i = 0; i < n && !rc; i++)
		set_aside(dir, step[i]);
	free(step);
	return rc;
}

int checkpoint_prune(const char *dir, int64_t keep, int64_t also)
{
	char path[PATH_MAX];
	int64_t *step = NULL;
	size_t n = 0;
	int rc = checkpoint_list(dir, &step, &n);

	for (size_t i = 0; i < n && !rc; i++) {
		if ((int64_t)i < keep || step[i] == also)
			continue;
		rc = step_path(dir, step[i], ".safetensors", path);
		if (!rc && unlink(path) && errno != ENOENT)
			rc = err_set(TT_IO, "cannot remove %s: %s", path, strerror(errno));
	}
	free(step);
	return rc;
}
