/* Growing bytes: they end in NUL, and nothing gets past the declared largest size. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/err.h"

static void grows(void)
{
	struct buf b;
	bool whole = true;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 100000; i++)
		buf_char(&b, (char)('a' + i % 26));
	for (int i = 0; i < 100000; i++)
		whole = whole && b.data[i] == 'a' + i % 26;
	CHECK(b.size == 100000);
	CHECK(whole);
	CHECK(b.data[b.size] == 0);
	CHECK(buf_check(&b, "it") == TT_OK);
	buf_done(&b);
	CHECK(!b.data && !b.size && b.max == 1 << 20);
}

static void prints(void)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_text(&b, "");
	CHECK_STR(b.data, "");
	buf_printf(&b, "%d %s", 42, "is");
	buf_text(&b, " it");
	buf_add(&b, "\0!", 2);
	CHECK(b.size == 10);
	CHECK(!memcmp(b.data, "42 is it\0!", 11));
	buf_clear(&b);
	CHECK(b.size == 0);
	CHECK_STR(b.data, "");
	buf_spaces(&b, 3);
	buf_spaces(&b, 0);
	buf_spaces(&b, -5);
	CHECK_STR(b.data, "   ");
	buf_spaces(&b, 998);
	CHECK(b.bad && b.size == 3);
	buf_done(&b);
}

static void stops_at_the_largest_size(void)
{
	struct buf b;

	buf_init(&b, 10);
	buf_text(&b, "0123456789");
	CHECK(!b.bad && b.size == 10);
	buf_char(&b, 'x');
	CHECK(b.bad && b.size == 10);
	CHECK_STR(b.data, "0123456789");
	CHECK(buf_check(&b, "the line") == TT_NOMEM);
	CHECK(strstr(err_text(), "the line is larger than 10 bytes"));
	buf_clear(&b);
	CHECK(!b.bad);
	buf_printf(&b, "%s", "more than ten bytes");
	CHECK(b.bad && b.size == 0);
	buf_text(&b, "x"); /* a bad buffer stays as it is */
	CHECK(b.size == 0);
	buf_done(&b);
}

int main(void)
{
	grows();
	prints();
	stops_at_the_largest_size();
	return check_done();
}
