/* Running one verb: its help, its exit status, and one line on stderr for each failure. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/command.h"
#include "base/err.h"

static int calls;

static int verb(const struct args *a)
{
	calls++;
	if (!strcmp(a->pos[0], "fail"))
		return err_set(TT_INVALID, "it went wrong");
	if (!strcmp(a->pos[0], "usage"))
		return err_set(TT_USAGE, "these do not go together");
	if (!strcmp(a->pos[0], "said"))
		return TT_SAID;
	puts("data");
	return TT_OK;
}

static const struct arg options[] = {
	{ "--long", 'l', NULL, "with a letter" },
	{ "-k", 'k', "N", "a letter alone" },
	{ "--set", 0, "PATH=VALUE", "with a value" },
	{ 0 },
};

static const struct command example = {
	.name = "example",
	.usage = "WORD [OTHER]",
	.summary = "Do what a word says.",
	.details = "More about it.",
	.options = options,
	.min_args = 1,
	.max_args = 2,
	.run = verb,
};

static const struct command plain = {
	.name = "plain", .usage = "", .summary = "No more.", .run = verb
};

/* What file descriptor fd gets while the verb runs. */
static int capture(int fd, const struct command *c, const char *const *word, char *ret, size_t size)
{
	char path[] = "/tmp/test_command-XXXXXX", *argv[8];
	const int to = mkstemp(path), old = dup(fd);
	int n = 0, status;
	ssize_t got;

	while (word[n]) {
		argv[n] = (char *)word[n];
		n++;
	}
	fflush(stdout);
	dup2(to, fd);
	status = command_execute("program", c, n, argv);
	fflush(stdout);
	dup2(old, fd);
	got = pread(to, ret, size - 1, 0);
	ret[got < 0 ? 0 : got] = 0;
	close(to);
	close(old);
	unlink(path);
	return status;
}

static void statuses(void)
{
	static const struct {
		const char *word[5];
		int status, calls;
		const char *says; /* the whole of stderr */
	} cases[] = {
		{ { "example", "fail" }, 1, 1, "program example: it went wrong\n" },
		{ { "example", "said" }, 1, 1, "" },
		{ { "example", "usage" },
		  2,
		  1,
		  "program example: these do not go together (usage: program example WORD "
		  "[OTHER])\n" },
		{ { "example" },
		  2,
		  0,
		  "program example: something is missing (usage: program example WORD [OTHER])\n" },
		{ { "example", "a", "b", "c" },
		  2,
		  0,
		  "program example: 'c' is one argument too many (usage: program example WORD "
		  "[OTHER])\n" },
		{ { "example", "a", "--lnog" },
		  2,
		  0,
		  "program example: unknown option --lnog; did you mean --long? (usage: program "
		  "example WORD [OTHER])\n" },
	};
	char text[1000];

	for (size_t i = 0; i < COUNT(cases); i++) {
		calls = 0;
		CHECK_NAMED(capture(STDERR_FILENO, &example, cases[i].word, text, sizeof(text)) ==
				    cases[i].status,
			    cases[i].word[1] ? cases[i].word[1] : "nothing");
		CHECK_STR(text, cases[i].says);
		CHECK(calls == cases[i].calls);
	}
}

static void success(void)
{
	static const char *const word[] = { "example", "fine", "-l", NULL };
	char text[1000];

	CHECK(capture(STDERR_FILENO, &example, word, text, sizeof(text)) == 0);
	CHECK_STR(text, "");
	CHECK(capture(STDOUT_FILENO, &example, word, text, sizeof(text)) == 0);
	CHECK_STR(text, "data\n");
}

static void help(void)
{
	static const char *const asks[][5] = { { "example", "--help" },
					       { "example", "-h" },
					       { "example", "a", "b", "c", "--help" },
					       { "example", "--nonsense", "-h" } };
	static const char *const after[] = { "example", "fine", "--", "-h", NULL };
	static const char *const alone[] = { "plain", "-h", NULL };
	char text[2000];

	calls = 0;
	for (size_t i = 0; i < COUNT(asks); i++) {
		CHECK(capture(STDOUT_FILENO, &example, asks[i], text, sizeof(text)) == 0);
		CHECK(strstr(text, "Usage: program example WORD [OTHER]\n\nDo what a word says.\n\n"
				   "More about it.\n\nOptions:\n") == text);
		CHECK(strstr(text, "\n  -l, --long "));
		CHECK(strstr(text, "\n  -k N "));
		CHECK(strstr(text, "\n  --set PATH=VALUE "));
	}
	CHECK(calls == 0);
	CHECK(capture(STDOUT_FILENO, &example, after, text, sizeof(text)) == 0);
	CHECK(calls == 1); /* behind -- it is an argument */
	CHECK(capture(STDOUT_FILENO, &plain, alone, text, sizeof(text)) == 0);
	CHECK_STR(text, "Usage: program plain\n\nNo more.\n");
}

static void finding(void)
{
	static const struct command *const all[] = { &example, &plain, NULL };

	CHECK(command_find(all, "plain") == &plain);
	CHECK(command_find(all, "plai") == NULL);
	CHECK(command_find(all, "") == NULL);
}

int main(void)
{
	statuses();
	success();
	help();
	finding();
	return check_done();
}
