#ifndef UI_SCREEN_H
#define UI_SCREEN_H

#include <curses.h>
#include <stdbool.h>
#include <stddef.h>

struct app;
struct screen;

/*
 * What a key did: redraw, poll the screen, leave it, leave the workbench, or
 * poll as if the run log had changed.
 */
enum reaction {
	UI_NONE = 0,
	UI_DRAW = 1 << 0,
	UI_POLL = 1 << 1,
	UI_CLOSE = 1 << 2,
	UI_QUIT = 1 << 3,
	UI_RELOAD = 1 << 4
};

enum { KEY_ALIASES = 3 };

/* One table a screen: dispatch, footer (in this order, as far as there is room) and help page. */
struct keybind {
	int key, also[KEY_ALIASES]; /* see ui/keymap.h */
	const char *label, *help;   /* footer, help page */
	unsigned (*act)(struct screen *s);
	/* Why it does not apply now: a sentence, or NULL when it does. */
	const char *(*why_not)(const struct screen *s);
	bool quiet; /* not in the footer */
};

/*
 * One screen. poll reads the store into state, draw only looks at state, a key
 * changes it and answers with reactions. poll comes four times a second and
 * after UI_POLL; app->changed says that everything must be read again.
 */
struct screen_ops {
	const char *name, *title;
	size_t state_size;
	const struct keybind *keys; /* ends with {0} */
	int (*open)(struct screen *s, const char *arg);
	bool (*poll)(struct screen *s); /* true when the picture changed */
	void (*draw)(const struct screen *s, WINDOW *w);
	void (*close)(struct screen *s);
	const char *(*here)(const struct screen *s); /* id of the run it is about now, or NULL */
};

struct screen {
	const struct screen_ops *ops;
	struct app *app;
	void *state;
};

#endif
