/*
 * Colours by role. The palette keeps apart for deuteranopes and protanopes
 * (blue, orange, teal, pink: lightness differs too), and on light as on dark
 * backgrounds; wherever colour says something, a word or a mark says it too.
 */
#include "ui/theme.h"

#include <stdlib.h>
#include <string.h>

#include "ui/widget/text.h"

static const struct {
	int deep[BACKGROUNDS]; /* foreground among 256 colours; -1: the terminal's own */
	short plain;           /* ... and among 8 */
	attr_t coloured, mono;
} look[ROLES] = {
	[ROLE_TEXT] = { { -1, -1, -1 }, -1, A_NORMAL, A_NORMAL },
	[ROLE_DIM] = { { 244, 245, 242 }, -1, A_NORMAL, A_DIM },
	[ROLE_STRONG] = { { -1, -1, -1 }, -1, A_BOLD, A_BOLD },
	[ROLE_SELECTED] = { { -1, -1, -1 }, -1, A_REVERSE, A_REVERSE },
	[ROLE_LIVE] = { { 32, 75, 25 }, COLOR_CYAN, A_NORMAL, A_BOLD },
	[ROLE_WAIT] = { { 172, 214, 130 }, COLOR_YELLOW, A_NORMAL, A_NORMAL },
	[ROLE_BAD] = { { 202, 209, 160 }, COLOR_RED, A_BOLD, A_BOLD },
	[ROLE_EVENT] = { { 172, 214, 130 }, COLOR_YELLOW, A_NORMAL, A_DIM },
	[ROLE_SERIES] = { { 32, 75, 25 }, COLOR_CYAN, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_2] = { { 208, 214, 130 }, COLOR_YELLOW, A_NORMAL, A_BOLD },
	[ROLE_SERIES_3] = { { 36, 36, 29 }, COLOR_BLUE, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_4] = { { 175, 225, 126 }, COLOR_MAGENTA, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_5] = { { 142, 185, 58 }, COLOR_GREEN, A_NORMAL, A_BOLD },
	[ROLE_SERIES_6] = { { 74, 117, 31 }, COLOR_CYAN, A_BOLD, A_NORMAL },
	[ROLE_SERIES_7] = { { 130, 173, 94 }, COLOR_YELLOW, A_BOLD, A_BOLD },
	[ROLE_SERIES_8] = { { 97, 141, 54 }, COLOR_MAGENTA, A_BOLD, A_NORMAL },
};

static const char *const backgrounds[] = { "plain", "dark", "light", NULL };

enum { DEEP = 1 << 24 };

const char *theme_background_name(int i) { return i < BACKGROUNDS ? backgrounds[i] : NULL; }

/* Colours 16 to 255 are the same on all terminals: a cube of six steps, then greys. */
int theme_rgb(enum background b, enum role role)
{
	static const int step[] = { 0, 95, 135, 175, 215, 255 };
	const int n = look[role].deep[b] - 16, grey = 8 + 10 * (n - 216);

	if (n < 0)
		return -1;
	if (n >= 216)
		return grey << 16 | grey << 8 | grey;
	return step[n / 36] << 16 | step[n / 6 % 6] << 8 | step[n % 6];
}

/* A terminal of true colours takes them as they are, whatever its first 256 look like. */
static void set_pairs(const struct theme *t)
{
	const enum background b = t->background;

	for (int i = 1; t->colours && i < ROLES; i++) {
		if (t->colours == DEEP)
			(void)init_extended_pair(i, theme_rgb(b, (enum role)i), -1);
		else
			(void)init_pair((short)i,
					t->colours == 256 ? (short)look[i].deep[b] : look[i].plain,
					-1);
	}
}

bool theme_background(struct theme *t, const char *word)
{
	for (int i = 0; i < BACKGROUNDS; i++) {
		if (strcmp(word, backgrounds[i]) != 0)
			continue;
		t->background = (enum background)i;
		set_pairs(t);
		return true;
	}
	return false;
}

/* Some terminals say it: "15;0" is white on black, and the last number the background. */
static enum background find_background(void)
{
	const char *said = getenv("COLORFGBG"), *last = said ? strrchr(said, ';') : NULL;

	if (!last || last[1] < '0' || last[1] > '9')
		return BACKGROUND_ANY;
	return atoi(last + 1) == 7 || atoi(last + 1) >= 9 ? BACKGROUND_LIGHT : BACKGROUND_DARK;
}

void theme_init(struct theme *t)
{
	const char *none = getenv("NO_COLOR");

	t->unicode = text_unicode();
	t->charts = t->unicode ? CHARTS_BRAILLE : CHARTS_ASCII;
	t->colours = 0;
	t->background = find_background();
	if ((none && *none) || !has_colors() || start_color() == ERR)
		return;
	if (COLORS >= 8 && COLOR_PAIRS > ROLES)
		t->colours = COLORS >= DEEP ? DEEP : COLORS >= 256 ? 256 : 8;
	(void)use_default_colors();
	set_pairs(t);
}

void theme_set(const struct theme *t, WINDOW *w, enum role role)
{
	attr_t attrs = t->colours ? look[role].coloured : look[role].mono;

	if (t->colours == 8 && role == ROLE_DIM)
		attrs = A_DIM;
	(void)wattr_set(w, attrs, t->colours ? (short)role : 0, NULL);
}

void theme_cycle(struct theme *t)
{
	if (t->unicode)
		t->charts = (enum charts)((t->charts + 1) % CHARTS_KINDS);
}

const char *theme_charts_name(enum charts c)
{
	static const char *const name[] = { "braille", "block", "ASCII" };

	return name[c];
}
