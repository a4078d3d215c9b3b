/* Dispatch, and what several verbs share. */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/knob.h"
#include "base/knob.h"
#include "base/proc.h"
#include "ui/app.h"

#define ITEM(n) extern const struct command command_##n;
#include "cmd/list.inc"
#undef ITEM

static const struct command *const all[] = {
#define ITEM(n) &command_##n,
#include "cmd/list.inc"
#undef ITEM
	NULL
};

enum { PIECE = 1 << 16 }; /* what a pipe takes at once */

static const struct passed_on passed_on[] = {
	{ "eval", "Measure a run, or the model of a recipe before any training." },
	{ "predict", "Say what a run makes of a text, or of every row of a file." },
	{ "fill", "Fill the [MASK]s of a text with the model's most likely tokens." },
	{ "export",
	  "Write a run's result: an adapter folder that PEFT loads, or the merged model." },
	{ "adapter", "Add, subtract or scale LoRA adapters, or fold one into its model." },
	{ "tokenize", "Show the tokens of each line of text." },
	{ "estimate", "Count parameters and memory of a run before it starts." },
	{ "describe", "Print what the engine can do: methods, models, settings with ranges." },
	{ 0 },
};

const struct passed_on *cmd_passed_on(void) { return passed_on; }

static int home_file(const char *name, char *ret, size_t size)
{
	char home[PATH_MAX];
	int code = fs_home(home, sizeof(home));

	return code ? code : fs_join(ret, size, home, name);
}

int cmd_open_read(struct store **ret)
{
	char path[PATH_MAX];
	int code = home_file("runs.db", path, sizeof(path));

	if (!code)
		code = store_open_read(path, ret);
	if (code == TT_NOTFOUND)
		return err_set(TT_NOTFOUND,
			       "there are no runs yet; `trimtab run mr-lora` makes one");
	return code;
}

int cmd_open(struct store **ret)
{
	char path[PATH_MAX];
	int code = home_file("runs.db", path, sizeof(path));

	return code ? code : store_open(path, ret);
}

int cmd_with_run(const struct args *a, bool write,
		 int (*use)(struct store *st, const struct run *r, const struct args *a))
{
	struct run r = { 0 };
	struct store *st;
	int code = write ? cmd_open(&st) : cmd_open_read(&st);

	if (code)
		return code;
	code = run_find(st, a->pos[0], &r);
	if (!code)
		code = use(st, &r, a);
	run_done(&r);
	store_close(st);
	return code;
}

static int print(const struct buf *out, const char *end)
{
	const int code = buf_check(out, "the answer");

	if (code)
		return code;
	if (fwrite(out->data ? out->data : "", 1, out->size, stdout) != out->size ||
	    fputs(end, stdout) == EOF || fflush(stdout))
		return err_set(TT_IO, "cannot write: %s", strerror(errno));
	return TT_OK;
}

int cmd_print(const struct buf *out) { return print(out, "\n"); }

int cmd_print_some(struct buf *out)
{
	int code = TT_OK;

	if (out->size >= PIECE) {
		code = print(out, "");
		buf_clear(out);
	}
	return code;
}

const struct arg cmd_json_option[] = {
	{ "--json", 0, NULL, "one JSON document" },
	{ 0 },
};

int cmd_say(const struct args *a, const struct run *r, const char *key, const char *text)
{
	struct jsonw w;
	struct buf out;
	int code;

	buf_init(&out, 1 << 20);
	if (!args_has(a, "--json")) {
		cmd_text(&out, r->name);
		fprintf(stderr, "run %s (%s): %s\n", r->id, out.data ? out.data : "", text);
		buf_done(&out);
		return TT_OK;
	}
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "id");
	jsonw_text(&w, r->id);
	jsonw_key(&w, "name");
	jsonw_text(&w, r->name);
	jsonw_key(&w, key);
	jsonw_text(&w, text);
	jsonw_end(&w, '}');
	code = cmd_print(&out);
	buf_done(&out);
	return code;
}

bool cmd_colour(int fd)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

/* Become trimtab-engine with the same words. */
static int pass_on(char **argv)
{
	char path[PATH_MAX];

	if (proc_engine_path(path, sizeof(path))) {
		fprintf(stderr, "trimtab %s: %s\n", argv[1], err_text());
		return 1;
	}
	execv(path, argv);
	fprintf(stderr, "trimtab %s: cannot start %s: %s\n", argv[1], path, strerror(errno));
	return 1;
}

static bool is_passed_on(const char *verb)
{
	for (const struct passed_on *p = passed_on; p->name; p++)
		if (!strcmp(p->name, verb))
			return true;
	return false;
}

static void overview(void)
{
	printf("Usage: trimtab [VERB ...]\n\nWithout a verb the workbench opens. Verbs:\n\n");
	command_overview("trimtab", all);
	for (const struct passed_on *p = passed_on; p->name; p++)
		printf("  trimtab %-12s %s\n", p->name, p->summary);
	printf("\ntrimtab VERB --help says more. A RUN is an id, the beginning of one, a name, or "
	       "`latest`.\n");
}

static int unknown(const char *verb)
{
	const char *names[64];
	size_t n = 0;

	for (const struct passed_on *p = passed_on; p->name; p++)
		names[n++] = p->name;
	return command_unknown("trimtab", all, names, n, verb);
}

/* The workbench knows our verbs by name and options. */
static int workbench(void)
{
	struct verb verb[COUNT(all) + COUNT(passed_on)] = { { 0 } };
	size_t n = 0;

	for (const struct command *const *c = all; *c; c++)
		verb[n++] = (struct verb){ (*c)->name, (*c)->options };
	for (const struct passed_on *p = passed_on; p->name; p++)
		verb[n++] = (struct verb){ p->name, NULL };
	return app_main(verb);
}

int cmd_main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2)
		return workbench();
	if (!strcmp(argv[1], "--version")) {
		printf("trimtab %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		overview();
		return 0;
	}
	c = command_find(all, argv[1]);
	if (c)
		return command_execute("trimtab", c, argc - 1, argv + 1);
	return is_passed_on(argv[1]) ? pass_on(argv) : unknown(argv[1]);
}
