#ifndef UI_THEME_H
#define UI_THEME_H

#include <curses.h>
#include <stdbool.h>

/* How things look: colours by role, and what charts are drawn with. */

enum charts { CHARTS_BRAILLE, CHARTS_BLOCK, CHARTS_ASCII, CHARTS_KINDS };

enum role {
	ROLE_TEXT,
	ROLE_DIM,      /* what does not apply, labels, axes */
	ROLE_STRONG,   /* titles, names of keys */
	ROLE_SELECTED, /* the row under the cursor */
	ROLE_LIVE,     /* running */
	ROLE_WAIT,     /* queued, paused, stopped */
	ROLE_BAD,      /* failed, lost, NaN */
	ROLE_EVENT,    /* marks of events on a chart */
	ROLE_SERIES,   /* the first of a chart's curves; more follow */
	ROLE_SERIES_2,
	ROLE_SERIES_3,
	ROLE_SERIES_4,
	ROLE_SERIES_5,
	ROLE_SERIES_6,
	ROLE_SERIES_7,
	ROLE_SERIES_8,
	ROLES
};

enum background { BACKGROUND_ANY, BACKGROUND_DARK, BACKGROUND_LIGHT, BACKGROUNDS };

struct theme {
	int colours;                /* 0, 8, 256 or 1 << 24 */
	enum background background; /* what the palette is for */
	bool unicode;               /* the locale is UTF-8 */
	enum charts charts;
};

/* What this terminal can do; after newterm. NO_COLOR is heeded; without UTF-8 everything is ASCII. */
void theme_init(struct theme *t);
void theme_set(const struct theme *t, WINDOW *w, enum role role);
/* plain, dark or light: the palette for that; false: there is no such word. */
bool theme_background(struct theme *t, const char *word);
const char *theme_background_name(int i);         /* NULL behind the last */
int theme_rgb(enum background b, enum role role); /* 0xrrggbb; -1: the terminal's own */
/* The next kind of charts that the locale allows. */
void theme_cycle(struct theme *t);
const char *theme_charts_name(enum charts c);

#endif
