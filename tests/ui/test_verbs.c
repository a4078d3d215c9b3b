/* The command line of the workbench: words, completion, verbs that are really run, and what is said when they are not. */
#include "tests/check.h"

#include "base/array.h"
#include "base/proc.h"
#include "tests/ui/stage.h"
#include "ui/complete.h"
#include "ui/verbs.h"

static void splits(void)
{
	static const struct {
		const char *line, *words; /* with | between; NULL: refused */
	} lines[] = {
		{ "", "" },
		{ "  ls   --json ", "ls|--json" },
		{ "ls --filter 'a b' c", "ls|--filter|a b|c" },
		{ "note latest \"it's \\\"good\\\"\"", "note|latest|it's \"good\"" },
		{ "a\\ b '\\' \"\"", "a b|\\|" },
		{ "x'y z'w", "xy zw" },
		{ "a 'b", NULL },
		{ "a \"b\\\"", NULL },
	};

	for (size_t i = 0; i < COUNT(lines); i++) {
		char line[200], *word[WORDS_MAX + 1], got[200] = "";
		size_t n = 0;
		int code;

		snprintf(line, sizeof(line), "%s", lines[i].line);
		code = verbs_split(line, word, &n);
		CHECK_NAMED((code == TT_OK) == (lines[i].words != NULL), lines[i].line);
		for (size_t k = 0; !code && k < n; k++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", k ? "|" : "",
				 word[k]);
		CHECK_NAMED(code || !strcmp(got, lines[i].words), got);
	}
}

static void too_many_words(void)
{
	char line[400] = "", *word[WORDS_MAX + 1];
	size_t n;

	for (int i = 0; i < WORDS_MAX; i++)
		strcat(line, "a ");
	CHECK(verbs_split(line, word, &n) == TT_OK && n == WORDS_MAX && !word[n]);
	line[0] = 0;
	for (int i = 0; i <= WORDS_MAX; i++)
		strcat(line, "a ");
	CHECK(verbs_split(line, word, &n) == TT_INVALID);
}

static void completes(void)
{
	static const char *const all[] = { "peft.r", "peft.method", "name", "数据", "数据集" };
	static const struct {
		const char *before, *after;
		size_t n;
	} lines[] = {
		{ "pe", "peft.", 2 },      { "x (na", "x (name", 1 }, { "x zz", "x zz", 0 },
		{ "peft.r", "peft.r", 1 }, { "数", "数据", 2 },       { "", "", 5 },
	};

	for (size_t i = 0; i < COUNT(lines); i++) {
		char line[PROMPT_TEXT];
		struct complete c;

		snprintf(line, sizeof(line), "%s", lines[i].before);
		complete_begin(&c, line, "(");
		for (size_t k = 0; k < COUNT(all); k++)
			complete_offer(&c, all[k]);
		complete_end(&c, true);
		CHECK_NAMED(c.n == lines[i].n, lines[i].before);
		CHECK_NAMED(!strcmp(line, lines[i].after), line);
	}
}

/* What two characters of several bytes share is no character. */
static void halves(void)
{
	char line[PROMPT_TEXT] = "";
	struct complete c;

	complete_begin(&c, line, "");
	complete_offer(&c, "a\xC3\xA9");
	complete_offer(&c, "a\xC3\xA8");
	complete_end(&c, true);
	CHECK_STR(line, "a");
}

static const struct arg options[] = { { "--json", 0, NULL, "" },
				      { "--detach", 0, NULL, "" },
				      { 0 } };
static const struct verb verbs[] = { { "launch", options }, { "list", NULL }, { 0 } };

static void type(struct stage *s, const char *line)
{
	stage_keys(s, ":");
	stage_keys(s, line);
	(void)app_key(&s->app, KEY_RETURN);
	stage_draw(s);
}

/* Until it shows, or for half a minute on a machine that is very busy. */
static bool comes(struct stage *s, const char *text)
{
	const int64_t end = proc_clock_us() + 30000000;

	while (!stage_shows(s, text) && proc_clock_us() < end) {
		(void)app_tick(&s->app);
		stage_draw(s);
	}
	return stage_shows(s, text);
}

static void runs_verbs(struct stage *s)
{
	s->app.verbs = verbs;
	type(s, "list 'two words' \"\\033[31m\"");
	CHECK(stage_shows(s, "verbs cannot be started from here"));
	s->app.program = "/bin/echo";
	type(s, "list 'two  words' three");
	CHECK(!strcmp(app_top(&s->app)->ops->name, "output"));
	CHECK(comes(s, "list two  words three") && comes(s, ":list   done"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "launch me"); /* a trainer is not waited for */
	CHECK(comes(s, "launch me --detach") && comes(s, "done"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "launch me --wait");
	CHECK(comes(s, "launch me --wait") && !stage_shows(s, "--detach"));
	(void)app_key(&s->app, KEY_ESCAPE);
	s->app.program = "/bin/false";
	type(s, "list");
	CHECK(comes(s, "failed, status 1"));
	(void)app_key(&s->app, KEY_ESCAPE);
	s->app.program = "/nowhere/program";
	type(s, "list");
	CHECK(stage_shows(s, "cannot start /nowhere/program"));
	s->app.program = "/bin/echo";
}

/* One that does not end by itself is interrupted, or left. */
static void goes_on(struct stage *s)
{
	s->app.program = "/usr/bin/env";
	s->app.verbs = (const struct verb[]){ { "sleep", NULL }, { 0 } };
	type(s, "sleep 600");
	CHECK(comes(s, "at work"));
	stage_keys(s, ".");
	CHECK(comes(s, "ended by signal 2"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "sleep 0");
	(void)app_key(&s->app, KEY_ESCAPE);
	for (const int64_t end = proc_clock_us() + 30000000;
	     s->app.left[0] && proc_clock_us() < end;)
		(void)app_tick(&s->app);
	CHECK(!s->app.left[0]);
	s->app.verbs = verbs;
	s->app.program = "/bin/echo";
}

/* With an empty run log one key starts the recipe of the quickstart; later it opens the line. */
static void starts_the_first(struct stage *s)
{
	s->app.verbs = (const struct verb[]){ { "run", options }, { 0 } };
	stage_draw(s);
	CHECK(stage_shows(s, "t starts the first") && stage_shows(s, "trimtab run mr-lora"));
	stage_keys(s, "t");
	CHECK(comes(s, "run mr-lora --detach") && comes(s, "done"));
	(void)app_key(&s->app, KEY_ESCAPE);
	s->app.verbs = verbs;
}

static void says_no(struct stage *s)
{
	type(s, "lsit");
	CHECK(stage_shows(s, "there is no verb 'lsit'; did you mean list?"));
	type(s, "zzzzzz");
	CHECK(stage_shows(s, "tab lists them"));
	type(s, "list 'x");
	CHECK(stage_shows(s, "a quotation mark is not closed"));
	type(s, "launch --watch");
	CHECK(stage_shows(s, "leave --watch out"));
	type(s, "list %");
	CHECK(stage_shows(s, "there is none")); /* no run log yet */
	type(s, "sort colour");
	CHECK(stage_shows(s, "no order by 'colour'"));
	type(s, "theme pink");
	CHECK(stage_shows(s, "dark, light or plain"));
	type(s, "   ");
	CHECK(s->app.depth == 1);
}

static void own_words(struct stage *s, const char *id)
{
	char line[64];

	type(s, "list %");
	snprintf(line, sizeof(line), "list %.2s", id);
	CHECK(comes(s, line) && comes(s, "done"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "sort -peft.r");
	CHECK_STR(s->app.columns.sort, "-peft.r");
	type(s, "theme light");
	CHECK(s->app.theme.background == BACKGROUND_LIGHT &&
	      !strcmp(s->app.columns.theme, "light"));
	type(s, "columns");
	CHECK(!strcmp(app_top(&s->app)->ops->name, "columns"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "help");
	CHECK(!strcmp(app_top(&s->app)->ops->name, "help"));
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "undelete");
	CHECK(stage_shows(s, "the trash is empty"));
	stage_keys(s, ":la\t");
	CHECK_STR(s->app.prompt.text, "launch ");
	stage_keys(s, "--j\t");
	CHECK_STR(s->app.prompt.text, "launch --json ");
	stage_keys(s, "boolq\t");
	CHECK_STR(s->app.prompt.text, "launch --json boolq-full ");
	stage_keys(s, "zz\t");
	CHECK(stage_shows(s, "nothing fits"));
	(void)app_key(&s->app, KEY_ESCAPE);
	stage_keys(s, ":l\t");
	CHECK(stage_shows(s, "launch  list"));
	(void)app_key(&s->app, KEY_ESCAPE);
	stage_keys(s, ":theme d\t");
	CHECK_STR(s->app.prompt.text, "theme dark ");
	(void)app_key(&s->app, KEY_ESCAPE);
	stage_keys(s, "f(train.se\t");
	CHECK_STR(s->app.prompt.text, "(train.seed");
	(void)app_key(&s->app, KEY_ESCAPE);
	stage_keys(s, "t");
	CHECK(!strcmp(s->app.prompt.text, "run ") && s->app.prompt.kind);
	(void)app_key(&s->app, KEY_ESCAPE);
	type(s, "quit");
	CHECK(s->app.quit);
}

int main(void)
{
	char id[RUN_ID_SIZE];
	struct stage s;

	(void)setenv("TZ", "UTC", 1);
	splits();
	too_many_words();
	stage_open(&s, "C.UTF-8", "xterm-256color");
	stage_draw(&s);
	completes();
	halves();
	runs_verbs(&s);
	goes_on(&s);
	starts_the_first(&s);
	says_no(&s);
	stage_fill(&s, id);
	stage_draw(&s);
	own_words(&s, id);
	stage_close(&s);
	return check_done();
}
