/*
 * safetensors, the writing side: tensors ordered by dtype, widest first, then by
 * name, so that each lies aligned; header padded with spaces to 8 bytes. The
 * file appears whole under its name or not at all: a reader that has the old one
 * mapped keeps it.
 */
#include "model/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

struct item {
	const char *name, *dtype;
	int order; /* of the dtype */
	int rank;
	int64_t dim[8];
	const void *data;
	size_t size;
};

struct meta {
	const char *key, *value;
};

struct st_writer {
	struct arena *arena; /* names and texts */
	struct item *item;
	size_t n, room;
	struct meta *meta;
	size_t nmeta, meta_room;
};

int st_writer_new(struct st_writer **ret)
{
	struct st_writer *w = calloc(1, sizeof(*w));

	if (w)
		w->arena = arena_new();
	if (!w || !w->arena) {
		free(w);
		return err_set(TT_NOMEM, "not enough memory to write tensors");
	}
	*ret = w;
	return TT_OK;
}

void st_writer_free(struct st_writer *w)
{
	if (!w)
		return;
	arena_free(w->arena);
	free(w->item);
	free(w->meta);
	free(w);
}

static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	const size_t want = *room ? *room * 2 : 64;
	void *more;

	if (n < *room)
		return array;
	more = realloc(array, want * size);
	if (more)
		*room = want;
	else
		err_set(TT_NOMEM, "not enough memory to write tensors");
	return more;
}

/* Bytes of a tensor; SIZE_MAX when that overflows. */
static size_t item_size(int bits, int rank, const int64_t *dim)
{
	size_t size = (size_t)bits / 8;

	for (int i = 0; i < rank; i++) {
		if (dim[i] < 0 || (dim[i] && size > (SIZE_MAX - 1) / (size_t)dim[i]))
			return SIZE_MAX;
		size *= (size_t)dim[i];
	}
	return size;
}

int st_writer_add(struct st_writer *w, const char *name, const char *dtype, int rank,
		  const int64_t *dim, const void *data)
{
	struct item it = { .name = arena_text(w->arena, name), .rank = rank, .data = data };
	const int bits = st_dtype_bits(dtype, &it.order);
	struct item *more;

	if (!it.name)
		return TT_NOMEM;
	if (bits < 8 || rank < 0 || rank > 8 || !strcmp(name, "__metadata__") ||
	    strlen(name) > 1024)
		return err_set(TT_INVALID,
			       "tensor '%.80s' of dtype %s and %d dimensions cannot be written",
			       name, dtype, rank);
	it.dtype = arena_text(w->arena, dtype);
	it.size = item_size(bits, rank, dim);
	if (it.size == SIZE_MAX)
		return err_set(TT_INVALID, "tensor '%.80s' is too large to be written", name);
	for (int i = 0; i < rank; i++)
		it.dim[i] = dim[i];
	more = grow(w->item, w->n, &w->room, sizeof(it));
	if (!it.dtype || !more)
		return TT_NOMEM;
	w->item = more;
	w->item[w->n++] = it;
	return TT_OK;
}

int st_writer_metadata(struct st_writer *w, const char *key, const char *value)
{
	struct meta m = { arena_text(w->arena, key), arena_text(w->arena, value) };
	struct meta *more = grow(w->meta, w->nmeta, &w->meta_room, sizeof(m));

	if (!m.key || !m.value || !more)
		return TT_NOMEM;
	w->meta = more;
	w->meta[w->nmeta++] = m;
	return TT_OK;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static int item_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->order != y->order)
		return x->order > y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* A JSON string. */
static void put_text(struct buf *out, const char *text)
{
	buf_char(out, '"');
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ')
			buf_printf(out, "\\u%04x", (unsigned)*p);
		else if (*p == '"' || *p == '\\')
			buf_printf(out, "\\%c", *p);
		else
			buf_char(out, *p);
	}
	buf_char(out, '"');
}

static void put_item(struct buf *out, const struct item *it, size_t at)
{
	put_text(out, it->name);
	buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", it->dtype);
	for (int d = 0; d < it->rank; d++)
		buf_printf(out, "%s%lld", d ? "," : "", (long long)it->dim[d]);
	buf_printf(out, "],\"data_offsets\":[%zu,%zu]}", at, at + it->size);
}

/* Without spaces, as the reference writer does it: the same tensors make the same bytes. */
static void write_header(const struct st_writer *w, struct buf *out)
{
	size_t at = 0;

	buf_text(out, "{\"__metadata__\":{\"format\":\"pt\"");
	for (size_t i = 0; i < w->nmeta; i++) {
		buf_char(out, ',');
		put_text(out, w->meta[i].key);
		buf_char(out, ':');
		put_text(out, w->meta[i].value);
	}
	buf_char(out, '}');
	for (size_t i = 0; i < w->n; i++) {
		buf_char(out, ',');
		put_item(out, &w->item[i], at);
		at += w->item[i].size;
	}
	buf_char(out, '}');
	while (out->size % 8 && !out->bad)
		buf_char(out, ' ');
}

static int write_parts(const struct st_writer *w, const struct buf *header, const char *path)
{
	struct fs_part *part = calloc(w->n + 2, sizeof(*part));
	unsigned char length[8];
	int rc;

	if (!part)
		return err_set(TT_NOMEM, "not enough memory to write %s", path);
	for (int i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)header->size >> 8 * i);
	part[0] = (struct fs_part){ length, sizeof(length) };
	part[1] = (struct fs_part){ header->data, header->size };
	for (size_t i = 0; i < w->n; i++)
		part[i + 2] = (struct fs_part){ w->item[i].data, w->item[i].size };
	rc = fs_write_parts(path, part, w->n + 2);
	free(part);
	return rc;
}

int st_write(struct st_writer *w, const char *path)
{
	struct buf header;
	int rc;

	if (w->n)
		qsort(w->item, w->n, sizeof(*w->item), name_order);
	for (size_t i = 1; i < w->n; i++)
		if (!strcmp(w->item[i - 1].name, w->item[i].name))
			return err_set(TT_INVALID, "tensor '%.80s' would be written twice",
				       w->item[i].name);
	if (w->n)
		qsort(w->item, w->n, sizeof(*w->item), item_order);
	buf_init(&header, 100000000);
	write_header(w, &header);
	rc = buf_check(&header, "the header of the tensors");
	if (!rc)
		rc = write_parts(w, &header, path);
	buf_done(&header);
	return rc;
}
