/*
 * safetensors, the reading side: one file or several shards, mapped.
 *
 *     u64 N | header: N bytes of JSON, padded with spaces | tensor bytes
 *
 * safetensors_header.c decides whether a file is sound. Here its bytes come
 * from: a mapping, or on a network file system a copy; and for shards, which
 * file serves which tensor.
 */
#include "model/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "model/safetensors_header.h"
#include "tensor/kernel.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "tensors are used as they lie in the file");

enum {
	INDEX_MAX = 64 << 20, /* bytes of model.safetensors.index.json */
	CLAIMS_MAX = 1000000,
	SHARDS_MAX = 10000
};

/* One file. */
struct part {
	const unsigned char *data;
	size_t size;
	enum { PART_BORROWED, PART_MAPPED, PART_READ } kind;
	struct st_header header;
};

struct st_file {
	struct part *part;
	size_t nparts;
	const struct st_tensor **at; /* what is served, in file order */
	const struct st_tensor **by_name;
	size_t n;
};

static int no_memory(const char *file)
{
	return err_set(TT_NOMEM, "not enough memory for the tensors of %s", file);
}

static void part_done(struct part *p)
{
	if (p->kind == PART_MAPPED)
		munmap((void *)(uintptr_t)p->data, p->size);
	else if (p->kind == PART_READ)
		free((void *)(uintptr_t)p->data);
	st_header_done(&p->header);
}

static int io_fail(const char *verb, const char *path)
{
	const int why = errno;

	return err_set(why == ENOENT ? TT_NOTFOUND : TT_IO, "cannot %s %s: %s", verb, path,
		       strerror(why));
}

static int read_whole(int fd, const char *path, struct part *p)
{
	unsigned char *data = malloc(p->size);
	size_t at = 0;

	if (!data)
		return err_set(TT_NOMEM, "not enough memory to read %s", path);
	while (at < p->size) {
		const ssize_t n = pread(fd, data + at, p->size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(data);
			return n < 0 ? io_fail("read", path)
				     : err_set(TT_IO, "%s shrank while it was read", path);
		}
		at += (size_t)n;
	}
	p->data = data;
	p->kind = PART_READ;
	return TT_OK;
}

/* The bytes of an open file; closes fd. The size is asked once: what is mapped is what is checked. */
static int part_load(int fd, const char *path, struct part *p)
{
	struct stat st;
	void *map;
	int rc = TT_OK;

	if (fstat(fd, &st)) {
		rc = io_fail("examine", path);
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(TT_INVALID, "%s is not a regular file", path);
	} else if (st.st_size > 0) {
		p->size = (size_t)st.st_size;
		if (fs_network(path)) {
			rc = read_whole(fd, path, p);
		} else {
			map = mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, fd, 0);
			if (map == MAP_FAILED) {
				rc = io_fail("map", path);
			} else {
				p->data = map;
				p->kind = PART_MAPPED;
			}
		}
	}
	close(fd);
	return rc ? rc : st_header_parse(p->data, p->size, path, &p->header);
}

/* ---- the served view ---- */

/* Room for every tensor of every part; at stays empty. */
static int view_alloc(struct st_file *f)
{
	size_t all = 0;

	for (size_t i = 0; i < f->nparts; i++)
		all += f->part[i].header.n;
	f->at = malloc((all + 1) * sizeof(f->at[0]));
	f->by_name = malloc((all + 1) * sizeof(f->by_name[0]));
	return f->at && f->by_name ? TT_OK : no_memory("the model");
}

static void view_sort(struct st_file *f)
{
	if (f->n)
		memcpy(f->by_name, f->at, f->n * sizeof(f->at[0]));
	st_sort_by_name(f->by_name, f->n);
}

/* Serve the only part whole. */
static int view_single(struct st_file *f)
{
	const int rc = view_alloc(f);

	if (rc)
		return rc;
	for (size_t i = 0; i < f->part[0].header.n; i++)
		f->at[f->n++] = &f->part[0].header.tensor[i];
	if (f->n)
		memcpy(f->by_name, f->part[0].header.by_name, f->n * sizeof(f->by_name[0]));
	return TT_OK;
}

static struct st_file *file_new(size_t nparts)
{
	struct st_file *f = calloc(1, sizeof(*f));

	if (f)
		f->part = calloc(nparts, sizeof(*f->part));
	if (!f || !f->part) {
		free(f);
		err_set(TT_NOMEM, "not enough memory for the model's file");
		return NULL;
	}
	f->nparts = nparts;
	return f;
}

int st_open(const char *path, struct st_file **ret)
{
	struct st_file *f;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return io_fail("open", path);
	f = file_new(1);
	if (!f) {
		close(fd);
		return TT_NOMEM;
	}
	rc = part_load(fd, path, &f->part[0]);
	if (!rc)
		rc = view_single(f);
	if (rc)
		st_close(f);
	else
		*ret = f;
	return rc;
}

int st_open_memory(const void *data, size_t size, const char *name, struct st_file **ret)
{
	struct st_file *f = file_new(1);
	int rc;

	if (!f)
		return TT_NOMEM;
	f->part[0].data = data;
	f->part[0].size = size;
	rc = st_header_parse(data, size, name, &f->part[0].header);
	if (!rc)
		rc = view_single(f);
	if (rc)
		st_close(f);
	else
		*ret = f;
	return rc;
}

void st_close(struct st_file *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nparts; i++)
		part_done(&f->part[i]);
	free(f->part);
	free(f->at);
	free(f->by_name);
	free(f);
}

/* ---- shards ---- */

/* One line of weight_map. */
struct claim {
	const char *name, *shard;
	bool found;
};

static int claim_order(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->name, ((const struct claim *)b)->name);
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A file beside the index and nothing else. */
static bool plain_name(const char *name)
{
	return *name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

/*
 * Open a shard without following links, but for those of the hub's cache, whose
 * snapshots are links to ../../blobs/NAME and to nowhere else.
 */
static int open_shard(int dir, const char *name, const char *path, int *ret)
{
	static const char cache[] = "../../blobs/";
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	char target[PATH_MAX];
	int fd = openat(dir, name, flags);
	ssize_t n;

	if (fd < 0 && errno == ELOOP) {
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n < 0)
			return io_fail("read the link", path);
		target[n] = 0;
		if (strncmp(target, cache, sizeof(cache) - 1) ||
		    !plain_name(target + sizeof(cache) - 1))
			return err_set(TT_INVALID,
				       "%s is a link that does not lead into the hub's cache; "
				       "put the file itself there",
				       path);
		fd = openat(dir, target, flags);
	}
	if (fd < 0)
		return io_fail("open", path);
	*ret = fd;
	return TT_OK;
}

/* The claims of weight_map, by name; the strings belong to index. */
static int read_claims(const struct json *index, const char *path, struct claim **ret,
		       size_t *ret_n)
{
	const struct json *map = json_get(index, "weight_map");
	struct claim *claim;
	size_t n = 0;

	if (!map || json_type(map) != JSON_OBJECT || !json_count(map))
		return err_set(TT_INVALID, "%s: weight_map is not an object with tensor names",
			       path);
	if (json_count(map) > CLAIMS_MAX)
		return err_set(TT_INVALID, "%s: weight_map has more than a million entries", path);
	claim = calloc(json_count(map), sizeof(*claim));
	if (!claim)
		return no_memory(path);
	for (const struct json *j = json_first(map); j; j = json_next(j)) {
		const char *shard = json_text(j);
		char shown[96];

		if (!shard || !plain_name(shard)) {
			err_set(TT_INVALID,
				"%s: weight_map: the file of '%s' is not a plain file name", path,
				st_printable(json_key(j), shown, sizeof(shown)));
			free(claim);
			return TT_INVALID;
		}
		claim[n++] = (struct claim){ .name = json_key(j), .shard = shard };
	}
	qsort(claim, n, sizeof(*claim), claim_order);
	*ret = claim;
	*ret_n = n;
	return TT_OK;
}

/* The different shard names, sorted; *ret is the caller's to free. */
static int shard_names(const struct claim *claim, size_t n, const char *path, const char ***ret,
		       size_t *ret_n)
{
	const char **name = malloc(n * sizeof(*name));
	size_t k = 0;

	if (!name)
		return no_memory(path);
	for (size_t i = 0; i < n; i++)
		name[i] = claim[i].shard;
	qsort(name, n, sizeof(*name), text_order);
	for (size_t i = 0; i < n; i++)
		if (!k || strcmp(name[k - 1], name[i]))
			name[k++] = name[i];
	if (k > SHARDS_MAX) {
		free(name);
		return err_set(TT_INVALID, "%s: weight_map names more than %d files", path,
			       SHARDS_MAX);
	}
	*ret = name;
	*ret_n = k;
	return TT_OK;
}

/* Serve from each shard what the map claims of it. */
static int view_claimed(struct st_file *f, const char *const *shard, struct claim *claim, size_t n,
			const char *path)
{
	size_t spare = 0;
	int rc = view_alloc(f);

	for (size_t i = 0; !rc && i < f->nparts; i++)
		for (size_t k = 0; k < f->part[i].header.n; k++) {
			const struct st_tensor *t = &f->part[i].header.tensor[k];
			struct claim *c = bsearch(&(struct claim){ .name = t->name }, claim, n,
						  sizeof(*claim), claim_order);

			if (!c || strcmp(c->shard, shard[i])) {
				spare++;
				continue;
			}
			c->found = true;
			f->at[f->n++] = t;
		}
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		char shown[96];

		if (!claim[i].found)
			return err_set(TT_INVALID, "%s: %s does not hold '%s'", path,
				       claim[i].shard,
				       st_printable(claim[i].name, shown, sizeof(shown)));
	}
	if (spare)
		log_line("%s: %zu tensors in the shards are not in weight_map and not used", path,
			 spare);
	view_sort(f);
	return TT_OK;
}

/* Open and read every shard into f->part. */
static int load_shards(struct st_file *f, const char *folder, const char *const *shard)
{
	const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = TT_OK;

	if (dir < 0)
		return io_fail("open the folder", folder);
	for (size_t i = 0; !rc && i < f->nparts; i++) {
		char path[PATH_MAX];
		int fd = -1;

		rc = fs_join(path, sizeof(path), folder, shard[i]);
		if (!rc)
			rc = open_shard(dir, shard[i], path, &fd);
		if (!rc)
			rc = part_load(fd, path, &f->part[i]);
	}
	close(dir);
	return rc;
}

static int open_index(const char *folder, const char *path, struct st_file **ret)
{
	struct json *index = NULL;
	struct claim *claim = NULL;
	const char **shard = NULL;
	struct st_file *f = NULL;
	size_t n = 0, nshards = 0;
	int rc = json_load(path, INDEX_MAX, &index);

	if (!rc)
		rc = read_claims(index, path, &claim, &n);
	if (!rc)
		rc = shard_names(claim, n, path, &shard, &nshards);
	if (!rc) {
		f = file_new(nshards);
		rc = f ? load_shards(f, folder, shard) : TT_NOMEM;
	}
	if (!rc)
		rc = view_claimed(f, shard, claim, n, path);
	if (rc)
		st_close(f);
	else
		*ret = f;
	free(shard);
	free(claim);
	json_free(index);
	return rc;
}

/* Why a folder without safetensors cannot be used. */
static int no_weights(const char *folder)
{
	static const char *const pickles[] = { "pytorch_model.bin", "pytorch_model.bin.index.json",
					       "model.bin", "pytorch_model.pt" };
	char path[PATH_MAX];

	for (size_t i = 0; i < COUNT(pickles); i++)
		if (!fs_join(path, sizeof(path), folder, pickles[i]) && fs_exists(path))
			return err_set(
				TT_INVALID,
				"%s has its weights in %s only, a pickle, which can run "
				"code when it is read; convert it to model.safetensors first",
				folder, pickles[i]);
	return err_set(TT_NOTFOUND,
		       "%s holds no weights: neither model.safetensors nor "
		       "model.safetensors.index.json is there",
		       folder);
}

int st_open_folder(const char *folder, struct st_file **ret)
{
	char path[PATH_MAX];
	int rc;

	if (!fs_exists(folder))
		return err_set(TT_NOTFOUND,
			       "the model folder %s is not there; was it moved or deleted?",
			       folder);
	rc = fs_join(path, sizeof(path), folder, "model.safetensors");
	if (rc)
		return rc;
	if (fs_exists(path))
		return st_open(path, ret);
	rc = fs_join(path, sizeof(path), folder, "model.safetensors.index.json");
	if (rc)
		return rc;
	return fs_exists(path) ? open_index(folder, path, ret) : no_weights(folder);
}

/* ---- access ---- */

size_t st_count(const struct st_file *f) { return f->n; }

const struct st_tensor *st_at(const struct st_file *f, size_t i)
{
	assert(i < f->n);
	return f->at[i];
}

const struct st_tensor *st_find(const struct st_file *f, const char *name)
{
	return st_by_name(f->by_name, f->n, name);
}

const char *st_metadata(const struct st_file *f, const char *key)
{
	return st_header_metadata(&f->part[0].header, key);
}

/* Exact, subnormals included. */
static uint32_t half_to_single(uint16_t h)
{
	const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
	uint32_t exp = h >> 10 & 31u, frac = h & 0x3FFu;

	if (exp == 31)
		return sign | 0x7F800000u | frac << 13;
	if (!exp) {
		if (!frac)
			return sign;
		for (exp = 1; !(frac & 0x400u); exp--) /* wraps below 0; 112 is added before use */
			frac <<= 1;
		frac &= 0x3FFu;
	}
	return sign | (exp + 112u) << 23 | frac << 13;
}

/* Two bytes each, at any address. */
static void read_unaligned(const struct st_tensor *t, bool half, float *out)
{
	for (size_t i = 0; i < t->size / 2; i++) {
		const uint16_t v = (uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8);
		const uint32_t bits = half ? half_to_single(v) : (uint32_t)v << 16;

		memcpy(out + i, &bits, sizeof(bits));
	}
}

int st_read_f32(const struct st_tensor *t, float *out)
{
	const bool half = !strcmp(t->dtype, "F16");
	const uint16_t *aligned = (const uint16_t *)(const void *)t->data;
	char shown[96];

	if (!strcmp(t->dtype, "F32")) {
		if (t->size)
			memcpy(out, t->data, t->size);
		return TT_OK;
	}
	if (!half && strcmp(t->dtype, "BF16"))
		return err_set(TT_INVALID,
			       "tensor '%s' is stored as %s; only F32, F16 and BF16 can be used",
			       st_printable(t->name, shown, sizeof(shown)), t->dtype);
	if ((uintptr_t)t->data % _Alignof(uint16_t))
		read_unaligned(t, half, out);
	else if (half)
		kernel_from_f16(out, aligned, (int64_t)(t->size / 2));
	else
		kernel_from_bf16(out, aligned, (int64_t)(t->size / 2));
	return TT_OK;
}

const float *st_map_f32(const struct st_tensor *t)
{
	if (strcmp(t->dtype, "F32") || (uintptr_t)t->data % _Alignof(float))
		return NULL;
	return (const float *)(const void *)t->data;
}

/* The mapped part that holds this place; NULL: none. */
static const struct part *mapped_part(const struct st_file *f, const void *data)
{
	const uintptr_t at = (uintptr_t)data;

	for (size_t i = 0; i < f->nparts; i++) {
		const struct part *p = &f->part[i];
		const uintptr_t from = (uintptr_t)p->data;

		if (p->kind == PART_MAPPED && at >= from && at - from < p->size)
			return p;
	}
	return NULL;
}

bool st_maps(const struct st_file *f, const void *data) { return mapped_part(f, data) != NULL; }

void st_forget(const struct st_file *f, const void *data, size_t size)
{
	if (st_maps(f, data))
		fs_map_forget(data, size);
}

void st_forget_around(const struct st_file *f, const void *data)
{
	enum { REACH = 2 << 20 }; /* the largest piece that systems map at once */
	const struct part *p = mapped_part(f, data);
	size_t at, from, to;

	if (!p)
		return;
	at = (size_t)((const unsigned char *)data - p->data);
	from = at > REACH ? at - REACH : 0;
	to = p->size - at > REACH ? at + REACH : p->size;
	fs_map_forget(p->data + from, to - from);
}
