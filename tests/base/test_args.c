/* Options and arguments: every way to write one, and what is refused with which words. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/args.h"
#include "base/array.h"
#include "base/err.h"

static const struct arg table[] = {
	{ "--set", 0, "PATH=VALUE", "a value, often" },
	{ "--json", 0, NULL, "a switch" },
	{ "--follow", 'f', NULL, "a switch with a letter" },
	{ "-k", 'k', "N", "a value with a letter only" },
	{ "--limit", 0, "N", "a number" },
	{ 0 },
};

enum { WORDS = 8 };

static int parse(const char *const *word, struct args *ret)
{
	char *argv[WORDS + 1];
	int n = 0;

	while (word[n]) {
		argv[n] = (char *)word[n];
		n++;
	}
	argv[n] = NULL;
	return args_parse(table, n, argv, ret);
}

static void every_way_to_write_one(void)
{
	static const struct {
		const char *word[WORDS + 1];
		const char *pos; /* with blanks between */
		const char *set, *k;
		bool json, follow;
	} cases[] = {
		{ { "v" }, "", NULL, NULL, false, false },
		{ { "v", "a", "b" }, "a b", NULL, NULL, false, false },
		{ { "v", "--set", "x=1", "a" }, "a", "x=1", NULL, false, false },
		{ { "v", "a", "--set=x=1" }, "a", "x=1", NULL, false, false },
		{ { "v", "--set=" }, "", "", NULL, false, false },
		{ { "v", "--set", "--json" }, "", "--json", NULL, false, false },
		{ { "v", "--set", "x", "--set", "y" }, "", "y", NULL, false, false },
		{ { "v", "-k", "3", "-f" }, "", NULL, "3", false, true },
		{ { "v", "-k3", "--json", "--follow" }, "", NULL, "3", true, true },
		{ { "v", "-k", "-3" }, "", NULL, "-3", false, false },
		{ { "v", "--", "--json", "-k" }, "--json -k", NULL, NULL, false, false },
		{ { "v", "--json", "--", "--" }, "--", NULL, NULL, true, false },
		{ { "v", "-" }, "-", NULL, NULL, false, false },
		{ { "v", "" }, "", NULL, NULL, false, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *name = cases[i].word[1] ? cases[i].word[1] : "nothing";
		struct args a;
		char pos[100] = "";

		CHECK_NAMED(parse(cases[i].word, &a) == TT_OK, name);
		for (int k = 0; k < a.npos; k++)
			snprintf(pos + strlen(pos), sizeof(pos) - strlen(pos), "%s%s", k ? " " : "",
				 a.pos[k]);
		CHECK_STR(pos, cases[i].pos);
		CHECK_STR(a.verb, "v");
		CHECK_NAMED(!args_value(&a, "--set") == !cases[i].set, name);
		if (cases[i].set)
			CHECK_STR(args_value(&a, "--set"), cases[i].set);
		CHECK_NAMED(!args_value(&a, "-k") == !cases[i].k, name);
		if (cases[i].k)
			CHECK_STR(args_value(&a, "-k"), cases[i].k);
		CHECK_NAMED(args_has(&a, "--json") == cases[i].json, name);
		CHECK_NAMED(args_has(&a, "--follow") == cases[i].follow, name);
	}
}

static void all_values_in_order(void)
{
	static const char *const word[] = { "v",       "--set", "a", "--json",
					    "--set=b", "--set", "c", NULL };
	const char *value[2];
	struct args a;

	CHECK(parse(word, &a) == TT_OK);
	CHECK(args_values(&a, "--set", value, COUNT(value)) == 2);
	CHECK_STR(value[0], "a");
	CHECK_STR(value[1], "b");
	CHECK(args_values(&a, "--limit", value, COUNT(value)) == 0);
}

static void what_is_refused(void)
{
	static const struct {
		const char *word[WORDS + 1];
		const char *says;
	} cases[] = {
		{ { "v", "--jsno" }, "unknown option --jsno; did you mean --json?" },
		{ { "v", "--folow" }, "unknown option --folow; did you mean --follow?" },
		{ { "v", "--zzzzzzzz" }, "unknown option --zzzzzzzz" },
		{ { "v", "-x" }, "unknown option -x" },
		{ { "v", "--json=1" }, "--json takes no value" },
		{ { "v", "-f1" }, "--follow takes no value" },
		{ { "v", "--set" }, "--set needs a value: --set PATH=VALUE" },
		{ { "v", "a", "-k" }, "-k needs a value: -k N" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct args a;

		CHECK_NAMED(parse(cases[i].word, &a) == TT_INVALID, cases[i].says);
		CHECK(strstr(err_text(), cases[i].says) == err_text());
	}
}

static void too_many(void)
{
	char word[] = "a", option[] = "--json", *argv[ARGS_MAX + 3];
	struct args a;

	for (int i = 0; i < ARGS_MAX + 2; i++)
		argv[i] = word;
	CHECK(args_parse(table, ARGS_MAX + 1, argv, &a) == TT_OK && a.npos == ARGS_MAX);
	CHECK(args_parse(table, ARGS_MAX + 2, argv, &a) == TT_INVALID);
	for (int i = 1; i < ARGS_MAX + 2; i++)
		argv[i] = option;
	CHECK(args_parse(table, ARGS_MAX + 1, argv, &a) == TT_OK && a.nopt == ARGS_MAX);
	CHECK(args_parse(table, ARGS_MAX + 2, argv, &a) == TT_INVALID);
	CHECK(args_parse(NULL, 1, argv, &a) == TT_OK);
	CHECK(args_parse(NULL, 2, argv, &a) == TT_INVALID);
}

static void whole_numbers(void)
{
	static const struct {
		const char *text; /* NULL: not given */
		int code;
		long long value;
	} cases[] = {
		{ NULL, TT_OK, 7 },
		{ "1", TT_OK, 1 },
		{ "50", TT_OK, 50 },
		{ "0", TT_INVALID, 0 },
		{ "51", TT_INVALID, 0 },
		{ "-1", TT_INVALID, 0 },
		{ "", TT_INVALID, 0 },
		{ "3x", TT_INVALID, 0 },
		{ "3.5", TT_INVALID, 0 },
		{ "many", TT_INVALID, 0 },
		{ "99999999999999999999", TT_INVALID, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *const with[] = { "v", "--limit", cases[i].text, NULL };
		const char *const without[] = { "v", NULL };
		const char *name = cases[i].text ? cases[i].text : "absent";
		long long value = -99;
		struct args a;

		CHECK(parse(cases[i].text ? with : without, &a) == TT_OK);
		CHECK_NAMED(args_int(&a, "--limit", 1, 50, 7, &value) == cases[i].code, name);
		CHECK_NAMED(value == (cases[i].code ? -99 : cases[i].value), name);
		if (cases[i].code)
			CHECK(strstr(err_text(), "it takes a whole number from 1 to 50"));
	}
}

int main(void)
{
	every_way_to_write_one();
	all_values_in_order();
	what_is_refused();
	too_many();
	whole_numbers();
	return check_done();
}
