/* Ruby's regular expressions on PCRE2: the differences, and what is refused. */
#include "tests/check.h"

#include "base/array.h"
#include "base/err.h"
#include "data/regex.h"

/* Matches as "start-end " of each. */
static const struct {
	const char *pattern, *text, *matches;
} cases[] = {
	{ "^a", "ab\nab", "0-1 3-4 " },
	{ "b$", "ab\nab", "1-2 4-5 " },
	{ "\\p{N}{1,3}+", "1234567", "0-7 " },
	{ "\\p{N}{1,3}", "1234567", "0-3 3-6 6-7 " },
	{ "x{2,3}+y", "xxxxxxxy", "0-8 " },
	{ "[\\h]+", "g1aFz", "1-4 " },
	{ "\\h+\\H", "12 x", "0-3 " },
	{ "\\w+", "a\xcc\x81_\xc2\xbd.b", "0-6 7-8 " },
	{ "[^\\w]", "a.\xc2\xbd", "1-2 " },
	{ "(?i)'S", "a's'\xc5\xbf", "1-3 3-6 " },
	{ "(?m:a.b)", "a\nb", "0-3 " },
	{ "a.b", "a\nb", "" },
	{ "\\s|\\S", "\u180e\u3000", "0-3 3-6 " },
	{ "\\s", "\u180e\xc2\x85", "3-5 " },
	{ "[\\s]+", " \u2028\u180e", "0-4 " },
	{ "\\s+(?!\\S)|\\s+", "a   b", "1-3 3-4 " },
	{ "(?=b)", "abab", "1-1 3-3 " },
	{ "b*", "abb", "0-0 1-3 " },
	{ "x*", "\xc3\xa9y", "0-0 2-2 3-3 " },
	{ "[[:digit:]]", "a1", "1-2 " },
	{ "[]a]", "]a", "0-1 1-2 " },
	{ "a{,2}b", "aab", "0-3 " },
	{ "{x", "{x", "0-2 " },
};

static const struct {
	const char *pattern, *why;
} refused[] = {
	{ "(", "cannot be read" },         { "a\\", "ends in a backslash" },
	{ "[a&&b]", "&& inside a class" }, { "[a[b]]", "a class inside a class" },
	{ "[\\W]", "inside a class" },     { "(?~a)", "absence operator" },
	{ "a{3,4}+", "leaves gaps" },      { "\\C", "cannot be read" },
};

static void check_case(const char *pattern, const char *text, const char *want)
{
	struct regex *r = NULL;
	struct regex_walk *w = NULL;
	char have[200] = "";
	size_t at = 0, start, end;
	int code;

	if (regex_new(pattern, &r) < 0 || regex_walk_new(r, &w) < 0) {
		check_line(false, __FILE__, __LINE__, err_text());
		regex_free(r);
		return;
	}
	regex_walk_start(w, text, strlen(text));
	for (code = regex_walk_next(w, &start, &end); code > 0 && at < 150;
	     code = regex_walk_next(w, &start, &end))
		at += (size_t)snprintf(have + at, sizeof(have) - at, "%zu-%zu ", start, end);
	if (!check_line(!code && !strcmp(have, want), __FILE__, __LINE__, pattern))
		printf("# have %s\n# want %s\n", have, want);
	regex_walk_free(w);
	regex_free(r);
}

/* Exponential without limits. */
static void endless_matching_gives_up(void)
{
	struct regex *r = NULL;
	struct regex_walk *w = NULL;
	size_t start, end;

	CHECK(regex_new("^(a|aa)+\\z", &r) == TT_OK && regex_walk_new(r, &w) == TT_OK);
	regex_walk_start(w, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 46);
	CHECK(regex_walk_next(w, &start, &end) == TT_INVALID);
	CHECK(strstr(err_text(), "gave up on a text") != NULL);
	regex_walk_free(w);
	regex_free(r);
}

int main(void)
{
	for (size_t i = 0; i < COUNT(cases); i++)
		check_case(cases[i].pattern, cases[i].text, cases[i].matches);
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct regex *r = NULL;

		CHECK_NAMED(regex_new(refused[i].pattern, &r) == TT_INVALID &&
				    strstr(err_text(), refused[i].why),
			    refused[i].pattern);
		regex_free(r);
	}
	endless_matching_gives_up();
	return check_done();
}
