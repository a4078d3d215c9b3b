#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

/*
 * One verb of trimtab or of trimtab-engine. run gets argv[0] = the verb and
 * returns the exit status: 0 done, 1 failed (one sentence on stderr), 2 wrong
 * usage. `usage` is what follows the verb; `help` is the text of --help.
 */
struct command {
	const char *name, *usage, *summary;
	const char *help;
	int (*run)(int argc, char **argv);
};

#endif
