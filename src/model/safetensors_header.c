/*
 * The header of a safetensors file, taken for hostile.
 *
 *     {"__metadata__": {text: text}, NAME: {"dtype": text, "shape": [u64], "data_offsets": [u64, u64]}}
 *
 * The parser takes this and nothing else, in UTF-8, no name twice, so depth is
 * bounded by the grammar; the rest is bounded by the limits below. The tensors
 * must tile the bytes behind the header exactly: no overlap, no hole, nothing
 * behind them. A file that breaks a rule is refused as a whole.
 */
#include "model/safetensors_header.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"

enum {
	HEADER_MAX = 100000000, /* bytes, as the reference reader */
	ENTRIES_MAX = 1000000,
	NAME_MAX_BYTES = 1024,
	RANK_MAX = 8
};

/* In the order in which a writer lays them out: the last ones come first in the file. */
static const struct {
	const char *name;
	int bits;
} dtypes[] = { { "BOOL", 8 },    { "F4", 4 },          { "F6_E2M3", 6 },     { "F6_E3M2", 6 },
	       { "U8", 8 },      { "I8", 8 },          { "F8_E5M2", 8 },     { "F8_E4M3", 8 },
	       { "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "I16", 16 },
	       { "U16", 16 },    { "F16", 16 },        { "BF16", 16 },       { "I32", 32 },
	       { "U32", 32 },    { "F32", 32 },        { "C64", 64 },        { "F64", 64 },
	       { "I64", 64 },    { "U64", 64 } };

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
		if (at + 8 > size) { /* room for one escape, three dots and the end */
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
	const char *file; /* for sentences */
	const unsigned char *begin, *at, *end;
	char *text;       /* where the next decoded string goes; room enough by construction */
	const char *name; /* the tensor being read, NULL outside */
};

static int refuse(const struct cursor *c, const char *why)
{
	char shown[96];

	if (c->name)
		return err_set(TT_INVALID, "%s is not a valid safetensors file: tensor '%s': %s",
			       c->file, st_printable(c->name, shown, sizeof(shown)), why);
	return err_set(TT_INVALID, "%s is not a valid safetensors file: %s", c->file, why);
}

static int refuse_syntax(const struct cursor *c, const char *wanted)
{
	char why[128];

	snprintf(why, sizeof(why), "byte %zu of the header: expected %s",
		 (size_t)(c->at - c->begin), wanted);
	return refuse(c, why);
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
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
	if (v >= 0xD800 && v < 0xDC00 && c->end - c->at >= 2 && c->at[0] == '\\' &&
	    c->at[1] == 'u') {
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
		if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 ||
		    (p[3] & 0xC0) != 0x80)
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

		snprintf(why, sizeof(why), "dtype '%s' is unknown",
			 st_printable(text, shown, sizeof(shown)));
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
	snprintf(why, sizeof(why), "shape and dtype make %llu bytes, data_offsets %zu",
		 (unsigned long long)(bits / 8), t->size);
	return refuse(c, why);
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} in any order, each once, nothing else. */
static int read_entry(struct cursor *c, const unsigned char *base, size_t limit,
		      struct st_tensor *t)
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
		what = !strcmp(key, "dtype")          ? DTYPE
		       : !strcmp(key, "shape")        ? SHAPE
		       : !strcmp(key, "data_offsets") ? OFFSETS
						      : 0;
		if (!what)
			return refuse(c, "it has a key other than dtype, shape and data_offsets");
		if (seen & what)
			return refuse(c, "it has a key twice");
		seen |= what;
		if (!take(c, ':'))
			return refuse_syntax(c, "':'");
		rc = what == DTYPE   ? read_dtype(c, t)
		     : what == SHAPE ? read_shape(c, t)
				     : read_offsets(c, limit, at);
		if (rc)
			return rc;
		c->text = mark; /* keys and dtype are not kept */
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
	return strcmp(((const struct st_pair *)a)->key, ((const struct st_pair *)b)->key);
}

static int read_metadata(struct cursor *c, struct st_header *p)
{
	int rc;

	if (!take(c, '{'))
		return refuse_syntax(c, "an object for __metadata__");
	if (take(c, '}'))
		return TT_OK;
	do {
		struct st_pair *m = grow(p->meta, p->nmeta, &p->meta_room, sizeof(*m));

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

static int read_tensor(struct cursor *c, struct st_header *p, const char *name,
		       const unsigned char *base, size_t limit)
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

static int read_header(struct cursor *c, struct st_header *p, const unsigned char *base,
		       size_t limit)
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
			return refuse(
				c, "something other than spaces follows the header's last brace");
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
static int check_tiling(struct cursor *c, struct st_header *p, const unsigned char *base,
			size_t limit)
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

static int name_order(const void *a, const void *b)
{
	return strcmp((*(const struct st_tensor *const *)a)->name,
		      (*(const struct st_tensor *const *)b)->name);
}

static int check_names(struct cursor *c, struct st_header *p)
{
	p->by_name = malloc((p->n + 1) * sizeof(p->by_name[0]));
	if (!p->by_name)
		return no_memory(c->file);
	for (size_t i = 0; i < p->n; i++)
		p->by_name[i] = &p->tensor[i];
	qsort(p->by_name, p->n, sizeof(p->by_name[0]), name_order);
	for (size_t i = 1; i < p->n; i++)
		if (!strcmp(p->by_name[i - 1]->name, p->by_name[i]->name)) {
			c->name = p->by_name[i]->name;
			return refuse(c, "the name is there twice");
		}
	return TT_OK;
}

static int parse(const unsigned char *data, size_t size, const char *file, struct st_header *p)
{
	struct cursor c = { .file = file };
	uint64_t n = 0;
	size_t limit;
	int rc;

	if (size < 8)
		return refuse(&c, "it is shorter than 8 bytes");
	for (int i = 7; i >= 0; i--)
		n = n << 8 | data[i];
	if (n > size - 8)
		return refuse(&c, "the header is longer than the file; is it cut off?");
	if (n > HEADER_MAX)
		return refuse(&c, "the header is longer than 100 MB");
	p->text = malloc((size_t)n + 1);
	if (!p->text)
		return no_memory(file);
	c.begin = c.at = data + 8;
	c.end = c.begin + n;
	c.text = p->text;
	limit = size - 8 - (size_t)n;
	rc = read_header(&c, p, c.end, limit);
	if (!rc)
		rc = check_tiling(&c, p, c.end, limit);
	return rc ? rc : check_names(&c, p);
}

int st_header_parse(const void *data, size_t size, const char *file, struct st_header *ret)
{
	struct st_header h = { .tensor = NULL };
	const int rc = parse(data, size, file, &h);

	if (rc)
		st_header_done(&h);
	else
		*ret = h;
	return rc;
}

void st_header_done(struct st_header *h)
{
	free(h->text);
	free(h->tensor);
	free(h->by_name);
	free(h->meta);
}

const struct st_tensor *st_by_name(const struct st_tensor *const *by_name, size_t n,
				   const char *name)
{
	const struct st_tensor key = { .name = name }, *k = &key;
	const struct st_tensor *const *hit = n ? bsearch(&k, by_name, n, sizeof(by_name[0]),
							 name_order)
					       : NULL;

	return hit ? *hit : NULL;
}

void st_sort_by_name(const struct st_tensor **tensor, size_t n)
{
	qsort(tensor, n, sizeof(tensor[0]), name_order);
}

const char *st_header_metadata(const struct st_header *h, const char *key)
{
	const struct st_pair wanted = { .key = key }, *hit = NULL;

	if (h->nmeta)
		hit = bsearch(&wanted, h->meta, h->nmeta, sizeof(*h->meta), pair_order);
	return hit ? hit->value : NULL;
}
