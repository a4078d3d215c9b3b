/* UTF-8 checking by the table of RFC 3629, and round trips. */
#include "tests/check.h"

#include "base/array.h"
#include "data/text.h"

static const struct {
	const char *s;
	size_t n, bad; /* bad == n: well formed */
} cases[] = {
	{ "", 0, 0 },
	{ "abc", 3, 3 },
	{ "\x00z", 2, 2 },
	{ "\xc3\xa9", 2, 2 },
	{ "a\xc3", 2, 1 },
	{ "\xc0\x80", 2, 0 },
	{ "\xc1\xbf", 2, 0 },
	{ "\xe0\x9f\xbf", 3, 0 },
	{ "\xe0\xa0\x80", 3, 3 },
	{ "\xed\x9f\xbf", 3, 3 },
	{ "\xed\xa0\x80", 3, 0 },
	{ "\xef\xbf\xbf", 3, 3 },
	{ "\xe2\x82", 2, 0 },
	{ "\xf0\x8f\xbf\xbf", 4, 0 },
	{ "\xf0\x90\x80\x80", 4, 4 },
	{ "\xf4\x8f\xbf\xbf", 4, 4 },
	{ "\xf4\x90\x80\x80", 4, 0 },
	{ "\xf5\x80\x80\x80", 4, 0 },
	{ "\x80", 1, 0 },
	{ "12345678\xff", 9, 8 },
	{ "123456789abcdefg\xe2\x82\xac\xe2\x28", 21, 19 },
};

static void every_character_round_trips(void)
{
	size_t bad = 0;

	for (uint32_t c = 0; c < 0x110000; c++) {
		char s[4];
		size_t at = 0, n, where;

		if (c >= 0xd800 && c < 0xe000)
			continue;
		n = utf8_put(s, c);
		bad += utf8_get(s, &at) != c || at != n || !utf8_check(s, n, &where) ||
		       utf8_back(s, n) != 0 || utf8_count(s, n) != 1;
	}
	CHECK(bad == 0);
}

static void arrays_grow(void)
{
	struct text t = { 0 };
	int32_t *x = NULL;
	size_t room = 0;

	CHECK(text_add(&t, "ab", 2) == 0 && text_add(&t, NULL, 0) == 0 && t.n == 2);
	CHECK(text_reserve(&t, (size_t)TEXT_MAX + 1) < 0 && !memcmp(t.data, "ab", 2));
	text_done(&t);
	CHECK(!t.data && !t.room);
	CHECK(array_grow(&x, &room, 17, sizeof(*x)) == 0 && room == 32);
	CHECK(array_grow(&x, &room, SIZE_MAX / 2, sizeof(*x)) < 0 && room == 32);
	text_done(&(struct text){ .data = (char *)x });
}

int main(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t at = cases[i].n;
		const bool ok = utf8_check(cases[i].s, cases[i].n, &at);

		CHECK(ok == (cases[i].bad == cases[i].n) && at == cases[i].bad);
	}
	CHECK(ascii_span("12345678901\xc3", 12) == 11 && ascii_span("", 0) == 0);
	every_character_round_trips();
	arrays_grow();
	return check_done();
}
