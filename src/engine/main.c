/* trimtab-engine: the verbs that need tensors. `trimtab` passes them on; people rarely call it themselves. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

#define ITEM(n) extern const struct command verb_##n;
#include "engine/list.inc"
#undef ITEM

static const struct command *const all[] = {
#define ITEM(n) &verb_##n,
#include "engine/list.inc"
#undef ITEM
	NULL
};

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
	(void)number;
	told_to_stop = 1;
}

void engine_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
}

int engine_told_to_stop(void) { return told_to_stop; }

const struct command *const *verb_all(void) { return all; }

int main(int argc, char **argv)
{
	const struct command *c;

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("trimtab-engine %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		printf("Usage: trimtab-engine VERB ...\n\n");
		command_overview("trimtab-engine", all);
		return argc < 2 ? 2 : 0;
	}
	c = command_find(all, argv[1]);
	if (!c)
		return command_unknown("trimtab-engine", all, NULL, 0, argv[1]);
	return command_execute("trimtab", c, argc - 1, argv + 1);
}
