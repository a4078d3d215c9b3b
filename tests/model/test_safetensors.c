/* The reader refuses every kind of broken or hostile file with its reason; the writer's files read back. */
#include "tests/check.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "model/safetensors.h"
#include "tests/model/toy.h"
#include "tests/nfs.h"

/* A header and how many bytes follow it. */
struct given {
	const char *header;
	size_t bytes;
};

static void build(struct buf *ret, const struct given *in, uint64_t length)
{
	buf_init(ret, 1 << 28);
	for (int i = 0; i < 8; i++)
		buf_char(ret, (char)(length >> 8 * i));
	buf_text(ret, in->header);
	for (size_t i = 0; i < in->bytes; i++)
		buf_char(ret, (char)i);
}

/* Exactly sized, so that a sanitizer sees a read past the end. */
static int open_bytes(const struct buf *in, void **ret_copy, struct st_file **ret)
{
	*ret_copy = malloc(in->size ? in->size : 1);
	if (!*ret_copy)
		return TT_NOMEM;
	if (in->size)
		memcpy(*ret_copy, in->data, in->size);
	return st_open_memory(*ret_copy, in->size, "f", ret);
}

static int try_length(const struct given *in, uint64_t length)
{
	struct st_file *f = NULL;
	struct buf b;
	void *copy;
	int rc;

	build(&b, in, length);
	rc = open_bytes(&b, &copy, &f);
	st_close(rc ? NULL : f);
	free(copy);
	buf_done(&b);
	return rc;
}

static int try(const struct given *in) { return try_length(in, strlen(in->header)); }

#define T(name, dtype, shape, offsets) \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
	const char *what;
	struct given in;
} good[] = {
	{ "no tensor", { "{}", 0 } },
	{ "padding", { "{}      ", 0 } },
	{ "a vector", { "{" T("a", "F32", "[2]", "[0,8]") "}", 8 } },
	{ "a scalar", { "{" T("a", "F32", "[]", "[0,4]") "}", 4 } },
	{ "keys in another order",
	  { "{\"a\":{\"data_offsets\":[0,2],\"shape\":[1],\"dtype\":\"BF16\"}}", 2 } },
	{ "white space inside",
	  { "{ \"a\" : {\t\"dtype\" : \"U8\" , \"shape\" : [ 3 ] ,\n \"data_offsets\" : [ 0 , 3 ] "
	    "} } ",
	    3 } },
	{ "an empty tensor first",
	  { "{" T("z", "F32", "[0]", "[0,0]") "," T("a", "F32", "[1]", "[0,4]") "}", 4 } },
	{ "an empty tensor last",
	  { "{" T("a", "F32", "[1]", "[0,4]") "," T("z", "F32", "[3,0]", "[4,4]") "}", 4 } },
	{ "tensors not in name order",
	  { "{" T("b", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2 } },
	{ "metadata",
	  { "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}," T("a", "U8", "[1]", "[0,1]") "}",
	    1 } },
	{ "empty metadata", { "{\"__metadata__\":{}}", 0 } },
	{ "4-bit elements, whole bytes", { "{" T("a", "F4", "[4]", "[0,2]") "}", 2 } },
	{ "eight dimensions", { "{" T("a", "U8", "[1,1,1,1,1,1,1,1]", "[0,1]") "}", 1 } },
	{ "a surrogate pair", { "{" T("\\ud83d\\ude00", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a control character, escaped", { "{" T("a\\n", "U8", "[1]", "[0,1]") "}", 1 } },
};

static const struct {
	const char *what, *says;
	struct given in;
} bad[] = {
	/* length and shape of the file */
	{ "empty header", "does not begin with '{'", { "", 0 } },
	{ "hole at the start",
	  "tensor 'a': there is a hole before it",
	  { "{" T("a", "U8", "[1]", "[1,2]") "}", 2 } },
	{ "hole between",
	  "tensor 'b': there is a hole",
	  { "{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[2,3]") "}", 3 } },
	{ "trailing bytes",
	  "bytes follow the last tensor",
	  { "{" T("a", "U8", "[1]", "[0,1]") "}", 2 } },
	{ "bytes behind an empty header", "bytes follow the last tensor", { "{}", 1 } },
	{ "the same bytes twice",
	  "overlaps",
	  { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[0,2]") "}", 2 } },
	{ "a partial overlap",
	  "tensor 'b': it overlaps",
	  { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3 } },
	{ "an empty tensor inside another",
	  "overlaps",
	  { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[0]", "[1,1]") "}", 2 } },
	{ "behind the end",
	  "behind the end of the file",
	  { "{" T("a", "U8", "[9]", "[0,9]") "}", 2 } },
	{ "end before begin",
	  "end before they begin",
	  { "{" T("a", "U8", "[4]", "[9,5]") "}", 9 } },
	/* sizes */
	{ "shape and offsets differ",
	  "shape and dtype make 8 bytes, data_offsets 4",
	  { "{" T("a", "F32", "[2]", "[0,4]") "}", 4 } },
	{ "2^32 x 2^32",
	  "overflows",
	  { "{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0 } },
	{ "2^61 doubles",
	  "overflows",
	  { "{" T("a", "F64", "[2305843009213693952]", "[0,0]") "}", 0 } },
	{ "2^63 first",
	  "2^63 or more",
	  { "{" T("a", "U8", "[9223372036854775808,4,0]", "[0,0]") "}", 0 } },
	{ "2^63 behind a zero",
	  "2^63 or more",
	  { "{" T("a", "U8", "[0,9223372036854775808,4]", "[0,0]") "}", 0 } },
	{ "half a byte", "whole bytes", { "{" T("a", "F4", "[3]", "[0,1]") "}", 1 } },
	{ "nine dimensions",
	  "more than 8 dimensions",
	  { "{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1 } },
	{ "unknown dtype",
	  "dtype 'Q7\\x0a' is unknown",
	  { "{" T("a", "Q7\\n", "[1]", "[0,1]") "}", 1 } },
	/* numbers */
	{ "1e3", "expected", { "{" T("a", "U8", "[1e3]", "[0,1000]") "}", 1000 } },
	{ "1.0", "expected", { "{" T("a", "U8", "[1.0]", "[0,1]") "}", 1 } },
	{ "-1", "a whole number", { "{" T("a", "U8", "[-1]", "[0,1]") "}", 1 } },
	{ "+1", "a whole number", { "{" T("a", "U8", "[+1]", "[0,1]") "}", 1 } },
	{ "01", "leading zeros", { "{" T("a", "U8", "[01]", "[0,1]") "}", 1 } },
	{ "a string", "a whole number", { "{" T("a", "U8", "[1]", "[\"0\",1]") "}", 1 } },
	{ "2^64", "2^64 or more", { "{" T("a", "U8", "[1]", "[0,18446744073709551616]") "}", 1 } },
	{ "three offsets",
	  "']' behind two offsets",
	  { "{" T("a", "U8", "[1]", "[0,1,1]") "}", 1 } },
	{ "one offset", "the second offset", { "{" T("a", "U8", "[1]", "[0]") "}", 1 } },
	/* names and keys */
	{ "a name twice",
	  "the name is there twice",
	  { "{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2 } },
	{ "a name twice, once escaped",
	  "the name is there twice",
	  { "{" T("a", "U8", "[1]", "[0,1]") "," T("\\u0061", "U8", "[1]", "[1,2]") "}", 2 } },
	{ "dtype twice",
	  "a key twice",
	  { "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
	    1 } },
	{ "an unknown key",
	  "a key other than",
	  { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1 } },
	{ "no shape", "it lacks", { "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1 } },
	{ "an empty entry", "expected a string", { "{\"a\":{}}", 0 } },
	{ "metadata twice",
	  "__metadata__ is there twice",
	  { "{\"__metadata__\":{},\"__metadata__\":{}}", 0 } },
	{ "metadata twice, once escaped",
	  "__metadata__ is there twice",
	  { "{\"__metadata__\":{},\"\\u005f_metadata__\":{}}", 0 } },
	{ "a metadata key twice",
	  "__metadata__ has a key twice",
	  { "{\"__metadata__\":{\"a\":\"1\",\"b\":\"\",\"\\u0061\":\"2\"}}", 0 } },
	{ "a number in metadata", "expected a string", { "{\"__metadata__\":{\"a\":1}}", 0 } },
	{ "nested metadata", "expected a string", { "{\"__metadata__\":{\"a\":{}}}", 0 } },
	{ "metadata as a list", "an object for __metadata__", { "{\"__metadata__\":[]}", 0 } },
	{ "NUL in a name", "holds a NUL", { "{" T("a\\u0000b", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a high surrogate alone",
	  "half a surrogate pair",
	  { "{" T("\\ud83d", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a low surrogate alone",
	  "half a surrogate pair",
	  { "{" T("\\ude00", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "two high surrogates",
	  "half a surrogate pair",
	  { "{" T("\\ud83d\\ud83d", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a bare control character",
	  "control character",
	  { "{" T("a\tb", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "an unknown escape", "an escape", { "{" T("a\\x", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a broken escape", "hexadecimal", { "{" T("a\\u00g1", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a lone byte 0xff", "not UTF-8", { "{" T("a\xff", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "an overlong form", "not UTF-8", { "{" T("\xc0\xaf", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "a surrogate in UTF-8",
	  "not UTF-8",
	  { "{" T("\xed\xa0\x80", "U8", "[1]", "[0,1]") "}", 1 } },
	{ "above U+10FFFF",
	  "not UTF-8",
	  { "{" T("\xf4\x90\x80\x80", "U8", "[1]", "[0,1]") "}", 1 } },
	/* syntax */
	{ "leading space", "does not begin with '{'", { " {}", 0 } },
	{ "byte order mark", "does not begin with '{'", { "\xef\xbb\xbf{}", 0 } },
	{ "newline behind the brace", "other than spaces", { "{}\n", 0 } },
	{ "tab behind the brace", "other than spaces", { "{}\t", 0 } },
	{ "a second document", "other than spaces", { "{}{}", 0 } },
	{ "a list", "does not begin with '{'", { "[]", 0 } },
	{ "cut off", "the header ends inside a string", { "{\"a", 0 } },
	{ "cut off in an escape", "an escape", { "{\"a\\", 0 } },
	{ "cut off in \\u", "hexadecimal", { "{\"a\\u00", 0 } },
	{ "cut off in a list", "expected", { "{\"a\":{\"shape\":[", 0 } },
	{ "a comma too many", "expected a string", { "{" T("a", "U8", "[1]", "[0,1]") ",}", 1 } },
	{ "no colon", "':'", { "{\"a\"{}}", 0 } },
	{ "deep nesting", "a whole number", { "{\"a\":{\"shape\":[[[[1]]]]}}", 0 } },
};

/* One line for a case: was it refused, for this reason? */
static void refused(bool failed, const char *says, const char *what)
{
	const bool ok = failed && strstr(err_text(), says);

	CHECK_NAMED(ok, what);
	if (!ok)
		printf("# %s\n", err_text());
}

static void tables(void)
{
	for (size_t i = 0; i < COUNT(good); i++)
		CHECK_NAMED(try(&good[i].in) == TT_OK, good[i].what);
	for (size_t i = 0; i < COUNT(bad); i++)
		refused(try(&bad[i].in) == TT_INVALID, bad[i].says, bad[i].what);
}

/* N against the file, compared before anything is added to it. */
static void lengths(void)
{
	static const uint64_t too_long[] = { UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63, 1000,
					     3 };
	const struct given empty = { "{}", 0 };
	struct st_file *f;
	const char few[8] = "";

	for (size_t i = 0; i < COUNT(too_long); i++)
		CHECK(try_length(&empty, too_long[i]) == TT_INVALID &&
		      strstr(err_text(), "longer than the file"));
	for (size_t n = 0; n < 8; n++)
		CHECK(st_open_memory(few, n, "f", &f) == TT_INVALID &&
		      strstr(err_text(), "shorter than 8 bytes"));
	CHECK(try_length(&empty, 1) == TT_INVALID);
}

/* NUL as padding cannot be written in the table. */
static void nul_padding(void)
{
	static const char bytes[] = "\4\0\0\0\0\0\0\0{}\0\0";
	struct st_file *f;

	CHECK(st_open_memory(bytes, 12, "f", &f) == TT_INVALID &&
	      strstr(err_text(), "other than spaces"));
}

static void caps(void)
{
	struct buf b;
	struct given in = { NULL, 1 };

	buf_init(&b, (size_t)1 << 28);
	buf_text(&b, "{\"");
	for (int i = 0; i < 1024; i++)
		buf_char(&b, 'n');
	buf_text(&b, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
	in.header = b.data;
	CHECK(try(&in) == TT_OK);
	buf_clear(&b);
	buf_text(&b, "{\"");
	for (int i = 0; i < 1025; i++)
		buf_char(&b, 'n');
	buf_text(&b, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
	in.header = b.data;
	CHECK(try(&in) == TT_INVALID && strstr(err_text(), "longer than 1024 bytes"));
	buf_clear(&b);
	buf_char(&b, '{');
	for (int i = 0; i <= 1000000; i++)
		buf_printf(&b, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
			   i ? "," : "", i);
	buf_char(&b, '}');
	in = (struct given){ b.data, 0 };
	CHECK(try(&in) == TT_INVALID && strstr(err_text(), "more than a million tensors"));
	buf_clear(&b);
	buf_char(&b, '{');
	while (b.size <= 100000000)
		buf_text(&b, "                                                                ");
	buf_char(&b, '}');
	in.header = b.data;
	CHECK(try(&in) == TT_INVALID && strstr(err_text(), "longer than 100 MB"));
	buf_done(&b);
}

static void names_in_errors_are_printable(void)
{
	const struct given in = { "{" T("e\\u001b[31m\\u00e9", "U8", "[2]", "[0,1]") "}", 1 };
	char shown[16];

	CHECK(try(&in) == TT_INVALID);
	CHECK(strstr(err_text(), "tensor 'e\\x1b[31m\\xc3\\xa9': shape"));
	CHECK_STR(st_printable("abc", shown, sizeof(shown)), "abc");
	CHECK_STR(st_printable("abcdefghijklmnop", shown, sizeof(shown)), "abcdefghi...");
	CHECK_STR(st_printable("", shown, sizeof(shown)), "");
}

/* ---- values ---- */

/* odd: at an odd address, where it takes another way. */
static float read_one(const char *dtype, uint16_t bits, int odd)
{
	uint16_t aligned[2] = { 0, 0 };
	unsigned char *at = (unsigned char *)aligned + odd;
	const struct st_tensor t = {
		.name = "t", .dtype = dtype, .rank = 1, .dim = { 1 }, .data = at, .size = 2
	};
	float v = -77;

	memcpy(at, (unsigned char[2]){ (unsigned char)bits, (unsigned char)(bits >> 8) }, 2);
	return st_read_f32(&t, &v) ? -77 : v;
}

/* The value of a half by its definition. */
static float half_value(uint16_t h)
{
	const int exp = h >> 10 & 31, frac = h & 1023;
	const float sign = h >> 15 ? -1.0f : 1.0f;

	if (exp == 31)
		return frac ? NAN : sign * INFINITY;
	return sign * ldexpf(exp ? (float)(1024 + frac) : (float)frac, (exp ? exp : 1) - 25);
}

static bool same_bits(float a, float b)
{
	return (isnan(a) && isnan(b)) || !memcmp(&a, &b, sizeof(a));
}

static void values(void)
{
	const struct st_tensor wide = { .name = "t\n", .dtype = "F64", .rank = 0, .size = 8 };
	bool half = true, brain = true;
	float out;

	for (uint32_t v = 0; v <= UINT16_MAX; v++) {
		const uint32_t bits = v << 16;

		memcpy(&out, &bits, sizeof(out));
		for (int odd = 0; odd < 2; odd++) {
			half = half && same_bits(read_one("F16", (uint16_t)v, odd),
						 half_value((uint16_t)v));
			brain = brain && same_bits(read_one("BF16", (uint16_t)v, odd), out);
		}
	}
	CHECK(half);
	CHECK(brain);
	CHECK(st_read_f32(&wide, &out) == TT_INVALID);
	CHECK_STR(err_text(),
		  "tensor 't\\x0a' is stored as F64; only F32, F16 and BF16 can be used");
}

static void alignment(void)
{
	/* a tensor of 1 byte, then one float at an odd place */
	const struct given in = {
		"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "F32", "[1]", "[1,5]") "}", 5
	};
	const struct given even = { "{" T("a", "F32", "[1]", "[0,4]") "}   ", 4 };
	float want, got = 0;
	struct st_file *f;
	struct buf b;
	void *copy;

	build(&b, &in, strlen(in.header));
	if (CHECK(open_bytes(&b, &copy, &f) == TT_OK)) {
		const struct st_tensor *t = st_find(f, "b");

		memcpy(&want, "\1\2\3\4", 4);
		CHECK((st_map_f32(t) != NULL) == ((uintptr_t)t->data % 4 == 0));
		CHECK(st_read_f32(t, &got) == TT_OK && got == want);
		CHECK(!st_map_f32(st_find(f, "a")));
		CHECK(!st_find(f, "c"));
		st_close(f);
	}
	free(copy);
	buf_done(&b);
	build(&b, &even, strlen(even.header));
	if (CHECK(open_bytes(&b, &copy, &f) == TT_OK)) {
		const struct st_tensor *t = st_at(f, 0);

		CHECK((st_map_f32(t) == (const void *)t->data) == ((uintptr_t)t->data % 4 == 0));
		st_close(f);
	}
	free(copy);
	buf_done(&b);
}

/* ---- files ---- */

static const char *at(const char *dir, const char *name)
{
	static char path[2][PATH_MAX];
	static int turn;

	turn = !turn;
	fs_join(path[turn], sizeof(path[turn]), dir, name);
	return path[turn];
}

static void round_trip(const char *dir)
{
	static const char header[] =
		"{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\\\"\"},"
		"\"n\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
		"\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[8,16]},"
		"\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[16,20]},"
		"\"u\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[20,20]}}";
	const float a[2] = { 1.5f, -2 }, b[1] = { 3 };
	const int64_t n[1] = { -1 }, two[2] = { 2, 1 }, one[1] = { 1 }, none[1] = { 0 };
	struct st_writer *w = NULL;
	struct st_file *f = NULL;
	struct buf file;

	CHECK(st_writer_new(&w) == TT_OK);
	CHECK(st_writer_add(w, "b", "F32", 0, NULL, b) == TT_OK);
	CHECK(st_writer_add(w, "u", "U8", 1, none, NULL) == TT_OK);
	CHECK(st_writer_add(w, "a", "F32", 2, two, a) == TT_OK);
	CHECK(st_writer_add(w, "n", "I64", 1, one, n) == TT_OK);
	CHECK(st_writer_metadata(w, "k", "v\"") == TT_OK);
	CHECK(st_writer_add(w, "q", "Q9", 1, one, n) == TT_INVALID);
	CHECK(st_writer_add(w, "__metadata__", "F32", 0, NULL, b) == TT_INVALID);
	CHECK(st_write(w, at(dir, "t.safetensors")) == TT_OK);
	if (CHECK(fs_read(at(dir, "t.safetensors"), 4096, &file) == TT_OK)) {
		CHECK(file.size > 8 + sizeof(header) &&
		      !memcmp(file.data + 8, header, sizeof(header) - 1));
		CHECK((unsigned char)file.data[0] % 8 == 0);
		buf_done(&file);
	}
	if (CHECK(st_open(at(dir, "t.safetensors"), &f) == TT_OK)) {
		CHECK(st_count(f) == 4);
		CHECK_STR(st_at(f, 0)->name, "n");
		CHECK_STR(st_metadata(f, "format"), "pt");
		CHECK_STR(st_metadata(f, "k"), "v\"");
		CHECK(!st_metadata(f, "none"));
		CHECK(st_map_f32(st_find(f, "a")) &&
		      !memcmp(st_map_f32(st_find(f, "a")), a, sizeof(a)));
		CHECK(st_find(f, "a")->rank == 2 && st_find(f, "b")->rank == 0 &&
		      st_find(f, "u")->size == 0);
	}
	st_close(f);
	CHECK(st_writer_add(w, "b", "U8", 0, NULL, b) == TT_OK);
	CHECK(st_write(w, at(dir, "t.safetensors")) == TT_INVALID && strstr(err_text(), "twice"));
	st_writer_free(w);
}

/* A file of the reference writer, read and written again, has the same bytes. */
static void same_bytes_as_the_reference(const char *dir)
{
	char path[PATH_MAX];
	const char *top = getenv("top_srcdir");
	struct st_writer *w = NULL;
	struct st_file *f = NULL;
	struct buf a = { .data = NULL }, b = { .data = NULL };

	snprintf(path, sizeof(path), "%s/tests/fixtures/bert/classes/model.safetensors",
		 top ? top : ".");
	if (!CHECK(st_open(path, &f) == TT_OK && st_writer_new(&w) == TT_OK))
		return;
	for (size_t i = st_count(f); i-- > 0;) {
		const struct st_tensor *t = st_at(f, i);

		if (st_writer_add(w, t->name, t->dtype, t->rank, t->dim, t->data))
			break;
	}
	CHECK(st_write(w, at(dir, "again.safetensors")) == TT_OK);
	CHECK(fs_read(path, 1 << 20, &a) == TT_OK &&
	      fs_read(at(dir, "again.safetensors"), 1 << 20, &b) == TT_OK);
	CHECK(a.size == b.size && !memcmp(a.data, b.data, a.size));
	buf_done(&a);
	buf_done(&b);
	st_writer_free(w);
	st_close(f);
}

/* A write that fails leaves the old file, and a reader that mapped it reads on. */
static void write_is_atomic(const char *dir)
{
	const float old = 1, next = 2;
	struct st_writer *w = NULL;
	struct st_file *f = NULL;

	for (int i = 0; i < 2; i++) {
		CHECK(st_writer_new(&w) == TT_OK &&
		      st_writer_add(w, "x", "F32", 0, NULL, i ? &next : &old) == TT_OK);
		if (i)
			CHECK(st_open(at(dir, "x.safetensors"), &f) == TT_OK);
		CHECK(st_write(w, at(dir, "x.safetensors")) == TT_OK);
		st_writer_free(w);
	}
	CHECK(*st_map_f32(st_at(f, 0)) == 1);
	st_close(f);
	CHECK(st_open(at(dir, "x.safetensors"), &f) == TT_OK && *st_map_f32(st_at(f, 0)) == 2);
	st_close(f);
	CHECK(st_writer_new(&w) == TT_OK);
	CHECK(st_write(w, at(dir, "nowhere/x.safetensors")) != TT_OK);
	st_writer_free(w);
}

static void write_shard(const char *path, const char *one, const char *two, float from)
{
	float v[2] = { from, from + 1 };
	struct st_writer *w = NULL;

	CHECK(st_writer_new(&w) == TT_OK && st_writer_add(w, one, "F32", 0, NULL, &v[0]) == TT_OK);
	if (two)
		CHECK(st_writer_add(w, two, "F32", 0, NULL, &v[1]) == TT_OK);
	CHECK(st_write(w, path) == TT_OK);
	st_writer_free(w);
}

static int open_index(const char *dir, const char *map, struct st_file **ret)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"metadata\":{\"total_size\":1},\"weight_map\":%s}", map);
	CHECK(fs_write_atomic(at(dir, "model.safetensors.index.json"), text, strlen(text)) ==
	      TT_OK);
	return st_open_folder(dir, ret);
}

static void shards(const char *dir)
{
	static const struct {
		const char *map, *says;
	} wrong[] = {
		{ "{\"a\":\"../m1.safetensors\"}", "not a plain file name" },
		{ "{\"a\":\"/etc/passwd\"}", "not a plain file name" },
		{ "{\"a\":\"x\\\\m1\"}", "not a plain file name" },
		{ "{\"a\":\"..\"}", "not a plain file name" },
		{ "{\"a\":\"\"}", "not a plain file name" },
		{ "{\"a\":7}", "not a plain file name" },
		{ "{}", "not an object with tensor names" },
		{ "[]", "not an object with tensor names" },
		{ "{\"a\":\"m9.safetensors\"}", "cannot open" },
		{ "{\"z\":\"m1.safetensors\"}", "m1.safetensors does not hold 'z'" },
		{ "{\"a\":\"m2.safetensors\"}", "m2.safetensors does not hold 'a'" },
		{ "{\"a\":\"link.safetensors\"}", "does not lead into the hub's cache" },
	};
	struct st_file *f = NULL;

	write_shard(at(dir, "m1.safetensors"), "a", "both", 1);
	write_shard(at(dir, "m2.safetensors"), "b", "both", 5);
	CHECK(!symlink("m1.safetensors", at(dir, "link.safetensors")));
	if (CHECK(open_index(dir,
			     "{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\",\"both\":\"m2."
			     "safetensors\"}",
			     &f) == TT_OK)) {
		CHECK(st_count(f) == 3);
		CHECK(*st_map_f32(st_find(f, "a")) == 1 && *st_map_f32(st_find(f, "b")) == 5);
		CHECK(*st_map_f32(st_find(f, "both")) == 6);
		CHECK_STR(st_at(f, 0)->name, "a");
		st_close(f);
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		refused(open_index(dir, wrong[i].map, &f) != TT_OK, wrong[i].says, wrong[i].map);
}

/* A snapshot of the hub's cache: links to ../../blobs/HASH, two folders up. */
static void hub_cache(const char *dir)
{
	char snapshot[PATH_MAX];
	struct st_file *f;

	fs_join(snapshot, sizeof(snapshot), dir, "hub/snapshots/abc");
	CHECK(fs_mkdirs(snapshot) == TT_OK && fs_mkdirs(at(dir, "hub/blobs")) == TT_OK);
	write_shard(at(dir, "hub/blobs/d1"), "a", NULL, 3);
	CHECK(!symlink("../../blobs/d1", at(snapshot, "s1.safetensors")));
	CHECK(!symlink("../../blobs/../blobs/d1", at(snapshot, "s2.safetensors")));
	CHECK(open_index(snapshot, "{\"a\":\"s1.safetensors\"}", &f) == TT_OK &&
	      *st_map_f32(st_at(f, 0)) == 3);
	st_close(f);
	CHECK(open_index(snapshot, "{\"a\":\"s2.safetensors\"}", &f) == TT_INVALID);
	CHECK(!symlink("d1", at(dir, "hub/blobs/d2")) &&
	      !symlink("../../blobs/d2", at(snapshot, "s3.safetensors")));
	CHECK(open_index(snapshot, "{\"a\":\"s3.safetensors\"}", &f) != TT_OK);
}

static void folders(const char *dir)
{
	char sub[PATH_MAX];
	struct st_file *f;

	fs_join(sub, sizeof(sub), dir, "empty");
	CHECK(st_open_folder(at(dir, "none"), &f) == TT_NOTFOUND &&
	      strstr(err_text(), "was it moved or deleted?"));
	CHECK(fs_mkdirs(sub) == TT_OK);
	CHECK(st_open_folder(sub, &f) == TT_NOTFOUND && strstr(err_text(), "holds no weights"));
	CHECK(fs_write_atomic(at(sub, "pytorch_model.bin"), "x", 1) == TT_OK);
	CHECK(st_open_folder(sub, &f) == TT_INVALID &&
	      strstr(err_text(), "convert it to model.safetensors"));
	CHECK(fs_write_atomic(at(sub, "model.safetensors"), "", 0) == TT_OK);
	CHECK(st_open_folder(sub, &f) == TT_INVALID && strstr(err_text(), "shorter than 8 bytes"));
	CHECK(!mkfifo(at(sub, "pipe"), 0600) && st_open(at(sub, "pipe"), &f) == TT_INVALID);
	CHECK(st_open(sub, &f) == TT_INVALID);
}

/* ---- memory that is given back ---- */

enum { MANY = 2 << 20 };

/* What the process holds of files, in bytes. */
static long held_of_files(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*d %*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static bool all_there(const float *x)
{
	for (int i = 0; i < MANY; i++)
		if (x[i] != (float)(i + 1))
			return false;
	return true;
}

/*
 * Of a mapped file pages are given back and come again. On a network file system the
 * numbers are a copy: nothing of it may be given back, as it would come again as zeros.
 */
static void forgotten(const char *path, bool network)
{
	const long size = (long)(MANY * sizeof(float));
	const float *x;
	struct st_file *f;
	long before;

	on_nfs = network;
	if (!CHECK(st_open(path, &f) == TT_OK))
		return;
	network = fs_network(path) != NULL;
	on_nfs = false;
	x = st_map_f32(st_at(f, 0));
	CHECK(st_maps(f, x) == !network && st_maps(f, x + MANY - 1) == !network);
	CHECK(all_there(x));
	before = held_of_files();
	st_forget(f, x, (size_t)size);
	CHECK((before - held_of_files() > size / 2) == !network);
	CHECK(all_there(x));
	st_forget_around(f, x + MANY / 2);
	CHECK(all_there(x));
	st_close(f);
}

static void forgetting(const char *dir)
{
	const int64_t dim = MANY;
	float *x = malloc(MANY * sizeof(*x));
	struct st_writer *w = NULL;

	for (int i = 0; x && i < MANY; i++)
		x[i] = (float)(i + 1);
	CHECK(x && st_writer_new(&w) == TT_OK && st_writer_add(w, "x", "F32", 1, &dim, x) == TT_OK);
	CHECK(st_write(w, at(dir, "many.safetensors")) == TT_OK);
	st_writer_free(w);
	free(x);
	forgotten(at(dir, "many.safetensors"), false);
	forgotten(at(dir, "many.safetensors"), true);
}

int main(void)
{
	char dir[PATH_MAX];

	tables();
	lengths();
	nul_padding();
	caps();
	names_in_errors_are_printable();
	values();
	alignment();
	if (!CHECK(toy_folder(dir, sizeof(dir)) != NULL))
		return check_done();
	round_trip(dir);
	same_bytes_as_the_reference(dir);
	write_is_atomic(dir);
	shards(dir);
	hub_cache(dir);
	folders(dir);
	forgetting(dir);
	fs_remove_tree(dir);
	return check_done();
}
