/*
 * safetensors, the reading side.
 *
 *     u64 N | header: N bytes of JSON, padded with spaces | tensor bytes
 *
 * The header comes from outside, so it has a parser of its own that takes only
 * what the format allows: {"__metadata__": {text: text}, NAME: {"dtype": text,
 * "shape": [u64], "data_offsets": [u64, u64]}}, in UTF-8, no name twice. Depth
 * is bounded by that grammar. The tensors must tile the bytes behind the header
 * exactly: no overlap, no hole, nothing behind. A file that breaks a rule is
 * refused as a whole.
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

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used as they lie in the file: little-endian");

enum {
	HEADER_MAX = 100000000,		/* bytes, as the reference reader */
	ENTRIES_MAX = 1000000,
	NAME_MAX_BYTES = 1024,
	RANK_MAX = 8,
	INDEX_MAX = 64 << 20,		/* bytes of model.safetensors.index.json */
	SHARDS_MAX = 10000
};

/* In the order in which a writer lays them out: the last ones come first in the file. */
static const struct {
	const char *name;
	int bits;
} dtypes[] = {
	{ "BOOL", 8 }, { "F4", 4 }, { "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "U8", 8 }, { "I8", 8 },
	{ "F8_E5M2", 8 }, { "F8_E4M3", 8 }, { "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 },
	{ "I16", 16 }, { "U16", 16 }, { "F16", 16 }, { "BF16", 16 }, { "I32", 32 }, { "U32", 32 },
	{ "F32", 32 }, { "C64", 64 }, { "F64", 64 }, { "I64", 64 }, { "U64", 64 }
};

struct pair {
	const char *key, *value;
};

/* One file: its bytes and what the header says of them. */
struct part {
	const unsigned char *data;
	size_t size;
	enum { PART_BORROWED, PART_MAPPED, PART_READ } kind;
	char *text;			/* all strings of the header, decoded */
	struct st_tensor *tensor;	/* in file order */
	size_t n, room;
	struct pair *meta;		/* by key */
	size_t nmeta, meta_room;
};

struct st_file {
	struct part *part;
	size_t nparts;
	const struct st_tensor **at;		/* what is served, in file order */
	const struct st_tensor **by_name;
	size_t n;
};

int st_dtype_bits(const char *dtype, int *ret_rank)
{
	for (size_t i = 0; i < COUNT(dtypes); i++) {
		if (strcmp(dtypes[i].name, dtype))
			continue;
		if (ret_rank)
			*ret_rank = (int)i;
		return dtypes[i].bits;
	}
	return 0;
}

const char *st_printable(const char *name, char *ret, size_t size)
{
	size_t at = 0;

	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		if (at + 8 > size) {	/* room for one escape, three dots and the end */
			memcpy(ret + at, "...", 3);
			at += 3;
			break;
		}
		if (*p >= ' ' && *p < 127 && *p != '\\')
			ret[at++] = (char)*p;
		else
			at += (size_t)snprintf(ret + at, size - at, "\\x%02x", *p);
	}
	ret[at] = 0;
	return ret;
}

/* ---- the header's grammar ---- */

struct cursor {
	const char *file;		/* for sentences */
	const unsigned char *begin, *at, *end;
	char *text;			/* where the next decoded string goes; room enough by construction */
	const char *name;		/* the tensor being read, NULL outside */
};

static int refuse(const struct cursor *c, const char *why)
{
	char shown[96];

	if (c->name)
		return err_set(TT_INVALID, "%s is not a valid safetensors file: tensor '%s': %s", c->file,
			       st_printable(c->name, shown, sizeof(shown)), why);
	return err_set(TT_INVALID, "%s is not a valid safetensors file: %s", c->file, why);
}

static int refuse_syntax(const struct cursor *c, const char *wanted)
{
	char why[128];

	snprintf(why, sizeof(why), "byte %zu of the header: expected %s", (size_t)(c->at - c->begin), wanted);
	return refuse(c, why);
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

/* Take one punctuation mark if it is next. */
static bool take(struct cursor *c, char mark)
{
	skip_space(c);
	if (c->at >= c->end || *c->at != (unsigned char)mark)
		return false;
	c->at++;
	return true;
}

/* 0 .. 0xFFFF from four hexadecimal digits, -1 otherwise. */
static int read_hex4(struct cursor *c)
{
	int v = 0;

	if (c->end - c->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const int ch = *c->at++;

		if (ch >= '0' && ch <= '9')
			v = v * 16 + (ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			v = v * 16 + (ch - 'a' + 10);
		else if (ch >= 'A' && ch <= 'F')
			v = v * 16 + (ch - 'A' + 10);
		else
			return -1;
	}
	return v;
}

static char *put_utf8(char *out, int v)
{
	if (v < 0x80) {
		*out++ = (char)v;
	} else if (v < 0x800) {
		*out++ = (char)(0xC0 | v >> 6);
		*out++ = (char)(0x80 | (v & 63));
	} else if (v < 0x10000) {
		*out++ = (char)(0xE0 | v >> 12);
		*out++ = (char)(0x80 | (v >> 6 & 63));
		*out++ = (char)(0x80 | (v & 63));
	} else {
		*out++ = (char)(0xF0 | v >> 18);
		*out++ = (char)(0x80 | (v >> 12 & 63));
		*out++ = (char)(0x80 | (v >> 6 & 63));
		*out++ = (char)(0x80 | (v & 63));
	}
	return out;
}

/* The escape behind a backslash, decoded to *out. */
static int read_escape(struct cursor *c, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *simple;
	int v, low;

	if (c->at >= c->end)
		return refuse_syntax(c, "an escape");
	simple = *c->at ? strchr(from, *c->at) : NULL;
	if (simple) {
		c->at++;
		*(*out)++ = to[simple - from];
		return TT_OK;
	}
	if (*c->at != 'u')
		return refuse_syntax(c, "an escape that JSON knows");
	c->at++;
	v = read_hex4(c);
	if (v < 0)
		return refuse_syntax(c, "four hexadecimal digits");
	if (v == 0)
		return refuse(c, "a name or text holds a NUL");
	if (v >= 0xD800 && v < 0xDC00 && c->end - c->at >= 2 && c->at[0] == '\\' && c->at[1] == 'u') {
		c->at += 2;
		low = read_hex4(c);
		if (low < 0xDC00 || low > 0xDFFF)
			return refuse(c, "a name or text holds half a surrogate pair");
		v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
	} else if (v >= 0xD800 && v < 0xE000) {
		return refuse(c, "a name or text holds half a surrogate pair");
	}
	*out = put_utf8(*out, v);
	return TT_OK;
}

/* Bytes of the UTF-8 character at p, 0 when it is none (overlong and surrogate forms included). */
static size_t utf8_size(const unsigned char *p, const unsigned char *end)
{
	const size_t left = (size_t)(end - p);

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xC2 && p[0] < 0xE0)
		return left > 1 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
	if (p[0] >= 0xE0 && p[0] < 0xF0) {
		if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
			return 0;
		if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0))
			return 0;
		return 3;
	}
	if (p[0] >= 0xF0 && p[0] < 0xF5) {
		if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
			return 0;
		if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

/*
 * A JSON string, decoded into the text block. With its two quotes it is never
 * shorter in the header than decoded with its NUL, so the block cannot overflow.
 */
static int read_text(struct cursor *c, size_t max, const char **ret)
{
	char *out = c->text;

	if (!take(c, '"'))
		return refuse_syntax(c, "a string");
	for (;;) {
		size_t n;

		if (c->at >= c->end)
			return refuse(c, "the header ends inside a string");
		if ((size_t)(out - c->text) > max)
			return refuse(c, "a name is longer than 1024 bytes");
		if (*c->at == '"')
			break;
		if (*c->at == '\\') {
			int rc;

			c->at++;
			rc = read_escape(c, &out);
			if (rc)
				return rc;
			continue;
		}
		if (*c->at < ' ')
			return refuse_syntax(c, "no bare control character in a string");
		n = utf8_size(c->at, c->end);
		if (!n)
			return refuse(c, "the header is not UTF-8");
		memcpy(out, c->at, n);
		out += n;
		c->at += n;
	}
	c->at++;
	*out++ = 0;
	*ret = c->text;
	c->text = out;
	return TT_OK;
}

/* 0 or [1-9][0-9]*, no sign, no fraction, no exponent, below 2^64. */
static int read_u64(struct cursor *c, uint64_t *ret)
{
	uint64_t v = 0;

	skip_space(c);
	if (c->at >= c->end || *c->at < '0' || *c->at > '9')
		return refuse_syntax(c, "a whole number");
	if (*c->at == '0' && c->at + 1 < c->end && c->at[1] >= '0' && c->at[1] <= '9')
		return refuse_syntax(c, "a whole number without leading zeros");
	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		const unsigned digit = *c->at++ - '0';

		if (v > (UINT64_MAX - digit) / 10)
			return refuse(c, "a number is 2^64 or more");
		v = v * 10 + digit;
	}
	*ret = v;
	return TT_OK;
}

static int read_shape(struct cursor *c, struct st_tensor *t)
{
	if (!take(c, '['))
		return refuse_syntax(c, "a list of dimensions");
	t->rank = 0;
	if (take(c, ']'))
		return TT_OK;
	do {
		uint64_t v;
		const int rc = read_u64(c, &v);

		if (rc)
			return rc;
		if (t->rank == RANK_MAX)
			return refuse(c, "it has more than 8 dimensions");
		if (v > INT64_MAX)
			return refuse(c, "a dimension is 2^63 or more");
		t->dim[t->rank++] = (int64_t)v;
	} while (take(c, ','));
	return take(c, ']') ? TT_OK : refuse_syntax(c, "',' or ']'");
}

/* Leaves [begin, end) in t as data offset and size; they are checked against the file when all is read. */
static int read_offsets(struct cursor *c, size_t limit, uint64_t ret[2])
{
	int rc;

	if (!take(c, '['))
		return refuse_syntax(c, "a list of two offsets");
	rc = read_u64(c, &ret[0]);
	if (rc)
		return rc;
	if (!take(c, ','))
		return refuse_syntax(c, "',' and the second offset");
	rc = read_u64(c, &ret[1]);
	if (rc)
		return rc;
	if (!take(c, ']'))
		return refuse_syntax(c, "']' behind two offsets");
	if (ret[1] < ret[0])
		return refuse(c, "data_offsets end before they begin");
	if (ret[1] > limit)
		return refuse(c, "data_offsets lie behind the end of the file");
	return TT_OK;
}

static int read_dtype(struct cursor *c, struct st_tensor *t)
{
	const char *text;
	int rank;
	const int rc = read_text(c, HEADER_MAX, &text);

	if (rc)
		return rc;
	if (!st_dtype_bits(text, &rank)) {
		char why[96], shown[32];

		snprintf(why, sizeof(why), "dtype '%s' is unknown", st_printable(text, shown, sizeof(shown)));
		return refuse(c, why);
	}
	t->dtype = dtypes[rank].name;
	return TT_OK;
}

/* shape times dtype must be exactly the bytes that data_offsets give. */
static int check_size(const struct cursor *c, const struct st_tensor *t)
{
	uint64_t bits = (uint64_t)st_dtype_bits(t->dtype, NULL);
	bool empty = false;
	char why[128];

	for (int i = 0; i < t->rank; i++) {
		const uint64_t d = (uint64_t)t->dim[i];

		if (!d)
			empty = true;
		else if (bits > UINT64_MAX / d)
			return refuse(c, "its shape overflows");
		else
			bits *= d;
	}
	if (empty)
		bits = 0;
	if (bits % 8)
		return refuse(c, "its elements do not fill whole bytes");
	if (bits / 8 == t->size)
		return TT_OK;
	snprintf(why, sizeof(why), "shape and dtype make %llu bytes, data_offsets %zu", (unsigned long long)(bits / 8),
		 t->size);
	return refuse(c, why);
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} in any order, each once, nothing else. */
static int read_entry(struct cursor *c, const unsigned char *base, size_t limit, struct st_tensor *t)
{
	enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
	unsigned seen = 0;
	uint64_t at[2] = { 0, 0 };
	int rc;

	if (!take(c, '{'))
		return refuse_syntax(c, "an object");
	do {
		char *const mark = c->text;
		const char *key;
		unsigned what;

		rc = read_text(c, HEADER_MAX, &key);
		if (rc)
			return rc;
		what = !strcmp(key, "dtype") ? DTYPE : !strcmp(key, "shape") ? SHAPE :
		       !strcmp(key, "data_offsets") ? OFFSETS : 0;
		if (!what)
			return refuse(c, "it has a key other than dtype, shape and data_offsets");
		if (seen & what)
			return refuse(c, "it has a key twice");
		seen |= what;
		if (!take(c, ':'))
			return refuse_syntax(c, "':'");
		rc = what == DTYPE ? read_dtype(c, t) : what == SHAPE ? read_shape(c, t) : read_offsets(c, limit, at);
		if (rc)
			return rc;
		c->text = mark;		/* keys and dtype are not kept */
	} while (take(c, ','));
	if (!take(c, '}'))
		return refuse_syntax(c, "',' or '}'");
	if (seen != (DTYPE | SHAPE | OFFSETS))
		return refuse(c, "it lacks dtype, shape or data_offsets");
	t->data = base + at[0];
	t->size = (size_t)(at[1] - at[0]);
	return check_size(c, t);
}

/* One more element in a growing array; NULL without memory. */
static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	void *more = array;

	if (n < *room)
		return array;
	more = realloc(array, (*room ? *room * 2 : 64) * size);
	if (more)
		*room = *room ? *room * 2 : 64;
	return more;
}

static int no_memory(const char *file)
{
	return err_set(TT_NOMEM, "not enough memory for the header of %s", file);
}

static int pair_order(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static int read_metadata(struct cursor *c, struct part *p)
{
	int rc;

	if (!take(c, '{'))
		return refuse_syntax(c, "an object for __metadata__");
	if (take(c, '}'))
		return TT_OK;
	do {
		struct pair *m = grow(p->meta, p->nmeta, &p->meta_room, sizeof(*m));

		if (!m)
			return no_memory(c->file);
		p->meta = m;
		if (p->nmeta == ENTRIES_MAX)
			return refuse(c, "__metadata__ has more than a million entries");
		m += p->nmeta;
		rc = read_text(c, HEADER_MAX, &m->key);
		if (rc)
			return rc;
		if (!take(c, ':'))
			return refuse_syntax(c, "':'");
		rc = read_text(c, HEADER_MAX, &m->value);
		if (rc)
			return rc;
		p->nmeta++;
	} while (take(c, ','));
	if (!take(c, '}'))
		return refuse_syntax(c, "',' or '}'");
	qsort(p->meta, p->nmeta, sizeof(*p->meta), pair_order);
	for (size_t i = 1; i < p->nmeta; i++)
		if (!strcmp(p->meta[i - 1].key, p->meta[i].key))
			return refuse(c, "__metadata__ has a key twice");
	return TT_OK;
}

static int read_tensor(struct cursor *c, struct part *p, const char *name, const unsigned char *base, size_t limit)
{
	struct st_tensor *t = grow(p->tensor, p->n, &p->room, sizeof(*t));
	int rc;

	if (!t)
		return no_memory(c->file);
	p->tensor = t;
	if (p->n == ENTRIES_MAX)
		return refuse(c, "it has more than a million tensors");
	t += p->n;
	*t = (struct st_tensor){ .name = name };
	c->name = name;
	rc = read_entry(c, base, limit, t);
	c->name = NULL;
	if (!rc)
		p->n++;
	return rc;
}

static int read_header(struct cursor *c, struct part *p, const unsigned char *base, size_t limit)
{
	bool metadata = false;

	if (c->at >= c->end || *c->at != '{')
		return refuse(c, "the header does not begin with '{'");
	c->at++;
	if (!take(c, '}')) {
		do {
			const char *name;
			int rc = read_text(c, NAME_MAX_BYTES, &name);

			if (rc)
				return rc;
			if (!take(c, ':'))
				return refuse_syntax(c, "':'");
			if (strcmp(name, "__metadata__")) {
				rc = read_tensor(c, p, name, base, limit);
			} else {
				if (metadata)
					return refuse(c, "__metadata__ is there twice");
				metadata = true;
				rc = read_metadata(c, p);
			}
			if (rc)
				return rc;
		} while (take(c, ','));
		if (!take(c, '}'))
			return refuse_syntax(c, "',' or '}'");
	}
	for (; c->at < c->end; c->at++)
		if (*c->at != ' ')
			return refuse(c, "something other than spaces follows the header's last brace");
	return TT_OK;
}

/* ---- from header to file ---- */

static int place_order(const void *a, const void *b)
{
	const struct st_tensor *x = a, *y = b;

	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The tensors lie end to end from the header's end to the file's. */
static int check_tiling(struct cursor *c, struct part *p, const unsigned char *base, size_t limit)
{
	const unsigned char *at = base;

	if (p->n)
		qsort(p->tensor, p->n, sizeof(*p->tensor), place_order);
	for (size_t i = 0; i < p->n; i++) {
		c->name = p->tensor[i].name;
		if (p->tensor[i].data < at)
			return refuse(c, "it overlaps another tensor");
		if (p->tensor[i].data > at)
			return refuse(c, "there is a hole before it");
		at += p->tensor[i].size;
	}
	c->name = NULL;
	if ((size_t)(at - base) != limit)
		return refuse(c, "bytes follow the last tensor");
	return TT_OK;
}

/* Read the header of the bytes in p. */
static int part_parse(struct part *p, const char *file)
{
	struct cursor c = { .file = file };
	const unsigned char *base;
	uint64_t n = 0;
	size_t limit;
	int rc;

	if (p->size < 8)
		return refuse(&c, "it is shorter than 8 bytes");
	for (int i = 7; i >= 0; i--)
		n = n << 8 | p->data[i];
	if (n > p->size - 8)
		return refuse(&c, "the header is longer than the file; is it cut off?");
	if (n > HEADER_MAX)
		return refuse(&c, "the header is longer than 100 MB");
	p->text = malloc((size_t)n + 1);
	if (!p->text)
		return no_memory(file);
	c.begin = c.at = p->data + 8;
	c.end = base = c.begin + n;
	c.text = p->text;
	limit = p->size - 8 - (size_t)n;
	rc = read_header(&c, p, base, limit);
	return rc ? rc : check_tiling(&c, p, base, limit);
}

static void part_done(struct part *p)
{
	if (p->kind == PART_MAPPED)
		munmap((void *)(uintptr_t)p->data, p->size);
	else if (p->kind == PART_READ)
		free((void *)(uintptr_t)p->data);
	free(p->text);
	free(p->tensor);
	free(p->meta);
}

static int io_fail(const char *verb, const char *path)
{
	const int why = errno;

	return err_set(why == ENOENT ? TT_NOTFOUND : TT_IO, "cannot %s %s: %s", verb, path, strerror(why));
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
			return n < 0 ? io_fail("read", path) : err_set(TT_IO, "%s shrank while it was read", path);
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
	return rc ? rc : part_parse(p, path);
}

/* ---- the served view ---- */

static int name_order(const void *a, const void *b)
{
	return strcmp((*(const struct st_tensor *const *)a)->name, (*(const struct st_tensor *const *)b)->name);
}

/* Room for every tensor of every part; at stays empty. */
static int view_alloc(struct st_file *f)
{
	size_t all = 0;

	for (size_t i = 0; i < f->nparts; i++)
		all += f->part[i].n;
	f->at = malloc((all + 1) * sizeof(f->at[0]));
	f->by_name = malloc((all + 1) * sizeof(f->by_name[0]));
	return f->at && f->by_name ? TT_OK : no_memory("the model");
}

static void view_sort(struct st_file *f)
{
	if (f->n)
		memcpy(f->by_name, f->at, f->n * sizeof(f->at[0]));
	qsort(f->by_name, f->n, sizeof(f->by_name[0]), name_order);
}

/* Serve the only part whole. */
static int view_single(struct st_file *f, const char *path)
{
	struct cursor c = { .file = path };
	int rc = view_alloc(f);

	if (rc)
		return rc;
	for (size_t i = 0; i < f->part[0].n; i++)
		f->at[f->n++] = &f->part[0].tensor[i];
	view_sort(f);
	for (size_t i = 1; i < f->n; i++) {
		c.name = f->by_name[i]->name;
		if (!strcmp(f->by_name[i - 1]->name, c.name))
			return refuse(&c, "the name is there twice");
	}
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
		rc = view_single(f, path);
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
	rc = part_parse(&f->part[0], name);
	if (!rc)
		rc = view_single(f, name);
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
	return *name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, ".") && strcmp(name, "..");
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
		if (strncmp(target, cache, sizeof(cache) - 1) || !plain_name(target + sizeof(cache) - 1))
			return err_set(TT_INVALID, "%s is a link that does not lead into the hub's cache; "
				       "put the file itself there", path);
		fd = openat(dir, target, flags);
	}
	if (fd < 0)
		return io_fail("open", path);
	*ret = fd;
	return TT_OK;
}

/* The claims of weight_map, by name; the strings belong to index. */
static int read_claims(const struct json *index, const char *path, struct claim **ret, size_t *ret_n)
{
	const struct json *map = json_get(index, "weight_map");
	struct claim *claim;
	size_t n = 0;

	if (!map || json_type(map) != JSON_OBJECT || !json_count(map))
		return err_set(TT_INVALID, "%s: weight_map is not an object with tensor names", path);
	if (json_count(map) > ENTRIES_MAX)
		return err_set(TT_INVALID, "%s: weight_map has more than a million entries", path);
	claim = calloc(json_count(map), sizeof(*claim));
	if (!claim)
		return no_memory(path);
	for (const struct json *j = json_first(map); j; j = json_next(j)) {
		const char *shard = json_text(j);
		char shown[96];

		if (!shard || !plain_name(shard)) {
			err_set(TT_INVALID, "%s: weight_map: the file of '%s' is not a plain file name", path,
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
static int shard_names(const struct claim *claim, size_t n, const char *path, const char ***ret, size_t *ret_n)
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
		return err_set(TT_INVALID, "%s: weight_map names more than %d files", path, SHARDS_MAX);
	}
	*ret = name;
	*ret_n = k;
	return TT_OK;
}

/* Serve from each shard what the map claims of it. */
static int view_claimed(struct st_file *f, const char *const *shard, struct claim *claim, size_t n, const char *path)
{
	size_t spare = 0;
	int rc = view_alloc(f);

	for (size_t i = 0; !rc && i < f->nparts; i++)
		for (size_t k = 0; k < f->part[i].n; k++) {
			const struct st_tensor *t = &f->part[i].tensor[k];
			struct claim *c = bsearch(&(struct claim){ .name = t->name }, claim, n, sizeof(*claim), claim_order);

			if (!c || strcmp(c->shard, shard[i])) {
				spare++;
				continue;
			}
			if (c->found)
				return err_set(TT_INVALID, "%s is not a valid safetensors file: a name is there twice",
					       c->shard);
			c->found = true;
			f->at[f->n++] = t;
		}
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		char shown[96];

		if (!claim[i].found)
			return err_set(TT_INVALID, "%s: %s does not hold '%s'", path, claim[i].shard,
				       st_printable(claim[i].name, shown, sizeof(shown)));
	}
	if (spare)
		log_line("%s: %zu tensors in the shards are not in weight_map and not used", path, spare);
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
	static const char *const pickles[] = { "pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin",
					       "pytorch_model.pt" };
	char path[PATH_MAX];

	for (size_t i = 0; i < COUNT(pickles); i++)
		if (!fs_join(path, sizeof(path), folder, pickles[i]) && fs_exists(path))
			return err_set(TT_INVALID, "%s has its weights in %s only, a pickle, which can run code when it "
				       "is read; convert it to model.safetensors first", folder, pickles[i]);
	return err_set(TT_NOTFOUND, "%s holds no weights: neither model.safetensors nor "
		       "model.safetensors.index.json is there", folder);
}

int st_open_folder(const char *folder, struct st_file **ret)
{
	char path[PATH_MAX];
	int rc;

	if (!fs_exists(folder))
		return err_set(TT_NOTFOUND, "the model folder %s is not there; was it moved or deleted?", folder);
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

size_t st_count(const struct st_file *f)
{
	return f->n;
}

const struct st_tensor *st_at(const struct st_file *f, size_t i)
{
	assert(i < f->n);
	return f->at[i];
}

const struct st_tensor *st_find(const struct st_file *f, const char *name)
{
	const struct st_tensor key = { .name = name }, *k = &key;
	const struct st_tensor **hit = bsearch(&k, f->by_name, f->n, sizeof(f->by_name[0]), name_order);

	return hit ? *hit : NULL;
}

const char *st_metadata(const struct st_file *f, const char *key)
{
	const struct part *p = &f->part[0];
	const struct pair *hit = p->nmeta ? bsearch(&(struct pair){ .key = key }, p->meta, p->nmeta, sizeof(*p->meta),
						    pair_order) : NULL;

	return hit ? hit->value : NULL;
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
		for (exp = 1; !(frac & 0x400u); exp--)	/* wraps below 0; 112 is added before use */
			frac <<= 1;
		frac &= 0x3FFu;
	}
	return sign | (exp + 112u) << 23 | frac << 13;
}

int st_read_f32(const struct st_tensor *t, float *out)
{
	const bool half = !strcmp(t->dtype, "F16");
	char shown[96];

	if (!strcmp(t->dtype, "F32")) {
		if (t->size)
			memcpy(out, t->data, t->size);
		return TT_OK;
	}
	if (!half && strcmp(t->dtype, "BF16"))
		return err_set(TT_INVALID, "tensor '%s' is stored as %s; only F32, F16 and BF16 can be used",
			       st_printable(t->name, shown, sizeof(shown)), t->dtype);
	for (size_t i = 0; i < t->size / 2; i++) {
		const uint16_t v = (uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8);
		const uint32_t bits = half ? half_to_single(v) : (uint32_t)v << 16;

		memcpy(out + i, &bits, sizeof(bits));
	}
	return TT_OK;
}

const float *st_map_f32(const struct st_tensor *t)
{
	if (strcmp(t->dtype, "F32") || (uintptr_t)t->data % _Alignof(float))
		return NULL;
	return (const float *)(const void *)t->data;
}
