/*
 * Colours by role. The palette keeps apart for deuteranopes and protanopes
 * (blue, orange, teal, pink: lightness differs too), and on light as on dark
 * backgrounds; wherever colour says something, a word or a mark says it too.
 */
#include "ui/theme.h"

#include <stdlib.h>

#include "ui/widget/text.h"

static const struct {
	short deep, plain; /* foreground among 256 and among 8 colours; -1: the terminal's own */
	attr_t coloured, mono;
} look[ROLES] = {
	[ROLE_TEXT] = { -1, -1, A_NORMAL, A_NORMAL },
	[ROLE_DIM] = { 244, -1, A_NORMAL, A_DIM },
	[ROLE_STRONG] = { -1, -1, A_BOLD, A_BOLD },
	[ROLE_SELECTED] = { -1, -1, A_REVERSE, A_REVERSE },
	[ROLE_LIVE] = { 32, COLOR_CYAN, A_NORMAL, A_BOLD },
	[ROLE_WAIT] = { 172, COLOR_YELLOW, A_NORMAL, A_NORMAL },
	[ROLE_BAD] = { 202, COLOR_RED, A_BOLD, A_BOLD },
	[ROLE_EVENT] = { 172, COLOR_YELLOW, A_NORMAL, A_DIM },
	[ROLE_SERIES] = { 32, COLOR_CYAN, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_2] = { 208, COLOR_YELLOW, A_NORMAL, A_BOLD },
	[ROLE_SERIES_3] = { 36, COLOR_BLUE, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_4] = { 175, COLOR_MAGENTA, A_NORMAL, A_NORMAL },
	[ROLE_SERIES_5] = { 142, COLOR_GREEN, A_NORMAL, A_BOLD },
	[ROLE_SERIES_6] = { 74, COLOR_CYAN, A_BOLD, A_NORMAL },
	[ROLE_SERIES_7] = { 130, COLOR_YELLOW, A_BOLD, A_BOLD },
	[ROLE_SERIES_8] = { 97, COLOR_MAGENTA, A_BOLD, A_NORMAL },
};

void theme_init(struct theme *t)
{
	const char *none = getenv("NO_COLOR");

	t->unicode = text_unicode();
	t->charts = t->unicode ? CHARTS_BRAILLE : CHARTS_ASCII;
	t->colours = 0;
	if ((none && *none) || !has_colors() || start_color() == ERR)
		return;
	if (COLORS >= 8 && COLOR_PAIRS > ROLES)
		t->colours = COLORS >= 256 ? 256 : 8;
	(void)use_default_colors();
	for (short i = 1; t->colours && i < ROLES; i++)
		(void)init_pair(i, t->colours == 256 ? look[i].deep : look[i].plain, -1);
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
