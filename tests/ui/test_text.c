/* Nothing from outside reaches the terminal raw, and columns stay aligned. */
#include "tests/check.h"

#include "base/array.h"
#include "tests/ui/stage.h"

static const struct {
	const char *what, *text, *shown;
	int width;
} cases[] = {
	{ "plain", "sst2-lora", "sst2-lora", 9 },
	{ "empty", "", "", 0 },
	{ "escape sequence", "a\033[31mred", "a\uFFFD[31mred", 9 },
	{ "title sequence", "\033]0;x\007", "\uFFFD]0;x\uFFFD", 6 },
	{ "C1 control",
	  "a\xc2\x9b"
	  "2J",
	  "a\uFFFD2J", 4 },
	{ "newline and tab", "a\nb\tc",
	  "a\uFFFD"
	  "b c",
	  5 },
	{ "delete", "a\x7f", "a\uFFFD", 2 },
	{ "bidi override", "abc\u202Edef",
	  "abc\uFFFD"
	  "def",
	  7 },
	{ "bidi isolate", "\u2066x\u2069", "\uFFFDx\uFFFD", 3 },
	{ "line separator", "a\u2028b",
	  "a\uFFFD"
	  "b",
	  3 },
	{ "lone continuation", "a\x80z", "a\uFFFDz", 3 },
	{ "cut off sequence", "a\xe6\x95", "a\uFFFD\uFFFD", 3 },
	{ "overlong slash", "\xc0\xaf", "\uFFFD\uFFFD", 2 },
	{ "surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD", 3 },
	{ "beyond Unicode", "\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD", 4 },
	{ "wide", "数据集", "数据集", 6 },
	{ "combining", "e\u0301a", "e\u0301a", 2 },
	{ "many combining", "e\u0301\u0302\u0303\u0304\u0305\u0306x", "e\u0301\u0302\u0303x", 2 },
	{ "combining first", "\u0301a", " \u0301a", 2 },
	{ "joiner and selector", "a\u200D\uFE0Fb", "ab", 2 },
	{ "tag characters", "a\U000E0041", "a\uFFFD", 2 },
};

static void is_tamed(struct stage *s)
{
	char line[4096];

	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)werase(s->w);
		CHECK_NAMED(text_width(cases[i].text) == cases[i].width, cases[i].what);
		CHECK_NAMED(text_put(s->w, 0, 0, 40, cases[i].text) == cases[i].width,
			    cases[i].what);
		stage_line(s, 0, line, sizeof(line));
		CHECK_NAMED(!strcmp(line, cases[i].shown), cases[i].what);
	}
}

static void is_cut(struct stage *s)
{
	static const struct {
		const char *text, *shown;
		int width, used;
	} cut[] = {
		{ "abcdef", "abcdef", 6, 6 }, { "abcdef", "abcd…", 5, 5 },
		{ "abcdef", "…", 1, 1 },      { "abcdef", "", 0, 0 },
		{ "数据集", "数据…", 5, 5 },  { "数据集", "数…", 4, 3 },
		{ "数据集", "数据集", 6, 6 },
	};
	char line[4096];

	for (size_t i = 0; i < COUNT(cut); i++) {
		(void)werase(s->w);
		CHECK_NAMED(text_put(s->w, 0, 0, cut[i].width, cut[i].text) == cut[i].used,
			    cut[i].shown);
		stage_line(s, 0, line, sizeof(line));
		CHECK_NAMED(!strcmp(line, cut[i].shown), cut[i].shown);
	}
	(void)werase(s->w);
	CHECK(text_put(s->w, 0, 78, 40, "abcdef") == 2); /* never beyond the window */
	CHECK(text_put(s->w, 24, 0, 40, "abcdef") == 0);
	CHECK(text_put(s->w, 0, -1, 40, "abcdef") == 0);
	text_put_right(s->w, 1, 0, 10, "数据");
	stage_line(s, 1, line, sizeof(line));
	CHECK_STR(line, "      数据");
}

static void is_broken_at_blanks(struct stage *s)
{
	char line[4096];

	(void)werase(s->w);
	CHECK(text_paragraph(s->w, 0, 0, 10, 9, "one two three four abcdefghijklmno z") == 4);
	stage_line(s, 0, line, sizeof(line));
	CHECK_STR(line, "one two");
	stage_line(s, 1, line, sizeof(line));
	CHECK_STR(line, "three four");
	stage_line(s, 2, line, sizeof(line));
	CHECK_STR(line, "abcdefghij"); /* a word longer than a line */
	stage_line(s, 3, line, sizeof(line));
	CHECK_STR(line, "klmno z");
	(void)werase(s->w);
	CHECK(text_paragraph(s->w, 0, 0, 10, 2, "one two three four five six") == 2);
	stage_line(s, 1, line, sizeof(line));
	CHECK_STR(line, "three fou…");
	CHECK(text_paragraph(s->w, 0, 0, 10, 3, "") == 0 &&
	      text_paragraph(s->w, 0, 0, 0, 3, "abc") <= 3);
}

static void ascii_only(void)
{
	struct stage s;
	char line[4096];

	stage_open(&s, "C", "xterm");
	(void)werase(s.w);
	CHECK(text_put(s.w, 0, 0, 40, "a数e\u0301\033\xff z") == 8);
	stage_line(&s, 0, line, sizeof(line));
	CHECK_STR(line, "a?e??? z");
	(void)werase(s.w);
	text_put(s.w, 0, 0, 4, "abcdef");
	stage_line(&s, 0, line, sizeof(line));
	CHECK_STR(line, "abc~");
	stage_close(&s);
}

static void edits(void)
{
	char text[8] = "";
	const char *p = "é\xff";

	CHECK(text_append(text, sizeof(text), 0xe9) && text_append(text, sizeof(text), 0x6570));
	CHECK_STR(text, "é数");
	CHECK(!text_append(text, sizeof(text), 0x6570)); /* no room */
	CHECK(!text_append(text, sizeof(text), -1));
	text_chop(text);
	CHECK_STR(text, "é");
	text_chop(text);
	text_chop(text);
	CHECK_STR(text, "");
	CHECK(text_decode(&p) == 0xe9 && text_decode(&p) == -1 && text_decode(&p) == 0);
}

static void numbers(void)
{
	static const struct {
		double v;
		int room;
		const char *text;
	} values[] = {
		{ 0.87123, 6, "0.8712" }, { 0.2, 5, "0.200" },     { 412.345, 6, "412.35" },
		{ 123456, 6, "123456" },  { 1234567, 6, "1e+06" }, { 5e-4, 7, "0.0005" },
		{ 4.137e-5, 6, "4e-05" }, { 0, 5, "0.000" },       { -3.14159, 5, "-3.14" },
		{ 1e300, 7, "1e+300" },   { NAN, 5, "NaN" },       { -INFINITY, 5, "-inf" },
	};
	char text[NUMBER_SIZE];

	for (size_t i = 0; i < COUNT(values); i++) {
		number_value(text, values[i].v, values[i].room);
		CHECK_NAMED(!strcmp(text, values[i].text), values[i].text);
		CHECK_NAMED((int)strlen(text) <= values[i].room, values[i].text);
	}
	number_count(text, 1234567);
	CHECK_STR(text, "1,234,567");
	number_count(text, -123);
	CHECK_STR(text, "-123");
	number_count(text, INT64_MIN);
	CHECK_STR(text, "-9,223,372,036,854,775,808");
	number_short(text, 11171074);
	CHECK_STR(text, "11M");
	number_short(text, 999600);
	CHECK_STR(text, "1.0M");
	number_short(text, 514);
	CHECK_STR(text, "514");
	number_duration(text, INT64_C(252000000));
	CHECK_STR(text, "04:12");
	number_duration(text, INT64_C(11052000000));
	CHECK_STR(text, "3:04:12");
	number_duration(text, INT64_C(1047600000000));
	CHECK_STR(text, "12d 3h");
	number_duration(text, -5);
	CHECK_STR(text, "00:00");
}

int main(void)
{
	struct stage s;

	stage_open(&s, "C.UTF-8", "xterm");
	is_tamed(&s);
	is_cut(&s);
	is_broken_at_blanks(&s);
	stage_close(&s);
	ascii_only();
	edits();
	numbers();
	return check_done();
}
